// PackReader: reads one pack, whoever writes it meanwhile. It is crash recovery, index refresh,
// reading from another host and opening a copied store in one (docs/format.md, "the walk").
//
//   CKPT_ASSIGN_OR_RETURN(auto reader, PackReader::Open(packs_dir, pack_id, store_uuid));
//   CKPT_ASSIGN_OR_RETURN(PackContents news, reader->ReadFrom(known_offset));
//
// Takes no lock, writes nothing, never maps. Keeps I1 (every payload verified before it is handed
// out), I8 (all lengths bounded by type and by the file's size).
// Thread rule: const after Open; any thread at once.

#ifndef CKPT_STORE_PACK_READER_H_
#define CKPT_STORE_PACK_READER_H_

#include <memory>
#include <optional>
#include <vector>

#include "store/io/env.h"
#include "store/pack/format.h"

namespace ckpt {

struct DamagedRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// What a pack holds from some offset on.
struct PackContents {
  std::optional<SyncMark> mark;   // the last valid one
  std::uint64_t durable_end = 0;  // everything below is flushed (mark's stage included); at
                                  // least kPackHeaderBytes
  std::uint64_t end = 0;          // where the walk ended; >= durable_end
  std::uint64_t file_bytes = 0;
  std::uint64_t check_offset = 0;       // a record header below durable_end, and its checksum: the
  std::uint64_t check_checksum = 0;     // index's proof that it covers this very pack (I4)
  std::vector<ChunkEntry> chunks;       // below durable_end, ascending offsets unless sealed
  std::vector<RecordEntry> records;     // likewise, ascending offsets
  std::vector<ChunkEntry> tail_chunks;  // in the unmarked tail
  std::vector<RecordEntry> tail_records;
  std::vector<DamagedRange> damage;
};

class PackReader {
 public:
  // NotFound: no such file. Corruption: the header is bad or is another pack's.
  static Result<std::unique_ptr<PackReader>> Open(Dir* packs_dir, const Id128& pack_id,
                                                  const Id128& store_uuid);

  // Everything at or beyond `from` (an earlier durable_end, or 0 for all): by directories below the
  // last mark, by walking behind it. Damage is reported in the result, not as an error. With
  // `records_only`, chunk vectors stay empty where directories spare us the work.
  Result<PackContents> ReadFrom(std::uint64_t from, bool records_only = false) const;
  // True when the header at `offset` has this checksum: the index's memory fits this pack (I4).
  Result<bool> HeaderChecksumIs(std::uint64_t offset, std::uint64_t checksum) const;
  // Only what is needed to see whether there is news: file size.
  Result<std::uint64_t> FileBytes() const;

  // One record, its header and payload checksum verified; payload as stored. Corruption names pack
  // and offset.
  Result<RecordHeader> ReadRecord(std::uint64_t offset, Bytes* payload) const;
  // Reads the stored payload of a chunk (checked against `entry`: id, sizes, codec) into `payload`
  // (stored_bytes long). The payload checksum is verified only when `verify`; callers that decode
  // and compare the id need not.
  Status ReadChunkPayload(const ChunkEntry& entry, bool verify, MutableByteSpan payload) const;
  // Raw bytes of the file, for coalesced reads. Corruption when the file ends before.
  Status ReadRaw(std::uint64_t offset, MutableByteSpan out) const;

  // The sorted directory of a sealed pack lets one chunk be found by bisection without reading the
  // table. Nullopt: not here. In a pack that is not sealed: Unsupported.
  Result<std::optional<ChunkEntry>> FindInSealed(const Id128& id) const;
  bool sealed() const { return sealed_; }

  const Id128& pack_id() const { return pack_id_; }
  const PackHeader& header() const { return header_; }
  File* file() const { return file_.get(); }

 private:
  PackReader() = default;

  Id128 pack_id_;
  PackHeader header_;
  std::unique_ptr<File> file_;
  bool sealed_ = false;
  // The sealed directory's table, when sealed_.
  std::uint64_t table_offset_ = 0;
  std::uint64_t table_entries_ = 0;
  std::uint64_t bases_offset_ = 0;
  std::uint64_t bases_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_PACK_READER_H_
