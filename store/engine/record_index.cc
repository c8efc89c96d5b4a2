#include "store/engine/record_index.h"

namespace ckpt {
namespace {

// Values: u8 flags, u64 offset; for checkpoints u32 ranks, parent id, i64 parent step; payload.
constexpr std::uint8_t kStaged = 1;
constexpr std::uint8_t kHasParent = 2;
constexpr std::size_t kValueFixedBytes = 9;
constexpr std::size_t kCheckpointFixedBytes = kValueFixedBytes + 4 + 16 + 8;
constexpr std::size_t kValueBytesMax = 60000;

void BigEndian64(std::uint64_t v, Bytes* out) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<std::byte>(v >> shift));
}

std::uint64_t LoadBigEndian(ByteSpan bytes) {
  std::uint64_t v = 0;
  for (std::byte b : bytes) v = v << 8 | std::to_integer<std::uint64_t>(b);
  return v;
}

// Steps are never negative, so they sort as unsigned numbers do.
void AppendAttempt(const AttemptRef& attempt, Bytes* out) {
  BigEndian64(attempt.ordinal, out);
  ByteWriter(out).Id(attempt.id);
}

AttemptRef LoadAttempt(ByteSpan bytes) {
  AttemptRef attempt;
  attempt.ordinal = LoadBigEndian(bytes.first(8));
  std::memcpy(attempt.id.bytes.data(), bytes.data() + 8, 16);
  return attempt;
}

Bytes AttemptKey(const AttemptRecord& attempt) {
  Bytes key = SeriesPrefix('A', attempt.series);
  AppendAttempt(attempt.attempt, &key);
  return key;
}

Bytes PlainValue(std::uint64_t offset, bool staged, ByteSpan payload) {
  Bytes value;
  ByteWriter w(&value);
  w.U8(staged ? kStaged : 0);
  w.U64(offset);
  w.Raw(payload);
  return value;
}

Result<IndexRecord> CheckpointRecord(std::uint64_t offset, bool staged, ByteSpan payload) {
  CKPT_ASSIGN_OR_RETURN(Manifest m, DecodeManifest(payload));
  IndexRecord record{CheckpointKey(m), {}};
  ByteWriter w(&record.value);
  w.U8(static_cast<std::uint8_t>((staged ? kStaged : 0) | (m.has_parent ? kHasParent : 0)));
  w.U64(offset);
  w.U32(m.ranks);
  w.Id(m.parent_attempt);
  w.I64(m.parent_step);
  m.packs.clear();
  m.extensions.clear();
  CKPT_ASSIGN_OR_RETURN(Bytes summary, EncodeManifest(m));
  if (summary.size() > kValueBytesMax) {
    m.tags.clear();  // listings show them from here only; `inspect` reads the record itself
    CKPT_ASSIGN_OR_RETURN(summary, EncodeManifest(m));
  }
  w.Raw(summary);
  return record;
}

}  // namespace

Bytes SeriesPrefix(char kind, std::string_view series) {
  Bytes key;
  key.push_back(static_cast<std::byte>(kind));
  if (series.empty()) return key;
  ByteWriter w(&key);
  w.Raw(AsBytes(series));
  w.U8(0);
  return key;
}

Bytes CheckpointKey(const CheckpointRow& row) {
  Bytes key = SeriesPrefix('M', row.series);
  AppendAttempt(row.attempt, &key);
  BigEndian64(static_cast<std::uint64_t>(row.step), &key);
  for (int shift = 24; shift >= 0; shift -= 8)
    key.push_back(static_cast<std::byte>(row.rank >> shift));
  return key;
}

Bytes CheckpointKey(const Manifest& m) {
  CheckpointRow row;
  row.series = m.series;
  row.attempt = m.attempt;
  row.step = m.step;
  row.rank = m.rank;
  return CheckpointKey(row);
}

Bytes TombstoneKey(const Tombstone& t) {
  Bytes key = SeriesPrefix('T', t.series);
  AppendAttempt(t.attempt, &key);
  BigEndian64(static_cast<std::uint64_t>(t.step), &key);
  return key;
}

Bytes DamageKey(const DamageRecord& damage) {
  Bytes key{static_cast<std::byte>('D')};
  ByteWriter(&key).Id(damage.pack_id);
  BigEndian64(damage.offset, &key);
  BigEndian64(static_cast<std::uint64_t>(damage.time_ns), &key);
  return key;
}

Bytes MovedKey(const Id128& pack_id) {
  Bytes key{static_cast<std::byte>('V')};
  ByteWriter(&key).Id(pack_id);
  return key;
}

Result<std::optional<IndexRecord>> MakeIndexRecord(RecordType type, std::uint64_t offset,
                                                   bool staged, ByteSpan payload) {
  Bytes key;
  switch (type) {
    case RecordType::kManifest: {
      CKPT_ASSIGN_OR_RETURN(IndexRecord record, CheckpointRecord(offset, staged, payload));
      return std::optional<IndexRecord>(std::move(record));
    }
    case RecordType::kTombstone: {
      CKPT_ASSIGN_OR_RETURN(Tombstone t, DecodeTombstone(payload));
      key = TombstoneKey(t);
      break;
    }
    case RecordType::kAttempt: {
      CKPT_ASSIGN_OR_RETURN(AttemptRecord a, DecodeAttempt(payload));
      key = AttemptKey(a);
      break;
    }
    case RecordType::kDamage: {
      CKPT_ASSIGN_OR_RETURN(DamageRecord d, DecodeDamage(payload));
      key = DamageKey(d);
      break;
    }
    case RecordType::kMoved: {
      CKPT_ASSIGN_OR_RETURN(MovedRecord v, DecodeMoved(payload));
      key = MovedKey(v.from);
      BigEndian64(v.epoch, &key);
      break;
    }
    default:
      return std::optional<IndexRecord>();
  }
  return std::optional<IndexRecord>(
      IndexRecord{std::move(key), PlainValue(offset, staged, payload)});
}

std::string_view SeriesOfKey(ByteSpan key) {
  if (key.empty()) return {};
  std::string_view text = AsText(key.subspan(1));
  std::size_t end = text.find('\0');
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end);
}

Result<CheckpointRow> ParseCheckpoint(ByteSpan key, ByteSpan value, const Id128& pack_id) {
  std::size_t fixed = 2 + SeriesOfKey(key).size();
  if (key.size() != fixed + 24 + 8 + 4 || value.size() < kCheckpointFixedBytes) {
    return Corruption("index: a checkpoint's row has the wrong size");
  }
  CheckpointRow row;
  row.series = SeriesOfKey(key);
  row.attempt = LoadAttempt(key.subspan(fixed));
  row.step = static_cast<std::int64_t>(LoadBigEndian(key.subspan(fixed + 24, 8)));
  row.rank = static_cast<std::uint32_t>(LoadBigEndian(key.subspan(fixed + 32, 4)));
  ByteReader r(value);
  std::uint8_t flags = r.U8();
  row.staged = (flags & kStaged) != 0;
  row.has_parent = (flags & kHasParent) != 0;
  row.offset = r.U64();
  row.ranks = r.U32();
  row.parent_attempt = r.Id();
  row.parent_step = r.I64();
  row.pack_id = pack_id;
  return row;
}

Result<Manifest> ParseCheckpointSummary(ByteSpan value) {
  if (value.size() < kCheckpointFixedBytes) return Corruption("index: a checkpoint's row is short");
  return DecodeManifest(value.subspan(kCheckpointFixedBytes));
}

Result<RemovedStep> ParseTombstoneKey(ByteSpan key) {
  std::size_t fixed = 2 + SeriesOfKey(key).size();
  if (key.size() != fixed + 24 + 8)
    return Corruption("index: a tombstone's key has the wrong size");
  RemovedStep removed;
  removed.attempt = LoadAttempt(key.subspan(fixed));
  removed.step = static_cast<std::int64_t>(LoadBigEndian(key.subspan(fixed + 24, 8)));
  return removed;
}

ByteSpan PayloadOfValue(ByteSpan value) {
  return value.size() < kValueFixedBytes ? ByteSpan() : value.subspan(kValueFixedBytes);
}

bool IsStagedValue(ByteSpan value) {
  return !value.empty() && (std::to_integer<std::uint8_t>(value[0]) & kStaged) != 0;
}

std::uint64_t OffsetOfValue(ByteSpan value) {
  return value.size() < kValueFixedBytes ? 0 : LoadU64(value.data() + 1);
}

}  // namespace ckpt
