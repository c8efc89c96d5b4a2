// ckpt::Session: calls that are refused, and what belongs to whom.

#include <gtest/gtest.h>

#include <ckpt/ckpt.hpp>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/support/temp_dir.h"

namespace {

// Does something when it is no longer needed: after what() was read, before the call returns.
class Trouble : public std::runtime_error {
 public:
  Trouble(const char* what, std::function<void()> last)
      : std::runtime_error(what), last_(std::move(last)) {}
  ~Trouble() override { last_(); }

 private:
  std::function<void()> last_;
};

TEST(SessionCalls, AnotherThreadsRefusalDoesNotTakeWhatAFunctionThrew) {
  ckpt::TempDir tmp;
  ckpt::SessionOptions options = ckpt::DefaultSessionOptions();
  options.every_steps = 1;
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "a", options).value();
  std::string refused;
  auto elsewhere = [&] {
    std::thread([&] { refused = session.Step(9).error().message(); }).join();
  };
  session
      .Protect(
          "rng", [&]() -> std::string { throw Trouble("the generator is gone", elsewhere); },
          [](const std::string&) {})
      .value();
  const ckpt::Stepped step = session.Step(1);
  ASSERT_FALSE(step.ok());
  EXPECT_NE(step.error().message().find("the generator is gone"), std::string::npos)
      << step.error().message();
  EXPECT_NE(refused.find("one thread"), std::string::npos) << refused;
  EXPECT_EQ(refused.find("the generator"), std::string::npos) << refused;
}

}  // namespace
