// The golden store of format 1: made once by the first version (MakeStore below, run by hand with
// --gtest_also_run_disabled_tests and CKPT_GOLDEN_OUT set), kept in tests/golden/, and read by
// every later one.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "ckpt/ckpt.h"
#include "tests/support/temp_dir.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

#define OK(call) ASSERT_EQ(call, CKPT_OK) << ckpt_error_message()

std::string Numbers(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += std::to_string(i) + "\n";
  return text;
}

// Smooth doubles: stored shuffled.
std::vector<double> Field() {
  std::vector<double> field(40000);
  for (std::size_t i = 0; i < field.size(); ++i) field[i] = 300.0 + static_cast<double>(i) * 1e-4;
  return field;
}

// Noise of which little is another in each step, and counters that all go up: stored as
// differences.
std::vector<double> Noise(int step) {
  const std::string bytes = RandomText(16384, 7);
  std::vector<double> noise(bytes.size());
  for (std::size_t i = 0; i < noise.size(); ++i) {
    noise[i] = 1.0 + static_cast<unsigned char>(bytes[i]) / 7.0 + static_cast<double>(i * i) * 1e-9;
    if (i % 8192 / 100 < static_cast<std::size_t>(step)) noise[i] *= step;
  }
  return noise;
}
std::vector<std::int32_t> Counters(int step) {
  std::vector<std::int32_t> counters(16384);
  for (std::size_t i = 0; i < counters.size(); ++i) {
    counters[i] = static_cast<std::int32_t>(i * i * 2654435761u) + 3 * step;
  }
  return counters;
}

void ExpectStep(const TempDir& dir, int step) {
  EXPECT_EQ(ReadWholeFile(dir / "run/random"), RandomText(700000, step <= 2 ? 1 : 2));
  EXPECT_EQ(ReadWholeFile(dir / "run/text"), Numbers(step, 30000));
  EXPECT_EQ(ReadWholeFile(dir / "run/small"), "step " + std::to_string(step));
  EXPECT_EQ(ReadWholeFile(dir / "run/deep/odd \xff name"), "odd");
  EXPECT_EQ(fs::read_symlink(dir / "run/link"), "text");
  EXPECT_TRUE(fs::equivalent(dir / "run/random", dir / "run/same"));
  EXPECT_EQ(ReadWholeFile(dir / "run/holes"), std::string(1 << 20, '\0'));
}

ckpt_code Open(const std::string& path, std::int32_t mode, ckpt_store** store) {
  ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
  options.mode = mode;
  options.pack_bytes = 1 << 20;
  return ckpt_store_open(path.c_str(), &options, store);
}

#ifdef CKPT_MAKE_GOLDEN

void WriteStep(const TempDir& dir, int step) {
  fs::create_directories(dir / "run/deep");
  WriteFile(dir / "run/random", RandomText(700000, step <= 2 ? 1 : 2));
  WriteFile(dir / "run/text", Numbers(step, 30000));
  WriteFile(dir / "run/small", "step " + std::to_string(step));
  WriteFile(dir / "run/deep/odd \xff name", "odd");
  if (step == 1) fs::create_symlink("text", dir / "run/link");
  if (step == 1) fs::create_hard_link(dir / "run/random", dir / "run/same");
  WriteFile(dir / "run/holes", "");
  fs::resize_file(dir / "run/holes", 1 << 20);
}

void SaveStep(ckpt_store* store, int step) {
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  ckpt_tag tag{"phase", "warm"};
  options.series = "melt";
  options.step = step;
  options.tags = &tag;
  options.tag_count = 1;
  const char* paths[] = {"run"};
  OK(ckpt_save_files(store, &options, paths, 1, nullptr));
}

// Steps 1, 2, 3 of a first attempt, 1 removed; a second attempt from 2 with its own 3; an array.
TEST(GoldenStore, MakeStore) {
  const char* out = std::getenv("CKPT_GOLDEN_OUT");
  ASSERT_NE(out, nullptr);
  TempDir dir;
  fs::current_path(dir.path());
  ckpt_store* store = nullptr;
  OK(Open(out, CKPT_OPEN_CREATE_NEW, &store));
  for (int step : {1, 2, 3, 3}) {
    WriteStep(dir, step);
    SaveStep(store, step);
  }
  const char* removed[] = {"melt@1:1"};
  OK(ckpt_remove(store, removed, 1, 0, nullptr, nullptr));
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = "heat";
  ckpt_writer* writer = nullptr;
  std::vector<double> field = Field();
  std::uint64_t shape[] = {200, 200};
  OK(ckpt_begin(store, &options, &writer));
  OK(ckpt_put(writer, "T", field.data(), CKPT_FLOAT64, 8, 2, shape));
  OK(ckpt_end(writer, nullptr));
  ckpt_store_close(store);
  fs::remove_all(std::string(out) + "/index");
}

// Steps 1, 2, 3 of arrays; 1 removed, and in another step what it had in common with 2.
TEST(GoldenStore, MakeDeltas) {
  const char* out = std::getenv("CKPT_GOLDEN_OUT");
  ASSERT_NE(out, nullptr);
  ckpt_store* store = nullptr;
  OK(Open(out, CKPT_OPEN_CREATE_NEW, &store));
  for (int step : {1, 2, 3}) {
    ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
    options.series = "heat";
    options.step = step;
    ckpt_writer* writer = nullptr;
    const std::vector<double> noise = Noise(step);
    const std::vector<std::int32_t> counters = Counters(step);
    const std::uint64_t shape[] = {noise.size()};
    OK(ckpt_begin(store, &options, &writer));
    OK(ckpt_put(writer, "noise", noise.data(), CKPT_FLOAT64, 8, 1, shape));
    OK(ckpt_put(writer, "counters", counters.data(), CKPT_INT32, 4, 1, shape));
    OK(ckpt_end(writer, nullptr));
  }
  const char* removed[] = {"heat@1:1"};
  OK(ckpt_remove(store, removed, 1, 0, nullptr, nullptr));
  ckpt_store_close(store);
  fs::remove_all(std::string(out) + "/index");
}

#endif  // CKPT_MAKE_GOLDEN

class Golden : public ::testing::Test {
 protected:
  explicit Golden(const char* name = "format-1.ckpt") {
    fs::path golden = fs::path(CKPT_GOLDEN_DIR) / name;
    fs::copy(golden, dir_ / "store", fs::copy_options::recursive);
    // What version control does not keep.
    fs::permissions(dir_ / "store", fs::perms(0700));
    fs::create_directories(dir_ / "store/locks");
    for (const auto& file : fs::recursive_directory_iterator(dir_ / "store")) {
      fs::permissions(file.path(), fs::perms(file.is_directory() ? 0700 : 0600));
    }
    fs::create_directory(dir_ / "out");
  }

  ckpt_code Restore(ckpt_store* store, const char* name) {
    ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
    options.checkpoint = name;
    options.to = dir_.path().c_str();
    options.force = 1;
    return ckpt_restore_files(store, &options, nullptr, nullptr, nullptr);
  }

  TempDir dir_;
};

TEST_F(Golden, EveryCheckpointOfFormat1Reads) {
  ckpt_store* store = nullptr;
  OK(Open(dir_ / "store", CKPT_OPEN_READ, &store));
  OK(Restore(store, "melt"));
  ExpectStep(dir_, 3);
  OK(Restore(store, "melt@2"));
  ExpectStep(dir_, 2);
  OK(Restore(store, "melt@1:3"));
  ExpectStep(dir_, 3);
  EXPECT_EQ(Restore(store, "melt@1"), CKPT_NOT_FOUND) << "a removed checkpoint stays removed";
  ckpt_reader* reader = nullptr;
  OK(ckpt_read(store, "heat", &reader));
  std::vector<double> field(40000);
  OK(ckpt_get(reader, "T", field.data(), field.size() * sizeof(double)));
  EXPECT_EQ(field, Field());
  ckpt_reader_close(reader);
  int damaged = 0;
  ckpt_check_result result = CKPT_CHECK_RESULT_INIT;
  OK(ckpt_check(
      store, nullptr,
      [](const ckpt_damage*, void* user) {
        ++*static_cast<int*>(user);
        return 0;
      },
      nullptr, &damaged, &result));
  EXPECT_EQ(damaged, 0);
  EXPECT_EQ(result.checkpoints, 4u);
  ckpt_store_close(store);
}

class GoldenDeltas : public Golden {
 protected:
  GoldenDeltas() : Golden("deltas.ckpt") {}
};

// Codecs 16 and 17 (docs/format.md), by what they were made from.
TEST_F(GoldenDeltas, EachOfFormat1Reads) {
  ckpt_store* store = nullptr;
  OK(Open(dir_ / "store", CKPT_OPEN_READ, &store));
  for (const int step : {2, 3}) {
    ckpt_reader* reader = nullptr;
    OK(ckpt_read(store, ("heat@" + std::to_string(step)).c_str(), &reader));
    std::vector<double> noise(16384);
    OK(ckpt_get(reader, "noise", noise.data(), noise.size() * sizeof(double)));
    EXPECT_EQ(noise, Noise(step));
    std::vector<std::int32_t> counters(16384);
    OK(ckpt_get(reader, "counters", counters.data(), counters.size() * sizeof(std::int32_t)));
    EXPECT_EQ(counters, Counters(step));
    ckpt_reader_close(reader);
  }
  ckpt_store_close(store);
}

TEST_F(Golden, StoreOfFormat1IsGoneOnWith) {
  fs::current_path(dir_.path());
  ckpt_store* store = nullptr;
  OK(Open(dir_ / "store", CKPT_OPEN_WRITE, &store));
  OK(Restore(store, "melt"));
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = "melt";
  const char* paths[] = {"run"};
  ckpt_save_result saved = CKPT_SAVE_RESULT_INIT;
  OK(ckpt_save_files(store, &options, paths, 1, &saved));
  EXPECT_EQ(saved.attempt, 2u);
  EXPECT_EQ(saved.step, 4);
  EXPECT_EQ(saved.new_bytes, 0u) << "the chunks of format 1 must be found again";
  ckpt_store_close(store);
  fs::current_path("/");
}

}  // namespace
}  // namespace ckpt
