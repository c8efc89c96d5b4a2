// Building the index anew from the packs.

#include "store/engine/reindex.h"

#include <map>
#include <random>

#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class ReindexTest : public LookTest {
 protected:
  ReindexTest() {
    options_.use_index = true;
    options_.index_dir = tmp_ / "index";
    std::filesystem::create_directory(tmp_ / "index");
    options_.format.pack_bytes_max = 1 << 20;  // several sealed packs
  }

  // Every durable chunk of every pack, from the packs themselves.
  std::set<Id128> AllChunks(Store* store) {
    std::set<Id128> ids;
    for (const std::string& path : Packs()) {
      for (const auto& [id, at] : PayloadPlaces(store, path)) ids.insert(id);
    }
    return ids;
  }
};

// Six packs are not full; some of them are read in parts, of one entry each and of more.
TEST_F(ReindexTest, PacksThatDoNotFitAreReadInParts) {
  options_.format.array_chunk_bytes = 4096;
  {
    std::vector<std::unique_ptr<Store>> stores;
    std::vector<std::unique_ptr<ArrayWriter>> writers;
    for (std::uint64_t i = 0; i < 6; ++i) {
      stores.push_back(Open());
      SaveOptions save;
      save.series = "series-" + std::to_string(i);
      auto writer = ArrayWriter::Begin(stores.back().get(), save);
      ASSERT_TRUE(writer.ok()) << writer.status().ToString();
      writers.push_back(*std::move(writer));
    }
    for (std::uint64_t i = 0; i < 6; ++i) {
      const std::vector<double> numbers = Numbers(20000, i / 2);  // each twice
      ArrayShape shape;
      shape.dtype = Dtype::kFloat64;
      shape.shape = {numbers.size()};
      ASSERT_OK(writers[i]->Put("x", std::as_bytes(std::span(numbers)), shape));
    }
    for (auto& writer : writers) ASSERT_OK(writer->End().status());
  }
  ASSERT_EQ(Packs().size(), 6u);
  for (const std::uint64_t entries : {5u, 60u, 10000u}) {
    options_.table_bytes = 4 * entries * sizeof(ChunkEntry);
    auto store = Open();
    std::set<Id128> all = AllChunks(store.get());
    EXPECT_GT(all.size(), 120u);
    auto stats = store->Reindex();
    ASSERT_TRUE(stats.ok()) << stats.status().ToString();
    EXPECT_EQ(stats->chunks, all.size());
    for (const Id128& id : all) EXPECT_TRUE(store->FindDurable(id).has_value()) << id.ToHex();
  }
}

TEST_F(ReindexTest, HoldsEveryChunkAndCheckpoint) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", RandomText(5 << 20, 1));
  SaveDir(store.get());
  SaveArrays(store.get(), {{"x", Numbers(30000, 1)}}, "arrays");
  std::set<Id128> all = AllChunks(store.get());
  auto stats = store->Reindex();
  ASSERT_TRUE(stats.ok()) << stats.status().ToString();
  EXPECT_EQ(stats->chunks, all.size());
  for (const Id128& id : all) {
    auto place = store->FindDurable(id);
    ASSERT_TRUE(place.has_value()) << id.ToHex();
    EXPECT_EQ(place->entry.id, id);
  }
  auto names = ListSeries(store.get());
  ASSERT_TRUE(names.ok());
  EXPECT_EQ(*names, (std::vector<std::string>{"arrays", "melt"}));
  EXPECT_EQ(SaveDir(store.get()).new_bytes, 0u) << "everything is found again";
}

TEST_F(ReindexTest, GivesWhatGrowingGave) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", RandomText(5 << 20, 1));
  SaveDir(store.get());
  store->PublishPending();
  auto grown = store->index()->Stats();
  ASSERT_TRUE(grown.ok());
  auto built = store->Reindex();
  ASSERT_TRUE(built.ok());
  EXPECT_EQ(built->chunks, grown->chunks);
  EXPECT_EQ(built->records, grown->records);
  std::filesystem::remove_all(tmp_ / "index");
  std::filesystem::create_directory(tmp_ / "index");
  store.reset();
  store = Open();
  auto again = store->Reindex();
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->chunks, grown->chunks);
  EXPECT_EQ(again->records, grown->records);
}

TEST_F(ReindexTest, DamagedDirectoriesAreWorkedAround) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", RandomText(5 << 20, 1));
  SaveDir(store.get());
  std::set<Id128> all = AllChunks(store.get());
  Id128 id;
  ASSERT_TRUE(ParsePackFileName(std::filesystem::path(BigPack()).filename().string(), &id));
  auto reader = PackReader::Open(store->packs_dir(), id, store->format().uuid);
  ASSERT_TRUE(reader.ok() && (*reader)->sealed());
  auto contents = (*reader)->ReadFrom(0);
  ASSERT_TRUE(contents.ok());
  FlipByte(BigPack(), contents->mark->directory_offset + kRecordHeaderBytes + 50);
  auto stats = store->Reindex();
  ASSERT_TRUE(stats.ok()) << stats.status().ToString();
  EXPECT_EQ(stats->chunks, all.size());
}

// Sealed tables of several packs that have the same chunks, in full and as differences (I12).
TEST_F(ReindexTest, FullChunksCountBeforeDeltasAndDeltasKeepTheirBases) {
  options_.deltas = true;
  auto store = Open();
  const auto noise = [](std::uint64_t seed) {
    std::vector<double> numbers(300000);
    std::mt19937_64 random(seed);
    for (double& number : numbers) number = static_cast<double>(random());
    return numbers;
  };
  const std::vector<double> before = noise(1);
  std::vector<double> after = before, first(before.begin(), before.begin() + 100000);
  SaveArrays(store.get(), {{"x", before}});
  for (std::size_t i = 0; i < after.size(); i += 4000) after[i] = -1;
  std::copy_n(after.begin(), first.size(), first.begin());
  {
    // Neither knows of what the other stores.
    auto other = Open();
    SaveOptions options;
    options.series = "other";
    auto writer = ArrayWriter::Begin(other.get(), options);
    ASSERT_TRUE(writer.ok());
    ArrayShape shape;
    shape.dtype = Dtype::kFloat64;
    shape.shape = {first.size()};
    ASSERT_OK((*writer)->Put("x", std::as_bytes(std::span(first)), shape));
    SaveArrays(store.get(), {{"x", after}});
    ASSERT_TRUE((*writer)->End().ok());
    SaveArrays(store.get(), {{"x", noise(2)}}, "more");  // the packs are full now
  }
  store.reset();
  store = Open();
  std::map<Id128, std::vector<ChunkEntry>> entries;
  std::size_t sealed_with_deltas = 0, twice = 0;
  for (const std::string& path : Packs()) {
    Id128 id;
    ASSERT_TRUE(ParsePackFileName(std::filesystem::path(path).filename().string(), &id));
    auto reader = PackReader::Open(store->packs_dir(), id, store->format().uuid);
    ASSERT_TRUE(reader.ok());
    const PackContents contents = *(*reader)->ReadFrom(0);
    bool deltas = false;
    for (const ChunkEntry& entry : contents.chunks) {
      entries[entry.id].push_back(entry);
      deltas = deltas || IsDeltaCodec(entry.codec);
    }
    sealed_with_deltas += deltas && (*reader)->sealed() ? 1 : 0;
  }
  ASSERT_GT(sealed_with_deltas, 0u);
  ASSERT_TRUE(store->Reindex().ok());
  for (const auto& [id, of_chunk] : entries) {
    const bool in_full = std::any_of(of_chunk.begin(), of_chunk.end(),
                                     [](const auto& e) { return !IsDeltaCodec(e.codec); });
    const bool as_delta = std::any_of(of_chunk.begin(), of_chunk.end(),
                                      [](const auto& e) { return IsDeltaCodec(e.codec); });
    twice += in_full && as_delta ? 1 : 0;
    const auto place = store->FindDurable(id);
    ASSERT_TRUE(place.has_value());
    EXPECT_EQ(IsDeltaCodec(place->entry.codec), !in_full);
    EXPECT_EQ(place->entry.base, in_full ? Id128() : of_chunk.front().base);
  }
  EXPECT_GT(twice, 5u);
}

// What grows with every save is only built in bulk where there is much that it has not got.
TEST_F(ReindexTest, IsWorthItWhereMuchIsThereAndNothingIsKnown) {
  std::string phases;
  options_.progress = [&](const Progress& progress) {
    phases += std::string(progress.phase) + ";";
    return true;
  };
  SaveArrays(Open().get(), {{"x", Numbers(1000, 1)}});
  EXPECT_EQ(phases.find("indexing"), std::string::npos);
  WriteFile(tmp_ / "store/packs/stray", "");
  std::filesystem::resize_file(tmp_ / "store/packs/stray", 300u << 20);
  Open();
  EXPECT_EQ(phases.find("indexing"), std::string::npos) << "it is known";
  std::filesystem::remove_all(tmp_ / "index");
  std::filesystem::create_directory(tmp_ / "index");
  OpenToRead();
  EXPECT_EQ(phases.find("indexing"), std::string::npos) << "it may not be written";
  auto store = Open();
  EXPECT_NE(phases.find("indexing"), std::string::npos);
  EXPECT_GT(store->index()->Stats()->chunks, 0u);
}

TEST_F(ReindexTest, CanBeStoppedAndLeavesTheIndexAsItWas) {
  bool stop = false;
  options_.progress = [&](const Progress&) { return !stop; };
  auto store = Open();
  WriteFile(tmp_ / "d/f", RandomText(5 << 20, 1));
  SaveDir(store.get());
  auto before = store->index()->Stats();
  stop = true;
  EXPECT_EQ(store->Reindex().status().code(), Code::kCancelled);
  stop = false;
  EXPECT_EQ(store->index()->Stats()->chunks, before->chunks);
  EXPECT_EQ(SaveDir(store.get()).new_bytes, 0u);
}

TEST_F(ReindexTest, NeedsAnIndexItMayWrite) {
  SaveArrays(Open().get(), {{"x", Numbers(10, 1)}});
  EXPECT_EQ(OpenToRead()->Reindex().status().code(), Code::kUnsupported);
  options_.use_index = false;
  EXPECT_EQ(Open()->Reindex().status().code(), Code::kUnsupported);
}

}  // namespace
}  // namespace ckpt
