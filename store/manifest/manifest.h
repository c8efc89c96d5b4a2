// The records that say what exists: manifests, tombstones, attempts, damage, acknowledgements,
// moves. Encoding and decoding of their payloads (docs/format.md), with every bound checked (I8).
// Thread rule: values and pure functions.

#ifndef CKPT_STORE_MANIFEST_MANIFEST_H_
#define CKPT_STORE_MANIFEST_MANIFEST_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/manifest/tree.h"

namespace ckpt {

struct AttemptRef {
  Id128 id;
  std::uint64_t ordinal = 0;
  bool operator==(const AttemptRef&) const = default;
  // The order of attempts: by ordinal, then id.
  auto operator<=>(const AttemptRef& other) const {
    return std::tie(ordinal, id) <=> std::tie(other.ordinal, other.id);
  }
};

struct PackReliance {
  Id128 pack_id;
  std::uint64_t up_to = 0;
  bool operator==(const PackReliance&) const = default;
};

struct Manifest {
  std::string series;
  AttemptRef attempt;
  bool has_parent = false;
  Id128 parent_attempt;
  std::int64_t parent_step = 0;
  std::int64_t step = 0;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  std::int64_t created_ns = 0;
  Id128 host;
  std::string host_name;
  std::string job_id;
  std::uint64_t logical_bytes = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t new_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t chunks = 0;
  std::uint64_t new_chunks = 0;
  std::uint64_t entries = 0;
  std::uint64_t files = 0;
  std::vector<std::pair<std::string, std::string>> tags;
  TreeRef entry_table;
  std::vector<PackReliance> packs;
  std::vector<std::pair<std::uint16_t, Bytes>> extensions;
  bool operator==(const Manifest&) const = default;
};
// InvalidArgument when a field is outside the format's limits.
Result<Bytes> EncodeManifest(const Manifest& manifest);
// Every Decode here answers Corruption for what could not have been encoded, and Unsupported for a
// record version this build does not know (I11).
Result<Manifest> DecodeManifest(ByteSpan payload);

struct Tombstone {
  AttemptRef attempt;
  std::string series;
  std::int64_t step = 0;
  std::int64_t time_ns = 0;
  std::uint8_t why = 0;  // 0 rm, 1 retention
  bool operator==(const Tombstone&) const = default;
};
Result<Bytes> EncodeTombstone(const Tombstone& tombstone);
Result<Tombstone> DecodeTombstone(ByteSpan payload);

struct AttemptRecord {
  AttemptRef attempt;
  bool has_parent = false;
  Id128 parent_attempt;
  std::int64_t parent_step = 0;
  std::string series;
  std::int64_t time_ns = 0;
  Id128 host;
  std::string job_id;
  std::uint32_t ranks = 1;
  bool operator==(const AttemptRecord&) const = default;
};
Result<Bytes> EncodeAttempt(const AttemptRecord& attempt);
Result<AttemptRecord> DecodeAttempt(ByteSpan payload);

struct DamageRecord {
  static constexpr std::uint8_t kFound = 0;
  static constexpr std::uint8_t kHealed = 1;
  // A whole pack (offset 0, no chunk): the space of chunks nobody needed was given back where they
  // lay. What is needed in it is as good as ever; nobody may begin to rely on the rest.
  static constexpr std::uint8_t kHollow = 2;
  std::uint8_t kind = kFound;
  Id128 pack_id;
  std::uint64_t offset = 0;
  Id128 chunk;
  std::int64_t time_ns = 0;
  bool operator==(const DamageRecord&) const = default;
};
Bytes EncodeDamage(const DamageRecord& damage);
Result<DamageRecord> DecodeDamage(ByteSpan payload);

// Whose records follow: the scheduler's job, and how often that had been started over (a requeued
// job keeps its id). The writer is the one whose writer id the record's header has.
struct WriterRecord {
  std::string job_id;
  std::uint32_t restarts = 0;
  bool operator==(const WriterRecord&) const = default;
};
Result<Bytes> EncodeWriter(const WriterRecord& writer);
Result<WriterRecord> DecodeWriter(ByteSpan payload);

struct AckRecord {
  std::uint64_t epoch = 0;
  std::vector<Id128> claimed;
  bool operator==(const AckRecord&) const = default;
};
constexpr std::size_t kAckClaimsMax = 65535;  // what a payload of 1 MiB holds
// REQUIRES: at most kAckClaimsMax ids (a condemned list has fewer).
Bytes EncodeAck(const AckRecord& ack);
Result<AckRecord> DecodeAck(ByteSpan payload);

struct MovedRecord {
  std::uint64_t epoch = 0;
  Id128 from;
  std::vector<PackReliance> to;
  bool operator==(const MovedRecord&) const = default;
};
constexpr std::size_t kMovedTargetsMax = 43689;  // what a payload of 1 MiB holds
// REQUIRES: at most kMovedTargetsMax packs.
Bytes EncodeMoved(const MovedRecord& moved);
Result<MovedRecord> DecodeMoved(ByteSpan payload);

// Names (docs/format.md, "Names"). The message says what is wrong and what would do.
Status ValidateSeriesName(std::string_view series);
Status ValidateEntryName(std::string_view name);
// A name as messages show it: control bytes as \xNN, cut after 120 bytes.
std::string ShownName(std::string_view name);

}  // namespace ckpt

#endif  // CKPT_STORE_MANIFEST_MANIFEST_H_
