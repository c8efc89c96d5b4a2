// Restores and saves that fail when something was done already, and what follows them.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <random>
#include <stdexcept>
#include <utility>

#include "store/engine/check.h"
#include "store/session/allocation.h"
#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

class LateFailure : public SessionTest {
 protected:
  // x and a stream "rng"; a log where one is attached.
  void SaveOnce() {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x_)));
    ASSERT_OK(s->Protect(StreamItem("rng", &rng_)));
    if (!log_.empty()) {
      ASSERT_OK(s->AttachFile(log_));
    }
    ASSERT_OK(s->Step(1).error);
    ASSERT_TRUE(s->Finish(true).error.ok());
  }
  static ProtectedItem Failing(std::string* text) {
    ProtectedItem item = StreamItem("rng", text);
    item.load = [](ByteSpan) -> Status { throw std::runtime_error("an old format"); };
    return item;
  }
  void AppendToLog(const std::string& text) { std::ofstream(log_, std::ios::app) << text; }

  std::vector<double> x_ = Numbers(100000, 1);
  std::string rng_ = "17 4";
  std::string log_;
};

TEST_F(LateFailure, SavesAfterARestoreThatFailedRelyOnNothing) {
  SaveOnce();
  auto s = Open();
  std::vector<double> x;
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Protect(Failing(&rng_)));
  auto restored = s->Restore();
  ASSERT_FALSE(restored.ok());
  EXPECT_NE(restored.status().message().find("an old format"), std::string::npos);
  EXPECT_NE(restored.status().message().find("undefined"), std::string::npos);
  ASSERT_OK(s->Unprotect("rng"));
  x = x_;  // the same, computed anew
  ASSERT_OK(s->Step(100).error);
  ASSERT_OK(s->Commit());
  EXPECT_GE(s->Report().changed_bytes, x.size() * 8);
  EXPECT_FALSE(s->Restore().ok());
}

TEST_F(LateFailure, AFileThatCannotBeCutBackIsRefusedBeforeMemoryIsTouched) {
  log_ = tmp_ / "log";
  AppendToLog("line\n");
  SaveOnce();
  AppendToLog("more\n");
  auto s = Open();
  std::vector<double> x = {1, 2};
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Protect(StreamItem("rng", &rng_)));
  ASSERT_OK(s->AttachFile(log_));
  std::filesystem::remove(log_);
  std::filesystem::create_directory(log_);
  auto restored = s->Restore();
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.status().message().find("undefined"), std::string::npos);
  EXPECT_EQ(x, (std::vector<double>{1, 2}));
}

TEST_F(LateFailure, LinksToLogsAreFollowedAndOtherFilesRefusedAtOnce) {
  log_ = tmp_ / "link";
  std::ofstream(tmp_ / "real") << "line\n";
  std::filesystem::create_symlink("real", log_);
  SaveOnce();
  AppendToLog("more\n");
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->Protect(StreamItem("rng", &rng_)));
  ASSERT_OK(s->AttachFile(log_));
  ASSERT_OK(s->Restore().status());
  EXPECT_EQ(std::filesystem::file_size(tmp_ / "real"), 5u);
  ASSERT_EQ(mkfifo((tmp_ / "fifo").c_str(), 0600), 0);
  for (const std::string& bad : {tmp_ / "fifo", tmp_ / "", store_path()}) {
    EXPECT_EQ(s->AttachFile(bad).code(), Code::kInvalidArgument) << bad;
  }
}

// Codes change into their output folder.
TEST_F(LateFailure, ALogIsFoundWhereverTheProcessHasGoneSince) {
  log_ = tmp_ / "log";
  AppendToLog("line 1\n");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::create_directory(tmp_ / "output");
  std::filesystem::current_path(tmp_.path());
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x_)));
    ASSERT_OK(s->AttachFile("log"));
    std::filesystem::current_path(tmp_ / "output");
    ASSERT_OK(s->Step(1).error);
    ASSERT_OK(s->Finish(true).error);
  }
  AppendToLog("line 2\n");
  std::filesystem::current_path(tmp_.path());
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->AttachFile("log"));
  std::filesystem::current_path(tmp_ / "output");
  const Status restored = s->Restore().status();
  std::filesystem::current_path(before);
  ASSERT_OK(restored);
  EXPECT_EQ(std::filesystem::file_size(log_), 7u);
}

TEST_F(LateFailure, ALogUnderAnotherNameIsCutBackAndOneThatIsNotAttachedSaid) {
  log_ = tmp_ / "log";
  AppendToLog("line 1\n");
  SaveOnce();
  AppendToLog("line 2\n");
  auto restore = [&](const std::string& attached) {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x_)));
    ASSERT_OK(s->Protect(StreamItem("rng", &rng_)));
    ASSERT_OK(s->AttachFile(attached));
    ASSERT_OK(s->Restore().status());
  };
  restore(tmp_ / "another log");
  EXPECT_EQ(std::filesystem::file_size(log_), 14u);
  EXPECT_TRUE(Noticed("not attached: it is not cut back"));
  notices_.clear();
  restore(tmp_ / "./log");
  EXPECT_EQ(std::filesystem::file_size(log_), 7u);
  EXPECT_FALSE(Noticed("not attached"));
}

TEST_F(LateFailure, WhatTheRestoredCheckpointHasCannotBeProtectedLater) {
  log_ = tmp_ / "log";
  AppendToLog("line\n");
  SaveOnce();
  auto s = Open();
  std::vector<double> x;
  ASSERT_OK(s->Protect(StreamItem("rng", &rng_)));
  ASSERT_OK(s->Restore().status());
  EXPECT_EQ(s->Protect(VectorItem("x", &x)).code(), Code::kInvalidArgument);
  EXPECT_EQ(s->AttachFile(log_).code(), Code::kInvalidArgument);
  x.resize(x_.size());
  ASSERT_OK(s->Get("x", std::as_writable_bytes(std::span(x))));
  EXPECT_OK(s->Protect(VectorItem("x", &x)));
  EXPECT_EQ(x, x_);
}

TEST_F(LateFailure, AnArrayIsNotLoadedAsAStream) {
  SaveOnce();
  auto s = Open();
  ASSERT_OK(s->Protect(StreamItem("x", &rng_)));
  auto restored = s->Restore();
  EXPECT_EQ(restored.status().code(), Code::kInvalidArgument) << restored.status().ToString();
  EXPECT_EQ(rng_, "17 4");
}

TEST_F(LateFailure, ALayoutWhereNoneWasSavedIsRefusedUnlessLenient) {
  SaveOnce();
  for (const bool lenient : {false, true}) {
    options_.lenient = lenient;
    auto s = Open();
    ProtectedItem item = VectorItem("x", &x_);
    item.layout = "v2";
    ASSERT_OK(s->Protect(std::move(item)));
    EXPECT_EQ(s->Restore().ok(), lenient);
  }
}

TEST_F(LateFailure, AnotherNumberOfRanksIsRefusedByName) {
  options_.ranks = 2;
  options_.run_id = "1";
  options_.on_stop = OnStop::kLeaveExit;
  for (options_.rank = 0; options_.rank < 2; ++options_.rank) SaveOnce();
  for (const std::uint32_t ranks : {1u, 4u}) {
    options_.ranks = ranks;
    options_.rank = ranks - 1;
    options_.run_id = "2";
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x_)));
    const Status status = s->Restore().status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(status.message().find("2 ranks"), std::string::npos) << status.ToString();
    EXPECT_NE(status.message().find("has " + std::to_string(ranks)), std::string::npos);
  }
}

TEST_F(LateFailure, WhatAFunctionThrowsIsAnErrorOfTheStepAndTheNextOneSaves) {
  auto s = Open();
  bool fails = true;
  ProtectedItem item = StreamItem("rng", &rng_);
  item.save = [&]() -> Result<Bytes> {
    if (fails) throw std::runtime_error("disk gone");
    return Bytes(3);
  };
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->Protect(std::move(item)));
  const StepResult first = s->Step(1);
  EXPECT_NE(first.error.message().find("disk gone"), std::string::npos) << first.error.ToString();
  EXPECT_EQ(s->Restore().status().code(), Code::kInvalidArgument);  // in the middle of a run
  fails = false;
  EXPECT_OK(s->Step(2).error);
  EXPECT_OK(s->Commit());
  EXPECT_EQ(s->Report().durable_step, 2);
}

// A session never reads what it has saved: only somebody else can find that.
TEST_F(LateFailure, DamageThatIsFoundMeanwhileIsNotPassedOn) {
  std::mt19937_64 random(1);  // hard to compress: its pack is larger than the reserve
  std::uniform_real_distribution<double> real;
  x_.resize(300000);
  for (double& x : x_) x = real(random);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->Commit());
  std::filesystem::path pack;
  for (const auto& entry : std::filesystem::directory_iterator(store_path() + "/packs")) {
    if (pack.empty() || entry.file_size() > std::filesystem::file_size(pack)) pack = entry.path();
  }
  std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(1'000'000));  // in the middle of a chunk
  file << "damage" << std::flush;
  {
    OpenStoreOptions options;
    options.mode = OpenStoreOptions::Mode::kWrite;
    auto store = Store::Open(PosixEnv(), store_path(), options);
    ASSERT_OK(store.status());
    auto report = CheckStore(store->get(), {});
    ASSERT_OK(report.status());
    ASSERT_EQ(report->recorded, 1u);
  }
  ++x_.back();
  ASSERT_OK(s->Step(2).error);
  const Status refused = s->Commit();
  EXPECT_EQ(refused.code(), Code::kCorruption);
  EXPECT_NE(refused.message().find("was found damaged"), std::string::npos) << refused.message();
  EXPECT_OK(s->Step(3).error);
  EXPECT_TRUE(s->Finish(true).error.ok());
  s.reset();
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 3);
  EXPECT_EQ(back, x_);
}

TEST_F(LateFailure, WhatIsThrownBehindIsAnErrorOfTheSaveAndTheNextOneSaves) {
  bool thrown = false;
  SessionProbe probe;
  probe.at = [&](SessionProbe::At at, std::int64_t) {
    if (at != SessionProbe::At::kBeforeCommit || std::exchange(thrown, true)) return;
    throw std::bad_alloc();
  };
  auto s = Open(std::move(probe));
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->Step(1).error);
  EXPECT_EQ(s->Commit().code(), Code::kOutOfMemory);
  EXPECT_OK(s->Step(2).error);
  EXPECT_OK(s->Commit());
  EXPECT_EQ(s->Report().durable_step, 2);
}

TEST_F(LateFailure, AFunctionThatUsesItsSessionIsRefused) {
  auto s = Open();
  std::vector<Status> answers;
  auto use = [&] {
    answers = {s->Unprotect("x"), s->Step(7).error,      s->Begin(7),
               s->End().error,    s->Restore().status(), s->Finish(true).error};
  };
  ProtectedItem item = StreamItem("rng", &rng_);
  item.save = [&, save = item.save] { return use(), save(); };
  item.load = [&, load = item.load](ByteSpan bytes) { return use(), load(bytes); };
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->Protect(item));
  ASSERT_OK(s->Step(1).error);
  EXPECT_EQ(answers.size(), 6u);
  for (const Status& answer : answers) EXPECT_EQ(answer.code(), Code::kInvalidArgument);
  ASSERT_OK(s->Finish(true).error);
  s.reset();
  answers.clear();
  s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->Protect(std::move(item)));
  ASSERT_OK(s->Restore().status());
  EXPECT_EQ(answers.size(), 6u);
  for (const Status& answer : answers) {
    EXPECT_NE(answer.message().find("must not use its session"), std::string::npos);
  }
}

TEST_F(LateFailure, WithoutAListenerNoticesGoToStandardError) {
  SaveOnce();
  options_.notice = nullptr;
  auto s = Open();
  ASSERT_OK(s->Protect(StreamItem("rng", &rng_)));
  testing::internal::CaptureStderr();
  ASSERT_OK(s->Restore().status());
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("'x', which is not protected"), std::string::npos) << text;
}

// What goes to a standard error that was closed must not end up in a pack.
TEST_F(LateFailure, ClosedStandardDescriptorsAreLeftAlone) {
  auto none_taken = [] {
    return fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
  };
  options_.log = true;
  const int before = InChild([&] {
    for (int fd : {0, 1, 2}) close(fd);
    auto s = Open();
    const bool saved = s->Protect(VectorItem("x", &x_)).ok() && s->Step(1).saved;
    return saved && s->Commit().ok() && none_taken() && s->Finish(true).error.ok() ? 0 : 1;
  });
  EXPECT_TRUE(Exited(before, 0));
  const int later = InChild([&] {
    auto s = Open();
    for (int fd : {0, 1, 2}) close(fd);
    if (!s->Protect(VectorItem("x", &x_)).ok() || !s->Restore().ok()) return 1;
    for (int step = 2; step < 5; ++step) {
      if (!s->Step(step).saved || !s->Commit().ok()) return 2;
    }
    return none_taken() && s->Finish(true).error.ok() ? 0 : 3;
  });
  EXPECT_TRUE(Exited(later, 0));
  EXPECT_EQ(RestoredStep(&x_), 4);
}

TEST_F(LateFailure, ANoticeThatNobodyReadsEndsNothing) {
  SaveOnce();
  options_.notice = nullptr;
  const int status = InChild([&] {
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], 2) < 0 || close(ends[0]) != 0) return 1;
    auto s = Open();
    if (!s->Protect(StreamItem("rng", &rng_)).ok()) return 2;
    return s->Restore().ok() ? 0 : 3;  // 'x' is not protected
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

TEST_F(LateFailure, EachSaveThatBecameDurableHasItsLine) {
  options_.log = true;
  options_.durability = Durability::kOnRequest;
  testing::internal::CaptureStderr();
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  for (int step = 1; step <= 3; ++step) ASSERT_OK(s->Step(step).error);
  s->Finish(true);
  const std::string text = testing::internal::GetCapturedStderr();
  for (const std::string save : {"run@1:", "run@2:", "run@3:"}) {
    EXPECT_NE(text.find(save), std::string::npos) << text;
  }
}

// Half the grace can write nothing here: the save waits until it is durable, and says so.
TEST_F(LateFailure, TheLineOfASaveSaysHowLongItHeldUpTheCode) {
  options_.log = true;
  options_.grace_seconds = 0.0005;
  x_ = Numbers(400000, 1);
  SessionProbe slow;
  slow.at = [](SessionProbe::At at, std::int64_t) {
    if (at == SessionProbe::At::kBeforeCommit) usleep(50'000);
  };
  testing::internal::CaptureStderr();
  auto s = Open(std::move(slow));
  ASSERT_OK(s->Protect(VectorItem("x", &x_)));
  ASSERT_OK(s->Step(1).error);
  s->Finish(true);
  const std::string text = testing::internal::GetCapturedStderr();
  const std::size_t at = text.find("blocked ");
  ASSERT_NE(at, std::string::npos) << text;
  EXPECT_GE(std::stod(text.substr(at + 8)), 0.05) << text;
}

TEST(Allocation, AnEndThatHasPassedIsUnknown) {
  setenv("SLURM_JOB_END_TIME", "1000", 1);
  EXPECT_EQ(AllocationEndNs(false, 1001 * kNsPerSecond), 0);
  EXPECT_EQ(AllocationEndNs(false, 999 * kNsPerSecond), 1000 * kNsPerSecond);
  unsetenv("SLURM_JOB_END_TIME");
}

}  // namespace
}  // namespace ckpt
