// A stop signal at each system call of opening, restoring, capture, stage, commit, retention and
// finish, whatever thread makes it: nothing acknowledged is lost, nothing hangs, the exit status is
// right.
//
// Calls that change something on disk, or wake the other thread, are enough for a short run;
// CKPT_KILL_SWEEP=all takes every system call.

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>

#include "tests/session/session_fixture.h"
#include "tests/support/traced.h"

// Deliver signals when it suits them.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)

namespace ckpt {
namespace {

struct SweepShared {
  std::atomic<std::int64_t> captured{0};
  std::atomic<std::int64_t> acknowledged{0};  // durable, as the application was told
  std::atomic<bool> opened{false};
  std::atomic<bool> stopped{false};
  std::atomic<bool> finishing{false};
};

class SessionSignalSweep : public SessionTest {
 protected:
  SessionSignalSweep()
      : shared_(static_cast<SweepShared*>(mmap(nullptr, sizeof(SweepShared), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    options_.durability = Durability::kInterval;
    options_.durable_seconds = 60;
    options_.grace_seconds = 10;
    options_.buffer_bytes = 1u << 20;  // touched by each of many sessions
    options_.housekeeping_share = 0.5;
  }
  ~SessionSignalSweep() override { munmap(shared_, sizeof(SweepShared)); }

  // What the child does: three steps, one of them committed.
  int Work() {
    alarm(120);
    SessionProbe probe;
    probe.at = [this](SessionProbe::At at, std::int64_t step) {
      if (at == SessionProbe::At::kCaptured) shared_->captured = step;
    };
    std::vector<double> x;
    auto s = Open(probe);
    if (s == nullptr || !s->Protect(VectorItem("x", &x)).ok()) return 3;
    shared_->opened = true;
    auto restored = s->Restore();
    if (!restored.ok()) return 4;
    bool stop = false;
    for (std::int64_t step = restored->step + 1; step <= restored->step + 3 && !stop; ++step) {
      x.assign(20000, static_cast<double>(step));
      StepResult result = s->Step(step);
      if (!result.error.ok()) return 5;
      stop = result.stop;
      // The last two overlap.
      if (step == restored->step + 1 && !s->WaitStaged().ok()) return 6;
      if (step == restored->step + 2 && s->Commit().ok()) shared_->acknowledged = step;
    }
    shared_->stopped = stop;
    shared_->finishing = true;
    const int exit_code = s->Finish(!stop).exit_code;
    shared_->acknowledged = shared_->captured.load();
    return exit_code;
  }
  // Stopped, or not open yet, it was ended by the signal; a run that is complete ends well, unless
  // the signal came when the signals had been given back.
  void ExpectRightEnd(int status) const {
    if (!shared_->opened || shared_->stopped) {
      ASSERT_TRUE(KilledBy(status, SIGTERM)) << status;
    } else {
      ASSERT_TRUE(Exited(status, 0) || (shared_->finishing && KilledBy(status, SIGTERM))) << status;
    }
  }

  // `anew`: each run makes the store; else each goes on with what the one before left.
  void Sweep(bool anew) {
    const Calls which = std::getenv("CKPT_KILL_SWEEP") == nullptr ? Calls::kChanging : Calls::kEach;
    std::int64_t newest = shared_->captured;
    int signals = 0, stops = 0;
    for (std::int64_t at = 1;; ++at) {
      SCOPED_TRACE("call " + std::to_string(at));
      if (anew) std::filesystem::remove_all(store_path());
      new (shared_) SweepShared();
      const Traced traced = SignalAtCall(SIGTERM, which, at, [&] { return Work(); });
      if (!traced.possible) GTEST_SKIP() << "tracing a process is not allowed here";
      SCOPED_TRACE("of system call number " + std::to_string(traced.killed_in));
      if (!traced.killed) {
        ASSERT_TRUE(Exited(traced.status, 0)) << traced.status;
        break;
      }
      ++signals;
      stops += shared_->stopped ? 1 : 0;
      ExpectRightEnd(traced.status);
      if (HasFatalFailure()) return;
      newest = std::max(anew ? 0 : newest, shared_->captured.load());
      std::vector<double> x;
      const std::int64_t step = RestoredStep(&x);
      ASSERT_EQ(std::max<std::int64_t>(step, 0), newest);  // Finish commits, and so does the stop
      ASSERT_GE(step, shared_->acknowledged > 0 ? shared_->acknowledged.load() : -1);
      if (step > 0) {
        ASSERT_EQ(x, std::vector<double>(20000, static_cast<double>(step)));
      }
      // Else the runs' own collections have thousands of calls in the end.
      if (which == Calls::kEach && !anew) {
        ASSERT_NO_FATAL_FAILURE(Collect());
      }
    }
    EXPECT_GT(signals, 20);
    EXPECT_GT(stops, 5);  // the others came before there was a session, or too late
    std::printf("proof: Signal: %d signals, %d of them stopped the steps\n", signals, stops);
  }

  SweepShared* const shared_;
};

TEST_F(SessionSignalSweep, AtEachCallOfAFirstRunNothingAcknowledgedIsLost) { Sweep(true); }

TEST_F(SessionSignalSweep, AtEachCallOfALaterRunNothingAcknowledgedIsLost) {
  ASSERT_TRUE(Exited(InChild([&] { return Work(); }), 0));
  Sweep(false);
}

}  // namespace
}  // namespace ckpt

#endif
