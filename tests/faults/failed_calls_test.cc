// Every call into the system that an operation makes fails: once and for good, with each of the
// errors that disks, quotas and signals bring, and with half done. The operation says so or
// succeeds, nothing stays open, mapped or running, everything acknowledged is there, and the next
// save works.
//
// All of it takes minutes: $CKPT_PROOF_CALLS sets how many cases of each operation are tried
// (short form 40; 0: all). The counts are printed.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "tests/faults/fault_points.h"
#include "tests/faults/operations.h"

namespace ckpt::faults {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kCasesShort = 15;
#else
constexpr std::uint64_t kCasesShort = 40;
#endif
constexpr unsigned kHangSeconds = 60;

struct Failure {
  const char* name;
  int error;
  bool for_good;
  bool halves;
};
constexpr Failure kFailures[] = {
    {"EIO", EIO, false, false},       {"EIO for good", EIO, true, false},
    {"ENOSPC", ENOSPC, false, false}, {"ENOSPC for good", ENOSPC, true, false},
    {"EDQUOT", EDQUOT, false, false}, {"EDQUOT for good", EDQUOT, true, false},
    {"EAGAIN", EAGAIN, false, false}, {"EAGAIN for good", EAGAIN, true, false},
    {"EINTR", EINTR, false, false},   {"EINTR again and again", EINTR, true, false},
    {"half", 0, false, true},         {"always half", 0, true, true},
};

char running[256];  // the case, for the watchdog

void OnHang(int) {
  const char text[] = "\nhangs: ";
  (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
  (void)!write(STDERR_FILENO, running, strlen(running));
  std::abort();
}

Plan PlanOf(const Failure& failure, std::uint64_t n) {
  Plan plan;
  plan.site = Site::kCalls;
  plan.first = n;
  plan.last = failure.for_good ? UINT64_MAX : n;
  plan.error = failure.error;
  plan.interrupts = failure.error == EINTR;
  plan.halves = failure.halves;
  return plan;
}

// What a person needs to know: what was tried, on which file, and why it failed.
bool IsClear(const Outcome& outcome, const Failure& failure) {
  if (outcome.code == CKPT_INTERNAL || outcome.code == CKPT_CORRUPTION) return false;
  // Of no file, and for a reason of its own. It need not be the first that failed.
  if (FirstFailed() == "pthread_create") return true;
  if (outcome.message.find("helper thread") != std::string::npos) return true;
  const bool path = outcome.message.find('/') != std::string::npos;
  // Half of a read or write is no reason in itself.
  const bool reason =
      failure.halves || outcome.message.find(strerror(failure.error)) != std::string::npos;
  return path && (reason || outcome.code == CKPT_BUSY || outcome.code == CKPT_NO_SPACE);
}

class FailedCalls : public ::testing::TestWithParam<Operation> {
 protected:
  static void SetUpTestSuite() {
    signal(SIGALRM, OnHang);
    fixtures = new Fixtures;
  }
  static void TearDownTestSuite() {
    delete fixtures;
    fixtures = nullptr;
  }
  ~FailedCalls() override { alarm(0); }

  // What is wrong with one case; "" when nothing is.
  std::string Try(const Failure& failure, std::uint64_t n) {
    const Operation& operation = GetParam();
    const std::string store = fixtures->Prepare(operation);
    const Held held = HeldNow();
    snprintf(running, sizeof(running), "%s, call %llu, %s\n", operation.name.c_str(),
             static_cast<unsigned long long>(n), failure.name);
    alarm(kHangSeconds);
    TestsOwn own;
    Arm(PlanOf(failure, n));
    const Outcome outcome = operation.run(store);
    Disarm();
    if (FirstFailed().empty()) return "";
    ++failed_;
    if (const std::string still = StillHeld(held); !still.empty()) return still;
    const bool harmless =
        (failure.error == EINTR || failure.halves) && !(operation.fails_easily && failure.for_good);
    if (outcome.code != CKPT_OK) {
      ++refused_;
      if (harmless) return "fails: " + outcome.message;
      if (!IsClear(outcome, failure)) return "is not clear: " + outcome.message;
    }
    return fixtures->Wrong(operation, outcome);
  }

  static Fixtures* fixtures;
  std::uint64_t failed_ = 0, refused_ = 0;
};
Fixtures* FailedCalls::fixtures = nullptr;

INSTANTIATE_TEST_SUITE_P(All, FailedCalls, ::testing::ValuesIn(Operations()),
                         [](const auto& operation) { return TestName(operation.param); });

TEST_P(FailedCalls, AreSaidAndLoseNothing) {
  Plan nothing;
  nothing.site = Site::kCalls;
  const std::string store = fixtures->Prepare(GetParam());
  TestsOwn own;
  Arm(nothing);
  const Outcome undisturbed = GetParam().run(store);
  const std::uint64_t calls = Disarm();
  ASSERT_EQ(undisturbed.code, CKPT_OK) << undisturbed.message;
  ASSERT_EQ(fixtures->Wrong(GetParam(), undisturbed), "");
  const std::uint64_t cases = calls * std::size(kFailures);
  const std::uint64_t wanted = CasesWanted(kCasesShort);
  // A stride without a factor in common with the kinds, so that each kind has its turn.
  std::uint64_t stride = wanted == 0 ? 1 : std::max<std::uint64_t>(1, cases / wanted);
  while (stride > 1 && (stride % 2 == 0 || stride % 3 == 0)) ++stride;
  std::map<std::string, int> wrong;
  for (std::uint64_t i = 0; i < cases; i += stride) {
    const Failure& failure = kFailures[i % std::size(kFailures)];
    const std::uint64_t n = 1 + i / std::size(kFailures);
    const std::string found = Try(failure, n);
    if (found.empty()) continue;
    const std::string what = FirstFailed() + " (" + failure.name + "): " + found;
    if (++wrong[what] <= 1) ADD_FAILURE() << GetParam().name << ", call " << n << ": " << what;
  }
  std::printf("proof: %s: %llu calls, %llu cases, %llu answered an error\n",
              GetParam().name.c_str(), static_cast<unsigned long long>(calls),
              static_cast<unsigned long long>(failed_), static_cast<unsigned long long>(refused_));
}

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
