// Sessions whose chunks all change a little in each step.

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

class SessionDeltas : public SessionTest {
 protected:
  SessionDeltas() { options_.store.deltas = true; }
  // Noise, of which one cell in a thousand is of its step.
  static std::vector<double> State(int step) {
    std::vector<double> state = Numbers(200000, 1);
    for (std::size_t i = static_cast<std::size_t>(step); i < state.size(); i += 1000) {
      state[i] *= 1.0 + step;
    }
    return state;
  }
};

TEST_F(SessionDeltas, CostWhatChangedAndComeBackExactly) {
  std::vector<double> x;
  std::uint64_t first_bytes = 0;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= 4; ++step) {
      x = State(step);
      ASSERT_OK(s->Step(step).error);
      ASSERT_OK(s->Commit());
      const SaveReport save = s->Report().last;
      EXPECT_GT(save.changed_bytes, save.logical_bytes / 2);  // each chunk
      if (step == 1) {
        first_bytes = save.stored_bytes;
      } else {
        EXPECT_LT(save.stored_bytes, first_bytes / 10) << "step " << step;
      }
    }
  }
  // The next run continues from what it restored.
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  x.clear();
  ASSERT_TRUE(s->Restore().ok());
  EXPECT_EQ(x, State(4));
  x = State(5);
  ASSERT_OK(s->Step(5).error);
  ASSERT_OK(s->Commit());
  EXPECT_LT(s->Report().last.stored_bytes, first_bytes / 10);
}

}  // namespace
}  // namespace ckpt
