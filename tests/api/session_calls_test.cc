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

struct PositionFirst {
  double x, v;
};
struct VelocityFirst {
  double v, x;
};

// Of memory, by its address and by a pointer's.
TEST(SessionCalls, RecordsOfAnotherLayoutAreRefused) {
  ckpt::TempDir tmp;
  ckpt::SessionOptions options = ckpt::DefaultSessionOptions();
  options.every_steps = 1;
  PositionFirst saved[2] = {{1, 2}, {3, 4}};
  auto restore = [&](auto* records, const char* name, const char* layout) {
    auto session = ckpt::Session::Open(tmp / "run.ckpt", name, options).value();
    auto* pointer = records;
    const bool by_address = std::string(name) == "address";
    auto done = by_address ? session.Protect("p", records, {2}, ckpt::Layout(layout))
                           : session.Protect("p", &pointer, {2}, ckpt::Layout(layout));
    done.value();
    std::int64_t step = 0;
    const auto restored = session.Restore(&step);
    if (!restored) return restored.error().message();
    (void)session.Step(step + 1);
    EXPECT_EQ(session.Finish(true), 0);
    return std::string();
  };
  for (const char* name : {"address", "pointer"}) {
    EXPECT_EQ(restore(saved, name, "x v"), "");
    EXPECT_EQ(restore(saved, name, "x v"), "");
    VelocityFirst other[2] = {{5, 6}, {7, 8}};
    const std::string refused = restore(other, name, "v x");
    EXPECT_NE(refused.find("\"x v\""), std::string::npos) << refused;
    EXPECT_NE(refused.find("\"v x\""), std::string::npos) << refused;
    EXPECT_EQ(other[0].v, 5);
  }
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "other", options).value();
  EXPECT_EQ(ckpt_session_set_layout(session.handle(), "p", "x v"), CKPT_NOT_FOUND);
}

}  // namespace
