// Real SIGKILLs between capture, stage and commit: the next run finds the last staged checkpoint.

#include <sys/mman.h>

#include <filesystem>
#include <random>

#include "tests/session/session_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

using At = SessionProbe::At;

class SessionKill : public SessionTest {
 protected:
  // Saves steps 1 ... until it is killed at `at` of step `fatal`.
  int RunUntilKilled(At at, std::int64_t fatal, Durability durability) {
    options_.durability = durability;
    return InChild([&] {
      SessionProbe probe;
      probe.at = [=](At now, std::int64_t step) {
        if (now == at && step >= fatal) kill(getpid(), SIGKILL);
      };
      std::vector<double> x;
      auto s = Open(probe);
      if (!s->Protect(VectorItem("x", &x)).ok() || !s->Restore().ok()) return 3;
      for (std::int64_t step = 1; step <= fatal + 3; ++step) {
        x.assign(30000, static_cast<double>(step));
        x[static_cast<std::size_t>(step) * 1000] = 0.5;
        if (!s->Step(step).error.ok()) return 4;
        if (step < fatal && !s->WaitStaged().ok()) return 5;
      }
      (void)s->Commit();
      return 6;  // was to be killed
    });
  }
  void ExpectStep(std::int64_t step) {
    std::vector<double> x;
    ASSERT_EQ(RestoredStep(&x), step);
    std::vector<double> expected(30000, static_cast<double>(step));
    expected[static_cast<std::size_t>(step) * 1000] = 0.5;
    EXPECT_EQ(x, expected);
  }
};

TEST_F(SessionKill, BeforeStagingTheOneBeforeIsFound) {
  for (At at : {At::kCaptured, At::kPut, At::kBeforeStage}) {
    std::filesystem::remove_all(store_path());
    ASSERT_TRUE(KilledBy(RunUntilKilled(at, 3, Durability::kOnRequest), SIGKILL));
    ExpectStep(2);
  }
}

TEST_F(SessionKill, AfterStagingItIsFound) {
  for (At at : {At::kStaged, At::kBeforeCommit, At::kDurable}) {
    std::filesystem::remove_all(store_path());
    ASSERT_TRUE(KilledBy(RunUntilKilled(at, 3, Durability::kEachSave), SIGKILL));
    ExpectStep(3);
  }
}

TEST_F(SessionKill, StagedCheckpointsSurviveManyRunsWithoutACommit) {
  std::vector<double> x;
  for (std::int64_t round = 1; round <= 4; ++round) {
    int status = InChild([&] {
      SessionProbe probe;
      probe.at = [=](At now, std::int64_t step) {
        if (now == At::kStaged && step == 3 * round) kill(getpid(), SIGKILL);
      };
      options_.durability = Durability::kOnRequest;
      std::vector<double> y;
      auto s = Open(probe);
      if (!s->Protect(VectorItem("x", &y)).ok()) return 3;
      auto restored = s->Restore();
      if (!restored.ok() || restored->restored != (round > 1)) return 4;
      if (restored->restored && restored->step != 3 * (round - 1)) return 5;
      y.resize(50000);
      for (std::int64_t step = restored->step + 1;; ++step) {
        y[static_cast<std::size_t>(step)] = static_cast<double>(step);
        if (!s->Step(step).error.ok()) return 6;
        if (!s->WaitStaged().ok()) return 7;
      }
    });
    ASSERT_TRUE(KilledBy(status, SIGKILL)) << status;
  }
  ASSERT_EQ(RestoredStep(&x), 12);
  for (std::size_t i = 1; i <= 12; ++i) EXPECT_EQ(x[i], static_cast<double>(i));
}

// What a child wrote down before it was killed.
struct KillShared {
  std::atomic<std::int64_t> staged{0};
  std::atomic<std::int64_t> durable{0};
};

TEST_F(SessionKill, AtAnyMomentNothingStagedIsLost) {
  auto* shared = static_cast<KillShared*>(
      mmap(nullptr, sizeof(KillShared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(shared, MAP_FAILED);
  std::mt19937 random(11);
  std::int64_t before = 0;
  for (int round = 0; round < (kSanitized ? 8 : 25); ++round) {
    new (shared) KillShared();
    shared->staged = before;
    pid_t child = fork();
    if (child == 0) {
      alarm(60);
      SessionProbe probe;
      probe.at = [=](At at, std::int64_t step) {
        if (at == At::kStaged) shared->staged = step;
      };
      options_.durability = round % 2 == 0 ? Durability::kEachSave : Durability::kOnRequest;
      options_.keep_last = 2;
      options_.housekeeping_share = 0.5;
      std::vector<double> y;
      auto s = Open(probe);
      if (!s->Protect(VectorItem("x", &y)).ok()) _exit(3);
      auto restored = s->Restore();
      if (!restored.ok()) _exit(4);
      y.resize(50000);
      for (std::int64_t step = restored->step + 1;; ++step) {
        y[static_cast<std::size_t>(step) % y.size()] = static_cast<double>(step);
        if (!s->Step(step).error.ok()) _exit(5);
      }
    }
    // Some are killed before their first save.
    while (round % 4 != 0 && shared->staged.load() == before) usleep(200);
    usleep(static_cast<useconds_t>(20000 + random() % 150000));  // any moment is as good as another
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(KilledBy(status, SIGKILL)) << status;
    std::vector<double> x;
    const std::int64_t step = RestoredStep(&x);
    ASSERT_GE(step, shared->staged.load() > 0 ? shared->staged.load() : -1) << "round " << round;
    if (step > 0) {
      EXPECT_EQ(x[static_cast<std::size_t>(step) % x.size()], static_cast<double>(step));
      before = step;
    }
  }
  EXPECT_GT(before, 25);
  std::printf("proof: SessionKill: 25 kills\n");
  munmap(shared, sizeof(KillShared));
}

}  // namespace
}  // namespace ckpt
