// The bytes of one simulated file: sparse, and shared between copies until one of them is written
// (a crash test makes thousands of copies). Space is accounted in blocks of 4 KiB.
// Thread rule: a value; the caller's lock guards each copy, copies may live in different threads.

#ifndef CKPT_TESTS_SUPPORT_SIM_CONTENT_H_
#define CKPT_TESTS_SUPPORT_SIM_CONTENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "store/base/bytes.h"
#include "store/io/env.h"

namespace ckpt {

class SimContent {
 public:
  static constexpr std::uint64_t kBlockBytes = 4096;

  std::uint64_t size() const { return size_; }
  std::uint64_t allocated_bytes() const { return allocated_blocks_ * kBlockBytes; }

  // Bytes that were never put read as zero. Answers the bytes read, none past the end.
  std::size_t Read(std::uint64_t offset, MutableByteSpan out) const;
  // Stores bytes and allocates their blocks; the size stays.
  void Put(std::uint64_t offset, ByteSpan data);
  void Allocate(std::uint64_t offset, std::uint64_t length_bytes);
  // Zeros; blocks wholly inside are free again. The size stays.
  void Punch(std::uint64_t offset, std::uint64_t length_bytes);
  // Blocks that Put or Allocate of this range would still need.
  std::uint64_t MissingBlocks(std::uint64_t offset, std::uint64_t length_bytes) const;
  bool IsAllocated(std::uint64_t offset) const;
  // Sets the size. Whatever was stored beyond it is gone for good.
  void Resize(std::uint64_t size_bytes);
  // Sets the size and leaves what is stored, also beyond it: for replays, where a size and the
  // bytes it uncovers arrive in any order. Resize(size()) ends the replay.
  void SetSize(std::uint64_t size_bytes) { size_ = size_bytes; }
  std::vector<Extent> Extents() const;

 private:
  static constexpr std::uint64_t kBlocksPerChunk = 16;
  static constexpr std::uint64_t kChunkBytes = kBlocksPerChunk * kBlockBytes;
  struct Chunk {
    std::shared_ptr<Bytes> data;  // up to kChunkBytes; what is missing is zero
    std::uint16_t blocks = 0;     // one bit for each allocated block
  };
  using Chunks = std::map<std::uint64_t, Chunk>;

  // A map and a chunk's bytes that no other copy sees.
  Chunks& OwnChunks();
  static Bytes& OwnData(Chunk* chunk, std::size_t size_bytes);
  void CutTo(std::uint64_t size_bytes);

  std::shared_ptr<Chunks> chunks_ = std::make_shared<Chunks>();
  std::uint64_t size_ = 0;
  std::uint64_t allocated_blocks_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_SIM_CONTENT_H_
