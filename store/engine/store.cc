#include "store/engine/store.h"

#include <algorithm>
#include <thread>

#include "store/codec/compress.h"
#include "store/index/memory_index.h"

namespace ckpt {
namespace {

// Payload of a record that may be compressed (manifests).
Result<Bytes> ReadDecoded(const PackReader& reader, std::uint64_t offset) {
  Bytes stored;
  CKPT_ASSIGN_OR_RETURN(RecordHeader header, reader.ReadRecord(offset, &stored));
  if (header.codec == 0) return stored;
  Bytes raw(header.raw_bytes);  // bounded by the header's type
  Decoder decoder;
  CKPT_RETURN_IF_ERROR(decoder.Decode(header.codec, header.codec_param, stored, raw));
  return raw;
}

}  // namespace

Store::Store(Env* env, std::string path, OpenStoreOptions options)
    : env_(env), path_(std::move(path)), options_(std::move(options)), overlay_(NewMemoryIndex()) {}

// Only the cache is told here; what a save promised was kept long before.
Store::~Store() { PublishPending(); }

int Store::threads() const {
  if (options_.threads > 0) return options_.threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::uint32_t Store::file_permissions() const { return options_.group_shared ? 0660 : 0600; }

Status Store::Report(const Progress& progress) const {
  if (options_.progress && !options_.progress(progress)) return Cancelled("stopped by the caller");
  return Status();
}

std::shared_ptr<Index> Store::index() const {
  std::shared_lock lock(mutex_);
  return index_;
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

Status Store::Refresh() {
  std::lock_guard refresh(refresh_mutex_);
  PublishPending();
  CKPT_RETURN_IF_ERROR(RefreshPacks());
  std::set<std::pair<Id128, std::uint64_t>> barred;
  std::set<Id128> hollow;
  CKPT_RETURN_IF_ERROR(ScanRecords(AsBytes("D"), false,
                                   [&](ByteSpan /*key*/, ByteSpan value, const Id128& /*pack*/) {
                                     auto damage = DecodeDamage(PayloadOfValue(value));
                                     if (!damage.ok()) return true;
                                     std::pair place(damage->pack_id, damage->offset);
                                     if (damage->kind == DamageRecord::kFound) barred.insert(place);
                                     if (damage->kind == DamageRecord::kHealed)
                                       barred.erase(place);  // in order of time
                                     if (damage->kind == DamageRecord::kHollow)
                                       hollow.insert(damage->pack_id);
                                     return true;
                                   }));
  std::unique_lock lock(mutex_);
  barred_ = std::move(barred);
  hollow_ = std::move(hollow);
  return Status();
}

Status Store::RefreshPacks() {
  if (auto index = this->index()) {
    auto packs = index->Packs();
    std::unique_lock lock(mutex_);
    coverage_.clear();
    if (packs.ok()) {
      for (PackCoverage& c : *packs) coverage_[c.pack_id] = c;
    } else {
      index_ = nullptr;
    }
  }
  CKPT_ASSIGN_OR_RETURN(auto names, packs_dir_->List());
  std::set<Id128> present;
  for (const DirEntry& name : names) {
    Id128 id;
    if (ParsePackFileName(name.name, &id)) present.insert(id);
  }
  for (const Id128& id : present) {
    Status s = RefreshPack(id);
    if (s.code() == Code::kNotFound) continue;  // collected while we looked, or never began
    CKPT_RETURN_IF_ERROR(std::move(s));
  }
  ForgetVanished(present);
  return Status();
}

void Store::ForgetVanished(const std::set<Id128>& present) {
  IndexUpdate gone;
  std::vector<Id128> vanished;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [id, c] : coverage_) {
      if (!present.contains(id)) gone.dropped_packs.push_back(id);
    }
    for (const auto& [id, state] : states_) {
      if (!present.contains(id)) vanished.push_back(id);
    }
  }
  std::set<Id128> lost(vanished.begin(), vanished.end());
  lost.insert(gone.dropped_packs.begin(), gone.dropped_packs.end());
  std::set<Id128> copies = HoldersOfCopies(lost);
  for (const Id128& id : vanished) Forget(id);
  bool all_published = true;
  for (const Id128& id : copies) {
    if (present.contains(id)) all_published = ReadAnew(id) && all_published;
  }
  auto index = this->index();
  if (index == nullptr || !writable() || gone.dropped_packs.empty() || !all_published) return;
  auto published = index->Publish(gone);  // a failure leaves rows that do not count
  (void)published;
}

// Of two copies of a record the index keeps one, under the pack that was published last: perhaps
// the one that is gone now. The copies are in the packs that say where its contents moved.
std::set<Id128> Store::HoldersOfCopies(const std::set<Id128>& lost) {
  std::set<Id128> holders;
  for (const Id128& id : lost) {
    Status scanned = ScanRecords(MovedKey(id), false, [&](ByteSpan, ByteSpan, const Id128& pack) {
      holders.insert(pack);
      return true;
    });
    (void)scanned;  // what was not seen is found when the index is made anew
  }
  return holders;
}

// Everything a pack holds is put again. False: the index has not got it.
bool Store::ReadAnew(const Id128& id) {
  {
    std::unique_lock lock(mutex_);
    states_.erase(id);
    coverage_.erase(id);
  }
  if (!RefreshPack(id).ok()) return false;
  std::shared_lock lock(mutex_);
  return coverage_.contains(id);
}

bool Store::HasDurableRow(ByteSpan key) {
  bool durable = false;
  Status scanned = ScanRecords(key, false, [&](ByteSpan found, ByteSpan value, const Id128&) {
    durable = AsText(found) == AsText(key) && !IsStagedValue(value);
    return false;
  });
  return scanned.ok() && durable;
}

Status Store::RefreshPack(const Id128& id) {
  auto view = pack_set_.Get(id);
  if (!view.ok()) {
    if (view.status().code() != Code::kCorruption) return view.status();
    std::unique_lock lock(mutex_);  // a pack that never began, or a damaged one: named by `check`
    states_[id].broken = true;
    return Status();
  }
  const PackReader& reader = (*view)->reader();
  CKPT_ASSIGN_OR_RETURN(std::uint64_t file_bytes, reader.FileBytes());
  PackCoverage covered{id, 0, 0, 0};
  {
    std::unique_lock lock(mutex_);
    auto state = states_.find(id);
    bool seen = state != states_.end() && !state->second.broken;
    if (seen && state->second.file_bytes == file_bytes && !reader.header().reserve) {
      return Status();
    }
    if (auto it = coverage_.find(id); it != coverage_.end()) covered = it->second;
    if (!seen && covered.covered_bytes == file_bytes) {
      states_[id] =
          PackState{file_bytes, file_bytes, file_bytes, {}, reader.header().reserve, {}, {}};
      return Status();
    }
  }
  if (covered.covered_bytes > 0) {
    CKPT_ASSIGN_OR_RETURN(bool same,
                          reader.HeaderChecksumIs(covered.check_offset, covered.check_checksum));
    if (!same || covered.covered_bytes > file_bytes) covered = PackCoverage{id, 0, 0, 0};
  }
  CKPT_ASSIGN_OR_RETURN(PackContents news, reader.ReadFrom(covered.covered_bytes, !writable()));
  CKPT_ASSIGN_OR_RETURN(auto records, ReadIndexRecords(reader, news.records, false));
  CKPT_ASSIGN_OR_RETURN(auto staged, ReadIndexRecords(reader, news.tail_records, true));
  PackUpdate update;
  update.coverage = {id, news.durable_end, news.check_offset, news.check_checksum};
  update.covered_before = covered.covered_bytes;
  update.chunks = std::move(news.chunks);
  update.records = std::move(records);
  bool published = update.coverage.covered_bytes == covered.covered_bytes;
  auto index = this->index();
  if (!published && index != nullptr && writable()) {
    IndexUpdate one;
    one.packs.push_back(std::move(update));
    auto result = index->Publish(one);
    published = result.ok() && *result;
    update = std::move(one.packs.front());
  }
  if (published) {
    update.records.clear();
    update.chunks.clear();
    std::unique_lock lock(mutex_);
    if (update.coverage.covered_bytes > 0) coverage_[id] = update.coverage;
  }
  for (IndexRecord& record : staged) {
    // A copy that was adopted serves, and is more than staged.
    if (!HasDurableRow(record.key)) update.records.push_back(std::move(record));
  }
  CKPT_RETURN_IF_ERROR(KeepOverlay(id, std::move(update.records), std::move(update.chunks)));
  std::unique_lock lock(mutex_);
  states_[id] =
      PackState{file_bytes, news.durable_end,      news.end, news.mark, reader.header().reserve,
                false,      std::move(news.damage)};
  return Status();
}

Status Store::KeepOverlay(const Id128& id, std::vector<IndexRecord> records,
                          std::vector<ChunkEntry> chunks) {
  IndexUpdate update;
  PackUpdate pack;
  // Replaced as a whole, never continued; everything in it counts.
  pack.coverage = {id, UINT64_MAX, 0, 0};
  pack.records = std::move(records);
  pack.chunks = std::move(chunks);
  update.packs.push_back(std::move(pack));
  std::unique_lock lock(mutex_);
  auto published = overlay_->Publish(update);
  return published.ok() ? Status() : published.status();
}

Result<std::vector<IndexRecord>> Store::ReadIndexRecords(const PackReader& reader,
                                                         const std::vector<RecordEntry>& entries,
                                                         bool staged) {
  std::vector<IndexRecord> records;
  for (const RecordEntry& entry : entries) {
    auto payload = ReadDecoded(reader, entry.offset);
    if (!payload.ok()) {
      if (payload.status().code() == Code::kCorruption) continue;  // absent; `check` names it
      return payload.status();
    }
    auto record = MakeIndexRecord(entry.type, entry.offset, staged, *payload);
    if (record.ok() && record->has_value()) records.push_back(std::move(**record));
  }
  return records;
}

Status Store::Publish(const Id128& id, PackContents news) {
  std::lock_guard refresh(refresh_mutex_);
  CKPT_ASSIGN_OR_RETURN(auto view, pack_set_.Get(id));
  CKPT_ASSIGN_OR_RETURN(std::uint64_t file_bytes, view->reader().FileBytes());
  CKPT_ASSIGN_OR_RETURN(auto records, ReadIndexRecords(view->reader(), news.records, false));
  PackUpdate update;
  update.coverage = {id, news.durable_end, news.check_offset, news.check_checksum};
  {
    std::shared_lock lock(mutex_);
    auto it = coverage_.find(id);
    if (it != coverage_.end()) update.covered_before = it->second.covered_bytes;
  }
  // A Refresh met it first.
  if (update.coverage.covered_bytes <= update.covered_before) return Status();
  update.chunks = std::move(news.chunks);
  update.records = std::move(records);
  if (auto index = this->index()) {
    IndexUpdate one;
    one.packs.push_back(std::move(update));
    auto published = index->Publish(one);
    if (published.ok() && *published) {
      std::unique_lock lock(mutex_);
      coverage_[id] = one.packs.front().coverage;
      states_[id] =
          PackState{file_bytes, news.durable_end, news.durable_end, news.mark, {}, {}, {}};
      matches_[id] = true;
      return Status();
    }
  }
  {
    std::unique_lock lock(mutex_);
    states_.erase(id);
  }
  return RefreshPack(id);  // into the overlay, from the pack itself
}

void Store::PublishLater(const Id128& id, PackContents news) {
  std::lock_guard lock(pending_mutex_);
  pending_.emplace_back(id, std::move(news));
  has_pending_ = true;
}

void Store::PublishPending() {
  if (!has_pending_) return;
  std::lock_guard refresh(refresh_mutex_);
  std::vector<std::pair<Id128, PackContents>> pending;
  {
    std::lock_guard lock(pending_mutex_);
    pending.swap(pending_);
    has_pending_ = false;
  }
  for (auto& [id, news] : pending) {
    // The checkpoints are durable: a cache that cannot be told of them is no failure.
    Status published = Publish(id, std::move(news));
    (void)published;
  }
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

Result<std::optional<ChunkPlace>> Store::FindDurable(const Id128& id) {
  return FindPlace(id, false);
}

// What was given back reads zeros, and zeros do not have the payload's checksum.
Result<std::optional<ChunkPlace>> Store::FindInHollow(const Id128& id) {
  {
    std::shared_lock lock(mutex_);
    if (hollow_.empty()) return std::optional<ChunkPlace>();
  }
  CKPT_ASSIGN_OR_RETURN(auto place, FindPlace(id, true));
  if (!place.has_value()) return place;
  auto view = pack_set_.Get(place->pack_id);
  if (!view.ok()) return std::optional<ChunkPlace>();
  Bytes payload(place->entry.stored_bytes);
  Status read = (*view)->reader().ReadChunkPayload(place->entry, true, payload);
  return read.ok() ? place : std::optional<ChunkPlace>();
}

Result<std::optional<ChunkPlace>> Store::FindPlace(const Id128& id, bool hollow) {
  PublishPending();
  auto usable = [&](const ChunkPlace& place) {
    std::shared_lock lock(mutex_);
    return states_.contains(place.pack_id) && hollow_.contains(place.pack_id) == hollow &&
           (barred_.empty() || !barred_.contains({place.pack_id, place.entry.offset}));
  };
  CKPT_ASSIGN_OR_RETURN(auto place, overlay_->FindChunk(id));
  if (place.has_value() && usable(*place)) return place;
  auto index = this->index();
  if (index == nullptr) return std::optional<ChunkPlace>();
  auto indexed = index->FindChunk(id);
  if (!indexed.ok()) return std::optional<ChunkPlace>();  // it may be stored twice, no more
  place = *indexed;
  if (place.has_value() && usable(*place) && PackMatchesIndex(place->pack_id)) return place;
  return std::optional<ChunkPlace>();
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
    std::optional<Id128> present;  // neighbours are mostly in one pack
    Status scanned = index->ScanRecords(
        prefix, reverse, [&](ByteSpan key, ByteSpan value, const Id128& pack_id) {
          if (present != pack_id) {
            if (!IsPresent(pack_id)) return true;
            present = pack_id;
          }
          for (; next != over.end() && before(*next, key); ++next) {
            if (!fn(next->key, next->value, next->pack_id)) return !(stopped = true);
          }
          // Two copies of one record: the durable one, which the index has, serves.
          if (next != over.end() && AsText(next->key) == AsText(key)) ++next;
          if (!fn(key, value, pack_id)) return !(stopped = true);
          return true;
        });
    if (!scanned.ok()) {
      std::lock_guard refresh(refresh_mutex_);
      CKPT_RETURN_IF_ERROR(DropIndex());
      return ScanRecords(prefix, reverse, fn);
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

bool Store::IsPresent(const Id128& pack_id) const {
  std::shared_lock lock(mutex_);
  return states_.contains(pack_id);
}

Result<Manifest> Store::ReadManifestAt(const CheckpointRow& row) {
  CKPT_ASSIGN_OR_RETURN(auto view, pack_set_.Get(row.pack_id));
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
