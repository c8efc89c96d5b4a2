#include "store/io/process.h"

#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "store/io/env.h"

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

Result<std::size_t> ReadDescriptor(int fd, MutableByteSpan out) {
  for (;;) {
    ssize_t got = ::read(fd, out.data(), out.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return ErrnoStatus(errno, "read the stream to save");
  }
}

Stopwatch::Stopwatch() : start_ns_(PosixEnv()->MonotonicNs()) {}

double Stopwatch::seconds() const {
  return static_cast<double>(PosixEnv()->MonotonicNs() - start_ns_) * 1e-9;
}

}  // namespace ckpt
