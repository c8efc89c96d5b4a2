#include "store/index/memory_index.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "store/index/index_rows.h"

namespace ckpt {
namespace {

constexpr std::uint32_t kNone = 0xffffffff;

// Open addressing with linear probing; an empty slot has pack kNone. Growing by half keeps it
// between 57 and 85 % full: 56 to 84 bytes a chunk.
class ChunkTable {
 public:
  struct Slot {
    Id128 id;
    std::uint64_t offset = 0;
    std::uint32_t pack = kNone;
    std::uint32_t stored_bytes = 0;
    std::uint32_t raw_bytes = 0;
    std::uint32_t base = 0;  // its place among the bases + 1
    std::uint8_t codec = 0;
    std::uint8_t codec_param = 0;
  };

  Slot* Find(const Id128& id) {
    if (slots_.empty()) return nullptr;
    Slot* slot = Probe(id);
    return slot->pack == kNone ? nullptr : slot;
  }
  // The slot of `id`, fresh (pack kNone) when it is new: the caller fills it.
  Slot* FindOrAdd(const Id128& id) {
    if ((used_ + 1) * 20 > slots_.size() * 17) Grow();
    Slot* slot = Probe(id);
    if (slot->pack == kNone) {
      ++used_;
      slot->id = id;
    }
    return slot;
  }
  void Erase(Slot* slot);
  std::size_t used() const { return used_; }
  std::size_t bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  std::size_t Home(const Id128& id) const {
    auto wide = static_cast<unsigned __int128>(Id128Hash()(id)) * slots_.size();
    return static_cast<std::size_t>(wide >> 64);
  }
  std::size_t Next(std::size_t at) const { return at + 1 == slots_.size() ? 0 : at + 1; }
  Slot* Probe(const Id128& id) {
    std::size_t at = Home(id);
    while (slots_[at].pack != kNone && slots_[at].id != id) at = Next(at);
    return &slots_[at];
  }
  void Grow();

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};
static_assert(sizeof(ChunkTable::Slot) == 48);

void ChunkTable::Grow() {
  std::vector<Slot> old(std::max<std::size_t>(16, slots_.size() + slots_.size() / 2));
  old.swap(slots_);
  for (const Slot& slot : old) {
    if (slot.pack != kNone) *Probe(slot.id) = slot;
  }
}

// Moves back what the freed slot kept away from its home, so that no probe ends early.
void ChunkTable::Erase(Slot* slot) {
  std::size_t hole = static_cast<std::size_t>(slot - slots_.data());
  std::size_t at = hole;
  for (;;) {
    at = Next(at);
    if (slots_[at].pack == kNone) break;
    std::size_t home = Home(slots_[at].id);
    bool reachable = hole <= at ? (hole < home && home <= at) : (hole < home || home <= at);
    if (reachable) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = Slot{};
  --used_;
}

class MemoryIndex final : public Index {
 public:
  Result<std::vector<PackCoverage>> Packs() override;
  Result<std::optional<ChunkPlace>> FindChunk(const Id128& id) override;
  Status ScanRecords(ByteSpan prefix, bool reverse, const RecordVisitor& fn) override;
  Result<bool> Publish(const IndexUpdate& update) override;
  Result<IndexStats> Stats() override;

 private:
  static constexpr std::size_t kShards = 64;  // so that growing moves little at a time
  static constexpr std::size_t kBatch = 1024;
  using Key = std::string;  // ordered as unsigned bytes
  struct Record {
    std::uint32_t pack = 0;
    Bytes value;
  };
  struct Copy {
    Key key;
    Bytes value;
    Id128 pack;
  };

  ChunkTable& Shard(const Id128& id) { return shards_[id.bytes[0] % kShards]; }
  bool Present(std::uint32_t pack) const { return packs_[pack].covered_bytes != 0; }
  void DropPack(const Id128& pack_id, std::unordered_set<std::uint32_t>* dropped);
  std::uint64_t Covered(const PackUpdate& update) const;
  void Apply(const PackUpdate& update);
  void Fill(std::uint32_t pack, const PackUpdate& update);
  void PutChunk(std::uint32_t pack, const ChunkEntry& entry);
  std::uint32_t BaseNumber(const Id128& base);
  std::vector<Copy> CopyBatch(const Key& prefix, bool reverse, const std::optional<Key>& after);

  std::shared_mutex mutex_;          // guards what follows
  std::vector<PackCoverage> packs_;  // by number; covered_bytes 0: dropped, never used again
  std::unordered_map<Id128, std::uint32_t, Id128Hash> numbers_;
  std::array<ChunkTable, kShards> shards_;
  std::vector<Id128> bases_;
  std::unordered_map<Id128, std::uint32_t, Id128Hash> base_numbers_;
  std::map<Key, Record> records_;
  std::size_t record_bytes_ = 0;
};

Result<std::vector<PackCoverage>> MemoryIndex::Packs() {
  std::shared_lock lock(mutex_);
  std::vector<PackCoverage> packs;
  for (const auto& [id, number] : numbers_) packs.push_back(packs_[number]);
  std::ranges::sort(packs, {}, &PackCoverage::pack_id);
  return packs;
}

Result<std::optional<ChunkPlace>> MemoryIndex::FindChunk(const Id128& id) {
  std::shared_lock lock(mutex_);
  const ChunkTable::Slot* slot = Shard(id).Find(id);
  if (slot == nullptr || slot->offset >= packs_[slot->pack].covered_bytes) {
    return std::optional<ChunkPlace>();
  }
  ChunkPlace place;
  place.pack_id = packs_[slot->pack].pack_id;
  place.entry = {.id = id,
                 .offset = slot->offset,
                 .stored_bytes = slot->stored_bytes,
                 .raw_bytes = slot->raw_bytes,
                 .codec = slot->codec,
                 .codec_param = slot->codec_param,
                 .base = {}};
  if (slot->base != 0) place.entry.base = bases_[slot->base - 1];
  return std::optional<ChunkPlace>(place);
}

// In copied batches, so that the visitor may take its time, and may call this index.
Status MemoryIndex::ScanRecords(ByteSpan prefix, bool reverse, const RecordVisitor& fn) {
  Key text(AsText(prefix));
  std::optional<Key> after;
  for (;;) {
    std::vector<Copy> batch = CopyBatch(text, reverse, after);
    for (const Copy& copy : batch) {
      if (!fn(AsBytes(copy.key), copy.value, copy.pack)) return {};
    }
    if (batch.size() < kBatch) return {};
    after = std::move(batch.back().key);
  }
}

std::vector<MemoryIndex::Copy> MemoryIndex::CopyBatch(const Key& prefix, bool reverse,
                                                      const std::optional<Key>& after) {
  std::shared_lock lock(mutex_);
  std::vector<Copy> batch;
  auto take = [&](const auto& item) {
    if (!item.first.starts_with(prefix) || batch.size() == kBatch) return false;
    batch.push_back({item.first, item.second.value, packs_[item.second.pack].pack_id});
    return true;
  };
  if (!reverse) {
    auto at = after ? records_.upper_bound(*after) : records_.lower_bound(prefix);
    while (at != records_.end() && take(*at)) ++at;
    return batch;
  }
  Bytes end(AsBytes(prefix).begin(), AsBytes(prefix).end());
  bool bounded = index_internal::PrefixEnd(&end);
  auto at = after     ? records_.lower_bound(*after)
            : bounded ? records_.lower_bound(Key(AsText(end)))
                      : records_.end();
  while (at != records_.begin() && take(*std::prev(at))) --at;
  return batch;
}

Result<bool> MemoryIndex::Publish(const IndexUpdate& update) {
  CKPT_RETURN_IF_ERROR(index_internal::ValidateUpdate(update));
  std::lock_guard lock(mutex_);
  std::unordered_set<std::uint32_t> dropped;
  for (const Id128& pack_id : update.dropped_packs) DropPack(pack_id, &dropped);
  for (const PackUpdate& pack : update.packs) {
    const bool replaced = !pack.replaces_bytes || Covered(pack) == *pack.replaces_bytes;
    if (pack.covered_before == 0 && replaced) DropPack(pack.coverage.pack_id, &dropped);
  }
  if (!dropped.empty()) {
    std::erase_if(records_, [&](const auto& item) {
      if (!dropped.contains(item.second.pack)) return false;
      record_bytes_ -= item.first.size() + item.second.value.size();
      return true;
    });
  }
  for (const Id128& id : update.dropped_chunks) {
    ChunkTable::Slot* slot = Shard(id).Find(id);
    if (slot != nullptr && !Present(slot->pack)) Shard(id).Erase(slot);
  }
  bool left_out = false;
  for (const PackUpdate& pack : update.packs) {
    if (std::ranges::find(update.dropped_packs, pack.coverage.pack_id) ==
        update.dropped_packs.end()) {
      left_out = left_out || index_internal::IsLeftOut(pack, Covered(pack));
      Apply(pack);
    }
  }
  return !left_out;
}

std::uint64_t MemoryIndex::Covered(const PackUpdate& update) const {
  auto at = numbers_.find(update.coverage.pack_id);
  return at == numbers_.end() ? 0 : packs_[at->second].covered_bytes;
}

void MemoryIndex::DropPack(const Id128& pack_id, std::unordered_set<std::uint32_t>* dropped) {
  auto at = numbers_.find(pack_id);
  if (at == numbers_.end()) return;
  packs_[at->second] = PackCoverage{};
  dropped->insert(at->second);
  numbers_.erase(at);
}

void MemoryIndex::Apply(const PackUpdate& update) {
  if (index_internal::DoesNotFit(update, Covered(update))) return;
  if (update.coverage.covered_bytes == 0) return;
  auto at = numbers_.find(update.coverage.pack_id);
  if (at == numbers_.end()) {
    packs_.emplace_back();  // before it has a number: memory may run out in between
    const auto number = static_cast<std::uint32_t>(packs_.size() - 1);
    at = numbers_.emplace(update.coverage.pack_id, number).first;
  }
  const std::uint32_t number = at->second;
  try {
    Fill(number, update);
  } catch (const std::bad_alloc&) {  // a part of it would pass for all (I4)
    numbers_.erase(update.coverage.pack_id);
    packs_[number] = PackCoverage{};
    std::erase_if(records_, [&](const auto& item) { return item.second.pack == number; });
    throw;
  }
}

void MemoryIndex::Fill(std::uint32_t pack, const PackUpdate& update) {
  packs_[pack] = update.coverage;
  for (const ChunkEntry& entry : update.chunks) PutChunk(pack, entry);
  for (const IndexRecord& record : update.records) {
    auto [slot, fresh] = records_.try_emplace(Key(AsText(record.key)));
    if (fresh) record_bytes_ += record.key.size();
    record_bytes_ += record.value.size() - slot->second.value.size();
    slot->second = {.pack = pack, .value = record.value};
  }
}

void MemoryIndex::PutChunk(std::uint32_t pack, const ChunkEntry& entry) {
  ChunkTable::Slot* slot = Shard(entry.id).FindOrAdd(entry.id);
  bool present = slot->pack != kNone && slot->offset < packs_[slot->pack].covered_bytes;
  if (present && slot->base == 0 && !entry.base.IsZero()) return;  // I12
  slot->offset = entry.offset;
  slot->pack = pack;
  slot->stored_bytes = entry.stored_bytes;
  slot->raw_bytes = entry.raw_bytes;
  slot->base = entry.base.IsZero() ? 0 : BaseNumber(entry.base);
  slot->codec = entry.codec;
  slot->codec_param = entry.codec_param;
}

std::uint32_t MemoryIndex::BaseNumber(const Id128& base) {
  auto at = base_numbers_.find(base);
  if (at != base_numbers_.end()) return at->second;
  bases_.push_back(base);  // before it has a number
  const auto number = static_cast<std::uint32_t>(bases_.size());
  base_numbers_.emplace(base, number);
  return number;
}

Result<IndexStats> MemoryIndex::Stats() {
  std::shared_lock lock(mutex_);
  IndexStats stats;
  stats.records = records_.size();
  stats.bytes = record_bytes_ + records_.size() * 112 + packs_.size() * 80 + bases_.size() * 64;
  for (const ChunkTable& shard : shards_) {
    stats.chunks += shard.used();
    stats.bytes += shard.bytes();
  }
  return stats;
}

}  // namespace

std::unique_ptr<Index> NewMemoryIndex() { return std::make_unique<MemoryIndex>(); }

}  // namespace ckpt
