#include "store/engine/delta_base.h"

#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr unsigned kInVainMost = 16;
constexpr unsigned kTryOneIn = 16;
// A smaller delta is no reason for a new base, whatever it grew by.
constexpr std::uint64_t kNewBaseLeast = 32;

bool ReadRaw(Store* store, const ChunkPlace& place, ByteSpan base, ChunkEncoder* scratch,
             Bytes* raw) {
  const ChunkEntry& e = place.entry;
  auto view = store->packs()->Get(place.pack_id);
  if (!view.ok()) return false;
  scratch->stored.resize(e.stored_bytes);
  raw->resize(e.raw_bytes);
  return (*view)->reader().ReadRaw(e.offset + kRecordHeaderBytes, scratch->stored).ok() &&
         scratch->decoder.Decode(e.codec, e.codec_param, scratch->stored, *raw, base).ok() &&
         HashChunk(*raw) == e.id;
}

}  // namespace

std::optional<WholeChunk> FindWhole(Store* store, const Id128& id, bool* known) {
  const auto find = [store](const Id128& wanted, bool* is_known) {
    auto place = store->FindDurable(wanted, is_known);
    return place.has_value() ? place : store->FindInHollow(wanted);
  };
  const auto place = find(id, known);
  if (!place.has_value()) return std::nullopt;
  WholeChunk found{*place, std::nullopt};
  if (!IsDeltaCodec(place->entry.codec)) return found;
  found.base = find(place->entry.base, nullptr);
  found.reads = found.base.has_value() && !IsDeltaCodec(found.base->entry.codec);
  return found;
}

std::optional<DeltaBase> FindDeltaBase(Store* store, const Id128& before, std::size_t raw_bytes) {
  auto place = store->FindDurable(before);
  if (!place.has_value()) return std::nullopt;
  DeltaBase base{*place, std::nullopt};
  if (IsDeltaCodec(base.place.entry.codec)) {
    base.before = place;
    place = store->FindDurable(base.place.entry.base);
    if (!place.has_value()) return std::nullopt;
    base.place = *place;
  }
  const ChunkEntry& entry = base.place.entry;
  if (IsDeltaCodec(entry.codec) || entry.raw_bytes != raw_bytes) return std::nullopt;
  return base;
}

bool ReadDeltaBase(Store* store, const ChunkPlace& place, ChunkEncoder* scratch) {
  return ReadRaw(store, place, {}, scratch, &scratch->base);
}

bool ReadDeltaBefore(Store* store, const ChunkPlace& place, ChunkEncoder* scratch) {
  return ReadRaw(store, place, scratch->base, scratch, &scratch->before);
}

std::uint64_t DeltaBytesThatPay(const EffortRule& rule, std::uint64_t full_bytes) {
  return static_cast<std::uint64_t>(rule.delta_most * static_cast<double>(full_bytes));
}

bool NewBaseIsDue(std::uint64_t bytes, std::uint64_t before_bytes, std::uint64_t full_bytes) {
  if (bytes <= before_bytes || before_bytes == 0 || bytes < full_bytes / kNewBaseLeast)
    return false;
  const double delta = static_cast<double>(bytes);
  const double growth = static_cast<double>(bytes - before_bytes);
  return delta * delta > 2 * growth * static_cast<double>(full_bytes);
}

bool DeltaGate::WorthTrying() {
  if (in_vain_.load(std::memory_order_relaxed) < kInVainMost) return true;
  return passed_over_.fetch_add(1, std::memory_order_relaxed) % kTryOneIn == kTryOneIn - 1;
}

void DeltaGate::Tried(bool paid) {
  if (paid) {
    in_vain_.store(0, std::memory_order_relaxed);
  } else {
    in_vain_.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace ckpt
