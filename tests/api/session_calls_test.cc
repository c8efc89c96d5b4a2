// ckpt::Session: calls that are refused, and what belongs to whom.

#include <gtest/gtest.h>

#include <ckpt/ckpt.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

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

TEST(SessionCalls, EffortIsASessionsOrAnArrays) {
  ckpt::TempDir tmp;
  ckpt::SessionOptions options = ckpt::DefaultSessionOptions();
  options.effort = 4;
  EXPECT_EQ(ckpt::Session::Open(tmp / "run.ckpt", "x", options).error().code(),
            CKPT_INVALID_ARGUMENT);
  options.effort = CKPT_EFFORT_SMALL;
  options.every_steps = 1;
  std::vector<double> x(100'000), y(100'000);
  std::mt19937_64 random(1);
  auto session = ckpt::Session::Open(tmp / "run.ckpt", "x", options).value();
  session.Protect("x", &x).value();
  session.Protect("y", &y).value();
  EXPECT_EQ(ckpt_session_set_effort(session.handle(), "z", CKPT_EFFORT_FAST), CKPT_NOT_FOUND);
  EXPECT_EQ(ckpt_session_set_effort(session.handle(), "y", 9), CKPT_INVALID_ARGUMENT);
  session.SetEffort("y", CKPT_EFFORT_FAST).value();
  for (std::int64_t step = 1; step <= 3; ++step) {
    for (auto* values : {&x, &y}) {
      for (double& value : *values) {
        if (step == 1 || random() % 100 == 0) value = static_cast<double>(random());
      }
    }
    (void)session.Step(step);
    session.Commit().value();
  }
  EXPECT_EQ(session.Finish(true), 0);
  std::map<std::string, std::string> codecs;
  auto store = ckpt::Store::Open(tmp / "run.ckpt").value();
  const auto note = [](const ckpt_entry* entry, void* user) {
    (*static_cast<std::map<std::string, std::string>*>(user))[entry->name] = entry->codec;
    return 0;
  };
  ASSERT_EQ(ckpt_inspect(store.get(), "x@3", nullptr, note, nullptr, &codecs), CKPT_OK);
  EXPECT_EQ(codecs["x"], "delta8+zstd");
  EXPECT_EQ(codecs["y"].find("delta"), std::string::npos) << codecs["y"];
}

TEST(SessionCalls, EffortsThatAreNoneAreRefused) {
  ckpt::TempDir tmp;
  ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
  open.mode = CKPT_OPEN_CREATE;
  open.effort = -1;
  ckpt_store* store = nullptr;
  EXPECT_EQ(ckpt_store_open((tmp / "s").c_str(), &open, &store), CKPT_INVALID_ARGUMENT);
  open.effort = CKPT_EFFORT_SMALL;
  ASSERT_EQ(ckpt_store_open((tmp / "s").c_str(), &open, &store), CKPT_OK);
  ckpt_store_info info = CKPT_STORE_INFO_INIT;
  ASSERT_EQ(ckpt_store_get_info(store, &info), CKPT_OK);
  EXPECT_EQ(info.effort, CKPT_EFFORT_SMALL);
  ckpt_save_options save = CKPT_SAVE_OPTIONS_INIT;
  save.series = "x";
  save.effort = 4;
  ckpt_writer* writer = nullptr;
  EXPECT_EQ(ckpt_begin(store, &save, &writer), CKPT_INVALID_ARGUMENT);
  {
    auto handle = ckpt::Store::Open(tmp / "s", ckpt::Mode::kWrite).value();
    auto puts = handle.Begin("y").value();
    puts.SetEffort(CKPT_EFFORT_SMALL).value();
  }
  save.effort = CKPT_EFFORT_DEFAULT;
  ASSERT_EQ(ckpt_begin(store, &save, &writer), CKPT_OK);
  EXPECT_EQ(ckpt_put_effort(writer, 17), CKPT_INVALID_ARGUMENT);
  EXPECT_EQ(ckpt_put_effort(writer, CKPT_EFFORT_FAST), CKPT_OK);
  ckpt_abort(writer);
  ckpt_store_close(store);
  EXPECT_STREQ(ckpt_effort_name(CKPT_EFFORT_FAST), "fast");
  EXPECT_STREQ(ckpt_effort_name(CKPT_EFFORT_DEFAULT), "unknown");
  EXPECT_STREQ(ckpt_effort_name(77), "unknown");
}

}  // namespace
