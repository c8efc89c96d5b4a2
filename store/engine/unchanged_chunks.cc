#include "store/engine/unchanged_chunks.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>

#include "store/codec/hash.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kWindowBytesLeast = 4u << 20;
constexpr std::uint64_t kWindowBytesMost = 32u << 20;
constexpr std::uint64_t kSkipBytesMost = 64u << 20;

}  // namespace

UnchangedChunks::UnchangedChunks(const TreeRef& before, ChunkSource* source,
                                 std::size_t chunk_bytes_max, int threads)
    : before_(before, source),
      chunk_bytes_max_(chunk_bytes_max),
      buffers_(static_cast<std::size_t>(std::max(1, threads))),
      window_bytes_(kWindowBytesLeast) {
  for (Bytes& buffer : buffers_) buffer.resize(chunk_bytes_max_);
  ReadAhead();
}

void UnchangedChunks::ReadAhead() {
  auto next = before_.Next();
  ahead_ = next.ok() ? *std::move(next) : std::nullopt;
}

// A chunk behind which a hole or the end came was cut there for that reason alone: it says
// something only of data that ends there, too.
std::uint64_t UnchangedChunks::FillWindow(std::uint64_t offset, std::uint64_t end) {
  window_.clear();
  next_ = 0;
  std::uint64_t bytes = 0;
  while (ahead_.has_value() && ahead_offset_ < end && bytes < window_bytes_) {
    Guess guess{ahead_offset_, *std::move(ahead_)};
    const std::uint64_t length = guess.item.raw_bytes;
    ahead_offset_ += length;
    ReadAhead();
    if (guess.item.kind != ChunkItem::Kind::kChunk || length > chunk_bytes_max_) continue;
    if (guess.offset < offset || ahead_offset_ > end) continue;
    const bool closes = !ahead_.has_value() || ahead_->kind == ChunkItem::Kind::kHole;
    if (closes && ahead_offset_ != end) continue;
    bytes += length;
    window_.push_back(std::move(guess));
  }
  return bytes < window_bytes_ ? end : ahead_offset_;
}

Status UnchangedChunks::LookAtWindow(File* file) {
  std::atomic<std::size_t> taken{0};
  std::mutex mutex;
  Status status;  // guarded by mutex
  auto work = [&](std::size_t thread) {
    for (std::size_t i; (i = taken++) < window_.size();) {
      Guess& guess = window_[i];
      MutableByteSpan bytes(buffers_[thread].data(), guess.item.raw_bytes);
      Result<std::size_t> got = file->ReadAt(guess.offset, bytes);
      if (!got.ok()) {
        std::lock_guard lock(mutex);
        status = got.status();
        return;
      }
      guess.holds = *got == bytes.size() && HashChunk(bytes) == guess.item.id;
    }
  };
  CKPT_RETURN_IF_ERROR(RunOnThreads(std::min(buffers_.size(), window_.size()), work));
  return status;
}

void UnchangedChunks::Adapt(std::uint64_t window_end) {
  std::uint64_t bytes = 0, held_bytes = 0;
  for (const Guess& guess : window_) {
    bytes += guess.item.raw_bytes;
    if (guess.holds) held_bytes += guess.item.raw_bytes;
  }
  const bool most = held_bytes >= bytes / 4 * 3;
  const bool little = held_bytes < bytes / 4;
  window_bytes_ = most ? std::min(2 * window_bytes_, kWindowBytesMost)
                       : std::max(window_bytes_ / 2, kWindowBytesLeast);
  skip_bytes_ = little ? std::clamp(2 * skip_bytes_, kWindowBytesLeast, kSkipBytesMost) : 0;
  resume_ = window_end + skip_bytes_;
}

Result<std::vector<ChunkItem>> UnchangedChunks::From(File* file, std::uint64_t offset,
                                                     std::uint64_t end) {
  if (offset >= resume_ && ahead_.has_value()) {
    const std::uint64_t window_end = FillWindow(offset, end);
    CKPT_RETURN_IF_ERROR(LookAtWindow(file));
    Adapt(window_end);
  }
  std::vector<ChunkItem> run;
  if (!MayGoOn(offset)) return run;
  for (; next_ < window_.size(); ++next_) {
    Guess& guess = window_[next_];
    if (guess.offset != offset || !guess.holds) break;
    offset += guess.item.raw_bytes;
    run.push_back(std::move(guess.item));
  }
  return run;
}

bool UnchangedChunks::MayGoOn(std::uint64_t offset) {
  while (next_ < window_.size() && window_[next_].offset < offset) ++next_;
  if (next_ == window_.size()) return offset >= resume_ && ahead_.has_value();
  return window_[next_].offset == offset && window_[next_].holds;
}

}  // namespace ckpt
