// One epoch of collection, from Condemn to Finish (docs/collection.md, "The collector").

#include <algorithm>

#include "store/engine/collect.h"
#include "store/engine/damage.h"
#include "store/engine/hollow.h"

namespace ckpt {
namespace {

constexpr std::int64_t kPollMs = 20;
constexpr std::uint64_t kReportBytes = 16u << 20;
constexpr std::uint64_t kHollowRecordBytes = 160;

std::vector<Id128> Sorted(const std::set<Id128>& ids) { return {ids.begin(), ids.end()}; }

OwnPacks::Record MakeRecord(RecordType type, Bytes payload) {
  OwnPacks::Record record;
  record.header.type = type;
  record.payload = std::move(payload);
  return record;
}

}  // namespace

Status Collector::Condemn() {
  std::set<Id128> copied = kind_ == Kind::kHollow ? std::set<Id128>() : list_;
  std::uint64_t need = CopyBytes(copied) + list_.size() * kHollowRecordBytes;
  CKPT_ASSIGN_OR_RETURN(own_, OwnPacks::Open(store_, need));
  // A reserve that could not be read at Survey may be on it, and is what is copied into by now.
  std::erase_if(list_, [&](const Id128& id) { return own_->Contains(id); });
  CollectState next;
  next.known = true;
  next.phase = CollectPhase::kCondemned;
  next.epoch = state_.epoch + 1;
  next.condemned = Sorted(list_);
  next.broken = Sorted(to_break_);
  CKPT_RETURN_IF_ERROR(WriteCollectState(store_, next));
  state_ = std::move(next);
  return Status();
}

// The packs are listed after Condemn is durable: a writer that is not among them reads the epoch.
Result<bool> Collector::AwaitAcks() {
  std::int64_t deadline = store_->env()->MonotonicNs() + options_.wait_ms * 1000000;
  for (;;) {
    if (options_.while_waiting) CKPT_RETURN_IF_ERROR(options_.while_waiting());
    CKPT_RETURN_IF_ERROR(scan_->Refresh());
    bool pending = false;
    for (const auto& [id, pack] : scan_->packs()) {
      if (own_->Contains(id) || to_break_.contains(id)) continue;
      CKPT_ASSIGN_OR_RETURN(bool alive, scan_->Alive(pack));
      if (!alive) continue;
      list_.erase(id);
      if (scan_->AcknowledgedEpoch(pack) < state_.epoch) pending = true;
    }
    if (!pending) break;
    if (options_.wait_ms >= 0 && store_->env()->MonotonicNs() >= deadline) return false;
    CKPT_RETURN_IF_ERROR(store_->Report({"waiting", 0, 0, 0, 0}));
    store_->env()->SleepMs(kPollMs);
  }
  CKPT_RETURN_IF_ERROR(scan_->Refresh());
  for (const auto& [id, pack] : scan_->packs()) {
    for (const ScannedRecord& record : pack.records) {
      auto* ack = record.As<AckRecord>();
      if (ack == nullptr || ack->epoch != state_.epoch) continue;
      for (const Id128& claimed : ack->claimed) list_.erase(claimed);
    }
  }
  return true;
}

// Roots are now those of Survey and every manifest that was staged since.
Status Collector::SecondLook() {
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  CKPT_RETURN_IF_ERROR(scan_->Refresh());
  std::set<Id128> dead;
  alive_.clear();
  for (const auto& [id, pack] : scan_->packs()) {
    CKPT_ASSIGN_OR_RETURN(bool alive, scan_->Alive(pack));
    if (alive && !to_break_.contains(id)) alive_.insert(id);
    if (!alive_.contains(id)) dead.insert(id);
  }
  CKPT_RETURN_IF_ERROR(marker_->MarkRoots(*scan_, dead));
  if (kind_ == Kind::kAside) return Status();
  CKPT_RETURN_IF_ERROR(NeedBases());
  for (const Id128& id : marker_->barred()) list_.erase(id);
  for (auto it = list_.begin(); it != list_.end();) {
    const ScannedPack* pack = scan_->Find(*it);
    it = pack == nullptr || pack->unusable ? list_.erase(it) : std::next(it);
  }
  return Status();
}

// For what is needed since the survey. A pack whose last byte is durable has the deltas it had.
Status Collector::NeedBases() {
  for (const auto& [id, pack] : scan_->packs()) {
    auto plain = plain_.find(id);
    if (plain != plain_.end() && plain->second == pack.file_bytes) continue;
    bool deltas = false, ignored = false;
    CKPT_RETURN_IF_ERROR(NeedBasesOf(id, false, &deltas, &ignored));
    CKPT_RETURN_IF_ERROR(NeedBasesOf(id, true, &deltas, &ignored));
    if (!deltas && pack.durable_end == pack.file_bytes) plain_[id] = pack.file_bytes;
  }
  return Status();
}

// True when a durable copy of a chunk in use is in a pack that stays, as of Survey or of an earlier
// epoch of this run. Doubt costs a second copy. No hollow pack: it may have been given back there.
bool Collector::StaysAt(std::uint32_t home) const {
  if (home == 0 || (home & kInTail) != 0) return false;
  const Id128& id = homes_[(home & kHomeNumber) - 1];
  const ScannedPack* pack = scan_->Find(id);
  return pack != nullptr && !pack->unusable && !list_.contains(id) && !to_break_.contains(id) &&
         !store_->IsHollow(id) && !store_->HasDamage(id);
}

// The number of the pack that was just copied into. One of this epoch's own, also for the reserve,
// which may be known from before: what was copied may yet have to be given up.
std::uint32_t Collector::OwnHome() {
  auto [it, fresh] = own_homes_.try_emplace(own_->last_pack_id(), homes_.size() + 1);
  if (fresh) homes_.push_back(it->first);
  return it->second;
}

bool Collector::IsOwnHome(std::uint32_t home) const {
  return std::any_of(own_homes_.begin(), own_homes_.end(),
                     [&](const auto& own) { return own.second == (home & kHomeNumber); });
}

// What was copied is gone again: nobody knows where it was before.
void Collector::AbandonOwn() {
  for (const auto& [id, number] : own_homes_) homes_[number - 1] = Id128();
  own_homes_.clear();
  if (own_ != nullptr) own_->Abandon();
}

bool Collector::IsGivenBack(const PackReader& reader, const ChunkEntry& entry) const {
  if (!store_->IsHollow(reader.pack_id())) return false;
  Bytes payload(entry.stored_bytes);
  return reader.ReadRaw(entry.offset + kRecordHeaderBytes, payload).ok() &&
         LooksGivenBack(entry.offset, payload);
}

// What a pack has of the chunk: in full, or as a delta that can be read, if it has one of these.
// Nullopt: nothing, or the pack is not there.
Result<std::optional<ChunkEntry>> Collector::EntryAt(const Id128& pack_id, const Id128& chunk) {
  const auto not_there = [](const Status& s) -> Result<std::optional<ChunkEntry>> {
    const bool so = s.code() == Code::kNotFound || s.code() == Code::kCorruption;
    if (so) return std::optional<ChunkEntry>();
    return s;  // else an error of the moment would decide
  };
  auto view = store_->packs()->Get(pack_id);
  if (!view.ok()) return not_there(view.status());
  auto entry = (*view)->Find(chunk, true);
  if (!entry.ok()) return not_there(entry.status());
  if (!entry->has_value() || !IsDeltaCodec((*entry)->codec)) return *entry;
  CKPT_ASSIGN_OR_RETURN(bool reads, HasBase(**entry));
  if (reads) return *entry;
  auto contents = (*view)->Contents();
  if (!contents.ok()) return not_there(contents.status());
  for (const auto* list : {&(*contents)->chunks, &(*contents)->tail_chunks}) {
    for (const ChunkEntry& other : *list) {
      if (other.id != chunk || other.base == (*entry)->base) continue;
      CKPT_ASSIGN_OR_RETURN(reads, HasBase(other));
      if (reads) return std::optional<ChunkEntry>(other);
    }
  }
  return *entry;
}

// Of a chunk that was met as a delta in another pack than its home: what its home has, in full (for
// it may be a base, I12) or as a delta that can be read. False: what was met is to be copied.
Result<bool> Collector::CopyFromHome(const Id128& chunk, const Id128& met_in, std::uint32_t* home) {
  if (*home == 0 || homes_[(*home & kHomeNumber) - 1] == met_in) return false;
  const Id128 there = homes_[(*home & kHomeNumber) - 1];
  CKPT_ASSIGN_OR_RETURN(const auto entry, EntryAt(there, chunk));
  if (!entry.has_value()) return false;
  const bool delta = IsDeltaCodec(entry->codec);
  if (delta && (*home & kAsDelta) == 0) return false;
  auto view = store_->packs()->Get(there);
  if (!view.ok()) return false;
  Status copied = own_->CopyChunk((*view)->reader(), *entry);
  if (copied.code() == Code::kCorruption) return false;
  CKPT_RETURN_IF_ERROR(std::move(copied));
  *home = OwnHome() | (delta ? kAsDelta : 0);
  if (delta) LeadToBase(Id128(), entry->base);
  return true;
}

// What is met first goes on: so a delta whose base is not there comes after all others, which may
// be of the same chunk. Chunks of the tail, behind the last mark, after the durable ones.
Result<std::vector<ChunkEntry>> Collector::EntriesToCopy(const PackReader& reader) {
  CKPT_ASSIGN_OR_RETURN(PackContents contents, reader.ReadFrom(0));
  std::vector<ChunkEntry> entries = std::move(contents.chunks);
  std::sort(entries.begin(), entries.end(),
            [](const ChunkEntry& a, const ChunkEntry& b) { return a.offset < b.offset; });
  entries.insert(entries.end(), contents.tail_chunks.begin(), contents.tail_chunks.end());
  std::vector<ChunkEntry> without_base;
  std::size_t kept = 0;
  for (const ChunkEntry& entry : entries) {
    bool reads = true;
    if (IsDeltaCodec(entry.codec) && marker_->live().Contains(entry.id)) {
      CKPT_ASSIGN_OR_RETURN(reads, HasBase(entry));
    }
    if (reads) {
      entries[kept++] = entry;
    } else {
      without_base.push_back(entry);
    }
  }
  std::copy(without_base.begin(), without_base.end(),
            entries.begin() + static_cast<std::ptrdiff_t>(kept));
  return entries;
}

// Whoever had the chunk from pack `from` finds it at `home`, and what that is the difference from
// where that is (I12): a writer that took entries over claims the packs that it is led to.
Status Collector::LeadToHome(const Id128& from, const Id128& chunk, std::uint32_t home) {
  leads_[from].insert(home & kHomeNumber);
  if ((home & kAsDelta) == 0) return Status();
  CKPT_ASSIGN_OR_RETURN(const auto entry, EntryAt(homes_[(home & kHomeNumber) - 1], chunk));
  if (entry.has_value() && IsDeltaCodec(entry->codec)) LeadToBase(from, entry->base);
  return Status();
}

// `from` is zeros for deltas that were copied: whatever leads to a copy leads to all their bases.
void Collector::LeadToBase(const Id128& from, const Id128& base) {
  const std::uint32_t* home = marker_->live().Find(base);
  if (home != nullptr && *home != 0) {
    leads_[from].insert(*home & kHomeNumber);
    return;
  }
  const auto place = store_->FindDurable(base);  // it was not needed at Survey
  if (!place.has_value()) return;
  homes_.push_back(place->pack_id);
  leads_[from].insert(static_cast<std::uint32_t>(homes_.size()));
}

// What stayed is where it was; all else is in our own packs.
void Collector::FinishLeads() {
  const std::set<std::uint32_t> of_copies = std::move(leads_[Id128()]);
  leads_.erase(Id128());
  for (auto& [from, numbers] : leads_) {
    const bool copied = std::any_of(numbers.begin(), numbers.end(),
                                    [&](std::uint32_t number) { return IsOwnHome(number); });
    if (copied) numbers.insert(of_copies.begin(), of_copies.end());
    for (std::uint32_t number : numbers) {
      const Id128& there = homes_[number - 1];
      const ScannedPack* pack = scan_->Find(there);
      if (pack != nullptr && !list_.contains(there) && !own_->Contains(there)) {
        to_[from][there] = pack->durable_end;
        continue;
      }
      for (const PackReliance& own : own_->Reliance()) to_[from][own.pack_id] = own.up_to;
    }
  }
  leads_.clear();
}

// A survivor that does not verify takes its pack off the list.
Status Collector::CopyChunksOf(const Id128& id, std::uint64_t expected_bytes) {
  CKPT_ASSIGN_OR_RETURN(auto reader,
                        PackReader::Open(store_->packs_dir(), id, store_->format().uuid));
  CKPT_ASSIGN_OR_RETURN(const auto entries, EntriesToCopy(*reader));
  std::uint64_t reported = 0;
  for (const ChunkEntry& entry : entries) {
    dropped_chunks_.push_back(entry.id);
    std::uint32_t* home = marker_->live().Find(entry.id);
    if (home == nullptr) continue;
    const bool delta = IsDeltaCodec(entry.codec);
    const bool is_enough = delta || (*home & kAsDelta) == 0;  // it may be a base
    if (is_enough && IsOwnHome(*home)) {
      leads_[id].insert(*home & kHomeNumber);
      continue;
    }
    if (is_enough && StaysAt(*home)) {
      CKPT_RETURN_IF_ERROR(LeadToHome(id, entry.id, *home));
      continue;
    }
    bool copied_now = false;
    if (delta) {
      CKPT_ASSIGN_OR_RETURN(copied_now, CopyFromHome(entry.id, id, home));
    }
    if (!copied_now) {
      Status copied = own_->CopyChunk(*reader, entry);
      // Saved anew since by somebody who does not rely on this pack.
      if (copied.code() == Code::kCorruption && IsGivenBack(*reader, entry)) continue;
      if (copied.code() == Code::kCorruption) {
        found_damage_.push_back({DamageRecord::kFound, id, entry.offset, entry.id,
                                 DamageTime(store_, id, entry.offset)});
        store_->Notice("packs/" + PackFileName(id) + " is damaged at " +
                       std::to_string(entry.offset) + " and stays as it is: " + copied.message());
        list_.erase(id);
        return Status();
      }
      CKPT_RETURN_IF_ERROR(std::move(copied));
      bool reads = true;
      if (delta) {
        CKPT_ASSIGN_OR_RETURN(reads, HasBase(entry));
        LeadToBase(Id128(), entry.base);
      }
      // One that cannot be read stands for no other copy.
      if (reads) *home = OwnHome() | (delta ? kAsDelta : 0);
    }
    leads_[id].insert(OwnHome());
    if (own_->copied_bytes() - reported >= kReportBytes) {
      reported = own_->copied_bytes();
      CKPT_RETURN_IF_ERROR(store_->Report({"collecting", reported, expected_bytes, 0, 0}));
    }
  }
  return Status();
}

Status Collector::Copy() {
  to_.clear();
  leads_.clear();
  found_damage_.clear();
  dropped_chunks_.clear();
  std::uint64_t expected_bytes = 0;
  for (const Id128& id : list_) {
    const auto usage = usage_.find(id);
    if (usage != usage_.end()) expected_bytes += usage->second.live_bytes;
  }
  for (const Id128& id : Sorted(list_)) CKPT_RETURN_IF_ERROR(CopyChunksOf(id, expected_bytes));
  if (list_.empty() && found_damage_.empty()) {
    AbandonOwn();
    return Status();
  }
  FinishLeads();
  CKPT_ASSIGN_OR_RETURN(auto records, BuildRecords());
  CKPT_RETURN_IF_ERROR(own_->CommitRecords(records));
  collected_.rewritten_bytes += own_->copied_bytes();
  return Status();
}

// Carried records, what damage was found, and a moved record for each pack of the list.
Result<std::vector<OwnPacks::Record>> Collector::BuildRecords() {
  std::vector<OwnPacks::Record> records;
  for (const CarriedRecord& carried : RecordsToCarry(*scan_, *marker_, list_)) {
    CKPT_ASSIGN_OR_RETURN(auto view, store_->packs()->Get(carried.pack->id));
    OwnPacks::Record record;
    CKPT_ASSIGN_OR_RETURN(record.header,
                          view->reader().ReadRecord(carried.record->offset, &record.payload));
    auto* manifest = carried.record->As<Manifest>();
    if (manifest != nullptr && carried.record->staged) {
      // Adopted: what it needs of the tail is in our packs now.
      CKPT_ASSIGN_OR_RETURN(Bytes raw, OwnPacks::DecodedPayload(record));
      CKPT_ASSIGN_OR_RETURN(Manifest adopted, DecodeManifest(raw));
      for (PackReliance& need : adopted.packs) {
        if (need.pack_id == carried.pack->id) {
          need.up_to = std::min(need.up_to, carried.pack->durable_end);
        }
      }
      for (const PackReliance& own : own_->Reliance()) adopted.packs.push_back(own);
      CKPT_ASSIGN_OR_RETURN(Bytes payload, EncodeManifest(adopted));
      record = MakeRecord(RecordType::kManifest, std::move(payload));
    }
    records.push_back(std::move(record));
  }
  for (const DamageRecord& damage : found_damage_) {
    records.push_back(MakeRecord(RecordType::kDamage, EncodeDamage(damage)));
  }
  std::set<Id128> moved_away = list_;
  moved_away.insert(gone_.begin(), gone_.end());
  for (const Id128& id : moved_away) {
    MovedRecord moved;
    moved.epoch = state_.epoch;
    moved.from = id;
    for (const auto& [to, up_to] : to_[id]) moved.to.push_back({to, up_to});
    records.push_back(MakeRecord(RecordType::kMoved, EncodeMoved(moved)));
  }
  return records;
}

// Two hosts whose locks do not cross would see each other's writing here.
Status Collector::CheckOurs() const {
  CKPT_ASSIGN_OR_RETURN(CollectState now, ReadCollectState(store_));
  if (now == state_) return Status();
  return Busy(store_->path() +
              "/collect was changed by another collector: file locks do not seem"
              " to reach between hosts here");
}

Status Collector::Decide() {
  CKPT_RETURN_IF_ERROR(CheckOurs());
  CollectState next = state_;
  next.phase = CollectPhase::kMoved;
  next.condemned = Sorted(list_);
  CKPT_RETURN_IF_ERROR(WriteCollectState(store_, next));
  state_ = std::move(next);
  return Status();
}

Status Collector::RemoveListed(bool broken) {
  bool any = false;
  for (const Id128& id : list_) {
    if (to_break_.contains(id) != broken) continue;
    std::string name = PackFileName(id);
    auto info = store_->packs_dir()->StatEntry(name);
    Status removed = store_->packs_dir()->RemoveFile(name);
    if (removed.code() == Code::kNotFound) continue;
    CKPT_RETURN_IF_ERROR(std::move(removed));
    if (info.ok() && store_->IsHollow(id)) {
      info->size_bytes = std::min(info->size_bytes, info->allocated_bytes);
    }
    if (info.ok()) collected_.freed_bytes += info->size_bytes;
    ++collected_.packs_removed;
    any = true;
  }
  return any ? store_->packs_dir()->Sync() : Status();
}

// Packs of broken writers first, durably: what the sleeper still appends is never seen without its
// chunks (I2).
Status Collector::Unlink() {
  CKPT_RETURN_IF_ERROR(CheckOurs());
  CKPT_RETURN_IF_ERROR(RemoveListed(true));
  return RemoveListed(false);
}

Status Collector::Finish() {
  CKPT_RETURN_IF_ERROR(CheckOurs());
  std::set<Id128> gone = list_;
  for (const Id128& id : list_) to_break_.erase(id);
  list_.clear();
  CKPT_RETURN_IF_ERROR(GiveUpList());
  if (own_ != nullptr) {
    for (const PackReliance& own : own_->Reliance()) {
      auto info = store_->packs_dir()->StatEntry(PackFileName(own.pack_id));
      if (!info.ok()) continue;
      collected_.freed_bytes -= std::min(collected_.freed_bytes, info->size_bytes);
    }
    own_.reset();
    own_homes_.clear();
  }
  CKPT_RETURN_IF_ERROR(store_->Refresh());  // the index learns what is gone and what came
  CKPT_RETURN_IF_ERROR(scan_->Refresh());
  IndexUpdate update;
  update.dropped_packs = Sorted(gone);
  update.dropped_chunks = std::move(dropped_chunks_);
  dropped_chunks_.clear();
  if (store_->index() != nullptr) {
    auto published = store_->index()->Publish(update);  // rows that do not count any more
    (void)published;
  }
  return Status();
}

// (E, idle): nothing is condemned.
Status Collector::GiveUpList() {
  CollectState next = state_;
  next.known = true;
  next.phase = CollectPhase::kIdle;
  next.condemned.clear();
  next.broken = Sorted(to_break_);
  CKPT_RETURN_IF_ERROR(WriteCollectState(store_, next));
  state_ = std::move(next);
  return Status();
}

}  // namespace ckpt
