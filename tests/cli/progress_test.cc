#include "cli/progress.cc"  // see text_test.cc

#include <gtest/gtest.h>

namespace ckpt {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

class Recorded {
 public:
  Recorded(ProgressMode mode, bool terminal)
      : progress_({mode, terminal, [this](std::string_view text) { text_ += text; },
                   [] { return std::size_t{80}; }}) {}

  // What a report at this time printed.
  std::string At(std::int64_t ms, std::uint64_t done, std::uint64_t total,
                 const char* phase = "saving") {
    text_.clear();
    const ckpt_progress report = {phase, done, total, 0, 0};
    progress_.Update(report, kStartNs + ms * kMs);
    return text_;
  }
  std::string Finish() {
    text_.clear();
    progress_.Finish();
    return text_;
  }

 private:
  static constexpr std::int64_t kStartNs = 77'000'000'000;
  std::string text_;
  ProgressMeter progress_;
};

TEST(Progress, ShortWorkShowsNoBar) {
  Recorded recorded(ProgressMode::kAuto, true);
  EXPECT_EQ(recorded.At(0, 0, 100), "");
  EXPECT_EQ(recorded.At(999, 90, 100), "");
  EXPECT_EQ(recorded.Finish(), "");
}

TEST(Progress, BarComesAfterASecondAndGoesAtTheEnd) {
  Recorded recorded(ProgressMode::kAuto, true);
  EXPECT_EQ(recorded.At(0, 0, 100 * kMiB), "");
  const std::string bar = recorded.At(1000, 50 * kMiB, 100 * kMiB);
  EXPECT_EQ(bar.substr(0, 4), "\r\x1b[K");
  EXPECT_NE(bar.find("50.0 %"), std::string::npos) << bar;
  EXPECT_NE(bar.find("50.0 MiB/s"), std::string::npos) << bar;
  EXPECT_NE(bar.find("0:01 left"), std::string::npos) << bar;
  EXPECT_EQ(recorded.At(1050, 51 * kMiB, 100 * kMiB), "");  // at most ten a second
  EXPECT_NE(recorded.At(1100, 52 * kMiB, 100 * kMiB), "");
  EXPECT_EQ(recorded.Finish(), "\r\x1b[K");
  EXPECT_EQ(recorded.Finish(), "");
}

TEST(Progress, LogFileGetsALineEveryTenSeconds) {
  Recorded recorded(ProgressMode::kAuto, false);
  int lines = 0;
  for (int ms = 0; ms <= 35000; ms += 100) {
    const std::string line = recorded.At(ms, static_cast<std::uint64_t>(ms) * kMiB, 40000 * kMiB);
    if (line.empty()) continue;
    ++lines;
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_EQ(line.back(), '\n');
    EXPECT_EQ(ms % 10000, 0);
  }
  EXPECT_EQ(lines, 3);
  EXPECT_EQ(recorded.Finish(), "");
}

TEST(Progress, AlwaysBeginsAtOnceAndEndsWithALine) {
  Recorded recorded(ProgressMode::kAlways, false);
  EXPECT_EQ(recorded.At(0, 0, 10), "saving: 0 B of 10 B (0.0 %)\n");
  EXPECT_EQ(recorded.At(100, 10, 10), "");
  EXPECT_EQ(recorded.Finish(), "saving: 10 B of 10 B (100.0 %)\n");
  EXPECT_EQ(Recorded(ProgressMode::kAlways, false).Finish(), "");  // no work, no line
}

TEST(Progress, NeverIsNever) {
  Recorded recorded(ProgressMode::kNever, true);
  EXPECT_EQ(recorded.At(0, 0, 10), "");
  EXPECT_EQ(recorded.At(60000, 5, 10), "");
  EXPECT_EQ(recorded.Finish(), "");
}

TEST(Progress, APhaseStartsItsOwnRate) {
  Recorded recorded(ProgressMode::kAlways, true);
  recorded.At(0, 0, 100 * kMiB, "saving");
  recorded.At(1000, 100 * kMiB, 100 * kMiB, "saving");
  const std::string bar = recorded.At(1200, 0, 100 * kMiB, "syncing");
  EXPECT_NE(bar.find("syncing"), std::string::npos);
  EXPECT_EQ(bar.find("/s"), std::string::npos) << bar;
}

TEST(ProgressBar, FitsNarrowTerminals) {
  ProgressState state;
  state.phase = "restoring";
  state.done_bytes = 1234 * kMiB;
  state.total_bytes = 4000 * kMiB;
  state.bytes_per_second = 1e8;
  for (std::size_t columns = 0; columns < 120; ++columns) {
    EXPECT_LE(ProgressBar(state, columns).size(), columns);
  }
  EXPECT_NE(ProgressBar(state, 100).find('#'), std::string::npos);
  EXPECT_EQ(ProgressBar(state, 60).find('#'), std::string::npos);
}

TEST(ProgressBar, MoreDoneThanExpectedIsAHundredPercent) {
  ProgressState state;
  state.phase = "saving";
  state.done_bytes = 20;
  state.total_bytes = 10;
  state.bytes_per_second = 1;
  EXPECT_NE(ProgressBar(state, 100).find("100.0 %"), std::string::npos);
  EXPECT_NE(ProgressBar(state, 100).find("0:00 left"), std::string::npos);
}

TEST(ProgressLine, UnknownTotalsShowWhatIsDone) {
  ProgressState state;
  state.phase = "indexing";
  state.done_items = 1234;
  EXPECT_EQ(ProgressLine(state), "indexing: 1,234");
  state.total_items = 2468;
  EXPECT_EQ(ProgressLine(state), "indexing: 1,234 of 2,468 (50.0 %)");
  state.done_bytes = kMiB;
  state.total_items = 0;
  EXPECT_EQ(ProgressLine(state), "indexing: 1.0 MiB");
}

}  // namespace
}  // namespace ckpt
