// Every field of ckpt_session_report, at a moment when it differs from those it could be taken for.

#include "tests/api/session_api_fixture.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kChunkBytes = 64u << 10;

class SessionReportTest : public SessionApiTest {
 protected:
  SessionReportTest() {
    options_.durability = CKPT_DURABLE_ON_REQUEST;
    options_.on_stop = CKPT_ON_STOP_LEAVE;
  }
  // A step that is saved, and staged.
  static ckpt_session_report Save(Session* session, std::int64_t step) {
    EXPECT_EQ(session->Step(step), kSaved);
    session->WaitStaged().value();
    return session->Report();
  }
};

TEST_F(SessionReportTest, OfASessionThatHasDoneNothing) {
  options_.buffer_bytes = 2u << 20;
  const ckpt_session_report report = Open().Report();
  for (const std::int64_t step : {report.step, report.staged_step, report.durable_step}) {
    EXPECT_EQ(step, -1);
  }
  for (const double never : {report.staged_s, report.durable_s, report.stop_to_durable_s}) {
    EXPECT_EQ(never, -1);
  }
  EXPECT_EQ(report.buffer_bytes, 2u << 20);
  EXPECT_EQ(report.saves + report.failed_saves + report.logical_bytes + report.stored_bytes, 0u);
  EXPECT_EQ(report.stop_signal + report.handlers_replaced, 0);
}

TEST_F(SessionReportTest, OfTheNewestSaveAndOfAll) {
  options_.buffer_bytes = 1u << 20;  // smaller than the state: the application waits
  options_.every_seconds = 1000;
  std::string x = RandomText(16u << 20, 1);
  double scalar = 1;
  Session s = Open();
  s.Protect("x", x.data(), {x.size()}).value();
  s.Protect("scalar", &scalar).value();

  const ckpt_session_report first = Save(&s, 1);
  EXPECT_EQ(first.step, 1);
  EXPECT_GT(first.waited_s, 0);
  EXPECT_GT(first.blocked_s, first.waited_s);
  EXPECT_GT(first.staged_s, first.blocked_s);
  EXPECT_EQ(first.durable_s, -1);
  EXPECT_EQ(first.logical_bytes, x.size() + 8);
  EXPECT_EQ(first.changed_bytes, x.size());  // small values are in the manifest
  EXPECT_GT(first.stored_bytes, x.size() + 8);
  EXPECT_EQ(first.staged_step, 1);
  EXPECT_EQ(first.durable_step, -1);
  EXPECT_EQ(first.undurable_bytes, x.size());
  EXPECT_EQ(first.interval_s, 1000);

  x[0] = static_cast<char>(x[0] + 1);
  const ckpt_session_report second = Save(&s, 2);
  EXPECT_EQ(second.saves, 2u);
  EXPECT_EQ(second.changed_bytes, kChunkBytes);
  EXPECT_EQ(second.changed_total_bytes, x.size() + kChunkBytes);
  EXPECT_EQ(second.undurable_bytes, second.changed_total_bytes);
  EXPECT_EQ(second.stored_total_bytes, first.stored_bytes + second.stored_bytes);
  EXPECT_DOUBLE_EQ(second.blocked_total_s, first.blocked_s + second.blocked_s);
  EXPECT_DOUBLE_EQ(second.waited_total_s, first.waited_s + second.waited_s);

  s.Commit().value();
  const ckpt_session_report durable = s.Report();
  EXPECT_EQ(durable.staged_step, 2);
  EXPECT_EQ(durable.durable_step, 2);
  EXPECT_GT(durable.durable_s, durable.staged_s);
  EXPECT_EQ(durable.undurable_bytes, 0u);
  EXPECT_EQ(durable.failed_saves, 0u);
}

TEST_F(SessionReportTest, ASaveOfSmallValuesWritesTheManifestOnly) {
  double scalar = 1.5;
  int number = 3;
  {
    Session s = Open();
    s.Protect("scalar", &scalar).value();
    s.Protect("number", &number).value();
    const ckpt_session_report report = Save(&s, 1);
    EXPECT_EQ(report.logical_bytes, 12u);
    EXPECT_EQ(report.changed_bytes, 0u);
    EXPECT_EQ(s.Finish(true), 0);
  }
  scalar = number = 0;
  std::int64_t done = 0;
  Session s = Open();
  s.Protect("scalar", &scalar).value();
  s.Protect("number", &number).value();
  EXPECT_EQ(s.Restore(&done).value(), kRestored);
  EXPECT_EQ(scalar, 1.5);
  EXPECT_EQ(number, 3);
}

TEST_F(SessionReportTest, OfFailures) {
  options_.quota_bytes = 5;
  int x = 0;
  Session s = Open();
  s.Protect("x", &x).value();
  for (const std::int64_t step : {1, 2, 3}) {
    (void)s.Step(step);
    EXPECT_FALSE(s.WaitStaged().ok());
  }
  EXPECT_EQ(s.Report().failed_saves, 3u);
  EXPECT_EQ(s.Report().staged_step, -1);
}

TEST_F(SessionReportTest, OfAStopSignal) {
  int x = 0;
  Session s = Open();
  s.Protect("x", &x).value();
  EXPECT_EQ(s.Step(1), kSaved);
  raise(SIGTERM);
  EXPECT_EQ(s.Step(2), kStop);
  while (s.Report().stop_to_durable_s < 0) usleep(1000);
  EXPECT_EQ(s.Report().stop_signal, SIGTERM);
  EXPECT_EQ(s.Report().durable_step, 2);
}

TEST_F(SessionReportTest, OfHandlersThatWereReplaced) {
  int x = 0;
  Session s = Open();
  s.Protect("x", &x).value();
  EXPECT_EQ(Save(&s, 1).handlers_replaced, 0);
  signal(SIGUSR1, [](int) {});
  EXPECT_EQ(Save(&s, 2).handlers_replaced, 1);
  s.Finish(true);
  signal(SIGUSR1, SIG_DFL);
}

TEST_F(SessionReportTest, OfRetention) {
  options_.housekeeping_share = 1;
  options_.keep_last = 1;
  store_options_.pack_bytes = 4u << 20;
  std::string x;
  Session s = Open();
  s.Protect(
       "x", [&] { return x; }, [](const std::string&) {})
      .value();
  ckpt_session_report report = CKPT_SESSION_REPORT_INIT;
  std::int64_t step = 0;
  for (; report.freed_bytes == 0 && step < 50; report = s.Report()) {
    x = RandomText(2u << 20, static_cast<std::uint64_t>(++step));
    EXPECT_EQ(s.Step(step), kSaved);
    s.Commit().value();
  }
  EXPECT_GE(report.freed_bytes, x.size());
  EXPECT_GE(report.removed, 1u);
  EXPECT_LT(report.removed, static_cast<std::uint64_t>(step));
}

}  // namespace
}  // namespace ckpt
