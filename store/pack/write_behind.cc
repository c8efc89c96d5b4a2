#include "store/pack/write_behind.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "store/base/check.h"

namespace ckpt {
namespace {

// Enough for a save of a few small files, and quick to have.
constexpr std::size_t kFirstBufferBytes = 256u << 10;

// A thread inherits the mask of the one that starts it: the application's handlers must not run in
// ours (I9).
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

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
    std::size_t count = std::min(bytes.size(), filling_.size() - used_);
    std::memcpy(filling_.data() + used_, bytes.data(), count);
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
  if (filling_.size() == 0) {
    filling_ = AlignedBuffer(std::min(buffer_bytes_, kFirstBufferBytes));
    if (filling_.size() == 0) return error_ = OutOfMemory("no memory for a pack's write buffer");
  }
  return used_ < filling_.size() ? Status() : HandOver();
}

// The filled buffer goes to the thread and the other one comes back. Without memory for another or
// without a thread, the buffer is written here: slower, not wrong.
Status WriteBehind::HandOver() {
  CKPT_RETURN_IF_ERROR(WaitIdle());
  if (writing_.size() != buffer_bytes_) writing_ = AlignedBuffer(buffer_bytes_);
  if (writing_.size() == 0 || !StartThread()) return WriteHere();
  {
    std::lock_guard lock(mutex_);
    std::swap(filling_, writing_);
    writing_bytes_ = used_;
    writing_offset_ = begin_;
    busy_ = true;
  }
  changed_.notify_all();
  begin_ += used_;
  used_ = 0;
  return {};
}

bool WriteBehind::StartThread() {
  if (thread_.joinable()) return true;
  AllSignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { ThreadMain(); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void WriteBehind::ThreadMain() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return busy_ || stop_; });
    if (stop_) return;
    lock.unlock();  // while busy_, writing_ is ours
    Status status = file_->WriteAt(writing_offset_, {writing_.data(), writing_bytes_});
    lock.lock();
    if (thread_error_.ok()) thread_error_ = std::move(status);
    busy_ = false;
    changed_.notify_all();
  }
}

// Only called while the thread is idle.
Status WriteBehind::WriteHere() {
  if (used_ == 0) return error_;
  error_ = file_->WriteAt(begin_, {filling_.data(), used_});
  begin_ += used_;
  used_ = 0;
  return error_;
}

Status WriteBehind::WaitIdle() {
  if (!error_.ok() || !thread_.joinable()) return error_;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
  error_ = thread_error_;
  return error_;
}

Status WriteBehind::Flush() {
  CKPT_CHECK(offset() % kBlockBytes == 0, "a stage ends at a block");
  CKPT_RETURN_IF_ERROR(WaitIdle());
  return WriteHere();
}

}  // namespace ckpt
