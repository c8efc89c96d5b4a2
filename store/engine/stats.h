// What a store holds and what it takes. Costs a walk over the trees of all checkpoints, shared
// subtrees once, and one pass over the packs' directories; no content is read. Where the live
// chunks do not fit into OpenStoreOptions::table_bytes, as often as it takes (id_passes.h). Memory:
// that, one pack's table at a time, and 22 to 45 bytes for each node of the trees and for each base
// of deltas. Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_STATS_H_
#define CKPT_STORE_ENGINE_STATS_H_

#include <cstdint>

#include "store/engine/store.h"

namespace ckpt {

struct StoreStats {
  std::uint64_t series = 0;
  std::uint64_t checkpoints = 0;    // a group of ranks is one
  std::uint64_t logical_bytes = 0;  // of all checkpoints, as if each were a full copy
  std::uint64_t unique_bytes = 0;   // raw bytes of the distinct chunks they need, nodes included
  // Those chunks as stored, headers included, one copy of each, and what their deltas are from.
  std::uint64_t live_bytes = 0;
  std::uint64_t stored_bytes = 0;  // the packs' files
  std::uint64_t chunks = 0;        // distinct, live
  std::uint64_t packs = 0;
  // Chunks that nothing needs, and further copies of chunks. Unmarked tails do not count: their
  // writers may be at work.
  std::uint64_t garbage_bytes = 0;
  std::uint64_t reserve_bytes = 0;  // of stored_bytes: allocated for rm and gc on a full disk
  std::uint64_t index_bytes = 0;
};

// Damaged trees are counted as far as they can be read.
Result<StoreStats> GetStats(Store* store);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_STATS_H_
