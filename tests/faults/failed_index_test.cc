// Every call into LMDB that an operation makes fails, once and for good, with each of LMDB's errors
// and with a failed assertion inside it; and each row that is read has a flipped bit. What is in
// the packs counts: the operation succeeds without the index, or says what is wrong, everything
// acknowledged is there, and the next save works.
//
// $CKPT_PROOF_CALLS sets how many cases of each operation are tried (short form 20; 0: all).

#include <gtest/gtest.h>
#include <lmdb.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "tests/faults/fault_points.h"
#include "tests/faults/operations.h"

// An index in which an assertion failed is not touched again, and a call that is made to fail does
// not give back what LMDB's own would: what LMDB allocated then is no leak of ours.
extern "C" __attribute__((visibility("default"), used)) const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() { return "leak:liblmdb\n"; }

namespace ckpt::faults {
namespace {

constexpr std::uint64_t kCasesShort = 20;

struct IndexFailure {
  const char* name;
  int error;
  bool for_good = false;
};
// Prime to the strides below.
constexpr IndexFailure kIndexFailures[] = {
    {"MDB_CORRUPTED", MDB_CORRUPTED},
    {"MDB_CORRUPTED for good", MDB_CORRUPTED, true},
    {"MDB_MAP_FULL", MDB_MAP_FULL},
    {"MDB_MAP_FULL for good", MDB_MAP_FULL, true},
    {"MDB_MAP_RESIZED", MDB_MAP_RESIZED},
    {"MDB_READERS_FULL for good", MDB_READERS_FULL, true},
    {"MDB_BAD_RSLOT", MDB_BAD_RSLOT},
    {"MDB_PAGE_NOTFOUND", MDB_PAGE_NOTFOUND},
    {"EIO", EIO},
    {"EIO for good", EIO, true},
    {"ENOMEM for good", ENOMEM, true},
    {"ENOSPC", ENOSPC},
    {"a failed assertion", kAssertion},
};

class FailedIndex : public ::testing::TestWithParam<Operation> {
 protected:
  static void SetUpTestSuite() {
    // An index that is given up after an assertion keeps its files open.
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    fixtures = new Fixtures;
  }
  static void TearDownTestSuite() {
    delete fixtures;
    fixtures = nullptr;
  }

  std::uint64_t Count(Site site) {
    Plan nothing;
    nothing.site = site;
    const std::string store = fixtures->Prepare(GetParam());
    TestsOwn own;
    Arm(nothing);
    const Outcome undisturbed = GetParam().run(store);
    const std::uint64_t calls = Disarm();
    EXPECT_EQ(undisturbed.code, CKPT_OK) << undisturbed.message;
    return calls;
  }

  // What is wrong with one case; "" when nothing is.
  std::string Try(const Plan& plan) {
    const Operation& operation = GetParam();
    const std::string store = fixtures->Prepare(operation);
    const Held held = HeldNow();
    TestsOwn own;
    Arm(plan);
    const Outcome outcome = operation.run(store);
    Disarm();
    if (FirstFailed().empty()) return "";
    ++failed_;
    if (outcome.code != CKPT_OK) ++refused_;
    const std::string still = plan.error == kAssertion ? "" : StillHeld(held);
    if (!still.empty()) return still;
    // Who asks for an index is told that there is none.
    if (outcome.code != CKPT_OK && !operation.fails_easily) return "fails: " + outcome.message;
    if (outcome.code == CKPT_INTERNAL || (outcome.code != CKPT_OK && outcome.message.empty())) {
      return "is not clear: " + outcome.message;
    }
    return fixtures->Wrong(operation, outcome);
  }

  void TryAndTell(const Plan& plan, const char* how) {
    const std::string found = Try(plan);
    if (found.empty() || ++wrong_ > 5) return;
    ADD_FAILURE() << GetParam().name << ", call " << plan.first << ", " << FirstFailed() << " ("
                  << how << "): " << found;
  }

  void Print(const char* what, std::uint64_t calls) {
    std::printf("proof: %s: %llu %s, %llu cases, %llu answered an error\n", GetParam().name.c_str(),
                static_cast<unsigned long long>(calls), what,
                static_cast<unsigned long long>(failed_),
                static_cast<unsigned long long>(refused_));
  }

  static Fixtures* fixtures;
  std::uint64_t failed_ = 0, refused_ = 0;
  int wrong_ = 0;
};
Fixtures* FailedIndex::fixtures = nullptr;

std::uint64_t Stride(std::uint64_t cases) {
  const std::uint64_t wanted = CasesWanted(kCasesShort);
  std::uint64_t stride = wanted == 0 ? 1 : std::max<std::uint64_t>(1, cases / wanted);
  return stride % std::size(kIndexFailures) == 0 ? stride + 1 : stride;
}

INSTANTIATE_TEST_SUITE_P(All, FailedIndex, ::testing::ValuesIn(Operations()),
                         [](const auto& operation) { return TestName(operation.param); });

TEST_P(FailedIndex, LosesNothing) {
  const std::uint64_t calls = Count(Site::kIndexCalls);
  const std::uint64_t cases = calls * std::size(kIndexFailures);
  for (std::uint64_t i = 0; i < cases; i += Stride(cases)) {
    const IndexFailure& failure = kIndexFailures[i % std::size(kIndexFailures)];
    Plan plan;
    plan.site = Site::kIndexCalls;
    plan.first = 1 + i / std::size(kIndexFailures);
    plan.last = failure.for_good ? UINT64_MAX : plan.first;
    plan.error = failure.error;
    TryAndTell(plan, failure.name);
  }
  Print("calls of the index", calls);
}

TEST_P(FailedIndex, FlippedRowsAreFound) {
  const std::uint64_t rows = Count(Site::kIndexRows);
  for (std::uint64_t n = 1; n <= rows; n += Stride(rows)) {
    Plan plan;
    plan.site = Site::kIndexRows;
    plan.first = plan.last = n;
    TryAndTell(plan, "a flipped bit");
  }
  Print("rows of the index", rows);
}

}  // namespace
}  // namespace ckpt::faults
