// Checkpoints of several ranks: whole only when every rank of one attempt is there, restored never
// in part, and the ranks of two runs never mix.

#include <gtest/gtest.h>

#include "store/engine/restore_files.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

constexpr std::uint32_t kRanks = 4;

class RankGroups : public LookTest {
 protected:
  // The state of one rank, named after it; its content tells run, step and rank.
  static std::string Content(const std::string& run, std::int64_t step, std::uint32_t rank) {
    return run + "/" + std::to_string(step) + "/" + std::to_string(rank) +
           RandomText(5000, static_cast<std::uint64_t>(step) * 100 + rank);
  }
  Saved SaveRank(const std::string& run, std::int64_t step, std::uint32_t rank,
                 std::optional<std::int64_t> from = std::nullopt) {
    std::string name = "rank" + std::to_string(rank);
    WriteFile(tmp_ / name, Content(run, step, rank));
    SaveFilesOptions options;
    options.save.series = "run";
    options.save.step = step;
    options.save.from_step = from;
    options.save.run_id = run;
    options.save.rank = rank;
    options.save.ranks = kRanks;
    auto saved = SaveFiles(store_.get(), {name}, options);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    return saved.ok() ? *saved : Saved();
  }
  void SaveRanks(const std::string& run, std::int64_t step, std::vector<std::uint32_t> ranks) {
    for (std::uint32_t rank : ranks) SaveRank(run, step, rank);
  }

  Result<Restored> Restore(const std::string& name, bool fallback = false) {
    std::filesystem::remove_all(tmp_ / "out");
    RestoreFilesOptions options;
    options.checkpoint = name;
    options.to = tmp_ / "out";
    options.fallback = fallback;
    auto store = OpenToRead();
    return RestoreFiles(store.get(), options);
  }
  void ExpectRestores(const std::string& name, const std::string& run, std::int64_t step,
                      bool fallback = false) {
    auto restored = Restore(name, fallback);
    ASSERT_TRUE(restored.ok()) << name << ": " << restored.status().ToString();
    EXPECT_EQ(restored->step, step) << name;
    for (std::uint32_t rank = 0; rank < kRanks; ++rank) {
      EXPECT_EQ(ReadWholeFile(tmp_ / ("out/rank" + std::to_string(rank))), Content(run, step, rank))
          << name << ", rank " << rank;
    }
  }
  CheckpointState StateNamed(const std::string& name) {
    auto resolved = ResolveCheckpoint(OpenToRead().get(), name);
    EXPECT_TRUE(resolved.ok()) << resolved.status().ToString();
    return *StateOf(OpenToRead().get(), resolved->view, resolved->ranks.front());
  }

  std::unique_ptr<Store> store_ = Open();
};

TEST_F(RankGroups, NewestIsTheNewestWithAllItsRanks) {
  SaveRanks("a", 10, {0, 1, 2, 3});
  SaveRanks("a", 20, {0, 2, 3});
  EXPECT_EQ(StateNamed("run@20"), CheckpointState::kIncomplete);
  ExpectRestores("run", "a", 10);
  SaveRanks("a", 20, {1});
  EXPECT_EQ(StateNamed("run@20"), CheckpointState::kCommitted);
  ExpectRestores("run", "a", 20);
}

TEST_F(RankGroups, PartOfTheRanksIsNeverRestored) {
  SaveRanks("a", 10, {0, 1, 2, 3});
  SaveRanks("a", 20, {0, 2, 3});
  auto refused = Restore("run@20");
  EXPECT_EQ(refused.status().code(), Code::kNotFound);
  EXPECT_NE(refused.status().message().find("3 of its 4 ranks"), std::string::npos)
      << refused.status().ToString();
  EXPECT_FALSE(std::filesystem::exists(tmp_ / "out/rank0"));
  ExpectRestores("run@20", "a", 10, true);
}

TEST_F(RankGroups, FallbackPassesOverGroupsThatAreIncomplete) {
  SaveRanks("a", 10, {0, 1, 2, 3});
  SaveRanks("a", 20, {0, 1});
  SaveRanks("a", 30, {0, 1, 2, 3});
  std::string payload = Content("a", 30, 2);
  store_.reset();
  for (const std::string& pack : Packs()) {
    std::size_t at = ReadWholeFile(pack).find(payload.substr(100, 64));
    if (at != std::string::npos) FlipByte(pack, at);
  }
  EXPECT_EQ(Restore("run").status().code(), Code::kCorruption);
  ExpectRestores("run", "a", 10, true);
}

// Two runs of one series, each killed when only a part of its ranks had saved step 20. Taken
// together all four ranks of that step are there.
TEST_F(RankGroups, RanksOfTwoAttemptsNeverMix) {
  SaveRanks("a", 10, {0, 1, 2, 3});
  SaveRanks("a", 20, {0, 1});
  Saved first = SaveRank("b", 20, 2, 10);  // begins attempt 2, from step 10
  EXPECT_TRUE(first.new_attempt);
  Saved other = SaveRank("b", 20, 3);
  EXPECT_EQ(other.attempt, first.attempt);
  EXPECT_EQ(StateNamed("run@1:20"), CheckpointState::kIncomplete);
  EXPECT_EQ(StateNamed("run@2:20"), CheckpointState::kIncomplete);
  ExpectRestores("run", "a", 10);
  EXPECT_EQ(Restore("run@20").status().code(), Code::kNotFound);
  // The second run's other ranks come after all: its step is whole, the first run's never is.
  SaveRanks("b", 20, {0, 1});
  ExpectRestores("run", "b", 20);
  EXPECT_EQ(StateNamed("run@1:20"), CheckpointState::kIncomplete);
}

// A rank of the run before that is still alive (its node was thought dead) comes too late.
TEST_F(RankGroups, StragglerOfAnOlderRunIsRefused) {
  SaveRanks("a", 10, {0, 1, 2, 3});
  SaveRanks("a", 20, {0, 1});
  Saved first = SaveRank("b", 20, 0);  // continues from 10, the last that is whole
  EXPECT_TRUE(first.new_attempt);
  SaveFilesOptions late;
  late.save.series = "run";
  late.save.step = 30;
  late.save.run_id = "a";
  late.save.rank = 3;
  late.save.ranks = kRanks;
  EXPECT_EQ(SaveFiles(store_.get(), {"rank3"}, late).status().code(), Code::kExists);
  SaveRanks("b", 20, {1, 2, 3});
  ExpectRestores("run", "b", 20);
  EXPECT_EQ(StateNamed("run@1:20"), CheckpointState::kIncomplete);
  EXPECT_EQ(StateNamed("run@10"), CheckpointState::kCommitted);
}

TEST_F(RankGroups, WithoutRunOrStepIsRefused) {
  WriteFile(tmp_ / "rank0", "x");
  SaveFilesOptions options;
  options.save.series = "run";
  options.save.ranks = 2;
  options.save.step = 1;
  EXPECT_EQ(SaveFiles(store_.get(), {"rank0"}, options).status().code(), Code::kInvalidArgument);
  options.save.step.reset();
  options.save.run_id = "a";
  EXPECT_EQ(SaveFiles(store_.get(), {"rank0"}, options).status().code(), Code::kInvalidArgument);
}

// An older attempt that is whole and further ahead does not come back.
TEST_F(RankGroups, NewestAttemptsNewestWholeStepIsTaken) {
  SaveRanks("a", 10, {0, 1, 2, 3});
  SaveRanks("a", 30, {0, 1, 2, 3});
  SaveRank("b", 15, 0, 10);
  SaveRanks("b", 15, {1, 2, 3});
  SaveRanks("b", 16, {0, 1, 2});
  ExpectRestores("run", "b", 15);
  ExpectRestores("run@1:30", "a", 30);
}

}  // namespace
}  // namespace ckpt
