#include "store/session/chunk_hasher.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "store/codec/hash.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

constexpr std::size_t kWindowBytesLeast = 8u << 20;
constexpr std::size_t kWindowBytesMost = 256u << 20;
// What a thread takes at a time.
constexpr std::size_t kShareBytes = 1u << 20;

}  // namespace

ChunkHasher::ChunkHasher(ByteSpan data, std::size_t chunk_bytes, std::size_t threads,
                         const std::vector<bool>* skipped)
    : data_(data),
      chunk_bytes_(chunk_bytes),
      threads_(threads),
      skipped_(skipped),
      window_bytes_(kWindowBytesLeast) {}

ByteSpan ChunkHasher::Chunk(std::size_t i) const {
  const std::size_t at = i * chunk_bytes_;
  return data_.subspan(at, std::min(chunk_bytes_, data_.size() - at));
}

// Less than two shares are not worth a thread.
Id128 ChunkHasher::Id(std::size_t i) {
  if (i - first_ < ids_.size()) return ids_[i - first_];
  if (threads_ <= 1 || data_.size() - i * chunk_bytes_ < 2 * kShareBytes) {
    return HashChunk(Chunk(i));
  }
  HashWindow(i);
  return ids_.front();
}

void ChunkHasher::HashWindow(std::size_t first) {
  if (first > 0 && !changed_) window_bytes_ = std::min(2 * window_bytes_, kWindowBytesMost);
  if (changed_) window_bytes_ = kWindowBytesLeast;
  changed_ = false;
  const std::size_t left = (data_.size() - first * chunk_bytes_ + chunk_bytes_ - 1) / chunk_bytes_;
  const std::size_t count = std::min(left, std::max<std::size_t>(1, window_bytes_ / chunk_bytes_));
  ids_.resize(count);
  first_ = first;
  const std::size_t share = std::max<std::size_t>(1, kShareBytes / chunk_bytes_);
  std::atomic<std::size_t> taken{0};
  const std::size_t threads = std::min(threads_, (count + share - 1) / share);
  const Status hashed = RunOnThreads(threads, [&](std::size_t) {
    for (std::size_t at; (at = taken.fetch_add(share)) < count;) {
      for (std::size_t i = at; i < std::min(at + share, count); ++i) {
        if (!Skips(first + i)) ids_[i] = HashChunk(Chunk(first + i));
      }
    }
  });
  if (!hashed.ok()) throw std::bad_alloc();
}

}  // namespace ckpt
