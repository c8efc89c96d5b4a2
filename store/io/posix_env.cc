// The operating system as an Env: paths, clocks, randomness, and who this host is.
// Thread rule: stateless but for the machine's identity, read once.

#define XXH_INLINE_ALL  // this layer links no libraries
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "store/base/check.h"
#include "store/io/entry_name.h"
#include "store/io/posix_internal.h"

namespace ckpt {
namespace {

std::int64_t ReadClock(clockid_t clock) {
  timespec t;
  CKPT_CHECK(::clock_gettime(clock, &t) == 0, "Linux has both clocks");
  return t.tv_sec * kNsPerSecond + t.tv_nsec;
}

Id128 HashText(const std::string& text) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(text.data(), text.size()));
  Id128 id;
  static_assert(sizeof(canonical.digest) == sizeof(id.bytes));
  std::memcpy(id.bytes.data(), canonical.digest, id.bytes.size());
  return id;
}

std::string ReadHostName() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0) return "localhost";
  return name;
}

// The 32 hexadecimal digits of /etc/machine-id; empty when it is missing or not set up
// ("uninitialized").
std::string ReadMachineId() {
  UniqueFd fd(RetryEintr([] { return ::open("/etc/machine-id", O_RDONLY | O_CLOEXEC); }));
  if (!fd.valid()) return {};
  char text[32];
  ssize_t got = RetryEintr([&] { return ::read(fd.get(), text, sizeof(text)); });
  Id128 id;
  std::string digits(text, got > 0 ? static_cast<std::size_t>(got) : 0);
  return Id128::FromHex(digits, &id) && !id.IsZero() ? digits : std::string();
}

// Nodes booted from one image may share a machine id, so the host's name counts too. One host taken
// for two costs a new pack; two taken for one could cost a live writer its pack.
Id128 ReadHostId() { return HashText("ckpt host\n" + ReadMachineId() + "\n" + ReadHostName()); }

// Where a sandbox has no getrandom: names nobody else has, from what the kernel gave this program
// when it began (16 random bytes), the process, the time and a count.
void FillFromProcess(MutableByteSpan out) {
  static std::atomic<std::uint64_t> count{0};
  std::string own(std::bit_cast<const char*>(::getauxval(AT_RANDOM)), 16);
  for (const std::int64_t part :
       {std::int64_t{::getpid()}, ReadClock(CLOCK_REALTIME), ReadClock(CLOCK_MONOTONIC)}) {
    own += '\n' + std::to_string(part);
  }
  while (!out.empty()) {
    const Id128 id = HashText(own + '\n' + std::to_string(++count));
    const std::size_t bytes = std::min(out.size(), id.bytes.size());
    std::memcpy(out.data(), id.bytes.data(), bytes);
    out = out.subspan(bytes);
  }
}

class PosixEnvImpl final : public Env {
 public:
  Result<std::unique_ptr<Dir>> OpenDir(const std::string& path) override;
  Status MakeDir(const std::string& path, std::uint32_t permissions) override;
  void Random(MutableByteSpan out) override;
  std::int64_t RealtimeNs() override { return ReadClock(CLOCK_REALTIME); }
  std::int64_t MonotonicNs() override { return ReadClock(CLOCK_MONOTONIC); }
  void SleepMs(std::int64_t ms) override;
  Id128 HostId() override;
  std::string HostName() override { return ReadHostName(); }
  std::uint32_t UserId() override { return ::geteuid(); }
};

Result<std::unique_ptr<Dir>> PosixEnvImpl::OpenDir(const std::string& path) {
  CKPT_RETURN_IF_ERROR(CheckCString(path, "directory path"));
  UniqueFd fd(RetryOpen([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd.valid()) return posix::LastError("open directory", path);
  return posix::WrapDir(std::move(fd), path);
}

Status PosixEnvImpl::MakeDir(const std::string& path, std::uint32_t permissions) {
  CKPT_RETURN_IF_ERROR(CheckCString(path, "directory path"));
  const mode_t mode = permissions == kByUmask ? 0777 : 0700;
  if (RetryEintr([&] { return ::mkdir(path.c_str(), mode); }) != 0) {
    return posix::LastError("make directory", path);
  }
  if (permissions == kByUmask) return {};
  UniqueFd fd(RetryEintr(
      [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }));
  if (!fd.valid()) return posix::LastError("open directory", path);
  return posix::SetPermissions(fd.get(), permissions, path);
}

void PosixEnvImpl::Random(MutableByteSpan out) {
  while (!out.empty()) {
    ssize_t got = RetryEintr([&] { return ::getrandom(out.data(), out.size(), 0); });
    if (got <= 0) return FillFromProcess(out);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void PosixEnvImpl::SleepMs(std::int64_t ms) {
  if (ms <= 0) return;
  timespec until = posix::ToTimespec(MonotonicNs() + ms * 1'000'000);
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

Id128 PosixEnvImpl::HostId() {
  const char* given = std::getenv("CKPT_HOST_ID");
  if (given != nullptr && *given != '\0') return HashText("ckpt host given\n" + std::string(given));
  static const Id128 id = ReadHostId();
  return id;
}

}  // namespace

Env* PosixEnv() {
  static Env* const env = new PosixEnvImpl;  // never destroyed: threads may outlive main
  return env;
}

}  // namespace ckpt
