// An Index in this process's memory: for stores whose index may not be written, for tests, and as
// the overlay over an LmdbIndex that lags (see index.h). Chunks cost about 80 bytes each.

#ifndef CKPT_STORE_INDEX_MEMORY_INDEX_H_
#define CKPT_STORE_INDEX_MEMORY_INDEX_H_

#include <memory>

#include "store/index/index.h"

namespace ckpt {

std::unique_ptr<Index> NewMemoryIndex();

}  // namespace ckpt

#endif  // CKPT_STORE_INDEX_MEMORY_INDEX_H_
