// What the tests of the public session interface share: a store in a temporary folder, options to
// change, the notices that were told, and child processes that end by signals.

#ifndef CKPT_TESTS_API_SESSION_API_FIXTURE_H_
#define CKPT_TESTS_API_SESSION_API_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ckpt/ckpt.hpp>
#include <csignal>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/child.h"
#include "tests/support/temp_dir.h"

namespace ckpt {

class SessionApiTest : public ::testing::Test {
 protected:
  SessionApiTest() {
    store_options_.mode = CKPT_OPEN_CREATE;
    store_options_.notice = &TakeNotice;
    store_options_.user = this;
    options_.store = &store_options_;
    options_.every_steps = 1;
    options_.buffer_bytes = 1u << 20;  // each session touches it
  }

  std::string store_path() const { return tmp_ / "run.ckpt"; }
  Result<Session> TryOpen(const std::string& series = "run") {
    return Session::Open(store_path(), series, options_);
  }
  Session Open(const std::string& series = "run") { return TryOpen(series).value(); }
  // The steps of a series, newest first.
  std::vector<std::int64_t> Steps(const std::string& series = "run") {
    Store store = Store::Open(store_path()).value();
    std::vector<std::int64_t> steps;
    for (const CheckpointInfo& info : store.List(series).value()) steps.push_back(info.step);
    return steps;
  }
  bool Noticed(const std::string& part) {
    std::lock_guard lock(notices_mutex_);
    for (const std::string& text : notices_) {
      if (text.find(part) != std::string::npos) return true;
    }
    return false;
  }
  // That what failed is this mistake, and the message has all these parts.
  template <typename T>
  static void ExpectRefused(const Result<T>& result, const std::vector<std::string>& parts,
                            ckpt_code code = CKPT_INVALID_ARGUMENT) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), code) << result.error().message();
    for (const std::string& part : parts) {
      EXPECT_NE(result.error().message().find(part), std::string::npos)
          << "no \"" << part << "\" in: " << result.error().message();
    }
  }

  TempDir tmp_;
  ckpt_open_options store_options_ = CKPT_OPEN_OPTIONS_INIT;
  SessionOptions options_ = DefaultSessionOptions();

 private:
  static void TakeNotice(const char* message, void* user) {
    auto* test = static_cast<SessionApiTest*>(user);
    std::lock_guard lock(test->notices_mutex_);
    test->notices_.emplace_back(message);
  }
  std::mutex notices_mutex_;
  std::vector<std::string> notices_;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_API_SESSION_API_FIXTURE_H_
