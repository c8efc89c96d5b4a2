// The constants and record layouts of docs/format.md that writer and reader share, and nothing
// else. Decoding checks every bound (I8); what does not fit is refused, never guessed. Thread rule:
// values and pure functions.

#ifndef CKPT_STORE_PACK_FORMAT_H_
#define CKPT_STORE_PACK_FORMAT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

constexpr std::uint64_t kBlockBytes = 4096;  // stages and sync marks begin at multiples
constexpr std::uint64_t kRecordAlignBytes = 8;
constexpr std::uint64_t kRecordHeaderBytes = 64;
constexpr std::uint64_t kPackHeaderBytes = 4096;
constexpr std::uint32_t kRecordMagic = 0x31524B43;  // "CKR1"
constexpr std::uint32_t kChunkBytesMax = 16u << 20;

enum class RecordType : std::uint8_t {
  kChunk = 1,
  kDirectory = 2,
  kManifest = 3,
  kTombstone = 4,
  kDamage = 5,
  kAttempt = 6,
  kAck = 7,
  kMoved = 8,
  kSyncMark = 9,
  kPadding = 10,
  kWriter = 11,
};

// The greatest stored payload of a record of this type; 0 for types this build does not know.
std::uint64_t PayloadBytesMax(RecordType type);

// Codecs whose payload starts with the id of a base.
constexpr bool IsDeltaCodec(std::uint8_t codec) { return codec >= 16 && codec <= 31; }

// "manifest", "chunk", ...; for messages.
std::string RecordTypeName(RecordType type);

// Types that a directory lists as record entries.
constexpr bool ListedAsRecord(RecordType type) {
  return type != RecordType::kChunk && type != RecordType::kDirectory &&
         type != RecordType::kSyncMark && type != RecordType::kPadding;
}

struct RecordHeader {
  RecordType type = RecordType::kPadding;
  std::uint8_t codec = 0;
  std::uint8_t codec_param = 0;
  std::uint64_t stored_bytes = 0;  // of the payload
  std::uint64_t raw_bytes = 0;
  std::uint64_t writer_id = 0;
  Id128 id;
  std::uint64_t payload_checksum = 0;

  // Bytes to the next record.
  std::uint64_t ExtentBytes() const {
    return RoundUp(kRecordHeaderBytes + stored_bytes, kRecordAlignBytes);
  }
};

// Writes kRecordHeaderBytes to `out`, the checksum bound to (pack_id, offset).
void EncodeRecordHeader(const RecordHeader& header, const Id128& pack_id, std::uint64_t offset,
                        std::byte* out);
// False when these kRecordHeaderBytes are not a valid header at that place. Sizes are bounded by
// the type. *checksum (may be null) gets the header's own checksum: the index remembers it (I4).
bool DecodeRecordHeader(ByteSpan bytes, const Id128& pack_id, std::uint64_t offset,
                        RecordHeader* header, std::uint64_t* checksum = nullptr);

struct PackHeader {
  Id128 pack_id;
  Id128 store_uuid;
  bool reserve = false;
  std::int64_t created_ns = 0;
  Id128 host;  // that made it: known also when the writer died before its first mark
};
Bytes EncodePackHeader(const PackHeader& header);  // kPackHeaderBytes
Result<PackHeader> DecodePackHeader(ByteSpan bytes);

struct SyncMark {
  std::uint64_t durable_offset = 0;
  Id128 host;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t directory_offset = 0;
  std::uint64_t sequence = 0;
  bool closed = false;
  bool sealed = false;
};
Bytes EncodeSyncMark(const SyncMark& mark);
Result<SyncMark> DecodeSyncMark(ByteSpan payload);

// Where a chunk is within a pack.
struct ChunkEntry {
  Id128 id;
  std::uint64_t offset = 0;  // of the record's header
  std::uint32_t stored_bytes = 0;
  std::uint32_t raw_bytes = 0;
  std::uint8_t codec = 0;
  std::uint8_t codec_param = 0;
  Id128 base;  // zeros unless the codec is a delta
};

struct RecordEntry {
  std::uint64_t offset = 0;
  std::uint64_t stored_bytes = 0;  // of the payload
  RecordType type = RecordType::kManifest;
};

struct Directory {
  std::uint64_t previous_offset = 0;
  std::uint64_t covers_from = 0;
  bool sealed = false;
  std::vector<ChunkEntry> chunks;
  std::vector<RecordEntry> records;
};
// The order of chunk entries in a sealed directory: by id, then offset.
bool ChunkEntryLess(const ChunkEntry& a, const ChunkEntry& b);
Bytes EncodeDirectory(const Directory& directory);
// REQUIRES: the payload's checksum was verified. `offset` is the directory record's own: entries
// must lie below it and, unless sealed, at or above covers_from.
Result<Directory> DecodeDirectory(ByteSpan payload, std::uint64_t offset);

// The parts of a directory, for those who read it piecemeal (PackReader::FindInSealed).
constexpr std::uint64_t kDirectoryFixedBytes = 32;
constexpr std::uint64_t kChunkEntryBytes = 40;
constexpr std::uint64_t kRecordEntryBytes = 24;
constexpr std::uint64_t kBaseBytes = 16;
std::uint64_t DirectoryPayloadBytes(std::uint64_t chunks, std::uint64_t records,
                                    std::uint64_t bases);

struct DirectoryHead {
  std::uint64_t previous_offset = 0;
  std::uint64_t covers_from = 0;
  bool sealed = false;
  std::uint32_t chunks = 0;
  std::uint32_t records = 0;
  std::uint32_t bases = 0;
};
// `payload` starts with the fixed part; `payload_bytes` is the whole payload's length, which the
// counts must match; `offset` as of DecodeDirectory.
Result<DirectoryHead> DecodeDirectoryHead(ByteSpan payload, std::uint64_t payload_bytes,
                                          std::uint64_t offset);
// One entry (kChunkEntryBytes) of a directory that lists [from, below) and has so many bases.
// *base is the 1-based place of the entry's base; entry->base is not touched.
bool DecodeChunkEntry(ByteSpan bytes, std::uint64_t from, std::uint64_t below, std::uint32_t bases,
                      ChunkEntry* entry, std::uint32_t* base);

// "packs/<32 hex>.pack" names.
std::string PackFileName(const Id128& pack_id);
bool ParsePackFileName(std::string_view name, Id128* pack_id);

}  // namespace ckpt

#endif  // CKPT_STORE_PACK_FORMAT_H_
