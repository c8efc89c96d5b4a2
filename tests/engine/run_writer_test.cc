// A writer that saves many times, as a session does: what is staged survives the process, what is
// committed the power, also beside collections, when it inherits from checkpoint to checkpoint, and
// when it lets full packs go.

#include <gtest/gtest.h>

#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

struct Promised {
  Told staged;   // acknowledged: staged at least
  Told durable;  // acknowledged: committed
};

constexpr std::uint64_t kRunPackBytes = 1u
                                        << 20;  // three or four checkpoints of RunWriter's blocks

// Two runs; the first ends without a commit of its last steps.
void RunScript(Env* env, Promised* told) {
  auto store = OpenAt(env, OpenStoreOptions::Mode::kCreate, kRunPackBytes);
  if (!store.ok()) return;
  auto stage = [&](RunOfSaves* run, std::int64_t step) {
    told->staged.tried.insert(step);
    told->durable.tried.insert(step);
    if (!run->Stage(step).ok()) return false;
    told->staged.acknowledged.insert(step);
    return true;
  };
  auto commit = [&](RunOfSaves* run) {
    if (!run->Commit().ok()) return false;
    told->durable.acknowledged = told->staged.acknowledged;
    return true;
  };
  auto remove = [&](RunOfSaves* run, std::int64_t step) {
    Status s = run->RemoveAndCollect(step, &told->staged);
    told->durable.removing = told->staged.removing;
    told->durable.removed = told->staged.removed;
    return s.ok();
  };
  {
    RunOfSaves first(env, store->get(), 1);
    if (!stage(&first, 1) || !commit(&first)) return;
    if (!stage(&first, 2) || !stage(&first, 3) || !commit(&first)) return;
    if (!remove(&first, 1)) return;
    if (!stage(&first, 4) || !commit(&first) || !remove(&first, 2)) return;
    if (!stage(&first, 5) || !stage(&first, 6)) return;
  }
  RunOfSaves second(env, store->get(), 2);
  if (!stage(&second, 7) || !stage(&second, 8) || !commit(&second)) return;
  (void)remove(&second, 3);
}

// With small blocks after every operation; with large ones, which fill packs, after some. A
// failure is cheap to try: after many more.
class RunWriter : public ::testing::TestWithParam<bool> {
 protected:
  RunWriter() { block_bytes = GetParam() ? 60000 : 1000; }
  ~RunWriter() override { block_bytes = 3000; }
  std::uint64_t stride() const { return GetParam() ? 31 : 1; }
  std::uint64_t failure_stride() const { return GetParam() ? 5 : 1; }
};
INSTANTIATE_TEST_SUITE_P(Blocks, RunWriter, ::testing::Bool(),
                         [](const auto& large) { return large.param ? "Large" : "Small"; });

std::uint64_t RunScriptOperations() {
  SimWorld world(7);
  Promised told;
  RunScript(&world, &told);
  EXPECT_EQ(told.staged.acknowledged.size(), 8u);
  EXPECT_EQ(told.durable.acknowledged.size(), 8u);
  EXPECT_EQ(told.staged.removed.size(), 3u);
  return world.op_count();
}

void ExpectRunGoesOn(SimWorld* world, const Told& told, const std::string& when) {
  auto store = OpenAt(world, OpenStoreOptions::Mode::kCreate, kRunPackBytes);
  ASSERT_TRUE(store.ok()) << when << ": " << store.status().ToString();
  ExpectHolds(store->get(), told, when + ", opened");
  auto collected = Collect(store->get());
  EXPECT_TRUE(collected.ok()) << when << ": gc: " << collected.status().ToString();
  ExpectHolds(store->get(), told, when + ", collected");
  RunOfSaves next(world, store->get(), 9);
  Status s = next.Stage(90);
  EXPECT_TRUE(s.ok()) << when << ": " << s.ToString();
  if (s.ok()) s = next.Commit();
  EXPECT_TRUE(s.ok()) << when << ": " << s.ToString();
  ExpectHolds(store->get(), told, when + ", went on");
}

TEST_P(RunWriter, UndisturbedScriptHolds) {
  SimWorld world(7);
  Promised told;
  RunScript(&world, &told);
  ExpectRunGoesOn(&world, told.durable, "undisturbed");
}

TEST_P(RunWriter, KilledAfterEveryOperationStagedCheckpointsStay) {
  const std::uint64_t operations = RunScriptOperations();
  for (std::uint64_t n = 0; n <= operations && !testing::Test::HasFailure();
       n += stride() * kSweepStride) {
    SimWorld world(7);
    world.set_stop_after(n, n % 3 == 0 ? 100 : 0);
    Promised told;
    RunScript(&world, &told);
    ExpectRunGoesOn(world.KillProcess().get(), told.staged, "killed after " + std::to_string(n));
  }
}

TEST_P(RunWriter, PowerLostAfterEveryOperationCommittedCheckpointsStay) {
  const std::uint64_t operations = RunScriptOperations();
  for (std::uint64_t n = 0; n <= operations && !testing::Test::HasFailure();
       n += stride() * kSweepStride) {
    SimWorld world(7);
    world.set_stop_after(n);
    Promised told;
    RunScript(&world, &told);
    for (std::uint64_t k = 0; k < 3; ++k) {
      CrashChoice choice;
      choice.seed = 3 * n + k;
      choice.keep = k == 0 ? CrashChoice::Keep::kNone : CrashChoice::Keep::kSubset;
      ExpectRunGoesOn(world.Crash(choice).get(), told.durable,
                      "power lost after " + std::to_string(n) + ", choice " + std::to_string(k));
    }
  }
}

TEST_P(RunWriter, AnyFailedOperationHolds) {
  const std::uint64_t operations = RunScriptOperations();
  for (int error : {EIO, ENOSPC}) {
    for (std::uint64_t n = 1; n <= operations && !testing::Test::HasFailure();
         n += failure_stride() * kSweepStride) {
      SimWorld world(7);
      world.FailOp(n, error);
      Promised told;
      RunScript(&world, &told);
      world.ClearFaults();
      const std::string when =
          "operation " + std::to_string(n) + " failed with " + std::to_string(error);
      ExpectRunGoesOn(world.KillProcess().get(), told.staged, when);
      ExpectRunGoesOn(world.Crash(NothingKept()).get(), told.durable, when + ", power lost");
    }
  }
}

TEST_P(RunWriter, AStepThatDoesNotFollowIsRefused) {
  SimWorld world(7);
  auto store = OpenAt(&world);
  ASSERT_TRUE(store.ok());
  RunOfSaves one(&world, store->get(), 1);
  ASSERT_TRUE(one.Stage(5).ok());
  EXPECT_EQ(one.writer()->Next(5).code(), Code::kInvalidArgument);
  ASSERT_TRUE(one.Stage(6).ok());
}

TEST_P(RunWriter, ALaterAttemptEndsTheRun) {
  SimWorld world(7);
  auto store = OpenAt(&world);
  ASSERT_TRUE(store.ok());
  {
    RunOfSaves one(&world, store->get(), 1);
    ASSERT_TRUE(one.Stage(1).ok());
    ASSERT_TRUE(one.Commit().ok());
  }
  {
    RunOfSaves other(&world, store->get(), 2);
    ASSERT_TRUE(other.Stage(1).ok());
    ASSERT_TRUE(other.Commit().ok());
  }
  RunOfSaves again(&world, store->get(), 1);
  EXPECT_EQ(again.Stage(2).code(), Code::kExists);
  RunOfSaves continued(&world, store->get(), 2);
  EXPECT_TRUE(continued.Stage(2).ok());
}

}  // namespace
}  // namespace ckpt
