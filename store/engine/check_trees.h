// TreeChecker: the second step of a check. Walks the trees of every committed checkpoint and tells
// which of them what the first step found hurts.
//
// First one walk over all of them, shared subtrees once; only when something is amiss, each
// checkpoint that may be touched by it is walked by itself. Staged checkpoints are looked at by
// who restores or adopts them. Thread rule: one owner.

#ifndef CKPT_STORE_ENGINE_CHECK_TREES_H_
#define CKPT_STORE_ENGINE_CHECK_TREES_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/engine/check.h"
#include "store/engine/damage.h"
#include "store/engine/fetcher.h"

namespace ckpt {

class TreeChecker {
 public:
  TreeChecker(Store* store, CheckFindings* findings) : store_(store), findings_(findings) {}

  // Before the packs are read: what is committed later is not this check's affair.
  Status LoadSeries();
  // The first walk with the chunks of the findings' range alone. What it finds is among the
  // findings, and need not be all of it.
  Status WalkRange();
  // Fills the report's checkpoints and newest_sound, and the findings' checkpoints.
  Status Run(CheckReport* report);

 private:
  class Source;
  using Hurt = std::set<std::size_t>;  // places in findings_->damage

  Status FirstWalk(const SeriesView& view);
  Status SecondWalk(const SeriesView& view, CheckReport* report);
  Status HurtOf(const CheckpointRow& row, const std::string& series, Hurt* hurt);
  Status HurtOfTree(const Manifest& manifest, const CheckpointRow& row, Hurt* hurt);
  Status HurtOfPacks(const Manifest& manifest, const CheckpointRow& row, Hurt* hurt);
  bool MayBeHurt(const Manifest& manifest) const;
  // Walks until a walk meets no damage that was not known. `enter` says whether a node or a chunk
  // is new (content may have the bytes of a node).
  template <typename Enter>
  Status Walk(const Manifest& manifest, const CheckpointRow& row, const Enter& enter, Hurt* hurt);
  // Corruption names a hard link without its file.
  Status CheckLinks(const Manifest& manifest, Source* source);
  Status BadChunk(const Id128& id, Fetcher* fetcher, Hurt* hurt);
  bool ReadsNow(const Id128& id, Fetcher* fetcher);
  // True when the checkpoint was removed since the check began.
  Result<bool> IsGone(const CheckpointRow& row, const std::string& series);
  std::size_t BadManifest(const CheckpointRow& row, const Status& why);
  std::size_t CutShort(const Id128& pack_id, std::uint64_t bytes);
  std::size_t DamageAt(const Id128& pack_id, std::uint64_t offset, const std::string& what);
  std::size_t MissingPack(const Id128& pack_id, const std::string& what);
  Status Report();

  Store* const store_;
  CheckFindings* const findings_;
  std::vector<SeriesView> views_;
  std::map<std::string, std::optional<SeriesView>> now_;  // series in which something is amiss
  bool refreshed_ = false;
  bool anything_ = false;          // is amiss
  bool links_ = false;             // hard links were met
  bool stray_ = false;             // chunks are missing that no damaged pack explains
  IdSet nodes_;                    // that the first walk entered
  std::set<Id128> damaged_packs_;  // before the trees were walked
  std::map<Id128, Hurt> by_root_;  // of entry tables
  std::map<Id128, std::size_t> missing_packs_;
  Progress progress_{"checking checkpoints", 0, 0, 0, 0};
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHECK_TREES_H_
