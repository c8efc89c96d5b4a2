#include "tests/support/sim_content.h"

#include <algorithm>
#include <atomic>
#include <bit>

namespace ckpt {
namespace {

// True when nobody else can see *pointer. The fence orders the last other owner's reads before our
// writes.
template <typename T>
bool Unshared(const std::shared_ptr<T>& pointer) {
  bool unshared = pointer.use_count() == 1;
  std::atomic_thread_fence(std::memory_order_acquire);
  return unshared;
}

// Bits of the blocks [first, last] of a chunk.
std::uint16_t BlockMask(std::uint64_t first, std::uint64_t last) {
  return static_cast<std::uint16_t>((std::uint32_t{2} << last) - (std::uint32_t{1} << first));
}

}  // namespace

SimContent::Chunks& SimContent::OwnChunks() {
  if (!Unshared(chunks_)) chunks_ = std::make_shared<Chunks>(*chunks_);
  return *chunks_;
}

Bytes& SimContent::OwnData(Chunk* chunk, std::size_t size_bytes) {
  if (chunk->data == nullptr) {
    chunk->data = std::make_shared<Bytes>();
  } else if (!Unshared(chunk->data)) {
    chunk->data = std::make_shared<Bytes>(*chunk->data);
  }
  if (chunk->data->size() < size_bytes) chunk->data->resize(size_bytes);
  return *chunk->data;
}

std::size_t SimContent::Read(std::uint64_t offset, MutableByteSpan out) const {
  if (offset >= size_) return 0;
  std::size_t length = std::min<std::uint64_t>(out.size(), size_ - offset);
  std::uint64_t end = offset + length;
  std::uint64_t done = offset;
  auto zeros_up_to = [&](std::uint64_t at) {
    std::fill_n(out.data() + (done - offset), at - done, std::byte{0});
  };
  for (auto it = chunks_->lower_bound(offset / kChunkBytes);
       it != chunks_->end() && it->first * kChunkBytes < end; ++it) {
    if (it->second.data == nullptr) continue;
    std::uint64_t base = it->first * kChunkBytes;
    std::uint64_t from = std::max(offset, base);
    std::uint64_t to = std::min(end, base + it->second.data->size());
    if (from >= to) continue;
    zeros_up_to(from);
    std::copy_n(it->second.data->data() + (from - base), to - from, out.data() + (from - offset));
    done = to;
  }
  zeros_up_to(end);
  return length;
}

void SimContent::Put(std::uint64_t offset, ByteSpan data) {
  Allocate(offset, data.size());
  while (!data.empty()) {
    std::uint64_t within = offset % kChunkBytes;
    std::size_t length = std::min<std::uint64_t>(data.size(), kChunkBytes - within);
    Bytes& bytes = OwnData(&OwnChunks()[offset / kChunkBytes], within + length);
    std::copy_n(data.data(), length, bytes.data() + within);
    offset += length;
    data = data.subspan(length);
  }
}

void SimContent::Allocate(std::uint64_t offset, std::uint64_t length_bytes) {
  if (length_bytes == 0) return;
  Chunks& chunks = OwnChunks();
  std::uint64_t first = offset / kBlockBytes;
  std::uint64_t last = (offset + length_bytes - 1) / kBlockBytes;
  for (std::uint64_t c = first / kBlocksPerChunk; c <= last / kBlocksPerChunk; ++c) {
    std::uint64_t base = c * kBlocksPerChunk;
    Chunk& chunk = chunks[c];
    std::uint16_t mask =
        BlockMask(std::max(first, base) - base, std::min(last, base + kBlocksPerChunk - 1) - base);
    allocated_blocks_ += std::popcount(static_cast<unsigned>(mask & ~chunk.blocks));
    chunk.blocks |= mask;
  }
}

void SimContent::Punch(std::uint64_t offset, std::uint64_t length_bytes) {
  for (std::uint64_t end = std::min(offset + length_bytes, size_); offset < end;) {
    std::uint64_t base = offset / kBlockBytes * kBlockBytes;
    std::uint64_t next = std::min(end, base + kBlockBytes);
    if (IsAllocated(offset)) {
      Chunk& chunk = OwnChunks()[offset / kChunkBytes];
      std::uint64_t within = offset % kChunkBytes;
      if (chunk.data != nullptr && chunk.data->size() > within) {
        Bytes& data = OwnData(&chunk, 0);
        std::size_t length = std::min<std::uint64_t>(next - offset, data.size() - within);
        std::fill_n(data.data() + within, length, std::byte{0});
      }
      if (offset == base && next == base + kBlockBytes) {
        chunk.blocks &= static_cast<std::uint16_t>(~(1u << within / kBlockBytes));
        --allocated_blocks_;
      }
    }
    offset = next;
  }
}

std::uint64_t SimContent::MissingBlocks(std::uint64_t offset, std::uint64_t length_bytes) const {
  if (length_bytes == 0) return 0;
  std::uint64_t missing = 0;
  std::uint64_t last = (offset + length_bytes - 1) / kBlockBytes;
  for (std::uint64_t b = offset / kBlockBytes; b <= last; ++b) {
    missing += !IsAllocated(b * kBlockBytes);
  }
  return missing;
}

bool SimContent::IsAllocated(std::uint64_t offset) const {
  auto it = chunks_->find(offset / kChunkBytes);
  if (it == chunks_->end()) return false;
  return (it->second.blocks >> (offset / kBlockBytes % kBlocksPerChunk) & 1) != 0;
}

void SimContent::Resize(std::uint64_t size_bytes) {
  bool beyond = !chunks_->empty() && (chunks_->rbegin()->first + 1) * kChunkBytes > size_bytes;
  if (beyond) CutTo(size_bytes);
  size_ = size_bytes;
}

void SimContent::CutTo(std::uint64_t size_bytes) {
  Chunks& chunks = OwnChunks();
  auto it = chunks.lower_bound(RoundUp(size_bytes, kChunkBytes) / kChunkBytes);
  for (auto gone = it; gone != chunks.end(); ++gone) {
    allocated_blocks_ -= std::popcount(gone->second.blocks);
  }
  chunks.erase(it, chunks.end());
  std::uint64_t within = size_bytes % kChunkBytes;
  auto last = chunks.find(size_bytes / kChunkBytes);
  if (within == 0 || last == chunks.end()) return;
  Chunk& chunk = last->second;
  std::uint16_t kept = chunk.blocks & BlockMask(0, (within - 1) / kBlockBytes);
  allocated_blocks_ -= std::popcount(static_cast<unsigned>(chunk.blocks & ~kept));
  chunk.blocks = kept;
  if (chunk.data != nullptr && chunk.data->size() > within) OwnData(&chunk, 0).resize(within);
}

std::vector<Extent> SimContent::Extents() const {
  std::vector<Extent> extents;
  auto add = [&](std::uint64_t until, bool hole) {
    std::uint64_t at = extents.empty() ? 0 : extents.back().offset + extents.back().length_bytes;
    until = std::min(until, size_);
    if (until <= at) return;
    if (!extents.empty() && extents.back().hole == hole) {
      extents.back().length_bytes += until - at;
    } else {
      extents.push_back({at, until - at, hole});
    }
  };
  for (const auto& [index, chunk] : *chunks_) {
    for (std::uint64_t b = 0; b < kBlocksPerChunk; ++b) {
      std::uint64_t begin = index * kChunkBytes + b * kBlockBytes;
      add(begin, true);
      add(begin + kBlockBytes, (chunk.blocks >> b & 1) == 0);
    }
  }
  add(size_, true);
  return extents;
}

}  // namespace ckpt
