// What one checkpoint holds and what is new in it.

#include "store/engine/inspect.h"

#include <random>

#include "store/engine/stats.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

struct Seen {
  std::map<std::string, InspectedEntry> entries;
  std::map<Id128, std::uint64_t> packs;
  int checkpoints = 0;
};

Seen Inspect(Store* store, const std::string& name) {
  Seen seen;
  InspectVisitor visitor;
  visitor.checkpoint = [&](const SeriesView&, const CheckpointRow&) {
    ++seen.checkpoints;
    return Status();
  };
  visitor.entry = [&](const InspectedEntry& entry) {
    seen.entries[entry.entry->name] = entry;
    return Status();
  };
  visitor.pack = [&](const Id128& id, std::uint64_t bytes) {
    seen.packs[id] = bytes;
    return Status();
  };
  Status s = InspectCheckpoint(store, name, visitor);
  EXPECT_TRUE(s.ok()) << s.ToString();
  return seen;
}

class InspectTest : public LookTest {};

TEST_F(InspectTest, NewChunksAreThoseTheCheckpointBeforeHasNowhere) {
  auto store = Open();
  Arrays arrays{{"x", Numbers(8192 * 10, 1)}, {"y", Numbers(8192 * 4, 2)}};
  SaveArrays(store.get(), arrays);
  Seen first = Inspect(store.get(), "melt@1");
  EXPECT_EQ(first.checkpoints, 1);
  EXPECT_EQ(first.entries["x"].new_chunks, 10u);
  EXPECT_EQ(first.entries["x"].new_bytes, 10u * (64 << 10));
  arrays["x"][0] = -1.0;
  arrays["z"] = arrays["y"];  // under another name, but known
  SaveArrays(store.get(), arrays);
  Seen second = Inspect(store.get(), "melt@2");
  EXPECT_EQ(second.entries["x"].new_chunks, 1u);
  EXPECT_EQ(second.entries["y"].new_chunks, 0u);
  EXPECT_EQ(second.entries["z"].new_chunks, 0u);
  EXPECT_GT(second.entries["z"].stored_bytes, 4u * 64);
  EXPECT_EQ(second.entries["z"].stored_bytes, second.entries["y"].stored_bytes);
  SaveArrays(store.get(), arrays);
  EXPECT_EQ(Inspect(store.get(), "melt@3").entries["x"].new_chunks, 0u);
}

TEST_F(InspectTest, BranchesCompareWithTheirOwnParent) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(8192, 1)}});
  SaveArrays(store.get(), {{"x", Numbers(8192, 2)}});
  SaveOptions options;
  options.series = "melt";
  options.from_step = 1;
  auto writer = ArrayWriter::Begin(store.get(), options);
  ASSERT_TRUE(writer.ok()) << writer.status().ToString();
  std::vector<double> x = Numbers(8192, 1);
  ASSERT_OK((*writer)->Put("x", std::as_bytes(std::span(x)),
                           {Dtype::kFloat64, false, 8, {8192}, {}, {}}));
  ASSERT_TRUE((*writer)->End().ok());
  EXPECT_EQ(Inspect(store.get(), "melt@2:2").entries["x"].new_chunks, 0u) << "as in 1:1";
  EXPECT_EQ(Inspect(store.get(), "melt@1:2").entries["x"].new_chunks, 1u);
}

TEST_F(InspectTest, CodecsAreNamed) {
  auto store = Open();
  WriteFile(tmp_ / "d/random", RandomText(500000, 1));
  WriteFile(tmp_ / "d/zeros", std::string(500000, 'a'));
  WriteFile(tmp_ / "d/tiny", "abc");
  SaveDir(store.get());
  Seen seen = Inspect(store.get(), "melt");
  EXPECT_EQ(seen.entries["d/random"].codec, "raw");
  EXPECT_EQ(seen.entries["d/zeros"].codec, "zstd");
  EXPECT_EQ(seen.entries["d/tiny"].codec, "");
  EXPECT_EQ(seen.entries["d"].codec, "");
  EXPECT_LT(seen.entries["d/zeros"].stored_bytes, 5000u);
  EXPECT_GE(seen.entries["d/random"].stored_bytes, 500000u);
}

TEST_F(InspectTest, DifferencesAreNamedAsCodecs) {
  options_.deltas = true;
  auto store = Open();
  std::vector<double> numbers(65536);
  std::mt19937_64 random(1);
  for (double& number : numbers) number = static_cast<double>(random());
  SaveArrays(store.get(), {{"x", numbers}});
  for (std::size_t i = 0; i < numbers.size(); i += 1000) numbers[i] = 1;
  SaveArrays(store.get(), {{"x", numbers}});
  EXPECT_EQ(Inspect(store.get(), "melt@2").entries["x"].codec, "delta8+zstd");
}

TEST_F(InspectTest, PacksAddUpToTheLiveBytes) {
  options_.format.pack_bytes_max = 1 << 20;
  auto store = Open();
  WriteFile(tmp_ / "d/f", RandomText(5 << 20, 1));
  SaveDir(store.get());
  Seen seen = Inspect(store.get(), "melt");
  EXPECT_GE(seen.packs.size(), 4u);
  std::uint64_t sum = 0;
  for (const auto& [id, bytes] : seen.packs) sum += bytes;
  auto stats = GetStats(store.get());
  ASSERT_TRUE(stats.ok());
  EXPECT_EQ(sum, stats->live_bytes);
}

}  // namespace
}  // namespace ckpt
