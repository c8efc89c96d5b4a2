#include "store/engine/store.h"

#include <algorithm>
#include <thread>

#include "store/base/quietly.h"
#include "store/codec/compress.h"
#include "store/index/memory_index.h"

namespace ckpt {
namespace {

constexpr int kRescansMax = 3;

}  // namespace

Store::Store(Env* env, std::string path, OpenStoreOptions options)
    : env_(env), path_(std::move(path)), options_(std::move(options)), overlay_(NewMemoryIndex()) {}

// Only the cache is told here; what a save promised was kept long before.
// What is not published now the next opening reads from the packs.
Store::~Store() {
  Quietly([this] { PublishPending(); });
}

int Store::threads() const {
  if (options_.threads > 0) return options_.threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::uint32_t Store::file_permissions() const {
  return (options_.group_shared ? 0660 : 0600) | kAsItsFolder;
}

Status Store::Report(const Progress& progress) const {
  if (options_.progress && !options_.progress(progress)) return Cancelled("stopped by the caller");
  return Status();
}

std::shared_ptr<Index> Store::index() const {
  std::shared_lock lock(mutex_);
  return index_;
}

std::uint64_t Store::ChunksExpected() {
  const std::shared_ptr<Index> known = index();
  if (known == nullptr) return 0;
  auto stats = known->Stats();
  if (!stats.ok()) return 0;
  std::uint64_t records_most = 0;  // no page of an index is believed to say more
  for (const auto& [id, state] : PackStates())
    records_most += state.file_bytes / kRecordHeaderBytes;
  return std::min(stats->chunks, records_most);
}

// A cache that cannot be read is no cache: from here on everything is in memory, read from the
// packs.
Status Store::DropIndex() {
  {
    std::unique_lock lock(mutex_);
    index_ = nullptr;
    coverage_.clear();
    matches_.clear();
    states_.clear();
    ++index_losses_;
  }
  return RefreshPacks();
}

bool Store::PackMatchesIndex(const Id128& id) {
  PackCoverage covered;
  {
    std::shared_lock lock(mutex_);
    auto known = matches_.find(id);
    if (known != matches_.end()) return known->second;
    auto it = coverage_.find(id);
    if (it == coverage_.end()) return false;
    covered = it->second;
  }
  auto view = pack_set_.Get(id);
  if (!view.ok()) return false;
  auto same = (*view)->reader().HeaderChecksumIs(covered.check_offset, covered.check_checksum);
  bool matches = same.ok() && *same;
  std::unique_lock lock(mutex_);
  matches_[id] = matches;
  return matches;
}

std::optional<ChunkPlace> Store::FindDurable(const Id128& id, bool* known) {
  return FindPlace(id, false, known);
}

// What was given back reads zeros, and zeros do not have the payload's checksum.
std::optional<ChunkPlace> Store::FindInHollow(const Id128& id) {
  {
    std::shared_lock lock(mutex_);
    if (hollow_.empty()) return std::nullopt;
  }
  auto place = FindPlace(id, true, nullptr);
  if (!place.has_value()) return std::nullopt;
  auto view = pack_set_.Get(place->pack_id);
  if (!view.ok()) return std::nullopt;
  Bytes payload(place->entry.stored_bytes);
  Status read = (*view)->reader().ReadChunkPayload(place->entry, true, payload);
  return read.ok() ? place : std::nullopt;
}

std::optional<ChunkPlace> Store::FindPlace(const Id128& id, bool hollow, bool* known) {
  PublishPending();
  auto usable = [&](const ChunkPlace& place) {
    std::shared_lock lock(mutex_);
    return states_.contains(place.pack_id) && hollow_.contains(place.pack_id) == hollow &&
           (barred_.empty() || !barred_.contains({place.pack_id, place.entry.offset}));
  };
  // An index that fails has nothing: the chunk may be stored twice, no more.
  const auto in = [&](Index* from) {
    auto found = from->FindChunk(id);
    if (!found.ok() || !found->has_value()) return std::optional<ChunkPlace>();
    if (known != nullptr) *known = true;
    return usable(**found) ? *found : std::nullopt;
  };
  auto place = in(overlay_.get());
  if (place.has_value()) return place;
  auto index = this->index();
  if (index != nullptr) place = in(index.get());
  return place.has_value() && PackMatchesIndex(place->pack_id) ? place : std::nullopt;
}

Status Store::ScanRecords(ByteSpan prefix, bool reverse, const Index::RecordVisitor& fn) {
  struct Row {
    Bytes key;
    Bytes value;
    Id128 pack_id;
  };
  PublishPending();
  std::vector<Row> over;
  CKPT_RETURN_IF_ERROR(overlay_->ScanRecords(
      prefix, reverse, [&](ByteSpan key, ByteSpan value, const Id128& pack_id) {
        over.push_back({Bytes(key.begin(), key.end()), Bytes(value.begin(), value.end()), pack_id});
        return true;
      }));
  auto next = over.begin();
  bool stopped = false;
  auto before = [&](const Row& row, ByteSpan key) {
    auto order = AsText(row.key).compare(AsText(key));
    return reverse ? order > 0 : order < 0;
  };
  if (auto index = this->index()) {
    std::optional<Id128> present;    // neighbours are mostly in one pack
    std::map<Id128, bool> unlisted;  // packs that were not there at the last look: are they now?
    bool renewed = false;
    Status scanned = index->ScanRecords(
        prefix, reverse, [&](ByteSpan key, ByteSpan value, const Id128& pack_id) {
          if (present != pack_id) {
            // Of a pack that is lost nothing counts but what was lost. One that is newer than the
            // last look counts: others may have moved there what we saw elsewhere.
            bool there = IsPresent(pack_id);
            if (!there) {
              auto [known, fresh] = unlisted.try_emplace(pack_id, false);
              if (fresh) known->second = packs_dir_->StatEntry(PackFileName(pack_id)).ok();
              there = known->second;
              // Told late, by somebody who read it before it was collected: in the place of a copy.
              renewed = renewed || (fresh && !there && !IsCovered(pack_id));
            }
            if (!there && (AsText(key).substr(0, 1) != "M" || !IsLost(pack_id))) return true;
            if (there) present = pack_id;
          }
          for (; next != over.end() && before(*next, key); ++next) {
            if (!fn(next->key, next->value, next->pack_id)) return !(stopped = true);
          }
          // Two copies of one record: the durable one, which the index has, serves.
          if (next != over.end() && AsText(next->key) == AsText(key)) ++next;
          if (!fn(key, value, pack_id)) return !(stopped = true);
          return true;
        });
    renewed = renewed || index->GenerationNumber() != index_generation_;
    if (!scanned.ok() || renewed) {
      std::lock_guard refresh(refresh_mutex_);
      // Looking at the packs scans, too: one that never comes to rest is done without an index.
      const bool look = scanned.ok() && rescans_ < kRescansMax;
      if (look) ++index_losses_;
      ++rescans_;
      Status again = look ? RefreshPacks() : DropIndex();
      if (again.ok()) again = ScanRecords(prefix, reverse, fn);
      --rescans_;
      return again;
    }
  }
  for (; !stopped && next != over.end(); ++next) {
    stopped = !fn(next->key, next->value, next->pack_id);
  }
  return Status();
}

Result<std::vector<PackReliance>> Store::ResolvePacks(const std::vector<PackReliance>& packs) {
  auto resolved = ResolveKnown(packs);
  if (resolved.ok() || resolved.status().code() != Code::kCorruption) return resolved;
  // Collected since we looked: what replaces it was there before it was unlinked.
  CKPT_RETURN_IF_ERROR(Refresh());
  return ResolveKnown(packs);
}

Result<std::vector<PackReliance>> Store::ResolveKnown(const std::vector<PackReliance>& packs) {
  std::map<Id128, std::uint64_t> found;
  std::set<Id128> resolved;
  std::vector<PackReliance> pending(packs.rbegin(), packs.rend());
  while (!pending.empty()) {
    PackReliance want = pending.back();
    pending.pop_back();
    auto view = pack_set_.Get(want.pack_id);
    if (view.ok()) {
      std::uint64_t& up_to = found[want.pack_id];
      up_to = std::max(up_to, want.up_to);
      continue;
    }
    if (view.status().code() != Code::kNotFound) return view.status();
    if (!resolved.insert(want.pack_id).second) continue;  // moves never go in circles
    std::optional<MovedRecord> moved;
    CKPT_RETURN_IF_ERROR(
        ScanRecords(MovedKey(want.pack_id), false, [&](ByteSpan, ByteSpan value, const Id128&) {
          auto record = DecodeMoved(PayloadOfValue(value));
          if (record.ok() && (!moved || record->epoch >= moved->epoch)) moved = *record;
          return true;
        }));
    if (!moved.has_value()) {
      return Corruption("pack " + PackFileName(want.pack_id) +
                        " is missing: look for it in a copy or backup of " + path_ + "/packs");
    }
    pending.insert(pending.end(), moved->to.begin(), moved->to.end());
  }
  std::vector<PackReliance> result;
  result.reserve(found.size());
  for (const auto& [id, up_to] : found) result.push_back({id, up_to});
  return result;
}

std::map<Id128, PackState> Store::PackStates() {
  PublishPending();
  std::shared_lock lock(mutex_);
  return states_;
}

bool Store::HasDamage(const Id128& pack_id) const {
  std::shared_lock lock(mutex_);
  auto it = barred_.lower_bound({pack_id, 0});
  return it != barred_.end() && it->first == pack_id;
}

std::size_t Store::DamagedPlaces() const {
  std::shared_lock lock(mutex_);
  return barred_.size();
}

bool Store::IsBarred(const ChunkPlace& place) const {
  std::shared_lock lock(mutex_);
  return barred_.contains({place.pack_id, place.entry.offset});
}

bool Store::IsHollow(const Id128& pack_id) const {
  std::shared_lock lock(mutex_);
  return hollow_.contains(pack_id);
}

Result<Manifest> Store::ReadManifest(const CheckpointRow& row) {
  auto manifest = ReadManifestAt(row);
  CheckpointRow last = row;
  while (!manifest.ok() && manifest.status().code() == Code::kNotFound) {
    CKPT_RETURN_IF_ERROR(Refresh());
    CKPT_ASSIGN_OR_RETURN(auto now, FindRow(row));
    bool moved = now.has_value() && now->pack_id != last.pack_id;
    if (!moved) {
      return NotFound("step " + std::to_string(row.step) + " of '" + row.series +
                      "' is no more: removed, and its space returned");
    }
    last = *std::move(now);
    manifest = ReadManifestAt(last);
  }
  return manifest;
}

Result<Manifest> Store::ReadSummary(const CheckpointRow& row) {
  Result<Manifest> summary = NotFound("'" + row.series + "' has no such checkpoint");
  CKPT_RETURN_IF_ERROR(
      ScanRecords(CheckpointKey(row), false, [&](ByteSpan, ByteSpan value, const Id128&) {
        summary = ParseCheckpointSummary(value);
        return false;
      }));
  return summary;
}

Result<std::optional<CheckpointRow>> Store::FindRow(const CheckpointRow& old) {
  std::optional<CheckpointRow> row;
  CKPT_RETURN_IF_ERROR(ScanRecords(CheckpointKey(old), false,
                                   [&](ByteSpan key, ByteSpan value, const Id128& pack_id) {
                                     auto parsed = ParseCheckpoint(key, value, pack_id);
                                     if (parsed.ok()) row = *std::move(parsed);
                                     return false;
                                   }));
  return row;
}

bool Store::IsCovered(const Id128& pack_id) const {
  std::shared_lock lock(mutex_);
  return coverage_.contains(pack_id);
}

bool Store::IsPresent(const Id128& pack_id) const {
  std::shared_lock lock(mutex_);
  return states_.contains(pack_id);
}

Result<Manifest> Store::ReadManifestAt(const CheckpointRow& row) {
  auto opened = pack_set_.Get(row.pack_id);
  if (opened.status().code() == Code::kNotFound && IsLost(row.pack_id)) {
    return Corruption("packs/" + PackFileName(row.pack_id) + ", where its manifest was at " +
                      std::to_string(row.offset) +
                      ", is gone, and no collection moved it: look for"
                      " it in a copy or backup of " +
                      path_ + "/packs");
  }
  CKPT_ASSIGN_OR_RETURN(auto view, std::move(opened));
  CKPT_ASSIGN_OR_RETURN(Bytes payload, ReadDecoded(view->reader(), row.offset));
  CKPT_ASSIGN_OR_RETURN(Manifest manifest, DecodeManifest(payload));
  if (manifest.attempt != row.attempt || manifest.step != row.step || manifest.rank != row.rank) {
    return Corruption(PackFileName(row.pack_id) + " at " + std::to_string(row.offset) +
                      ": the manifest there is another checkpoint's");
  }
  return manifest;
}

void Store::Forget(const Id128& id) {
  pack_set_.Forget(id);
  IndexUpdate update;
  update.dropped_packs.push_back(id);
  std::unique_lock lock(mutex_);
  auto dropped = overlay_->Publish(update);
  (void)dropped;
  states_.erase(id);
  matches_.erase(id);
}

}  // namespace ckpt
