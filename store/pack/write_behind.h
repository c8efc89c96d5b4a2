// WriteBehind: appends bytes to a file through aligned buffers. While the caller fills one, a
// thread writes the other; what fits into the first small buffer costs neither the big buffers nor
// the thread, so that a tiny save takes milliseconds.
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

  // Copies. Waits while both buffers are full.
  Status Append(ByteSpan bytes);
  Status AppendZeros(std::uint64_t count);
  // Everything appended has reached the kernel when this is ok.
  // REQUIRES: offset() is a multiple of kBlockBytes.
  Status Flush();

  // Where the next byte goes.
  std::uint64_t offset() const { return begin_ + used_; }

 private:
  Status Reserve();
  Status HandOver();
  bool StartThread();
  void ThreadMain();
  Status WriteHere();
  Status WaitIdle();

  File* const file_;
  const std::size_t buffer_bytes_;

  // The caller's.
  AlignedBuffer filling_;
  std::size_t used_ = 0;     // of filling_
  std::uint64_t begin_ = 0;  // offset of filling_'s first byte
  Status error_;             // the first, for good
  std::thread thread_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_. One buffer at a time is with the thread: busy_ from HandOver until written.
  bool busy_ = false;
  bool stop_ = false;
  AlignedBuffer writing_;
  std::size_t writing_bytes_ = 0;
  std::uint64_t writing_offset_ = 0;
  Status thread_error_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_PACK_WRITE_BEHIND_H_
