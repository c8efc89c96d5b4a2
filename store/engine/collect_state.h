// The `collect` file: what collection is under way (docs/format.md, "collect"). Two slots; a change
// goes to the one that does not count at present and is flushed, so one of them is always whole.
//
// Opened anew by name for every look: on a network file system that is what shows another host's
// changes. Keeps I8 (counts bounded by the slot).
// Thread rule: reading by anybody; writing by the holder of locks/collect.

#ifndef CKPT_STORE_ENGINE_COLLECT_STATE_H_
#define CKPT_STORE_ENGINE_COLLECT_STATE_H_

#include <cstdint>
#include <vector>

#include "store/engine/store.h"

namespace ckpt {

enum class CollectPhase : std::uint32_t { kIdle = 0, kCondemned = 1, kMoved = 2 };

// Makes the file of a new store, its blocks allocated: collection writes there on a full disk. What
// a creation left that lost its power is made good; what a collection wrote stays.
Status MakeCollectFile(Dir* root, std::uint32_t permissions);

struct CollectState {
  // False: neither slot is whole (a new store, or the file is lost): nothing is under way, and the
  // epochs that were are not known.
  bool known = false;
  CollectPhase phase = CollectPhase::kIdle;
  std::uint64_t epoch = 0;
  std::vector<Id128> condemned;  // sorted
  // Sorted. Packs of writers that were declared dead, until they are unlinked, whatever the phase.
  std::vector<Id128> broken;
  bool Condemns(const Id128& pack_id) const;
  bool Breaks(const Id128& pack_id) const;
  bool operator==(const CollectState&) const = default;
};

// Condemned and broken packs together that fit.
constexpr std::size_t kCollectPacksMax = 4092;

Result<CollectState> ReadCollectState(Store* store);

// What of the file is neither a state nor zeros.
struct CollectFlaws {
  std::vector<std::uint64_t> slots;  // where in the file
  // More than a write that was cut off leaves: what collection was under way is not known.
  bool lost = false;
};
// None where there is no file: a copy of a store may leave it out.
Result<CollectFlaws> FindCollectFlaws(Store* store);
// Durable, and read back the same, when this is ok.
// REQUIRES: kCollectPacksMax is kept, the lists are sorted.
Status WriteCollectState(Store* store, const CollectState& state);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_COLLECT_STATE_H_
