// Marker: which chunks the roots need, and which packs must be left alone because something in them
// that a root needs cannot be read.
//
// Chunks are marked by id; subtrees that checkpoints share are visited once. Memory: an IdTable
// slot (20 bytes, 27 to 54 with free ones) for each distinct chunk, and 21 to 43 bytes for each
// node of the trees. T0, the tombstones, is fixed when the Marker is made: roots only become more.
// Who only looks may mark in passes (id_passes.h). Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_COLLECT_MARK_H_
#define CKPT_STORE_ENGINE_COLLECT_MARK_H_

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "store/engine/collect_scan.h"
#include "store/engine/fetcher.h"
#include "store/engine/id_passes.h"
#include "store/engine/id_table.h"

namespace ckpt {

class Marker {
 public:
  Marker(Store* store, std::set<StepName> tombstones)
      : store_(store), tombstones_(std::move(tombstones)) {}

  // Visits the roots it has not seen yet. `dead` says of a pack that nobody writes into it: what
  // it staged is then verified, and no root when it is not whole.
  // REQUIRES: the store was refreshed after the scan.
  Status MarkRoots(const PackScan& scan, const std::set<Id128>& dead);

  // Forgets all roots; of these that are marked next, chunks of the pass's range alone count, and
  // MarkRoots fails where they are too many. `passes` outlives this.
  void BeginPass(IdPasses* passes);

  // Whoever repairs says himself what is damaged.
  void KeepQuiet() { quiet_ = true; }
  const std::set<StepName>& tombstones() const { return tombstones_; }
  // The chunks needed; values are the user's, 0 at first.
  IdTable<std::uint32_t>& live() { return live_; }
  // False: of the other ranges, so not among live() in any case, and cheaper than to look there.
  bool InPass(const Id128& id) const { return passes_ == nullptr || passes_->range().Contains(id); }
  // A base that a delta among them needs. True: it is new.
  bool NeedBase(const Id128& base) { return live_.Insert(base).second; }
  bool IsRoot(const Id128& pack_id, const ScannedRecord& record) const;
  // Packs that a damaged root resolves to.
  const std::set<Id128>& barred() const { return barred_; }

 private:
  using Place = std::pair<Id128, std::uint64_t>;
  Status MarkOne(const PackScan& scan, const ScannedPack& pack, const ScannedRecord& record,
                 const Manifest& manifest, bool dead);
  Result<Fetcher*> SourceFor(const Manifest& manifest);
  Result<bool> TailIsWhole(const Manifest& manifest);
  Status Walk(const Manifest& manifest);

  Store* const store_;
  const std::set<StepName> tombstones_;
  IdTable<std::uint32_t> live_;
  IdSet nodes_;                 // that were entered; content may have the bytes of a node
  IdPasses* passes_ = nullptr;  // null: everything at once
  std::set<Place> told_;        // roots that were said to be damaged
  bool quiet_ = false;
  std::set<Place> roots_;
  std::set<Place> not_whole_;  // in dead writers' tails
  std::set<Id128> barred_;
  std::set<Id128> suspect_nodes_;  // visited by a walk that did not get to its end
  std::vector<PackReliance> source_packs_;
  std::unique_ptr<Fetcher> source_;
  std::map<Id128, const MovedRecord*> moves_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_COLLECT_MARK_H_
