// The rows of the LMDB index: how keys and values are written, and the checksum each value carries.
// LMDB has no page checksums, so every value ends with a checksum over its key, its body and a seed
// that is random for each generation of the index and differs by table: a value that moved, belongs
// to another key, another table or another file never opens.
//
//   chunks    chunk id (16)          pack number u32, offset u48, stored u32, raw u32, codec u8,
//                                    parameter u8, [base id 16]
//   packs     pack number, u32 BE    pack id, covered u64, check offset u64, check checksum u64
//   pack_ids  pack id (16)           pack number u32
//   records   0x01, the record's key link u64, pack number u32, the record's value
//             0x00                   the head of the chain: link, 0xffffffff
//   meta      "identity"             schema u32, u32 0, store uuid, host, seed u64
//             "next_pack"            u32: pack numbers are never used twice
//
// Records are chained: each row's link is the hash of the key that follows (0: none), so that a
// scan proves that it missed nothing, whatever happened to the pages. Thread rule: values, pure
// functions.

#ifndef CKPT_STORE_INDEX_INDEX_ROWS_H_
#define CKPT_STORE_INDEX_INDEX_ROWS_H_

#include <array>
#include <cstdint>

#include "store/index/index.h"

namespace ckpt::index_internal {

// 2: indexes of before may lack checkpoints that their coverage claims.
constexpr std::uint32_t kSchema = 2;
constexpr std::size_t kRecordKeyBytesMax = 400;
constexpr std::size_t kRecordValueBytesMax = 64u << 10;
constexpr std::uint64_t kOffsetLimit = 1ull << 48;

enum Table : unsigned { kMeta = 0, kPacks, kPackIds, kChunks, kRecords, kTables };
constexpr std::array<const char*, kTables> kTableNames = {"meta", "packs", "pack_ids", "chunks",
                                                          "records"};

inline ByteSpan IdSpan(const Id128& id) { return std::as_bytes(std::span(id.bytes)); }

// Seals and opens the values of one generation.
class RowSealer {
 public:
  static constexpr std::size_t kSumBytes = 8;

  RowSealer() = default;
  explicit RowSealer(std::uint64_t seed) : seed_(seed) {}

  // What follows `body` in the value.
  std::uint64_t Sum(Table table, ByteSpan key, ByteSpan body) const;
  void Seal(Table table, ByteSpan key, Bytes* row) const;
  // The body of a value; false when it is not what was sealed.
  bool Open(Table table, ByteSpan key, ByteSpan value, ByteSpan* body) const;
  // The link to `key`, never 0.
  std::uint64_t Link(ByteSpan key) const;

 private:
  std::uint64_t seed_ = 0;
};

struct ChunkRow {
  std::uint32_t pack = 0;  // its number in this index
  ChunkEntry entry;        // its id is the key
};
// A sealed value and its length, without allocation: the hot path of building.
struct ChunkValue {
  std::array<std::byte, 44> bytes;
  std::size_t size = 0;
};
ChunkValue EncodeChunkRow(const RowSealer& sealer, const ChunkRow& row);
bool DecodeChunkRow(const RowSealer& sealer, const Id128& id, ByteSpan value, ChunkRow* row);

using PackKey = std::array<std::byte, 4>;
PackKey EncodePackKey(std::uint32_t number);
Bytes EncodePackRow(const RowSealer& sealer, std::uint32_t number, const PackCoverage& coverage);
bool DecodePackRow(const RowSealer& sealer, ByteSpan key, ByteSpan value, PackCoverage* coverage);

// "pack_ids" and "next_pack": one number.
Bytes EncodeNumberRow(const RowSealer& sealer, Table table, ByteSpan key, std::uint32_t number);
bool DecodeNumberRow(const RowSealer& sealer, Table table, ByteSpan key, ByteSpan value,
                     std::uint32_t* number);

struct RecordRow {
  std::uint64_t link = 0;
  std::uint32_t pack = 0;
  ByteSpan value;  // not owned
};
constexpr std::uint32_t kNoPack = 0xffffffff;
Bytes RecordKey(ByteSpan key);  // with the 0x01 in front
inline Bytes ChainHeadKey() { return Bytes(1, std::byte{0}); }
// `key` is the row's whole key.
void EncodeRecordRow(const RowSealer& sealer, ByteSpan key, const RecordRow& row, Bytes* out);
bool DecodeRecordRow(const RowSealer& sealer, ByteSpan key, ByteSpan value, RecordRow* row);

// Sealed with seed 0: it holds the seed of all others.
struct IdentityRow {
  std::uint32_t schema = kSchema;
  Id128 store_uuid;
  Id128 host;
  std::uint64_t seed = 0;
};
inline ByteSpan IdentityKey() { return AsBytes("identity"); }
inline ByteSpan NextPackKey() { return AsBytes("next_pack"); }
// How often packs were dropped or put anew. Not there: never.
inline ByteSpan DropsKey() { return AsBytes("drops"); }
// How often records were changed; the head of their chain has the same number as its value. Not
// there, and an empty value: never by a build that counts.
inline ByteSpan ChangesKey() { return AsBytes("changes"); }
Bytes EncodeIdentity(const IdentityRow& row);
bool DecodeIdentity(ByteSpan value, IdentityRow* row);

// Refuses what no row can hold; `what` of an InvalidArgument is the caller's mistake.
Status ValidateUpdate(const IndexUpdate& update);

// Upon `covered` bytes of its pack: whether an update is skipped, and whether the index then lacks
// something of it.
bool DoesNotFit(const PackUpdate& update, std::uint64_t covered);
bool IsLeftOut(const PackUpdate& update, std::uint64_t covered);
Status ValidateRecord(const IndexRecord& record);
Status ValidateChunk(const ChunkEntry& entry);

// The least key above every key that begins with `prefix`; false when there is none.
bool PrefixEnd(Bytes* prefix);

}  // namespace ckpt::index_internal

#endif  // CKPT_STORE_INDEX_INDEX_ROWS_H_
