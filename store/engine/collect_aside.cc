// Setting packs aside (docs/collection.md): an epoch for packs in which something is damaged. It is
// an ordinary one up to SecondLook; then everything that reads true is copied, not only what a root
// needs (what hangs below a damaged node is not known), and instead of Decide and Unlink the files
// are moved, not removed, into the store's folder "quarantine".
//
// The moved records are durable before the first file moves, so a reader finds what was copied, and
// a crash at any moment leaves a store in which everything is where it was or where a moved record
// says. Whoever comes after a crash finds CONDEMNED and begins a new epoch: what is still in packs/
// is copied again, and the first copy is garbage.

#include <algorithm>

#include "store/engine/collect.h"

namespace ckpt {
namespace {

constexpr std::string_view kQuarantineName = "quarantine";
constexpr std::uint64_t kAsideRecordBytes = 4096;  // records of a pack, about, besides those copied

bool DoesNotRead(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kIo ||
         status.code() == Code::kNotFound;
}

const Status& StatusOf(const Status& status) { return status; }
template <typename T>
const Status& StatusOf(const Result<T>& result) {
  return result.status();
}
// What fails once and then reads is no damage: it would be given up for good.
template <typename Work>
auto OnceMoreIfIo(const Work& work) {
  auto done = work();
  return StatusOf(done).code() == Code::kIo ? work() : std::move(done);
}

// Which delta of a chunk: there may be several, of which one cannot be read.
Id128 DeltaKey(const ChunkEntry& entry) {
  Id128 key = entry.id;
  for (std::size_t i = 0; i < key.bytes.size(); ++i) {
    key.bytes[i] ^= entry.base.bytes[(i + 1) % key.bytes.size()];
  }
  return key;
}

std::string PackPath(const Id128& id) { return "packs/" + PackFileName(id); }

}  // namespace

Status Collector::SetAside(const std::set<Id128>& damaged, const std::set<Id128>& gone,
                           std::vector<AsidePack>* aside) {
  CKPT_RETURN_IF_ERROR(Resume());
  CKPT_RETURN_IF_ERROR(SurveyAside(damaged, gone));
  CKPT_RETURN_IF_ERROR(MendState());
  if (list_.empty() && gone_.empty()) return Status();
  CKPT_RETURN_IF_ERROR(Condemn());
  Status s = AwaitForAside();
  if (s.ok()) s = SecondLook();
  if (s.ok()) s = CopyAside(aside);
  if (s.ok()) s = CheckOurs();
  if (s.ok()) s = MoveFilesAside(aside);
  if (!s.ok()) {  // nothing moved, or some did and moved records lead to what was in them
    AbandonOwn();
    own_.reset();
    Status given_up = GiveUpList();
    (void)given_up;
    return s;
  }
  gone_.clear();
  return Finish();
}

Status Collector::SurveyAside(const std::set<Id128>& damaged, const std::set<Id128>& gone) {
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  scan_.emplace(store_);
  CKPT_RETURN_IF_ERROR(scan_->Refresh());
  RaiseEpoch();
  marker_.emplace(store_, ReadTombstones());
  marker_->KeepQuiet();
  std::set<Id128> dead;
  CKPT_RETURN_IF_ERROR(FindAlive(&dead));
  list_.clear();
  kind_ = Kind::kAside;
  for (const Id128& id : damaged) {
    const ScannedPack* pack = scan_->Find(id);
    if (pack == nullptr) continue;
    if (alive_.contains(id)) {
      return Busy(PackPath(id) + " is damaged, and a running writer holds it: end the writer, or" +
                  " say with --break-host that there is none on its host, then repair");
    }
    list_.insert(id);
    Usage& usage = usage_[id];
    usage.file_bytes = pack->file_bytes;
    usage.live_bytes = pack->file_bytes + kAsideRecordBytes;
  }
  CKPT_RETURN_IF_ERROR(marker_->MarkRoots(*scan_, dead));
  FindGone(gone);
  if (list_.size() + gone_.size() > kListMax) return Unsupported("too many packs are damaged");
  return Status();
}

// Those that are known to be, and those that roots lead to.
void Collector::FindGone(const std::set<Id128>& known) {
  std::map<Id128, const MovedRecord*> moves = scan_->Moves();
  for (const Id128& id : known) {
    if (scan_->Find(id) == nullptr && !moves.contains(id)) gone_.insert(id);
  }
  for (const auto& [id, pack] : scan_->packs()) {
    for (const ScannedRecord& record : pack.records) {
      auto* manifest = record.As<Manifest>();
      if (manifest == nullptr || !marker_->IsRoot(id, record)) continue;
      scan_->Resolve(manifest->packs, moves, &gone_);
    }
  }
}

Status Collector::AwaitForAside() {
  std::set<Id128> wanted = list_;
  CKPT_ASSIGN_OR_RETURN(bool acknowledged, AwaitAcks());
  if (!acknowledged) {
    return Busy("a running writer did not acknowledge in time: nothing was changed, try again");
  }
  for (const Id128& id : wanted) {
    if (list_.contains(id)) continue;
    return Busy(PackPath(id) +
                " is damaged, and a running save relies on it: nothing was changed,"
                " try again when it has ended");
  }
  return Status();
}

// Whatever reads true, by directories as readers go; in the order of the file.
Status Collector::CopySound(AsidePack* pack) {
  auto reader = OnceMoreIfIo([&] {
    return PackReader::Open(store_->packs_dir(), pack->id, store_->format().uuid,
                            PackReader::BadHeader::kSalvage);
  });
  if (!reader.ok()) {
    if (DoesNotRead(reader.status())) return Status();  // another store's, say: nothing of ours
    return reader.status();
  }
  CKPT_ASSIGN_OR_RETURN(PackContents contents,
                        OnceMoreIfIo([&] { return (*reader)->ReadFrom(0); }));
  std::vector<ChunkEntry> entries = std::move(contents.chunks);
  entries.insert(entries.end(), contents.tail_chunks.begin(), contents.tail_chunks.end());
  std::sort(entries.begin(), entries.end(),
            [](const ChunkEntry& a, const ChunkEntry& b) { return a.offset < b.offset; });
  for (const ChunkEntry& entry : entries) {
    dropped_chunks_.push_back(entry.id);
    const bool delta = IsDeltaCodec(entry.codec);
    if (kept_in_full_.Contains(entry.id)) continue;
    if (delta && kept_deltas_.Contains(DeltaKey(entry))) continue;
    Status sound = OnceMoreIfIo([&] { return own_->Verify(**reader, entry, false); });
    if (DoesNotRead(sound)) {
      bool tail = entry.offset >= contents.durable_end;
      if (tail || IsGivenBack(**reader, entry)) continue;
      lost_.insert({entry.id, {0, pack->id, entry.offset, entry.id, store_->env()->RealtimeNs()}});
      continue;
    }
    CKPT_RETURN_IF_ERROR(std::move(sound));
    CKPT_RETURN_IF_ERROR(own_->AppendVerified(entry));
    kept_.Insert(entry.id);
    (delta ? kept_deltas_ : kept_in_full_).Insert(delta ? DeltaKey(entry) : entry.id);
    ++pack->kept_chunks;
    CKPT_RETURN_IF_ERROR(store_->Report({"repairing", own_->copied_bytes(), 0, 0, 0}));
  }
  return Status();
}

// A delta is as good as its base, which is in one of our own packs by now or must be in one that
// stays.
Status Collector::FindBaseElsewhere(const ChunkEntry& delta, std::map<Id128, std::uint64_t>* to) {
  if (kept_in_full_.Contains(delta.base)) return Status();
  for (const auto& [id, pack] : scan_->packs()) {
    if (list_.contains(id) || own_->Contains(id)) continue;
    auto view = store_->packs()->Get(id);
    if (!view.ok()) continue;
    auto entry = (*view)->Find(delta.base, true);
    if (!entry.ok() || !entry->has_value() || IsDeltaCodec((*entry)->codec)) continue;
    Status sound = OnceMoreIfIo([&] { return own_->Verify((*view)->reader(), **entry, false); });
    if (!sound.ok() && !DoesNotRead(sound)) return sound;
    if (!sound.ok()) continue;
    std::uint64_t& up_to = (*to)[id];
    up_to = std::max(up_to, pack.durable_end);
    return Status();
  }
  return Corruption("the base of the delta is not there");
}

// What is lost in a pack may be sound in another one, which then stands in for it.
Status Collector::FindElsewhere() {
  std::erase_if(lost_, [&](const auto& lost) { return kept_.Contains(lost.first); });
  for (const auto& [id, pack] : scan_->packs()) {
    if (lost_.empty()) return Status();
    if (list_.contains(id) || own_->Contains(id)) continue;
    CKPT_ASSIGN_OR_RETURN(auto entries, EntriesOf(id, false));
    std::unique_ptr<PackReader> reader;
    for (const ChunkEntry& entry : entries) {
      auto lost = lost_.find(entry.id);
      if (lost == lost_.end()) continue;
      if (reader == nullptr) {
        CKPT_ASSIGN_OR_RETURN(reader,
                              PackReader::Open(store_->packs_dir(), id, store_->format().uuid,
                                               PackReader::BadHeader::kSalvage));
      }
      Status sound = OnceMoreIfIo([&] { return own_->Verify(*reader, entry, false); });
      if (sound.ok() && IsDeltaCodec(entry.codec)) {
        sound = FindBaseElsewhere(entry, &to_[lost->second.pack_id]);
      }
      if (!sound.ok() && !DoesNotRead(sound)) return sound;
      if (!sound.ok()) continue;
      std::uint64_t& up_to = to_[lost->second.pack_id][id];
      up_to = std::max(up_to, pack.durable_end);
      lost_.erase(lost);
    }
  }
  return Status();
}

// What checkpoints need of a pack that is not there, where another pack has it. What nobody has is
// remembered as lost with that pack: one record is enough to make whoever needs it look.
Status Collector::FindForGone(const Id128& gone) {
  std::map<Id128, std::uint64_t>& to = to_[gone];
  std::map<Id128, const MovedRecord*> moves = scan_->Moves();
  bool lost = false;
  for (const auto& [id, pack] : scan_->packs()) {
    for (const ScannedRecord& record : pack.records) {
      auto* manifest = record.As<Manifest>();
      if (manifest == nullptr || !marker_->IsRoot(id, record)) continue;
      std::set<Id128> missing;
      scan_->Resolve(manifest->packs, moves, &missing);
      if (!missing.contains(gone)) continue;
      std::vector<PackReliance> there;
      for (const PackReliance& need : manifest->packs) {
        if (store_->ResolvePacks({need}).ok()) there.push_back(need);
      }
      CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store_, there));
      const auto find = [&](const Id128& chunk) -> std::optional<ChunkEntry> {
        auto place = fetcher->Locate(chunk);
        if (!place.ok() || (list_.contains(place->pack_id) && !kept_.Contains(chunk))) {
          return std::nullopt;
        }
        const ScannedPack* home = scan_->Find(place->pack_id);
        if (list_.contains(place->pack_id)) {
          for (const PackReliance& own : own_->Reliance()) to[own.pack_id] = own.up_to;
        } else if (home != nullptr) {
          to[home->id] = std::max(to[home->id], home->durable_end);
        }
        return place->entry;
      };
      Status walked = VisitEntryTable(manifest->entry_table, fetcher.get(),
                                      [&](const Id128& chunk, std::uint64_t, bool) -> Result<bool> {
                                        auto entry = find(chunk);
                                        if (entry.has_value() && IsDeltaCodec(entry->codec)) {
                                          entry = find(entry->base);
                                        }
                                        lost = lost || !entry.has_value();
                                        return entry.has_value();
                                      });
      if (!walked.ok() && !DoesNotRead(walked)) return walked;
      lost = lost || !walked.ok();
    }
  }
  if (lost) {
    found_damage_.push_back({0, gone, 0, Id128(), store_->env()->RealtimeNs()});
  }
  return Status();
}

Status Collector::CopyAside(std::vector<AsidePack>* aside) {
  to_.clear();
  found_damage_.clear();
  dropped_chunks_.clear();
  for (const Id128& id : list_) {
    AsidePack pack{id, "", usage_[id].file_bytes, 0, 0, 0};
    CKPT_RETURN_IF_ERROR(CopySound(&pack));
    aside->push_back(std::move(pack));
  }
  CKPT_RETURN_IF_ERROR(FindElsewhere());
  for (const Id128& id : list_) {
    for (const PackReliance& own : own_->Reliance()) to_[id][own.pack_id] = own.up_to;
  }
  for (const Id128& id : gone_) CKPT_RETURN_IF_ERROR(FindForGone(id));
  for (const auto& [chunk, damage] : lost_) {
    found_damage_.push_back(damage);
    for (AsidePack& pack : *aside) {
      if (pack.id == damage.pack_id) ++pack.lost_chunks;
    }
  }
  for (const CarriedRecord& carried : RecordsToCarry(*scan_, *marker_, list_)) {
    for (AsidePack& pack : *aside) {
      if (pack.id == carried.pack->id) ++pack.kept_records;
    }
  }
  CKPT_ASSIGN_OR_RETURN(auto records, BuildRecords());
  return own_->CommitRecords(records);
}

// A name that is taken there gets a number: the pack was put back since, and damaged again.
Status Collector::MoveFilesAside(std::vector<AsidePack>* aside) {
  if (aside->empty()) return Status();
  std::uint32_t permissions = kAsItsFolder | (store_->options().group_shared ? 02770u : 0700u);
  Status made = store_->root()->MakeDir(kQuarantineName, permissions);
  if (!made.ok() && made.code() != Code::kExists) return made;
  CKPT_ASSIGN_OR_RETURN(auto folder, store_->root()->OpenDir(kQuarantineName));
  CKPT_RETURN_IF_ERROR(store_->root()->Sync());
  for (AsidePack& pack : *aside) {
    std::string name = PackFileName(pack.id);
    pack.file = name;
    for (int i = 1; folder->StatEntry(pack.file).ok(); ++i) {
      pack.file = name + "." + std::to_string(i);
    }
    CKPT_RETURN_IF_ERROR(store_->packs_dir()->Rename(name, folder.get(), pack.file));
  }
  CKPT_RETURN_IF_ERROR(folder->Sync());
  return store_->packs_dir()->Sync();
}

}  // namespace ckpt
