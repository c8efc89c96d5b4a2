#include "store/index/index_rows.h"

#include <cstring>

#include "store/codec/hash.h"

namespace ckpt::index_internal {
namespace {

constexpr std::size_t kChunkBodyBytes = 20;
constexpr std::size_t kIdBytes = 16;

template <typename T>
std::byte* Put(std::byte* out, T value, std::size_t bytes = sizeof(T)) {
  std::memcpy(out, &value, bytes);  // little-endian hosts only, see bytes.h
  return out + bytes;
}

}  // namespace

std::uint64_t RowSealer::Sum(Table table, ByteSpan key, ByteSpan body) const {
  return Checksum64Seeded(body, Checksum64Seeded(key, seed_ + table));
}

void RowSealer::Seal(Table table, ByteSpan key, Bytes* row) const {
  ByteWriter(row).U64(Sum(table, key, *row));
}

bool RowSealer::Open(Table table, ByteSpan key, ByteSpan value, ByteSpan* body) const {
  if (value.size() < kSumBytes) return false;
  *body = value.first(value.size() - kSumBytes);
  return Sum(table, key, *body) == LoadU64(value.data() + body->size());
}

std::uint64_t RowSealer::Link(ByteSpan key) const {
  std::uint64_t link = Checksum64Seeded(key, seed_ ^ 0x6c696e6b);
  return link != 0 ? link : 1;
}

ChunkValue EncodeChunkRow(const RowSealer& sealer, const ChunkRow& row) {
  ChunkValue value;
  std::byte* p = Put(value.bytes.data(), row.pack);
  p = Put(p, row.entry.offset, 6);
  p = Put(p, row.entry.stored_bytes);
  p = Put(p, row.entry.raw_bytes);
  p = Put(p, row.entry.codec);
  p = Put(p, row.entry.codec_param);
  if (!row.entry.base.IsZero()) {
    std::memcpy(p, row.entry.base.bytes.data(), kIdBytes);
    p += kIdBytes;
  }
  ByteSpan body(value.bytes.data(), p);
  Put(p, sealer.Sum(kChunks, IdSpan(row.entry.id), body));
  value.size = body.size() + RowSealer::kSumBytes;
  return value;
}

bool DecodeChunkRow(const RowSealer& sealer, const Id128& id, ByteSpan value, ChunkRow* row) {
  ByteSpan body;
  if (!sealer.Open(kChunks, IdSpan(id), value, &body)) return false;
  if (body.size() != kChunkBodyBytes && body.size() != kChunkBodyBytes + kIdBytes) return false;
  *row = ChunkRow{};
  row->pack = LoadU32(body.data());
  row->entry.id = id;
  std::memcpy(&row->entry.offset, body.data() + 4, 6);
  row->entry.stored_bytes = LoadU32(body.data() + 10);
  row->entry.raw_bytes = LoadU32(body.data() + 14);
  row->entry.codec = std::to_integer<std::uint8_t>(body[18]);
  row->entry.codec_param = std::to_integer<std::uint8_t>(body[19]);
  if (body.size() > kChunkBodyBytes) {
    std::memcpy(row->entry.base.bytes.data(), body.data() + kChunkBodyBytes, kIdBytes);
  }
  return true;
}

PackKey EncodePackKey(std::uint32_t number) {
  PackKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = std::byte(number >> (24 - 8 * i));
  return key;
}

Bytes EncodePackRow(const RowSealer& sealer, std::uint32_t number, const PackCoverage& coverage) {
  Bytes row;
  ByteWriter writer(&row);
  writer.Id(coverage.pack_id);
  writer.U64(coverage.covered_bytes);
  writer.U64(coverage.check_offset);
  writer.U64(coverage.check_checksum);
  sealer.Seal(kPacks, EncodePackKey(number), &row);
  return row;
}

bool DecodePackRow(const RowSealer& sealer, ByteSpan key, ByteSpan value, PackCoverage* coverage) {
  ByteSpan body;
  if (!sealer.Open(kPacks, key, value, &body)) return false;
  ByteReader reader(body);
  coverage->pack_id = reader.Id();
  coverage->covered_bytes = reader.U64();
  coverage->check_offset = reader.U64();
  coverage->check_checksum = reader.U64();
  return reader.Done();
}

Bytes EncodeNumberRow(const RowSealer& sealer, Table table, ByteSpan key, std::uint32_t number) {
  Bytes row;
  ByteWriter(&row).U32(number);
  sealer.Seal(table, key, &row);
  return row;
}

bool DecodeNumberRow(const RowSealer& sealer, Table table, ByteSpan key, ByteSpan value,
                     std::uint32_t* number) {
  ByteSpan body;
  if (!sealer.Open(table, key, value, &body)) return false;
  ByteReader reader(body);
  *number = reader.U32();
  return reader.Done();
}

Bytes RecordKey(ByteSpan key) {
  Bytes full;
  full.reserve(key.size() + 1);
  full.push_back(std::byte{1});
  full.insert(full.end(), key.begin(), key.end());
  return full;
}

void EncodeRecordRow(const RowSealer& sealer, ByteSpan key, const RecordRow& row, Bytes* out) {
  out->clear();
  out->reserve(row.value.size() + 20);
  ByteWriter writer(out);
  writer.U64(row.link);
  writer.U32(row.pack);
  writer.Raw(row.value);
  sealer.Seal(kRecords, key, out);
}

bool DecodeRecordRow(const RowSealer& sealer, ByteSpan key, ByteSpan value, RecordRow* row) {
  ByteSpan body;
  if (!sealer.Open(kRecords, key, value, &body) || body.size() < 12) return false;
  row->link = LoadU64(body.data());
  row->pack = LoadU32(body.data() + 8);
  row->value = body.subspan(12);
  return true;
}

Bytes EncodeIdentity(const IdentityRow& row) {
  Bytes out;
  ByteWriter writer(&out);
  writer.U32(row.schema);
  writer.U32(0);
  writer.Id(row.store_uuid);
  writer.Id(row.host);
  writer.U64(row.seed);
  RowSealer().Seal(kMeta, IdentityKey(), &out);
  return out;
}

bool DecodeIdentity(ByteSpan value, IdentityRow* row) {
  ByteSpan body;
  if (!RowSealer().Open(kMeta, IdentityKey(), value, &body)) return false;
  ByteReader reader(body);
  row->schema = reader.U32();
  reader.U32();
  row->store_uuid = reader.Id();
  row->host = reader.Id();
  row->seed = reader.U64();
  return reader.Done();
}

Status ValidateRecord(const IndexRecord& record) {
  if (record.key.empty() || record.key.size() > kRecordKeyBytesMax) {
    return InvalidArgument("index record: its key must have 1 to 400 bytes, not " +
                           std::to_string(record.key.size()));
  }
  if (record.value.size() > kRecordValueBytesMax) {
    return InvalidArgument("index record: its value must have at most 65536 bytes, not " +
                           std::to_string(record.value.size()));
  }
  return {};
}

Status ValidateChunk(const ChunkEntry& entry) {
  if (entry.offset < kOffsetLimit) return {};
  return InvalidArgument("index entry of chunk " + entry.id.ToHex() + ": offset " +
                         std::to_string(entry.offset) + " is above any pack's size");
}

bool DoesNotFit(const PackUpdate& update, std::uint64_t covered) {
  return covered != update.covered_before || update.coverage.covered_bytes < covered;
}

bool IsLeftOut(const PackUpdate& update, std::uint64_t covered) {
  if (!DoesNotFit(update, covered)) return false;
  return update.covered_before == 0 || covered < update.coverage.covered_bytes;
}

Status ValidateUpdate(const IndexUpdate& update) {
  for (const PackUpdate& pack : update.packs) {
    for (const ChunkEntry& entry : pack.chunks) CKPT_RETURN_IF_ERROR(ValidateChunk(entry));
    for (const IndexRecord& record : pack.records) CKPT_RETURN_IF_ERROR(ValidateRecord(record));
  }
  return {};
}

bool PrefixEnd(Bytes* prefix) {
  while (!prefix->empty() && prefix->back() == std::byte{0xff}) prefix->pop_back();
  if (prefix->empty()) return false;
  prefix->back() = std::byte(std::to_integer<unsigned>(prefix->back()) + 1);
  return true;
}

}  // namespace ckpt::index_internal
