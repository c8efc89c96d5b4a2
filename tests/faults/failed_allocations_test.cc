// Every allocation that an operation makes fails: once, and with all that follow. The operation
// answers that memory is out, or succeeds; the process goes on, nothing stays open, mapped or
// running, everything acknowledged is there, and the next save works.
//
// $CKPT_PROOF_CALLS sets how many cases of each operation are tried (short form 40; 0: all).

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

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

char allocating[256];  // the case, for the watchdog and for who aborts

void SayCase(int) { (void)!write(STDERR_FILENO, allocating, strlen(allocating)); }
void OnHang(int signal) {
  SayCase(signal);
  std::abort();
}

class FailedAllocations : public ::testing::TestWithParam<Operation> {
 protected:
  static void SetUpTestSuite() {
    signal(SIGALRM, OnHang);
    signal(SIGABRT, SayCase);
    fixtures = new Fixtures;
  }
  static void TearDownTestSuite() {
    signal(SIGABRT, SIG_DFL);
    delete fixtures;
    fixtures = nullptr;
  }
  ~FailedAllocations() override { alarm(0); }

  std::string Try(std::uint64_t n, bool for_good) {
    const Operation& operation = GetParam();
    const std::string store = fixtures->Prepare(operation);
    const Held held = HeldNow();
    snprintf(allocating, sizeof(allocating), "%s, allocation %llu, %s\n", operation.name.c_str(),
             static_cast<unsigned long long>(n), for_good ? "for good" : "once");
    alarm(kHangSeconds);
    Plan plan;
    plan.site = Site::kAllocations;
    plan.first = n;
    plan.last = for_good ? UINT64_MAX : n;
    TestsOwn own;
    Arm(plan);
    const Outcome outcome = operation.run(store);
    Disarm();
    if (FirstFailed().empty()) return "";
    ++failed_;
    if (const std::string still = StillHeld(held); !still.empty()) return still;
    if (outcome.code != CKPT_OK) ++refused_;
    if (outcome.code != CKPT_OK && outcome.code != CKPT_OUT_OF_MEMORY) {
      return std::string("is not clear: ") + ckpt_code_name(outcome.code) + ": " + outcome.message;
    }
    return fixtures->Wrong(operation, outcome);
  }

  static Fixtures* fixtures;
  std::uint64_t failed_ = 0, refused_ = 0;
};
Fixtures* FailedAllocations::fixtures = nullptr;

INSTANTIATE_TEST_SUITE_P(All, FailedAllocations, ::testing::ValuesIn(Operations()),
                         [](const auto& operation) { return TestName(operation.param); });

TEST_P(FailedAllocations, AreSaidAndLoseNothing) {
  Plan nothing;
  nothing.site = Site::kAllocations;
  const std::string store = fixtures->Prepare(GetParam());
  TestsOwn own;
  Arm(nothing);
  const Outcome undisturbed = GetParam().run(store);
  const std::uint64_t allocations = Disarm();
  ASSERT_EQ(undisturbed.code, CKPT_OK) << undisturbed.message;
  const std::uint64_t wanted = CasesWanted(kCasesShort);
  std::uint64_t stride = wanted == 0 ? 1 : std::max<std::uint64_t>(1, 2 * allocations / wanted);
  if (stride > 1) stride |= 1;
  int wrong = 0;
  for (std::uint64_t i = 0; i < 2 * allocations; i += stride) {
    const std::string found = Try(1 + i / 2, i % 2 != 0);
    if (found.empty() || ++wrong > 5) continue;
    ADD_FAILURE() << allocating << FirstFailed() << ": " << found;
  }
  std::printf("proof: %s: %llu allocations, %llu cases, %llu answered an error\n",
              GetParam().name.c_str(), static_cast<unsigned long long>(allocations),
              static_cast<unsigned long long>(failed_), static_cast<unsigned long long>(refused_));
}

}  // namespace
}  // namespace ckpt::faults
