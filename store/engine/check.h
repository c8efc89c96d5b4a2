// Reading a store over and verifying it, in three steps: the packs (check_packs.h), the trees of
// all checkpoints (check_trees.h), the memory of what was found (damage.h).
//
// Works through a read-only handle, on a read-only mount and beside live writers: what lies behind
// a pack's last sync mark is never damage. Memory: 23 to 46 bytes a distinct chunk, where nothing
// is amiss, given back in place or torn in a writer's tail, no more than
// OpenStoreOptions::table_bytes (check_passes.h); 21 to 43 bytes a node of
// the trees, one pack's table, and about 8 MiB of buffers a thread. Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_CHECK_H_
#define CKPT_STORE_ENGINE_CHECK_H_

#include <vector>

#include "store/engine/damage.h"
#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt {

struct CheckOptions {
  bool quick = false;           // directories, records, trees; no content
  double part_percent = 100.0;  // of the payload bytes of chunks, runs of them chosen at random
  // What is found is recorded through a handle that may write; with this through any, as far as the
  // store may be written.
  bool record_when_reading = false;
  bool record = true;  // false: nothing is, whatever the handle
};

struct SoundCheckpoint {
  SeriesView view;
  CheckpointRow row;  // of the least rank
};

struct CheckReport {
  std::vector<FoundDamage> damage;            // by pack and offset
  std::vector<SoundCheckpoint> newest_sound;  // one a series that has one
  std::uint64_t packs = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t chunks = 0;  // distinct
  std::uint64_t verified_bytes = 0;
  std::uint64_t recorded = 0;  // places, as damaged or as true again
};

// Ok also when there is damage. A notice says when it could not be recorded.
Result<CheckReport> CheckStore(Store* store, const CheckOptions& options);
// The same with all chunks at once, for who asks afterwards which are sound. `findings`' damage is
// the report's.
Result<CheckReport> CheckStore(Store* store, const CheckOptions& options, CheckFindings* findings);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHECK_H_
