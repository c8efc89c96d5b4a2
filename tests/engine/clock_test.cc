// A clock that is set back, leaps, or stands still decides nothing: what is newest, what is kept
// and what is damaged goes by attempts, steps and the order of records.

#include "store/engine/check.h"
#include "store/engine/chunk_writer.h"
#include "store/engine/restore_files.h"
#include "store/engine/retention.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

constexpr std::int64_t kYearNs = 365 * 86400 * kNsPerSecond;

// This machine with a wrong clock.
class WrongClock final : public Env {
 public:
  Result<std::unique_ptr<Dir>> OpenDir(const std::string& path) override {
    return PosixEnv()->OpenDir(path);
  }
  Status MakeDir(const std::string& path, std::uint32_t permissions) override {
    return PosixEnv()->MakeDir(path, permissions);
  }
  void Random(MutableByteSpan out) override { PosixEnv()->Random(out); }
  std::int64_t RealtimeNs() override { return now_ns; }
  std::int64_t MonotonicNs() override { return PosixEnv()->MonotonicNs(); }
  void SleepMs(std::int64_t ms) override { PosixEnv()->SleepMs(ms); }
  Id128 HostId() override { return PosixEnv()->HostId(); }
  std::string HostName() override { return PosixEnv()->HostName(); }
  std::uint32_t UserId() override { return PosixEnv()->UserId(); }

  std::int64_t now_ns = 56 * kYearNs;
};

class ClockTest : public LookTest {
 protected:
  std::unique_ptr<Store> OpenLate() {
    OpenStoreOptions options = options_;
    options.mode = OpenStoreOptions::Mode::kCreate;
    auto store = Store::Open(&clock_, tmp_ / "store", options);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }
  // Of a new process; how many places were recorded.
  std::uint64_t CheckAndRecord() {
    auto store = OpenLate();
    auto report = CheckStore(store.get(), {});
    EXPECT_TRUE(report.ok());
    return report.ok() ? report->recorded : 99;
  }
  void ExpectRestores(const std::string& name, std::uint64_t content) {
    std::filesystem::remove_all(tmp_ / "out");
    auto store = OpenLate();
    RestoreFilesOptions options;
    options.checkpoint = name;
    options.to = tmp_ / "out";
    auto restored = RestoreFiles(store.get(), options);
    ASSERT_TRUE(restored.ok()) << name << ": " << restored.status().ToString();
    EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/f"), RandomText(300000, content)) << name;
  }

  WrongClock clock_;
};

TEST_F(ClockTest, NewestAndKeptGoByStepsWhateverTheClockSays) {
  std::uint64_t content = 0;
  for (const std::int64_t leap : {-kYearNs, std::int64_t{0}, 30 * kYearNs, -50 * kYearNs}) {
    clock_.now_ns += leap;
    WriteFile(tmp_ / "d/f", RandomText(300000, ++content));
    SaveDir(OpenLate().get());
  }
  ExpectRestores("melt", 4);
  for (std::int64_t step = 1; step <= 4; ++step) {
    ExpectRestores("melt@" + std::to_string(step), static_cast<std::uint64_t>(step));
  }
  RetentionRules rules;
  rules.keep_last = 2;
  auto store = OpenLate();
  auto plan = PlanRetention(store.get(), rules);
  ASSERT_TRUE(plan.ok());
  std::set<std::int64_t> dropped;
  for (const Removal& removal : *plan) dropped.insert(removal.first.step);
  EXPECT_EQ(dropped, (std::set<std::int64_t>{1, 2}));
  EXPECT_TRUE(CheckStore(store.get(), {})->damage.empty());
}

// Damaged, healed, and damaged again, with a clock that goes back each time or stands still: the
// last of these counts, and nothing new relies on the place.
TEST_F(ClockTest, DamageRecordsCountInTheirOrder) {
  for (const std::int64_t leap : {-kYearNs, std::int64_t{0}}) {
    std::filesystem::remove_all(tmp_ / "store");
    WriteFile(tmp_ / "d/f", RandomText(300000, 1));
    SaveDir(OpenLate().get());
    const std::string pack = BigPack();
    FlipByte(pack, 100000);
    EXPECT_EQ(CheckAndRecord(), 1u);
    clock_.now_ns += leap;
    FlipByte(pack, 100000);
    EXPECT_EQ(CheckAndRecord(), 1u) << "true again";
    clock_.now_ns += leap;
    FlipByte(pack, 100000);
    EXPECT_EQ(CheckAndRecord(), 1u);
    EXPECT_EQ(CheckAndRecord(), 0u) << "it was not remembered, leap " << leap;
    WriteFile(tmp_ / "d/f", RandomText(300000, 1));
    EXPECT_GT(SaveDir(OpenLate().get()).new_bytes, 0u) << "a new save relies on damaged bytes";
    ExpectRestores("melt", 1);
  }
}

}  // namespace
}  // namespace ckpt
