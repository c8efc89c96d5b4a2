// Every call into the system that an operation makes fails: once and for good, with each of the
// errors that disks, quotas and signals bring, and with half done. The operation says so or
// succeeds, nothing stays open, mapped or running, everything acknowledged is there, and the next
// save works. How many of them: tests/faults/sweep.h.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "tests/faults/sweep.h"

namespace ckpt::faults {
namespace {

constexpr Failure kFailures[] = {
    {"EIO", EIO},
    {"EIO for good", EIO, true},
    {"ENOSPC", ENOSPC},
    {"ENOSPC for good", ENOSPC, true},
    {"EDQUOT", EDQUOT},
    {"EDQUOT for good", EDQUOT, true},
    {"EAGAIN", EAGAIN},
    {"EAGAIN for good", EAGAIN, true},
    {"EINTR", EINTR},
    {"EINTR again and again", EINTR, true},
    {"half", 0, false, true},
    {"always half", 0, true, true},
};

// What a person needs to know: what was tried, on which file, and why it failed.
bool IsClear(const Outcome& outcome, const Failure& failure) {
  if (outcome.code == CKPT_INTERNAL || outcome.code == CKPT_CORRUPTION) return false;
  // Of no file, and for a reason of its own. It need not be the first that failed.
  if (FirstFailed() == "pthread_create") return true;
  if (outcome.message.find("helper thread") != std::string::npos) return true;
  if (outcome.code == CKPT_BUSY) return true;  // names the series: a lock that fails so is held
  const bool path = outcome.message.find('/') != std::string::npos;
  // Half of a read or write is no reason in itself.
  const bool reason =
      failure.halves || outcome.message.find(strerror(failure.error)) != std::string::npos;
  return path && (reason || outcome.code == CKPT_NO_SPACE);
}

class FailedCalls : public SweepTest {
  std::string Judge(const Failure& failure, const Outcome& outcome) override {
    const bool harmless = (failure.error == EINTR || failure.halves) &&
                          !(GetParam().fails_easily && failure.for_good);
    if (outcome.code == CKPT_OK) return "";
    if (harmless) return "fails: " + outcome.message;
    return IsClear(outcome, failure) ? "" : "is not clear: " + outcome.message;
  }
};

INSTANTIATE_TEST_SUITE_P(All, FailedCalls, ::testing::ValuesIn(Operations()), NameOf);

TEST_P(FailedCalls, AreSaidAndLoseNothing) { Sweep(Site::kCalls, kFailures, "calls"); }

// What the system has not, or does not let one do: in places there is another way.
constexpr Failure kDenials[] = {
    {"EPERM", EPERM},
    {"EPERM for good", EPERM, true},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"EOPNOTSUPP for good", EOPNOTSUPP, true},
};

class DeniedCalls : public SweepTest {
  std::string Judge(const Failure&, const Outcome& outcome) override {
    const bool clear = outcome.code != CKPT_INTERNAL && outcome.code != CKPT_CORRUPTION;
    return clear ? "" : "is not clear: " + outcome.message;
  }
};

INSTANTIATE_TEST_SUITE_P(All, DeniedCalls, ::testing::ValuesIn(Operations()), NameOf);

TEST_P(DeniedCalls, AreSaidAndLoseNothing) { Sweep(Site::kCalls, kDenials, "calls denied"); }

std::uint64_t BlocksOf(const std::string& folder) {
  std::uint64_t blocks = 0;
  for (const auto& at : std::filesystem::directory_iterator(folder)) {
    struct stat info {};
    if (stat(at.path().c_str(), &info) == 0) blocks += static_cast<std::uint64_t>(info.st_blocks);
  }
  return blocks;
}

// The disk of "gc in place" is full for it, and what it gives back lies inside a pack that stays.
TEST(FaultFixtures, GcOnAFullDiskGivesBackInPlace) {
  Fixtures fixtures;
  const auto& all = Operations();
  const auto gc =
      std::ranges::find(all, std::string("gc in place on a full disk"), &Operation::name);
  ASSERT_NE(gc, all.end());
  const std::string packs = fixtures.Prepare(*gc) + "/packs";
  const std::uint64_t before = BlocksOf(packs);
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(packs), {}); };
  const auto files_before = files();
  EXPECT_EQ(gc->run(fixtures.Prepare(*gc)).code, CKPT_OK);
  EXPECT_LT(BlocksOf(packs) + 200, before);  // of 512 bytes: 100 KB
  EXPECT_EQ(files(), files_before);
}

}  // namespace
}  // namespace ckpt::faults
