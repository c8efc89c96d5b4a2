// Removing checkpoints: tombstones, all or none, durable when the call returns. Their space comes
// back with collection.
//
// Takes no lock of the series: a tombstone is a record like any other, and a save that is under way
// into the series is neither held up nor hurt (docs/collection.md, "The writer").
// Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_REMOVE_H_
#define CKPT_STORE_ENGINE_REMOVE_H_

#include <memory>
#include <string>
#include <vector>

#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt {

// A checkpoint (all its ranks) that is to go.
struct Removal {
  std::shared_ptr<const SeriesView> view;
  CheckpointRow first;
  bool abandoned = false;  // not on the line
};

// The newest checkpoint of the series that is sound: below a sync mark, nothing missing, no damage
// recorded. On the line first; where the line has none, the newest elsewhere. Null: none at all.
Result<const CheckpointRow*> NewestSound(Store* store, const SeriesView& view);

// What these names stand for. NotFound: one of them is not there. InvalidArgument: one is the
// newest sound one of its series (unless `force`).
Result<std::vector<Removal>> PlanRemoval(Store* store, const std::vector<std::string>& names,
                                         bool force);
// `why`: see Tombstone.
Status CommitRemovals(Store* store, const std::vector<Removal>& removals, std::uint8_t why);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_REMOVE_H_
