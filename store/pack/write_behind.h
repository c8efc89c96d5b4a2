// WriteBehind: appends bytes to a file through aligned buffers. While the caller fills one, a
// thread writes those that are full, up to three, so that neither waits for the other's hiccups;
// what fits into the first small buffer costs neither big buffers nor the thread, so that a tiny
// save takes milliseconds.
//
// Every write has offset, length and address in multiples of kBlockBytes (direct I/O), goes out in
// order of offset and is issued once. The first failure is final: nothing is written after it (I6).
// Thread rule: one caller at a time; the thread it owns has all signals blocked (I9) and is joined
// by the destructor, which drops what was not flushed.

#ifndef CKPT_STORE_PACK_WRITE_BEHIND_H_
#define CKPT_STORE_PACK_WRITE_BEHIND_H_

#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "store/io/env.h"
#include "store/pack/format.h"

namespace ckpt {

class WriteBehind {
 public:
  // Begins at `offset`, a multiple of kBlockBytes. `buffer_bytes`, too. `file` outlives this.
  WriteBehind(File* file, std::uint64_t offset, std::size_t buffer_bytes);
  ~WriteBehind();
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;

  // Copies. Waits while all buffers are full.
  Status Append(ByteSpan bytes);
  Status AppendZeros(std::uint64_t count);
  // Everything appended has reached the kernel when this is ok.
  // REQUIRES: offset() is a multiple of kBlockBytes.
  Status Flush();

  // Where the next byte goes.
  std::uint64_t offset() const { return begin_ + used_; }

 private:
  struct Slot {
    AlignedBuffer buffer;
    std::size_t bytes = 0;
    std::uint64_t offset = 0;
  };
  static constexpr std::size_t kSlots = 4;

  Slot& filling() { return slots_[filled_ % kSlots]; }
  Status Reserve();
  Status HandOver();
  Result<bool> NextIsFree();
  bool StartThread();
  void ThreadMain();
  Status WriteSlot(const Slot& slot) noexcept;
  Status WriteHere();
  Status WaitIdle();

  File* const file_;
  const std::size_t buffer_bytes_;
  std::array<Slot, kSlots> slots_;  // those from written_ to filled_ are the thread's

  // The caller's.
  std::size_t used_ = 0;     // of filling()
  std::uint64_t begin_ = 0;  // offset of filling()'s first byte
  Status error_;             // the first, for good
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. Slots since the beginning: handed over, and written or given up.
  std::size_t filled_ = 0;  // read by the caller without it
  std::size_t written_ = 0;
  bool stop_ = false;
  Status thread_error_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_PACK_WRITE_BEHIND_H_
