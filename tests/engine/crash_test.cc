// A scripted life of a store (saves, removals, collections) is stopped after every operation that
// changes the disk; the process is killed or the power goes, with unsynced effects kept, dropped or
// torn; the store is opened again and must hold what was promised (I1, I2, I3), go on, and collect.

#include <gtest/gtest.h>

#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

constexpr std::uint64_t kPackBytes = 1u << 20;

// Goes on after failures, as users do; a dead process fails everything.
void RunScript(Env* env, Told* told, std::uint64_t pack_bytes = kPackBytes) {
  auto save = [&](std::int64_t step) {
    auto store = OpenAt(env, OpenStoreOptions::Mode::kCreate, pack_bytes);
    if (!store.ok()) return;
    told->tried.insert(step);
    if (Save(store->get(), step, step % 2 == 0).ok()) told->acknowledged.insert(step);
  };
  auto remove = [&](std::int64_t step) {
    auto store = OpenAt(env, OpenStoreOptions::Mode::kWrite);
    if (!store.ok()) return;
    told->removing.insert(step);
    if (Remove(store->get(), step).ok()) told->removed.insert(step);
  };
  auto collect = [&] {
    auto store = OpenAt(env, OpenStoreOptions::Mode::kWrite);
    if (!store.ok()) return;
    auto collected = Collect(store->get());
    (void)collected;
  };
  save(1);
  save(2);
  save(3);
  remove(1);
  collect();
  save(4);
  remove(2);
  remove(3);
  collect();
  save(5);
}

// Opens, looks, saves, collects, looks again.
void ExpectRecovers(SimWorld* world, Told told, const std::string& when) {
  auto store = OpenAt(world, OpenStoreOptions::Mode::kCreate, kPackBytes);
  ASSERT_TRUE(store.ok()) << when << ": " << store.status().ToString();  // I3
  ExpectHolds(store->get(), told, when + ", opened");
  auto collected = Collect(store->get());
  EXPECT_TRUE(collected.ok()) << when << ": gc: " << collected.status().ToString();
  ExpectHolds(store->get(), told, when + ", collected");
  Status saved = Save(store->get(), 90, true);
  EXPECT_TRUE(saved.ok()) << when << ": save: " << saved.ToString();
  told.tried.insert(90);
  told.acknowledged.insert(90);
  collected = Collect(store->get());
  EXPECT_TRUE(collected.ok()) << when << ": second gc: " << collected.status().ToString();
  store = OpenAt(world, OpenStoreOptions::Mode::kRead);
  ASSERT_TRUE(store.ok()) << when << ": " << store.status().ToString();
  ExpectHolds(store->get(), told, when + ", collected twice and opened again");
}

CrashChoice Choice(std::uint64_t seed) {
  CrashChoice choice;
  choice.seed = seed;
  switch (seed % 4) {
    case 0:
      choice.keep = CrashChoice::Keep::kNone;
      break;
    case 1:
      choice.keep = CrashChoice::Keep::kAll;
      choice.tear = CrashChoice::Tear::kPage;
      break;
    default:
      choice.keep = CrashChoice::Keep::kSubset;
      choice.tear = seed % 3 == 0 ? CrashChoice::Tear::kSector : CrashChoice::Tear::kByte;
      choice.fill = seed % 5 == 0 ? CrashChoice::Fill::kStale : CrashChoice::Fill::kZeros;
  }
  return choice;
}

std::uint64_t ScriptOperations() {
  SimWorld world(7);
  Told told;
  RunScript(&world, &told);
  EXPECT_EQ(told.acknowledged.size(), 5u);
  EXPECT_EQ(told.removed.size(), 3u);
  return world.op_count();
}

// With blocks that have nothing in common, and with such as are stored as differences.
class EngineCrash : public ::testing::TestWithParam<bool> {
 protected:
  EngineCrash() { similar_blocks = GetParam(); }
  ~EngineCrash() override { similar_blocks = false; }
};
INSTANTIATE_TEST_SUITE_P(Blocks, EngineCrash, ::testing::Bool(), [](const auto& kind) {
  return std::string(kind.param ? "Similar" : "Apart");
});

TEST_P(EngineCrash, UndisturbedScriptHolds) {
  SimWorld world(7);
  Told told;
  RunScript(&world, &told);
  {
    auto store = OpenAt(&world, OpenStoreOptions::Mode::kRead);
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(CountDeltas(store->get()) > 0, GetParam());
  }
  ExpectRecovers(&world, told, "undisturbed");
}

TEST_P(EngineCrash, KilledAfterEveryOperationHolds) {
  std::uint64_t operations = ScriptOperations();
  for (std::uint64_t n = 0; n <= operations && !HasFailure(); n += kSweepStride) {
    SimWorld world(7);
    world.set_stop_after(n, n % 3 == 0 ? 100 : 0);
    Told told;
    RunScript(&world, &told);
    ExpectRecovers(world.KillProcess().get(), told, "killed after " + std::to_string(n));
  }
}

TEST_P(EngineCrash, PowerLostAfterEveryOperationHolds) {
  std::uint64_t operations = ScriptOperations();
  for (std::uint64_t n = 0; n <= operations && !HasFailure(); n += kSweepStride) {
    SimWorld world(7);
    world.set_stop_after(n);
    Told told;
    RunScript(&world, &told);
    for (std::uint64_t k = 0; k < 4; ++k) {
      ExpectRecovers(world.Crash(Choice(4 * n + k)).get(), told,
                     "power lost after " + std::to_string(n) + ", choice " + std::to_string(k));
    }
  }
}

// Packs fill up in the middle of saves.
TEST_P(EngineCrash, FullPacksHold) {
  block_bytes = 90000;
  std::uint64_t operations = ScriptOperations();
  for (std::uint64_t n = 0; n <= operations && !HasFailure(); n += 2 * kSweepStride) {
    SimWorld world(7);
    world.set_stop_after(n);
    Told told;
    RunScript(&world, &told);
    std::string when = "full packs, stopped after " + std::to_string(n);
    ExpectRecovers(world.KillProcess().get(), told, when);
    ExpectRecovers(world.Crash(Choice(n)).get(), told, when + ", power lost");
  }
  block_bytes = 3000;
}

// The recovery itself is cut short: by a kill, then by power loss.
TEST_P(EngineCrash, SecondCrashDuringRecoveryHolds) {
  std::uint64_t operations = ScriptOperations();
  for (std::uint64_t n = 1; n <= operations && !HasFailure(); n += 3 * kSweepStride) {
    SimWorld world(7);
    world.set_stop_after(n);
    Told told;
    RunScript(&world, &told);
    auto second = n % 2 == 0 ? world.KillProcess() : world.Crash(Choice(n));
    second->set_stop_after(1 + (n * 7) % 40);
    {
      auto store = OpenAt(second.get(), OpenStoreOptions::Mode::kCreate, kPackBytes);
      if (store.ok()) {
        auto collected = Collect(store->get());
        told.tried.insert(50);
        if (Save(store->get(), 50).ok()) told.acknowledged.insert(50);
      }
    }
    auto third = n % 3 == 0 ? second->KillProcess() : second->Crash(Choice(n + 1));
    ExpectRecovers(third.get(), told, "second crash, n = " + std::to_string(n));
  }
}

// One operation fails, everything else works: what was told to have worked must have.
TEST_P(EngineCrash, AnyFailedOperationHolds) {
  std::uint64_t operations = ScriptOperations();
  for (int error : {EIO, ENOSPC}) {
    for (std::uint64_t n = 1; n <= operations && !HasFailure(); n += kSweepStride) {
      SimWorld world(7);
      world.FailOp(n, error);
      Told told;
      RunScript(&world, &told);
      world.ClearFaults();
      std::string when = "operation " + std::to_string(n) + " failed with " + std::to_string(error);
      ExpectRecovers(world.KillProcess().get(), told, when);
      ExpectRecovers(world.Crash(Choice(n)).get(), told, when + ", power lost");
    }
  }
}

TEST_P(EngineCrash, FullDiskLosesNothingAndCollects) {
  for (std::uint64_t spare = 0; spare <= 200000 && !HasFailure(); spare += 4096 * kSweepStride) {
    SimWorld world(7);
    Told told;
    {
      auto store = OpenAt(&world, OpenStoreOptions::Mode::kCreate, kPackBytes);
      ASSERT_TRUE(store.ok());
      for (std::int64_t step : {1, 2, 3, 4, 5, 6}) {
        told.tried.insert(step);
        ASSERT_TRUE(Save(store->get(), step).ok());
        told.acknowledged.insert(step);
      }
    }
    world.set_capacity_bytes(world.used_bytes() + spare);
    std::string when = "full disk, spare " + std::to_string(spare);
    auto store = OpenAt(&world, OpenStoreOptions::Mode::kWrite);
    ASSERT_TRUE(store.ok()) << when;
    for (std::int64_t step = 10; step < 20; ++step) {
      told.tried.insert(step);
      Status s = Save(store->get(), step, true);
      if (s.ok()) told.acknowledged.insert(step);
      if (!s.ok()) {
        EXPECT_EQ(s.code(), Code::kNoSpace) << when << s.ToString();
      }
    }
    ExpectHolds(store->get(), told, when + ", saved");
    for (std::int64_t step : {1, 2, 3, 4, 5}) {
      Status s = Remove(store->get(), step, true);
      EXPECT_TRUE(s.ok()) << when << ": rm: " << s.ToString();
      told.removing.insert(step);
      told.removed.insert(step);
    }
    std::uint64_t before = world.used_bytes();
    auto collected = Collect(store->get());
    EXPECT_TRUE(collected.ok()) << when << ": gc: " << collected.status().ToString();
    EXPECT_LT(world.used_bytes(), before) << when;
    ExpectHolds(store->get(), told, when + ", collected");
  }
}

}  // namespace
}  // namespace ckpt
