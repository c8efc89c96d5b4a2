// Sessions under a quota of bytes or files.

#include <algorithm>
#include <random>

#include "store/engine/remove.h"
#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

constexpr std::size_t kMiB = 1u << 20;
// With the reserve there is room for one checkpoint of a MiB (of random numbers), not for two.
constexpr std::size_t kOneFits = 5 * kMiB / 2;

class SessionQuota : public SessionTest {
 protected:
  SessionQuota() { options_.keep_last = 1000; }

  void Scramble(std::vector<double>* x) {
    for (double& v : *x) v = static_cast<double>(random_());
  }
  StoreUse Use() {
    auto store = Store::Open(PosixEnv(), store_path(), {});
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    auto use = MeasureUse(store->get());
    EXPECT_TRUE(use.ok()) << use.status().ToString();
    return *use;
  }
  std::vector<std::int64_t> StepsOf(const std::string& series) {
    auto store = Store::Open(PosixEnv(), store_path(), {});
    auto view = SeriesView::Load(store->get(), series);
    std::vector<std::int64_t> steps;
    if (!view.ok()) return steps;
    for (const CheckpointRow* row : view->Line()) steps.push_back(row->step);
    return steps;
  }
  std::size_t Said(const std::string& part) {
    std::lock_guard lock(notices_mutex_);
    return static_cast<std::size_t>(std::count_if(
        notices_.begin(), notices_.end(),
        [&](const std::string& text) { return text.find(part) != std::string::npos; }));
  }

  std::mt19937_64 random_{31};
};

TEST_F(SessionQuota, OldCheckpointsMakeRoomBeforeASaveGoesOverIt) {
  options_.quota_bytes = 9 * kMiB;
  std::vector<double> still = Numbers(128 << 10, 3), x(kMiB / 8), back_still, back;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("still", &still)));
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= 25; ++step) {
      Scramble(&x);
      ASSERT_OK(s->Step(step).error);
      ASSERT_OK(s->Commit());
      EXPECT_LE(Use().bytes, options_.quota_bytes) << "step " << step;
    }
    EXPECT_EQ(s->Report().failed_saves, 0u);
    EXPECT_GT(s->Report().removed, 0u);
    EXPECT_GT(s->Report().freed_bytes, 0u);
  }
  // As few as it takes: more than two fit.
  EXPECT_GE(StepsOf("run").size(), 3u);
  EXPECT_EQ(StepsOf("run").front(), 25);
  EXPECT_EQ(Said("given up to stay under the quota"), 1u);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("still", &back_still)));
  ASSERT_OK(s->Protect(VectorItem("x", &back)));
  ASSERT_TRUE(s->Restore().ok());
  EXPECT_EQ(back, x);
  EXPECT_EQ(back_still, still);
}

TEST_F(SessionQuota, RetentionAloneIsAppliedFirst) {
  options_.keep_last = 2;
  options_.housekeeping_share = 0;  // only the quota has it done
  options_.quota_bytes = 9 * kMiB;
  std::vector<double> x(kMiB / 8);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  for (int step = 1; step <= 25; ++step) {
    Scramble(&x);
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->Commit());
    EXPECT_LE(Use().bytes, options_.quota_bytes) << "step " << step;
  }
  EXPECT_GT(s->Report().removed, 0u);
  EXPECT_EQ(Said("given up to stay under the quota"), 0u);
  EXPECT_GE(StepsOf("run").size(), 2u);
}

TEST_F(SessionQuota, NeverTakesTheNewestCheckpoint) {
  options_.quota_bytes = kOneFits;
  std::vector<double> x(kMiB / 8), first;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    Scramble(&x);
    first = x;
    ASSERT_OK(s->Step(1).error);
    ASSERT_OK(s->Commit());
    bool told = false;
    for (int step = 2; step <= 6; ++step) {
      Scramble(&x);
      StepResult result = s->Step(step);
      EXPECT_FALSE(result.stop);
      Status behind = s->Commit();
      for (const Status& status : {result.error, behind}) {
        if (status.ok()) continue;
        EXPECT_EQ(status.code(), Code::kNoSpace) << status.ToString();
        EXPECT_NE(status.message().find("quota of " + store_path() + ", 2621440 bytes"),
                  std::string::npos)
            << status.message();
        EXPECT_NE(status.message().find("raise the quota"), std::string::npos);
        told = true;
      }
      EXPECT_LE(Use().bytes, options_.quota_bytes) << "step " << step;
    }
    EXPECT_TRUE(told);
    EXPECT_EQ(s->Report().durable_step, 1);
    EXPECT_EQ(s->Report().removed, 0u);
    EXPECT_EQ(Said("a checkpoint was not saved"), 1u);
  }
  EXPECT_EQ(RestoredStep(&x), 1);
  EXPECT_EQ(x, first);
}

TEST_F(SessionQuota, ASaveThatGrowsUnexpectedlyMakesRoomBesideItself) {
  options_.quota_bytes = 11 * kMiB;
  std::vector<double> x(kMiB / 8);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  for (int step = 1; step <= 8; ++step) {
    Scramble(&x);
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(s->Report().removed, 0u);
  x[0] = 1;
  ASSERT_OK(s->Step(9).error);  // from now on little is expected
  ASSERT_OK(s->Commit());
  x.resize(4 * kMiB / 8);
  Scramble(&x);
  ASSERT_OK(s->Step(10).error);
  ASSERT_OK(s->Commit());
  EXPECT_EQ(s->Report().durable_step, 10);
  EXPECT_EQ(s->Report().failed_saves, 0u);
  EXPECT_GT(s->Report().removed, 0u);
  EXPECT_LE(Use().bytes, options_.quota_bytes);
  s.reset();
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 10);
  EXPECT_EQ(back, x);
}

TEST_F(SessionQuota, OtherSeriesCountAndStay) {
  options_.quota_bytes = 7 * kMiB;
  std::vector<double> x(kMiB / 8);
  {
    auto other = Session::Open(PosixEnv(), store_path(), "other", options_);
    ASSERT_TRUE(other.ok());
    ASSERT_OK((*other)->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= 2; ++step) {
      Scramble(&x);
      ASSERT_OK((*other)->Step(step).error);
      ASSERT_OK((*other)->Commit());
    }
  }
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  for (int step = 1; step <= 10; ++step) {
    Scramble(&x);
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->Commit());
    EXPECT_LE(Use().bytes, options_.quota_bytes) << "step " << step;
  }
  s.reset();
  EXPECT_EQ(StepsOf("other"), (std::vector<std::int64_t>{2, 1}));
  EXPECT_LT(StepsOf("run").size(), 5u);
}

TEST_F(SessionQuota, FilesAreKeptUnderTheirs) {
  options_.store.format.pack_bytes_max = kMiB;  // a pack a save
  std::vector<double> x(kMiB / 8);
  Scramble(&x);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
  }
  options_.quota_files = Use().files + 6;
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_TRUE(s->Restore().ok());
  for (int step = 2; step <= 25; ++step) {
    Scramble(&x);
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->Commit());
    EXPECT_LE(Use().files, options_.quota_files) << "step " << step;
  }
  EXPECT_EQ(s->Report().failed_saves, 0u);
  EXPECT_GT(s->Report().removed, 0u);
  s.reset();
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 25);
  EXPECT_EQ(back, x);
}

TEST_F(SessionQuota, NothingIsGivenUpWhereAllIsToBeKept) {
  options_.keep_last = 0;
  options_.quota_bytes = 6 * kMiB;
  std::vector<double> x(kMiB / 8);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  Status refused;
  for (int step = 1; step <= 10 && refused.ok(); ++step) {
    Scramble(&x);
    (void)s->Step(step);
    refused = s->Commit();
  }
  EXPECT_EQ(refused.code(), Code::kNoSpace) << refused.ToString();
  EXPECT_EQ(s->Report().removed, 0u);
  const auto durable = static_cast<std::size_t>(s->Report().durable_step);
  s.reset();
  EXPECT_EQ(StepsOf("run").size(), durable);
}

// What was given up does not come back as space yet: that is no reason to give up more.
TEST_F(SessionQuota, AWriterThatHoldsUpCollectionCostsNoFurtherCheckpoints) {
  options_.quota_bytes = 9 * kMiB;
  std::vector<double> x(kMiB / 8);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  Scramble(&x);
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->Commit());
  OpenStoreOptions other_options;
  other_options.mode = OpenStoreOptions::Mode::kWrite;
  auto other = Store::Open(PosixEnv(), store_path(), other_options);
  SaveOptions save;
  save.series = "other";
  auto writer = CheckpointWriter::Begin(other->get(), save);  // and does not answer any more
  ASSERT_OK(writer.status());
  std::int64_t step = 1;
  for (Status saved; saved.ok() && step < 20;) {
    Scramble(&x);
    (void)s->Step(++step);
    saved = s->Commit();
  }
  const std::uint64_t removed = s->Report().removed;
  EXPECT_GE(removed, 1u);
  EXPECT_LE(removed, 2u);
  EXPECT_EQ(s->Report().durable_step, step - 1);
  s.reset();
  s = Open();  // tries again at once
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_TRUE(s->Restore().ok());
  Scramble(&x);
  (void)s->Step(step);
  EXPECT_EQ(s->Commit().code(), Code::kNoSpace);
  EXPECT_EQ(s->Report().removed, 0u);
  EXPECT_LE(Use().bytes, options_.quota_bytes);
  writer->reset();
  s.reset();
  s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_TRUE(s->Restore().ok());
  ASSERT_OK(s->Step(step).error);
  ASSERT_OK(s->Commit());
}

TEST_F(SessionQuota, ByPolicyTheStepSaysStop) {
  options_.quota_bytes = kOneFits;
  options_.on_error = OnError::kStop;
  std::vector<double> x(kMiB / 8);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  bool stop = false;
  for (int step = 1; step < 10 && !stop; ++step) {
    Scramble(&x);
    stop = s->Step(step).stop;
    if (!stop) (void)s->WaitStaged();
  }
  EXPECT_TRUE(stop);
  EXPECT_EQ(s->Report().durable_step, 1);
}

}  // namespace
}  // namespace ckpt
