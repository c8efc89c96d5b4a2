// PackSet: packs opened for reading, with their tables, kept while they are used.
// When tables take more than 128 MiB, further sealed packs are searched on disk instead.
// Thread rule: any thread; the PackView handed out stays good while it is held.

#ifndef CKPT_STORE_ENGINE_PACK_SET_H_
#define CKPT_STORE_ENGINE_PACK_SET_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "store/io/env.h"
#include "store/pack/reader.h"

namespace ckpt {

class PackView {
 public:
  // `tables_bytes`: what the tables of all views take; outlives this.
  PackView(std::unique_ptr<PackReader> reader, std::atomic<std::uint64_t>* tables_bytes)
      : reader_(std::move(reader)), tables_bytes_(tables_bytes) {}
  ~PackView();

  const PackReader& reader() const { return *reader_; }
  // The place of a chunk in this pack, the unmarked tail included; full before delta (I12). Only
  // when `thorough` does nullopt prove that it is not there: else a flipped bit in a table that is
  // searched on disk may hide it.
  Result<std::optional<ChunkEntry>> Find(const Id128& id, bool thorough = false);
  // Everything the pack holds, read once.
  Result<std::shared_ptr<const PackContents>> Contents();

 private:
  Status Load();

  std::unique_ptr<PackReader> reader_;
  std::atomic<std::uint64_t>* const tables_bytes_;
  std::mutex mutex_;  // guards what follows
  std::uint64_t table_bytes_ = 0;
  std::uint64_t loaded_bytes_ = 0;  // the file's size when the table was read
  std::shared_ptr<const PackContents> contents_;
  std::unordered_map<Id128, const ChunkEntry*, Id128Hash> table_;
};

class PackSet {
 public:
  void Init(Dir* packs_dir, const Id128& store_uuid);
  // NotFound: no such pack.
  Result<std::shared_ptr<PackView>> Get(const Id128& pack_id);
  void Forget(const Id128& pack_id);

 private:
  Dir* packs_dir_ = nullptr;
  Id128 store_uuid_;
  std::atomic<std::uint64_t> tables_bytes_{0};
  std::mutex mutex_;  // guards views_
  std::unordered_map<Id128, std::shared_ptr<PackView>, Id128Hash> views_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_PACK_SET_H_
