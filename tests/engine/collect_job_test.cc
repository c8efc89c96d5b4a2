// A writer of another host, whose lock nobody sees, is waited for until its scheduler's job is
// started again: then collection breaks it without a person, and its commit fails after its flush.
// What such a writer staged is verified, restored from and adopted.

#include <gtest/gtest.h>

#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

// Nodes of a cluster on one network file system whose locks do not reach from node to node.
class JobTest : public ::testing::Test {
 protected:
  struct Node {
    std::unique_ptr<SimProcess> process;
    std::unique_ptr<Store> store;
  };

  JobTest() {
    world_.set_network_file_system(true);
    world_.set_locks(SimLocks::kPerHost);
    store_ = *OpenAt(&world_);
    for (std::int64_t step : {1, 2, 3, 4}) {
      EXPECT_TRUE(Save(store_.get(), step, true).ok());
      Acknowledged(step);
    }
    for (std::int64_t step : {1, 2}) {
      EXPECT_TRUE(Remove(store_.get(), step).ok());
      told_.removing.insert(step);
      told_.removed.insert(step);
    }
  }
  Node NewNode(std::uint8_t number) {
    Node node;
    node.process = world_.NewProcess();
    Id128 host;
    host.bytes[3] = number;
    node.process->set_host(host, "node" + std::to_string(number));
    node.store = *OpenAt(node.process.get(), OpenStoreOptions::Mode::kWrite);
    return node;
  }
  static std::unique_ptr<Saving> Begin(const Node& node, std::int64_t step, const std::string& job,
                                       std::uint32_t restarts, const std::string& series = "run") {
    SaveOptions options;
    options.series = series;
    options.step = step;
    options.job_id = job;
    options.job_restarts = restarts;
    auto saving = Saving::Begin(node.store.get(), std::move(options));
    EXPECT_TRUE(saving.ok()) << saving.status().ToString();
    return *std::move(saving);
  }
  void SaveAs(const Node& node, std::int64_t step, const std::string& job, std::uint32_t restarts) {
    auto saving = Begin(node, step, job, restarts);
    ASSERT_TRUE(saving->Put(0, kBlocks, true).ok());
    auto saved = saving->End();
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
    Acknowledged(step);
  }
  Collected Gc() {
    CollectOptions options;
    options.wait_ms = 50;
    options.live_share = 1.0;
    Collected collected;
    Status run = (*Collector::Open(store_.get(), options))->Run({}, &collected);
    EXPECT_TRUE(run.ok()) << run.ToString();
    return collected;
  }
  void Acknowledged(std::int64_t step) {
    told_.tried.insert(step);
    told_.acknowledged.insert(step);
  }

  SimWorld world_;
  std::unique_ptr<Store> store_;
  Told told_;
};

TEST_F(JobTest, JobStartedAgainElsewhereBreaksItsFormerWriter) {
  Node before = NewNode(7);
  auto sleeper = Begin(before, 9, "4711", 0);
  ASSERT_TRUE(sleeper->Put(0, kBlocks, true).ok());
  EXPECT_GT(Gc().packs_waiting, 0u);

  Node after = NewNode(8);
  SaveAs(after, 10, "4711", 1);
  Collected collected = Gc();
  EXPECT_EQ(collected.packs_waiting, 0u);
  EXPECT_GT(collected.packs_removed, 0u);

  // It wakes up, flushes with success, and only then finds out.
  std::uint64_t flushes = before.process->op_count(SimOp::kSync);
  auto saved = sleeper->End();
  ASSERT_FALSE(saved.ok());
  EXPECT_NE(saved.status().message().find("declared dead"), std::string::npos)
      << saved.status().ToString();
  EXPECT_GT(before.process->op_count(SimOp::kSync), flushes);
  sleeper.reset();
  ExpectHolds(store_.get(), told_, "after breaking");
  EXPECT_EQ(Restore(store_.get(), 9).code(), Code::kNotFound);
  auto lost = world_.Crash(NothingKept());
  auto reopened = *OpenAt(lost.get(), OpenStoreOptions::Mode::kWrite);
  ExpectHolds(reopened.get(), told_, "after breaking and a power loss");
}

TEST_F(JobTest, SiblingsAndOtherJobsAreNotBroken) {
  Node before = NewNode(7);
  auto alive = Begin(before, 9, "4711", 1);
  ASSERT_TRUE(alive->Put(0, kBlocks, true).ok());
  Node after = NewNode(8);
  SaveAs(after, 10, "4711", 1);  // another rank, say
  SaveAs(after, 11, "4711", 0);  // the job as it was: woken up, and about to be ended
  SaveAs(after, 12, "4712", 2);
  EXPECT_GT(Gc().packs_waiting, 0u);
  auto saved = alive->End();
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  alive.reset();
  Acknowledged(9);
  EXPECT_EQ(Gc().packs_waiting, 0u);
  ExpectHolds(store_.get(), told_, "all ended");
}

// Only the pack's last writer counts: its job is not the one that was started again.
TEST_F(JobTest, WriterThatContinuesAPackOfTheJobIsNotBroken) {
  Node before = NewNode(7);
  SaveAs(before, 9, "4711", 0);
  // A writer without a job says nothing of itself; both continue the job's own pack.
  for (const char* job : {"4712", ""}) {
    std::string series = std::string("other") + job;
    auto other = Begin(before, 4, job, 0, series);
    ASSERT_TRUE(other->Put(0, kBlocks, true).ok());
    Node after = NewNode(8);
    SaveAs(after, job[0] != 0 ? 10 : 11, "4711", 1);
    EXPECT_GT(Gc().packs_waiting, 0u) << job;
    auto saved = other->End();
    ASSERT_TRUE(saved.ok()) << job << ": " << saved.status().ToString();
    EXPECT_TRUE(Restore(before.store.get(), 4, series).ok()) << job;
  }
}

// The node dies between staging and the flush: the tail of another host.
TEST_F(JobTest, TailOfLostNodeIsRestoredFromAdoptedAndBroken) {
  Node before = NewNode(7);
  {
    auto saving = Begin(before, 9, "4711", 0);
    ASSERT_TRUE(saving->Put(0, kBlocks, true).ok());
    before.process->FailOp(before.process->op_count(SimOp::kSync) + 1, EIO, true, SimOp::kSync);
    EXPECT_FALSE(saving->End().ok());
    before.process->Kill();
  }
  Node after = NewNode(8);
  ASSERT_TRUE(ResolveCheckpoint(after.store.get(), "run@9")->ranks.front().staged);
  Status restored = Restore(after.store.get(), 9);
  ASSERT_TRUE(restored.ok()) << restored.ToString();
  SaveAs(after, 10, "4711", 1);
  Acknowledged(9);  // by the adopter's flush
  EXPECT_FALSE(ResolveCheckpoint(after.store.get(), "run@9")->ranks.front().staged);
  Collected collected = Gc();
  EXPECT_EQ(collected.packs_waiting, 0u);
  EXPECT_GT(collected.packs_removed, 0u);
  ExpectHolds(store_.get(), told_, "broken");
  auto lost = world_.Crash(NothingKept());
  auto reopened = *OpenAt(lost.get(), OpenStoreOptions::Mode::kWrite);
  ExpectHolds(reopened.get(), told_, "broken, power lost");
}

// A byte of the tail is not what was written: it is not taken over, and hurts nobody.
TEST_F(JobTest, DamagedTailOfLostNodeIsNotAdopted) {
  Node before = NewNode(7);
  {
    auto saving = Begin(before, 9, "4711", 0);
    ASSERT_TRUE(saving->Put(0, kBlocks, true).ok());
    Id128 pack = saving->writer()->chunks()->pack_id();
    before.process->FailOp(before.process->op_count(SimOp::kSync) + 1, EIO, true, SimOp::kSync);
    EXPECT_FALSE(saving->End().ok());
    before.process->Kill();
    auto dir = *world_.OpenDir("/store/packs");
    auto file = *dir->OpenFile(PackFileName(pack), {.mode = OpenMode::kReadWrite});
    auto reader = *PackReader::Open(dir.get(), pack, store_->format().uuid);
    auto contents = *reader->ReadFrom(0);
    ASSERT_FALSE(contents.tail_chunks.empty());
    Bytes byte(1);
    std::uint64_t at = contents.tail_chunks.front().offset + kRecordHeaderBytes + 100;
    ASSERT_TRUE(file->ReadExactAt(at, byte).ok());
    byte[0] ^= std::byte{4};
    ASSERT_TRUE(file->WriteAt(at, byte).ok());
  }
  Node after = NewNode(8);
  EXPECT_EQ(Restore(after.store.get(), 9).code(), Code::kCorruption);
  SaveAs(after, 13, "4711", 1);  // has none of step 9's own blocks
  EXPECT_EQ(Gc().packs_waiting, 0u);
  ExpectHolds(store_.get(), told_, "not adopted");
  EXPECT_FALSE(Restore(store_.get(), 9).ok());
}

}  // namespace
}  // namespace ckpt
