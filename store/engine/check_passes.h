// The second half of a check of a store with more chunks than a table may have: whether everything
// that checkpoints need is in the packs, by ranges of ids (id_passes.h).
//
// Only while nothing at all is amiss: then a chunk is sound when it is listed. Whatever is found,
// or might be, is left to a check that knows every chunk. Memory: OpenStoreOptions::table_bytes,
// one pack's table, and 21 to 43 bytes for each node of the trees. Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_CHECK_PASSES_H_
#define CKPT_STORE_ENGINE_CHECK_PASSES_H_

#include "store/engine/check_trees.h"
#include "store/engine/damage.h"

namespace ckpt {

// False: something is amiss. True: nothing is, and *chunks is how many are sound.
// REQUIRES: the packs were checked, findings->too_many.
Result<bool> NothingIsAmiss(Store* store, TreeChecker* trees, CheckFindings* findings,
                            std::uint64_t* chunks);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHECK_PASSES_H_
