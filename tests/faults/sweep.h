// What the sweeps over failures have in common: an operation runs once undisturbed, where each call
// that can fail comes from is noted, and then it runs again and again, one failure each time.
//
// $CKPT_PROOF_CALLS says how many. A place is a stack; one that an operation before has, too, is
// that one's. Where a place has one way to fail, these take turns.
//   (not set)  each of the innermost functions, in one way
//   each       each place, in one way
//   sites      each place, the first and the last time that an operation is there, in every way
//   all        every call of every operation, in every way: hours
// Thread rule: one thread.

#ifndef CKPT_TESTS_FAULTS_SWEEP_H_
#define CKPT_TESTS_FAULTS_SWEEP_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tests/faults/fault_points.h"
#include "tests/faults/operations.h"

namespace ckpt::faults {

struct Failure {
  const char* name;
  int error = 0;
  bool for_good = false;
  bool halves = false;
};

// What GoogleTest shows of an operation.
inline std::string NameOf(const ::testing::TestParamInfo<Operation>& operation) {
  return TestName(operation.param);
}

class SweepTest : public ::testing::TestWithParam<Operation> {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  ~SweepTest() override;

  // `what`: that fail ("allocations"), for the line that is printed.
  void Sweep(Site site, std::span<const Failure> failures, const char* what);
  // What is wrong with the answer; "" when nothing is.
  virtual std::string Judge(const Failure& failure, const Outcome& outcome) = 0;
  // Whether nothing may stay open, mapped or running.
  virtual bool GivesBack(const Failure&) { return true; }

 private:
  static std::vector<Noted> Count(const Operation& operation, Site site);
  static const std::vector<Noted>& CountOnce(const Operation& operation, Site site);
  std::string Try(const Plan& plan, const Failure& failure);
  std::string TryPlace(Plan plan, const Failure& failure);

  static Fixtures* fixtures;
  std::uint64_t failed_ = 0, refused_ = 0, missed_ = 0;
};

}  // namespace ckpt::faults

#endif  // CKPT_TESTS_FAULTS_SWEEP_H_
