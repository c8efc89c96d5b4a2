// Chunks of files that come out where they were are stored as their difference from before; what
// moved in a file is found again.

#include "store/engine/places_before.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "store/engine/check.h"
#include "store/engine/restore_files.h"
#include "tests/engine/look_fixture.h"
#include "tests/manifest/tree_fixture.h"

namespace ckpt {
namespace {

constexpr std::size_t kMiB = 1u << 20;

class PlacesBeforeTest : public LookTest {
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

// A few bytes in each chunk, which is cut by content as it was.
TEST_F(PlacesBeforeTest, AFewBytesInEachChunkCostALittle) {
  std::string data = RandomText(12 * kMiB, 1);
  const Saved first = Save(data);
  for (std::size_t at = 9000; at < data.size(); at += 20000) ++data[at];
  EXPECT_LT(Save(data).stored_bytes, first.stored_bytes / 5);
}

TEST_F(PlacesBeforeTest, WhatMovesIsFoundAgain) {
  std::vector<double> smooth(kMiB);
  for (std::size_t i = 0; i < smooth.size(); ++i) {
    smooth[i] = std::sin(static_cast<double>(i) * 1e-4);
  }
  const std::string datas[] = {RandomText(8 * kMiB, 1), BytesOf(smooth),
                               std::string(8 * kMiB, 'x')};
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

// The cuts are those of the bytes, whatever was there before: a copy costs nothing.
TEST_F(PlacesBeforeTest, ACopyOfWhatChangedIsFound) {
  std::string data = RandomText(8 * kMiB, 1);
  Save(data);
  for (std::size_t at = 9000; at < data.size(); at += 20000) ++data[at];
  Save(data);
  WriteFile(tmp_ / "d/copy", data);
  EXPECT_EQ(Save(data).new_chunks, 0u);
}

// Only a chunk of that size at that very place.
TEST(PlacesBefore, NamesTheChunkThatBeganThere) {
  MemoryChunks chunks;
  const std::string small(100, 'x');
  const TreeRef list = BuildList(
      {ChunkOf(1, 5000), HoleOf(3000), ChunkOf(2, 2000), InlineOf(small), ChunkOf(3, 7000)},
      FanOut::kContentDefined, &chunks);
  PlacesBefore before(list, &chunks);
  EXPECT_EQ(before.At(0, 5000), NumberedId(1));
  EXPECT_EQ(before.At(0, 4999), std::nullopt);
  EXPECT_EQ(before.At(4000, 5000), std::nullopt);  // within the first
  EXPECT_EQ(before.At(5000, 3000), std::nullopt);  // a hole
  EXPECT_EQ(before.At(8000, 2000), NumberedId(2));
  EXPECT_EQ(before.At(10000, 100), std::nullopt);  // in the node itself
  EXPECT_EQ(before.At(10100, 7000), NumberedId(3));
  EXPECT_EQ(before.At(17100, 7000), std::nullopt);  // the end
}

TEST(PlacesBefore, NamesNothingOfWhatDoesNotRead) {
  MemoryChunks chunks;
  std::vector<ChunkItem> items;
  for (std::uint64_t i = 0; i < 5000; ++i) items.push_back(ChunkOf(i, 1000));
  const TreeRef list = BuildList(items, FanOut::kContentDefined, &chunks);
  PlacesBefore whole(list, &chunks);
  EXPECT_EQ(whole.At(4999000, 1000), NumberedId(4999));
  MemoryChunks nothing;
  PlacesBefore unread(list, &nothing);
  EXPECT_EQ(unread.At(0, 1000), std::nullopt);
  EXPECT_EQ(unread.At(4999000, 1000), std::nullopt);
}

}  // namespace
}  // namespace ckpt
