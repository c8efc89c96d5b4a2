// CopyRing: the memory that changed chunks are copied into and written from, allocated and touched
// once, so that a save never waits for the system to find memory.
//
// Bytes are taken in order and given back in the same order. Thread rule: one thread takes, one
// gives back; neither waits here.

#ifndef CKPT_STORE_SESSION_COPY_RING_H_
#define CKPT_STORE_SESSION_COPY_RING_H_

#include <atomic>
#include <cstdint>
#include <cstring>

#include "store/base/bytes.h"
#include "store/io/env.h"

namespace ckpt {

class CopyRing {
 public:
  static constexpr std::uint64_t kAlignBytes = 64;

  // size_bytes() is 0 when there is no memory.
  explicit CopyRing(std::size_t size_bytes) : memory_(RoundUp(size_bytes, 4096)) {
    if (memory_.size() > 0) std::memset(memory_.data(), 0, memory_.size());
  }
  std::size_t size_bytes() const { return memory_.size(); }

  // Contiguous room for `size` bytes, at most size_bytes() / 2; null when there is none now. *end
  // is for Release.
  std::byte* Take(std::size_t size, std::uint64_t* end) {
    std::uint64_t begin = head_;
    const std::uint64_t capacity = memory_.size();
    const std::uint64_t rest = capacity - begin % capacity;
    if (rest < size) begin += rest;
    std::uint64_t after = begin + RoundUp(size, kAlignBytes);
    if (after - tail_.load(std::memory_order_acquire) > capacity) return nullptr;
    *end = head_ = after;
    return memory_.data() + begin % capacity;
  }
  // Everything taken up to `end` is free again.
  void Release(std::uint64_t end) { tail_.store(end, std::memory_order_release); }

 private:
  AlignedBuffer memory_;
  std::uint64_t head_ = 0;  // the taker's
  std::atomic<std::uint64_t> tail_{0};
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_COPY_RING_H_
