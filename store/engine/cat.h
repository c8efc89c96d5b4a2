// One entry's bytes in order, verified, read ahead by several threads in bounded memory (about
// 8 MiB, or two chunks where that is more). Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_CAT_H_
#define CKPT_STORE_ENGINE_CAT_H_

#include <functional>
#include <string>

#include "store/engine/store.h"

namespace ckpt {

// Calls `write` for the bytes [offset, offset + length) of the entry, as far as it has them; holes
// as zeros. InvalidArgument: a folder or link. Corruption: what came before it is true.
Status CatEntry(Store* store, const std::string& checkpoint, const std::string& name,
                std::uint64_t offset, std::uint64_t length_bytes,
                const std::function<Status(ByteSpan)>& write);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CAT_H_
