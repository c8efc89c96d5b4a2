// Each option of a session, through the public interface: set to something else than its default,
// it does what the header says. (Quotas, and values that are refused: session_api_test.cc.)

#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "tests/api/session_api_fixture.h"

namespace ckpt {
namespace {

class SessionOptionsTest : public SessionApiTest {
 protected:
  // Saves one number as step 1.
  void SaveNumber(const std::string& name, int value) {
    Session s = Open();
    s.Protect(name, &value).value();
    ASSERT_EQ(s.Step(1), kSaved);
    ASSERT_EQ(s.Finish(true), 0);
  }
  static std::int64_t NowNs() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  int x_ = 0;
  std::int64_t done_ = 0;
};

TEST_F(SessionOptionsTest, TheStoresAreTakenOver) {
  store_options_.mode = CKPT_OPEN_WRITE;
  ExpectRefused(TryOpen(), {}, CKPT_NOT_FOUND);
  store_options_.mode = CKPT_OPEN_CREATE;
  store_options_.array_chunk_bytes = 16384;
  std::vector<double> x(100000);
  Session s = Open();
  s.Protect("x", &x).value();
  EXPECT_EQ(s.Step(1), kSaved);
  x[50000] = 1;
  EXPECT_EQ(s.Step(2), kSaved);
  EXPECT_EQ(s.Report().changed_bytes, 16384u);
}

TEST_F(SessionOptionsTest, AnotherCompatibilityKeyIsRefusedOrOnlyNoticed) {
  options_.compatibility = "input A";
  SaveNumber("x", 7);
  options_.compatibility = "input B";
  {
    Session s = Open();
    s.Protect("x", &x_).value();
    ExpectRefused(s.Restore(&done_), {"input A", "input B"});
    EXPECT_EQ(x_, 0);
  }
  EXPECT_FALSE(Noticed("input A"));
  options_.warn_only = 1;
  Session s = Open();
  s.Protect("x", &x_).value();
  EXPECT_EQ(s.Restore(&done_).value(), kRestored);
  EXPECT_EQ(x_, 7);
  EXPECT_TRUE(Noticed("input A"));
}

TEST_F(SessionOptionsTest, LenientRestoresLeaveOutWhatIsMissing) {
  SaveNumber("old", 7);
  for (const int lenient : {0, 1}) {
    options_.lenient = lenient;
    Session s = Open();
    s.Protect("new", &x_).value();
    auto restored = s.Restore(&done_);
    if (lenient == 0) {
      ExpectRefused(restored, {"'new'"});
      continue;
    }
    EXPECT_EQ(restored.value(), kRestored);
    EXPECT_EQ(s.missing(), std::vector<std::string>{"new"});
    EXPECT_EQ(s.left_over(), std::vector<std::string>{"old"});
    EXPECT_TRUE(s.passed_over().empty());
  }
}

TEST_F(SessionOptionsTest, EverySoManySteps) {
  options_.every_steps = 3;
  Session s = Open();
  s.Protect("x", &x_).value();
  for (const int step : {1, 2, 3, 4, 5, 6}) {
    EXPECT_EQ(s.Step(step), step % 3 == 0 ? kSaved : kContinue) << step;
  }
}

TEST_F(SessionOptionsTest, EverySoManySecondsOrByTheMeanTimeBetweenFailures) {
  options_.every_steps = 0;
  options_.every_seconds = 1000;
  {
    Session s = Open();
    EXPECT_EQ(s.Step(1), kContinue);
    EXPECT_EQ(s.Report().interval_s, 1000);
  }
  options_.every_seconds = 0.01;
  {
    Session s = Open();
    usleep(20'000);  // the first step
    EXPECT_EQ(s.Step(1), kSaved);
  }
  options_.every_seconds = 0;
  options_.mean_time_between_failures_s = 3600;
  Session s = Open();
  EXPECT_EQ(s.Step(1), kContinue);
  // Daly's formula for a save that costs a second, which is the guess before the first.
  EXPECT_NEAR(s.Report().interval_s, 84.188, 0.001);
}

TEST_F(SessionOptionsTest, BeforeTheEndOfTheAllocation) {
  options_.every_steps = 1000;
  for (const int seconds : {3600, 1}) {
    options_.end_time_ns = NowNs() + seconds * std::int64_t{1'000'000'000};
    Session s = Open();
    s.Protect("x", &x_).value();
    EXPECT_EQ(s.Step(1), seconds == 1 ? kSaved : kContinue) << seconds;
  }
}

TEST_F(SessionOptionsTest, DurableOnRequestOnly) {
  options_.durability = CKPT_DURABLE_ON_REQUEST;
  Session s = Open();
  s.Protect("x", &x_).value();
  for (x_ = 1; x_ <= 10; ++x_) {
    EXPECT_EQ(s.Step(x_), kSaved);
    s.WaitStaged().value();
  }
  EXPECT_EQ(s.Report().staged_step, 10);
  EXPECT_EQ(s.Report().durable_step, -1);
  s.Commit().value();
  EXPECT_EQ(s.Report().durable_step, 10);
}

TEST_F(SessionOptionsTest, DurableSoManySecondsAfter) {
  options_.durability = CKPT_DURABLE_INTERVAL;
  options_.durable_seconds = 0.05;
  Session s = Open();
  s.Protect("x", &x_).value();
  EXPECT_EQ(s.Step(1), kSaved);
  while (s.Report().durable_step < 1) usleep(1000);
  EXPECT_GE(s.Report().durable_s, 0.05);
  EXPECT_LT(s.Report().durable_s, 60);  // the default
}

TEST_F(SessionOptionsTest, TheBufferIsAsLargeAsItIsTold) {
  options_.buffer_bytes = 3u << 20;
  EXPECT_EQ(Open().Report().buffer_bytes, 3u << 20);
}

TEST_F(SessionOptionsTest, SignalsAreThoseThatAreNamed) {
  static const std::int32_t stops[] = {SIGUSR2};
  static const std::int32_t saves[] = {SIGWINCH, SIGHUP};
  options_.stop_signals = stops;
  options_.stop_signal_count = 1;
  options_.save_signals = saves;
  options_.save_signal_count = 2;
  options_.every_steps = 1000;
  const int status = InChild([&] {
    Session s = Open();
    s.Protect("x", &x_).value();
    if (s.Step(1) != kContinue) return 3;
    raise(SIGHUP);
    if (s.Step(2) != kSaved) return 4;
    raise(SIGUSR2);
    if (s.Step(3) != kStop) return 5;
    return s.Finish(false);
  });
  EXPECT_TRUE(KilledBy(status, SIGUSR2)) << status;
  EXPECT_EQ(Steps(), (std::vector<std::int64_t>{3, 2}));
}

TEST_F(SessionOptionsTest, ACountOfNoneLeavesSignalsAlone) {
  static const std::int32_t none[] = {0};
  options_.stop_signals = options_.save_signals = none;
  for (const int signal : {SIGTERM, SIGUSR1}) {
    const int status = InChild([&] {
      Session s = Open();
      raise(signal);
      return 5;
    });
    EXPECT_TRUE(KilledBy(status, signal)) << status;
  }
}

// By default it would be 24 seconds.
TEST_F(SessionOptionsTest, TheGraceIsAsLongAsItIsTold) {
  options_.grace_seconds = 0.2;
  const int status = InChild([&]() -> int {
    alarm(20);
    Session s = Open();
    raise(SIGTERM);
    for (volatile double sum = 0;;) sum = sum + 1;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
}

TEST_F(SessionOptionsTest, TheExitIsLeftToTheCode) {
  options_.on_stop = CKPT_ON_STOP_LEAVE;
  const int status = InChild([&] {
    Session s = Open();
    raise(SIGTERM);
    return s.Step(1) == kStop ? s.Finish(false) : 5;
  });
  EXPECT_TRUE(Exited(status, 128 + SIGTERM)) << status;
}

TEST_F(SessionOptionsTest, OnAnErrorStepsGoOnOrStop) {
  options_.quota_bytes = 5;  // no room for anything
  for (const int on_error : {CKPT_ON_ERROR_GO_ON, CKPT_ON_ERROR_STOP}) {
    options_.on_error = on_error;
    Session s = Open();
    s.Protect("x", &x_).value();
    (void)s.Step(1);
    ExpectRefused(s.WaitStaged(), {}, CKPT_NO_SPACE);
    EXPECT_EQ(s.Step(2) == kStop, on_error == CKPT_ON_ERROR_STOP);
  }
}

// A stop signal ends the trying, which the first step would else not come back from.
TEST_F(SessionOptionsTest, OnAnErrorTheStepTriesAgain) {
  options_.quota_bytes = 5;
  options_.on_error = CKPT_ON_ERROR_RETRY;
  options_.on_stop = CKPT_ON_STOP_LEAVE;
  Session s = Open();
  s.Protect("x", &x_).value();
  raise(SIGTERM);
  const Stepped step = s.Step(1);
  EXPECT_EQ(step, kStop);
  ASSERT_FALSE(step.ok());  // it waited until the save had failed
  EXPECT_EQ(step.error().code(), CKPT_NO_SPACE);
}

struct Retention {
  const char* series;
  std::uint64_t keep_last;
  std::int64_t keep_every;
  std::int64_t keep_within_ns;
  std::int32_t keep_all;
  std::vector<std::int64_t> steps;  // that are left
};

TEST_F(SessionOptionsTest, RetentionKeepsWhatAnyRuleKeeps) {
  const std::int64_t hour = 3600ll * 1'000'000'000;
  const Retention rules[] = {
      {"last", 3, 0, 0, 0, {6, 5, 4}},
      {"every", 1, 4, 0, 0, {6, 4}},
      {"within", 1, 0, hour, 0, {6, 5, 4, 3, 2, 1}},
      {"all", 1, 0, 0, 1, {6, 5, 4, 3, 2, 1}},
  };
  for (const Retention& rule : rules) {
    options_.keep_last = rule.keep_last;
    options_.keep_every = rule.keep_every;
    options_.keep_within_ns = rule.keep_within_ns;
    options_.keep_all = rule.keep_all;
    Session s = Open(rule.series);
    s.Protect("x", &x_).value();
    for (x_ = 1; x_ <= 6; ++x_) {
      EXPECT_EQ(s.Step(x_), kSaved);
      s.Commit().value();
    }
    EXPECT_EQ(s.Finish(true), 0);
    EXPECT_EQ(Steps(rule.series), rule.steps) << rule.series;
  }
}

TEST_F(SessionOptionsTest, AShareOfTheTimeIsOne) {
  for (const double share : {-0.5, 2.0}) {
    options_.housekeeping_share = share;
    ExpectRefused(TryOpen(), {"housekeeping_share"});
  }
}

TEST_F(SessionOptionsTest, RanksOfOneRunMakeOneCheckpoint) {
  options_.ranks = 2;
  options_.run_id = "run 1";
  for (options_.rank = 0; options_.rank < 2; ++options_.rank) {
    SaveNumber("x", 10 + static_cast<int>(options_.rank));
    const auto list = Store::Open(store_path()).value().List("run").value();
    ASSERT_EQ(list.front().state == "committed", options_.rank == 1) << list.front().state;
  }
  options_.run_id = "run 2";
  for (options_.rank = 0; options_.rank < 2; ++options_.rank) {
    Session s = Open();
    s.Protect("x", &x_).value();
    EXPECT_EQ(s.Restore(&done_).value(), kRestored);
    EXPECT_EQ(x_, 10 + static_cast<int>(options_.rank));
  }
}

TEST_F(SessionOptionsTest, TheJobIsRecorded) {
  options_.job_id = "job-7";
  SaveNumber("x", 1);
  Store store = Store::Open(store_path()).value();
  std::string job;
  auto take = [](const ckpt_checkpoint* checkpoint, void* user) {
    *static_cast<std::string*>(user) = checkpoint->job_id;
    return 0;
  };
  const ckpt_list_options all = CKPT_LIST_OPTIONS_INIT;
  ASSERT_EQ(ckpt_list(store.get(), &all, take, &job), CKPT_OK);
  EXPECT_EQ(job, "job-7");
}

TEST_F(SessionOptionsTest, TheSeriesIsWaitedForAsLongAsItIsTold) {
  options_.wait_ms = 0;
  Session s = Open();
  const auto begin = std::chrono::steady_clock::now();
  ExpectRefused(TryOpen(), {}, CKPT_BUSY);
  // The default would have waited so long.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(SessionOptionsTest, TheLogHasALineForEachSave) {
  for (const int log : {0, 1}) {
    options_.log = log;
    testing::internal::CaptureStderr();
    SaveNumber("x", 1);
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_EQ(text.find("run@1:") != std::string::npos, log == 1) << text;
    std::filesystem::remove_all(store_path());
  }
}

TEST_F(SessionOptionsTest, TheSchedulerIsAskedOnceAProcess) {
  std::filesystem::create_directory(tmp_ / "bin");
  const std::string scontrol = tmp_ / "bin/scontrol";
  WriteFile(scontrol, "#!/bin/sh\necho \"$*\" >>" + (tmp_ / "asked") +
                          "\ndate -d '+1 second' +EndTime=%Y-%m-%dT%H:%M:%S\n");
  ASSERT_EQ(chmod(scontrol.c_str(), 0755), 0);
  options_.every_steps = 1000;
  const int status = InChild([&] {
    setenv("PATH", ((tmp_ / "bin:") + std::getenv("PATH")).c_str(), 1);
    setenv("SLURM_JOB_ID", "7", 1);
    for (const char* name : {"SLURM_JOB_END_TIME", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}) {
      unsetenv(name);
    }
    int round = 0;
    for (const char* series : {"not-asked", "first", "second"}) {
      options_.ask_scheduler = round++ == 0 ? 0 : 1;
      Session s = Open(series);
      s.Protect("x", &x_).value();
      if (s.Step(1) != (options_.ask_scheduler == 0 ? kContinue : kSaved)) return 3 + round;
    }
    return 0;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
  EXPECT_EQ(ReadWholeFile(tmp_ / "asked"), "--oneliner show job 7\n");
}

// As the kernel can, or by hashing: what it vouches for is in the report only.
TEST_F(SessionOptionsTest, ChangesAreFoundAsToldAndDevicesNamed) {
  options_.change_detection = CKPT_DETECT_AUTO + 1;
  ExpectRefused(TryOpen(), {"change_detection"});
  std::vector<double> x(1u << 19, 1.5), back;
  for (std::int32_t how : {CKPT_DETECT_HASH, CKPT_DETECT_KERNEL, CKPT_DETECT_AUTO}) {
    options_.change_detection = how;
    options_.audit_saves = 2;
    Session s = Open();
    s.Protect("x", &x).value();
    s.Restore(&done_).value();
    for (int save = 0; save < 4; ++save) {
      x[static_cast<std::size_t>(1000 * save)] += 1;
      s.Written(&x[7], 8).value();
      ASSERT_EQ(s.Step(++done_), kSaved);
      const ckpt_session_report report = s.Report();
      const bool may_vouch = how != CKPT_DETECT_HASH && save % 2 == 0 && save > 0;
      EXPECT_TRUE(may_vouch || report.vouched_bytes == 0) << how << " save " << save;
      EXPECT_EQ(report.missed_bytes, 0u);
      EXPECT_TRUE(how != CKPT_DETECT_HASH || report.first_write_s == 0);
    }
    EXPECT_EQ(ckpt_session_written(s.handle(), nullptr, 8), CKPT_INVALID_ARGUMENT);
    ASSERT_EQ(s.Finish(true), 0);
  }
  Session s = Open();
  s.Protect("x", &back).value();
  s.Restore(&done_).value();
  EXPECT_EQ(back, x);
}

}  // namespace
}  // namespace ckpt
