// PackChecker: the first step of a check. Reads every pack from its first record on, header by
// header (docs/format.md, "the walk"), verifies what is below its last mark and compares it with
// its directories. One thread reads, several verify.
//
// Sound is a chunk whose bytes have its id; what lies in an unmarked tail may be sound, never
// damaged. A delta that is not read is as sound as its base (64 bytes each). Thread rule: one
// owner.

#ifndef CKPT_STORE_ENGINE_CHECK_PACKS_H_
#define CKPT_STORE_ENGINE_CHECK_PACKS_H_

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "store/codec/compress.h"
#include "store/engine/check.h"
#include "store/engine/damage.h"
#include "store/engine/fetcher.h"

namespace ckpt {

class PackChecker {
 public:
  PackChecker(Store* store, const CheckOptions& options, CheckFindings* findings);
  ~PackChecker();
  PackChecker(const PackChecker&) = delete;
  PackChecker& operator=(const PackChecker&) = delete;

  Status Run();

 private:
  // A record whose header is valid, its payload in a batch's bytes.
  struct Record {
    std::uint64_t offset = 0;
    RecordHeader header;
  };
  struct Batch {
    Id128 pack_id;
    bool durable = true;
    bool watch_barred = false;  // the pack has barred places
    bool hollow = false;        // chunks nobody needed were given back
    std::uint64_t begin = 0;    // of bytes in the pack
    Bytes bytes;
    std::vector<Record> records;
  };
  // One pack under check.
  struct Pack {
    Id128 id;
    const PackReader* reader = nullptr;
    PackContents contents;
    std::vector<ChunkAt> walked;
    std::vector<FoundDamage> ranges;  // where no headers are
    std::vector<std::uint64_t> range_ends;
  };

  Status CheckPack(const Id128& id);
  static bool HeaderIsDamaged(const Pack& pack);
  Status Listed(Pack* pack);
  Status Walk(Pack* pack, std::uint64_t begin, std::uint64_t stop, bool durable);
  Result<std::uint64_t> Window(Pack* pack, std::uint64_t at, std::uint64_t stop, bool durable);
  Result<std::uint64_t> Single(Pack* pack, std::uint64_t at, std::uint64_t stop, bool durable,
                               bool* bad);
  std::uint64_t NextMark(const Pack& pack, std::uint64_t begin, std::uint64_t stop);
  Status Compare(Pack* pack);
  Result<bool> ReadsTrue(const Pack& pack, const ChunkEntry& entry);
  Status VerifyRuns(Pack* pack, std::vector<ChunkEntry> entries);
  Status VerifyRun(const Pack& pack, const ChunkEntry* begin, const ChunkEntry* end);
  Status VerifyRecords(Pack* pack);
  void MarkSound(const ChunkEntry& entry);
  void MarkListed(const Pack& pack, const ChunkEntry& entry);

  Status Push(Batch batch);
  Status WaitIdle();
  void Work();
  struct Answer {
    std::string what;         // empty: the record is what it says
    bool given_back = false;  // a hole where nobody needed the chunk; who does finds it missing
    Id128 base = {};          // of a delta that is as it was written, and cannot be read
  };
  Answer Check(const Batch& batch, const Record& record, Decoder* decoder, Bytes* raw);
  Answer Verify(const Batch& batch, const Record& record, Decoder* decoder, Bytes* raw);
  Answer VerifyDelta(const Batch& batch, const Record& record, ByteSpan payload, Decoder* decoder,
                     MutableByteSpan raw);
  bool ReadsBase(const Id128& base, Decoder* decoder);
  void FindBasesOfListed();
  void BlameBases();
  void Take(const Batch& batch, const std::vector<Answer>& answers);
  void AddDamage(const Id128& pack_id, std::uint64_t offset, std::string what,
                 std::vector<ChunkAt> chunks);

  Store* const store_;
  const CheckOptions options_;
  const int thread_count_;
  std::vector<std::thread> threads_;
  Progress progress_{"checking", 0, 0, 0, 0};
  double phase_;  // of the choice of runs
  std::unique_ptr<Fetcher> bases_;

  std::mutex mutex_;  // guards what follows
  CheckFindings* const findings_;
  std::vector<std::pair<FoundDamage, Id128>> deltas_;  // that cannot be read, and their bases
  IdSet bad_bases_;                                    // of these, that do not read themselves
  struct ListedDelta {
    Id128 pack_id;
    Id128 id;
    Id128 base;
    std::uint64_t offset = 0;
  };
  std::vector<ListedDelta> listed_;  // and not read
  std::condition_variable work_;
  std::condition_variable room_;
  std::deque<Batch> queue_;
  int busy_ = 0;
  bool stop_ = false;
  Status error_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHECK_PACKS_H_
