// What saving, restoring and opening refuse, and what they take instead of refusing.

#include <sys/stat.h>

#include <limits>

#include "store/codec/hash.h"
#include "store/engine/diff.h"
#include "store/engine/id_table.h"
#include "store/engine/record_index.h"
#include "store/engine/restore_files.h"
#include "store/engine/retention.h"
#include "store/engine/save_files.h"
#include "store/engine/series.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

class Refused : public LookTest {
 protected:
  static Code Begin(Store* store, const std::function<void(SaveOptions*)>& change) {
    SaveOptions options;
    options.series = "melt";
    change(&options);
    return CheckpointWriter::Begin(store, options).status().code();
  }
  Code Restore(Store* store, bool force = false,
               const std::function<void(RestoreFilesOptions*)>& change = {}) {
    RestoreFilesOptions options;
    options.checkpoint = "melt";
    options.to = tmp_ / "out";
    options.force = force;
    if (change) change(&options);
    return RestoreFiles(store, options).status().code();
  }
};

TEST_F(Refused, StepsAndRanksThatCannotBe) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(10, 1)}});  // step 1
  SaveArrays(store.get(), {{"x", Numbers(10, 2)}});
  for (const std::int64_t step : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(Begin(store.get(), [&](SaveOptions* o) { o->step = step; }), Code::kInvalidArgument);
    EXPECT_EQ(Begin(store.get(),
                    [&](SaveOptions* o) {
                      o->step = step;
                      o->run = RunAttempt{store->env()->RandomId()};
                    }),
              Code::kInvalidArgument);
  }
  EXPECT_EQ(Begin(store.get(), [](SaveOptions* o) { o->ranks = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(Begin(store.get(),
                  [](SaveOptions* o) {
                    o->rank = o->ranks = 2;
                    o->step = 3;
                    o->run_id = "a";
                  }),
            Code::kInvalidArgument);
  // Back to a step that is not there; to one, with a step that is not above it.
  EXPECT_EQ(Begin(store.get(), [](SaveOptions* o) { o->from_step = 9; }), Code::kNotFound);
  EXPECT_EQ(Begin(store.get(),
                  [](SaveOptions* o) {
                    o->from_step = 2;
                    o->step = 2;
                  }),
            Code::kInvalidArgument);
  EXPECT_EQ(Begin(store.get(), [](SaveOptions* o) { o->step = 3; }), Code::kOk);
}

// A group that one rank saved into is no parent for the next run.
TEST_F(Refused, PartOfAGroupIsNotContinued) {
  auto store = Open();
  const auto save = [&](std::int64_t step, std::uint32_t rank, const char* run) {
    SaveOptions options;
    options.series = "ranks";
    options.step = step;
    options.rank = rank;
    options.ranks = 2;
    options.run_id = run;
    auto writer = CheckpointWriter::Begin(store.get(), options);
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
    const bool continues = (*writer)->previous() != nullptr;
    EXPECT_TRUE((*writer)->End().ok());
    return continues ? (*writer)->previous()->step : 0;
  };
  EXPECT_EQ(save(1, 0, "first"), 0);
  EXPECT_EQ(save(1, 1, "first"), 0);
  EXPECT_EQ(save(2, 0, "first"), 1);
  EXPECT_EQ(save(3, 0, "second"), 1);  // step 2 lacks rank 1
  EXPECT_EQ(save(3, 1, "second"), 1);
  EXPECT_EQ(save(4, 1, "second"), 3);
}

TEST_F(Refused, NothingToSave) {
  auto store = Open();
  SaveFilesOptions options;
  options.save.series = "melt";
  EXPECT_EQ(SaveFiles(store.get(), {}, options).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(SaveFiles(store.get(), {""}, options).status().code(), Code::kInvalidArgument);
  ASSERT_EQ(mkfifo((tmp_ / "d/pipe").c_str(), 0600), 0);
  EXPECT_EQ(SaveFiles(store.get(), {"d/pipe"}, options).status().code(), Code::kInvalidArgument);
  fs::create_symlink("loop", tmp_ / "loop");
  EXPECT_FALSE(SaveFiles(store.get(), {"loop/x/"}, options).ok());
  auto saved = SaveFiles(store.get(), {"d"}, options);  // in a folder, it is left out
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_EQ(saved->entries, 1u);
}

TEST_F(Refused, WhatIsInTheWayOfARestore) {
  WriteFile(tmp_ / "d/file", "bytes");
  fs::create_symlink("file", tmp_ / "d/link");
  fs::create_directory(tmp_ / "d/folder");
  auto store = Open();
  SaveDir(store.get());
  const std::string to = tmp_ / "out/d";
  const auto with = [&](const std::function<void()>& put) {
    fs::remove_all(tmp_ / "out");
    fs::create_directories(to);
    put();
    return Restore(store.get());
  };
  EXPECT_EQ(with([&] { fs::create_directory(to + "/file"); }), Code::kExists);
  EXPECT_EQ(with([&] { WriteFile(to + "/folder", ""); }), Code::kExists);
  EXPECT_EQ(with([&] { WriteFile(to + "/link", "file"); }), Code::kExists);
  EXPECT_EQ(with([&] { fs::create_symlink("other", to + "/link"); }), Code::kExists);
  EXPECT_EQ(with([&] { fs::create_symlink("file", to + "/file"); }), Code::kExists);
  EXPECT_EQ(with([&] { WriteFile(to + "/file", "other"); }), Code::kExists);
  EXPECT_EQ(Restore(store.get(), true), Code::kOk);
  EXPECT_EQ(ReadWholeFile(to + "/file"), "bytes");
  EXPECT_EQ(fs::read_symlink(to + "/link"), "file");
  // Everything is there now, but for a mode; then for a time.
  ASSERT_EQ(chmod((to + "/file").c_str(), 0600), 0);
  ASSERT_EQ(chmod((tmp_ / "d/file").c_str(), 0644), 0);
  EXPECT_EQ(Restore(store.get()), Code::kOk);
  struct stat info {};
  ASSERT_EQ(stat((to + "/file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0644u);
}

TEST_F(Refused, ARestoreStopsWhenItsCallerSaysSo) {
  WriteFile(tmp_ / "d/file", "bytes");
  auto store = Open();
  SaveDir(store.get());
  EXPECT_EQ(Restore(store.get(), false,
                    [](RestoreFilesOptions* o) {
                      o->entry = [](const std::string& name, std::uint64_t) {
                        return name != "d/file";
                      };
                    }),
            Code::kCancelled);
  EXPECT_FALSE(fs::exists(tmp_ / "out"));
}

TEST_F(Refused, ALinkOfAFileThatIsNotWantedIsAFile) {
  WriteFile(tmp_ / "d/a", RandomText(100000, 1));
  fs::create_hard_link(tmp_ / "d/a", tmp_ / "d/b");
  auto store = Open();
  SaveDir(store.get());
  const auto only_b = [](RestoreFilesOptions* o) { o->includes = {"d/b"}; };
  EXPECT_EQ(Restore(store.get(), false, only_b), Code::kOk);
  EXPECT_FALSE(fs::exists(tmp_ / "out/d/a"));
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/b"), ReadWholeFile(tmp_ / "d/a"));
  EXPECT_EQ(Restore(store.get(), false, only_b), Code::kOk);
  EXPECT_EQ(Restore(store.get(), false, [](RestoreFilesOptions* o) { o->includes = {"none"}; }),
            Code::kNotFound);
}

TEST_F(Refused, ArraysAreLeftOutOfAFolder) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(10, 1)}});
  EXPECT_EQ(Restore(store.get()), Code::kUnsupported);
  EXPECT_FALSE(fs::exists(tmp_ / "out"));
}

TEST_F(Refused, StoresThatCannotBeMadeOrWritten) {
  options_.mode = OpenStoreOptions::Mode::kCreate;
  const Status nowhere = Store::Open(PosixEnv(), tmp_ / "no/folder/store", options_).status();
  EXPECT_EQ(nowhere.code(), Code::kIo) << nowhere.ToString();
  WriteFile(tmp_ / "file", "");
  EXPECT_FALSE(Store::Open(PosixEnv(), tmp_ / "file", options_).ok());
  {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(10, 1)}});
  }
  // A feature of a later build that concerns writers.
  std::string format = ReadWholeFile(tmp_ / "store/format");
  format[24] = 2;
  const std::uint64_t checksum = Checksum64(AsBytes(format).first(format.size() - 8));
  std::memcpy(format.data() + format.size() - 8, &checksum, 8);
  WriteFile(tmp_ / "store/format", format);
  options_.mode = OpenStoreOptions::Mode::kWrite;
  EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "store", options_).status().code(), Code::kUnsupported);
  auto reader = OpenToRead();
  ASSERT_NE(reader, nullptr);
  EXPECT_TRUE(ResolveCheckpoint(reader.get(), "melt@1").ok());
}

// Packs say whose they are; strays among them, and what is no pack, are outnumbered.
TEST_F(Refused, WithoutItsFormatAStoreIsReadAmongStrays) {
  {
    auto store = Open();
    for (int i = 0; i < 2; ++i) SaveArrays(store.get(), {{"x", Numbers(10, 1)}});
  }
  fs::remove(tmp_ / "store/format");
  WriteFile(tmp_ / ("store/packs/" + std::string(32, 'a') + ".pack"), "short");
  WriteFile(tmp_ / ("store/packs/" + std::string(32, 'b') + ".pack"),
            ReadWholeFile(BigPack()).substr(0, kPackHeaderBytes));  // under another name
  auto reader = OpenToRead();
  ASSERT_NE(reader, nullptr);
  EXPECT_TRUE(reader->format_lost());
  EXPECT_TRUE(ResolveCheckpoint(reader.get(), "melt@2").ok());
  options_.mode = OpenStoreOptions::Mode::kWrite;
  EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "store", options_).status().code(), Code::kCorruption);
}

TEST_F(Refused, RulesOfRetentionThatAreNegative) {
  auto store = Open();
  RetentionRules rules;
  rules.keep_every = -1;
  EXPECT_EQ(PlanRetention(store.get(), rules).status().code(), Code::kInvalidArgument);
  rules = RetentionRules();
  rules.keep_within_ns = -1;
  EXPECT_EQ(PlanRetention(store.get(), rules).status().code(), Code::kInvalidArgument);
}

TEST_F(Refused, AttemptsAreNamedByTheirNumberOrTheBeginningOfTheirId) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(10, 1)}});
  const auto found = ResolveCheckpoint(store.get(), "melt@1");
  ASSERT_TRUE(found.ok());
  const std::string id = found->ranks.front().attempt.id.ToHex();
  const auto code = [&](const std::string& attempt) {
    return ResolveCheckpoint(store.get(), "melt@" + attempt + ":1").status().code();
  };
  EXPECT_EQ(code("1"), Code::kOk);
  EXPECT_EQ(code("2"), Code::kNotFound);
  EXPECT_EQ(code(id.substr(0, 8)), Code::kOk);
  const std::string other = (id[0] == 'f' ? "e" : "f") + id.substr(1, 7);
  EXPECT_EQ(code(other), Code::kNotFound);
}

TEST_F(Refused, WhatTheCallerDoesNotConfirmIsNoCheckpoint) {
  WriteFile(tmp_ / "d/file", "bytes");
  auto store = Open();
  SaveFilesOptions options;
  options.save.series = "melt";
  bool answer = false;
  options.confirm = [&] { return answer; };
  EXPECT_EQ(SaveFiles(store.get(), {"d"}, options).status().code(), Code::kCancelled);
  EXPECT_EQ(ResolveCheckpoint(store.get(), "melt").status().code(), Code::kNotFound);
  answer = true;
  EXPECT_TRUE(SaveFiles(store.get(), {"d"}, options).ok());
  EXPECT_TRUE(ResolveCheckpoint(store.get(), "melt@1").ok());
  options.stream = [](MutableByteSpan) -> Result<std::size_t> { return std::size_t{0}; };
  options.stream_name = "stream";
  EXPECT_EQ(SaveFiles(store.get(), {"d"}, options).status().code(), Code::kInvalidArgument);
}

TEST(Names, OfStatesAndDifferences) {
  EXPECT_EQ(StateName(CheckpointState::kCommitted), "committed");
  EXPECT_EQ(StateName(CheckpointState::kStaged), "staged");
  EXPECT_EQ(StateName(CheckpointState::kIncomplete), "incomplete");
  EXPECT_EQ(StateName(CheckpointState::kDamaged), "damaged");
  EXPECT_EQ(DiffStatusName(DiffStatus::kAdded), "added");
  EXPECT_EQ(DiffStatusName(DiffStatus::kRemoved), "removed");
  EXPECT_EQ(DiffStatusName(DiffStatus::kChanged), "changed");
  EXPECT_EQ(DiffStatusName(DiffStatus::kMetadata), "metadata");
}

// Rows of an index that are too short say nothing, and nothing behind them is read.
TEST(IndexRecords, ShortRowsAreRefused) {
  const Bytes some(3);
  EXPECT_EQ(ParseCheckpointSummary(some).status().code(), Code::kCorruption);
  EXPECT_EQ(ParseTombstoneKey(AsBytes("tmelt")).status().code(), Code::kCorruption);
  EXPECT_EQ(ParseTombstoneKey({}).status().code(), Code::kCorruption);
  EXPECT_TRUE(PayloadOfValue(some).empty());
  EXPECT_FALSE(IsStagedValue({}));
  EXPECT_EQ(OffsetOfValue(some), 0u);
}

TEST(IdTable, HasRoomForZeros) {
  IdTable<int> table;
  EXPECT_EQ(table.Find(Id128()), nullptr);
  EXPECT_TRUE(table.Insert(Id128()).second);
  *table.Insert(Id128()).first = 7;
  EXPECT_FALSE(table.Insert(Id128()).second);
  Id128 one;
  one.bytes[0] = 1;
  *table.Insert(one).first = 1;
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(*table.Find(Id128()), 7);
  int sum = 0;
  table.ForEach([&](const Id128&, int value) { sum += value; });
  EXPECT_EQ(sum, 8);
}

}  // namespace
}  // namespace ckpt
