// Building the index anew from the packs.

#include "store/engine/reindex.h"

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
