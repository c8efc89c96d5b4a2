// Whether a stop signal still finds time for a fresh save: by what saves took of late.

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

class FreshSave : public SessionTest {
 protected:
  FreshSave() { options_.on_stop = OnStop::kLeaveExit; }

  // Two saves that take 50 ms each, then a stop signal before the third step.
  StepResult StopAfterSlowSaves() {
    SessionProbe slow;
    slow.at = [](SessionProbe::At at, std::int64_t) {
      if (at == SessionProbe::At::kBeforeStage) usleep(50000);
    };
    std::vector<double> x(1000);
    auto s = Open(slow);
    EXPECT_OK(s->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= 2; ++step) {
      x[0] = step;
      EXPECT_OK(s->Step(step).error);
      EXPECT_OK(s->Commit());
    }
    raise(SIGTERM);
    StepResult result = s->Step(3);
    EXPECT_OK(s->Commit());
    EXPECT_EQ(s->Report().durable_step, result.saved ? 3 : 2);
    return result;
  }
};

TEST_F(FreshSave, IsTakenWhereTheGraceCoversIt) {
  options_.grace_seconds = 1000;
  const StepResult result = StopAfterSlowSaves();
  EXPECT_TRUE(result.stop);
  EXPECT_TRUE(result.saved);
}

// One and a half times what saves took must be left.
TEST_F(FreshSave, IsNotBegunWhereTheGraceDoesNotCoverIt) {
  options_.grace_seconds = 0.07;
  const StepResult result = StopAfterSlowSaves();
  EXPECT_TRUE(result.stop);
  EXPECT_FALSE(result.saved);
}

}  // namespace
}  // namespace ckpt
