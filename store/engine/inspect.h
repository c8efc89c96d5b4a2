// Looking into one checkpoint: what its entries take, what is new in them, which packs hold it.
// Costs a walk over its trees and those of the checkpoint before (metadata only: no content is
// read), and 45 bytes of memory a chunk of both. Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_INSPECT_H_
#define CKPT_STORE_ENGINE_INSPECT_H_

#include <functional>
#include <string>

#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt {

struct InspectedEntry {
  const Entry* entry = nullptr;
  std::uint32_t rank = 0;
  std::uint64_t stored_bytes =
      0;                         // of its distinct chunks, headers included; nodes are not counted
  std::uint64_t new_chunks = 0;  // distinct, not in any entry of the checkpoint before
  std::uint64_t new_bytes = 0;   // their raw bytes
  std::string codec;  // "zstd", "raw", "shuffle8+zstd", "delta8+zstd", "mixed"; "": no chunks
};

// Any may be empty. A status that is not ok ends the call with it.
struct InspectVisitor {
  std::function<Status(const SeriesView& view, const CheckpointRow& row)> checkpoint;  // each rank
  std::function<Status(const InspectedEntry&)> entry;
  // Distinct chunks of the checkpoint, nodes and the bases of deltas included, that are read from
  // this pack.
  std::function<Status(const Id128& pack_id, std::uint64_t bytes)> pack;
};

Status InspectCheckpoint(Store* store, const std::string& name, const InspectVisitor& visitor);

// The checkpoint before `row` on the line that leads to it; null: none is left.
const CheckpointRow* CheckpointBefore(const SeriesView& view, const CheckpointRow& row);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_INSPECT_H_
