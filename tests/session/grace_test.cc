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
  EXPECT_NEAR(grace(25, 890), 890, 0.001);
  EXPECT_EQ(grace(25, 10), 25);    // KillWait comes after the end
  EXPECT_EQ(grace(25, -60), 25);   // the limit itself, or an end that was put off
  EXPECT_EQ(grace(25, 3600), 25);  // preemption, scancel, a person
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

// What half the grace can write is nothing here, so each save, whole as it is, waits to be durable.
TEST_F(SessionGrace, NoMoreIsCapturedAndNotDurableThanItCanWrite) {
  options_.grace_seconds = 0.0005;
  for (Durability durability : {Durability::kEachSave, Durability::kOnRequest}) {
    options_.durability = durability;
    SessionProbe slow;
    slow.at = [](SessionProbe::At at, std::int64_t) {
      if (at == SessionProbe::At::kBeforeCommit) usleep(10'000);
    };
    auto s = Open(std::move(slow));
    std::vector<double> x;
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (std::int64_t step = 1; step <= 3; ++step) {
      x = Numbers(400000, static_cast<std::uint64_t>(10 + step));
      ASSERT_OK(s->Step(step).error);
      const SessionReport report = s->Report();
      EXPECT_EQ(report.undurable_bytes, 0u);
      EXPECT_EQ(report.durable_step, step);
      EXPECT_LE(report.last.waited_s, report.last.blocked_s);
    }
    EXPECT_GT(s->Report().waited_s, 0);
  }
}

// A save that fails is not waited for. Whoever asks next is told, once.
TEST_F(SessionGrace, ASaveThatIsLostHoldsNobodyUp) {
  options_.grace_seconds = 0.0005;
  options_.quota_bytes = 5;
  auto s = Open();
  std::vector<double> x = Numbers(400000, 1);
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  bool told = false;
  for (std::int64_t step = 1; step <= 3; ++step) told = !s->Step(step).error.ok() || told;
  told = !s->Commit().ok() || told;
  EXPECT_TRUE(told);
  EXPECT_EQ(s->Report().durable_step, -1);
}

}  // namespace
}  // namespace ckpt
