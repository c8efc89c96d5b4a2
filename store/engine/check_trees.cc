#include "store/engine/check_trees.h"

#include <algorithm>

#include "store/engine/verify.h"

namespace ckpt {
namespace {

bool IsDamage(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kNotFound ||
         status.code() == Code::kIo;
}

}  // namespace

// The chunks of a checkpoint; remembers the node that did not read.
class TreeChecker::Source : public ChunkSource {
 public:
  explicit Source(Fetcher* fetcher) : fetcher_(fetcher) {}

  Result<Bytes> GetNode(const Id128& id, std::uint32_t raw_bytes) override {
    auto node = fetcher_->GetNode(id, raw_bytes);
    if (!node.ok() && IsDamage(node.status())) failed_ = id;
    return node;
  }
  Fetcher* fetcher() const { return fetcher_; }
  std::optional<Id128> TakeFailed() { return std::exchange(failed_, std::nullopt); }

 private:
  Fetcher* const fetcher_;
  std::optional<Id128> failed_;
};

Status TreeChecker::Report() {
  ++progress_.done_items;
  return store_->Report(progress_);
}

Status TreeChecker::LoadSeries() {
  CKPT_ASSIGN_OR_RETURN(auto names, ListSeries(store_));
  for (const std::string& name : names) {
    CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store_, name));
    progress_.total_items += view.rows().size();
    views_.push_back(std::move(view));
  }
  return Status();
}

Status TreeChecker::WalkRange() {
  nodes_ = IdSet();
  progress_.done_items = 0;
  for (const SeriesView& view : views_) CKPT_RETURN_IF_ERROR(FirstWalk(view));
  now_.clear();
  return Status();
}

Status TreeChecker::Run(CheckReport* report) {
  anything_ = !findings_->damage.empty();
  for (const FoundDamage& found : findings_->damage) damaged_packs_.insert(found.pack_id);
  for (const Id128& id : store_->LostPacks()) {
    auto there = store_->packs_dir()->StatEntry(PackFileName(id));
    if (there.ok()) {
      CutShort(id, there->size_bytes);
    } else {
      MissingPack(id, PackFileName(id) +
                          " is gone, and no collection moved it: look for it in a"
                          " copy or backup of " +
                          store_->path() + "/packs");
    }
  }
  if (!findings_->too_many) CKPT_RETURN_IF_ERROR(WalkRange());
  for (const SeriesView& view : views_) CKPT_RETURN_IF_ERROR(SecondWalk(view, report));
  return Status();
}

Status TreeChecker::SecondWalk(const SeriesView& view, CheckReport* report) {
  for (const AttemptInfo& attempt : view.attempts()) report->checkpoints += attempt.steps.size();
  std::set<std::pair<AttemptRef, std::int64_t>> hurt;
  for (const CheckpointRow& row : view.rows()) {
    if (!anything_) break;
    if (row.staged) continue;
    Hurt by;
    CKPT_RETURN_IF_ERROR(HurtOf(row, view.series(), &by));
    if (by.empty()) continue;
    hurt.insert({row.attempt, row.step});
    std::string text = FormatCheckpointName(view.series(), row.attempt, row.step);
    for (std::size_t at : by) {
      std::vector<std::string>& list = findings_->damage[at].checkpoints;
      if (list.empty() || list.back() != text) list.push_back(text);
    }
    CKPT_RETURN_IF_ERROR(Report());
  }
  for (const CheckpointRow* first : view.Line()) {
    auto group = view.Group(*first);
    bool staged = std::any_of(group.begin(), group.end(), [](auto* row) { return row->staged; });
    if (staged || !view.Complete(*first) || hurt.contains({first->attempt, first->step})) continue;
    report->newest_sound.push_back({view, *first});
    break;
  }
  return Status();
}

Result<bool> TreeChecker::IsGone(const CheckpointRow& row, const std::string& series) {
  auto [it, fresh] = now_.try_emplace(series);
  if (fresh) {
    CKPT_RETURN_IF_ERROR(store_->Refresh());
    auto view = SeriesView::Load(store_, series);
    if (view.ok()) it->second = *std::move(view);
  }
  if (!it->second.has_value()) return true;
  const AttemptInfo* attempt = it->second->FindAttempt(row.attempt.id);
  return attempt == nullptr || it->second->Find(*attempt, row.step) == nullptr;
}

// Finds what is missing or unreadable anywhere, each node once.
Status TreeChecker::FirstWalk(const SeriesView& view) {
  for (const CheckpointRow& row : view.rows()) {
    if (row.staged) continue;
    CKPT_RETURN_IF_ERROR(Report());
    auto manifest = store_->ReadManifest(row);
    if (!manifest.ok()) {
      if (!IsDamage(manifest.status())) return manifest.status();
      CKPT_ASSIGN_OR_RETURN(bool gone, IsGone(row, view.series()));
      if (!gone) BadManifest(row, manifest.status());
      continue;
    }
    Hurt hurt;
    CKPT_RETURN_IF_ERROR(HurtOfPacks(*manifest, row, &hurt));
    if (!hurt.empty()) continue;
    std::size_t known = findings_->damage.size();
    auto enter = [&](const Id128& id, bool is_node) {
      if (is_node) return nodes_.Insert(id);
      if (!findings_->range.Contains(id)) return false;
      std::uint8_t* bits = findings_->chunks.Insert(id).first;
      bool fresh = (*bits & CheckFindings::kVisited) == 0;
      *bits |= CheckFindings::kVisited;
      return fresh;
    };
    CKPT_RETURN_IF_ERROR(Walk(*manifest, row, enter, &hurt));
    if (findings_->damage.size() == known) continue;
    // The walk broke off somewhere, with nodes marked that were not read to their end.
    CKPT_RETURN_IF_ERROR(HurtOfTree(*manifest, row, &hurt));
  }
  return Status();
}

Status TreeChecker::HurtOf(const CheckpointRow& row, const std::string& series, Hurt* hurt) {
  auto manifest = store_->ReadManifest(row);
  if (!manifest.ok()) {
    if (!IsDamage(manifest.status())) return manifest.status();
    CKPT_ASSIGN_OR_RETURN(bool gone, IsGone(row, series));
    if (gone) return Status();
    hurt->insert(BadManifest(row, manifest.status()));
    return Status();
  }
  CKPT_RETURN_IF_ERROR(HurtOfPacks(*manifest, row, hurt));
  if (!hurt->empty() || !MayBeHurt(*manifest)) return Status();
  const NodeRef& root = manifest->entry_table.root;
  if (root.how != NodeRef::How::kChunk) return HurtOfTree(*manifest, row, hurt);
  auto known = by_root_.find(root.id);
  if (known == by_root_.end()) {
    CKPT_RETURN_IF_ERROR(HurtOfTree(*manifest, row, hurt));
    known = by_root_.emplace(root.id, *hurt).first;
  }
  *hurt = known->second;
  return Status();
}

Status TreeChecker::HurtOfTree(const Manifest& manifest, const CheckpointRow& row, Hurt* hurt) {
  for (;;) {
    IdSet nodes, seen;
    std::size_t known = findings_->damage.size();
    auto enter = [&](const Id128& id, bool is_node) { return (is_node ? nodes : seen).Insert(id); };
    CKPT_RETURN_IF_ERROR(Walk(manifest, row, enter, hurt));
    if (findings_->damage.size() == known) return Status();  // it came to the end
  }
}

bool TreeChecker::MayBeHurt(const Manifest& manifest) const {
  if (stray_) return true;
  auto resolved = store_->ResolvePacks(manifest.packs);
  return !resolved.ok() || std::any_of(resolved->begin(), resolved->end(), [&](const auto& pack) {
    return damaged_packs_.contains(pack.pack_id);
  });
}

// Packs that are gone, or end before what the checkpoint needs of them.
Status TreeChecker::HurtOfPacks(const Manifest& manifest, const CheckpointRow& row, Hurt* hurt) {
  for (const PackReliance& pack : manifest.packs) {
    auto known = missing_packs_.find(pack.pack_id);
    if (known != missing_packs_.end()) {
      hurt->insert(known->second);
      continue;
    }
    auto resolved = store_->ResolvePacks({pack});
    if (!resolved.ok()) {
      if (!IsDamage(resolved.status())) return resolved.status();
      CKPT_ASSIGN_OR_RETURN(bool gone, IsGone(row, manifest.series));
      if (gone) return Status();
      bool there = store_->packs_dir()->StatEntry(PackFileName(pack.pack_id)).ok();
      const std::string& what = resolved.status().message();
      hurt->insert(there ? DamageAt(pack.pack_id, 0, what) : MissingPack(pack.pack_id, what));
      continue;
    }
    for (const PackReliance& there : *resolved) {
      CKPT_ASSIGN_OR_RETURN(auto view, store_->packs()->Get(there.pack_id));
      CKPT_ASSIGN_OR_RETURN(std::uint64_t bytes, view->reader().FileBytes());
      if (bytes >= there.up_to) continue;
      hurt->insert(CutShort(there.pack_id, bytes));
    }
  }
  return Status();
}

template <typename Enter>
Status TreeChecker::Walk(const Manifest& manifest, const CheckpointRow& row, const Enter& enter,
                         Hurt* hurt) {
  auto fetcher = Fetcher::Open(store_, manifest.packs);
  if (!fetcher.ok()) {
    if (!IsDamage(fetcher.status())) return fetcher.status();
    CKPT_ASSIGN_OR_RETURN(bool gone, IsGone(row, manifest.series));
    if (gone) return Status();
    hurt->insert(DamageAt(row.pack_id, row.offset, fetcher.status().message()));
    return Status();
  }
  Source source(fetcher->get());
  auto visit = [&](const Id128& id, std::uint64_t, bool is_node) -> Result<bool> {
    if (!enter(id, is_node)) return false;
    if (!findings_->range.Contains(id) || findings_->IsSound(id)) return true;
    CKPT_RETURN_IF_ERROR(BadChunk(id, fetcher->get(), hurt));
    return findings_->IsSound(id);
  };
  auto on_entry = [&](const Entry& entry) {
    links_ = links_ || entry.kind == EntryKind::kHardLink;
  };
  Status s = VisitEntryTable(manifest.entry_table, &source, visit, on_entry);
  if (s.ok() && links_ && hurt->empty()) s = CheckLinks(manifest, &source);
  if (s.ok() || !IsDamage(s)) return s;
  std::optional<Id128> node = source.TakeFailed();
  if (!node.has_value()) {  // its bytes are true, but they make no sense
    hurt->insert(DamageAt(row.pack_id, row.offset, s.message()));
    stray_ = true;
    return Status();
  }
  *findings_->chunks.Insert(*node).first &= static_cast<std::uint8_t>(~CheckFindings::kSound);
  auto place = (*fetcher)->Locate(*node);
  FoundDamage found;
  found.what = s.message();
  found.pack_missing = !place.ok();
  if (place.ok()) {
    found.pack_id = place->pack_id;
    found.offset = place->entry.offset;
  }
  found.chunks.push_back({*node, found.offset});
  hurt->insert(findings_->damage.size());
  findings_->Add(std::move(found));
  anything_ = stray_ = true;
  return Status();
}

// A link and its file may be in nodes that were met in different checkpoints, so each table with
// links is read from its beginning. Nodes that cannot be read are the walk's affair.
Status TreeChecker::CheckLinks(const Manifest& manifest, Source* source) {
  EntryTableReader table(manifest.entry_table, source);
  for (;;) {
    auto entry = table.Next();
    Status s = entry.status();
    if (s.ok() && !entry->has_value()) return Status();
    if (s.ok() && (*entry)->kind == EntryKind::kHardLink) s = FileOfLink(**entry, &table).status();
    if (s.ok()) continue;
    return IsDamage(s) && source->TakeFailed().has_value() ? Status() : s;
  }
}

// Not seen in any pack: a collector may have moved it while they were read.
bool TreeChecker::ReadsNow(const Id128& id, Fetcher* fetcher) {
  auto place = fetcher->Locate(id);
  if (!place.ok()) return false;
  Decoder decoder;
  Bytes scratch;
  Bytes raw(place->entry.raw_bytes);
  if (!fetcher->ReadChunk(*place, &decoder, &scratch, raw).ok()) return false;
  *findings_->chunks.Insert(id).first |= CheckFindings::kSound;
  return true;
}

Status TreeChecker::BadChunk(const Id128& id, Fetcher* fetcher, Hurt* hurt) {
  auto known = findings_->damage_of.find(id);
  if (known == findings_->damage_of.end()) {
    if (!std::exchange(refreshed_, true)) CKPT_RETURN_IF_ERROR(store_->Refresh());
    if (ReadsNow(id, fetcher)) return Status();
    FoundDamage found;
    auto delta = findings_->without_base.find(id);
    if (delta != findings_->without_base.end()) {
      found = delta->second;
      found.for_its_base = true;
    } else {
      found.pack_missing = true;
      found.what = "chunk " + id.ToHex() + " is in no pack";
      found.chunks.push_back({id, 0});
    }
    findings_->Add(std::move(found));
    anything_ = stray_ = true;
    known = findings_->damage_of.find(id);
  }
  hurt->insert(known->second.begin(), known->second.end());
  return Status();
}

std::size_t TreeChecker::BadManifest(const CheckpointRow& row, const Status& why) {
  bool missing = missing_packs_.contains(row.pack_id);
  return missing ? missing_packs_[row.pack_id] : DamageAt(row.pack_id, row.offset, why.message());
}

std::size_t TreeChecker::CutShort(const Id128& pack_id, std::uint64_t bytes) {
  std::size_t at = DamageAt(pack_id, bytes, "the pack was cut short");
  findings_->damage[at].in_pack = true;
  return at;
}

std::size_t TreeChecker::DamageAt(const Id128& pack_id, std::uint64_t offset,
                                  const std::string& what) {
  anything_ = true;
  damaged_packs_.insert(pack_id);
  std::vector<FoundDamage>& all = findings_->damage;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].pack_missing && all[i].pack_id == pack_id && all[i].offset == offset) return i;
  }
  findings_->Add({pack_id, false, offset, what, {}, {}, false});
  return all.size() - 1;
}

std::size_t TreeChecker::MissingPack(const Id128& pack_id, const std::string& what) {
  anything_ = true;
  findings_->Add({pack_id, true, 0, what, {}, {}, false});
  missing_packs_[pack_id] = findings_->damage.size() - 1;
  return findings_->damage.size() - 1;
}

}  // namespace ckpt
