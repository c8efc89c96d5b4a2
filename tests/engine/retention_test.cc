// What the rules of retention keep, what rm refuses, and what collection gives back.

#include "store/engine/retention.h"

#include <gtest/gtest.h>

#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

using Steps = std::set<std::pair<std::uint64_t, std::int64_t>>;  // (attempt's ordinal, step)

Steps Dropped(Store* store, const RetentionRules& rules) {
  EXPECT_TRUE(store->Refresh().ok());
  auto plan = PlanRetention(store, rules);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  Steps steps;
  if (!plan.ok()) return steps;
  for (const Removal& removal : *plan) {
    steps.insert({removal.first.attempt.ordinal, removal.first.step});
  }
  return steps;
}

Status SaveRank(Store* store, std::int64_t step, std::uint32_t rank, std::uint32_t ranks) {
  SaveOptions options;
  options.series = "run";
  options.step = step;
  options.run_id = "job 1";
  options.rank = rank;
  options.ranks = ranks;
  CKPT_ASSIGN_OR_RETURN(auto writer, CheckpointWriter::Begin(store, options));
  return writer->End().status();
}

class Retention : public testing::Test {
 protected:
  SimWorld world{1};
  std::unique_ptr<Store> store = *OpenAt(&world);
};

TEST_F(Retention, WithoutRulesNothingIsDropped) {
  for (std::int64_t step : {1, 2, 3}) ASSERT_TRUE(Save(store.get(), step).ok());
  EXPECT_EQ(Dropped(store.get(), {}), Steps());
}

TEST_F(Retention, KeepLastAndKeepEveryAddUp) {
  for (std::int64_t step = 1; step <= 10; ++step) ASSERT_TRUE(Save(store.get(), step).ok());
  RetentionRules rules;
  rules.keep_last = 2;
  EXPECT_EQ(Dropped(store.get(), rules),
            (Steps{{1, 1}, {1, 2}, {1, 3}, {1, 4}, {1, 5}, {1, 6}, {1, 7}, {1, 8}}));
  rules.keep_every = 4;
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 1}, {1, 2}, {1, 3}, {1, 5}, {1, 6}, {1, 7}}));
}

TEST_F(Retention, NewestSoundIsKeptWhateverTheRules) {
  for (std::int64_t step : {1, 2, 3}) ASSERT_TRUE(Save(store.get(), step).ok());
  RetentionRules rules;
  rules.keep_every = 1000;
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 1}, {1, 2}}));
}

TEST_F(Retention, AbandonedBranchGoesUnlessItIsRecent) {
  for (std::int64_t step : {1, 2, 3}) ASSERT_TRUE(Save(store.get(), step).ok());
  world.AdvanceClock(3600LL * 1000000000);
  ASSERT_TRUE(Save(store.get(), 2).ok());  // not above 3: attempt 2, from step 1
  RetentionRules rules;
  rules.keep_last = 10;
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 2}, {1, 3}}));
  rules.keep_within_ns = 2LL * 3600 * 1000000000;
  EXPECT_EQ(Dropped(store.get(), rules), Steps());
  rules.keep_within_ns = 1LL * 60 * 1000000000;
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 2}, {1, 3}}));
}

TEST_F(Retention, MultiplesStayOffTheLineToo) {
  for (std::int64_t step : {10, 15, 20}) ASSERT_TRUE(Save(store.get(), step).ok());
  ASSERT_TRUE(Save(store.get(), 12).ok());  // attempt 2, from step 10
  RetentionRules rules;
  rules.keep_every = 10;
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 15}}));
}

TEST_F(Retention, RunFromScratchTakesNothingFromOneThatCameFurther) {
  for (std::int64_t step : {10, 20, 30}) ASSERT_TRUE(Save(store.get(), step).ok());
  for (std::int64_t step : {1, 2, 3}) ASSERT_TRUE(Save(store.get(), step).ok());  // attempt 2
  RetentionRules rules;
  rules.keep_last = 2;
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 10}, {1, 20}, {2, 1}}));
  ASSERT_TRUE(Save(store.get(), 30).ok());  // as far
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 10}, {1, 20}, {1, 30}, {2, 1}, {2, 2}}));
}

TEST_F(Retention, SeriesThatRestsLosesNothing) {
  for (std::int64_t step : {1, 2}) ASSERT_TRUE(Save(store.get(), step).ok());
  world.AdvanceClock(90LL * 24 * 3600 * 1000000000);
  RetentionRules rules;
  rules.keep_within_ns = 24LL * 3600 * 1000000000;
  EXPECT_EQ(Dropped(store.get(), rules), Steps());
}

TEST_F(Retention, IncompleteGroupAheadIsKeptAndDoesNotCount) {
  for (std::int64_t step : {1, 2}) {
    for (std::uint32_t rank : {0, 1}) ASSERT_TRUE(SaveRank(store.get(), step, rank, 2).ok());
  }
  ASSERT_TRUE(SaveRank(store.get(), 3, 1, 2).ok());
  RetentionRules rules;
  rules.keep_last = 1;
  EXPECT_EQ(Dropped(store.get(), rules), (Steps{{1, 1}}));
}

TEST_F(Retention, UnknownSeriesIsNotFound) {
  RetentionRules rules;
  rules.series = "nothing";
  EXPECT_EQ(PlanRetention(store.get(), rules).status().code(), Code::kNotFound);
}

TEST_F(Retention, RemovalOfTheNewestSoundNeedsForceAndAllOrNoneGo) {
  for (std::int64_t step : {1, 2}) ASSERT_TRUE(Save(store.get(), step).ok());
  EXPECT_EQ(PlanRemoval(store.get(), {"run@1", "run@2"}, false).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(PlanRemoval(store.get(), {"run@1", "run@7"}, true).status().code(), Code::kNotFound);
  EXPECT_TRUE(Restore(store.get(), 1).ok());
  EXPECT_TRUE(Remove(store.get(), 1).ok());
  EXPECT_EQ(Restore(store.get(), 1).code(), Code::kNotFound);
  EXPECT_TRUE(Remove(store.get(), 2, true).ok());
  // The same step again is another checkpoint.
  ASSERT_TRUE(Save(store.get(), 2).ok());
  EXPECT_TRUE(Restore(store.get(), 2).ok());
}

TEST_F(Retention, RemovalGoesOnBesideASave) {
  ASSERT_TRUE(Save(store.get(), 1).ok());
  ASSERT_TRUE(Save(store.get(), 2).ok());
  auto saving = *Saving::Begin(store.get(), 3);
  auto process = world.NewProcess();
  auto other = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  EXPECT_TRUE(Remove(other.get(), 1).ok());
  ASSERT_TRUE(saving->Put(0, kBlocks).ok());
  EXPECT_TRUE(saving->End().ok());
}

class Collection : public Retention {};

std::uint64_t PackBytes(Store* store) {
  std::uint64_t bytes = 0;
  auto names = store->packs_dir()->List();
  for (const DirEntry& name : *names) {
    bytes += store->packs_dir()->StatEntry(name.name)->size_bytes;
  }
  return bytes;
}

TEST_F(Collection, FreedBytesAreWhatTheStoreShrankBy) {
  for (std::int64_t step = 1; step <= 8; ++step) ASSERT_TRUE(Save(store.get(), step).ok());
  for (std::int64_t step = 1; step <= 7; ++step) ASSERT_TRUE(Remove(store.get(), step).ok());
  std::uint64_t before = PackBytes(store.get());
  auto collected = Collect(store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  EXPECT_EQ(before - PackBytes(store.get()), collected->freed_bytes);
  EXPECT_GT(collected->freed_bytes, 0u);
  EXPECT_TRUE(Restore(store.get(), 8).ok());
}

TEST_F(Collection, ComesToRest) {
  for (std::int64_t step = 1; step <= 8; ++step) ASSERT_TRUE(Save(store.get(), step).ok());
  for (std::int64_t step = 1; step <= 7; ++step) ASSERT_TRUE(Remove(store.get(), step).ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Collect(store.get()).ok());
  std::uint64_t operations = world.op_count();
  auto collected = Collect(store.get());
  ASSERT_TRUE(collected.ok());
  EXPECT_EQ(collected->packs_removed, 0u);
  EXPECT_EQ(world.op_count(), operations);  // nothing is written where there is nothing to do
}

TEST_F(Collection, DryRunWritesNothingAndForetells) {
  for (std::int64_t step = 1; step <= 8; ++step) ASSERT_TRUE(Save(store.get(), step).ok());
  RetentionRules rules;
  rules.keep_last = 1;
  auto planned = PlanRetention(store.get(), rules);
  ASSERT_TRUE(planned.ok());
  std::uint64_t operations = world.op_count();
  CollectOptions options;
  options.dry_run = true;
  Collected foretold;
  ASSERT_TRUE((*Collector::Open(store.get(), options))->Run(*planned, &foretold).ok());
  EXPECT_EQ(world.op_count(), operations);
  ASSERT_TRUE(CommitRemovals(store.get(), *planned, 1).ok());
  auto collected = Collect(store.get());
  ASSERT_TRUE(collected.ok());
  EXPECT_EQ(foretold.packs_removed, collected->packs_removed);
  EXPECT_NEAR(static_cast<double>(foretold.freed_bytes),
              static_cast<double>(collected->freed_bytes), 16384);
}

// Of a dead writer's tail: what is whole is adopted, the garbage of what is not is given back.
TEST_F(Collection, DeadWritersTailIsAdoptedOrReturned) {
  ASSERT_TRUE(Save(store.get(), 1).ok());
  auto process = world.NewProcess();
  {
    auto other = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
    auto saving = *Saving::Begin(other.get(), 2);
    ASSERT_TRUE(saving->Put(0, kBlocks, true).ok());
    // Dies between staging and the flush.
    process->FailOp(process->op_count(SimOp::kSync) + 1, EIO, true, SimOp::kSync);
    EXPECT_FALSE(saving->End().ok());
    process->Kill();
  }
  auto found = OpenAt(&world, OpenStoreOptions::Mode::kWrite);
  ASSERT_TRUE(found.ok());
  ASSERT_TRUE(Restore(found->get(), 2).ok());
  ASSERT_TRUE(ResolveCheckpoint(found->get(), "run@2")->ranks[0].staged);
  CollectOptions options;
  options.live_share = 1.0;
  Collected collected;
  ASSERT_TRUE(Remove(store.get(), 1, true).ok());
  ASSERT_TRUE((*Collector::Open(store.get(), options))->Run({}, &collected).ok());
  EXPECT_GT(collected.packs_removed, 0u);
  auto reopened = *OpenAt(&world, OpenStoreOptions::Mode::kRead);
  EXPECT_FALSE(ResolveCheckpoint(reopened.get(), "run@2")->ranks[0].staged);
  auto after = world.Crash(NothingKept());
  reopened = *OpenAt(after.get(), OpenStoreOptions::Mode::kWrite);
  EXPECT_TRUE(Restore(reopened.get(), 2).ok());
}

TEST_F(Collection, DamagedSurvivorStaysWhereItIs) {
  for (std::int64_t step : {1, 2, 3, 4}) ASSERT_TRUE(Save(store.get(), step, true).ok());
  for (std::int64_t step : {1, 2}) ASSERT_TRUE(Remove(store.get(), step).ok());
  // A byte of a block that step 4 needs.
  auto place = store->FindDurable(HashChunk(BlockOf(4, 2)));
  ASSERT_TRUE(place.has_value());
  auto file =
      store->packs_dir()->OpenFile(PackFileName(place->pack_id), {.mode = OpenMode::kReadWrite});
  ASSERT_TRUE(file.ok());
  Bytes byte(1);
  std::uint64_t at = place->entry.offset + kRecordHeaderBytes + 100;
  ASSERT_TRUE((*file)->ReadExactAt(at, byte).ok());
  byte[0] ^= std::byte{1};
  ASSERT_TRUE((*file)->WriteAt(at, byte).ok());
  auto collected = Collect(store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  EXPECT_EQ(collected->packs_removed, 0u);
  auto fresh = *OpenAt(&world, OpenStoreOptions::Mode::kWrite);
  EXPECT_TRUE(Restore(fresh.get(), 3).ok());
  EXPECT_EQ(Restore(fresh.get(), 4).code(), Code::kCorruption);
  EXPECT_TRUE(fresh->HasDamage(place->pack_id));
  // Saved anew, the block heals the checkpoint.
  ASSERT_TRUE(Save(fresh.get(), 5, true).ok());
  EXPECT_TRUE(Restore(fresh.get(), 4).ok());
}

}  // namespace
}  // namespace ckpt
