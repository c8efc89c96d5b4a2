// How manifests, tombstones and the like are kept in the index: keys that sort as listings need
// them, values that can be read without decoding all of a manifest.
//
//   'M' series 0 ordinal attempt step rank   -> a checkpoint
//   'T' series 0 ordinal attempt step        -> a tombstone
//   'A' series 0 ordinal attempt             -> an attempt
//   'D' pack offset time                     -> damage found or found sound; the latest counts
//   'V' pack epoch                           -> moved (from that pack); the highest epoch counts
//
// Numbers in keys are big-endian, so that byte order is their order.
// Thread rule: values and pure functions.

#ifndef CKPT_STORE_ENGINE_RECORD_INDEX_H_
#define CKPT_STORE_ENGINE_RECORD_INDEX_H_

#include <optional>
#include <string>

#include "store/index/index.h"
#include "store/manifest/manifest.h"
#include "store/pack/format.h"

namespace ckpt {

// What every listing needs of a checkpoint, cheap to decode.
struct CheckpointRow {
  std::string series;
  AttemptRef attempt;
  std::int64_t step = 0;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  bool has_parent = false;
  Id128 parent_attempt;
  std::int64_t parent_step = 0;
  bool staged = false;  // in an unmarked tail
  Id128 pack_id;        // where its manifest is
  std::uint64_t offset = 0;
};

Bytes SeriesPrefix(char kind, std::string_view series);
Bytes CheckpointKey(const Manifest& manifest);
Bytes CheckpointKey(const CheckpointRow& row);
Bytes TombstoneKey(const Tombstone& tombstone);
Bytes DamageKey(const DamageRecord& damage);
Bytes MovedKey(const Id128& pack_id);  // the prefix of all epochs' rows

// The index's form of a record; nullopt for types that are not indexed (acknowledgements). A
// payload that does not decode is Corruption.
Result<std::optional<IndexRecord>> MakeIndexRecord(RecordType type, std::uint64_t offset,
                                                   bool staged, ByteSpan payload);

// The series in a key of kind 'M', 'T' or 'A'; empty when it is none.
std::string_view SeriesOfKey(ByteSpan key);
Result<CheckpointRow> ParseCheckpoint(ByteSpan key, ByteSpan value, const Id128& pack_id);
// The manifest kept in the value, without its packs and its extensions.
Result<Manifest> ParseCheckpointSummary(ByteSpan value);
// (attempt, step) of a tombstone's key.
struct RemovedStep {
  AttemptRef attempt;
  std::int64_t step = 0;
};
Result<RemovedStep> ParseTombstoneKey(ByteSpan key);
// The record's own payload, for kinds 'T', 'A', 'D', 'V'.
ByteSpan PayloadOfValue(ByteSpan value);
std::uint64_t OffsetOfValue(ByteSpan value);
bool IsStagedValue(ByteSpan value);  // the record is in an unmarked tail

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_RECORD_INDEX_H_
