// Hollow packs: where survivors cannot be copied for lack of room, the blocks of chunks that nobody
// needs are given back where they lie. Nothing kept is touched, nothing that is gone is relied upon
// again, whatever is stopped when; and what becomes free lets the ordinary collection go on.

#include <gtest/gtest.h>

#include "store/engine/check.h"
#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT
using Kind = Collector::Kind;

class HollowTest : public ::testing::Test {
 protected:
  // Nine blocks, larger together than the reserve.
  void SetUp() override { block_bytes = 160000; }
  void TearDown() override { block_bytes = 3000; }
};

// One pack with steps 1 ... 8, each with three blocks of its own; all but the newest removed.
struct Mine {
  explicit Mine(std::uint64_t seed = 5, bool full = true) : world(seed) {
    store = *OpenAt(&world);
    for (std::int64_t step = 1; step <= 8; ++step) {
      EXPECT_TRUE(Save(store.get(), step).ok());
      told.tried.insert(step);
      told.acknowledged.insert(step);
    }
    if (full) world.set_capacity_bytes(world.used_bytes());
    for (std::int64_t step = 1; step <= 7; ++step) {
      EXPECT_TRUE(Remove(store.get(), step).ok());
      told.removing.insert(step);
      told.removed.insert(step);
    }
  }
  // Step 9 has blocks of steps 2 and 4, which nobody needs any more.
  void SaveGarbageAgain(Store* writer, const std::string& when) {
    Status saved = Save(writer, 9, true);
    ASSERT_TRUE(saved.ok()) << when << ": " << saved.ToString();
    told.tried.insert(9);
    told.acknowledged.insert(9);
  }

  SimWorld world;
  std::unique_ptr<Store> store;
  Told told;
};

std::unique_ptr<Collector> OpenCollector(Store* store) {
  CollectOptions options;
  options.wait_ms = 0;
  auto collector = Collector::Open(store, options);
  EXPECT_TRUE(collector.ok()) << collector.status().ToString();
  return *std::move(collector);
}

// Gives back what it can, and leaves the pack.
constexpr int kHollowPhases = 5;
Status Advance(Collector* collector, int phase) {
  switch (phase) {
    case 0:
      CKPT_RETURN_IF_ERROR(collector->Resume());
      return collector->Survey({});
    case 1: {
      CKPT_ASSIGN_OR_RETURN(bool any, collector->Choose(Kind::kHollow));
      return any ? collector->Condemn() : Internal("nothing to give back");
    }
    case 2: {
      CKPT_ASSIGN_OR_RETURN(bool acknowledged, collector->AwaitAcks());
      return acknowledged ? Status() : Busy("a writer did not acknowledge");
    }
    case 3:
      CKPT_RETURN_IF_ERROR(collector->SecondLook());
      return collector->MarkHollow();
    default:
      return collector->Punch();
  }
}

void ExpectNoDamage(Store* store, const std::string& when) {
  for (bool quick : {false, true}) {
    CheckOptions options;
    options.quick = quick;
    auto report = CheckStore(store, options);
    ASSERT_TRUE(report.ok()) << when << ": " << report.status().ToString();
    EXPECT_TRUE(report->damage.empty()) << when << ": " << report->damage.front().what;
    EXPECT_FALSE(report->newest_sound.empty()) << when;
  }
}

TEST_F(HollowTest, FullDiskWithSurvivorsLargerThanReserveIsCollected) {
  Mine mine;
  std::uint64_t before = mine.world.used_bytes();
  auto collected = Collect(mine.store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  // 21 blocks were garbage; the pack is gone, and its survivors are in another one.
  EXPECT_LT(mine.world.used_bytes(), before - 14 * block_bytes);
  EXPECT_GE(collected->packs_removed, 1u);
  EXPECT_EQ(collected->freed_bytes / block_bytes, (before - mine.world.used_bytes()) / block_bytes);
  ExpectHolds(mine.store.get(), mine.told, "collected");
  ExpectNoDamage(mine.store.get(), "collected");
  mine.SaveGarbageAgain(mine.store.get(), "collected");
  ExpectHolds(mine.store.get(), mine.told, "and saved again");
}

// It is sparse and fits into the reserve, but its copy would be no smaller.
TEST_F(HollowTest, ASmallPackBesideDoesNotHideThatThereIsNoRoom) {
  Mine mine(5, false);
  mine.SaveGarbageAgain(mine.store.get(), "before");  // half of the pack is in use
  {
    auto process = mine.world.NewProcess();
    auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
    auto holds = *Saving::Begin(mine.store.get(), 10);  // the large pack
    block_bytes = 300;
    ASSERT_TRUE(Save(store.get(), 1, false, "small").ok());
    block_bytes = 160000;
  }
  mine.world.set_capacity_bytes(mine.world.used_bytes());
  const std::uint64_t before = mine.world.used_bytes();
  auto collected = Collect(mine.store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  EXPECT_LT(mine.world.used_bytes(), before - 10 * block_bytes);
  ExpectHolds(mine.store.get(), mine.told, "collected");
}

// A session's retention: staged with the next save, whose writer found the disk full.
TEST_F(HollowTest, TombstonesThatADeadWriterStagedMakeRoomToo) {
  for (const bool alive : {false, true}) {
    SimWorld world(5);
    auto process = world.NewProcess();
    auto store = *OpenAt(process.get());
    for (std::int64_t step = 1; step <= 8; ++step) ASSERT_TRUE(Save(store.get(), step).ok());
    auto saving = *Saving::Begin(store.get(), 9);
    for (std::int64_t step = 1; step <= 7; ++step) {
      auto found = *ResolveCheckpoint(store.get(), "run@" + std::to_string(step));
      Tombstone tombstone;
      tombstone.series = "run";
      tombstone.attempt = found.ranks.front().attempt;
      tombstone.step = step;
      const Bytes payload = *EncodeTombstone(tombstone);
      ASSERT_TRUE(saving->writer()->chunks()->AppendRecord(RecordType::kTombstone, payload).ok());
    }
    ASSERT_TRUE(saving->writer()->chunks()->Stage().ok());
    if (!alive) saving.reset();
    world.set_capacity_bytes(world.used_bytes());
    const std::uint64_t before = world.used_bytes();
    auto other = world.NewProcess();
    auto collecting = *OpenAt(other.get(), OpenStoreOptions::Mode::kWrite);
    CollectOptions dry;
    dry.dry_run = true;
    Collected predicted;
    ASSERT_TRUE((*Collector::Open(collecting.get(), dry))->Run({}, &predicted).ok());
    EXPECT_EQ(predicted.freed_bytes > 10 * block_bytes, !alive);
    ASSERT_TRUE(Collect(collecting.get()).ok());
    EXPECT_EQ(world.used_bytes() < before - 10 * block_bytes, !alive);
    EXPECT_TRUE(Restore(collecting.get(), 8).ok());
    EXPECT_EQ(Restore(collecting.get(), 3).code(), Code::kNotFound);
  }
}

TEST_F(HollowTest, DryRunOnFullDiskSaysWhatWouldBeFreed) {
  Mine mine;
  CollectOptions options;
  options.dry_run = true;
  auto collector = *Collector::Open(mine.store.get(), options);
  Collected predicted;
  ASSERT_TRUE(collector->Run({}, &predicted).ok());
  EXPECT_GT(predicted.freed_bytes, 10 * block_bytes);
  EXPECT_EQ(predicted.packs_removed, 0u);
}

// The pack stays: what is needed in it is found and hit as before, what is not is stored anew.
TEST_F(HollowTest, NothingGivenBackIsReliedUponAgain) {
  Mine mine(5, false);
  std::uint64_t before = mine.world.used_bytes();
  auto collector = OpenCollector(mine.store.get());
  for (int phase = 0; phase < kHollowPhases; ++phase) {
    Status s = Advance(collector.get(), phase);
    ASSERT_TRUE(s.ok()) << phase << ": " << s.ToString();
  }
  EXPECT_GT(collector->collected().freed_bytes, 12 * block_bytes);
  EXPECT_LE(mine.world.used_bytes(), before - collector->collected().freed_bytes + 16384);
  collector.reset();
  ExpectHolds(mine.store.get(), mine.told, "given back");
  ExpectNoDamage(mine.store.get(), "given back");

  auto process = mine.world.NewProcess();
  auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  mine.SaveGarbageAgain(store.get(), "given back");
  ExpectHolds(store.get(), mine.told, "and saved again");
  // Step 8 once more, in another series: all of it is there, and is read to see that it is.
  auto again = *Saving::Begin(store.get(), 8, "other");
  ASSERT_TRUE(again->Put(0, kBlocks, true).ok());
  auto saved = again->End();
  ASSERT_TRUE(saved.ok());
  EXPECT_EQ(saved->new_chunks, 0u);
  again.reset();
  EXPECT_TRUE(Restore(store.get(), 8, "other").ok());

  // With room, the ordinary collection rewrites the pack.
  auto collected = Collect(store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  EXPECT_GE(collected->packs_removed, 1u);
  ExpectHolds(store.get(), mine.told, "rewritten");
  EXPECT_TRUE(Restore(store.get(), 8, "other").ok());
  ExpectNoDamage(store.get(), "rewritten");
}

TEST_F(HollowTest, DamageInWhatIsNeededIsStillFound) {
  Mine mine(5, false);
  auto collector = OpenCollector(mine.store.get());
  for (int phase = 0; phase < kHollowPhases; ++phase) {
    ASSERT_TRUE(Advance(collector.get(), phase).ok()) << phase;
  }
  collector.reset();
  // A block in the middle of step 8's newest chunk is lost as if it had been given back.
  Id128 lost = HashChunk(BlockOf(8, 1));
  auto process = mine.world.NewProcess();
  auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  ASSERT_TRUE(store->Refresh().ok());
  auto place = store->FindInHollow(lost);
  ASSERT_TRUE(place.has_value());
  auto root = *process->OpenDir("/store/packs");
  auto file = *root->OpenFile(PackFileName(place->pack_id), {.mode = OpenMode::kReadWrite});
  std::uint64_t at = RoundUp(place->entry.offset + 8192, 4096);
  ASSERT_TRUE(file->PunchHole(at, 4096).ok());
  EXPECT_FALSE(store->FindInHollow(lost).has_value());
  EXPECT_EQ(Restore(store.get(), 8).code(), Code::kCorruption);
  auto report = CheckStore(store.get(), {});
  ASSERT_TRUE(report.ok());
  ASSERT_EQ(report->damage.size(), 1u);
  EXPECT_EQ(report->damage.front().checkpoints.size(), 1u);
}

// A save that deduplicates against garbage, begun, going on and ended between any two phases.
TEST_F(HollowTest, SaveBesideEveryPhaseCommitsAndHolds) {
  SampledSweep sweep;
  for (int begin = 0; begin <= kHollowPhases; ++begin) {
    for (int middle = begin; middle <= kHollowPhases; ++middle) {
      for (int end = middle; end <= kHollowPhases && !HasFailure(); ++end) {
        if (!sweep.Takes()) continue;
        std::string when = "begun " + std::to_string(begin) + ", went on " +
                           std::to_string(middle) + ", ended " + std::to_string(end);
        Mine mine(3, false);
        auto process = mine.world.NewProcess();
        auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
        auto collector = OpenCollector(mine.store.get());
        ASSERT_TRUE(collector->Resume().ok());
        std::unique_ptr<Saving> saving;
        for (int phase = 0; phase <= kHollowPhases; ++phase) {
          if (phase == begin) {
            saving = *Saving::Begin(store.get(), 9);
            ASSERT_TRUE(saving->Put(0, 4, true).ok()) << when;
          }
          if (phase == middle) {
            ASSERT_TRUE(saving->Put(4, kBlocks, true).ok()) << when;
          }
          if (phase == end) {
            auto saved = saving->End();
            ASSERT_TRUE(saved.ok()) << when << ": " << saved.status().ToString();  // I7
            mine.told.tried.insert(9);
            mine.told.acknowledged.insert(9);
            saving.reset();
          }
          if (saving != nullptr) {
            ASSERT_TRUE(saving->writer()->chunks()->PollEpoch().ok()) << when;
          }
          if (phase == kHollowPhases) break;
          Status s = Advance(collector.get(), phase);
          if (s.code() == Code::kInternal) break;  // the writer has the pack: not a candidate
          if (s.code() == Code::kBusy && saving != nullptr) {
            ASSERT_TRUE(saving->writer()->chunks()->PollEpoch().ok()) << when;
            s = Advance(collector.get(), phase);
          }
          ASSERT_TRUE(s.ok()) << when << ", phase " << phase << ": " << s.ToString();
        }
        if (saving != nullptr) {
          if (middle > 1) {
            ASSERT_TRUE(saving->Put(4, kBlocks, true).ok()) << when;
          }
          ASSERT_TRUE(saving->End().ok()) << when;
          saving.reset();
          mine.told.tried.insert(9);
          mine.told.acknowledged.insert(9);
        }
        collector.reset();
        auto fresh = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
        ExpectHolds(fresh.get(), mine.told, when);
        ExpectNoDamage(fresh.get(), when);
        ASSERT_TRUE(Collect(fresh.get()).ok()) << when;
        ExpectHolds(fresh.get(), mine.told, when + ", collected");
      }
    }
  }
}

// The collection of a full disk is stopped after each operation; then a kill, or the power goes.
TEST_F(HollowTest, StoppedAfterEveryOperationHolds) {
  Mine mine;
  Told told = mine.told;
  mine.store.reset();
  std::uint64_t operations = 0;
  {
    auto world = mine.world.KillProcess();
    auto store = *OpenAt(world.get(), OpenStoreOptions::Mode::kWrite);
    ASSERT_TRUE(Collect(store.get()).ok());
    operations = world->op_count();
    EXPECT_GT(world->op_count(SimOp::kPunch), 0u);
  }
  for (std::uint64_t n = 0; n <= operations && !HasFailure(); n += kSweepStride) {
    for (int kind = 0; kind < 3; ++kind) {
      auto world = mine.world.KillProcess();
      world->set_stop_after(n);
      {
        auto store = OpenAt(world.get(), OpenStoreOptions::Mode::kWrite);
        if (store.ok()) (void)Collect(store->get());
      }
      CrashChoice choice = CrashChoice::Random(3 * n + static_cast<std::uint64_t>(kind));
      auto after = kind == 0 ? world->KillProcess() : world->Crash(choice);
      std::string when = "stopped after " + std::to_string(n) + ", way " + std::to_string(kind);
      Told now = told;
      auto store = OpenAt(after.get(), OpenStoreOptions::Mode::kWrite);
      ASSERT_TRUE(store.ok()) << when << ": " << store.status().ToString();
      ExpectHolds(store->get(), now, when);
      // With room again: nothing that is gone is relied upon.
      after->clear_capacity();
      Status saved = Save(store->get(), 9, true);
      ASSERT_TRUE(saved.ok()) << when << ": " << saved.ToString();
      now.tried.insert(9);
      now.acknowledged.insert(9);
      ExpectHolds(store->get(), now, when + ", saved");
      ExpectNoDamage(store->get(), when + ", saved");
      auto collected = Collect(store->get());
      ASSERT_TRUE(collected.ok()) << when << ": " << collected.status().ToString();
      ExpectHolds(store->get(), now, when + ", collected");
    }
  }
}

// A full disk is collected to its end although the first collection was stopped anywhere.
TEST_F(HollowTest, StoppedCollectionOfFullDiskIsFinishedByTheNext) {
  Mine mine;
  mine.store.reset();
  std::uint64_t before = mine.world.used_bytes();
  for (std::uint64_t n = 0; n <= 120 && !HasFailure(); n += 3 * kSweepStride) {
    auto world = mine.world.KillProcess();
    world->set_stop_after(n);
    {
      auto store = OpenAt(world.get(), OpenStoreOptions::Mode::kWrite);
      if (store.ok()) (void)Collect(store->get());
    }
    auto after = world->KillProcess();
    std::string when = "stopped after " + std::to_string(n);
    auto store = *OpenAt(after.get(), OpenStoreOptions::Mode::kWrite);
    auto collected = Collect(store.get());
    ASSERT_TRUE(collected.ok()) << when << ": " << collected.status().ToString();
    EXPECT_LT(after->used_bytes(), before - 12 * block_bytes) << when;
    ExpectHolds(store.get(), mine.told, when);
  }
}

TEST_F(HollowTest, FileSystemThatCannotPunchLosesNothing) {
  Mine mine;
  mine.world.FailOp(1, EOPNOTSUPP, true, SimOp::kPunch);
  auto collected = Collect(mine.store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  ExpectHolds(mine.store.get(), mine.told, "not supported");
  mine.world.ClearFaults();
  mine.world.clear_capacity();
  mine.SaveGarbageAgain(mine.store.get(), "not supported");
  ExpectHolds(mine.store.get(), mine.told, "not supported, saved");
}

}  // namespace
}  // namespace ckpt
