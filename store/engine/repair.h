// Repairing a store: what is damaged is set aside, never deleted, and what is sound goes on in its
// place (docs/reliability.md, "Repair").
//
// First the store is read over like `check` does; then packs in which something is damaged, and
// names of packs that are gone, are one epoch of the collector's (Collector::SetAside). Killed at
// any moment, it is begun again from nothing. Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_REPAIR_H_
#define CKPT_STORE_ENGINE_REPAIR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "store/engine/check.h"
#include "store/engine/collect.h"

namespace ckpt {

struct RepairOptions {
  bool dry_run = false;          // takes no lock, writes nothing
  std::int64_t wait_ms = 10000;  // for the collector's lock, and for writers to acknowledge
  std::string break_host_name;   // see CollectOptions
};

struct LostCheckpoint {
  std::string name;  // SERIES@ATTEMPT:STEP
  // Entries that cannot be restored. With `all`, none can be: its manifest cannot be read, or with
  // `rest`, none that come after those in the table.
  std::vector<std::string> entries;
  bool all = false;
  bool rest = false;
};

struct RepairReport {
  // What was found; its newest_sound is what can be restored now.
  CheckReport found;
  std::vector<AsidePack> packs;  // in a dry run: those that would be set aside
  std::vector<Id128> gone;       // packs that are not there
  std::vector<LostCheckpoint> lost;
  // Manifests that cannot be read, nobody knows of which checkpoints; there may be copies of them.
  std::uint64_t unnamed = 0;
};

// Busy: another collector, or a live writer that is in the way; nothing was changed.
Result<RepairReport> RepairStore(Store* store, const RepairOptions& options);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_REPAIR_H_
