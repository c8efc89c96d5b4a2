// Files that are read again: what is as it was in the checkpoint before is found without looking
// for its cuts, and the chunks are those that a save which knows nothing of it makes.

#include "store/engine/unchanged_chunks.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <random>

#include "store/codec/chunker.h"
#include "store/codec/hash.h"
#include "store/engine/array_io.h"
#include "store/engine/check.h"
#include "store/engine/restore_files.h"
#include "store/engine/save_files.h"
#include "tests/manifest/tree_fixture.h"
#include "tests/support/sweep.h"
#include "tests/support/temp_dir.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMiB = 1u << 20;

class UnchangedTest : public ::testing::Test {
 protected:
  // A file of `data` is opened, and the list of `before` made as a save would.
  void Open(const std::string& before, const std::string& data) {
    ChunkListBuilder builder(FanOut::kContentDefined, &chunks_);
    for (std::size_t at = 0; at < before.size();) {
      std::size_t length = chunker_.Next(AsBytes(before).subspan(at), true);
      ChunkItem item;
      item.raw_bytes = length;
      item.id = HashChunk(AsBytes(before).subspan(at, length));
      begins_.push_back(at);
      ASSERT_TRUE(builder.Add(item).ok());
      at += length;
    }
    list_ = *builder.Finish();
    WriteFile(tmp_ / "f", data);
    dir_ = *PosixEnv()->OpenDir(tmp_.path());
    file_ = *dir_->OpenFile("f", OpenOptions{});
    unchanged_.emplace(list_, &chunks_, chunker_.params().max_bytes, 3);
  }

  // How far runs of unchanged chunks lead from `offset` on.
  std::uint64_t Follow(std::uint64_t offset, std::uint64_t end) {
    for (;;) {
      auto run = unchanged_->From(file_.get(), offset, end);
      EXPECT_TRUE(run.ok()) << run.status().ToString();
      if (!run.ok() || run->empty()) return offset;
      for (const ChunkItem& item : *run) offset += item.raw_bytes;
    }
  }

  // The last chunk that begins at or before `offset`, in begins_.
  std::size_t ChunkAt(std::uint64_t offset) const {
    return static_cast<std::size_t>(std::upper_bound(begins_.begin(), begins_.end(), offset) -
                                    begins_.begin() - 1);
  }

  TempDir tmp_;
  MemoryChunks chunks_;
  Chunker chunker_ = *Chunker::Create(ChunkerParams{});
  std::vector<std::uint64_t> begins_;
  TreeRef list_;
  std::unique_ptr<Dir> dir_;
  std::unique_ptr<File> file_;
  std::optional<UnchangedChunks> unchanged_;
};

TEST_F(UnchangedTest, AFileThatIsAsItWasIsFollowedToItsEnd) {
  const std::string data = RandomText(20 * kMiB, 1);
  Open(data, data);
  EXPECT_EQ(Follow(0, data.size()), data.size());
  EXPECT_FALSE(unchanged_->MayGoOn(data.size()));
}

TEST_F(UnchangedTest, OneChangedByteHidesItsChunkOnly) {
  const std::string before = RandomText(20 * kMiB, 1);
  std::string data = before;
  data[10 * kMiB] = static_cast<char>(data[10 * kMiB] + 1);
  Open(before, data);
  const std::size_t hurt = ChunkAt(10 * kMiB);
  EXPECT_EQ(Follow(0, data.size()), begins_[hurt]);
  EXPECT_FALSE(unchanged_->MayGoOn(begins_[hurt] + 1));
  EXPECT_TRUE(unchanged_->MayGoOn(begins_[hurt + 1]));
  EXPECT_EQ(Follow(begins_[hurt + 1], data.size()), data.size());
}

// The last chunk was cut where the file ended, which is no cut in a longer one.
TEST_F(UnchangedTest, TheLastChunkOfAFileThatGrewIsCutAnew) {
  const std::string before = RandomText(3 * kMiB, 1);
  const std::string data = before + RandomText(kMiB, 2);
  Open(before, data);
  EXPECT_EQ(Follow(0, data.size()), begins_.back());
}

TEST_F(UnchangedTest, OfAFileThatBecameShorterTheBeginningIsKnown) {
  const std::string before = RandomText(3 * kMiB, 1);
  const std::string data = before.substr(0, 2 * kMiB + 17);
  Open(before, data);
  EXPECT_EQ(Follow(0, data.size()), begins_[ChunkAt(data.size())]);
}

// The file shrinks under the reader: no chunk is unchanged that could not be read whole.
TEST_F(UnchangedTest, WhatCannotBeReadIsNotAsItWas) {
  const std::string data = RandomText(3 * kMiB, 1);
  Open(data, data);
  fs::resize_file(tmp_ / "f", kMiB);
  EXPECT_EQ(Follow(0, data.size()), begins_[ChunkAt(kMiB)]);
}

TEST_F(UnchangedTest, WhereLittleIsAsItWasLittleIsLookedAt) {
  const std::string before = RandomText(64 * kMiB, 1);
  Open(before, RandomText(64 * kMiB, 2));
  int windows = 0;
  for (std::uint64_t begin : begins_) {
    if (!unchanged_->MayGoOn(begin)) continue;
    ++windows;
    EXPECT_EQ(Follow(begin, before.size()), begin);
  }
  EXPECT_GE(windows, 2);
  EXPECT_LE(windows, 6);  // of 4 MiB each, further and further apart
}

TEST_F(UnchangedTest, AListThatCannotBeReadIsNoHelpAndNoError) {
  const std::string data = RandomText(3 * kMiB, 1);
  Open(data, data);
  chunks_.chunks.clear();
  list_.root.how = NodeRef::How::kChunk;
  list_.root.id = NumberedId(1);
  list_.root.raw_bytes = 100;
  unchanged_.emplace(list_, &chunks_, chunker_.params().max_bytes, 3);
  EXPECT_EQ(Follow(0, data.size()), 0u);
  EXPECT_FALSE(unchanged_->MayGoOn(0));
}

// ---- saves -------------------------------------------------------------------------------------

class RereadTest : public ::testing::Test {
 protected:
  RereadTest() { fs::current_path(tmp_.path()); }
  ~RereadTest() override { fs::current_path("/"); }

  std::unique_ptr<Store> Open(const std::string& name) {
    OpenStoreOptions options;
    options.mode = OpenStoreOptions::Mode::kCreate;
    options.threads = 3;
    options.format.chunker = ChunkerParams::ForAverage(1024);
    auto store = Store::Open(PosixEnv(), tmp_ / name, std::move(options));
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }
  static Saved Save(Store* store) {
    SaveFilesOptions options;
    options.save.series = "melt";
    options.reread = true;
    auto saved = SaveFiles(store, {"f"}, options);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    return saved.ok() ? *saved : Saved{};
  }
  static Entry Newest(Store* store) {
    auto reader = CheckpointReader::Open(store, "melt");
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    auto found = (*reader)->Find("f");
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return *found->entry;
  }

  TempDir tmp_;
};

void Overwrite(std::string* data, std::size_t at, std::size_t bytes, std::uint64_t seed) {
  const std::string fresh = RandomText(bytes, seed);
  data->replace(at, std::min(bytes, data->size() - at), fresh, 0,
                std::min(bytes, data->size() - at));
}

// What may become of a file from one save to the next.
void Edit(std::string* data, std::mt19937_64* random) {
  const std::size_t at = (*random)() % data->size();
  switch ((*random)() % 7) {
    case 0:
      return Overwrite(data, at, 1 + (*random)() % (2 * kMiB), (*random)());
    case 1:
      for (std::size_t i = at % 5000; i < data->size(); i += 50000) ++(*data)[i];
      return;
    case 2:
      data->insert(at, RandomText(1 + (*random)() % 9000, (*random)()));
      return;
    case 3:
      data->erase(at, 1 + (*random)() % 9000);
      return;
    case 4:
      data->append(RandomText(1 + (*random)() % kMiB, (*random)()));
      return;
    case 5:
      data->resize(std::max(data->size() - (*random)() % kMiB, 2 * kMiB));
      return;
    default:
      // Zeros are cut at the greatest chunk, wherever one begins.
      const std::size_t zeros = std::min<std::size_t>(data->size() - at, kMiB);
      std::fill_n(data->begin() + static_cast<std::ptrdiff_t>(at), zeros, '\0');
  }
}

// Blocks of zeros become holes.
void WriteSparse(const std::string& path, const std::string& data) {
  constexpr std::size_t kBlock = 64u << 10;
  WriteFile(path, "");
  fs::resize_file(path, data.size());
  FILE* f = std::fopen(path.c_str(), "r+");
  for (std::size_t at = 0; at < data.size(); at += kBlock) {
    const std::string_view block = std::string_view(data).substr(at, kBlock);
    if (block.find_first_not_of('\0') == std::string_view::npos) continue;
    std::fseek(f, static_cast<long>(at), SEEK_SET);
    std::fwrite(block.data(), 1, block.size(), f);
  }
  std::fclose(f);
}

TEST_F(RereadTest, ChunksAreThoseOfASaveThatKnowsNothing) {
  for (std::uint64_t seed = 1; seed <= (kSanitized ? 2 : 4); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string data = RandomText(12 * kMiB, seed);
    auto store = Open("store" + std::to_string(seed));
    for (int step = 0; step < (kSanitized ? 4 : 8); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      seed % 2 == 0 ? WriteSparse(tmp_ / "f", data) : WriteFile(tmp_ / "f", data);
      const Saved saved = Save(store.get());
      fs::remove_all(tmp_ / "fresh");
      auto fresh = Open("fresh");
      const Saved expected = Save(fresh.get());
      EXPECT_EQ(saved.read_bytes, expected.read_bytes);
      EXPECT_EQ(saved.chunks, expected.chunks);
      const Entry mine = Newest(store.get()), theirs = Newest(fresh.get());
      EXPECT_EQ(mine.logical_bytes, theirs.logical_bytes);
      EXPECT_EQ(mine.content, theirs.content);
      for (std::uint64_t edits = random() % 3; edits > 0; --edits) Edit(&data, &random);
    }
    CheckReport report = *CheckStore(store.get(), {});
    EXPECT_TRUE(report.damage.empty());
  }
}

// Stored in full or not: what comes back is what was there.
TEST_F(RereadTest, WhateverIsEditedComesBack) {
  for (std::uint64_t seed = 11; seed <= (kSanitized ? 12 : 16); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::string data = RandomText(4 * kMiB, seed);
    auto store = Open("store" + std::to_string(seed));
    for (int step = 0; step < 8; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      seed % 2 == 0 ? WriteSparse(tmp_ / "f", data) : WriteFile(tmp_ / "f", data);
      Save(store.get());
      RestoreFilesOptions options;
      options.checkpoint = "melt";
      options.to = tmp_ / "out";
      fs::create_directory(options.to);
      auto restored = RestoreFiles(store.get(), options);
      ASSERT_TRUE(restored.ok()) << restored.status().ToString();
      ASSERT_TRUE(ReadWholeFile(tmp_ / "out/f") == data);
      fs::remove_all(options.to);
      for (std::uint64_t edits = 1 + random() % 3; edits > 0; --edits) Edit(&data, &random);
    }
    EXPECT_TRUE(CheckStore(store.get(), {})->damage.empty());
  }
}

// What check found damaged is not relied upon again: it is stored anew.
TEST_F(RereadTest, DamageThatIsKnownIsHealed) {
  const std::string data = RandomText(3 * kMiB, 1);
  WriteFile(tmp_ / "f", data);
  auto store = Open("store");
  Save(store.get());
  ASSERT_TRUE(store->Refresh().ok());
  Chunker chunker = *Chunker::Create(store->format().chunker);
  const ByteSpan first = AsBytes(data).first(chunker.Next(AsBytes(data), true));
  auto place = store->FindDurable(HashChunk(first));
  ASSERT_TRUE(place.has_value());
  const std::uint64_t at = place->entry.offset + kRecordHeaderBytes + place->entry.stored_bytes / 2;
  const std::string pack = tmp_ / "store/packs/" + PackFileName(place->pack_id);
  FILE* f = std::fopen(pack.c_str(), "r+");
  std::fseek(f, static_cast<long>(at), SEEK_SET);
  const int byte = std::fgetc(f);
  std::fseek(f, static_cast<long>(at), SEEK_SET);
  std::fputc(byte ^ 1, f);
  std::fclose(f);
  ASSERT_EQ(CheckStore(store.get(), {})->damage.size(), 1u);
  const Saved healed = Save(store.get());
  EXPECT_EQ(healed.new_bytes, first.size());
  CheckReport report = *CheckStore(store.get(), {});
  ASSERT_EQ(report.damage.size(), 1u);
  EXPECT_TRUE(report.damage[0].checkpoints.empty());
}

}  // namespace
}  // namespace ckpt
