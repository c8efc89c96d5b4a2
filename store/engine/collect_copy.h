// What of condemned packs goes on living: which records are carried over (the table in
// docs/collection.md, "Copy"), and the packs of the collector's own that they go into.
//
// Keeps I1: a chunk is copied as its stored bytes, after they were decoded and found to have its
// id. Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_COLLECT_COPY_H_
#define CKPT_STORE_ENGINE_COLLECT_COPY_H_

#include <memory>
#include <set>
#include <vector>

#include "store/codec/compress.h"
#include "store/engine/collect_mark.h"
#include "store/engine/collect_scan.h"
#include "store/pack/writer.h"

namespace ckpt {

struct CarriedRecord {
  const ScannedPack* pack = nullptr;
  const ScannedRecord* record = nullptr;
};
// Of the packs of `list`, the records that must survive them. Pointers into the scan.
std::vector<CarriedRecord> RecordsToCarry(const PackScan& scan, const Marker& marker,
                                          const std::set<Id128>& list);

// C of the page: the collector's own packs, locked from before Condemn until this is destroyed.
class OwnPacks {
 public:
  // A new pack with its header written, or, where there is no room for so many bytes, the reserve.
  static Result<std::unique_ptr<OwnPacks>> Open(Store* store, std::uint64_t need_bytes);

  // A chunk of `reader`'s pack, verified. Corruption: it is damaged, nothing was copied.
  Status CopyChunk(const PackReader& reader, const ChunkEntry& entry);
  // The two halves of it. Without `by_header` the chunk is what `entry` says when its bytes have
  // its id, whatever its record's header says: as readers take it.
  Status Verify(const PackReader& reader, const ChunkEntry& entry, bool by_header);
  Status AppendVerified(const ChunkEntry& entry);  // REQUIRES: Verify was ok, just before
  // All of them and a mark behind; where the disk is full and no chunk was copied, in the reserve.
  struct Record {
    RecordHeader header;
    Bytes payload;
  };
  Status CommitRecords(const std::vector<Record>& records);
  void Abandon();
  static Result<Bytes> DecodedPayload(const Record& record);

  bool Contains(const Id128& pack_id) const;
  const Id128& last_pack_id() const { return packs_.back()->pack_id(); }
  // All packs so far, up to their present ends.
  std::vector<PackReliance> Reliance() const;
  std::uint64_t copied_bytes() const { return copied_bytes_; }

 private:
  explicit OwnPacks(Store* store) : store_(store) {}
  Status NewPack();
  Status Write(const std::vector<Record>& records);

  Store* const store_;
  std::vector<std::unique_ptr<PackWriter>> packs_;  // the last is written, the others are full
  bool reserve_ = false;
  std::uint64_t copied_bytes_ = 0;
  Decoder decoder_;
  Bytes stored_;
  Bytes raw_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_COLLECT_COPY_H_
