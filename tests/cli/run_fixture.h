// Programs under `run`: shell scripts in a folder of their own, with the store beside it.
//
// What they wait for is a condition, never a time; the waits in loops only bound how often they
// look. Thread rule: one thread.

#ifndef CKPT_TESTS_CLI_RUN_FIXTURE_H_
#define CKPT_TESTS_CLI_RUN_FIXTURE_H_

#include <string>

#include "tests/cli/cli_fixture.h"

namespace ckpt {

class RunTest : public CliTest {
 protected:
  // In the shell: waits until the series has N checkpoints; its program's pid is in "pid".
  static std::string Functions() {
    return "saved() { until [ $(ckpt-store list --json s 2>/dev/null | grep -c '\"series\"') -ge "
           "$1 ];"
           " do sleep 0.05; done; }; "
           "present() { until [ -s $1 ]; do sleep 0.02; done; }; "
           "gone() { while kill -0 $1 2>/dev/null; do sleep 0.02; done; }; "
           "export CKPT_STORE=$PWD/../store; ";
  }
  Outcome Sh(const std::string& line) const { return Run(Functions() + line); }
  static std::string RunCommand(const std::string& options, const std::string& program) {
    return "ckpt-store run --series s --save 'r.*' " + options + " -- sh -c '" + program + "'";
  }
  std::size_t CheckpointCount() const { return Sh("ckpt-store list s --json").Json().size(); }
};

}  // namespace ckpt

#endif  // CKPT_TESTS_CLI_RUN_FIXTURE_H_
