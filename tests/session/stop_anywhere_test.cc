// A real SIGTERM from outside, at random moments of a computation that saves: nothing captured is
// lost, and the exit status is right every time. $CKPT_TEST_TRIALS: how often (10000, say).

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

// Fewer under a sanitizer.
int StopTrials(int otherwise) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  otherwise = std::min(otherwise, 15);
#endif
  const char* text = std::getenv("CKPT_TEST_TRIALS");
  return text != nullptr ? std::atoi(text) : otherwise;
}

struct StopShared {
  std::atomic<std::int64_t> restored{-1};
  std::atomic<std::int64_t> captured{0};
  std::atomic<std::int64_t> durable{0};
  std::atomic<std::int64_t> durable_ns{0};
  std::atomic<std::uint64_t> undurable_bytes{0};
};

class SessionStopAnywhere : public SessionTest {
 protected:
  SessionStopAnywhere()
      : shared_(static_cast<StopShared*>(mmap(nullptr, sizeof(StopShared), PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    new (shared_) StopShared();
    options_.durability = Durability::kOnRequest;
    options_.grace_seconds = 5;
    options_.buffer_bytes = 1u << 20;  // touched by each of many sessions
  }
  ~SessionStopAnywhere() override { munmap(shared_, sizeof(StopShared)); }

  SessionProbe Writing() {
    SessionProbe probe;
    probe.at = [this](SessionProbe::At at, std::int64_t step) {
      if (at == SessionProbe::At::kCaptured) shared_->captured = step;
      if (at == SessionProbe::At::kDurable) {
        shared_->durable_ns = PosixEnv()->MonotonicNs();
        shared_->durable = step;
      }
    };
    return probe;
  }
  // What the child does, until it is told to stop. What the one before it left must be there.
  int SaveUntilStopped(std::int64_t expected) {
    std::vector<double> x;
    auto s = Open(Writing());
    if (s == nullptr || !s->Protect(VectorItem("x", &x)).ok()) return 3;
    auto restored = s->Restore();
    if (!restored.ok()) return 4;
    shared_->restored = restored->step;
    if (restored->step != expected || (expected > 0 && x[0] != static_cast<double>(expected))) {
      return 6;
    }
    x.resize(20000);
    for (std::int64_t step = restored->step + 1;; ++step) {
      for (int k = 0; k < 10; ++k) x[random_() % x.size()] = static_cast<double>(step);
      x[0] = static_cast<double>(step);
      StepResult result = s->Step(step);
      shared_->undurable_bytes = s->Report().undurable_bytes;
      if (!result.error.ok()) return 5;
      if (result.stop) break;
    }
    return s->Finish(false).exit_code;
  }
  // Bytes a second of a write and its flush, here.
  double WriteRate() {
    const std::string bytes = RandomText(8u << 20, 1);
    const std::int64_t begin = PosixEnv()->MonotonicNs();
    const int fd = open((tmp_ / "written").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(fdatasync(fd), 0);
    close(fd);
    const auto passed_ns = static_cast<double>(PosixEnv()->MonotonicNs() - begin);
    return static_cast<double>(bytes.size()) / passed_ns * 1e9;
  }
  void Print(std::vector<double> ms, std::uint64_t undurable_bytes) {
    std::sort(ms.begin(), ms.end());
    const auto n = static_cast<double>(ms.size());
    const double bound = 100 + 1000 * static_cast<double>(undurable_bytes) / WriteRate();
    std::cout << "SIGTERM to durable: median " << ms[ms.size() / 2] << " ms, 99.9 % within "
              << ms[static_cast<std::size_t>(std::ceil(0.999 * n)) - 1] << " ms, worst "
              << ms.back() << " ms of " << ms.size() << "; meant to be within " << bound
              << " ms, of which all but 100 are for what was captured\n";
  }

  StopShared* const shared_;
  std::mt19937 random_{17};
};

TEST_F(SessionStopAnywhere, NothingCapturedIsLostAndTheExitStatusIsRight) {
  const int trials = StopTrials(1000);
  std::vector<double> latencies_ms;
  std::uint64_t undurable_bytes = 0;
  std::int64_t expected = 0;
  for (int trial = 0; trial < trials; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    new (shared_) StopShared();
    random_.discard(1000);
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      _exit(SaveUntilStopped(expected));
    }
    int status = 0;
    while (shared_->captured.load() == 0 && waitpid(child, &status, WNOHANG) == 0) usleep(200);
    ASSERT_GT(shared_->captured.load(), 0) << status << ": restored step " << shared_->restored;
    usleep(static_cast<useconds_t>(random_() % 5000));
    const std::int64_t sent_ns = PosixEnv()->MonotonicNs();
    const std::int64_t captured = shared_->captured.load();
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    ASSERT_TRUE(KilledBy(status, SIGTERM)) << status;
    ASSERT_GE(shared_->durable.load(), captured);
    ASSERT_EQ(shared_->durable.load(), shared_->captured.load());
    ASSERT_GT(shared_->captured.load(), expected);
    expected = shared_->captured.load();
    latencies_ms.push_back(static_cast<double>(shared_->durable_ns.load() - sent_ns) * 1e-6);
    undurable_bytes = std::max(undurable_bytes, shared_->undurable_bytes.load());
  }
  std::vector<double> x;
  EXPECT_EQ(RestoredStep(&x), expected);
  EXPECT_EQ(x[0], static_cast<double>(expected));
  Print(std::move(latencies_ms), undurable_bytes);
}

// So that the compiler leaves the calls where they are.
void* volatile g_allocated;

// Wherever in the allocator it is interrupted, with whatever lock held.
TEST_F(SessionStopAnywhere, InTheMidstOfAllocating) {
  options_.grace_seconds = 0.1;
  for (int trial = 0; trial < 10; ++trial) {
    SCOPED_TRACE("trial " + std::to_string(trial));
    new (shared_) StopShared();
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      std::vector<double> x;
      auto s = Open(Writing());
      if (!s->Protect(VectorItem("x", &x)).ok() || !s->Restore().ok()) _exit(3);
      x.assign(20000, trial + 1);
      if (!s->Step(trial + 1).saved) _exit(4);
      for (std::size_t size = 1;; size = size * 7 % 300007) {
        g_allocated = std::malloc(size);
        std::free(g_allocated);
      }
    }
    while (shared_->captured.load() == 0) usleep(200);
    usleep(static_cast<useconds_t>(random_() % 5000));
    kill(child, SIGTERM);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(KilledBy(status, SIGTERM)) << status;
    ASSERT_EQ(shared_->durable.load(), trial + 1);
  }
  std::vector<double> x;
  EXPECT_EQ(RestoredStep(&x), 10);
  EXPECT_EQ(x, std::vector<double>(20000, 10));
}

}  // namespace
}  // namespace ckpt
