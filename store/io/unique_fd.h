// The one owner of a file descriptor, and the EINTR loop.
// Thread rule: a value; closing while another thread uses the descriptor is the caller's mistake.

#ifndef CKPT_STORE_IO_UNIQUE_FD_H_
#define CKPT_STORE_IO_UNIQUE_FD_H_

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace ckpt {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { Reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  // close is never repeated: Linux has freed the number even when it answers EINTR. Its other
  // errors tell nothing that Sync did not tell before; what is written and not synced is closed by
  // File::Close.
  void Reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

// Repeats a system call for as long as a signal interrupts it.
template <typename Call>
auto RetryEintr(Call call) {
  for (;;) {
    auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

// Up to the hard limit, when it is not there yet: 1024 open files, the usual soft one, is for
// programs that use select(). Only done when a call would fail otherwise.
inline bool RaiseOpenFilesLimit() {
  struct rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return false;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

// Numbers 0 to 2 are the program's, whether it has them open or not: what it, or we, write to a
// standard error that was closed would go into a pack. `fd` or, with one of those, a duplicate.
inline int AboveStandard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int above = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(fd);
  errno = error;
  return above;
}

// Fills what is closed of 0 to 2 as long as it lives, for a library that opens files itself.
class StandardFiller {
 public:
  StandardFiller() {
    for (UniqueFd& place : places_) {
      UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd.valid() || fd.get() > STDERR_FILENO) return;
      place = std::move(fd);
    }
  }

 private:
  std::array<UniqueFd, STDERR_FILENO + 1> places_;
};

// A call that opens a file; its descriptor is none of the standard ones.
template <typename Call>
int RetryOpen(Call call) {
  auto open = [&] { return AboveStandard(RetryEintr(call)); };
  const int fd = open();
  if (fd != -1 || errno != EMFILE) return fd;
  if (RaiseOpenFilesLimit()) return open();
  errno = EMFILE;
  return -1;
}

}  // namespace ckpt

#endif  // CKPT_STORE_IO_UNIQUE_FD_H_
