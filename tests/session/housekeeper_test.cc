// Housekeeper: that it takes no more than its share of the time. In a simulated world, whose clock
// is the test's.

#include "store/session/housekeeper.h"

#include "tests/session/session_fixture.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

class HousekeeperTest : public ::testing::Test {
 protected:
  HousekeeperTest() {
    OpenStoreOptions options;
    options.mode = OpenStoreOptions::Mode::kCreate;
    options.use_index = false;
    options.threads = 1;
    auto store = Store::Open(&world_, "/store", options);
    EXPECT_OK(store.status());
    store_ = *std::move(store);
    SaveOptions save;
    save.series = "run";
    save.step = 1;
    save.run = RunAttempt();
    save.run->id = world_.RandomId();
    auto writer = CheckpointWriter::Begin(store_.get(), save);
    EXPECT_OK(writer.status());
    writer_ = *std::move(writer);
    for (std::int64_t step = 1; step <= 3; ++step) {
      if (step > 1) EXPECT_OK(writer_->Next(step));
      EXPECT_OK(writer_->Stage().status());
      EXPECT_OK(writer_->Commit(false));
    }
  }

  SimWorld world_{7};
  std::unique_ptr<Store> store_;
  std::unique_ptr<CheckpointWriter> writer_;
};

TEST_F(HousekeeperTest, WaitsUntilWhatItTookIsItsShareOfTheTime) {
  RetentionRules rules;
  rules.series = "run";
  rules.keep_last = 1;
  constexpr double kShare = 0.01;
  Housekeeper housekeeper(store_.get(), rules, kShare, Quota());
  EXPECT_FALSE(housekeeper.Due());  // nothing was committed
  housekeeper.Committed();
  EXPECT_TRUE(housekeeper.Due());
  const std::int64_t begin = world_.MonotonicNs();
  housekeeper.AfterCommit(writer_.get(), false);
  const std::int64_t spent = world_.MonotonicNs() - begin;
  EXPECT_EQ(housekeeper.removed(), 2u);
  // Each look at this clock moves it on by a microsecond.
  ASSERT_GT(spent, 20'000);
  housekeeper.Committed();
  EXPECT_FALSE(housekeeper.Due());
  const auto rest = static_cast<std::int64_t>(static_cast<double>(spent) / kShare);
  world_.AdvanceClock(begin + rest * 8 / 10 - world_.MonotonicNs());
  EXPECT_FALSE(housekeeper.Due());
  housekeeper.AfterCommit(writer_.get(), false);  // does nothing, then
  world_.AdvanceClock(begin + rest * 9 / 8 - world_.MonotonicNs());
  EXPECT_TRUE(housekeeper.Due());
}

TEST_F(HousekeeperTest, TheLastLookIsWhateverItTook) {
  RetentionRules rules;
  rules.series = "run";
  rules.keep_last = 2;
  Housekeeper housekeeper(store_.get(), rules, 0, Quota());
  housekeeper.Committed();
  housekeeper.AfterCommit(writer_.get(), false);
  EXPECT_EQ(housekeeper.removed(), 1u);
  ASSERT_OK(writer_->Next(4));
  ASSERT_OK(writer_->Stage().status());
  ASSERT_OK(writer_->Commit(false));
  housekeeper.Committed();
  housekeeper.AfterCommit(writer_.get(), false);
  EXPECT_EQ(housekeeper.removed(), 1u);
  housekeeper.AfterCommit(writer_.get(), true);
  EXPECT_EQ(housekeeper.removed(), 2u);
}

}  // namespace
}  // namespace ckpt
