// A session whose node loses its power after any of its changes: the last committed checkpoint is
// there, whole, and the next session goes on from it. In a simulated world, which knows what was
// flushed.

#include <algorithm>

#include "tests/session/session_fixture.h"
#include "tests/support/sim_world.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

constexpr std::size_t kLostNodeNumbers = 20000;

class SessionLostNode : public SessionTest {
 protected:
  SessionLostNode() {
    options_.store.use_index = false;
    options_.store.threads = 1;
    options_.buffer_bytes = 1u << 20;
    options_.stop_signals = options_.save_signals = {};
  }

  static std::vector<double> Content(std::int64_t step) {
    std::vector<double> x(kLostNodeNumbers, 1.5);
    for (std::size_t i = 0; i < x.size() / 4; ++i) x[i] = static_cast<double>(step);
    return x;
  }
  // Three steps, one of them committed at once; what was acknowledged as durable before the power
  // was gone.
  std::int64_t Run(Env* env, std::int64_t first) {
    auto opened = Session::Open(env, "/store", "run", options_);
    if (!opened.ok()) return -1;
    Session& s = **opened;
    std::vector<double> x;
    EXPECT_OK(s.Protect(VectorItem("x", &x)));
    if (!s.Restore().ok()) return -1;
    std::int64_t acknowledged = -1;
    for (std::int64_t step = first; step < first + 3; ++step) {
      x = Content(step);
      (void)s.Step(step);
      if (step == first + 1 && s.Commit().ok()) acknowledged = step;
    }
    return s.Finish(true).error.ok() ? first + 2 : acknowledged;
  }
  // Nothing that was not flushed, all of it, and parts.
  static std::vector<CrashChoice> Choices(std::uint64_t n) {
    std::vector<CrashChoice> choices = {CrashChoice::None(), CrashChoice::All()};
    for (std::uint64_t k = 1; k <= 6; ++k) choices.push_back(CrashChoice::Random(100 * n + k));
    return choices;
  }
  // The newest step there is; -1: none.
  std::int64_t RestoredOn(Env* env) {
    auto s = Session::Open(env, "/store", "run", options_);
    EXPECT_TRUE(s.ok()) << s.status().ToString();
    if (!s.ok()) return -2;
    std::vector<double> x;
    EXPECT_OK((*s)->Protect(VectorItem("x", &x)));
    auto restored = (*s)->Restore();
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    if (!restored.ok() || !restored->restored) return -1;
    EXPECT_EQ(x, Content(restored->step));
    return restored->step;
  }
};

TEST_F(SessionLostNode, TheLastCommittedCheckpointIsThere) {
  for (const Durability durability : {Durability::kEachSave, Durability::kOnRequest}) {
    options_.durability = durability;
    SimWorld first(1);
    ASSERT_EQ(Run(&first, 1), 3);
    auto calm = first.KillProcess();
    ASSERT_EQ(Run(calm.get(), 4), 6);
    const std::uint64_t changes = calm->change_count();
    EXPECT_GT(changes, 10u);
    for (std::uint64_t n = 1; n <= changes; n += kSweepStride) {
      auto world = first.KillProcess();
      world->LosePowerAfter(n);
      const std::int64_t acknowledged = Run(world.get(), 4);
      for (const CrashChoice& choice : Choices(n)) {
        SCOPED_TRACE("change " + std::to_string(n) + ", seed " + std::to_string(choice.seed));
        auto after = world->Crash(choice);
        const std::int64_t step = RestoredOn(after.get());
        ASSERT_GE(step, std::max<std::int64_t>(acknowledged, 3));
        ASSERT_LE(step, 6);
        ASSERT_EQ(Run(after.get(), step + 1), step + 3);
      }
    }
  }
}

}  // namespace
}  // namespace ckpt
