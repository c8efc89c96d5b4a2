// A writer whose disk failed, or that was given what no record can hold: it says so, at once and
// whatever it is asked next, and what was saved before is there.

#include <cerrno>

#include "store/engine/array_io.h"
#include "store/engine/cat.h"
#include "store/engine/collect_state.h"
#include "store/engine/reserve.h"
#include "store/engine/save_files.h"
#include "store/engine/verify.h"
#include "tests/engine/collect_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

using collect_test::OpenAt;
using Mode = OpenStoreOptions::Mode;

Bytes RandomBytes(std::uint64_t seed, std::size_t count) {
  Bytes bytes(count);
  SimRng(seed).Fill(bytes);
  return bytes;
}

// The sync of a stage, or a mark, failed: no success may follow, although the disk is well again.
TEST(FailedWriter, RefusesWhateverFollows) {
  SimWorld world(3);
  auto store = *OpenAt(&world);
  auto writer = ChunkWriter::Open(store.get());
  ASSERT_TRUE(writer.ok());
  ChunkWriter* chunks = writer->get();
  ChunkEncoder encoder;
  const Bytes raw = RandomBytes(1, 5000);
  ASSERT_TRUE(chunks->Put(raw, HashChunk(raw), {}, &encoder).ok());
  world.FailOp(world.op_count() + 1, EIO, true);
  const Status failed = chunks->Commit(false);
  world.ClearFaults();
  EXPECT_EQ(failed.code(), Code::kIo);
  const Bytes other = RandomBytes(2, 5000);
  Manifest manifest;
  manifest.series = "run";
  manifest.step = 1;
  for (const Status& s :
       {chunks->Put(other, HashChunk(other), {}, &encoder), chunks->PutNode(other).status(),
        chunks->AppendRecord(RecordType::kAttempt, other), chunks->PollEpoch(),
        chunks->RollOverBeyond(1), chunks->StageManifest(&manifest, ChunkWriter::Behind::kStage),
        chunks->Stage(), chunks->Commit(true)}) {
    EXPECT_EQ(s.ToString(), failed.ToString());
  }
  chunks->Abandon();
  chunks->Abandon();  // a second time: nothing
  EXPECT_TRUE(collect_test::Save(store.get(), 1).ok());
}

Status SaveWith(Store* store, const std::function<void(SaveOptions*)>& change, bool stage = false) {
  SaveOptions options;
  options.series = "run";
  change(&options);
  auto writer = CheckpointWriter::Begin(store, options);
  if (!writer.ok()) return writer.status();
  return stage ? (*writer)->Stage().status() : (*writer)->End().status();
}

TEST(FailedWriter, WhatNoRecordHoldsIsRefused) {
  SimWorld world(3);
  auto store = *OpenAt(&world);
  ASSERT_TRUE(collect_test::Save(store.get(), 1).ok());
  const std::string much(100000, 'x');
  const auto refused = [&store](const std::function<void(SaveOptions*)>& change) {
    for (const bool stage : {true, false}) {
      const Status s = SaveWith(store.get(), change, stage);
      EXPECT_EQ(s.code(), Code::kInvalidArgument) << s.ToString().substr(0, 300);
    }
  };
  refused([&](SaveOptions* o) { o->series = ""; });
  refused([&](SaveOptions* o) { o->series = "a/../b@1"; });
  refused([&](SaveOptions* o) { o->tags = {{"key", much}}; });
  refused([&](SaveOptions* o) { o->tags.assign(2000, {"key", "value"}); });
  refused([&](SaveOptions* o) {
    o->step = 2;
    o->run = RunAttempt{collect_test::RunId(4)};
    o->run->begin_now = true;
    o->tags = {{"", "value"}};
  });
  refused([&](SaveOptions* o) {
    o->step = 2;
    o->ranks = 1u << 30;
    o->run = RunAttempt{collect_test::RunId(5)};
  });
  refused([&](SaveOptions* o) {
    o->step = 2;
    o->ranks = 1u << 30;
    o->run = RunAttempt{collect_test::RunId(6)};
    o->run->begin_now = true;
  });
  // A job's name is cut, also where an attempt begins.
  const auto with_job = [&](SaveOptions* o) { o->job_id = much, o->from_step = 1, o->step = 4; };
  EXPECT_EQ(SaveWith(store.get(), with_job).ToString(), "ok");
  SaveFilesOptions stream;
  stream.save.series = "run";
  stream.stream = [](MutableByteSpan) -> Result<std::size_t> { return 0; };
  stream.stream_name = "/absolute";
  EXPECT_EQ(SaveFiles(store.get(), {}, stream).status().code(), Code::kInvalidArgument);
  OpenStoreOptions create;
  create.mode = Mode::kCreate;
  create.use_index = false;
  create.format.pack_bytes_max = 1;
  EXPECT_EQ(Store::Open(&world, "/other", create).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(collect_test::Restore(store.get(), 1).ok());
  EXPECT_TRUE(collect_test::Save(store.get(), 5).ok());
}

// What is written into it would go with it.
TEST(FailedWriter, AReserveThatIsCondemnedIsNotContinued) {
  SimWorld world(3);
  auto store = *OpenAt(&world);
  ASSERT_TRUE(store->Refresh().ok());
  const auto reserve = CurrentReserve(store.get());
  ASSERT_TRUE(reserve.has_value());
  CollectState state;
  state.known = true;
  state.epoch = 3;
  for (const bool broken : {false, true}) {
    state.epoch += 1;
    state.phase = CollectPhase::kCondemned;
    state.condemned.clear();
    (broken ? state.broken : state.condemned) = {*reserve};
    ASSERT_TRUE(WriteCollectState(store.get(), state).ok());
    EXPECT_EQ(ContinueReserve(store.get()).status().code(), Code::kNoSpace);
  }
  state.epoch += 1;
  state.broken.clear();
  ASSERT_TRUE(WriteCollectState(store.get(), state).ok());
  EXPECT_TRUE(ContinueReserve(store.get()).ok());
}

// More than what is under way at once: 64 batches of half a MiB, and eight segments of a stream.
class MuchData : public ::testing::Test {
 protected:
  static constexpr std::size_t kMuch = 40 << 20;

  MuchData() {
    EXPECT_TRUE(world_.MakeDir("/data", 0755).ok());
    OpenOptions create;
    create.mode = OpenMode::kCreate;
    auto dir = *world_.OpenDir("/data");
    auto file = *dir->OpenFile("much", create);
    const Bytes piece = RandomBytes(9, 1 << 20);
    Bytes own = piece;
    for (std::size_t at = 0; at < kMuch; at += own.size()) {
      for (std::size_t i = 0; i < own.size(); i += 1024) own[i] = static_cast<std::byte>(at >> 20);
      EXPECT_TRUE(file->WriteAt(at, own).ok());
    }
    store_ = *OpenAt(&world_);
    EXPECT_TRUE(collect_test::Save(store_.get(), 1).ok());
  }
  Status SaveFile() {
    SaveFilesOptions options;
    options.save.series = "files";
    return SaveFiles(store_.get(), {"/data"}, options).status();
  }
  Status SaveArray() {
    SaveOptions options;
    options.series = "arrays";
    CKPT_ASSIGN_OR_RETURN(auto writer, ArrayWriter::Begin(store_.get(), options));
    ArrayShape shape;
    shape.dtype = Dtype::kUint8;
    shape.shape = {array_.size()};
    CKPT_RETURN_IF_ERROR(writer->Put("x", array_, shape));
    return writer->End().status();
  }

  SimWorld world_{3};
  std::unique_ptr<Store> store_;
  const Bytes array_ = RandomBytes(8, 40 << 20);
};

TEST_F(MuchData, ADiskThatFailsInTheMiddleIsSaidAndLosesNothing) {
  for (const bool file : {true, false}) {
    std::uint64_t failed = 0;
    for (std::uint64_t n = 1; n < 100; n += kSanitized ? 11 : 2) {
      world_.FailOp(world_.op_count() + n, EIO, true);
      const Status saved = file ? SaveFile() : SaveArray();
      world_.ClearFaults();
      if (saved.ok()) break;
      EXPECT_EQ(saved.code(), Code::kIo) << n << ": " << saved.ToString();
      ++failed;
    }
    EXPECT_GT(failed, kSanitized ? 1u : 5u);
  }
  EXPECT_TRUE(SaveFile().ok());
  EXPECT_TRUE(SaveArray().ok());
  EXPECT_TRUE(collect_test::Restore(store_.get(), 1).ok());
  std::uint64_t bytes = 0;  // more than are read ahead
  const auto count = [&](ByteSpan piece) {
    bytes += piece.size();
    return Status();
  };
  EXPECT_TRUE(CatEntry(store_.get(), "files", "data/much", 0, UINT64_MAX, count).ok());
  EXPECT_EQ(bytes, kMuch);
  auto found = ResolveCheckpoint(store_.get(), "arrays");
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(VerifyCheckpoint(store_.get(), found->ranks).ok());
}

// Holes, empty and small files come while what was put before them turns out to have failed.
TEST(FailedWriter, ADiskThatFailsAmongManyFilesWithHoles) {
  SimWorld world(3);
  ASSERT_TRUE(world.MakeDir("/data", 0755).ok());
  auto dir = *world.OpenDir("/data");
  OpenOptions create;
  create.mode = OpenMode::kCreate;
  for (std::uint64_t i = 0; i < 40; ++i) {
    auto file = *dir->OpenFile("f" + std::to_string(i), create);
    for (std::uint64_t at = 0; i % 4 != 0 && at < 5; ++at) {
      ASSERT_TRUE(file->WriteAt(at * 600000, RandomBytes(i * 10 + at, 300000)).ok());
    }
  }
  auto store = *OpenAt(&world);
  SaveFilesOptions options;
  options.save.series = "files";
  std::uint64_t failed = 0;
  for (std::uint64_t n = 1; n < 200; n += kSanitized ? 7 : 1) {
    world.FailOp(world.op_count() + n, EIO, true);
    const Status saved = SaveFiles(store.get(), {"/data"}, options).status();
    world.ClearFaults();
    if (saved.ok()) break;
    EXPECT_EQ(saved.code(), Code::kIo) << n << ": " << saved.ToString();
    ++failed;
  }
  EXPECT_GT(failed, kSanitized ? 1u : 5u);
  auto found = ResolveCheckpoint(store.get(), "files");
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(VerifyCheckpoint(store.get(), found->ranks).ok());
}

}  // namespace
}  // namespace ckpt
