// on_error for saves of what is put.

#include <new>
#include <utility>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

using At = SessionProbe::At;

class OnErrorPrimitive : public SessionTest {
 protected:
  // Trouble at this point, as often as told.
  SessionProbe Trouble(At where, int times) {
    times_ = times;
    SessionProbe probe;
    probe.at = [this, where](At at, std::int64_t) {
      if (at == where && times_-- > 0) throw std::bad_alloc();
    };
    return probe;
  }
  StepResult SavePut(Session* s, std::int64_t step) {
    const Status begun = s->Begin(step);
    if (!begun.ok()) return StepResult{false, false, begun};
    EXPECT_OK(s->Put("x", {std::as_bytes(std::span(x_)), DoubleShape(x_.size())}));
    return s->End();
  }
  std::vector<double> x_ = Numbers(100000, 1);
  std::atomic<int> times_{0};
};

TEST_F(OnErrorPrimitive, StopIsAnsweredByEnd) {
  for (const bool stops : {false, true}) {
    options_.on_error = stops ? OnError::kStop : OnError::kGoOn;
    auto s = Open(Trouble(At::kBeforeStage, 1));
    const bool at_once = SavePut(s.get(), 1).stop;
    while (s->Report().failed_saves == 0) usleep(1000);  // hangs when it never fails
    const StepResult second = SavePut(s.get(), 2);
    EXPECT_EQ(at_once || second.stop, stops);
    EXPECT_TRUE(second.saved);
    EXPECT_OK(s->Commit());
    std::vector<double> x;
    s.reset();
    EXPECT_EQ(RestoredStep(&x), 2);
  }
}

TEST_F(OnErrorPrimitive, StopIsAnsweredWhoeverWasToldOfTheError) {
  options_.on_error = OnError::kStop;
  auto s = Open(Trouble(At::kBeforeStage, 1));
  (void)SavePut(s.get(), 1);
  EXPECT_FALSE(s->WaitStaged().ok());
  EXPECT_TRUE(SavePut(s.get(), 2).stop);
  EXPECT_FALSE(SavePut(s.get(), 3).stop);
}

TEST_F(OnErrorPrimitive, RetryWaitsAndTheSameStepMayBeginAgain) {
  options_.on_error = OnError::kRetry;
  auto s = Open(Trouble(At::kBeforeStage, 2));
  for (int tries = 0; tries < 2; ++tries) {
    const StepResult failed = SavePut(s.get(), 1);
    EXPECT_EQ(failed.error.code(), Code::kOutOfMemory);
    EXPECT_FALSE(failed.saved);
    EXPECT_FALSE(failed.stop);
  }
  const StepResult saved = SavePut(s.get(), 1);
  EXPECT_OK(saved.error);
  EXPECT_TRUE(saved.saved);
  EXPECT_EQ(s->Report().staged_step, 1);
}

// Between two Puts: neither a later one nor End may say that it is saved.
TEST_F(OnErrorPrimitive, ASaveThatIsLostUnderWayIsNotSaved) {
  options_.on_error = OnError::kStop;
  auto s = Open(Trouble(At::kPut, 1));
  ASSERT_OK(s->Begin(1));
  // It may be lost before this Put comes back.
  (void)s->Put("x", {std::as_bytes(std::span(x_)), DoubleShape(x_.size())});
  std::vector<double> y = Numbers(10000, 2);
  for (int i = 0;; ++i) {  // without end when it is not lost
    const ArrayView view = {std::as_bytes(std::span(y)), DoubleShape(y.size())};
    if (!s->Put("y" + std::to_string(i), view).ok()) break;
    usleep(1000);
  }
  const StepResult end = s->End();
  EXPECT_FALSE(end.saved);
  EXPECT_FALSE(end.error.ok());
  EXPECT_TRUE(end.stop);
  EXPECT_TRUE(SavePut(s.get(), 1).saved);
}

}  // namespace
}  // namespace ckpt
