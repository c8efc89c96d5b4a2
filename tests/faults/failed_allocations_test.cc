// Every allocation that an operation makes fails: once, and with all that follow. The operation
// answers that memory is out, or succeeds; the process goes on, nothing stays open, mapped or
// running, everything acknowledged is there, and the next save works. How many of them:
// tests/faults/sweep.h.

#include <gtest/gtest.h>

#include "tests/faults/sweep.h"

namespace ckpt::faults {
namespace {

constexpr Failure kFailures[] = {{"once"}, {"for good", 0, true}};

class FailedAllocations : public SweepTest {
  std::string Judge(const Failure&, const Outcome& outcome) override {
    if (outcome.code == CKPT_OK || outcome.code == CKPT_OUT_OF_MEMORY) return "";
    return std::string("is not clear: ") + ckpt_code_name(outcome.code) + ": " + outcome.message;
  }
};

INSTANTIATE_TEST_SUITE_P(All, FailedAllocations, ::testing::ValuesIn(Operations()), NameOf);

TEST_P(FailedAllocations, AreSaidAndLoseNothing) {
  Sweep(Site::kAllocations, kFailures, "allocations");
}

}  // namespace
}  // namespace ckpt::faults
