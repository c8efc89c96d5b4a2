#include "store/io/process.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "store/io/env.h"
#include "store/io/unique_fd.h"

namespace ckpt {

std::string EnvironmentVariable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::uint32_t EnvironmentNumber(const char* name) {
  std::string text = EnvironmentVariable(name);
  std::uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string PathFromRoot(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::unique_ptr<char, decltype(&std::free)> folder(::getcwd(nullptr, 0), &std::free);
  // One that cannot be named, or was removed: as long as nobody leaves it the path will do.
  if (folder == nullptr || folder.get()[0] != '/') return path;
  return std::string(folder.get()) + "/" + path;
}

bool MainThreadIsUninterruptible() {
  const UniqueFd file(AboveStandard(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC)));
  char text[512] = {};
  if (!file.valid() || ::read(file.get(), text, sizeof(text) - 1) <= 0) return false;
  // "PID (NAME) STATE ..."; the name may hold anything.
  const char* after = std::strrchr(text, ')');
  return after != nullptr && std::strncmp(after, ") D", 3) == 0;
}

NoPipeSignal::NoPipeSignal() {
  sigset_t pipe, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigpending(&pending);
  pending_before_ = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipe, &before_);
}

NoPipeSignal::~NoPipeSignal() {
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  const timespec at_once = {};
  if (!pending_before_) sigtimedwait(&pipe, nullptr, &at_once);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void FlushStreams() {
  const NoPipeSignal no_signal;
  (void)std::fflush(nullptr);  // a stream that cannot be written keeps its owner's error
}

bool ProcessIsInGroup(std::uint32_t gid) {
  if (::getegid() == gid) return true;
  int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 0)));
  count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  return std::find(groups.begin(), groups.begin() + std::max(count, 0), gid) !=
         groups.begin() + std::max(count, 0);
}

Result<bool> WaitReadable(int fd, int timeout_ms) {
  pollfd ready{fd, POLLIN, 0};
  int count = ::poll(&ready, 1, timeout_ms);
  if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "wait for the stream to save");
  return count > 0;
}

Result<std::size_t> ReadDescriptor(int fd, MutableByteSpan out) {
  for (;;) {
    ssize_t got = ::read(fd, out.data(), out.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return ErrnoStatus(errno, "read the stream to save");
  }
}

std::int64_t ThreadProcessorNs() {
  timespec now{};
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) return 0;
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

Stopwatch::Stopwatch() : start_ns_(PosixEnv()->MonotonicNs()) {}

double Stopwatch::seconds() const {
  return static_cast<double>(PosixEnv()->MonotonicNs() - start_ns_) * 1e-9;
}

}  // namespace ckpt
