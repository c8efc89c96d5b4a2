#include "store/engine/hollow.h"

#include <algorithm>

#include "store/pack/format.h"

namespace ckpt {

BlockRange PayloadBlocks(std::uint64_t offset, std::uint64_t stored_bytes) {
  std::uint64_t payload = offset + kRecordHeaderBytes;
  BlockRange blocks;
  blocks.begin = RoundUp(payload, kBlockBytes);
  blocks.end = (payload + stored_bytes) / kBlockBytes * kBlockBytes;
  blocks.end = std::max(blocks.begin, blocks.end);
  return blocks;
}

bool LooksGivenBack(std::uint64_t offset, ByteSpan payload) {
  BlockRange blocks = PayloadBlocks(offset, payload.size());
  for (std::uint64_t at = blocks.begin; at < blocks.end; at += kBlockBytes) {
    ByteSpan block = payload.subspan(at - offset - kRecordHeaderBytes, kBlockBytes);
    if (std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; })) {
      return true;
    }
  }
  return false;
}

}  // namespace ckpt
