// ckpt_save_options::confirm: the last word before a checkpoint comes to be.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "ckpt/ckpt.h"
#include "tests/support/temp_dir.h"

namespace ckpt {
namespace {

struct Asked {
  int answer = 0;
  int times = 0;
};
int Answer(void* user) {
  auto* asked = static_cast<Asked*>(user);
  ++asked->times;
  return asked->answer;
}

TEST(SaveConfirm, RefusedLeavesNoCheckpoint) {
  TempDir folder;
  const std::string file = folder.path() + "/data";
  std::ofstream(file) << "bytes";
  ckpt_store* store = nullptr;
  ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
  open.mode = CKPT_OPEN_CREATE;
  ASSERT_EQ(ckpt_store_open((folder.path() + "/store").c_str(), &open, &store), CKPT_OK);
  Asked asked;
  ckpt_save_options save = CKPT_SAVE_OPTIONS_INIT;
  save.series = "s";
  save.confirm = Answer;
  save.confirm_user = &asked;
  const char* paths[] = {file.c_str()};
  ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
  ASSERT_EQ(ckpt_save_files(store, &save, paths, 1, &result), CKPT_OK) << ckpt_error_message();
  EXPECT_EQ(result.step, 1);
  asked.answer = 1;
  EXPECT_EQ(ckpt_save_files(store, &save, paths, 1, &result), CKPT_CANCELLED);
  EXPECT_EQ(asked.times, 2);
  int checkpoints = 0;
  const auto count = [](const ckpt_checkpoint*, void* user) {
    return ++*static_cast<int*>(user), 0;
  };
  ckpt_list_options list = CKPT_LIST_OPTIONS_INIT;
  EXPECT_EQ(ckpt_list(store, &list, count, &checkpoints), CKPT_OK);
  EXPECT_EQ(checkpoints, 1);
  ckpt_store_close(store);
}

}  // namespace
}  // namespace ckpt
