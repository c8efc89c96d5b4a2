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
#include "store/pack/scan.h"

namespace ckpt {

using DamagedRange = scan::Range;

// What a pack holds from some offset on.
struct PackContents {
  std::uint64_t from = 0;         // entries of records below it are not listed
  std::optional<SyncMark> mark;   // the last valid one
  std::uint64_t durable_end = 0;  // everything below is flushed (mark's stage included); at
                                  // least kPackHeaderBytes
  std::uint64_t end = 0;          // where the walk ended; >= durable_end
  std::uint64_t file_bytes = 0;
  std::uint64_t check_offset = 0;       // the last mark's header (0: the pack's own) and its
  std::uint64_t check_checksum = 0;     // checksum: the index's proof of what it covers (I4)
  std::vector<ChunkEntry> chunks;       // below durable_end, ascending offsets unless sealed
  std::vector<RecordEntry> records;     // likewise, ascending offsets
  std::vector<ChunkEntry> tail_chunks;  // in the unmarked tail
  std::vector<RecordEntry> tail_records;
  std::vector<DamagedRange> damage;
};

class PackReader {
 public:
  enum class BadHeader {
    kRefuse,
    // Take a pack with a bad header by its name if it has a valid mark (which is bound to that
    // name): its records are as good as ever. ReadFrom reports the header as damage.
    kSalvage,
  };

  // NotFound: no such file, or a pack that never began (too short for its header, or a bad header
  // and no valid mark, or that of another pack with no mark either; what a crash leaves of a new
  // pack). Corruption: the header is bad or is another pack's or store's.
  static Result<std::unique_ptr<PackReader>> Open(Dir* packs_dir, const Id128& pack_id,
                                                  const Id128& store_uuid,
                                                  BadHeader rule = BadHeader::kRefuse);

  // Everything at or beyond `from` (an earlier durable_end, or 0 for all): by directories below the
  // last mark, by walking behind it. Damage is reported in the result, not as an error. With
  // `records_only`, chunk vectors stay empty where directories spare us the work.
  Result<PackContents> ReadFrom(std::uint64_t from, bool records_only = false) const;
  // True when the header at `offset` (a PackContents' check_offset) has this checksum: the index's
  // memory fits this pack (I4).
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
  // table. Nullopt: not here (before a chunk is given up as lost, ReadFrom(0) decides: bisection
  // sees disorder around its path, not a flipped bit in the very id it looks for). Of several
  // records of one chunk, a full one before a delta (I12). In a pack that is not sealed:
  // Unsupported. Corruption: the directory is damaged; ReadFrom works around that.
  Result<std::optional<ChunkEntry>> FindInSealed(const Id128& id) const;
  bool sealed() const { return sealed_; }

  const Id128& pack_id() const { return pack_id_; }
  const PackHeader& header() const { return header_; }
  File* file() const { return file_.get(); }

 private:
  PackReader() = default;

  Result<scan::Source> Snapshot() const;
  Status ReadHeader(const Id128& store_uuid, BadHeader rule);
  Status ReadSealedHead();
  Status BadRecord(std::uint64_t offset, const char* why) const;
  Result<RecordHeader> ReadHeaderAt(std::uint64_t offset) const;

  // FindInSealed's steps; `table` is a run of entries read around the place looked for.
  struct Window;
  Result<bool> ReadWindow(std::uint64_t begin, std::uint64_t end, Window* window) const;
  Result<bool> Bisect(const Id128& id, std::optional<ChunkEntry>* found) const;
  Result<bool> ReadBase(std::uint32_t place, Id128* base) const;

  Id128 pack_id_;
  PackHeader header_;
  bool header_damaged_ = false;
  std::uint64_t header_checksum_ = 0;
  std::unique_ptr<File> file_;
  bool sealed_ = false;
  // The sealed directory, when sealed_. A head without entries and table_ok_ false: damaged.
  std::uint64_t directory_offset_ = 0;
  bool table_ok_ = false;
  DirectoryHead head_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_PACK_READER_H_
