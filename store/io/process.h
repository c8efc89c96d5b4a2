// What the library takes from the process it lives in: named environment variables, its folder and
// groups, descriptors the caller hands over, time spent.
// Thread rule: any thread.

#ifndef CKPT_STORE_IO_PROCESS_H_
#define CKPT_STORE_IO_PROCESS_H_

#include <csignal>
#include <cstdint>
#include <string>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

// Empty when it is not set. Only names that docs/design.md lists are asked for.
std::string EnvironmentVariable(const char* name);
// 0 when it is not set, or no number.
std::uint32_t EnvironmentNumber(const char* name);

// `path` as it is found from the working folder of this moment, for use after that has changed.
std::string PathFromRoot(const std::string& path);

// The main thread is in a system call that no signal interrupts, at this moment.
bool MainThreadIsUninterruptible();

// Whether the process may do what files of this group allow their group.
bool ProcessIsInGroup(std::uint32_t gid);

// Waits for bytes, or the end, of a pipe, socket or file; false when there is neither within
// `timeout_ms`, or a signal came.
Result<bool> WaitReadable(int fd, int timeout_ms);
// The next bytes of a pipe, socket or file, at its own position; 0 at its end.
Result<std::size_t> ReadDescriptor(int fd, MutableByteSpan out);

// While it lives, a write by this thread to a pipe that nobody reads fails and does not end the
// process.
class NoPipeSignal {
 public:
  NoPipeSignal();
  ~NoPipeSignal();
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t before_;
  bool pending_before_ = false;
};

// Hands what stdio holds back of the process's output to the system, as a return from main does.
// Waits for threads that are inside a call on a stream.
void FlushStreams();

// Processor time of the calling thread, as far as the system counts it. 0: it does not.
std::int64_t ThreadProcessorNs();

// Seconds since it was made, by a clock that is never set.
class Stopwatch {
 public:
  Stopwatch();
  double seconds() const;

 private:
  std::int64_t start_ns_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_IO_PROCESS_H_
