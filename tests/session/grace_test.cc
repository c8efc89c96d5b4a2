// How long a session has after a stop signal, and what it holds back until then.

#include "store/session/allocation.h"
#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

TEST(Grace, LastsUntilTheEndOfTheAllocationThatASignalWarnsOf) {
  constexpr std::int64_t kNow = 1'800'000'000 * kNsPerSecond;
  auto grace = [](double setting, std::int64_t end_in_s) {
    return GraceSeconds(setting, kNow + end_in_s * kNsPerSecond, kNow);
  };
  EXPECT_NEAR(grace(25, 150), 150, 0.001);
  EXPECT_NEAR(grace(25, 900), 900, 0.001);
  EXPECT_EQ(grace(25, 10), 25);     // KillWait comes after the end
  EXPECT_EQ(grace(25, -60), 25);    // the limit itself, or an end that was put off
  EXPECT_EQ(grace(25, 3600), 25);   // preemption, scancel, a person
  EXPECT_EQ(grace(1000, 150), 1000);
  EXPECT_EQ(GraceSeconds(25, 0, kNow), 25);  // not known
}

class SessionGrace : public SessionTest {
 protected:
  SessionGrace() { options_.grace_seconds = 0.2; }
  void EndIn(std::int64_t seconds) {
    options_.end_time_ns = PosixEnv()->RealtimeNs() + seconds * kNsPerSecond;
  }
  // Is stopped, and never comes to a step.
  int StopAndCompute() {
    return InChild([&]() -> int {
      auto s = Open();
      raise(SIGTERM);
      for (volatile double sum = 0;;) sum = sum + 1;
    });
  }
};

TEST_F(SessionGrace, ALongStepIsSavedWhereTheWarningLeavesTheTime) {
  EndIn(100);
  const int status = InChild([&] {
    std::vector<double> x(1000, 1);
    auto s = Open();
    if (!s->Protect(VectorItem("x", &x)).ok() || !s->Step(1).saved) return 3;
    raise(SIGTERM);
    usleep(600'000);  // three times the setting
    const StepResult step = s->Step(2);
    return step.stop && step.saved ? s->Finish(false).exit_code : 5;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  std::vector<double> x;
  EXPECT_EQ(RestoredStep(&x), 2);
}

// A process that hangs is ended by its alarm.
TEST_F(SessionGrace, FarFromTheEndTheSettingCounts) {
  EndIn(7200);
  EXPECT_TRUE(KilledBy(StopAndCompute(), SIGTERM));
}

TEST_F(SessionGrace, WithoutAStepTheProcessEndsBeforeTheAllocation) {
  EndIn(1);
  EXPECT_TRUE(KilledBy(StopAndCompute(), SIGTERM));
}

}  // namespace
}  // namespace ckpt
