// Store's view of its packs: looking for news, and telling the index (or the overlay) of it.

#include <algorithm>
#include <utility>

#include "store/codec/compress.h"
#include "store/engine/store.h"

namespace ckpt {
namespace {

constexpr int kIndexLooksMax = 10;  // at an index that is made anew again and again

std::vector<UnreadPlace> PlacesWithoutRecords(const std::vector<DamagedRange>& damage) {
  std::vector<UnreadPlace> places;
  for (const DamagedRange& range : damage) {
    if (!range.unread) continue;
    places.push_back({range.begin,
                      "no record can be read in the " + std::to_string(range.end - range.begin) +
                          " bytes from here",
                      true});
  }
  return places;
}

}  // namespace

// Payload of a record that may be compressed (manifests).
Result<Bytes> Store::ReadDecoded(const PackReader& reader, std::uint64_t offset) {
  Bytes stored;
  CKPT_ASSIGN_OR_RETURN(RecordHeader header, reader.ReadRecord(offset, &stored));
  if (header.codec == 0) return stored;
  Bytes raw(header.raw_bytes);  // bounded by the header's type
  Decoder decoder;
  CKPT_RETURN_IF_ERROR(decoder.Decode(header.codec, header.codec_param, stored, raw));
  return raw;
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
  {
    std::unique_lock lock(mutex_);
    barred_ = std::move(barred);
    hollow_ = std::move(hollow);
  }
  TellOfLosses();
  return Status();
}

// An index that is made anew meanwhile, by whoever finds it damaged or its writer dead, has not got
// what it covered when we began: then all begins again.
Status Store::RefreshPacks() {
  for (int looks = 0; looks < kIndexLooksMax; ++looks) {
    LoadCoverage();
    const std::uint64_t seen = index_generation_;
    CKPT_RETURN_IF_ERROR(RefreshByCoverage());
    auto index = this->index();
    if (index == nullptr || index->GenerationNumber() == seen) return Status();
  }
  return DropIndex();  // something makes it anew without end: without one, then
}

void Store::LoadCoverage() {
  auto index = this->index();
  if (index == nullptr) return;
  auto packs = index->Packs();
  index_generation_ = 0;
  for (int looks = 0; packs.ok() && looks < kIndexLooksMax; ++looks) {
    const std::uint64_t generation = index->GenerationNumber();
    if (index_generation_.exchange(generation) == generation) break;
    packs = index->Packs();
  }
  std::unique_lock lock(mutex_);
  coverage_.clear();
  if (packs.ok()) {
    for (PackCoverage& c : *packs) coverage_[c.pack_id] = c;
  } else {
    index_ = nullptr;
  }
}

Status Store::RefreshByCoverage() {
  std::set<Id128> present;
  CKPT_RETURN_IF_ERROR(LoadWitness());
  IndexWitness before;
  if (index() != nullptr && writable()) {
    auto now = WitnessNow(true);
    if (now.ok()) before = *now;  // else the index is told nothing this time
  }
  CKPT_RETURN_IF_ERROR(RefreshListed(&present));
  CKPT_RETURN_IF_ERROR(FindLost(before, &present));
  ForgetVanished(present);
  return Status();
}

Status Store::RefreshListed(std::set<Id128>* present) {
  for (bool complete = false; !complete;) {
    CKPT_ASSIGN_OR_RETURN(complete, LookThroughPacks(present));
  }
  return Status();
}

// Whether each pack that was listed could be looked at. One that is gone by then was collected
// meanwhile, and what it held is in a pack made since: without another look checkpoints that were
// only moved would be missing. Each such look costs a collector an epoch.
Result<bool> Store::LookThroughPacks(std::set<Id128>* present) {
  CKPT_ASSIGN_OR_RETURN(auto names, packs_dir_->List());
  present->clear();
  for (const DirEntry& name : names) {
    Id128 id;
    if (ParsePackFileName(name.name, &id)) present->insert(id);
  }
  bool complete = true;
  for (const Id128& id : *present) {
    Status s = RefreshPack(id);
    if (s.code() != Code::kNotFound) {
      CKPT_RETURN_IF_ERROR(std::move(s));
    } else if (packs_dir_->StatEntry(PackFileName(id)).status().code() == Code::kNotFound) {
      complete = false;  // else it never began
    }
  }
  return complete;
}

void Store::ForgetVanished(const std::set<Id128>& present) {
  IndexUpdate gone;
  std::vector<Id128> vanished;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [id, c] : coverage_) {
      if (!present.contains(id) && !lost_.contains(id)) gone.dropped_packs.push_back(id);
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
  if (!RefreshPack(id, true).ok()) return false;
  std::shared_lock lock(mutex_);
  auto state = states_.find(id);
  return state != states_.end() && state->second.relies_on > 0;
}

bool Store::HasDurableRow(ByteSpan key) {
  bool durable = false;
  Status scanned = ScanRecords(key, false, [&](ByteSpan found, ByteSpan value, const Id128&) {
    durable = AsText(found) == AsText(key) && !IsStagedValue(value);
    return false;
  });
  return scanned.ok() && durable;
}

// True: there is nothing to read in it that is not known. *covered: what the index has of it.
bool Store::IsKnown(const PackReader& reader, std::uint64_t file_bytes, PackCoverage* covered,
                    std::uint64_t* told) {
  const Id128 id = covered->pack_id;
  std::unique_lock lock(mutex_);
  auto state = states_.find(id);
  if (auto it = coverage_.find(id); it != coverage_.end()) *covered = it->second;
  *told = covered->covered_bytes;
  bool seen = state != states_.end() && !state->second.broken &&
              state->second.relies_on <= covered->covered_bytes;
  if (seen && state->second.file_bytes == file_bytes && !reader.header().reserve) return true;
  if (seen || covered->covered_bytes != file_bytes) return false;
  states_[id] = PackState{
      file_bytes, file_bytes, file_bytes, {}, file_bytes, reader.header().reserve, {}, {}, {}};
  return true;
}

Status Store::RefreshPack(const Id128& id, bool anew) {
  auto view = pack_set_.Get(id);
  if (!view.ok()) {
    if (view.status().code() != Code::kCorruption) return view.status();
    std::unique_lock lock(mutex_);
    PackState& state = states_[id];
    state.broken = true;
    state.unread = {{0, view.status().message(), true}};
    return Status();
  }
  const PackReader& reader = (*view)->reader();
  CKPT_ASSIGN_OR_RETURN(std::uint64_t file_bytes, reader.FileBytes());
  PackCoverage covered{id, 0, 0, 0};
  std::uint64_t told = 0;  // what the index has of it, as far as we know
  if (IsKnown(reader, file_bytes, &covered, &told) && !anew) return Status();
  if (anew) covered = PackCoverage{id, 0, 0, 0};
  bool cut = IsCutShort(covered, file_bytes);
  if (covered.covered_bytes > 0) {
    CKPT_ASSIGN_OR_RETURN(bool same,
                          reader.HeaderChecksumIs(covered.check_offset, covered.check_checksum));
    if (covered.covered_bytes > file_bytes && !cut) {
      Notice("pack " + id.ToHex() + " is shorter than it was: unless this is an older copy of the" +
             " store, checkpoints are lost");
    }
    if (!same || covered.covered_bytes > file_bytes) covered = PackCoverage{id, 0, 0, 0};
  }
  CKPT_ASSIGN_OR_RETURN(PackContents news, reader.ReadFrom(covered.covered_bytes, !writable()));
  std::vector<UnreadPlace> unread = PlacesWithoutRecords(news.damage);
  CKPT_ASSIGN_OR_RETURN(auto records, ReadIndexRecords(reader, news.records, false, &unread));
  CKPT_ASSIGN_OR_RETURN(auto staged, ReadIndexRecords(reader, news.tail_records, true));
  PackUpdate update;
  update.coverage = {id, news.durable_end, news.check_offset, news.check_checksum};
  update.covered_before = covered.covered_bytes;
  update.replaces_bytes = told;
  update.chunks = std::move(news.chunks);
  update.records = std::move(records);
  bool published = update.coverage.covered_bytes == covered.covered_bytes;
  auto index = this->index();
  // What the index was told of is not looked at again: damage must be met by whoever opens, and
  // what it knows of a pack that was longer must not be forgotten.
  if (!published && index != nullptr && writable() && unread.empty() && !cut) {
    IndexUpdate one;
    one.packs.push_back(std::move(update));
    auto result = index->Publish(one);
    // Nothing that it is believed to have is there any more.
    if (result.status().code() == Code::kCorruption) return DropIndex();
    published = result.ok() && *result;
    update = std::move(one.packs.front());
  }
  const std::uint64_t relies_on = published ? update.coverage.covered_bytes : covered.covered_bytes;
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
      PackState{file_bytes,       news.durable_end,        news.end, news.mark,
                relies_on,        reader.header().reserve, false,    std::move(news.damage),
                std::move(unread)};
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
                                                         bool staged,
                                                         std::vector<UnreadPlace>* unread) {
  std::vector<IndexRecord> records;
  auto absent = [&](const RecordEntry& entry, const Status& why) {
    if (unread == nullptr || why.code() != Code::kCorruption) return;
    unread->push_back({entry.offset, RecordTypeName(entry.type) + ": " + why.message(),
                       entry.type == RecordType::kManifest});
  };
  for (const RecordEntry& entry : entries) {
    auto payload = ReadDecoded(reader, entry.offset);
    if (!payload.ok()) {
      if (payload.status().code() != Code::kCorruption) return payload.status();
      absent(entry, payload.status());  // `check` names it
      continue;
    }
    auto record = MakeIndexRecord(entry.type, entry.offset, staged, *payload);
    if (record.ok() && record->has_value()) records.push_back(std::move(**record));
    if (!record.ok()) absent(entry, record.status());
  }
  return records;
}

// What was left for later comes first: of one pack, news that are told after later ones would count
// as known.
Status Store::Publish(const Id128& id, PackContents news) {
  std::lock_guard refresh(refresh_mutex_);
  PublishPending();
  return PublishNow(id, std::move(news));
}

// REQUIRES: refresh_mutex_ held, and what came before in the pack was told.
Status Store::PublishNow(const Id128& id, PackContents news) {
  CKPT_ASSIGN_OR_RETURN(auto view, pack_set_.Get(id));
  CKPT_ASSIGN_OR_RETURN(std::uint64_t file_bytes, view->reader().FileBytes());
  CKPT_ASSIGN_OR_RETURN(auto records, ReadIndexRecords(view->reader(), news.records, false));
  PackUpdate update;
  update.coverage = {id, news.durable_end, news.check_offset, news.check_checksum};
  update.covered_before = news.from;
  std::uint64_t known = 0;
  {
    std::shared_lock lock(mutex_);
    auto it = coverage_.find(id);
    if (it != coverage_.end()) known = it->second.covered_bytes;
  }
  // A Refresh met it first.
  if (update.coverage.covered_bytes <= known) return Status();
  update.chunks = std::move(news.chunks);
  update.records = std::move(records);
  update.replaces_bytes = known;
  // What another writer put before ours, and the index has not got yet, must not count as told.
  auto index = this->index();
  if (index != nullptr && known == news.from) {
    IndexUpdate one;
    one.packs.push_back(std::move(update));
    auto published = index->Publish(one);
    if (published.ok() && *published) {
      std::unique_lock lock(mutex_);
      coverage_[id] = one.packs.front().coverage;
      states_[id] = PackState{
          file_bytes, news.durable_end, news.durable_end, news.mark, news.durable_end, {}, {}, {},
          {}};
      matches_[id] = true;
      return Status();
    }
  }
  {
    std::unique_lock lock(mutex_);
    states_.erase(id);
  }
  return RefreshPack(id);  // from the pack itself, all that the index has not got
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
    Status published = PublishNow(id, std::move(news));
    (void)published;
  }
}

}  // namespace ckpt
