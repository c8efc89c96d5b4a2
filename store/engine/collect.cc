// Opening, resuming, surveying and choosing; what an epoch does is in collect_epoch.cc.

#include "store/engine/collect.h"

#include <algorithm>
#include <utility>

#include "store/base/quietly.h"
#include "store/engine/reserve.h"

namespace ckpt {
namespace {

// Header, one directory and padding, one mark: what any pack takes besides its records.
constexpr std::uint64_t kPackOverheadBytes = kPackHeaderBytes + 2 * kBlockBytes;
constexpr std::uint64_t kMovedRecordBytes = 160;
// Left free on the disk when packs are rewritten.
constexpr std::uint64_t kSpareBytes = 1u << 20;
// Left free in the reserve when survivors have to go there.
constexpr std::uint64_t kReserveSpareBytes = 256u << 10;
constexpr int kSparseEpochsMax = 64;

std::uint64_t ExtentOf(const ChunkEntry& entry) {
  return RoundUp(kRecordHeaderBytes + entry.stored_bytes, kRecordAlignBytes) + kChunkEntryBytes;
}

}  // namespace

Result<std::unique_ptr<Collector>> Collector::Open(Store* store, CollectOptions options) {
  std::unique_ptr<Collector> collector(new Collector(store, std::move(options)));
  if (collector->options_.dry_run) return collector;
  const CollectOptions& o = collector->options_;
  auto lock = store->LockCollector(o.lock_at_once ? 0 : o.wait_ms);
  if (!lock.ok() && lock.status().code() == Code::kUnsupported) {
    return Unsupported("file locks do not work on the file system of " + store->path() +
                       ", so nobody can tell which writers are alive: collect after copying the"
                       " store to a file system that has locks");
  }
  CKPT_ASSIGN_OR_RETURN(collector->lock_, std::move(lock));
  return collector;
}

Collector::~Collector() {
  Quietly([this] {
    if (own_ != nullptr) own_->Abandon();
  });
}

Status Collector::Run(const std::vector<Removal>& planned, Collected* result) {
  if (!options_.dry_run) CKPT_RETURN_IF_ERROR(Resume());
  CKPT_RETURN_IF_ERROR(Survey(planned));
  if (options_.dry_run) {
    Predict();
    if (in_passes_ && no_room_) {  // what can be given back is known chunk by chunk only
      in_passes_ = false;
      CKPT_RETURN_IF_ERROR(SurveyAtOnce());
      Predict();
    }
  } else {
    Status run = MendState();
    if (run.ok()) run = RunEpochs();
    if (!run.ok()) AbandonOwn();
    own_.reset();
    CKPT_RETURN_IF_ERROR(std::move(run));
    CKPT_RETURN_IF_ERROR(RemoveNeverBegun());
    RenewReserve(store_);
  }
  *result = collected_;
  return Status();
}

Status Collector::RunEpochs() {
  CKPT_ASSIGN_OR_RETURN(bool dead, Choose(Kind::kDead));
  if (dead) CKPT_RETURN_IF_ERROR(RunEpoch());
  for (int i = 0; i < kSparseEpochsMax && collected_.packs_waiting == 0; ++i) {
    CKPT_ASSIGN_OR_RETURN(bool sparse, Choose(Kind::kSparse));
    Status epoch = sparse ? RunEpoch() : Status();
    if (sparse && epoch.ok()) continue;
    bool no_room = sparse ? epoch.code() == Code::kNoSpace : no_room_;
    if (!no_room) {
      CKPT_RETURN_IF_ERROR(std::move(epoch));
      break;
    }
    CKPT_RETURN_IF_ERROR(GiveUpCopy());
    if (!std::exchange(made_room_, true)) {
      CKPT_RETURN_IF_ERROR(MakeRoom());
      continue;
    }
    if (sparse || sparse_left_) {
      store_->Notice(
          "there is no room to rewrite packs that are mostly garbage: remove more"
          " checkpoints, or free some space by other means");
    }
    break;
  }
  // What a collector before this one condemned and nobody chose again.
  if (collected_.packs_waiting == 0 && state_.phase == CollectPhase::kCondemned) {
    return GiveUpList();
  }
  return Status();
}

Status Collector::RunEpoch() {
  CKPT_RETURN_IF_ERROR(Condemn());
  CKPT_ASSIGN_OR_RETURN(bool acknowledged, AwaitAcks());
  if (!acknowledged) {
    collected_.packs_waiting += list_.size();
    AbandonOwn();
    own_.reset();
    return Status();
  }
  CKPT_RETURN_IF_ERROR(SecondLook());
  if (kind_ == Kind::kHollow) {
    CKPT_RETURN_IF_ERROR(MarkHollow());
    return Punch();
  }
  CKPT_RETURN_IF_ERROR(Copy());
  CKPT_RETURN_IF_ERROR(Decide());
  CKPT_RETURN_IF_ERROR(Unlink());
  return Finish();
}

// The disk filled up under the copies, or there was no room to begin with: the packs stay, and may
// be chosen again.
Status Collector::GiveUpCopy() {
  for (const Id128& id : list_) usage_[id].candidate = true;
  AbandonOwn();
  own_.reset();
  list_.clear();
  return state_.phase == CollectPhase::kCondemned ? GiveUpList() : Status();
}

// MOVED: the decision stands, nothing is computed again. CONDEMNED: a new epoch follows; only what
// was broken stays broken.
Status Collector::Resume() {
  CKPT_ASSIGN_OR_RETURN(state_, ReadCollectState(store_));
  to_break_ = {state_.broken.begin(), state_.broken.end()};
  if (state_.phase != CollectPhase::kMoved) return Status();
  list_ = {state_.condemned.begin(), state_.condemned.end()};
  broken_ = to_break_;
  scan_.emplace(store_);
  CKPT_RETURN_IF_ERROR(scan_->Refresh());
  CKPT_RETURN_IF_ERROR(Unlink());
  return Finish();
}

// T0, the roots, and what every pack holds of use.
Status Collector::Survey(const std::vector<Removal>& planned) {
  CKPT_RETURN_IF_ERROR(store_->Report({"collecting", 0, 0, 0, 0}));
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  scan_.emplace(store_);
  CKPT_RETURN_IF_ERROR(scan_->Refresh());
  CKPT_ASSIGN_OR_RETURN(std::vector<Tombstone> left, LeftTombstones());
  if (!options_.dry_run) CKPT_RETURN_IF_ERROR(CommitTombstones(left));
  std::set<StepName> tombstones = ReadTombstones();
  if (options_.dry_run) {
    for (const Tombstone& tombstone : left) tombstones.insert(NameOf(tombstone));
  }
  for (const Removal& removal : planned) {
    tombstones.insert({removal.view->series(), removal.first.attempt, removal.first.step});
  }
  RaiseEpoch();
  marker_.emplace(store_, std::move(tombstones));
  if (!options_.dry_run) return SurveyAtOnce();
  CKPT_ASSIGN_OR_RETURN(bool done, SurveyInPasses());
  if (done) return Status();
  in_passes_ = false;
  return SurveyAtOnce();
}

Status Collector::SurveyAtOnce() {
  std::set<StepName> tombstones = marker_->tombstones();
  marker_.emplace(store_, std::move(tombstones));
  usage_.clear();
  homes_.clear();
  // What a run that was cut off left to do has been done by now, and counted.
  if (options_.dry_run) collected_ = Collected();
  CKPT_RETURN_IF_ERROR(FindCandidates());
  return MeasureUse();
}

// The same where nothing is to be copied: what a pack holds of use is a sum, so where what is live
// does not fit into a table it is taken by ranges of ids. False: there are deltas, whose bases may
// be in any range.
Result<bool> Collector::SurveyInPasses() {
  std::set<Id128> dead;
  CKPT_RETURN_IF_ERROR(FindPacks(&dead));
  std::vector<Id128> order;
  for (const auto& [id, usage] : usage_) order.push_back(id);
  const std::uint64_t ids_most = IdTable<std::uint32_t>::IdsIn(store_->options().table_bytes);
  bool copies = false, deltas = false;
  for (const bool again : {false, true}) {
    passes_.emplace(ids_most, store_->ChunksExpected());
    do {
      CKPT_RETURN_IF_ERROR(MarkRange(dead));
      in_passes_ = !passes_->range().Whole();
      if (!in_passes_) break;
      homes_.clear();
      CKPT_RETURN_IF_ERROR(FindHomesOf(Form::kFull, order, &copies, &deltas));
      if (deltas) return false;
    } while (passes_->Next());
    ExcludeBarred();
    if (!in_passes_) {
      CKPT_RETURN_IF_ERROR(MeasureUse());
      return true;
    }
    if (again || !copies) break;
    ByUse(&order);
    for (auto& [id, usage] : usage_) usage.live_bytes = 0;
  }
  CountRoots();
  return true;
}

Status Collector::MarkRange(const std::set<Id128>& dead) {
  Status marked;
  do {
    marker_->BeginPass(&*passes_);
    marked = marker_->MarkRoots(*scan_, dead);
  } while (!marked.ok() && passes_->BeginAgain());
  return marked;
}

// Above every epoch that anybody acknowledged, whatever is left of `collect`: what a writer claimed
// then says nothing of a new list.
void Collector::RaiseEpoch() { state_.epoch = std::max(state_.epoch, scan_->HighestEpoch()); }

// Slots that are neither whole nor zeros are written over, both if need be.
Status Collector::MendState() {
  for (int slot = 0; slot < 2; ++slot) {
    CKPT_ASSIGN_OR_RETURN(CollectFlaws flaws, FindCollectFlaws(store_));
    if (flaws.slots.empty()) return Status();
    if (state_.known && state_.phase == CollectPhase::kIdle) ++state_.epoch;
    CKPT_RETURN_IF_ERROR(GiveUpList());
  }
  return Status();
}

std::set<StepName> Collector::ReadTombstones() const {
  std::set<StepName> tombstones;
  for (const auto& [id, pack] : scan_->packs()) {
    for (const ScannedRecord& record : pack.records) {
      auto* tombstone = record.As<Tombstone>();
      // A staged one may be lost with the host that wrote it, and nobody was told that it is there.
      if (tombstone != nullptr && !record.staged) tombstones.insert(NameOf(*tombstone));
    }
  }
  return tombstones;
}

// Those that a writer staged and did not live to commit, of checkpoints that are there. Whoever
// looks believes them; an epoch must not, and without room to copy their pack it would be for ever.
// Of a reserve's tail its next writer makes zeros.
Result<std::vector<Tombstone>> Collector::LeftTombstones() const {
  std::set<StepName> there, known = ReadTombstones();
  for (const auto& [id, pack] : scan_->packs()) {
    for (const ScannedRecord& record : pack.records) {
      if (auto* manifest = record.As<Manifest>()) there.insert(StepOf(*manifest));
    }
  }
  std::vector<Tombstone> left;
  for (const auto& [id, pack] : scan_->packs()) {
    for (const ScannedRecord& record : pack.records) {
      auto* tombstone = record.As<Tombstone>();
      if (tombstone == nullptr || !record.staged || pack.reserve) continue;
      if (!there.contains(NameOf(*tombstone)) || known.contains(NameOf(*tombstone))) continue;
      CKPT_ASSIGN_OR_RETURN(bool alive, scan_->Alive(pack));
      if (!alive && known.insert(NameOf(*tombstone)).second) left.push_back(*tombstone);
    }
  }
  return left;
}

// As rm does, before anything is decided.
Status Collector::CommitTombstones(const std::vector<Tombstone>& left) {
  std::vector<PlainRecord> records;
  for (const Tombstone& tombstone : left) {
    CKPT_ASSIGN_OR_RETURN(Bytes payload, EncodeTombstone(tombstone));
    records.push_back({RecordType::kTombstone, std::move(payload)});
  }
  if (records.empty()) return Status();
  Status written = WriteRecords(store_, records);
  if (written.code() == Code::kNoSpace) return Status();  // the reserve is full, too
  CKPT_RETURN_IF_ERROR(std::move(written));
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  return scan_->Refresh();
}

// Which packs have a live writer, and which writers are declared dead.
Status Collector::FindAlive(std::set<Id128>* dead) {
  std::set<Id128> hosts;
  if (!options_.break_host_name.empty()) {
    hosts = scan_->HostsNamed(options_.break_host_name);
    if (hosts.empty()) {
      return NotFound("nothing in " + store_->path() + " was written on a host named '" +
                      options_.break_host_name + "'");
    }
  }
  for (const auto& [id, pack] : scan_->packs()) {
    CKPT_ASSIGN_OR_RETURN(bool alive, scan_->Alive(pack));
    if (alive && (hosts.contains(pack.host) || scan_->StartedAgain(pack))) {
      CKPT_ASSIGN_OR_RETURN(bool locked, scan_->Locked(pack));
      if (!locked) to_break_.insert(id);
    }
    if (to_break_.contains(id)) alive = false;
    if (alive) alive_.insert(id);
    if (!alive) dead->insert(id);
  }
  return Status();
}

Status Collector::FindCandidates() {
  std::set<Id128> dead;
  CKPT_RETURN_IF_ERROR(FindPacks(&dead));
  CKPT_RETURN_IF_ERROR(marker_->MarkRoots(*scan_, dead));
  ExcludeBarred();
  return Status();
}

Status Collector::FindPacks(std::set<Id128>* dead) {
  CKPT_RETURN_IF_ERROR(FindAlive(dead));
  std::optional<Id128> reserve = CurrentReserve(store_);
  for (const auto& [id, pack] : scan_->packs()) {
    Usage& usage = usage_[id];
    usage.file_bytes = usage.stored_bytes = pack.file_bytes;
    if (store_->IsHollow(id)) usage.stored_bytes = std::min(pack.file_bytes, pack.allocated_bytes);
    usage.candidate = dead->contains(id) && pack.began && !pack.unusable && id != reserve;
  }
  return Status();
}

void Collector::ExcludeBarred() {
  for (auto& [id, usage] : usage_) {
    if (marker_->barred().contains(id)) usage.candidate = false;
  }
}

Result<std::vector<ChunkEntry>> Collector::EntriesOf(const Id128& id, bool tail) const {
  auto reader = PackReader::Open(store_->packs_dir(), id, store_->format().uuid,
                                 PackReader::BadHeader::kSalvage);
  if (!reader.ok()) {
    Code code = reader.status().code();
    if (code == Code::kNotFound || code == Code::kCorruption || code == Code::kUnsupported) {
      return std::vector<ChunkEntry>();
    }
    return reader.status();
  }
  CKPT_ASSIGN_OR_RETURN(PackContents contents, (*reader)->ReadFrom(0));
  return tail ? std::move(contents.tail_chunks) : std::move(contents.chunks);
}

// Each chunk in use has one home; its other copies are garbage. Packs that stay anyway come first,
// then those that hold most of use, then unmarked tails, and hollow packs last: what one of those
// alone has is surely there, what others have too may have been given back in it. That order
// matters only where chunks have copies, and is known only when all packs were read: then again.
Status Collector::MeasureUse() {
  std::vector<Id128> order;
  for (const auto& [id, usage] : usage_) order.push_back(id);
  bool copies = false;
  CKPT_RETURN_IF_ERROR(FindHomes(order, &copies));
  if (copies) {
    ByUse(&order);
    marker_->live().ForEach([](const Id128&, std::uint32_t& home) { home = 0; });
    homes_.clear();
    for (auto& [id, usage] : usage_) usage.live_bytes = 0;
    CKPT_RETURN_IF_ERROR(FindHomes(order, &copies));
  }
  CountRoots();
  return Status();
}

void Collector::ByUse(std::vector<Id128>* order) {
  auto rank = [&](const Id128& id) {
    const Usage& usage = usage_.at(id);
    if (!usage.candidate) return -2.0;
    return -static_cast<double>(usage.held_bytes) / static_cast<double>(usage.file_bytes + 1);
  };
  std::stable_sort(order->begin(), order->end(),
                   [&](const Id128& a, const Id128& b) { return rank(a) < rank(b); });
}

void Collector::CountRoots() {
  for (const auto& [id, pack] : scan_->packs()) {
    for (const ScannedRecord& record : pack.records) {
      if (record.As<Manifest>() == nullptr || !marker_->IsRoot(id, record)) continue;
      ++usage_[id].roots;
      usage_[id].live_bytes += record.extent_bytes + kRecordEntryBytes;
    }
  }
}

// In this order. *copies: some chunk is in several packs. Full copies come before deltas wherever
// they are, and a base has its home only where it is in full (I12).
Status Collector::FindHomes(const std::vector<Id128>& order, bool* copies) {
  bool deltas = false, new_bases = false;
  without_base_ = false;
  CKPT_RETURN_IF_ERROR(FindHomesOf(Form::kFull, order, copies, &deltas));
  if (deltas) CKPT_RETURN_IF_ERROR(FindHomesOf(Form::kDelta, order, copies, &new_bases));
  if (without_base_) {
    CKPT_RETURN_IF_ERROR(FindHomesOf(Form::kDeltaWithoutBase, order, copies, &new_bases));
  }
  return new_bases ? FindHomesOf(Form::kFull, order, copies, &deltas) : Status();
}

// Whether what the delta is from is there, in full: of a delta that nobody needed it may be gone.
Result<bool> Collector::HasBase(const ChunkEntry& delta) {
  const std::uint32_t* home = marker_->live().Find(delta.base);
  if (home != nullptr && *home != 0) return (*home & kAsDelta) == 0;
  if (auto place = store_->FindDurable(delta.base); place.has_value()) {
    if (!IsDeltaCodec(place->entry.codec)) return true;
  }
  CKPT_ASSIGN_OR_RETURN(auto bases, Fetcher::Open(store_, {}));
  auto place = bases->Locate(delta.base);
  if (!place.ok() && place.status().code() != Code::kCorruption) return place.status();
  return place.ok() && !IsDeltaCodec(place->entry.codec);
}

Status Collector::FindHomesOf(Form form, const std::vector<Id128>& order, bool* copies,
                              bool* more) {
  for (const Id128& id : order) {
    if (store_->IsHollow(id)) continue;
    CKPT_RETURN_IF_ERROR(AssignHomes(id, false, form, copies, more));
    CKPT_RETURN_IF_ERROR(store_->Report({"collecting", 0, 0, homes_.size(), 0}));
  }
  bool ignored = false;
  for (const Id128& id : order) {
    if (IsDead(id)) {
      CKPT_RETURN_IF_ERROR(AssignHomes(id, true, form, &ignored, more));
    } else {
      bool deltas = false, new_bases = false;
      CKPT_RETURN_IF_ERROR(NeedBasesOf(id, true, &deltas, &new_bases));
      *more = *more || (form == Form::kFull ? deltas : new_bases);
    }
  }
  for (const Id128& id : order) {
    if (!store_->IsHollow(id)) continue;
    CKPT_RETURN_IF_ERROR(AssignHomes(id, false, form, &ignored, more));
  }
  return Status();
}

// Of what is needed, whatever is a delta there needs its base: also what a living writer staged,
// which stays where it is. *deltas: there are any at all; *new_bases: one is needed that was not.
Status Collector::NeedBasesOf(const Id128& id, bool tail, bool* deltas, bool* new_bases) {
  const ScannedPack* pack = scan_->Find(id);
  if (pack == nullptr || (tail && pack->durable_end == pack->file_bytes)) return Status();
  CKPT_ASSIGN_OR_RETURN(auto entries, EntriesOf(id, tail));
  for (const ChunkEntry& entry : entries) {
    if (!IsDeltaCodec(entry.codec)) continue;
    *deltas = true;
    if (marker_->live().Contains(entry.id) && marker_->NeedBase(entry.base)) *new_bases = true;
  }
  return Status();
}

// *more: of the full ones, that there are deltas, too; of these, that a base is needed that was
// not.
Status Collector::AssignHomes(const Id128& id, bool tail, Form form, bool* copies, bool* more) {
  const ScannedPack* pack = scan_->Find(id);
  if (tail && (pack == nullptr || pack->durable_end == pack->file_bytes)) return Status();
  CKPT_ASSIGN_OR_RETURN(auto entries, EntriesOf(id, tail));
  homes_.push_back(id);
  const std::uint32_t number = static_cast<std::uint32_t>(homes_.size()) | (tail ? kInTail : 0) |
                               (form == Form::kFull ? 0 : kAsDelta);
  Usage& usage = usage_[id];
  for (const ChunkEntry& entry : entries) {
    if (!marker_->InPass(entry.id)) continue;
    std::uint32_t* home = marker_->live().Find(entry.id);
    if (home == nullptr) continue;
    const bool delta = IsDeltaCodec(entry.codec);
    if (delta != (form != Form::kFull)) {
      *more = *more || delta;
      continue;
    }
    if (form == Form::kDelta && *home == 0) {
      CKPT_ASSIGN_OR_RETURN(bool has_base, HasBase(entry));
      without_base_ = without_base_ || !has_base;
      if (!has_base) continue;
    }
    if (form != Form::kDeltaWithoutBase || *home == 0) {
      usage.held_bytes += ExtentOf(entry);
      if (*home != 0 && homes_[(*home & kHomeNumber) - 1] != id) *copies = true;
    }
    const bool barred = !tail && store_->IsBarred({id, entry});
    if (*home == 0 && !barred) {
      *home = number;
      usage.live_bytes += ExtentOf(entry);
    }
    // Also of a copy that is no home: what the home has may not be readable after all. Last, since
    // it moves what `home` points to.
    if (delta && !barred && marker_->NeedBase(entry.base)) *more = true;
  }
  return Status();
}

// An upper bound of what a copy of what these packs hold of use takes.
std::uint64_t Collector::CopyBytes(const std::set<Id128>& list) const {
  std::uint64_t bytes = kPackOverheadBytes + list.size() * kMovedRecordBytes;
  for (const Id128& id : list) bytes += usage_.at(id).live_bytes;
  for (const CarriedRecord& carried : RecordsToCarry(*scan_, *marker_, list)) {
    if (carried.record->As<Manifest>() != nullptr) continue;  // among the live bytes
    bytes += carried.record->extent_bytes + kRecordEntryBytes;
  }
  return bytes;
}

void Collector::ChooseDead() {
  std::uint64_t bytes = 0;
  for (const auto& [id, usage] : usage_) {
    bool broken = to_break_.contains(id);
    bool dead = usage.live_bytes == 0 && usage.roots == 0;
    if (!usage.candidate || (!dead && !broken) || list_.size() >= kListMax) continue;
    list_.insert(id);
    bytes += usage.file_bytes;
    if (broken) broken_.insert(id);
  }
  // Small records that live on make a pack that is dead again next time: no epoch for nothing.
  if (broken_.empty() && bytes <= CopyBytes(list_)) list_.clear();
}

Status Collector::ChooseSparse() {
  CKPT_ASSIGN_OR_RETURN(std::uint64_t free, store_->packs_dir()->FreeBytes());
  std::vector<std::pair<double, Id128>> order;
  for (const auto& [id, usage] : usage_) {
    double share =
        static_cast<double>(usage.live_bytes) / static_cast<double>(usage.file_bytes + 1);
    if (usage.candidate && share < options_.live_share) order.emplace_back(share, id);
  }
  std::sort(order.begin(), order.end());
  // On a full disk the survivors of one pack may fit into the reserve.
  std::uint64_t reserve = ReserveRoom(store_);
  free -= std::min(free, kSpareBytes);
  reserve -= std::min(reserve, kReserveSpareBytes);
  std::uint64_t room = std::max(free, reserve), need = 0, gone = 0;
  for (const auto& [share, id] : order) {
    const Usage& usage = usage_.at(id);
    if (need + usage.live_bytes > room || list_.size() >= kListMax) break;
    need += usage.live_bytes;
    gone += usage.file_bytes;
    list_.insert(id);
  }
  const bool some_do_not_fit = list_.size() < order.size();
  if (gone <= CopyBytes(list_)) list_.clear();
  sparse_left_ = list_.empty() && some_do_not_fit;
  no_room_ = sparse_left_ || (list_.empty() && free == 0);
  return Status();
}

Result<bool> Collector::Choose(Kind kind) {
  list_.clear();
  broken_.clear();
  std::erase_if(usage_, [&](const auto& usage) { return scan_->Find(usage.first) == nullptr; });
  if (kind == Kind::kDead) ChooseDead();
  if (kind == Kind::kSparse) CKPT_RETURN_IF_ERROR(ChooseSparse());
  if (kind == Kind::kHollow) CKPT_RETURN_IF_ERROR(ChooseHollow());
  kind_ = kind;
  if (kind == Kind::kHollow) return !list_.empty();
  for (const Id128& id : list_) usage_[id].candidate = false;  // once a run
  return !list_.empty();
}

void Collector::Predict() {
  std::set<Id128> taken;
  for (Kind kind : {Kind::kDead, Kind::kSparse}) {
    auto chosen = Choose(kind);
    if (!chosen.ok() || !*chosen) continue;
    std::uint64_t copy = CopyBytes(list_), bytes = 0, live = 0;
    for (const Id128& id : list_) {
      bytes += usage_[id].stored_bytes;
      live += usage_[id].live_bytes;
    }
    collected_.freed_bytes += bytes - std::min(bytes, copy);
    collected_.rewritten_bytes += live;
    collected_.packs_removed += list_.size();
  }
  if (!no_room_) return;
  auto hollow = Choose(Kind::kHollow);
  if (hollow.ok() && *hollow) collected_.freed_bytes += punchable_;
}

// Files of packs that nobody began: a writer died between making the file and its first write. Held
// locked while they go, so that one that is just being made is not among them.
Status Collector::RemoveNeverBegun() {
  for (const auto& [id, pack] : scan_->packs()) {
    if (pack.began) continue;
    std::string name = PackFileName(id);
    auto file = store_->packs_dir()->OpenFile(name, {.mode = OpenMode::kReadWrite});
    if (!file.ok()) continue;
    auto locked = (*file)->TryLock();
    if (!locked.ok() || !*locked) continue;
    auto reader = PackReader::Open(store_->packs_dir(), id, store_->format().uuid);
    if (reader.ok() || reader.status().code() != Code::kNotFound) continue;
    Status removed = store_->packs_dir()->RemoveFile(name);
    (void)removed;
  }
  return Status();
}

}  // namespace ckpt
