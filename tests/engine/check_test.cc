// Reading a store over: what is damaged, whom it hurts, what is still sound.

#include "store/engine/check.h"

#include <algorithm>
#include <filesystem>

#include "store/codec/hash.h"
#include "store/engine/chunk_writer.h"
#include "store/engine/restore_files.h"
#include "store/engine/verify.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class CheckTest : public LookTest {
 protected:
  static CheckReport Check(Store* store, CheckOptions options = {}) {
    auto report = CheckStore(store, options);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *std::move(report) : CheckReport();
  }
  static std::set<std::string> Hurt(const CheckReport& report) {
    std::set<std::string> names;
    for (const FoundDamage& found : report.damage) {
      names.insert(found.checkpoints.begin(), found.checkpoints.end());
    }
    return names;
  }
  static std::string Text(const CheckReport& report) {
    std::string text;
    for (const FoundDamage& found : report.damage) {
      text += PackFileName(found.pack_id) + " at " + std::to_string(found.offset) + ": " +
              found.what + "\n";
    }
    return text;
  }
  static Status VerifyStep(Store* store, const std::string& name) {
    auto resolved = ResolveCheckpoint(store, name);
    if (!resolved.ok()) return resolved.status();
    return VerifyCheckpoint(store, resolved->ranks);
  }
  // Where the first chunk of an entry has its payload.
  std::uint64_t PlaceOf(Store* store, const std::string& checkpoint, const std::string& name) {
    auto reader = CheckpointReader::Open(store, checkpoint);
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    auto found = (*reader)->Find(name);
    EXPECT_TRUE(found.ok());
    ChunkListReader list(found->entry->content, found->fetcher);
    auto item = list.Next();
    EXPECT_TRUE(item.ok() && item->has_value());
    return PayloadPlaces(store, BigPack())[(*item)->id];
  }
};

TEST_F(CheckTest, SoundStoreIsSoundInEveryMode) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(100000, 1)}}, "a");
  SaveArrays(store.get(), {{"x", Numbers(100000, 2)}}, "a");
  WriteFile(tmp_ / "d/f", RandomText(1 << 20, 1));
  SaveDir(store.get(), "b");
  for (CheckOptions options :
       {CheckOptions{}, CheckOptions{true, 100.0}, CheckOptions{false, 30}}) {
    CheckReport report = Check(store.get(), options);
    EXPECT_TRUE(report.damage.empty()) << Text(report);
    EXPECT_EQ(report.checkpoints, 3u);
    ASSERT_EQ(report.newest_sound.size(), 2u);
    EXPECT_EQ(report.newest_sound[0].row.step, 2);
    EXPECT_GT(report.chunks, 20u);
  }
  EXPECT_GT(Check(store.get()).verified_bytes, 1u << 20);
  EXPECT_LT(Check(store.get(), {true, 100.0}).verified_bytes, 10000u);
}

TEST_F(CheckTest, HardLinkWithoutItsFileIsDamage) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", "sound");
  std::filesystem::create_hard_link(tmp_ / "d/f", tmp_ / "d/g");
  SaveDir(store.get(), "sound");
  // "a" is a folder, "b" a link to a file before it or to none, "c" a file or a link to "b".
  for (const char* target : {"a", "aa", "a/file"}) {
    SaveOptions options;
    options.series = "links";
    auto writer = CheckpointWriter::Begin(store.get(), options);
    ASSERT_TRUE(writer.ok());
    std::vector<Entry> entries(4);
    entries[0].kind = EntryKind::kDirectory;
    entries[0].name = "a";
    entries[1].name = "a/file";
    entries[2].kind = EntryKind::kHardLink;
    entries[2].name = "b";
    entries[2].target = target;
    entries[3].kind = EntryKind::kHardLink;
    entries[3].name = "c";
    entries[3].target = entries[2].target == "a/file" ? "b" : "a/file";
    for (const Entry& entry : entries) ASSERT_OK((*writer)->AddEntry(entry, 0));
    ASSERT_TRUE((*writer)->End().ok());
    std::string name = "links@" + std::to_string((*writer)->step());
    EXPECT_EQ(VerifyStep(store.get(), name).code(), Code::kCorruption) << name;
    RestoreFilesOptions restore;
    restore.checkpoint = name;
    restore.to = tmp_ / "out";
    EXPECT_EQ(RestoreFiles(store.get(), restore).status().code(), Code::kCorruption) << name;
    EXPECT_FALSE(std::filesystem::exists(tmp_ / "out")) << name;
  }
  CheckReport report = Check(store.get());
  EXPECT_EQ(Hurt(report).size(), 3u) << Text(report);
  EXPECT_FALSE(Hurt(report).contains("sound@1"));
  ASSERT_EQ(report.newest_sound.size(), 1u);
}

TEST_F(CheckTest, NamesTheCheckpointsThatNeedTheDamagedChunkAndNoOthers) {
  Arrays arrays{{"x", Numbers(8192, 1)}, {"y", Numbers(8192, 2)}};
  {
    auto store = Open();
    SaveArrays(store.get(), arrays, "melt");  // 1: x y
    arrays["x"] = Numbers(8192, 3);
    SaveArrays(store.get(), arrays, "melt");                 // 2: x' y
    SaveArrays(store.get(), {{"z", arrays["x"]}}, "other");  // x' under another name
    FlipByte(BigPack(), PlaceOf(store.get(), "melt@2", "x") + 100);
  }
  auto store = OpenToRead();
  CheckReport report = Check(store.get());
  ASSERT_EQ(report.damage.size(), 1u) << Text(report);
  EXPECT_EQ(report.damage[0].checkpoints, (std::vector<std::string>{"melt@1:2", "other@1:1"}));
  ASSERT_EQ(report.newest_sound.size(), 1u) << "'other' has none";
  EXPECT_EQ(report.newest_sound[0].row.step, 1);
}

// Against the plain truth: a checkpoint is hurt exactly when it cannot be verified.
TEST_F(CheckTest, AgreesWithVerificationWhateverByteIsDamaged) {
  options_.format.array_chunk_bytes = 4096;
  {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(3000, 1)}, {"y", Numbers(2000, 2)}});
    SaveArrays(store.get(), {{"x", Numbers(3000, 1)}, {"y", Numbers(2000, 3)}});
  }
  std::string path = BigPack();
  std::uint64_t bytes = std::filesystem::file_size(path);
  int hurt = 0;
  for (std::uint64_t at = 0; at < bytes; at += 199) {
    FlipByte(path, at);
    auto store = OpenToRead();
    CheckReport report = Check(store.get());
    std::set<std::string> names = Hurt(report);
    for (const char* step : {"1", "2"}) {
      std::string name = std::string("melt@") + step;
      Status verified = VerifyStep(store.get(), name);
      // Its manifest is what was damaged: an error, too, but nobody knows its name.
      bool gone = !ResolveCheckpoint(store.get(), name).ok();
      EXPECT_NE(verified.code(), Code::kNotFound) << "byte " << at;
      if (gone) {
        EXPECT_FALSE(report.damage.empty()) << "byte " << at;
      } else {
        ASSERT_EQ(names.contains(std::string("melt@1:") + step), !verified.ok())
            << "byte " << at << ", step " << step << ": " << verified.ToString() << "\n"
            << Text(report);
      }
      hurt += !verified.ok();
    }
    FlipByte(path, at);
  }
  EXPECT_GT(hurt, 50);
  EXPECT_TRUE(Check(OpenToRead().get()).damage.empty());
}

TEST_F(CheckTest, DamageIsRememberedAndHealsWhenItReadsTrueAgain) {
  auto store = Open();
  Arrays arrays{{"x", Numbers(8192 * 3, 1)}};
  SaveArrays(store.get(), arrays);
  std::string pack = BigPack();
  std::uint64_t at = PlaceOf(store.get(), "melt", "x");
  FlipByte(pack, at);
  EXPECT_EQ(Check(store.get()).damage.size(), 1u);
  auto state = [&] {
    auto view = SeriesView::Load(store.get(), "melt");
    EXPECT_TRUE(view.ok());
    auto answer = StateOf(store.get(), *view, view->rows().front());
    EXPECT_TRUE(answer.ok());
    return *answer;
  };
  EXPECT_EQ(state(), CheckpointState::kDamaged);
  EXPECT_EQ(Check(store.get()).damage.size(), 1u) << "not recorded twice, but still told";
  FlipByte(pack, at);
  EXPECT_TRUE(Check(store.get()).damage.empty());
  EXPECT_EQ(state(), CheckpointState::kCommitted);
  // Known to a process that reads the packs anew, too.
  store = Open();
  EXPECT_EQ(state(), CheckpointState::kCommitted);
  FlipByte(pack, at);
  Check(store.get());
  store = Open();
  EXPECT_EQ(state(), CheckpointState::kDamaged);
}

TEST_F(CheckTest, TheSameChunkSavedAnewHealsEveryCheckpoint) {
  auto store = Open();
  Arrays arrays{{"x", Numbers(8192 * 3, 1)}};
  SaveArrays(store.get(), arrays);
  FlipByte(BigPack(), PlaceOf(store.get(), "melt", "x"));
  EXPECT_EQ(Hurt(Check(store.get())), std::set<std::string>{"melt@1:1"});
  SaveArrays(store.get(), arrays);
  CheckReport report = Check(store.get());
  ASSERT_EQ(report.damage.size(), 1u);
  EXPECT_TRUE(report.damage[0].checkpoints.empty()) << Text(report);
  EXPECT_TRUE(VerifyStep(store.get(), "melt@1").ok());
  EXPECT_EQ(report.newest_sound[0].row.step, 2);
}

TEST_F(CheckTest, OpenedForReadingItWritesNothing) {
  {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(8192, 1)}});
    FlipByte(BigPack(), PlaceOf(store.get(), "melt", "x"));
  }
  auto listing = [&] {
    std::map<std::string, std::uintmax_t> files;
    for (const auto& f : std::filesystem::recursive_directory_iterator(tmp_ / "store")) {
      files[f.path().string()] = f.is_regular_file() ? f.file_size() : 0;
    }
    return files;
  };
  auto before = listing();
  EXPECT_EQ(Check(OpenToRead().get()).damage.size(), 1u);
  EXPECT_EQ(listing(), before);
}

TEST_F(CheckTest, MissingAndShortPacksAreNamed) {
  options_.format.pack_bytes_max = 1 << 20;
  {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(10, 1)}}, "small");
    WriteFile(tmp_ / "d/f", RandomText(6 << 20, 1));
    SaveDir(store.get());
  }
  ASSERT_GT(Packs().size(), 4u);
  std::string victim;
  {
    auto store = OpenToRead();
    auto view = SeriesView::Load(store.get(), "melt");
    ASSERT_TRUE(view.ok());
    for (const std::string& path : Packs()) {  // not one that holds a manifest
      Id128 id;
      ASSERT_TRUE(ParsePackFileName(std::filesystem::path(path).filename().string(), &id));
      auto reader = PackReader::Open(store->packs_dir(), id, store->format().uuid);
      ASSERT_TRUE(reader.ok());
      auto contents = (*reader)->ReadFrom(0);
      if (contents.ok() && contents->records.empty()) victim = path;
    }
  }
  ASSERT_FALSE(victim.empty());
  std::string bytes = ReadWholeFile(victim);
  for (bool quick : {false, true}) {
    std::filesystem::remove(victim);
    CheckReport missing = Check(OpenToRead().get(), {quick, 100.0});
    EXPECT_TRUE(Hurt(missing).contains("melt@1:1"));
    EXPECT_FALSE(Hurt(missing).contains("small@1:1"));
    ASSERT_FALSE(missing.damage.empty());
    EXPECT_TRUE(missing.damage[0].pack_missing);
    ASSERT_EQ(missing.newest_sound.size(), 1u);
    EXPECT_EQ(missing.newest_sound[0].view.series(), "small");

    WriteFile(victim, bytes.substr(0, bytes.size() / 2));
    EXPECT_TRUE(Hurt(Check(OpenToRead().get(), {quick, 100.0})).contains("melt@1:1"));
    WriteFile(victim, bytes);
    EXPECT_TRUE(Check(OpenToRead().get(), {quick, 100.0}).damage.empty());
  }
}

TEST_F(CheckTest, TheTailOfALiveWriterIsNoDamage) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(8192, 1)}});
  // Bytes that may be on their way: no mark stands behind them.
  std::ofstream(BigPack(), std::ios::app | std::ios::binary) << RandomText(10000, 5);
  auto writer = ChunkWriter::Open(store.get());
  ASSERT_TRUE(writer.ok());
  ChunkEncoder encoder;
  std::string raw = RandomText(3 << 20, 6);
  for (std::size_t at = 0; at < raw.size(); at += 65536) {
    ByteSpan chunk = AsBytes(raw).subspan(at, 65536);
    ASSERT_OK((*writer)->Put(chunk, HashChunk(chunk), {}, &encoder));
  }
  CheckReport report = Check(OpenToRead().get());
  EXPECT_TRUE(report.damage.empty()) << Text(report);
  EXPECT_EQ(report.newest_sound.size(), 1u);
}

TEST_F(CheckTest, QuickFindsDamagedTreesButReadsNoContent) {
  options_.format.array_chunk_bytes = 4096;
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(512 * 100, 1)}});
  std::uint64_t content = PlaceOf(store.get(), "melt", "x");
  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok());
  auto found = (*reader)->Find("x");
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->entry->content.root.how, NodeRef::How::kChunk);
  std::uint64_t node = PayloadPlaces(store.get(), BigPack())[found->entry->content.root.id];
  FlipByte(BigPack(), content);
  EXPECT_TRUE(Check(OpenToRead().get(), {true, 100.0}).damage.empty());
  FlipByte(BigPack(), node + 20);
  CheckReport report = Check(OpenToRead().get(), {true, 100.0});
  EXPECT_EQ(Hurt(report), std::set<std::string>{"melt@1:1"});
  EXPECT_TRUE(report.newest_sound.empty());
}

TEST_F(CheckTest, PartReadsItsShare) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", RandomText(40 << 20, 1));
  SaveDir(store.get());
  std::uint64_t part = Check(store.get(), {false, 25.0}).verified_bytes;
  EXPECT_GT(part, 8u << 20);
  EXPECT_LT(part, 12u << 20);
  EXPECT_FALSE(CheckStore(store.get(), {false, 0.0}).ok());
  EXPECT_FALSE(CheckStore(store.get(), {false, 101.0}).ok());
}

// Records are read 4 MiB at a time: some are larger.
TEST_F(CheckTest, ChunksLargerThanAWindowAreVerifiedAndNamed) {
  options_.format.array_chunk_bytes = 8 << 20;
  std::uint64_t place = 0;
  {
    auto store = Open();
    std::string random = RandomText(20 << 20, 1);
    std::vector<double> numbers(random.size() / 8);
    std::memcpy(numbers.data(), random.data(), random.size());
    SaveArrays(store.get(), {{"x", numbers}, {"y", Numbers(10, 2)}});
    EXPECT_TRUE(Check(store.get()).damage.empty());
    EXPECT_GT(Check(store.get()).verified_bytes, 20u << 20);
    place = PlaceOf(store.get(), "melt", "x");
  }
  for (const std::uint64_t at : {place + (6 << 20), place - 40}) {  // its payload, its header
    FlipByte(BigPack(), at);
    CheckReport report = Check(OpenToRead().get());
    // Readers go by directories: without its header a chunk is as good as its payload.
    EXPECT_EQ(Hurt(report).size(), at > place ? 1u : 0u) << Text(report);
    ASSERT_EQ(report.damage.size(), 1u) << Text(report);
    EXPECT_EQ(report.damage[0].offset, place - kRecordHeaderBytes);
    FlipByte(BigPack(), at);
  }
}

// A part is chosen by directories: what they list is not where they say.
TEST_F(CheckTest, APartFindsAChunkWithoutItsHeader) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(8192, 1)}});
  FlipByte(BigPack(), PlaceOf(store.get(), "melt", "x") - 40);
  CheckReport report = Check(OpenToRead().get(), CheckOptions{false, 99.9});
  ASSERT_EQ(report.damage.size(), 1u) << Text(report);
  EXPECT_NE(Text(report).find("not the chunk that the directory lists"), std::string::npos);
}

// Tables and records are read in every mode.
TEST_F(CheckTest, QuickNamesDamagedRecordsAndTables) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(1000, 1)}});
  const std::string pack = BigPack();
  Id128 id;
  ASSERT_TRUE(ParsePackFileName(std::filesystem::path(pack).filename().string(), &id));
  auto reader = PackReader::Open(store->packs_dir(), id, store->format().uuid);
  ASSERT_TRUE(reader.ok());
  const PackContents contents = *(*reader)->ReadFrom(0);
  const auto manifest = std::find_if(contents.records.begin(), contents.records.end(),
                                     [](const auto& r) { return r.type == RecordType::kManifest; });
  ASSERT_NE(manifest, contents.records.end());
  const std::string whole = ReadWholeFile(pack);
  const std::pair<std::uint64_t, const char*> wounds[] = {
      {manifest->offset + kRecordHeaderBytes + 5, "manifest"},
      {contents.mark->directory_offset + kRecordHeaderBytes + 20, "not the records"}};
  for (const auto& [at, named] : wounds) {
    FlipByte(pack, at);
    for (const CheckOptions options : {CheckOptions{true, 100.0}, CheckOptions{false, 50.0}}) {
      auto damaged = OpenToRead();
      const CheckReport report = Check(damaged.get(), options);
      EXPECT_NE(Text(report).find(named), std::string::npos) << Text(report);
    }
    WriteFile(pack, whole);
  }
}

TEST_F(CheckTest, AReaderRecordsWhatItFindsWhereItIsToldTo) {
  SaveArrays(Open().get(), {{"x", Numbers(10000, 1)}});
  FlipByte(BigPack(), PlaceOf(OpenToRead().get(), "melt", "x") + 10);
  CheckOptions options;
  EXPECT_EQ(Check(OpenToRead().get(), options).recorded, 0u);
  options.record_when_reading = true;
  EXPECT_EQ(Check(OpenToRead().get(), options).recorded, 1u);
  EXPECT_EQ(Check(OpenToRead().get(), options).recorded, 0u) << "it is known";
}

TEST_F(CheckTest, TheStoresOwnFilesAreLookedAt) {
  SaveArrays(Open().get(), {{"x", Numbers(1000, 1)}});
  const auto named = [&](const char* file) {
    auto store = OpenToRead();
    const std::string text = Text(Check(store.get()));
    return text.find(std::string("the file '") + file + "'") != std::string::npos;
  };
  EXPECT_FALSE(named("collect"));
  std::filesystem::remove(tmp_ / "store/collect");
  std::filesystem::create_directory(tmp_ / "store/collect");
  EXPECT_TRUE(named("collect"));
  std::filesystem::remove(tmp_ / "store/collect");
  std::filesystem::remove(tmp_ / "store/format");
  EXPECT_TRUE(named("format"));
}

// Readers go by tables: chunks whose headers are damaged are as good as their bytes.
TEST_F(CheckTest, HeadersDamagedInTwoPlacesHurtNobody) {
  auto store = Open();
  for (const std::uint64_t step : {1u, 2u, 3u}) {
    SaveArrays(store.get(), {{"x", Numbers(8192 * 3, step)}});
  }
  const std::uint64_t places[] = {PlaceOf(store.get(), "melt@1", "x"),
                                  PlaceOf(store.get(), "melt@3", "x")};
  for (const std::uint64_t place : places) FlipByte(BigPack(), place - kRecordHeaderBytes + 20);
  CheckOptions options;
  options.record = false;
  CheckReport report = Check(OpenToRead().get(), options);
  EXPECT_EQ(report.damage.size(), 2u) << Text(report);
  EXPECT_TRUE(Hurt(report).empty()) << Text(report);
  for (const char* name : {"melt@1", "melt@2", "melt@3"}) {
    EXPECT_TRUE(VerifyStep(store.get(), name).ok()) << name;
  }
  FlipByte(BigPack(), places[1] + 20);
  EXPECT_EQ(Hurt(Check(OpenToRead().get(), options)), std::set<std::string>{"melt@1:3"});
}

}  // namespace
}  // namespace ckpt
