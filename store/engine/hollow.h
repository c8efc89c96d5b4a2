// Which bytes of a chunk nobody needs can be given back where they lie: the whole blocks inside its
// payload. Its header, its neighbours and everything else stay, so that a pack is walked, listed
// and checked as before (docs/collection.md, "Hollow packs"). Thread rule: pure functions.

#ifndef CKPT_STORE_ENGINE_HOLLOW_H_
#define CKPT_STORE_ENGINE_HOLLOW_H_

#include <cstdint>

#include "store/base/bytes.h"

namespace ckpt {

struct BlockRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t bytes() const { return end - begin; }
};

// Of a record at `offset` of its pack: empty when the payload holds no whole block.
BlockRange PayloadBlocks(std::uint64_t offset, std::uint64_t stored_bytes);
// True when a payload that does not verify may have been given back: one of those blocks is zeros
// (power loss may bring some back).
bool LooksGivenBack(std::uint64_t offset, ByteSpan payload);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_HOLLOW_H_
