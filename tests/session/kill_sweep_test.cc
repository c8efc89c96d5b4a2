// A session killed at each call that changes something on disk, from opening and adopting what the
// one before it staged, through stage, commit and retention, to the end: nothing staged is lost,
// what it restores is exact, and the next session goes on. CKPT_KILL_SWEEP=all takes every system
// call, as for the command (tests/cli/kill_sweep_test.cc).

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>

#include "tests/session/session_fixture.h"
#include "tests/support/traced.h"

namespace ckpt {
namespace {

// What outlives the killed session.
struct KillSweepShared {
  std::atomic<std::int64_t> captured{0};
  std::atomic<std::int64_t> staged{0};
};

class SessionKillSweep : public SessionTest {
 protected:
  SessionKillSweep()
      : shared_(static_cast<KillSweepShared*>(mmap(nullptr, sizeof(KillSweepShared),
                                                   PROT_READ | PROT_WRITE,
                                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~SessionKillSweep() override { munmap(shared_, sizeof(KillSweepShared)); }

  static std::vector<double> Content(std::int64_t step) {
    std::vector<double> x(20000, 1.5);
    for (std::size_t i = 0; i < 5000; ++i) x[i] = static_cast<double>(step) + 0.25;
    return x;
  }

  // Three steps, two of them staged only; what the child does.
  int Work() {
    alarm(120);
    std::vector<double> x;
    auto s = Open();
    if (s == nullptr || !s->Protect(VectorItem("x", &x)).ok()) return 3;
    auto restored = s->Restore();
    if (!restored.ok()) return 4;
    for (std::int64_t step = restored->step + 1; step <= restored->step + 3; ++step) {
      x = Content(step);
      shared_->captured = step;
      if (!s->Step(step).error.ok() || !s->WaitStaged().ok()) return 5;
      shared_->staged = step;
      if (step % 3 == 2 && !s->Commit().ok()) return 6;
    }
    return s->Finish(true).exit_code;
  }

  KillSweepShared* const shared_;
};

TEST_F(SessionKillSweep, AtEachCallNothingStagedIsLost) {
  options_.durability = Durability::kOnRequest;
  options_.keep_last = 2;
  options_.housekeeping_share = 0.5;
  options_.buffer_bytes = 1u << 20;  // touched by each of many sessions
  // Or the first calls would all be those that make the store, and no later run be killed in its
  // own: the command's sweep has a first save.
  ASSERT_TRUE(Exited(InChild([&] { return Work(); }), 0));
  const Calls which = std::getenv("CKPT_KILL_SWEEP") == nullptr ? Calls::kChanging : Calls::kEach;
  int kills = 0;
  for (std::int64_t fatal = 1;; ++fatal) {
    SCOPED_TRACE("call " + std::to_string(fatal));
    const Traced traced = KillAtCall(which, fatal, false, [&] { return Work(); });
    if (!traced.possible) GTEST_SKIP() << "tracing a process is not allowed here";
    ASSERT_TRUE(traced.killed || Exited(traced.status, 0)) << traced.status;
    std::vector<double> x;
    const std::int64_t step = RestoredStep(&x);
    ASSERT_GE(step, shared_->staged > 0 ? shared_->staged.load() : -1);
    ASSERT_LE(step, shared_->captured.load());
    if (step > 0) {
      ASSERT_EQ(x, Content(step));
    }
    if (!traced.killed) break;
    ++kills;
    // Each leaves a pack, and the next run makes more calls for it: at every call, it would be
    // killed in these again and again.
    if (which == Calls::kEach) {
      ASSERT_NO_FATAL_FAILURE(Collect());
    }
  }
  EXPECT_GT(kills, 20);
  std::printf("proof: Session: %d kills\n", kills);
}

}  // namespace
}  // namespace ckpt
