// The smaller records: tombstones, attempts, damage, writers, acknowledgements, moves.

#include "store/base/check.h"
#include "store/manifest/manifest.h"
#include "store/manifest/record_coding.h"

namespace ckpt {
namespace {

constexpr std::size_t kIdBytes = 16;
constexpr std::size_t kRelianceBytes = 24;

Status CheckTombstone(const Tombstone& t) {
  CKPT_RETURN_IF_ERROR(CheckAttemptRef(t.attempt));
  CKPT_RETURN_IF_ERROR(ValidateSeriesName(t.series));
  CKPT_RETURN_IF_ERROR(CheckStep(t.step));
  return CheckAtMost(t.why, 1, "a tombstone's reason");
}

Status CheckAttempt(const AttemptRecord& a) {
  CKPT_RETURN_IF_ERROR(CheckAttemptRef(a.attempt));
  CKPT_RETURN_IF_ERROR(CheckParent(a.has_parent, a.parent_attempt, a.parent_step));
  CKPT_RETURN_IF_ERROR(ValidateSeriesName(a.series));
  CKPT_RETURN_IF_ERROR(CheckAtMost(a.job_id.size(), kShortStringMax, "bytes of the job id"));
  if (a.ranks == 0) return InvalidArgument("an attempt has at least one rank");
  return CheckAtMost(a.ranks, kRanksMax, "ranks");
}

}  // namespace

Status CheckParent(bool has_parent, const Id128& parent, std::int64_t parent_step) {
  if (has_parent) return CheckStep(parent_step);
  if (parent.IsZero() && parent_step == 0) return {};
  return InvalidArgument("a parent is named, but the attempt is said to have none");
}

Status CheckAttemptRef(const AttemptRef& attempt) {
  if (attempt.ordinal != 0) return {};
  return InvalidArgument("ordinals of attempts begin with 1");
}

Status CheckStep(std::int64_t step) {
  if (step >= 0 && step <= kStepMax) return {};
  return InvalidArgument("step " + std::to_string(step) + " is not within 0 ... 2^62");
}

Result<Bytes> EncodeTombstone(const Tombstone& tombstone) {
  CKPT_RETURN_IF_ERROR(CheckTombstone(tombstone));
  Bytes payload;
  ByteWriter out(&payload);
  out.U16(kRecordVersion);
  out.Id(tombstone.attempt.id);
  out.U64(tombstone.attempt.ordinal);
  out.String(tombstone.series);
  out.I64(tombstone.step);
  out.I64(tombstone.time_ns);
  out.U8(tombstone.why);
  return payload;
}

Result<Tombstone> DecodeTombstone(ByteSpan payload) {
  ByteReader in(payload);
  CKPT_RETURN_IF_ERROR(ReadRecordVersion(&in, "tombstone"));
  Tombstone t;
  t.attempt.id = in.Id();
  t.attempt.ordinal = in.U64();
  t.series = in.String(kSeriesStringMax);
  t.step = in.I64();
  t.time_ns = in.I64();
  t.why = in.U8();
  CKPT_RETURN_IF_ERROR(CheckRecordDone(in, "tombstone"));
  CKPT_RETURN_IF_ERROR(AsCorruption(CheckTombstone(t), "tombstone"));
  return t;
}

Result<Bytes> EncodeAttempt(const AttemptRecord& attempt) {
  CKPT_RETURN_IF_ERROR(CheckAttempt(attempt));
  Bytes payload;
  ByteWriter out(&payload);
  out.U16(kRecordVersion);
  out.U16(attempt.has_parent ? kFlagHasParent : 0);
  out.Id(attempt.attempt.id);
  out.U64(attempt.attempt.ordinal);
  out.Id(attempt.parent_attempt);
  out.I64(attempt.parent_step);
  out.String(attempt.series);
  out.I64(attempt.time_ns);
  out.Id(attempt.host);
  out.String(attempt.job_id);
  out.U32(attempt.ranks);
  return payload;
}

Result<AttemptRecord> DecodeAttempt(ByteSpan payload) {
  ByteReader in(payload);
  CKPT_RETURN_IF_ERROR(ReadRecordVersion(&in, "attempt"));
  AttemptRecord a;
  std::uint16_t flags = in.U16();
  if (flags & ~kFlagHasParent) in.Fail();
  a.has_parent = (flags & kFlagHasParent) != 0;
  a.attempt.id = in.Id();
  a.attempt.ordinal = in.U64();
  a.parent_attempt = in.Id();
  a.parent_step = in.I64();
  a.series = in.String(kSeriesStringMax);
  a.time_ns = in.I64();
  a.host = in.Id();
  a.job_id = in.String(kShortStringMax);
  a.ranks = in.U32();
  CKPT_RETURN_IF_ERROR(CheckRecordDone(in, "attempt"));
  CKPT_RETURN_IF_ERROR(AsCorruption(CheckAttempt(a), "attempt"));
  return a;
}

Bytes EncodeDamage(const DamageRecord& damage) {
  CKPT_CHECK(damage.kind <= DamageRecord::kHollow, "a kind that readers know");
  Bytes payload;
  ByteWriter out(&payload);
  out.U16(kRecordVersion);
  out.U8(damage.kind);
  out.Id(damage.pack_id);
  out.U64(damage.offset);
  out.Id(damage.chunk);
  out.I64(damage.time_ns);
  return payload;
}

Result<DamageRecord> DecodeDamage(ByteSpan payload) {
  ByteReader in(payload);
  CKPT_RETURN_IF_ERROR(ReadRecordVersion(&in, "damage record"));
  DamageRecord d;
  d.kind = in.U8();
  if (d.kind > DamageRecord::kHollow) in.Fail();
  d.pack_id = in.Id();
  d.offset = in.U64();
  d.chunk = in.Id();
  d.time_ns = in.I64();
  CKPT_RETURN_IF_ERROR(CheckRecordDone(in, "damage record"));
  return d;
}

Result<Bytes> EncodeWriter(const WriterRecord& writer) {
  CKPT_RETURN_IF_ERROR(CheckAtMost(writer.job_id.size(), kShortStringMax, "bytes of the job id"));
  Bytes payload;
  ByteWriter out(&payload);
  out.U16(kRecordVersion);
  out.String(writer.job_id);
  out.U32(writer.restarts);
  return payload;
}

Result<WriterRecord> DecodeWriter(ByteSpan payload) {
  ByteReader in(payload);
  CKPT_RETURN_IF_ERROR(ReadRecordVersion(&in, "writer record"));
  WriterRecord writer;
  writer.job_id = in.String(kShortStringMax);
  writer.restarts = in.U32();
  CKPT_RETURN_IF_ERROR(CheckRecordDone(in, "writer record"));
  return writer;
}

Bytes EncodeAck(const AckRecord& ack) {
  CKPT_CHECK(ack.claimed.size() <= kAckClaimsMax, "a condemned list has fewer packs");
  Bytes payload;
  ByteWriter out(&payload);
  out.U16(kRecordVersion);
  out.U64(ack.epoch);
  out.U32(static_cast<std::uint32_t>(ack.claimed.size()));
  for (const Id128& pack : ack.claimed) out.Id(pack);
  return payload;
}

Result<AckRecord> DecodeAck(ByteSpan payload) {
  ByteReader in(payload);
  CKPT_RETURN_IF_ERROR(ReadRecordVersion(&in, "acknowledgement"));
  AckRecord ack;
  ack.epoch = in.U64();
  std::uint32_t count = in.U32();
  if (count > kAckClaimsMax || count > in.remaining() / kIdBytes) in.Fail();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) ack.claimed.push_back(in.Id());
  CKPT_RETURN_IF_ERROR(CheckRecordDone(in, "acknowledgement"));
  return ack;
}

Bytes EncodeMoved(const MovedRecord& moved) {
  CKPT_CHECK(moved.to.size() <= kMovedTargetsMax, "one collection writes fewer packs");
  Bytes payload;
  ByteWriter out(&payload);
  out.U16(kRecordVersion);
  out.U64(moved.epoch);
  out.Id(moved.from);
  out.U32(static_cast<std::uint32_t>(moved.to.size()));
  for (const PackReliance& pack : moved.to) {
    out.Id(pack.pack_id);
    out.U64(pack.up_to);
  }
  return payload;
}

Result<MovedRecord> DecodeMoved(ByteSpan payload) {
  ByteReader in(payload);
  CKPT_RETURN_IF_ERROR(ReadRecordVersion(&in, "moved record"));
  MovedRecord moved;
  moved.epoch = in.U64();
  moved.from = in.Id();
  std::uint32_t count = in.U32();
  if (count > kMovedTargetsMax || count > in.remaining() / kRelianceBytes) in.Fail();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    Id128 pack_id = in.Id();
    moved.to.push_back({pack_id, in.U64()});
  }
  CKPT_RETURN_IF_ERROR(CheckRecordDone(in, "moved record"));
  return moved;
}

}  // namespace ckpt
