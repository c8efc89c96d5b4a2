#include "store/pack/write_behind.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "store/base/check.h"
#include "store/base/stream_copy.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

// Enough for a save of a few small files, and quick to have.
constexpr std::size_t kFirstBufferBytes = 256u << 10;
constexpr std::size_t kStreamedBytesLeast = 4u << 10;

}  // namespace

WriteBehind::WriteBehind(File* file, std::uint64_t offset, std::size_t buffer_bytes)
    : file_(file), buffer_bytes_(buffer_bytes), begin_(offset) {
  CKPT_CHECK(offset % kBlockBytes == 0, "writes are aligned to blocks");
  CKPT_CHECK(buffer_bytes > 0 && buffer_bytes % kBlockBytes == 0, "buffers hold whole blocks");
}

WriteBehind::~WriteBehind() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Status WriteBehind::Append(ByteSpan bytes) {
  while (!bytes.empty()) {
    CKPT_RETURN_IF_ERROR(Reserve());
    AlignedBuffer& buffer = filling().buffer;
    std::size_t count = std::min(bytes.size(), buffer.size() - used_);
    if (count < kStreamedBytesLeast) {
      std::memcpy(buffer.data() + used_, bytes.data(), count);
    } else {  // nobody reads it but the device
      StreamCopy(buffer.data() + used_, bytes.data(), count);
    }
    used_ += count;
    bytes = bytes.subspan(count);
  }
  return error_;
}

Status WriteBehind::AppendZeros(std::uint64_t count) {
  static constexpr std::byte kZeros[kBlockBytes] = {};
  while (count > 0) {
    std::uint64_t piece = std::min<std::uint64_t>(count, kBlockBytes);
    CKPT_RETURN_IF_ERROR(Append(ByteSpan(kZeros).first(piece)));
    count -= piece;
  }
  return error_;
}

// Makes room for at least one byte.
Status WriteBehind::Reserve() {
  if (!error_.ok()) return error_;
  AlignedBuffer& buffer = filling().buffer;
  if (buffer.size() == 0) {
    buffer = AlignedBuffer(std::min(buffer_bytes_, kFirstBufferBytes));
    if (buffer.size() == 0) return error_ = OutOfMemory("no memory for a pack's write buffer");
  }
  return used_ < buffer.size() ? Status() : HandOver();
}

// The filled buffer goes to the thread and the next is filled. Without memory for another or
// without a thread, the buffer is written here: slower, not wrong.
Status WriteBehind::HandOver() {
  CKPT_ASSIGN_OR_RETURN(bool free, NextIsFree());
  if (!free || !StartThread()) {
    CKPT_RETURN_IF_ERROR(WaitIdle());
    return WriteHere();
  }
  {
    std::lock_guard lock(mutex_);
    filling().bytes = used_;
    filling().offset = begin_;
    ++filled_;
  }
  changed_.notify_all();
  begin_ += used_;
  used_ = 0;
  return {};
}

// Waits for it. False: there is no memory for it.
Result<bool> WriteBehind::NextIsFree() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return filled_ + 1 - written_ < kSlots; });
    error_ = thread_error_;
  }
  if (!error_.ok()) return error_;
  AlignedBuffer& next = slots_[(filled_ + 1) % kSlots].buffer;
  if (next.size() != buffer_bytes_) next = AlignedBuffer(buffer_bytes_);
  return next.size() != 0;
}

bool WriteBehind::StartThread() {
  if (thread_.joinable()) return true;
  Result<std::thread> thread = StartQuietThread([this] { ThreadMain(); });
  if (thread.ok()) thread_ = *std::move(thread);
  return thread_.joinable();
}

void WriteBehind::ThreadMain() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return written_ < filled_ || stop_; });
    if (stop_) return;
    if (thread_error_.ok()) {
      const Slot& slot = slots_[written_ % kSlots];
      lock.unlock();
      Status status = WriteSlot(slot);
      lock.lock();
      thread_error_ = std::move(status);
    }
    ++written_;
    changed_.notify_all();
  }
}

Status WriteBehind::WriteSlot(const Slot& slot) noexcept try {
  return file_->WriteAt(slot.offset, {slot.buffer.data(), slot.bytes});
} catch (const std::bad_alloc&) {  // a thread has nobody to throw to
  return NoMemoryLeft();
}

// Only called while the thread is idle.
Status WriteBehind::WriteHere() {
  if (used_ == 0) return error_;
  error_ = file_->WriteAt(begin_, {filling().buffer.data(), used_});
  begin_ += used_;
  used_ = 0;
  return error_;
}

Status WriteBehind::WaitIdle() {
  if (!error_.ok() || !thread_.joinable()) return error_;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return written_ == filled_; });
  error_ = thread_error_;
  return error_;
}

Status WriteBehind::Flush() {
  CKPT_CHECK(offset() % kBlockBytes == 0, "a stage ends at a block");
  CKPT_RETURN_IF_ERROR(WaitIdle());
  return WriteHere();
}

}  // namespace ckpt
