// ChunkWriter: stores chunks and records for one writer: deduplicates, compresses, appends to the
// writer's pack, begins a new pack when one is full, and keeps the list of packs relied upon.
//
// Keeps I4 (relies only on chunks below a sync mark or on its own), I5 (holds the lock of the pack
// it writes), I6 (after a failure every call answers it), I7 with docs/collection.md.
// Thread rule: Put by any thread, each with its own Encoder; the rest by the owner alone, with no
// Put under way.

#ifndef CKPT_STORE_ENGINE_CHUNK_WRITER_H_
#define CKPT_STORE_ENGINE_CHUNK_WRITER_H_

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "store/codec/compress.h"
#include "store/engine/store.h"
#include "store/manifest/tree.h"
#include "store/pack/writer.h"

namespace ckpt {

// What a save has put so far.
struct PutCounts {
  std::uint64_t new_chunks = 0;
  std::uint64_t new_bytes = 0;       // raw bytes of new chunks
  std::uint64_t appended_bytes = 0;  // to packs: records, directories, padding, marks
};

class ChunkWriter : public ChunkSink {
 public:
  // Continues a pack of this host that nobody writes, else begins one.
  static Result<std::unique_ptr<ChunkWriter>> Open(Store* store);
  ~ChunkWriter() override;  // abandons what was not committed

  // Stores the chunk unless it is there. `element_width`: see EncodeOptions.
  Status Put(ByteSpan raw, const Id128& id, std::size_t element_width, Encoder* encoder);
  Result<Id128> PutNode(ByteSpan raw) override;
  Status AppendRecord(RecordType type, ByteSpan payload);

  // Takes over another checkpoint's reliance (its unchanged entries are not looked at chunk by
  // chunk).
  void Inherit(const std::vector<PackReliance>& packs);
  // Everything relied upon so far, own packs up to their present end.
  std::vector<PackReliance> Reliance() const;
  void ForgetReliance();  // before the next checkpoint

  // Everything appended is durable, and published to the index, when this is ok.
  Status Commit(bool closed);
  // Takes back what was appended since the last Commit, as far as that is possible.
  void Abandon();

  PutCounts counts() const;
  const Id128& pack_id() const { return pack_->pack_id(); }

 private:
  explicit ChunkWriter(Store* store) : store_(store) {}
  Status OpenPack();
  Status RollOver();
  void Rely(const Id128& pack_id, std::uint64_t up_to);
  Status AppendChunk(ByteSpan raw, const Id128& id, const Encoded& encoded);

  Store* store_;
  std::unique_ptr<PackWriter> pack_;
  Encoder node_encoder_;

  mutable std::mutex mutex_;  // guards what follows
  std::unordered_set<Id128, Id128Hash>
      own_;  // chunks in pack_ (or on the way there), not published
  std::map<Id128, std::uint64_t> reliance_;
  std::vector<Id128> own_packs_;
  std::uint64_t start_offset_ = 0;  // of what counts_ counts in pack_
  PutCounts counts_;
  Status failure_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHUNK_WRITER_H_
