// An unmarked tail of a dead writer, on this host and from another: restored from by anybody, never
// made durable where it is, never deduplicated against, taken over by the series' next writer.

#include "tests/support/dead_writer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "store/engine/restore_files.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

enum class Host { kSame, kOther };

class DeadWriter : public LookTest, public ::testing::WithParamInterface<Host> {
 protected:
  ~DeadWriter() override { unsetenv("CKPT_HOST_ID"); }

  // Step 1 is committed, step 2 staged by a process that died; then we are on the host of the
  // parameter.
  void SetUp() override {
    setenv("CKPT_HOST_ID", "where-it-died", 1);
    WriteFile(tmp_ / "d/f", RandomText(300000, 1));
    SaveDir(Open().get());
    WriteFile(tmp_ / "d/f", RandomText(300000, 2));
    ASSERT_TRUE(DiesBeforeItsMark([&] { SaveDir(Open().get()); }));
    if (GetParam() == Host::kOther) setenv("CKPT_HOST_ID", "another", 1);
    options_.notice = [this](const std::string& text) { notices_ += text + "\n"; };
  }

  static CheckpointState StateOfStep(Store* store, std::int64_t step) {
    auto view = SeriesView::Load(store, "melt");
    EXPECT_TRUE(view.ok()) << view.status().ToString();
    const CheckpointRow* row = view.ok() ? view->FindStep(step) : nullptr;
    EXPECT_NE(row, nullptr) << "step " << step;
    if (row == nullptr) return CheckpointState::kIncomplete;
    auto state = StateOf(store, *view, *row);
    EXPECT_TRUE(state.ok()) << state.status().ToString();
    return state.ok() ? *state : CheckpointState::kIncomplete;
  }

  // What `name` restores for d/f.
  Result<std::string> Restored(Store* store, const std::string& name, bool fallback = false) {
    RestoreFilesOptions options;
    options.checkpoint = name;
    options.to = tmp_ / "out";
    options.force = true;
    options.fallback = fallback;
    auto restored = RestoreFiles(store, options);
    if (!restored.ok()) return restored.status();
    return ReadWholeFile(tmp_ / "out/d/f");
  }

  std::string notices_;
};

TEST_P(DeadWriter, WhatItStagedIsRestoredAndNotMadeDurable) {
  auto pack = ReadWholeFile(BigPack());
  auto store = OpenToRead();
  EXPECT_EQ(StateOfStep(store.get(), 1), CheckpointState::kCommitted);
  EXPECT_EQ(StateOfStep(store.get(), 2), CheckpointState::kStaged);
  auto newest = Restored(store.get(), "melt");
  ASSERT_TRUE(newest.ok()) << newest.status().ToString();
  EXPECT_EQ(*newest, RandomText(300000, 2));
  EXPECT_EQ(*Restored(store.get(), "melt@1"), RandomText(300000, 1));
  EXPECT_EQ(ReadWholeFile(BigPack()), pack);
}

TEST_P(DeadWriter, NextWriterOfTheSeriesTakesItOver) {
  std::string tail = BigPack();
  std::string before = ReadWholeFile(tail);
  {
    auto store = Open();
    EXPECT_EQ(SaveDir(store.get()).step, 3);
    EXPECT_NE(notices_.find("took over melt@1:2"), std::string::npos) << notices_;
  }
  EXPECT_EQ(ReadWholeFile(tail).substr(0, before.size()), before);
  EXPECT_EQ(StateOfStep(OpenToRead().get(), 2), CheckpointState::kCommitted);
  // Without the dead writer's tail, too.
  std::filesystem::resize_file(tail, before.size() / 2);
  auto store = OpenToRead();
  EXPECT_EQ(*Restored(store.get(), "melt@2"), RandomText(300000, 2));
}

TEST_P(DeadWriter, OtherSeriesDoNotRelyOnIt) {
  auto store = Open();
  Saved saved = SaveDir(store.get(), "other");
  EXPECT_EQ(saved.new_bytes, 300000u);
  EXPECT_EQ(notices_.find("took over"), std::string::npos) << notices_;
  EXPECT_EQ(StateOfStep(store.get(), 2), CheckpointState::kStaged);
}

// Its last write never reached the disk: the tail does not verify.
TEST_P(DeadWriter, TornTailIsPassedOverAndItsStepSavedAnew) {
  std::string tail;
  std::uint64_t at = 0;
  {
    auto store = OpenToRead();
    auto view = SeriesView::Load(store.get(), "melt");
    Id128 id = view->FindStep(2)->pack_id;
    tail = tmp_ / ("store/packs/" + PackFileName(id));
    auto contents = (*PackReader::Open(store->packs_dir(), id, store->format().uuid))->ReadFrom(0);
    ASSERT_FALSE(contents->tail_chunks.empty());
    at = contents->tail_chunks.front().offset + kRecordHeaderBytes + 100;
  }
  FlipByte(tail, at);
  auto store = Open();
  EXPECT_EQ(Restored(store.get(), "melt@2").status().code(), Code::kCorruption);
  auto sound = Restored(store.get(), "melt", true);
  ASSERT_TRUE(sound.ok()) << sound.status().ToString();
  EXPECT_EQ(*sound, RandomText(300000, 1));
  Saved saved = SaveDir(store.get());
  EXPECT_EQ(notices_.find("took over"), std::string::npos) << notices_;
  auto again = Restored(store.get(), "melt@" + std::to_string(saved.step));
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(*again, RandomText(300000, 2));
}

INSTANTIATE_TEST_SUITE_P(Hosts, DeadWriter, ::testing::Values(Host::kSame, Host::kOther),
                         [](const auto& host) {
                           return host.param == Host::kSame ? "Same" : "Other";
                         });

}  // namespace
}  // namespace ckpt
