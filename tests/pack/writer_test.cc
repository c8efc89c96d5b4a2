// Who may write into a pack, and what happens when writing fails.

#include "store/pack/writer.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/pack_fixture.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

class PackWriterTest : public ::testing::Test {
 protected:
  PackWriterTest() : dir_(PacksDir(&world_)) {}

  std::unique_ptr<PackWriter> Create() {
    return Must(PackWriter::Create(&world_, dir_.get(), TestWriterOptions()));
  }
  // A pack with one committed chunk, its writer gone.
  Id128 Committed() {
    auto writer = Create();
    ExpectOk(AppendTo(writer.get(), &chunk_));
    ExpectOk(writer->Commit(true));
    return writer->pack_id();
  }
  bool Continues(Env* env, const Id128& pack_id, PackWriterOptions options = TestWriterOptions()) {
    auto dir = PacksDir(env);
    return Must(PackWriter::Continue(env, dir.get(), pack_id, options)) != nullptr;
  }

  SimWorld world_;
  std::unique_ptr<Dir> dir_;
  Written chunk_ = MakeChunk(1000, 1);
};

TEST_F(PackWriterTest, SecondWriterOfAPackIsRefused) {
  Id128 pack_id = Committed();
  auto first = Must(PackWriter::Continue(&world_, dir_.get(), pack_id, TestWriterOptions()));
  ASSERT_NE(first, nullptr);
  EXPECT_FALSE(Continues(&world_, pack_id));
  auto process = world_.NewProcess();
  EXPECT_FALSE(Continues(process.get(), pack_id));
  first.reset();
  EXPECT_TRUE(Continues(process.get(), pack_id));
}

TEST_F(PackWriterTest, NewPackIsLockedBeforeItIsWritten) {
  auto writer = Create();
  auto other = Must(dir_->OpenFile(PackFileName(writer->pack_id()), {}));
  EXPECT_TRUE(Must(other->LockedByOther()));
  EXPECT_EQ(Must(other->Stat()).size_bytes, 0u);
  EXPECT_FALSE(Continues(&world_, writer->pack_id()));
}

TEST_F(PackWriterTest, PackOfAnotherHostIsNotContinued) {
  Id128 pack_id = Committed();
  auto process = world_.NewProcess();
  process->set_host(TestStoreUuid(), "elsewhere");
  EXPECT_FALSE(Continues(process.get(), pack_id));
  EXPECT_TRUE(Continues(&world_, pack_id));
}

TEST_F(PackWriterTest, CopyOfAPackIsNotContinued) {
  Id128 pack_id = Committed();
  Bytes bytes = ReadFileBytes(dir_.get(), PackFileName(pack_id));
  ExpectOk(dir_->RemoveFile(PackFileName(pack_id)));
  Must(dir_->OpenFile("other", {.mode = OpenMode::kCreate}));  // so that the inode is another one
  WriteFileBytes(dir_.get(), PackFileName(pack_id), bytes);
  EXPECT_FALSE(Continues(&world_, pack_id));
}

TEST_F(PackWriterTest, PackWithATailIsNotContinued) {
  auto writer = Create();
  ExpectOk(AppendTo(writer.get(), &chunk_));
  ExpectOk(writer->Commit(false));
  ExpectOk(AppendTo(writer.get(), &chunk_));
  ExpectOk(writer->Stage());
  Id128 pack_id = writer->pack_id();
  writer.reset();
  EXPECT_FALSE(Continues(&world_, pack_id));
}

TEST_F(PackWriterTest, PackWithBytesBehindItsMarkIsNotContinued) {
  Id128 pack_id = Committed();
  auto file = Must(dir_->OpenFile(PackFileName(pack_id), {.mode = OpenMode::kReadWrite}));
  ExpectOk(file->WriteAt(Must(file->Stat()).size_bytes, Bytes(10)));
  EXPECT_FALSE(Continues(&world_, pack_id));
}

TEST_F(PackWriterTest, SealedFullMissingOrForeignPackIsNotContinued) {
  Id128 pack_id = Committed();
  PackWriterOptions options = TestWriterOptions();
  options.pack_bytes_max = 3 * kBlockBytes;
  EXPECT_FALSE(Continues(&world_, pack_id, options));
  options = TestWriterOptions();
  options.store_uuid.bytes.fill(1);
  EXPECT_FALSE(Continues(&world_, pack_id, options));
  EXPECT_FALSE(Continues(&world_, TestStoreUuid()));
  auto writer = Must(PackWriter::Continue(&world_, dir_.get(), pack_id, TestWriterOptions()));
  ExpectOk(writer->Seal());
  writer.reset();
  EXPECT_FALSE(Continues(&world_, pack_id));
}

TEST_F(PackWriterTest, WhereLocksDoNotWorkPacksAreNewAndNeverContinued) {
  world_.set_locks(SimLocks::kUnsupported);
  EXPECT_FALSE(Continues(&world_, Committed()));
}

TEST_F(PackWriterTest, ReserveIsPreallocatedAndContinuedInPlace) {
  PackWriterOptions options = TestWriterOptions();
  options.reserve = true;
  options.pack_bytes_max = 64 * kBlockBytes;
  auto writer = Must(PackWriter::Create(&world_, dir_.get(), options));
  Id128 pack_id = writer->pack_id();
  ExpectOk(writer->Commit(true));
  writer.reset();
  EXPECT_FALSE(Continues(&world_, pack_id));  // ordinary saves keep out
  world_.set_capacity_bytes(world_.used_bytes());
  writer = Must(PackWriter::Continue(&world_, dir_.get(), pack_id, options));
  ASSERT_NE(writer, nullptr);
  ExpectOk(AppendTo(writer.get(), &chunk_));
  ExpectOk(writer->Commit(true));  // although the disk is full
  writer.reset();
  auto reader = OpenReader(dir_.get(), pack_id);
  EXPECT_TRUE(reader->header().reserve);
  PackContents contents = Must(reader->ReadFrom(0));
  EXPECT_EQ(contents.file_bytes, options.pack_bytes_max);
  EXPECT_EQ(contents.end, contents.durable_end);
  EXPECT_TRUE(ReadsBack(*reader, AllFound(contents), chunk_));
  EXPECT_TRUE(Continues(&world_, pack_id, options));
}

// What a writer that died left behind the mark was promised to nobody, and there is no other room.
TEST_F(PackWriterTest, ReserveOfDeadWriterIsClearedBehindItsMark) {
  PackWriterOptions options = TestWriterOptions();
  options.reserve = true;
  options.pack_bytes_max = 64 * kBlockBytes;
  auto writer = Must(PackWriter::Create(&world_, dir_.get(), options));
  Id128 pack_id = writer->pack_id();
  ExpectOk(AppendTo(writer.get(), &chunk_));
  ExpectOk(writer->Commit(true));
  std::uint64_t durable = writer->durable_end();
  Written lost = chunk_;
  ExpectOk(AppendTo(writer.get(), &lost));
  ExpectOk(writer->Stage());
  writer.reset();
  world_.set_capacity_bytes(world_.used_bytes());
  writer = Must(PackWriter::Continue(&world_, dir_.get(), pack_id, options));
  ASSERT_NE(writer, nullptr);
  EXPECT_EQ(writer->end_offset(), durable);
  PackContents contents = Must(OpenReader(dir_.get(), pack_id)->ReadFrom(0));
  EXPECT_EQ(contents.end, durable);
  Written next = chunk_;
  ExpectOk(AppendTo(writer.get(), &next));
  ExpectOk(writer->Commit(true));
  auto reader = OpenReader(dir_.get(), pack_id);
  contents = Must(reader->ReadFrom(0));
  EXPECT_TRUE(ReadsBack(*reader, AllFound(contents), chunk_));
  EXPECT_EQ(contents.file_bytes, options.pack_bytes_max);
}

// Whatever operation fails: the writer is poisoned and touches nothing any more (I6), what was
// durable stays so, and the next process does not continue the pack behind its back.
TEST_F(PackWriterTest, AnyFailedOperationPoisonsForGood) {
  for (SimOp kind : {SimOp::kWrite, SimOp::kSync, SimOp::kSyncDir}) {
    for (int error : {EIO, ENOSPC}) {
      for (std::uint64_t n = 1; n <= 12; ++n) {
        SimWorld world(n);
        auto dir = PacksDir(&world);
        PackWriterOptions options = TestWriterOptions();
        options.buffer_bytes = 2 * kBlockBytes;
        auto writer = Must(PackWriter::Create(&world, dir.get(), options));
        world.FailOp(n, error, false, kind);
        Status status;
        Written first = MakeChunk(30000, 1), second = MakeChunk(30000, 2);
        for (Written* chunk : {&first, &second}) {
          if (status.ok()) status = AppendTo(writer.get(), chunk);
          if (status.ok()) status = writer->Commit(false);
        }
        EXPECT_EQ(writer->poisoned(), !status.ok());
        EXPECT_EQ(status.ok(), world.op_count(kind) < n);
        if (status.ok()) continue;
        EXPECT_EQ(status.code(), error == EIO ? Code::kIo : Code::kNoSpace) << status.ToString();
        std::uint64_t operations = world.op_count();
        EXPECT_EQ(AppendTo(writer.get(), &first).message(), status.message());
        EXPECT_EQ(writer->Stage().message(), status.message());
        EXPECT_EQ(writer->Commit(true).message(), status.message());
        EXPECT_EQ(writer->Seal().message(), status.message());
        std::uint64_t durable_end = writer->durable_end();
        PackContents news = writer->TakeDurableNews();
        Id128 pack_id = writer->pack_id();
        writer.reset();
        EXPECT_EQ(world.op_count(), operations);
        auto reader = PackReader::Open(dir.get(), pack_id, TestStoreUuid());
        if (durable_end > kPackHeaderBytes) {
          PackContents contents = Must((*reader)->ReadFrom(0));
          EXPECT_EQ(contents.chunks.size(), news.chunks.size());
          EXPECT_EQ(contents.durable_end, durable_end);
          EXPECT_TRUE(ReadsBack(**reader, AllFound(contents), first));
        }
        EXPECT_FALSE(Continues(&world, pack_id, options));
      }
    }
  }
}

TEST_F(PackWriterTest, DamagedPackIsClosedButNotSealed) {
  Id128 pack_id = Committed();
  auto file = Must(dir_->OpenFile(PackFileName(pack_id), {.mode = OpenMode::kReadWrite}));
  auto reader = OpenReader(dir_.get(), pack_id);
  std::uint64_t directory = Must(reader->ReadFrom(0)).mark->directory_offset;
  ExpectOk(file->WriteAt(directory, Bytes(8)));
  auto writer = Must(PackWriter::Continue(&world_, dir_.get(), pack_id, TestWriterOptions()));
  Written more = MakeChunk(100, 2);
  ExpectOk(AppendTo(writer.get(), &more));
  ExpectOk(writer->Seal());
  PackContents contents = Must(reader->ReadFrom(0));
  EXPECT_TRUE(contents.mark->closed);
  EXPECT_FALSE(contents.mark->sealed);
  EXPECT_FALSE(contents.damage.empty());
  EXPECT_EQ(contents.chunks.size(), 2u);
}

TEST_F(PackWriterTest, BeyondLimitSaysWhenToSeal) {
  PackWriterOptions options = TestWriterOptions();
  options.pack_bytes_max = 8 * kBlockBytes;
  auto writer = Must(PackWriter::Create(&world_, dir_.get(), options));
  EXPECT_FALSE(writer->BeyondLimit());
  Written chunk = MakeChunk(8 * kBlockBytes, 1);
  ExpectOk(AppendTo(writer.get(), &chunk));
  EXPECT_TRUE(writer->BeyondLimit());
}

}  // namespace
}  // namespace ckpt
