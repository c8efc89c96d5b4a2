// What of Store's view is missing: packs that are gone although nothing collected them, packs that
// were cut short, records that cannot be read.
//
// Only an index remembers a pack that nobody names any more. It is believed when it saw this very
// folder (by device and inode: a copy of the store is another one) and at most one epoch of
// collection was begun since: a collection leaves a moved record for every pack it takes away, and
// one that drops such a record again is a later epoch. So what the index is told is the last epoch
// that had ended before packs/ was listed, and only when it holds no pack that is gone. What was
// found lost once is marked in the index and stays lost until a moved record says otherwise
// (`repair` writes one) or it is back. Nothing but the rows of checkpoints counts of a lost pack,
// and those read as damaged: the index does not lead (I4). Thread rule: store.h's.

#include "store/engine/collect_state.h"
#include "store/engine/store.h"

namespace ckpt {
namespace {

constexpr std::string_view kWitnessKey = "E";  // -> epoch, device, inode
constexpr std::string_view kLostPrefix =
    "L";  // and a pack's id -> the same, when it was found lost
constexpr std::size_t kToldPerPackMax = 3;

Bytes LostKey(const Id128& pack_id) {
  Bytes key{static_cast<std::byte>(kLostPrefix[0])};
  ByteWriter(&key).Id(pack_id);
  return key;
}

IndexWitness ParseWitness(ByteSpan value) {
  ByteReader r(value);
  IndexWitness witness;
  witness.epoch = r.U64();
  witness.device = r.U64();
  witness.inode = r.U64();
  witness.known = r.ok();
  return witness;
}

Bytes EncodeWitness(const IndexWitness& witness) {
  Bytes value;
  ByteWriter w(&value);
  w.U64(witness.epoch);
  w.U64(witness.device);
  w.U64(witness.inode);
  return value;
}

}  // namespace

// What the index remembers of the folder. One that turns out to be damaged is dropped.
Status Store::LoadWitness() {
  auto index = this->index();
  IndexWitness seen;
  std::map<Id128, IndexWitness> marked;
  Status scanned;
  if (index != nullptr) {
    scanned = index->ScanRecords(AsBytes(kWitnessKey), false,
                                 [&](ByteSpan, ByteSpan value, const Id128&) {
                                   seen = ParseWitness(value);
                                   return false;
                                 });
  }
  if (index != nullptr && scanned.ok()) {
    scanned = index->ScanRecords(AsBytes(kLostPrefix), false,
                                 [&](ByteSpan, ByteSpan value, const Id128& pack_id) {
                                   marked[pack_id] = ParseWitness(value);
                                   return true;
                                 });
  }
  if (!scanned.ok()) return DropIndex();
  std::unique_lock lock(mutex_);
  witness_ = seen;
  marked_lost_ = std::move(marked);
  return Status();
}

// As things are now: the folder, and the epoch that was begun last or, when `ended`, the last that
// takes no more packs away.
Result<IndexWitness> Store::WitnessNow(bool ended) {
  CKPT_ASSIGN_OR_RETURN(CollectState state, ReadCollectState(this));
  CKPT_ASSIGN_OR_RETURN(FileInfo info, packs_dir_->Stat());
  bool known = state.known;
  if (!known) {  // as in a new store, unless it was damaged
    CKPT_ASSIGN_OR_RETURN(CollectFlaws flaws, FindCollectFlaws(this));
    known = flaws.slots.empty();
  }
  const bool under_way = state.phase != CollectPhase::kIdle && state.epoch > 0;
  const std::uint64_t epoch = ended && under_way ? state.epoch - 1 : state.epoch;
  return IndexWitness{known, epoch, info.device, info.inode};
}

std::set<Id128> Store::Unexplained(const std::set<Id128>& present) {
  std::vector<Id128> gone;
  {
    std::shared_lock lock(mutex_);
    for (const auto& [id, covered] : coverage_) {
      // Nothing was ever durable in what is no more than a header: its writer gave it up.
      if (!present.contains(id) && covered.covered_bytes > kPackHeaderBytes) gone.push_back(id);
    }
  }
  std::set<Id128> unexplained;
  for (const Id128& id : gone) {
    bool moved = false;
    Status scanned = ScanRecords(MovedKey(id), false, [&](ByteSpan, ByteSpan, const Id128&) {
      moved = true;
      return false;
    });
    if (scanned.ok() && !moved) unexplained.insert(id);
  }
  return unexplained;
}

// True when the index saw the pack here, and no more than one epoch was begun since.
bool Store::SawItHere(const IndexWitness& now, const Id128& pack_id) const {
  if (!now.known) return false;
  std::shared_lock lock(mutex_);
  auto marked = marked_lost_.find(pack_id);
  if (marked != marked_lost_.end() && marked->second.SamePlace(now)) return true;
  return witness_.SamePlace(now) && witness_.epoch <= now.epoch && now.epoch <= witness_.epoch + 1;
}

// The folder is looked at a second time before a pack is called lost: a listing is not made in one
// moment, and a collection may have gone on while it was. `before`: as it was before any listing.
Status Store::FindLost(const IndexWitness& before, std::set<Id128>* present) {
  std::set<Id128> lost;
  if (index() != nullptr) {
    for (int looks = 0;; ++looks) {
      std::set<Id128> suspects = Unexplained(*present);
      if (suspects.empty()) break;
      CKPT_ASSIGN_OR_RETURN(IndexWitness now, WitnessNow(false));
      std::erase_if(suspects, [&](const Id128& id) { return !SawItHere(now, id); });
      if (suspects.empty() || looks > 0) {
        lost = std::move(suspects);
        break;
      }
      CKPT_RETURN_IF_ERROR(RefreshListed(present));
    }
    CKPT_RETURN_IF_ERROR(RememberLost(before, *present, lost));
    if (index() == nullptr) lost.clear();  // it turned out to be damaged, and told nothing true
  }
  std::unique_lock lock(mutex_);
  lost_ = std::move(lost);
  std::erase_if(cut_, [&](const Id128& id) { return !present->contains(id); });
  return Status();
}

// A failure costs the warning, no more.
Status Store::RememberLost(const IndexWitness& before, const std::set<Id128>& present,
                           const std::set<Id128>& lost) {
  auto index = this->index();
  IndexUpdate update;
  auto add = [&](const PackCoverage& covered, Bytes key, const IndexWitness& now) {
    PackUpdate row;
    row.coverage = covered;
    row.covered_before = covered.covered_bytes;
    row.records.push_back({std::move(key), EncodeWitness(now)});
    update.packs.push_back(std::move(row));
  };
  {
    std::shared_lock lock(mutex_);
    if (index == nullptr || !writable() || !before.known) return Status();
    if (present == watched_ && lost == lost_) return Status();
  }
  bool holds_gone = false;  // packs that were moved, and that it will forget next (ForgetVanished)
  {
    std::shared_lock lock(mutex_);
    for (const auto& [id, covered] : coverage_) {
      holds_gone = holds_gone || (!present.contains(id) && !lost.contains(id));
    }
    bool told = holds_gone || (witness_.SamePlace(before) && witness_.epoch == before.epoch);
    for (const auto& [id, covered] : coverage_) {
      if (lost.contains(id) && !lost_.contains(id)) add(covered, LostKey(id), before);
      if (told || !present.contains(id) || cut_.contains(id)) continue;
      add(covered, Bytes{static_cast<std::byte>(kWitnessKey[0])}, before);
      told = true;
    }
  }
  if (!update.packs.empty()) {
    auto published = index->Publish(update);
    if (published.status().code() == Code::kCorruption) return DropIndex();
    if (!published.ok() || !*published) return Status();
  }
  std::unique_lock lock(mutex_);
  if (!holds_gone) watched_ = present;
  return Status();
}

// What lies below a mark was flushed before the mark was written; the mark itself may be lost with
// the power, and with it its own stage alone.
bool Store::IsCutShort(const PackCoverage& covered, std::uint64_t file_bytes) {
  bool cut = false;
  if (covered.covered_bytes > file_bytes && file_bytes < covered.check_offset) {
    auto now = WitnessNow(false);
    std::shared_lock lock(mutex_);
    cut = now.ok() && witness_.SamePlace(*now);
  }
  std::unique_lock lock(mutex_);
  if (cut) {
    cut_.insert(covered.pack_id);
  } else {
    cut_.erase(covered.pack_id);
  }
  return cut;
}

std::set<Id128> Store::LostPacks() const {
  std::shared_lock lock(mutex_);
  std::set<Id128> lost = lost_;
  lost.insert(cut_.begin(), cut_.end());
  return lost;
}

bool Store::IsLost(const Id128& pack_id) const {
  std::shared_lock lock(mutex_);
  return lost_.contains(pack_id) || cut_.contains(pack_id);
}

std::vector<std::string> Store::UnreadPlaces() {
  std::vector<std::string> places;
  std::shared_lock lock(mutex_);
  for (const auto& [id, state] : states_) {
    for (const UnreadPlace& place : state.unread) {
      if (!place.manifest) continue;
      places.push_back("packs/" + PackFileName(id) + " at " + std::to_string(place.offset) + " (" +
                       place.what + ")");
    }
  }
  return places;
}

void Store::TellOfLosses() {
  std::vector<std::string> news;
  {
    std::unique_lock lock(mutex_);
    auto tell = [&](const Id128& id, std::string text) {
      std::string notice = "packs/" + PackFileName(id) + std::move(text);
      if (told_.insert(notice).second) news.push_back(std::move(notice));
    };
    const std::string advice =
        ": look for it in a copy or backup, see `ckpt-store check`, or give up what was in it with"
        " `ckpt-store repair`";
    for (const Id128& id : lost_) tell(id, " is gone, and no collection moved it" + advice);
    for (const Id128& id : cut_) tell(id, " is shorter than what was durable in it" + advice);
    for (const auto& [id, state] : states_) {
      for (std::size_t i = 0; i < state.unread.size() && i < kToldPerPackMax; ++i) {
        tell(id, " at " + std::to_string(state.unread[i].offset) + ": " + state.unread[i].what +
                     ": checkpoints may be missing from lists; see `ckpt-store check`");
      }
    }
  }
  for (const std::string& notice : news) Notice(notice);
}

}  // namespace ckpt
