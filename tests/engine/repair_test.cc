// Repair: what is damaged goes aside and is not deleted, what is sound stays, what was lost is
// said, saving the same data heals, and being killed at any moment loses nothing.

#include "store/engine/repair.h"

#include "store/engine/chunk_writer.h"
#include "store/engine/verify.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class RepairTest : public LookTest {
 protected:
  static RepairReport Repair(Store* store, bool dry_run = false) {
    RepairOptions options;
    options.dry_run = dry_run;
    options.wait_ms = 0;
    auto report = RepairStore(store, options);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *std::move(report) : RepairReport();
  }
  static std::set<std::string> Lost(const RepairReport& report) {
    std::set<std::string> names;
    for (const LostCheckpoint& lost : report.lost) names.insert(lost.name);
    return names;
  }
  static std::set<std::string> Hurt(Store* store) {
    CheckOptions options;
    options.record = false;
    auto report = CheckStore(store, options);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    std::set<std::string> names;
    for (const FoundDamage& found : report->damage) {
      names.insert(found.checkpoints.begin(), found.checkpoints.end());
      EXPECT_FALSE(found.in_pack) << "not set aside: " << found.what;
    }
    return names;
  }
  static Status VerifyStep(Store* store, const std::string& name) {
    auto resolved = ResolveCheckpoint(store, name);
    if (!resolved.ok()) return resolved.status();
    return VerifyCheckpoint(store, resolved->ranks);
  }
  static CheckpointState State(Store* store, const std::string& name) {
    auto resolved = ResolveCheckpoint(store, name);
    EXPECT_TRUE(resolved.ok()) << resolved.status().ToString();
    auto state = StateOf(store, resolved->view, resolved->ranks.front());
    EXPECT_TRUE(state.ok()) << state.status().ToString();
    return *state;
  }
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
  std::vector<std::string> Quarantined() const {
    std::vector<std::string> files;
    if (!std::filesystem::exists(tmp_ / "store/quarantine")) return files;
    for (const auto& file : std::filesystem::directory_iterator(tmp_ / "store/quarantine")) {
      files.push_back(file.path().string());
    }
    return files;
  }
};

TEST_F(RepairTest, SetsTheDamagedPackAsideAndKeepsWhatIsSound) {
  Arrays arrays{{"x", Numbers(8192 * 3, 1)}, {"y", Numbers(8192, 2)}};
  {
    auto store = Open();
    SaveArrays(store.get(), arrays);
    arrays["x"] = Numbers(8192 * 3, 3);
    SaveArrays(store.get(), arrays);
    FlipByte(BigPack(), PlaceOf(store.get(), "melt@2", "x") + 100);
  }
  std::string pack = BigPack();
  std::string bytes = ReadWholeFile(pack);
  {
    RepairReport plan = Repair(OpenToRead().get(), true);
    EXPECT_EQ(Lost(plan), std::set<std::string>{"melt@1:2"});
    EXPECT_EQ(plan.lost[0].entries, std::vector<std::string>{"x"});
    EXPECT_FALSE(plan.lost[0].all || plan.lost[0].rest);
    ASSERT_EQ(plan.packs.size(), 1u);
    EXPECT_EQ(ReadWholeFile(pack), bytes) << "a dry run changes nothing";
    EXPECT_TRUE(Quarantined().empty());
  }
  auto store = Open();
  RepairReport report = Repair(store.get());
  EXPECT_EQ(Lost(report), std::set<std::string>{"melt@1:2"});
  ASSERT_EQ(report.packs.size(), 1u);
  EXPECT_EQ(report.packs[0].lost_chunks, 1u);
  EXPECT_GT(report.packs[0].kept_chunks, 3u);
  ASSERT_EQ(report.found.newest_sound.size(), 1u);
  EXPECT_EQ(report.found.newest_sound[0].row.step, 1);
  EXPECT_FALSE(std::filesystem::exists(pack));
  ASSERT_EQ(Quarantined().size(), 1u);
  EXPECT_EQ(ReadWholeFile(Quarantined()[0]), bytes) << "as it was";
  for (bool anew : {false, true}) {
    if (anew) store = Open();
    EXPECT_EQ(Hurt(store.get()), std::set<std::string>{"melt@1:2"});
    EXPECT_TRUE(VerifyStep(store.get(), "melt@1").ok());
    EXPECT_EQ(State(store.get(), "melt@2"), CheckpointState::kDamaged) << "never taken for sound";
    EXPECT_EQ(VerifyStep(store.get(), "melt@2").code(), Code::kCorruption);
  }
  EXPECT_EQ(ResolveCheckpoint(store.get(), "melt")->ranks.front().step, 1);
  EXPECT_TRUE(Repair(store.get()).packs.empty()) << "there is nothing left to set aside";
  SaveArrays(store.get(), arrays, "other");
  EXPECT_TRUE(Hurt(OpenToRead().get()).empty()) << "the same data saved anew heals";
  store = OpenToRead();
  EXPECT_TRUE(VerifyStep(store.get(), "melt@2").ok());
  EXPECT_EQ(State(store.get(), "melt@2"), CheckpointState::kCommitted);
}

// Whatever byte is damaged: a checkpoint that could be read before repair can be read after, one
// that could not reads as damaged or is gone, and a second repair finds nothing to do.
TEST_F(RepairTest, KeepsWhateverCouldBeReadWhereverTheDamageIs) {
  options_.format.array_chunk_bytes = 4096;
  {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(3000, 1)}, {"y", Numbers(2000, 2)}});
    SaveArrays(store.get(), {{"x", Numbers(3000, 1)}, {"y", Numbers(2000, 3)}});
  }
  std::filesystem::copy(tmp_ / "store", tmp_ / "sound", std::filesystem::copy_options::recursive);
  std::uint64_t bytes = std::filesystem::file_size(BigPack());
  int lost = 0;
  for (std::uint64_t at = 0; at < bytes; at += 499 * kSweepStride) {
    std::filesystem::remove_all(tmp_ / "store");
    std::filesystem::copy(tmp_ / "sound", tmp_ / "store", std::filesystem::copy_options::recursive);
    FlipByte(BigPack(), at);
    std::map<std::string, bool> read;
    for (const char* name : {"melt@1", "melt@2"}) {
      read[name] = VerifyStep(OpenToRead().get(), name).ok();
      lost += !read[name];
    }
    RepairReport report = Repair(Open().get());
    bool damaged = !report.found.damage.empty();
    EXPECT_EQ(report.packs.size(), damaged ? 1u : 0u) << "byte " << at;
    EXPECT_EQ(Quarantined().size(), damaged ? 1u : 0u) << "byte " << at;
    auto store = OpenToRead();
    for (const auto& [name, before] : read) {
      EXPECT_EQ(VerifyStep(store.get(), name).ok(), before) << name << ", byte " << at;
    }
    EXPECT_TRUE(Repair(Open().get()).packs.empty()) << "byte " << at;
  }
  EXPECT_GT(lost, kSanitized ? 1 : 10);
}

TEST_F(RepairTest, WhatNeedsAPackThatIsGoneHealsWhenItIsSavedAnew) {
  options_.format.pack_bytes_max = 1 << 20;
  std::string text = RandomText(6 << 20, 1);
  {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(10, 1)}}, "small");
    WriteFile(tmp_ / "d/f", text);
    WriteFile(tmp_ / "d/g", "sound");
    SaveDir(store.get());
  }
  auto store = OpenToRead();
  std::string victim;
  for (const std::string& path : Packs()) {
    Id128 id;
    ASSERT_TRUE(ParsePackFileName(std::filesystem::path(path).filename().string(), &id));
    auto contents = (*store->packs()->Get(id))->Contents();
    if (contents.ok() && (*contents)->records.empty()) victim = path;
  }
  ASSERT_FALSE(victim.empty());
  std::filesystem::remove(victim);
  store = Open();
  EXPECT_EQ(VerifyStep(store.get(), "melt@1").code(), Code::kCorruption);
  RepairReport report = Repair(store.get());
  EXPECT_EQ(report.gone.size(), 1u);
  ASSERT_EQ(Lost(report), std::set<std::string>{"melt@1:1"});
  EXPECT_EQ(report.lost[0].entries, std::vector<std::string>{"d/f"});
  EXPECT_EQ(State(store.get(), "melt@1"), CheckpointState::kDamaged);
  EXPECT_TRUE(VerifyStep(store.get(), "small@1").ok());
  SaveFilesOptions save;
  save.save.series = "again";
  save.reread = true;
  ASSERT_TRUE(SaveFiles(store.get(), {"d"}, save).ok());
  store = OpenToRead();
  EXPECT_TRUE(VerifyStep(store.get(), "melt@1").ok());
  EXPECT_EQ(State(store.get(), "melt@1"), CheckpointState::kCommitted);
  EXPECT_TRUE(Hurt(store.get()).empty());
}

// What was in a pack that is gone may be elsewhere by the time of the repair.
TEST_F(RepairTest, WhatWasSavedAnewBeforeTheRepairIsNotLost) {
  WriteFile(tmp_ / "d/f", RandomText(300000, 1));
  {
    auto store = Open();
    SaveDir(store.get());
  }
  const std::vector<std::string> before = Packs();
  std::string content;  // the pack that is no reserve
  for (const std::string& path : before) {
    if (std::filesystem::file_size(path) < (1 << 20)) content = path;
  }
  ASSERT_FALSE(content.empty());
  auto elsewhere = Open();
  SaveOptions hold;  // its pack is held, so the next goes into another
  hold.series = "hold";
  auto holder = CheckpointWriter::Begin(elsewhere.get(), hold);
  ASSERT_TRUE(holder.ok());
  auto store = Open();
  SaveDir(store.get());
  holder->reset();
  ASSERT_GT(Packs().size(), before.size());
  std::filesystem::remove(content);
  store = Open();
  SaveFilesOptions save;
  save.save.series = "again";
  save.reread = true;
  ASSERT_TRUE(SaveFiles(store.get(), {"d"}, save).ok());
  RepairReport report = Repair(store.get());
  EXPECT_EQ(report.gone.size(), 1u);
  EXPECT_FALSE(Lost(report).contains("melt@1:2"));
  EXPECT_TRUE(VerifyStep(store.get(), "melt@2").ok());
}

TEST_F(RepairTest, ALiveWriterOfTheDamagedPackIsInTheWay) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(8192, 1)}});
  SaveOptions save;
  save.series = "other";
  auto writer = ArrayWriter::Begin(store.get(), save);  // continues the pack
  ASSERT_TRUE(writer.ok());
  FlipByte(BigPack(), PlaceOf(store.get(), "melt", "x"));
  std::string bytes = ReadWholeFile(BigPack());
  RepairOptions options;
  options.wait_ms = 0;
  EXPECT_EQ(RepairStore(Open().get(), options).status().code(), Code::kBusy);
  EXPECT_EQ(ReadWholeFile(BigPack()), bytes);
  EXPECT_TRUE(Quarantined().empty());
}

TEST_F(RepairTest, ACollectionAfterItKeepsTheMemoryOfWhatWasLost) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(8192 * 2, 1)}, {"y", Numbers(8192 * 2, 2)}});
  SaveArrays(store.get(), {{"x", Numbers(8192 * 9, 5)}}, "garbage");
  SaveArrays(store.get(), {{"x", Numbers(8192, 6)}}, "garbage");
  FlipByte(BigPack(), PlaceOf(store.get(), "melt", "x"));
  Repair(store.get());
  ASSERT_EQ(State(store.get(), "melt@1"), CheckpointState::kDamaged);
  auto removals = PlanRemoval(store.get(), {"garbage@1"}, true);
  ASSERT_TRUE(removals.ok());
  ASSERT_OK(CommitRemovals(store.get(), *removals, 0));
  auto collected = collect_test::Collect(store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  EXPECT_GT(collected->packs_removed, 0u);
  store = Open();
  EXPECT_EQ(State(store.get(), "melt@1"), CheckpointState::kDamaged);
  EXPECT_EQ(Hurt(store.get()), std::set<std::string>{"melt@1:1"});
  EXPECT_TRUE(VerifyStep(store.get(), "garbage@2").ok());
}

// Two saves at once store the same chunks twice, neither knowing of the other's.
TEST_F(RepairTest, WhatIsSoundInAnotherPackStandsIn) {
  const std::vector<double> numbers = Numbers(8192 * 3, 1);
  const ByteSpan bytes = std::as_bytes(std::span(numbers));
  {
    auto one = Open(), two = Open();
    std::vector<std::unique_ptr<ArrayWriter>> writers;
    for (auto [store, series] : {std::pair(one.get(), "a"), std::pair(two.get(), "b")}) {
      SaveOptions options;
      options.series = series;
      auto writer = ArrayWriter::Begin(store, options);
      ASSERT_TRUE(writer.ok());
      writers.push_back(*std::move(writer));
    }
    for (auto& writer : writers) {
      ASSERT_OK(writer->Put("x", bytes, {Dtype::kFloat64, false, 8, {numbers.size()}, {}, {}}));
    }
    for (auto& writer : writers) ASSERT_TRUE(writer->End().ok());
  }
  ASSERT_EQ(Packs().size(), 2u);
  const std::uint64_t at = PayloadPlaces(OpenToRead().get(), BigPack()).begin()->second;
  FlipByte(BigPack(), at + 100);
  auto store = Open();
  RepairReport report = Repair(store.get());
  EXPECT_EQ(Lost(report), std::set<std::string>());
  ASSERT_EQ(report.packs.size(), 1u);
  EXPECT_EQ(report.packs[0].lost_chunks, 0u);
  store = OpenToRead();
  for (const char* name : {"a@1", "b@1"}) {
    EXPECT_TRUE(VerifyStep(store.get(), name).ok()) << name;
    EXPECT_EQ(State(store.get(), name), CheckpointState::kCommitted) << name;
  }
  EXPECT_TRUE(Hurt(store.get()).empty());
}

TEST_F(RepairTest, APackThatWasPutBackGoesAsideUnderAnotherName) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(8192, 1)}});
  const std::string pack = BigPack();
  FlipByte(pack, PlaceOf(store.get(), "melt", "x") + 100);
  const std::string damaged = ReadWholeFile(pack);
  Repair(store.get());
  ASSERT_EQ(Quarantined().size(), 1u);
  std::filesystem::copy(Quarantined()[0], pack);
  Repair(Open().get());
  ASSERT_EQ(Quarantined().size(), 2u);
  for (const std::string& path : Quarantined()) EXPECT_EQ(ReadWholeFile(path), damaged) << path;
  EXPECT_FALSE(std::filesystem::exists(pack));
}

// ---- what is not there, told by the index ----------------------------------------------------

class LostPackTest : public RepairTest {
 protected:
  LostPackTest() { options_.use_index = true; }

  // Series "a" and "b", each alone in a pack; answers that of "b".
  std::string SaveTwo() {
    SaveArrays(Open().get(), {{"x", Numbers(40000, 1)}}, "a");
    std::vector<std::string> before = Packs();
    auto other = Open();
    auto in_the_way = ChunkWriter::Open(other.get());  // has the first pack
    EXPECT_TRUE(in_the_way.ok());
    SaveArrays(Open().get(), {{"x", Numbers(40000, 2)}}, "b");
    for (const std::string& path : Packs()) {
      if (std::find(before.begin(), before.end(), path) == before.end()) return path;
    }
    ADD_FAILURE() << "no pack of its own";
    return "";
  }
  std::unique_ptr<Store> OpenHearing(std::string* heard) {
    OpenStoreOptions options = options_;
    options.mode = OpenStoreOptions::Mode::kWrite;
    options.notice = [heard](const std::string& text) { *heard += text + "\n"; };
    auto store = Store::Open(PosixEnv(), tmp_ / "store", options);
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return *std::move(store);
  }
};

TEST_F(LostPackTest, ItsCheckpointsStayListedAsDamagedUntilTheStoreIsRepaired) {
  std::string pack = SaveTwo();
  std::string bytes = ReadWholeFile(pack);
  Open();  // an index that saw both
  std::filesystem::remove(pack);
  for (bool save : {false, true}) {
    if (save) SaveArrays(Open().get(), {{"x", Numbers(40000, 3)}}, "c");
    for (auto mode : {OpenStoreOptions::Mode::kRead, OpenStoreOptions::Mode::kWrite}) {
      auto store = Open(mode);
      EXPECT_EQ(State(store.get(), "b@1"), CheckpointState::kDamaged);
      EXPECT_EQ(VerifyStep(store.get(), "b@1").code(), Code::kCorruption);
      EXPECT_EQ(ResolveCheckpoint(store.get(), "b").status().code(), Code::kCorruption);
      EXPECT_EQ(Hurt(store.get()), std::set<std::string>{"b@1:1"});
      EXPECT_TRUE(VerifyStep(store.get(), "a@1").ok());
    }
  }
  std::string heard;
  OpenHearing(&heard);
  EXPECT_NE(heard.find("is gone, and no collection moved it"), std::string::npos) << heard;
  WriteFile(pack, bytes);
  EXPECT_TRUE(VerifyStep(Open().get(), "b@1").ok()) << "put back";
  EXPECT_TRUE(Hurt(Open().get()).empty());
  std::filesystem::remove(pack);
  EXPECT_EQ(Lost(Repair(Open().get())), std::set<std::string>{"b@1:1"});
  heard.clear();
  auto store = OpenHearing(&heard);
  EXPECT_EQ(heard, "");
  EXPECT_TRUE(Hurt(store.get()).empty());
  EXPECT_EQ(VerifyStep(store.get(), "b@1").code(), Code::kNotFound) << "given up, and said so";
}

TEST_F(LostPackTest, OneThatWasCutAtAMarkIsNamed) {
  std::string pack;
  {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(4000, 1)}}, "a");
    pack = BigPack();
  }
  std::uint64_t end = std::filesystem::file_size(pack);
  SaveArrays(Open().get(), {{"x", Numbers(4000, 2)}}, "b");
  ASSERT_GT(std::filesystem::file_size(pack), end);
  std::string bytes = ReadWholeFile(pack);
  WriteFile(pack, bytes.substr(0, end));
  for (bool save : {false, true}) {
    if (save) SaveArrays(Open().get(), {{"x", Numbers(4000, 3)}}, "c");
    EXPECT_EQ(std::filesystem::file_size(pack), end) << "nobody continues it";
    auto store = Open();
    EXPECT_EQ(VerifyStep(store.get(), "b@1").code(), Code::kCorruption);
    EXPECT_TRUE(VerifyStep(store.get(), "a@1").ok());
  }
  EXPECT_EQ(Lost(Repair(Open().get())), std::set<std::string>{"b@1:1"});
  auto store = Open();
  EXPECT_TRUE(Hurt(store.get()).empty());
  EXPECT_TRUE(VerifyStep(store.get(), "a@1").ok());
  EXPECT_TRUE(VerifyStep(store.get(), "c@1").ok());
}

TEST_F(LostPackTest, WhatAnotherHostCollectedIsNoLoss) {
  SaveTwo();
  Open();
  OpenStoreOptions mine = options_;
  options_.index_dir = tmp_ / "elsewhere";
  std::filesystem::create_directory(tmp_ / "elsewhere");
  for (int i = 1; i <= 3; ++i) {  // moved records of before are dropped again
    auto store = Open(OpenStoreOptions::Mode::kWrite);
    SaveArrays(store.get(), {{"x", Numbers(40000, 10 + static_cast<std::uint64_t>(i))}}, "c");
    auto removals = PlanRemoval(store.get(),
                                {i == 1 ? std::string("b@1") : "c@" + std::to_string(i - 1)}, true);
    ASSERT_TRUE(removals.ok()) << removals.status().ToString();
    ASSERT_OK(CommitRemovals(store.get(), *removals, 0));
    ASSERT_TRUE(collect_test::Collect(store.get()).ok());
  }
  options_ = mine;
  std::string heard;
  auto store = OpenHearing(&heard);
  EXPECT_EQ(heard, "");
  EXPECT_TRUE(store->LostPacks().empty());
  EXPECT_TRUE(Hurt(store.get()).empty());
}

TEST_F(LostPackTest, ACopyOfTheStoreIsAnotherPlace) {
  options_.index_dir = tmp_ / "shared";
  std::filesystem::create_directory(tmp_ / "shared");
  std::string pack = SaveTwo();
  Open();
  std::filesystem::copy(tmp_ / "store", tmp_ / "copy", std::filesystem::copy_options::recursive);
  std::filesystem::rename(tmp_ / "store", tmp_ / "original");
  std::filesystem::rename(tmp_ / "copy", tmp_ / "store");
  std::filesystem::remove(pack);  // of the copy, of which the index knows nothing
  std::string heard;
  EXPECT_TRUE(OpenHearing(&heard)->LostPacks().empty());
  EXPECT_EQ(heard, "");
}

}  // namespace
}  // namespace ckpt
