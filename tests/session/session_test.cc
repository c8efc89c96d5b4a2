// Saving and restoring through a session, without signals and kills.

#include "store/session/session.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>
#include <thread>

#include "tests/session/session_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

class SessionRoundTrip : public SessionTest {};

TEST_F(SessionRoundTrip, ArraysScalarsAndStreamsComeBackExactly) {
  std::vector<double> x = Numbers(100000, 1), small = Numbers(3, 2), none;
  std::string rng = "state of a generator";
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Protect(VectorItem("a/small", &small)));
    ASSERT_OK(s->Protect(VectorItem("none", &none)));
    ASSERT_OK(s->Protect(StreamItem("rng", &rng)));
    auto restored = s->Restore();
    ASSERT_TRUE(restored.ok());
    EXPECT_FALSE(restored->restored);
    StepResult step = s->Step(7);
    EXPECT_OK(step.error);
    EXPECT_TRUE(step.saved);
    EXPECT_FALSE(step.stop);
    EXPECT_EQ(s->Finish(true).exit_code, 0);
  }
  std::vector<double> x2, small2(9), none2(5);
  std::string rng2;
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x2)));
  ASSERT_OK(s->Protect(VectorItem("a/small", &small2)));
  ASSERT_OK(s->Protect(VectorItem("none", &none2)));
  ASSERT_OK(s->Protect(StreamItem("rng", &rng2)));
  auto restored = s->Restore();
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_TRUE(restored->restored);
  EXPECT_EQ(restored->step, 7);
  EXPECT_TRUE(restored->missing.empty());
  EXPECT_TRUE(restored->left_over.empty());
  EXPECT_EQ(x2, x);
  EXPECT_EQ(small2, small);
  EXPECT_EQ(none2, none);
  EXPECT_EQ(rng2, rng);
}

TEST_F(SessionRoundTrip, OnlyChangedChunksAreCopied) {
  std::vector<double> x = Numbers(800000, 1);  // 98 chunks
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  EXPECT_EQ(s->Report().last.changed_bytes, x.size() * 8);
  ASSERT_OK(s->Step(2).error);
  EXPECT_EQ(s->Report().last.changed_bytes, 0u);
  x[400000] += 1;
  ASSERT_OK(s->Step(3).error);
  EXPECT_EQ(s->Report().last.changed_bytes, 65536u);
  EXPECT_EQ(s->Report().last.logical_bytes, x.size() * 8);
  ASSERT_OK(s->Commit());
  SessionReport report = s->Report();
  EXPECT_EQ(report.durable_step, 3);
  EXPECT_EQ(report.saves, 3u);
  EXPECT_EQ(report.undurable_bytes, 0u);
  EXPECT_GE(report.last.durable_s, report.last.staged_s);
  EXPECT_GE(report.last.staged_s, report.last.blocked_s);
  s.reset();
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 3);
  EXPECT_EQ(back, x);
}

// What half the grace can write is nothing here, so every save waits for the one before to be
// durable.
TEST_F(SessionRoundTrip, CapturedAndNotDurableStaysWithinTheGrace) {
  for (Durability durability : {Durability::kEachSave, Durability::kInterval}) {
    options_.grace_seconds = 0.0005;
    options_.durability = durability;
    options_.durable_seconds = 1000;
    auto s = Open();
    std::vector<double> x;
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (std::int64_t step = 1; step <= 5; ++step) {
      x = Numbers(800000, static_cast<std::uint32_t>(100 * (1 + step)));
      ASSERT_OK(s->Step(step).error);
      EXPECT_LT(s->Report().undurable_bytes, 2 * x.size() * sizeof(double));
    }
  }
}

TEST_F(SessionRoundTrip, AfterARestoreUnchangedChunksAreKnown) {
  std::vector<double> x = Numbers(800000, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
  }
  std::vector<double> y;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &y)));
    auto restored = s->Restore();
    ASSERT_TRUE(restored.ok());
    y[0] = -1;
    ASSERT_OK(s->Step(2).error);
    EXPECT_EQ(s->Report().last.changed_bytes, 65536u);
    ASSERT_OK(s->Commit());
    EXPECT_EQ(s->Report().failed_saves, 0u);
  }
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 2);
  EXPECT_EQ(back, y);
}

TEST_F(SessionRoundTrip, SwappedAndResizedArraysAreFollowed) {
  std::vector<double> a = Numbers(50000, 1), b = Numbers(50000, 2);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &a)));
  std::mt19937 random(5);
  for (int step = 1; step <= 20; ++step) {
    std::swap(a, b);
    a.resize(random() % 100000);
    std::iota(a.begin(), a.end(), step);
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->WaitStaged());
  }
  s.reset();
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 20);
  EXPECT_EQ(back, a);
}

TEST_F(SessionRoundTrip, EveryCheckpointThatIsKeptReadsBackExactly) {
  options_.keep_last = 0;
  constexpr int kSteps = kSanitized ? 12 : 30;
  std::vector<std::vector<double>> states;
  std::vector<double> x = Numbers(200000, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    std::mt19937 random(7);
    for (int step = 1; step <= kSteps; ++step) {
      for (int k = 0; k < 3; ++k) x[random() % x.size()] = step;
      if (step % 7 == 0) x.resize(x.size() - 5000);
      if (step % 11 == 0) x = states[0];
      ASSERT_OK(s->Step(step).error);
      states.push_back(x);
    }
    ASSERT_OK(s->Commit());
    EXPECT_EQ(s->Report().failed_saves, 0u);
  }
  for (int step = 1; step <= kSteps; ++step) {
    auto s = Open();
    std::vector<double> back;
    ASSERT_OK(s->Protect(VectorItem("x", &back)));
    auto restored = s->Restore(step);
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    EXPECT_EQ(back, states[static_cast<std::size_t>(step) - 1]) << step;
  }
}

TEST_F(SessionRoundTrip, OnRequestNothingIsCommittedUntilAsked) {
  options_.durability = Durability::kOnRequest;
  std::vector<double> x = Numbers(1000, 1);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  for (int step = 1; step <= 10; ++step) {
    x[0] = step;
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->WaitStaged());
  }
  EXPECT_EQ(s->Report().staged_step, 10);
  EXPECT_EQ(s->Report().durable_step, -1);
  ASSERT_OK(s->Commit());
  EXPECT_EQ(s->Report().durable_step, 10);
}

TEST_F(SessionRoundTrip, AfterTheIntervalWhatIsStagedIsCommitted) {
  options_.durability = Durability::kInterval;
  options_.durable_seconds = 0.3;
  std::vector<double> x = Numbers(1000, 1);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->WaitStaged());
  while (s->Report().durable_step < 1) usleep(1000);  // hangs when it never comes
  EXPECT_GE(s->Report().last.durable_s, 0.3);
}

TEST_F(SessionRoundTrip, ABufferSmallerThanTheStateWaitsAndSaysSo) {
  options_.buffer_bytes = 1 << 20;
  std::vector<double> x(2'000'000);
  std::mt19937_64 random(3);
  for (double& v : x) v = static_cast<double>(random());
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
    SessionReport report = s->Report();
    EXPECT_EQ(report.buffer_bytes, 1u << 20);
    EXPECT_GT(report.last.waited_s, 0);
    EXPECT_LE(report.last.waited_s, report.last.blocked_s);
  }
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 1);
  EXPECT_EQ(back, x);
}

TEST_F(SessionRoundTrip, PutAndGetWithoutProtecting) {
  std::vector<double> mesh = Numbers(30000, 4), other = Numbers(20000, 5);
  {
    auto s = Open();
    for (int step = 1; step <= 3; ++step) {
      ASSERT_OK(s->Begin(step));
      if (step != 2) {
        ASSERT_OK(s->Put("mesh", {std::as_bytes(std::span(mesh)), DoubleShape(mesh.size())}));
      }
      ASSERT_OK(s->Put("other", {std::as_bytes(std::span(other)), DoubleShape(other.size())}));
      EXPECT_EQ(
          s->Put("other", {std::as_bytes(std::span(other)), DoubleShape(other.size())}).code(),
          Code::kInvalidArgument);
      ASSERT_OK(s->End().error);
    }
    ASSERT_OK(s->Commit());
  }
  auto s = Open();
  auto restored = s->Restore();
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored->step, 3);
  EXPECT_EQ(restored->left_over, (std::vector<std::string>{"mesh", "other"}));
  auto entry = s->Query("mesh");
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(entry->array.shape, std::vector<std::uint64_t>{30000});
  std::vector<double> back(30000);
  ASSERT_OK(s->Get("mesh", std::as_writable_bytes(std::span(back))));
  EXPECT_EQ(back, mesh);
  EXPECT_EQ(s->Query("nothing").status().code(), Code::kNotFound);
}

TEST_F(SessionRoundTrip, TheSameStepTwiceDoesNothing) {
  std::vector<double> x = Numbers(1000, 1);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  EXPECT_TRUE(s->Step(1).saved);
  EXPECT_FALSE(s->Step(1).saved);
  EXPECT_EQ(s->Report().saves, 1u);
  EXPECT_EQ(s->Step(0).error.code(), Code::kInvalidArgument);
  EXPECT_TRUE(s->Step(2).saved);
}

TEST_F(SessionRoundTrip, AnAbandonedBranchDoesNotComeBack) {
  options_.keep_last = 0;
  std::vector<double> x = Numbers(1000, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= 5; ++step) ASSERT_OK(s->Step(step).error);
  }
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_TRUE(s->Restore(2).ok());
    x[0] = 42;
    ASSERT_OK(s->Step(3).error);
  }
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 3);
  EXPECT_EQ(back[0], 42);
}

TEST_F(SessionRoundTrip, AReturnToAnOlderStepIsDurableAtOnce) {
  options_.keep_last = 0;
  std::vector<double> x(1000);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (int step = 1; step <= 5; ++step) {
      x[0] = step;
      ASSERT_OK(s->Step(step).error);
    }
  }
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_TRUE(s->Restore(2).ok());
  }
  EXPECT_EQ(RestoredStep(&x), 2);
  EXPECT_EQ(x[0], 2);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_TRUE(s->Restore(1).ok());
    x[0] = 22;
    ASSERT_OK(s->Step(2).error);
    ASSERT_OK(s->Commit());
    EXPECT_EQ(s->Report().failed_saves, 0u);
  }
  EXPECT_EQ(RestoredStep(&x), 2);
  EXPECT_EQ(x[0], 22);
}

class SessionCaller : public SessionTest {};

TEST_F(SessionCaller, AnotherThreadGetsAnError) {
  std::vector<double> x = Numbers(1000, 1);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  StepResult elsewhere;
  std::thread([&] { elsewhere = s->Step(1); }).join();
  EXPECT_EQ(elsewhere.error.code(), Code::kInvalidArgument);
  EXPECT_FALSE(elsewhere.saved);
  EXPECT_TRUE(s->Step(1).saved);
}

TEST_F(SessionCaller, MistakesAreNamed) {
  std::vector<double> x = Numbers(1000, 1);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  EXPECT_EQ(s->Protect(VectorItem("x", &x)).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->Protect(VectorItem("../x", &x)).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->Protect(VectorItem("ckpt.session", &x)).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->Unprotect("y").code(), Code::kNotFound);
  EXPECT_EQ(s->Put("y", {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->End().error.code(), Code::kInvalidArgument);
  ASSERT_OK(s->Begin(1));
  EXPECT_EQ(s->Begin(2).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->Step(2).error.code(), Code::kInvalidArgument);
  s->Abort();
  EXPECT_TRUE(s->Step(2).saved);
  EXPECT_EQ(s->Restore().status().code(), Code::kInvalidArgument);
}

TEST_F(SessionCaller, TimesThatAreNoNumbersAreRefused) {
  for (double SessionOptions::*time :
       {&SessionOptions::every_seconds, &SessionOptions::durable_seconds,
        &SessionOptions::grace_seconds}) {
    SessionOptions options = options_;
    options.*time = std::nan("");
    auto s = Session::Open(PosixEnv(), store_path(), "run", options);
    EXPECT_EQ(s.status().code(), Code::kInvalidArgument);
  }
}

TEST_F(SessionCaller, TheSeriesBelongsToOneSession) {
  auto s = Open();
  auto second = Session::Open(PosixEnv(), store_path(), "run", options_);
  EXPECT_EQ(second.status().code(), Code::kBusy);
  auto other = Session::Open(PosixEnv(), store_path(), "other", options_);
  EXPECT_TRUE(other.ok());
  s.reset();
  EXPECT_TRUE(Session::Open(PosixEnv(), store_path(), "run", options_).ok());
}

class SessionRestore : public SessionTest {
 protected:
  void SaveOne(const std::vector<double>& x, std::int64_t step = 1) {
    auto s = Open();
    ASSERT_OK(s->Begin(step));
    ASSERT_OK(s->Put("x", {std::as_bytes(std::span(x)), DoubleShape(x.size())}));
    ASSERT_OK(s->End().error);
    ASSERT_OK(s->Commit());
  }
};

TEST_F(SessionRestore, AnotherShapeIsRefusedWithBothNamedAndNothingTouched) {
  SaveOne(Numbers(1000, 1));
  std::vector<float> y(10, 3.f);
  ArrayShape here;
  here.dtype = Dtype::kFloat32;
  here.element_bytes = 4;
  here.shape = {10};
  auto s = Open();
  std::vector<double> z(5, 1.0);
  ASSERT_OK(s->Protect(VectorItem("z", &z)));
  ProtectedItem item = VectorItem("x", nullptr);
  item.accepts = [&](const ArrayShape& saved) {
    return saved == here ? Status() : RefuseShape("x", saved, here);
  };
  ASSERT_OK(s->Protect(item));
  auto restored = s->Restore();
  ASSERT_EQ(restored.status().code(), Code::kInvalidArgument);
  EXPECT_NE(restored.status().message().find("float64[1000]"), std::string::npos);
  EXPECT_NE(restored.status().message().find("float32[10]"), std::string::npos);
  EXPECT_EQ(z, std::vector<double>(5, 1.0));
}

TEST_F(SessionRestore, WhatIsMissingIsRefusedUnlessLenient) {
  SaveOne(Numbers(1000, 1));
  std::vector<double> x, y{1, 2};
  for (bool lenient : {false, true}) {
    options_.lenient = lenient;
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("y", &y)));
    auto restored = s->Restore();
    if (!lenient) {
      ASSERT_EQ(restored.status().code(), Code::kInvalidArgument);
      EXPECT_NE(restored.status().message().find("'y'"), std::string::npos);
      continue;
    }
    ASSERT_TRUE(restored.ok());
    EXPECT_EQ(restored->missing, std::vector<std::string>{"y"});
    EXPECT_EQ(restored->left_over, std::vector<std::string>{"x"});
    EXPECT_EQ(y, (std::vector<double>{1, 2}));
  }
}

TEST_F(SessionRestore, ADamagedChunkLeadsToTheOlderOne) {
  options_.keep_last = 0;
  std::vector<double> x = Numbers(100000, 1);
  std::vector<double> first = x;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
    ASSERT_OK(s->Commit());
    for (std::size_t i = 50000; i < 60000; ++i) x[i] += 0.5;
    ASSERT_OK(s->Step(2).error);
  }
  // The last chunk record of the pack before step 2's tables: flip a byte in the middle of what
  // step 2 added.
  auto session = Open();
  auto reader = CheckpointReader::Open(const_cast<Store*>(&session->store()), "run@2");
  ASSERT_TRUE(reader.ok());
  auto found = (*reader)->Find("x");
  ASSERT_TRUE(found.ok());
  ChunkListReader list(found->entry->content, found->fetcher);
  ASSERT_TRUE(list.Seek(55000 * 8).ok());
  auto item = list.Next();
  ASSERT_TRUE(item.ok() && item->has_value());
  auto place = found->fetcher->Locate((*item)->id);
  ASSERT_TRUE(place.ok());
  reader->reset();
  session.reset();
  std::string pack = store_path() + "/packs/" + PackFileName(place->pack_id);
  {
    std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(place->entry.offset + kRecordHeaderBytes + 100);
    file.seekg(at);
    char byte = 0;
    file.get(byte);
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 1));
  }
  std::vector<double> back;
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &back)));
  auto restored = s->Restore();
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored->step, 1);
  EXPECT_EQ(restored->passed_over.size(), 1u);
  EXPECT_EQ(back, first);
  back[0] = 17;
  ASSERT_OK(s->Step(2).error);  // the attempt is another one: the step may come again
  ASSERT_OK(s->Commit());
  s.reset();
  std::vector<double> again;
  EXPECT_EQ(RestoredStep(&again), 2);
  EXPECT_EQ(again, back);
}

TEST_F(SessionRestore, AnotherCompatibilityKeyIsRefusedOrNoticed) {
  options_.compatibility = "input A";
  SaveOne(Numbers(10, 1));
  options_.compatibility = "input B";
  std::vector<double> x;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    auto restored = s->Restore();
    EXPECT_EQ(restored.status().code(), Code::kInvalidArgument);
    EXPECT_TRUE(x.empty());
  }
  options_.warn_only = true;
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  EXPECT_TRUE(s->Restore().ok());
  EXPECT_TRUE(Noticed("input A"));
}

TEST_F(SessionRestore, AnotherLayoutIsRefused) {
  std::vector<double> x = Numbers(10, 1);
  for (const char* layout : {"v1", "v2"}) {
    auto s = Open();
    ProtectedItem item = VectorItem("x", &x);
    item.layout = layout;
    ASSERT_OK(s->Protect(item));
    auto restored = s->Restore();
    if (std::string(layout) == "v1") {
      ASSERT_TRUE(restored.ok());
      ASSERT_OK(s->Step(1).error);
    } else {
      EXPECT_EQ(restored.status().code(), Code::kInvalidArgument);
    }
  }
}

TEST_F(SessionRestore, AnAttachedLogIsCutBack) {
  const std::string log = tmp_ / "log";
  WriteFile(log, "one\ntwo\n");
  std::vector<double> x = Numbers(10, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->AttachFile(log));
    ASSERT_OK(s->Step(1).error);
  }
  WriteFile(log, "one\ntwo\nthree, not saved\n");
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->AttachFile(log));
  ASSERT_TRUE(s->Restore().ok());
  EXPECT_EQ(ReadWholeFile(log), "one\ntwo\n");
}

class SessionRetention : public SessionTest {};

TEST_F(SessionRetention, KeepsTheLastTwoAndGivesSpaceBack) {
  options_.housekeeping_share = 1;
  options_.store.format.pack_bytes_max = 4 << 20;
  std::vector<double> x(200000);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  std::mt19937_64 random(3);
  for (int step = 1; step <= 12; ++step) {
    for (double& v : x) v = static_cast<double>(random());
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->Commit());
  }
  SessionReport report = s->Report();
  EXPECT_EQ(report.failed_saves, 0u);
  s.reset();
  auto view = [&] {
    auto store = Store::Open(PosixEnv(), store_path(), OpenStoreOptions());
    EXPECT_TRUE(store.ok());
    return *SeriesView::Load(store->get(), "run");
  }();
  std::vector<const CheckpointRow*> line = view.Line();
  EXPECT_GT(report.removed, 6u);
  EXPECT_GT(report.freed_bytes, x.size() * 8);
  EXPECT_EQ(line.size(), 2u);
  EXPECT_EQ(line[0]->step, 12);
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 12);
  EXPECT_EQ(back, x);
}

// Another session's, say, which may wait for this one to acknowledge.
TEST_F(SessionRetention, IsNotHeldUpByAnotherCollection) {
  options_.housekeeping_share = 1;
  std::vector<double> x(1000);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->Commit());
  auto store = Store::Open(PosixEnv(), store_path(), OpenStoreOptions());
  ASSERT_TRUE(store.ok());
  auto lock = (*store)->LockCollector(0);
  ASSERT_TRUE(lock.ok());
  for (int step = 2; step <= 8; ++step) {
    x[0] = step;
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->Commit());
  }
  s.reset();
  EXPECT_FALSE(Noticed("waiting"));
}

// The session begins a new pack right after a commit, before the index was told of it.
TEST_F(SessionRetention, WhatWasSavedBeforeAPackWasLetGoIsKnownToAll) {
  options_.keep_last = 0;
  std::vector<double> x(100000);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  std::mt19937_64 random(5);
  constexpr std::int64_t kSteps = 50;  // 35 MB: two packs and a piece
  for (std::int64_t step = 1; step <= kSteps; ++step) {
    for (double& v : x) v = static_cast<double>(random());
    ASSERT_OK(s->Step(step).error);
    ASSERT_OK(s->Commit());
  }
  s.reset();
  auto store = Store::Open(PosixEnv(), store_path(), OpenStoreOptions());
  ASSERT_TRUE(store.ok());
  auto view = SeriesView::Load(store->get(), "run");
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->Line().size(), static_cast<std::size_t>(kSteps));
}

}  // namespace
}  // namespace ckpt
