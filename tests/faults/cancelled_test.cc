// Whoever is told of an operation's progress says, at each place that tells, that it is to stop: it
// answers so, or was done; nothing stays open or running, everything acknowledged is there, and the
// next save works. How many of them: tests/faults/sweep.h.

#include <gtest/gtest.h>

#include "tests/faults/sweep.h"

namespace ckpt::faults {
namespace {

constexpr Failure kFailures[] = {{"once"}, {"for good", 0, true}};

class Cancelled : public SweepTest {
  std::string Judge(const Failure&, const Outcome& outcome) override {
    if (outcome.code == CKPT_OK || outcome.code == CKPT_CANCELLED) return "";
    return std::string("answers ") + ckpt_code_name(outcome.code) + ": " + outcome.message;
  }
};

INSTANTIATE_TEST_SUITE_P(All, Cancelled, ::testing::ValuesIn(Operations()), NameOf);

TEST_P(Cancelled, StopsAndLosesNothing) { Sweep(Site::kReports, kFailures, "reports"); }

}  // namespace
}  // namespace ckpt::faults
