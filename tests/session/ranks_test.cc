// Ranks of one run, each with a session: what each saves besides must not part them.

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

TEST(Ranks, SaveAtTheSameStepsWhateverOneOfThemSavedBesides) {
  for (const bool at_multiples : {true, false}) {
    Cadence::Settings settings;
    settings.every_steps = 5;
    settings.at_multiples = at_multiples;
    Cadence cadence(settings, {});
    std::vector<std::int64_t> saved;
    for (std::int64_t step = 1; step <= 20; ++step) {
      const Cadence::Now now = {step, step, step};
      if (!cadence.Due(now) && step != 7) continue;
      cadence.Saved(now);
      saved.push_back(step);
    }
    const std::vector<std::int64_t> together = {5, 7, 10, 15, 20}, apart = {5, 7, 12, 17};
    EXPECT_EQ(saved, at_multiples ? together : apart);
  }
}

class SessionRanks : public SessionTest {
 protected:
  std::unique_ptr<Session> OpenRank(std::uint32_t rank, std::vector<double>* x) {
    options_.rank = rank;
    auto s = Open();
    EXPECT_OK(s->Protect(VectorItem("x", x)));
    return s;
  }
};

TEST_F(SessionRanks, TheNewestStepThatAllHaveIsRestored) {
  options_.ranks = 2;
  options_.run_id = "1";
  options_.every_steps = 5;
  options_.keep_last = 0;
  std::vector<double> x(1000, 1), back;
  for (const std::uint32_t rank : {0u, 1u}) {
    auto s = OpenRank(rank, &x);
    for (std::int64_t step = 1; step <= 22; ++step) {
      x[0] = static_cast<double>(step);
      if (rank == 1 && step == 7) raise(SIGUSR1);  // reaches this one alone
      ASSERT_OK(s->Step(step).error);
    }
    ASSERT_OK(s->Finish(true).error);
  }
  options_.run_id = "2";
  auto s = OpenRank(0, &back);
  auto restored = s->Restore();
  ASSERT_OK(restored.status());
  EXPECT_EQ(restored->step, 20);
  EXPECT_EQ(back[0], 20);
}

// The first one of a later run makes its attempt; what the others continue is there as well.
TEST_F(SessionRanks, TheSlowerOnesContinueWhatWasRestored) {
  options_.ranks = 2;
  std::vector<double> x[2] = {Numbers(40000, 1), Numbers(40000, 2)};
  for (const char* run : {"1", "2"}) {
    options_.run_id = run;
    auto first = OpenRank(0, &x[0]);
    auto second = OpenRank(1, &x[1]);
    Session* const sessions[2] = {first.get(), second.get()};
    std::int64_t done = 0;
    for (Session* s : sessions) {
      auto restored = s->Restore();
      ASSERT_OK(restored.status());
      done = restored->step;
    }
    for (std::int64_t step = done + 1; step <= done + 3; ++step) {
      for (int rank : {0, 1}) {
        x[rank][0] = static_cast<double>(step);
        ASSERT_OK(sessions[rank]->Step(step).error);
        ASSERT_OK(sessions[rank]->Commit());
        if (done > 0) {
          EXPECT_EQ(sessions[rank]->Report().last.changed_bytes, 64u << 10) << rank;
        }
      }
    }
    for (Session* s : sessions) {
      EXPECT_EQ(s->Report().failed_saves, 0u);
      ASSERT_OK(s->Finish(true).error);
    }
    EXPECT_FALSE(Noticed("not saved"));
  }
}

}  // namespace
}  // namespace ckpt
