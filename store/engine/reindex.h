// Building the index anew from the packs' directories: Store::Reindex (store.h) and when it pays.
//
// Sealed packs' sorted directories are read piecemeal and merged by id with the sorted tables of
// the others, so that rows are appended in order. Memory: 64 MiB of read buffers (4 KB a pack where
// there are more than 16,000), 56 bytes a chunk of packs that are not sealed, the records, and what
// IndexBuilder needs. Where these chunks take more than a quarter of OpenStoreOptions::table_bytes,
// the packs beyond that are read once more for each part of theirs that fits into another quarter.
// Thread rule: as of Store.

#ifndef CKPT_STORE_ENGINE_REINDEX_H_
#define CKPT_STORE_ENGINE_REINDEX_H_

#include "store/engine/store.h"

namespace ckpt {

// True when this host's index is empty and the packs hold so much that building in bulk is worth
// it (a host's first save into a large store).
bool WorthReindexing(Store* store);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_REINDEX_H_
