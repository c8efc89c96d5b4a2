// The parts a session is made of: when saves are due, the ring, the record of attached files.

#include <cmath>
#include <deque>
#include <random>

#include "store/io/command.h"
#include "store/session/allocation.h"
#include "store/session/cadence.h"
#include "store/session/copy_ring.h"
#include "store/session/memory_room.h"
#include "store/session/state_record.h"
#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

Cadence::Now Moment(std::int64_t step, double seconds, std::int64_t realtime_ns = 0) {
  return {step, static_cast<std::int64_t>(seconds * 1e9) + 1, realtime_ns};
}

// The interval that makes the expected time to complete least, by Daly's model (exponential
// failures, no restart time): found by search, not by the formula.
double BestInterval(double cost, double mtbf) {
  auto waste = [&](double tau) { return std::expm1((tau + cost) / mtbf) / tau; };
  double best = 0, least = 1e300;
  for (double tau = mtbf / 10000; tau < 3 * mtbf; tau *= 1.001) {
    if (waste(tau) < least) least = waste(tau), best = tau;
  }
  return best;
}

TEST(Cadence, DalysIntervalIsTheBestOne) {
  for (double cost : {0.001, 0.1, 1.0, 30.0, 600.0}) {
    for (double mtbf : {3600.0, 86400.0}) {
      EXPECT_NEAR(DalyInterval(cost, mtbf) / BestInterval(cost, mtbf), 1, 0.02) << cost;
    }
  }
  EXPECT_EQ(DalyInterval(100, 40), 40);
}

TEST(Cadence, StepsAndSecondsWhicheverComesFirst) {
  Cadence::Settings settings;
  settings.every_steps = 10;
  settings.every_seconds = 5;
  Cadence cadence(settings, Moment(0, 0));
  EXPECT_FALSE(cadence.Due(Moment(9, 4.9)));
  EXPECT_TRUE(cadence.Due(Moment(10, 4.9)));
  EXPECT_TRUE(cadence.Due(Moment(1, 5.1)));
  cadence.Saved(Moment(10, 4.9));
  EXPECT_FALSE(cadence.Due(Moment(19, 9.8)));
  EXPECT_TRUE(cadence.Due(Moment(20, 9.8)));
}

TEST(Cadence, ByItselfFollowsTheMeasuredCost) {
  Cadence::Settings settings;
  settings.mean_time_between_failures_s = 3600;
  Cadence cadence(settings, Moment(0, 0));
  cadence.Costs(2, 4);
  EXPECT_NEAR(cadence.interval_s(), DalyInterval(2, 3600), 1e-9);
  EXPECT_FALSE(cadence.Due(Moment(1, cadence.interval_s() - 1)));
  EXPECT_TRUE(cadence.Due(Moment(2, cadence.interval_s() + 1)));
}

TEST(Cadence, SavesOnceMoreBeforeTheAllocationEnds) {
  Cadence::Settings settings;
  settings.every_seconds = 1e6;
  settings.end_time_ns = 1000 * kNsPerSecond;
  Cadence cadence(settings, Moment(0, 0));
  cadence.Costs(1, 5);
  EXPECT_FALSE(cadence.Due(Moment(1, 1, 900 * kNsPerSecond)));
  EXPECT_FALSE(cadence.Due(Moment(2, 11, 910 * kNsPerSecond)));  // a step takes 10 s
  EXPECT_TRUE(cadence.Due(Moment(3, 75, 975 * kNsPerSecond)));
  EXPECT_FALSE(cadence.Due(Moment(4, 80, 980 * kNsPerSecond)));
}

Cadence EndingAt(std::int64_t seconds) {
  Cadence::Settings settings;
  settings.every_seconds = 1e6;
  settings.end_time_ns = seconds * kNsPerSecond;
  Cadence cadence(settings, Moment(0, 0));
  cadence.Costs(0.1, 0.1);
  return cadence;
}

TEST(Cadence, TheFirstStepShowsHowLongStepsTake) {
  Cadence cadence = EndingAt(1000);
  EXPECT_TRUE(cadence.Due(Moment(1, 600, 600 * kNsPerSecond)));  // no second one ends in time
}

TEST(Cadence, AStepThatIsToldTwiceDoesNotUseUpTheSaveBeforeTheEnd) {
  Cadence cadence = EndingAt(1000);
  EXPECT_FALSE(cadence.Due(Moment(1, 0.1, 997 * kNsPerSecond)));
  EXPECT_FALSE(cadence.Due(Moment(1, 0.2, 998 * kNsPerSecond)));
  EXPECT_TRUE(cadence.Due(Moment(2, 0.3, 998 * kNsPerSecond)));
}

TEST(Cadence, OneSlowStepDoesNotUseUpTheSaveBeforeTheEnd) {
  Cadence cadence = EndingAt(1000);
  EXPECT_TRUE(cadence.Due(Moment(1, 300, 600 * kNsPerSecond)));
  std::vector<std::int64_t> saved;
  for (std::int64_t step = 2; step < 402; ++step) {
    const std::int64_t now = 598 + step;
    if (cadence.Due(Moment(step, static_cast<double>(step) + 298, now * kNsPerSecond))) {
      saved.push_back(1000 - now);
    }
  }
  ASSERT_FALSE(saved.empty());
  EXPECT_LE(saved.size(), 8u);
  EXPECT_LE(saved.back(), 3);  // seconds before the end
  EXPECT_GE(saved.back(), 1);
}

TEST(CopyRing, HandsOutWhatIsFreeInOrderAndNothingTwice) {
  CopyRing ring(64 << 10);
  std::deque<std::pair<ByteSpan, std::uint64_t>> taken;
  std::mt19937 random(3);
  std::uint64_t number = 0;
  for (int i = 0; i < 20000; ++i) {
    std::uint64_t end = 0;
    const std::size_t size = 16 + random() % 30000;
    std::byte* place = ring.Take(size, &end);
    if (place == nullptr || taken.size() > 8) {
      ASSERT_FALSE(taken.empty());
      auto [bytes, until] = taken.front();
      EXPECT_EQ(LoadU64(bytes.data()), LoadU64(bytes.data() + bytes.size() - 8));
      ring.Release(until);
      taken.pop_front();
    }
    if (place == nullptr) continue;
    ++number;
    std::memcpy(place, &number, 8);
    std::memcpy(place + size - 8, &number, 8);
    taken.emplace_back(ByteSpan(place, size), end);
  }
  EXPECT_GT(number, 5000u);
}

TEST(StateRecord, ComesBackAndIsRefusedAtEveryLength) {
  StateRecord record;
  record.files = {{"/tmp/log", 17}, {"odd\xff", 0}};
  record.layouts = {{"particles", "v2"}};
  Bytes bytes = EncodeStateRecord(record);
  auto back = DecodeStateRecord(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(*back, record);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_EQ(DecodeStateRecord(ByteSpan(bytes).first(n)).status().code(), Code::kCorruption) << n;
  }
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    Bytes flipped = bytes;
    flipped[i / 8] ^= std::byte{1} << (i % 8);
    auto other = DecodeStateRecord(flipped);
    EXPECT_FALSE(other.ok() && *other == record) << i;
  }
}

TEST(AllocationEnd, IsReadFromWhatScontrolPrints) {
  setenv("TZ", "UTC", 1);
  tzset();
  EXPECT_EQ(ParseEndTime("JobId=7 StartTime=2026-01-01T00:00:00 EndTime=2026-11-22T10:00:30 x=1"),
            1795341630 * kNsPerSecond);
  for (const char* none : {"", "EndTime=", "EndTime=Unknown Deadline=N/A", "EndTime=2026-11-22"}) {
    EXPECT_EQ(ParseEndTime(none), 0) << none;
  }
}

TEST(AllocationEnd, IsAskedForByTheArrayAndTask) {
  setenv("SLURM_JOB_ID", "12", 1);
  EXPECT_EQ(SchedulerJobName(), "12");
  setenv("SLURM_ARRAY_JOB_ID", "12", 1);
  setenv("SLURM_ARRAY_TASK_ID", "4", 1);
  EXPECT_EQ(SchedulerJobName(), "12_4");
  for (const char* name : {"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}) {
    unsetenv(name);
  }
  EXPECT_EQ(SchedulerJobName(), "");
}

TEST(CommandOutput, IsWhatTheProgramPrints) {
  auto text = CommandOutput({"sh", "-c", "echo one; echo two >&2; echo three"}, 10000);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  EXPECT_EQ(*text, "one\nthree\n");
  EXPECT_EQ(CommandOutput({"no-such-program-anywhere"}, 1000).status().code(), Code::kNotFound);
  EXPECT_EQ(CommandOutput({"sh", "-c", "exit 3"}, 10000).status().code(), Code::kIo);
  EXPECT_EQ(CommandOutput({"sleep", "100"}, 100).status().code(), Code::kIo);
}

TEST(MemoryRoom, IsSomething) { EXPECT_GT(MemoryRoom(PosixEnv()), 1u << 20); }

}  // namespace
}  // namespace ckpt
