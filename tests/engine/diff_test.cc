// What changed between two checkpoints.

#include "store/engine/diff.h"

#include <sys/xattr.h>
#include <unistd.h>

#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class Diff : public LookTest {
 protected:
  static std::map<std::string, DiffedEntry> Run(Store* store, const std::string& a,
                                                const std::string& b) {
    std::map<std::string, DiffedEntry> out;
    Status s = DiffCheckpoints(store, a, b, [&](const DiffedEntry& entry) {
      EXPECT_TRUE(out.emplace(entry.name, entry).second) << entry.name << " twice";
      return Status();
    });
    EXPECT_TRUE(s.ok()) << s.ToString();
    return out;
  }
};

TEST_F(Diff, NamesWhatWasAddedRemovedChangedAndTouched) {
  for (const char* name : {"d/gone", "d/same", "d/edited", "d/touched"}) {
    WriteFile(tmp_ / name, RandomText(300000, 1));
    MakeOld(tmp_ / name);
  }
  auto store = Open();
  SaveDir(store.get());
  std::filesystem::remove(tmp_ / "d/gone");
  WriteFile(tmp_ / "d/new", RandomText(1000, 2));
  std::string text = RandomText(300000, 1);
  text[150000] ^= 1;
  WriteFile(tmp_ / "d/edited", text);
  WriteFile(tmp_ / "d/touched", RandomText(300000, 1));  // now, not long ago
  SaveDir(store.get());
  auto diff = Run(store.get(), "melt@1", "melt@2");
  diff.erase("d");  // the folder's time
  ASSERT_EQ(diff.size(), 4u);
  EXPECT_EQ(diff["d/gone"].status, DiffStatus::kRemoved);
  EXPECT_EQ(diff["d/gone"].changed_bytes, 300000u);
  EXPECT_TRUE(diff["d/gone"].ranges.empty());
  EXPECT_EQ(diff["d/new"].status, DiffStatus::kAdded);
  EXPECT_EQ(diff["d/new"].ranges, (std::vector<ChangedRange>{{0, 1000}}));
  EXPECT_EQ(diff["d/touched"].status, DiffStatus::kMetadata);
  EXPECT_EQ(diff["d/touched"].changed_bytes, 0u);
  const DiffedEntry& edited = diff["d/edited"];
  EXPECT_EQ(edited.status, DiffStatus::kChanged);
  ASSERT_EQ(edited.ranges.size(), 1u);
  EXPECT_LE(edited.ranges[0].offset, 150000u);
  EXPECT_GT(edited.ranges[0].offset + edited.ranges[0].length_bytes, 150000u);
  EXPECT_EQ(edited.changed_bytes, edited.ranges[0].length_bytes);
  EXPECT_LT(edited.changed_bytes, 300000u);
  EXPECT_TRUE(Run(store.get(), "melt@2", "melt@2").empty());
}

TEST_F(Diff, ModesKindsAndTargetsAreSeen) {
  namespace fs = std::filesystem;
  for (const char* name : {"d/mode", "d/kind", "d/same"}) {
    WriteFile(tmp_ / name, "the same bytes");
    MakeOld(tmp_ / name);
  }
  fs::create_symlink("mode", tmp_ / "d/link");
  auto store = Open();
  SaveDir(store.get());
  fs::permissions(tmp_ / "d/mode", fs::perms::owner_read);
  fs::remove(tmp_ / "d/kind");
  fs::create_directory(tmp_ / "d/kind");
  fs::remove(tmp_ / "d/link");
  fs::create_symlink("same", tmp_ / "d/link");
  SaveDir(store.get());
  auto diff = Run(store.get(), "melt@1", "melt@2");
  diff.erase("d");
  ASSERT_EQ(diff.size(), 3u);
  EXPECT_EQ(diff["d/mode"].status, DiffStatus::kMetadata);
  EXPECT_EQ(diff["d/kind"].status, DiffStatus::kChanged);
  EXPECT_EQ(diff["d/link"].status, DiffStatus::kChanged);
  EXPECT_EQ(DiffStatusName(diff["d/mode"].status), "metadata");
  EXPECT_EQ(DiffStatusName(diff["d/link"].status), "changed");
}

TEST_F(Diff, OwnersAttributesAndShapesAreSeen) {
  for (const char* name : {"d/owner", "d/group", "d/attribute", "d/same"}) {
    WriteFile(tmp_ / name, "the same bytes");
    MakeOld(tmp_ / name);
  }
  auto store = Open();
  SaveDir(store.get());
  const bool root = geteuid() == 0;
  if (root) {
    ASSERT_EQ(chown((tmp_ / "d/owner").c_str(), 12345, 0), 0);
    ASSERT_EQ(chown((tmp_ / "d/group").c_str(), 0, 12345), 0);
  }
  const bool has = setxattr((tmp_ / "d/attribute").c_str(), "user.x", "1", 1, 0) == 0;
  SaveDir(store.get());
  auto diff = Run(store.get(), "melt@1", "melt@2");
  EXPECT_EQ(diff.contains("d/owner"), root);
  EXPECT_EQ(diff.contains("d/group"), root);
  EXPECT_EQ(diff.contains("d/attribute"), has);
  EXPECT_FALSE(diff.contains("d/same"));
  const auto numbers = Numbers(64, 1);
  for (const std::uint64_t rows : {1, 8}) {
    SaveOptions options;
    options.series = "shape";
    auto writer = ArrayWriter::Begin(store.get(), options);
    ASSERT_TRUE(writer.ok());
    ArrayShape shape;
    shape.dtype = Dtype::kFloat64;
    shape.shape = {rows, 64 / rows};
    ASSERT_OK((*writer)->Put("x", std::as_bytes(std::span(numbers)), shape));
    ASSERT_TRUE((*writer)->End().ok());
  }
  EXPECT_EQ(Run(store.get(), "shape@1", "shape@2")["x"].status, DiffStatus::kMetadata);
}

TEST_F(Diff, RanksThatOnlyOneHasAreAddedOrRemoved) {
  auto store = Open();
  for (const std::uint32_t rank : {0, 1}) {
    SaveOptions options;
    options.series = "ranks";
    options.step = 1;
    options.rank = rank;
    options.ranks = 2;
    options.run_id = "run";
    auto writer = CheckpointWriter::Begin(store.get(), options);
    ASSERT_TRUE(writer.ok()) << writer.status().ToString();
    Entry entry;
    entry.kind = EntryKind::kDirectory;
    entry.name = "of" + std::to_string(rank);
    ASSERT_OK((*writer)->AddEntry(entry, 0));
    ASSERT_TRUE((*writer)->End().ok());
  }
  SaveArrays(store.get(), {{"x", Numbers(10, 1)}}, "one");
  auto removed = Run(store.get(), "ranks", "one");
  EXPECT_EQ(removed["of0"].status, DiffStatus::kRemoved);
  EXPECT_EQ(removed["of1"].status, DiffStatus::kRemoved);
  EXPECT_EQ(removed["of1"].rank, 1u);
  auto added = Run(store.get(), "one", "ranks");
  EXPECT_EQ(added["of1"].status, DiffStatus::kAdded);
  EXPECT_EQ(added["of1"].rank, 1u);
  EXPECT_EQ(added["x"].status, DiffStatus::kRemoved);
}

TEST_F(Diff, BytesThatOnlyMovedAreNotChanged) {
  std::string text = RandomText(3 << 20, 3);
  WriteFile(tmp_ / "d/f", text);
  auto store = Open();
  SaveDir(store.get());
  WriteFile(tmp_ / "d/f", "something in front" + text);
  SaveDir(store.get());
  auto diff = Run(store.get(), "melt@1", "melt@2");
  EXPECT_GT(diff["d/f"].changed_bytes, 0u);
  EXPECT_LT(diff["d/f"].changed_bytes, 1u << 20);
}

TEST_F(Diff, ArraysAreComparedByPlace) {
  auto store = Open();
  Arrays arrays{{"x", Numbers(65536, 1)}};
  SaveArrays(store.get(), arrays);
  arrays["x"][8192 * 3 + 5] = -1.0;  // 64 KiB chunks
  arrays["x"][8192 * 4] = -1.0;
  arrays["x"][8192 * 7] = -1.0;
  SaveArrays(store.get(), arrays);
  auto diff = Run(store.get(), "melt@1", "melt@2");
  constexpr std::uint64_t kChunk = 64 << 10;
  EXPECT_EQ(diff["x"].ranges,
            (std::vector<ChangedRange>{{3 * kChunk, 2 * kChunk}, {7 * kChunk, kChunk}}));
  EXPECT_EQ(diff["x"].changed_bytes, 3 * kChunk);
  EXPECT_EQ(diff["x"].logical_bytes, 8 * kChunk);
  // Swapped chunks are both there, but not at their place.
  std::swap_ranges(arrays["x"].begin(), arrays["x"].begin() + 8192, arrays["x"].begin() + 8192);
  SaveArrays(store.get(), arrays);
  EXPECT_EQ(Run(store.get(), "melt@2", "melt@3")["x"].changed_bytes, 2 * kChunk);
}

TEST_F(Diff, DifferentSeriesCompareByName) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(100, 1)}, {"y", Numbers(100, 1)}}, "a");
  SaveArrays(store.get(), {{"y", Numbers(100, 1)}, {"z", Numbers(100, 1)}}, "b");
  auto diff = Run(store.get(), "a", "b");
  ASSERT_EQ(diff.size(), 2u);
  EXPECT_EQ(diff["x"].status, DiffStatus::kRemoved);
  EXPECT_EQ(diff["z"].status, DiffStatus::kAdded);
}

TEST_F(Diff, RangesAreBoundedCountsAreNot) {
  options_.format.array_chunk_bytes = 4096;
  auto store = Open();
  Arrays arrays{{"x", Numbers(512 * 3000, 1)}};
  SaveArrays(store.get(), arrays);
  for (std::size_t i = 0; i < 3000; i += 2) arrays["x"][i * 512] = -1.0;
  SaveArrays(store.get(), arrays);
  auto diff = Run(store.get(), "melt@1", "melt@2");
  EXPECT_EQ(diff["x"].ranges.size(), kDiffRangesMax);
  EXPECT_EQ(diff["x"].changed_bytes, 1500u * 4096);
}

}  // namespace
}  // namespace ckpt
