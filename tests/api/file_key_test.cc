// ckpt_file_key, and restoring with another input.

#include <gtest/gtest.h>

#include <ckpt/ckpt.hpp>
#include <cstdint>
#include <string>

#include "tests/support/temp_dir.h"

namespace {

TEST(FileKey, OfWhatIsNoFileThereIsNone) {
  ckpt::TempDir tmp;
  char key[CKPT_FILE_KEY_BYTES] = "untouched";
  EXPECT_EQ(ckpt_file_key((tmp / "none").c_str(), key), CKPT_NOT_FOUND);
  EXPECT_EQ(ckpt_file_key(tmp.path().c_str(), key), CKPT_INVALID_ARGUMENT);
  EXPECT_EQ(ckpt_file_key(nullptr, key), CKPT_INVALID_ARGUMENT);
  EXPECT_EQ(ckpt_file_key((tmp / "none").c_str(), nullptr), CKPT_INVALID_ARGUMENT);
  EXPECT_STREQ(key, "untouched");
}

TEST(FileKey, AnotherInputsStateIsRefused) {
  ckpt::TempDir tmp;
  auto restore = [&](const std::string& input) -> ckpt_code {
    ckpt::WriteFile(tmp / "input", input);
    const std::string key = ckpt::FileKey(tmp / "input").value();
    ckpt::SessionOptions options = ckpt::DefaultSessionOptions();
    options.every_steps = 1;
    options.compatibility = key.c_str();
    auto session = ckpt::Session::Open(tmp / "run.ckpt", "a", options).value();
    double x = 1;
    session.Protect("x", &x).value();
    std::int64_t done = 0;
    const auto restored = session.Restore(&done);
    if (!restored) return restored.error().code();
    (void)session.Step(done + 1);
    EXPECT_EQ(session.Finish(true), 0);
    return CKPT_OK;
  };
  EXPECT_EQ(restore("pressure 1"), CKPT_OK);
  EXPECT_EQ(restore("pressure 1"), CKPT_OK);
  EXPECT_EQ(restore("pressure 2"), CKPT_INVALID_ARGUMENT);
}

}  // namespace
