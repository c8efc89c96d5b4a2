#include "store/engine/collect_copy.h"

#include <algorithm>
#include <map>

#include "store/codec/hash.h"
#include "store/engine/reserve.h"

namespace ckpt {
namespace {

using AttemptName = std::pair<std::string, AttemptRef>;

// Decides about each record of the list's packs; made once, asked for each.
class Carrier {
 public:
  Carrier(const PackScan& scan, const Marker& marker, const std::set<Id128>& list)
      : scan_(scan), marker_(marker), list_(list), moves_(scan.Moves()) {
    for (const auto& [id, pack] : scan.packs()) {
      for (const ScannedRecord& record : pack.records) Learn(pack, record);
    }
    FindAncestors();
    FindMoves();
  }

  bool Carries(const ScannedPack& pack, const ScannedRecord& record) {
    if (auto* m = record.As<Manifest>()) return CarriesManifest(pack, record, *m);
    if (auto* t = record.As<Tombstone>()) return CarriesTombstone(pack, *t);
    if (auto* a = record.As<AttemptRecord>()) {
      AttemptName name(a->series, a->attempt);
      bool wanted = attempts_.contains(name) || highest_[a->series] == a->attempt;
      return wanted && kept_attempts_.insert(name).second;
    }
    if (auto* d = record.As<DamageRecord>()) {
      // Until the file is gone, nothing may be relied upon in a hollow pack.
      if (d->kind == DamageRecord::kHollow) return scan_.Find(d->pack_id) != nullptr;
      // What was lost with a pack that `repair` set aside, as long as somebody may need it.
      if (scan_.Find(d->pack_id) == nullptr) return needed_moves_.contains(d->pack_id);
      return !list_.contains(d->pack_id);
    }
    if (auto* v = record.As<MovedRecord>()) {
      auto best = moves_.find(v->from);
      return needed_moves_.contains(v->from) && best->second->epoch == v->epoch &&
             kept_moves_.insert(v->from).second;
    }
    return false;  // acknowledgements
  }

 private:
  void Learn(const ScannedPack& pack, const ScannedRecord& record) {
    if (auto* m = record.As<Manifest>()) {
      holders_[StepOf(*m)].insert(pack.id);
      Raise(m->series, m->attempt);
      parents_[{m->series, m->attempt.id}] = {m->has_parent, m->parent_attempt};
      refs_[{m->series, m->attempt.id}] = m->attempt;
      if (!marker_.IsRoot(pack.id, record)) return;
      root_steps_.insert(StepOf(*m));
      attempts_.insert({m->series, m->attempt});
      for (const PackReliance& need : m->packs) needed_moves_.insert(need.pack_id);
      if (!record.staged) durable_manifests_.insert(NameOf(*m));
    } else if (auto* t = record.As<Tombstone>()) {
      Raise(t->series, t->attempt);
    } else if (auto* a = record.As<AttemptRecord>()) {
      Raise(a->series, a->attempt);
      parents_[{a->series, a->attempt.id}] = {a->has_parent, a->parent_attempt};
      refs_[{a->series, a->attempt.id}] = a->attempt;
    }
  }

  void Raise(const std::string& series, const AttemptRef& attempt) {
    AttemptRef& highest = highest_[series];
    if (std::tie(highest.ordinal, highest.id) < std::tie(attempt.ordinal, attempt.id)) {
      highest = attempt;
    }
  }

  void FindAncestors() {
    std::vector<AttemptName> pending(attempts_.begin(), attempts_.end());
    for (const auto& [series, attempt] : highest_) pending.emplace_back(series, attempt);
    while (!pending.empty()) {
      AttemptName name = pending.back();
      pending.pop_back();
      auto parent = parents_.find({name.first, name.second.id});
      if (parent == parents_.end() || !parent->second.first) continue;
      auto ref = refs_.find({name.first, parent->second.second});
      if (ref == refs_.end()) continue;
      AttemptName next(name.first, ref->second);
      if (attempts_.insert(next).second) pending.push_back(next);
    }
  }

  // The names of roots' packs, and of what records that are kept lead to.
  void FindMoves() {
    std::vector<Id128> pending(needed_moves_.begin(), needed_moves_.end());
    while (!pending.empty()) {
      auto moved = moves_.find(pending.back());
      pending.pop_back();
      if (moved == moves_.end()) continue;
      for (const PackReliance& to : moved->second->to) {
        if (needed_moves_.insert(to.pack_id).second) pending.push_back(to.pack_id);
      }
    }
  }

  bool CarriesManifest(const ScannedPack& pack, const ScannedRecord& record, const Manifest& m) {
    if (!marker_.IsRoot(pack.id, record)) return false;
    ManifestName name = NameOf(m);
    if (record.staged && durable_manifests_.contains(name)) return false;
    return kept_manifests_.insert(name).second;  // two of one name are copies
  }

  // Dropped only when nothing it names is left; in other packs of the list there may be, for a
  // moment, while they are unlinked one by one. What it names is still a root when it is later than
  // T0, or lost its mark with the power: then that goes on living, and the tombstone with it.
  bool CarriesTombstone(const ScannedPack& pack, const Tombstone& t) {
    auto holders = holders_.find(NameOf(t));
    if (holders == holders_.end()) return false;
    bool elsewhere = holders->second.size() > holders->second.count(pack.id);
    bool wanted = elsewhere || root_steps_.contains(NameOf(t));
    return wanted && kept_tombstones_.insert(NameOf(t)).second;
  }

  const PackScan& scan_;
  const Marker& marker_;
  const std::set<Id128>& list_;
  const std::map<Id128, const MovedRecord*> moves_;
  std::map<StepName, std::set<Id128>> holders_;  // packs with a manifest of that name
  std::set<StepName> root_steps_;
  std::map<std::string, AttemptRef> highest_;
  std::map<std::pair<std::string, Id128>, std::pair<bool, Id128>> parents_;
  std::map<std::pair<std::string, Id128>, AttemptRef> refs_;
  std::set<AttemptName> attempts_;  // with a root, and their ancestors
  std::set<Id128> needed_moves_;
  std::set<ManifestName> durable_manifests_;
  // Carried already. A copy in a pack off the list does not count: indexes know one place of each
  // record, it may be the one that goes, and the other pack is old news that nobody reads again.
  std::set<ManifestName> kept_manifests_;
  std::set<StepName> kept_tombstones_;
  std::set<AttemptName> kept_attempts_;
  std::set<Id128> kept_moves_;
};

}  // namespace

std::vector<CarriedRecord> RecordsToCarry(const PackScan& scan, const Marker& marker,
                                          const std::set<Id128>& list) {
  Carrier carrier(scan, marker, list);
  std::vector<CarriedRecord> carried;
  for (const Id128& id : list) {
    const ScannedPack* pack = scan.Find(id);
    if (pack == nullptr) continue;
    for (const ScannedRecord& record : pack->records) {
      if (carrier.Carries(*pack, record)) carried.push_back({pack, &record});
    }
  }
  return carried;
}

Result<std::unique_ptr<OwnPacks>> OwnPacks::Open(Store* store, std::uint64_t need_bytes) {
  std::unique_ptr<OwnPacks> own(new OwnPacks(store));
  CKPT_ASSIGN_OR_RETURN(std::uint64_t free, store->packs_dir()->FreeBytes());
  Status s = need_bytes <= free ? own->NewPack() : NoSpace("");
  if (s.ok()) s = own->packs_.back()->Stage();
  if (s.ok()) return own;
  own->Abandon();
  if (s.code() != Code::kNoSpace) return s;
  // A reserve that fills up half way through can never be continued.
  if (need_bytes > ReserveRoom(store)) {
    return NoSpace("neither the disk nor the reserve of " + store->path() + " has room for " +
                   std::to_string(need_bytes) + " bytes that must go on living: free some space" +
                   " by other means, then try again");
  }
  CKPT_ASSIGN_OR_RETURN(auto reserve, ContinueReserve(store));
  own->packs_.push_back(std::move(reserve));
  own->reserve_ = true;
  return own;
}

Status OwnPacks::NewPack() {
  PackWriterOptions options;
  options.store_uuid = store_->format().uuid;
  options.pack_bytes_max = store_->format().pack_bytes_max;
  options.permissions = store_->file_permissions();
  CKPT_ASSIGN_OR_RETURN(auto pack, PackWriter::Create(store_->env(), store_->packs_dir(), options));
  packs_.push_back(std::move(pack));
  return Status();
}

Status OwnPacks::Verify(const PackReader& reader, const ChunkEntry& entry, bool by_header) {
  stored_.resize(entry.stored_bytes);
  if (by_header || IsDeltaCodec(entry.codec)) {
    CKPT_RETURN_IF_ERROR(reader.ReadChunkPayload(entry, true, stored_));
  } else {
    CKPT_RETURN_IF_ERROR(reader.ReadRaw(entry.offset + kRecordHeaderBytes, stored_));
  }
  if (IsDeltaCodec(entry.codec)) return Status();  // its base is looked at by itself
  raw_.resize(entry.raw_bytes);
  CKPT_RETURN_IF_ERROR(decoder_.Decode(entry.codec, entry.codec_param, stored_, raw_));
  if (HashChunk(raw_) != entry.id) return Corruption("the chunk's bytes do not have its id");
  return Status();
}

Status OwnPacks::CopyChunk(const PackReader& reader, const ChunkEntry& entry) {
  CKPT_RETURN_IF_ERROR(Verify(reader, entry, true));
  return AppendVerified(entry);
}

Status OwnPacks::AppendVerified(const ChunkEntry& entry) {
  if (!reserve_ && packs_.back()->BeyondLimit()) {
    CKPT_RETURN_IF_ERROR(packs_.back()->Seal());
    CKPT_RETURN_IF_ERROR(NewPack());
  }
  RecordHeader header;
  header.type = RecordType::kChunk;
  header.codec = entry.codec;
  header.codec_param = entry.codec_param;
  header.raw_bytes = entry.raw_bytes;
  header.id = entry.id;
  CKPT_ASSIGN_OR_RETURN(Placed placed, packs_.back()->Append(header, stored_, entry.base));
  copied_bytes_ += placed.extent_bytes;
  return Status();
}

Status OwnPacks::Write(const std::vector<Record>& records) {
  for (const Record& record : records) {
    CKPT_ASSIGN_OR_RETURN(Placed placed, packs_.back()->Append(record.header, record.payload));
    (void)placed;
  }
  CKPT_RETURN_IF_ERROR(packs_.back()->Commit(true));
  if (reserve_) return Status();  // its marks are flushed with it
  // A checkpoint that lacks a chunk is taken over as it is, but would be dropped from a tail.
  for (auto& pack : packs_) CKPT_RETURN_IF_ERROR(pack->FlushMark());
  return Status();
}

Status OwnPacks::CommitRecords(const std::vector<Record>& records) {
  Status written = Write(records);
  if (written.code() != Code::kNoSpace || reserve_ || copied_bytes_ > 0) return written;
  Abandon();
  CKPT_ASSIGN_OR_RETURN(auto reserve, ContinueReserve(store_));
  packs_.push_back(std::move(reserve));
  reserve_ = true;
  return Write(records);
}

Result<Bytes> OwnPacks::DecodedPayload(const Record& record) {
  if (record.header.codec == 0) return record.payload;
  Bytes raw(record.header.raw_bytes);  // bounded by the header's type
  Decoder decoder;
  CKPT_RETURN_IF_ERROR(
      decoder.Decode(record.header.codec, record.header.codec_param, record.payload, raw));
  return raw;
}

void OwnPacks::Abandon() {
  for (auto& pack : packs_) {
    pack->Abandon();
    store_->packs()->Forget(pack->pack_id());
  }
  packs_.clear();
}

bool OwnPacks::Contains(const Id128& pack_id) const {
  return std::any_of(packs_.begin(), packs_.end(),
                     [&](const auto& pack) { return pack->pack_id() == pack_id; });
}

std::vector<PackReliance> OwnPacks::Reliance() const {
  std::vector<PackReliance> list;
  for (const auto& pack : packs_) list.push_back({pack->pack_id(), pack->end_offset()});
  return list;
}

}  // namespace ckpt
