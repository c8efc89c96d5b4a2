// Files of which all bytes are written anew, with other numbers at the same places, are stored as
// their difference from before; what moved in a file is found again.

#include "store/engine/file_cuts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>

#include "store/engine/check.h"
#include "store/engine/restore_files.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

constexpr std::size_t kMiB = 1u << 20;

class FileCutsTest : public LookTest {
 protected:
  // Saves the file and compares what comes back.
  Saved Save(const std::string& data) {
    auto store = Open();
    WriteFile(tmp_ / "d/state", data);
    const Saved saved = SaveDir(store.get());
    RestoreFilesOptions options;
    options.checkpoint = "melt";
    options.to = tmp_ / "out";
    std::filesystem::create_directory(options.to);
    auto restored = RestoreFiles(store.get(), options);
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    EXPECT_TRUE(ReadWholeFile(tmp_ / "out/d/state") == data);
    std::filesystem::remove_all(options.to);
    return saved;
  }
};

std::string BytesOf(const std::vector<double>& numbers) {
  return std::string(reinterpret_cast<const char*>(numbers.data()),
                     numbers.size() * sizeof(double));
}

// Velocities, say: noise, of which a step changes the last three bytes of each.
std::string Rewritten(std::size_t bytes, std::uint64_t step) {
  std::mt19937_64 first(1), random(step);
  std::string data(bytes, '\0');
  for (std::size_t i = 0; i + 8 <= bytes; i += 8) {
    const std::uint64_t word = (first() & ~0xFFFFFFull) | (random() & 0xFFFFFF);
    std::memcpy(data.data() + i, &word, 8);
  }
  return data;
}

TEST_F(FileCutsTest, NumbersThatChangeALittleCostALittle) {
  const Saved first = Save(Rewritten(12 * kMiB, 1));
  for (std::uint64_t step : {2, 3, 4}) {
    const Saved saved = Save(Rewritten(12 * kMiB, step));
    EXPECT_EQ(saved.new_chunks, first.new_chunks) << step;
    EXPECT_LT(saved.stored_bytes, first.stored_bytes / 2) << step;
  }
  EXPECT_EQ(CheckStore(Open().get(), {})->damage.size(), 0u);
}

// A few bytes in each chunk, which is cut by content as it was.
TEST_F(FileCutsTest, AFewBytesInEachChunkCostALittle) {
  std::string data = RandomText(12 * kMiB, 1);
  const Saved first = Save(data);
  for (std::size_t at = 9000; at < data.size(); at += 20000) ++data[at];
  EXPECT_LT(Save(data).stored_bytes, first.stored_bytes / 5);
}

TEST_F(FileCutsTest, WhatMovesIsFoundAgain) {
  std::vector<double> smooth(kMiB);
  for (std::size_t i = 0; i < smooth.size(); ++i) {
    smooth[i] = std::sin(static_cast<double>(i) * 1e-4);
  }
  const std::string datas[] = {RandomText(16 * kMiB, 1), BytesOf(smooth),
                               std::string(16 * kMiB, 'x'), Rewritten(16 * kMiB, 1)};
  for (const std::string& data : datas) {
    for (std::size_t bytes : {5u, 8u}) {
      Save(data);
      const Saved moved = Save(RandomText(bytes, 2) + data);
      EXPECT_LT(moved.new_bytes, kMiB) << bytes;
      const Saved in_the_middle =
          Save(data.substr(0, 3 * kMiB) + RandomText(bytes, 3) + data.substr(3 * kMiB));
      EXPECT_LT(in_the_middle.new_bytes, kMiB) << bytes;
    }
  }
}

// Behind a part that became another; before one that moved.
TEST_F(FileCutsTest, PartsOfAFileAreTreatedEachInItsOwnWay) {
  const std::string tail = RandomText(8 * kMiB, 7);
  const Saved first = Save(RandomText(5 * kMiB, 1) + Rewritten(16 * kMiB, 1) + tail);
  EXPECT_GT(first.stored_bytes, 28 * kMiB);
  const Saved second = Save(RandomText(5 * kMiB, 2) + Rewritten(16 * kMiB, 2) + "five." + tail);
  EXPECT_LT(second.stored_bytes, (5 + 8 + 6) * kMiB);
}

TEST_F(FileCutsTest, OtherLengthsAreCutToTheEnd) {
  const std::string data = Rewritten(6 * kMiB, 1);
  Save(data);
  const std::string again = Rewritten(8 * kMiB, 2);
  for (std::size_t bytes : {8 * kMiB, 6 * kMiB + 1, 6 * kMiB - 1, 5 * kMiB + 12345, kMiB}) {
    Save(again.substr(0, bytes));
  }
}

}  // namespace
}  // namespace ckpt
