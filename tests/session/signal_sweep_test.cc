// A stop signal at each file system call of capture, stage, commit and finish: nothing acknowledged
// is lost, nothing hangs, the exit status is right. The calls are replaced in this program: the
// n-th one sends SIGTERM to the process before it goes on.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdarg>
#include <cstdlib>

#include "tests/session/session_fixture.h"

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)

namespace {

std::atomic<bool> armed{false};
std::atomic<int> calls{0};
std::atomic<int> fatal_call{0};

void Count() {
  if (armed.load() && ++calls == fatal_call.load()) kill(getpid(), SIGTERM);
}

template <typename Function>
Function* RealCall(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
ssize_t pwrite(int fd, const void* data, std::size_t bytes, off_t offset) {
  static auto* const real = RealCall<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
  Count();
  return real(fd, data, bytes, offset);
}
ssize_t pread(int fd, void* data, std::size_t bytes, off_t offset) {
  static auto* const real = RealCall<ssize_t(int, void*, std::size_t, off_t)>("pread");
  Count();
  return real(fd, data, bytes, offset);
}
int fdatasync(int fd) {
  static auto* const real = RealCall<int(int)>("fdatasync");
  Count();
  return real(fd);
}
int fsync(int fd) {
  static auto* const real = RealCall<int(int)>("fsync");
  Count();
  return real(fd);
}
int ftruncate(int fd, off_t bytes) noexcept {
  static auto* const real = RealCall<int(int, off_t)>("ftruncate");
  Count();
  return real(fd, bytes);
}
int openat(int dir, const char* name, int flags, ...) {
  static auto* const real = RealCall<int(int, const char*, int, ...)>("openat");
  Count();
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return real(dir, name, flags, mode);
}
}

namespace ckpt {
namespace {

struct SweepShared {
  std::atomic<std::int64_t> captured{0};
  std::atomic<std::int64_t> acknowledged{0};  // durable, as the application was told
  std::atomic<int> calls{0};
};

class SessionSignalSweep : public SessionTest {
 protected:
  SessionSignalSweep()
      : shared_(static_cast<SweepShared*>(mmap(nullptr, sizeof(SweepShared), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~SessionSignalSweep() override { munmap(shared_, sizeof(SweepShared)); }

  // What runs in the child, from Open to Finish; the signal comes at call `fatal`.
  int Work(int fatal) {
    SessionProbe probe;
    probe.at = [this](SessionProbe::At at, std::int64_t step) {
      if (at == SessionProbe::At::kCaptured) shared_->captured = step;
    };
    std::vector<double> x;
    auto s = Open(probe);
    if (!s->Protect(VectorItem("x", &x)).ok()) return 3;
    fatal_call = fatal;
    calls = 0;
    armed = true;
    auto restored = s->Restore();
    if (!restored.ok()) return 4;
    bool stop = false;
    for (std::int64_t step = restored->step + 1; step <= restored->step + 3 && !stop; ++step) {
      x.assign(20000, static_cast<double>(step));
      StepResult result = s->Step(step);
      if (!result.error.ok()) return 5;
      stop = result.stop;
      if (step % 2 == 0 && s->Commit().ok()) shared_->acknowledged = step;
    }
    const int exit_code = s->Finish(!stop).exit_code;
    shared_->acknowledged = shared_->captured.load();
    shared_->calls = calls.load();
    return exit_code;
  }

  SweepShared* const shared_;
};

TEST_F(SessionSignalSweep, AtEveryCallNothingAcknowledgedIsLost) {
  options_.durability = Durability::kInterval;
  options_.durable_seconds = 60;
  options_.grace_seconds = 10;
  int total = 1;
  std::int64_t newest = 0;
  for (int fatal = 1; fatal <= total; ++fatal) {
    new (shared_) SweepShared();
    int status = InChild([&] { return Work(fatal); });
    const std::int64_t captured = std::max(newest, shared_->captured.load());
    ASSERT_TRUE(KilledBy(status, SIGTERM) || Exited(status, 0))
        << "call " << fatal << ": " << status;
    if (Exited(status, 0)) total = std::max(shared_->calls.load(), fatal);
    std::vector<double> x;
    const std::int64_t step = RestoredStep(&x);
    ASSERT_GE(step, shared_->acknowledged.load()) << "call " << fatal;
    ASSERT_EQ(step, captured) << "call " << fatal;  // Finish commits, and so does the stop
    if (step > 0) {
      ASSERT_EQ(x, std::vector<double>(20000, static_cast<double>(step)));
    }
    newest = step;
    if (fatal == total && Exited(status, 0)) break;
    total = std::max(total, fatal + 1);
  }
  EXPECT_GT(total, 30);
  std::printf("proof: Signal: %d signals\n", total);
}

}  // namespace
}  // namespace ckpt

#endif
