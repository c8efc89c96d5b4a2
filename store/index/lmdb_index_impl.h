// LmdbIndex: the Index over the newest generation of an index directory. See lmdb_index.h.
//
// States: open (lmdb_ set), without (null: nobody could open or make a generation just now; every
// answer is "not here"), damaged (damaged_: answers as without until the next Refresh, which
// discards the generation). Refresh, called by Packs and Publish, goes from any of them to open or
// without, and notices a newer generation. Without for ever: in a forked child, and when the
// directory was removed (until it is opened again).
//
// Locks, in this order: publish_mutex_, publish.lock, refresh_mutex_, gate_, open.lock.

#ifndef CKPT_STORE_INDEX_LMDB_INDEX_IMPL_H_
#define CKPT_STORE_INDEX_LMDB_INDEX_IMPL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "store/index/lmdb_dir.h"
#include "store/index/lmdb_env.h"
#include "store/index/lmdb_index.h"
#include "store/index/process_registry.h"

namespace ckpt::index_internal {

class LmdbIndex final : public Index {
 public:
  LmdbIndex(Env* env, LmdbIndexOptions options, std::unique_ptr<LmdbDir> dir);
  ~LmdbIndex() override;

  Result<std::vector<PackCoverage>> Packs() override;
  std::uint64_t GenerationNumber() override;
  Result<std::optional<ChunkPlace>> FindChunk(const Id128& id) override;
  Status ScanRecords(ByteSpan prefix, bool reverse, const RecordVisitor& fn) override;
  Result<bool> Publish(const IndexUpdate& update) override;
  Result<IndexStats> Stats() override;

  const LmdbIndexOptions& options() const { return options_; }
  // Opens the newest generation, making one where there is none or it is damaged. False: not now.
  // `writing`: the caller holds publish.lock.
  Result<bool> Refresh(bool writing);

  // For the builder. Null: somebody else is writing.
  Result<std::unique_ptr<HeldLock>> LockForWriting();
  // Makes build.mdb the newest generation. REQUIRES: publish.lock; it is synced and closed.
  Status Promote();
  std::mutex& publish_mutex() { return publish_mutex_; }
  LmdbDir& dir() { return *dir_; }
  Env* env() { return env_; }

 private:
  enum class Suspicion { kNone, kWait, kDamaged };

  bool Forked() const { return ForkCount() != forks_; }
  template <typename F>
  int Read(F&& fn);
  Result<bool> WriteAll(HeldLock* lock, const Generation& generation, const IndexUpdate& update);
  Status Write(const std::function<int(LmdbEnv*, MDB_txn*)>& fn);
  int ChangeMap(int reason);
  std::optional<Generation> OpenGeneration();
  std::uint64_t UsedBytes(const Generation& generation);
  int ReadPacks(LmdbEnv* lmdb, MDB_txn* txn, std::vector<PackCoverage>* packs);

  void DiscardIfCurrent(const Generation& generation);
  Result<bool> OpenCurrent(HeldLock* lock, bool writing);
  Result<Suspicion> Suspect(HeldLock* lock, std::uint64_t number, bool writing);
  int OpenNumber(std::uint64_t number, bool create);
  int FindGeneration();
  void CloseEnv();  // REQUIRES: the gate is held exclusively

  Env* const env_;
  const LmdbIndexOptions options_;
  const std::unique_ptr<LmdbDir> dir_;
  const std::uint64_t forks_;

  std::mutex publish_mutex_;  // held while this process publishes or builds
  std::mutex refresh_mutex_;
  std::atomic<bool> damaged_{false};
  Gate gate_;                      // guards what follows: shared to use, exclusive to change
  std::unique_ptr<LmdbEnv> lmdb_;  // null: without
  Generation generation_;
};

}  // namespace ckpt::index_internal

#endif  // CKPT_STORE_INDEX_LMDB_INDEX_IMPL_H_
