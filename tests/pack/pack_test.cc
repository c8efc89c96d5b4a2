// What a writer appends a reader finds: whatever the order and sizes, staged or committed, by this
// process or continued by the next, sealed or not, in the simulated and the real world.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/support/pack_fixture.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

// Runs a script of small numbers against one pack and remembers what it must read back as.
class Script {
 public:
  Script(Env* env, Dir* dir) : env_(env), dir_(dir), options_(TestWriterOptions()) {
    options_.buffer_bytes = 8192;
    writer_ = Must(PackWriter::Create(env_, dir_, options_));
    pack_id_ = writer_->pack_id();
  }

  void Step(unsigned code) {
    switch (code % 12) {
      case 8:
        ExpectOk(writer_->Stage());
        staged_ = written_.size();
        break;
      case 9:
        Commit(false);
        break;
      case 10:
        Commit(true);
        writer_.reset();
        writer_ = Must(PackWriter::Continue(env_, dir_, pack_id_, options_));
        ASSERT_NE(writer_, nullptr);
        break;
      default:
        Append(code);
    }
  }
  void Commit(bool closed) {
    ExpectOk(writer_->Commit(closed));
    durable_ = staged_ = written_.size();
  }
  void Seal() {
    ExpectOk(writer_->Seal());
    durable_ = staged_ = written_.size();
  }
  // Everything staged is found; what is durable, below the mark; what is not staged, nowhere below
  // it.
  void Check() {
    auto reader = OpenReader(dir_, pack_id_);
    PackContents contents = Must(reader->ReadFrom(0));
    EXPECT_EQ(contents.durable_end, writer_->durable_end());
    EXPECT_TRUE(contents.damage.empty());
    Found found = AllFound(contents);
    for (std::size_t i = 0; i < staged_; ++i) {
      EXPECT_TRUE(ReadsBack(*reader, found, written_[i])) << i;
      EXPECT_EQ(written_[i].offset < contents.durable_end, i < durable_);
    }
    EXPECT_EQ(contents.chunks.size() + contents.records.size(), durable_);
    EXPECT_LE(contents.tail_chunks.size() + contents.tail_records.size(),
              written_.size() - durable_);
    EXPECT_GE(contents.tail_chunks.size() + contents.tail_records.size(), staged_ - durable_);
  }

  PackWriter* writer() { return writer_.get(); }
  const std::vector<Written>& written() const { return written_; }
  const Id128& pack_id() const { return pack_id_; }
  std::size_t durable() const { return durable_; }

 private:
  void Append(unsigned code) {
    constexpr std::size_t kSizes[] = {1, 17, 500, 3000, 4032, 8128, 20000, 0};
    std::size_t size = kSizes[code / 12 % 8];
    std::uint64_t seed = ++appended_;
    Written record = code % 12 == 0   ? MakeRecord(RecordType::kManifest, size, seed)
                     : code % 12 == 1 ? MakeRecord(RecordType::kTombstone, size, seed)
                     : code % 12 == 2 ? MakeDelta(size, seed, HashChunk(RandomBytes(3, seed / 4)))
                                      : MakeChunk(size, seed);
    ExpectOk(AppendTo(writer_.get(), &record));
    written_.push_back(record);
  }

  Env* env_;
  Dir* dir_;
  PackWriterOptions options_;
  std::unique_ptr<PackWriter> writer_;
  Id128 pack_id_;
  std::vector<Written> written_;
  std::size_t staged_ = 0, durable_ = 0;
  std::uint64_t appended_ = 0;
};

RC_GTEST_PROP(Pack, AnyScriptReadsBack, (std::vector<unsigned> codes)) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  for (unsigned code : codes) script.Step(code);
  script.Step(8);
  script.Check();
  RC_ASSERT(!::testing::Test::HasFailure());
}

RC_GTEST_PROP(Pack, AnyScriptSealedReadsBackAndIsFoundByBisection, (std::vector<unsigned> codes)) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  for (unsigned code : codes) script.Step(code);
  script.Seal();
  script.Check();
  auto reader = OpenReader(dir.get(), script.pack_id());
  RC_ASSERT(reader->sealed());
  for (const Written& record : script.written()) {
    if (record.header.type != RecordType::kChunk) continue;
    auto found = Must(reader->FindInSealed(record.header.id));
    RC_ASSERT(found.has_value());
    RC_ASSERT(found->id == record.header.id);
    RC_ASSERT(IsDeltaCodec(found->codec) || found->base.IsZero());
  }
  RC_ASSERT(!Must(reader->FindInSealed(TestStoreUuid())).has_value());
  RC_ASSERT(!::testing::Test::HasFailure());
}

// Reading in parts, from each earlier durable_end, gives the same as reading all at once; and what
// the writer says became durable is what a reader says.
RC_GTEST_PROP(Pack, ReadFromAnEarlierEndGivesTheRest, (std::vector<unsigned> codes)) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  std::uint64_t known = 0;
  std::size_t chunks = 0, records = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    script.Step(codes[i]);
    if (codes[i] % 12 != 9) continue;
    PackContents news = script.writer()->TakeDurableNews();
    auto reader = OpenReader(dir.get(), script.pack_id());
    PackContents part = Must(reader->ReadFrom(known));
    if (codes[i] % 24 == 9) {  // sometimes known, sometimes read again
      auto offsets = [](const auto& entries) {
        std::vector<std::uint64_t> all;
        for (const auto& entry : entries) all.push_back(entry.offset);
        return all;
      };
      auto rest = [&](auto all, std::size_t from) {
        return decltype(all)(all.begin() + static_cast<std::ptrdiff_t>(from), all.end());
      };
      PackContents whole = Must(reader->ReadFrom(0));
      RC_ASSERT(offsets(part.chunks) == rest(offsets(whole.chunks), chunks));
      RC_ASSERT(offsets(part.records) == rest(offsets(whole.records), records));
      known = part.durable_end;
      chunks = whole.chunks.size();
      records = whole.records.size();
    }
    RC_ASSERT(news.durable_end == part.durable_end);
    RC_ASSERT(news.check_offset == part.check_offset);
    RC_ASSERT(news.check_checksum == part.check_checksum);
    RC_ASSERT(Must(reader->HeaderChecksumIs(news.check_offset, news.check_checksum)));
    RC_ASSERT(!Must(reader->HeaderChecksumIs(news.check_offset, news.check_checksum + 1)));
  }
}

TEST(Pack, TakeDurableNewsGivesEachEntryOnceWhenCommitted) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  script.Step(3);
  script.Step(0);
  EXPECT_TRUE(script.writer()->TakeDurableNews().chunks.empty());
  script.Step(8);
  EXPECT_TRUE(script.writer()->TakeDurableNews().chunks.empty());
  script.Commit(false);
  script.Step(4);
  PackContents news = script.writer()->TakeDurableNews();
  ASSERT_EQ(news.chunks.size(), 1u);
  ASSERT_EQ(news.records.size(), 1u);
  EXPECT_EQ(news.chunks[0].offset, script.written()[0].offset);
  EXPECT_TRUE(script.writer()->TakeDurableNews().chunks.empty());
  script.Commit(false);
  news = script.writer()->TakeDurableNews();
  ASSERT_EQ(news.chunks.size(), 1u);
  EXPECT_EQ(news.chunks[0].offset, script.written()[2].offset);
  script.Check();
}

TEST(Pack, RecordsOnlyLeavesChunksOut) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  for (unsigned code : {3u, 0u, 4u, 1u, 9u}) script.Step(code);
  PackContents contents = Must(OpenReader(dir.get(), script.pack_id())->ReadFrom(0, true));
  EXPECT_TRUE(contents.chunks.empty());
  EXPECT_EQ(contents.records.size(), 2u);
}

TEST(Pack, CommitOfNothingNewWritesOnlyWhatClosedChanges) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  script.Step(3);
  script.Commit(false);
  std::uint64_t operations = world.op_count(), end = script.writer()->end_offset();
  script.Commit(false);
  EXPECT_EQ(world.op_count(), operations);
  script.Commit(true);
  EXPECT_EQ(script.writer()->end_offset(), end + kBlockBytes);
  script.Commit(true);
  EXPECT_EQ(script.writer()->end_offset(), end + kBlockBytes);
  PackContents contents = Must(OpenReader(dir.get(), script.pack_id())->ReadFrom(0));
  EXPECT_TRUE(contents.mark->closed);
  EXPECT_EQ(contents.mark->sequence, 1u);
  script.Check();
}

TEST(Pack, OfNothingButACommitIsEmptyAndContinues) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  script.Step(10);
  script.Check();
  script.Step(3);
  script.Step(9);
  script.Check();
}

TEST(Pack, WrittenIntoARealDirectoryReadsBack) {
  TemporaryDir temporary;
  for (bool direct : {true, false}) {
    PackWriterOptions options = TestWriterOptions();
    options.buffer_bytes = 1u << 20;
    options.direct_io = direct;
    auto writer = Must(PackWriter::Create(PosixEnv(), temporary.dir(), options));
    std::vector<Written> written;
    for (std::size_t i = 0; i < 200; ++i) {
      written.push_back(i % 50 == 49 ? MakeRecord(RecordType::kManifest, 777, i)
                                     : MakeChunk(i * 997 % 70000, i));
      ExpectOk(AppendTo(writer.get(), &written.back()));
      if (i % 50 == 49) ExpectOk(writer->Commit(false));
    }
    Written big = MakeChunk(kChunkBytesMax, 1000);
    ExpectOk(AppendTo(writer.get(), &big));
    written.push_back(big);
    Id128 pack_id = writer->pack_id();
    ExpectOk(writer->Seal());
    writer.reset();
    auto reader = OpenReader(temporary.dir(), pack_id);
    Found found = AllFound(Must(reader->ReadFrom(0)));
    EXPECT_EQ(found.chunks.size() + found.records.size(), written.size());
    for (const Written& record : written) EXPECT_TRUE(ReadsBack(*reader, found, record));
  }
}

TEST(Pack, RecordTooLargeIsRefusedAndThePackGoesOn) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  Written large = MakeRecord(RecordType::kTombstone, 65537, 1);
  EXPECT_EQ(AppendTo(script.writer(), &large).code(), Code::kInvalidArgument);
  EXPECT_FALSE(script.writer()->poisoned());
  script.Step(3);
  script.Commit(false);
  script.Check();
}

// A pack saved as data inside a pack: the inner records must not be taken for the outer's, neither
// in the walk behind the last mark nor when marks are looked for.
TEST(Pack, NestedInAPackDoesNotParse) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script inner(&world, dir.get());
  for (unsigned code : {3u, 0u, 9u, 4u, 1u, 9u}) inner.Step(code);
  Written saved = MakeChunk(1, 1);
  saved.payload = ReadFileBytes(dir.get(), PackFileName(inner.pack_id()));
  saved.header.id = HashChunk(saved.payload);
  auto writer = Must(PackWriter::Create(&world, dir.get(), TestWriterOptions()));
  ExpectOk(AppendTo(writer.get(), &saved));
  ExpectOk(writer->Commit(false));
  Written later = MakeChunk(kBlockBytes - 2 * kRecordHeaderBytes, 2);
  ExpectOk(AppendTo(writer.get(), &later));
  ExpectOk(AppendTo(writer.get(), &saved));
  ExpectOk(writer->Stage());
  auto reader = OpenReader(dir.get(), writer->pack_id());
  PackContents contents = Must(reader->ReadFrom(0));
  EXPECT_EQ(contents.chunks.size(), 1u);
  EXPECT_EQ(contents.tail_chunks.size(), 2u);
  EXPECT_TRUE(contents.records.empty());
  EXPECT_TRUE(contents.tail_records.empty());
  EXPECT_TRUE(contents.damage.empty());
  EXPECT_EQ(contents.durable_end, writer->durable_end());
}

// The same of the very pack that it is saved into: ids fit, offsets do not.
TEST(Pack, NestedInItselfDoesNotParse) {
  SimWorld world;
  auto dir = PacksDir(&world);
  auto writer = Must(PackWriter::Create(&world, dir.get(), TestWriterOptions()));
  Written first = MakeRecord(RecordType::kManifest, 3000, 1);
  ExpectOk(AppendTo(writer.get(), &first));
  ExpectOk(writer->Commit(false));
  Written saved = MakeChunk(1, 1);
  saved.payload = ReadFileBytes(dir.get(), PackFileName(writer->pack_id()));
  saved.payload.erase(saved.payload.begin(), saved.payload.begin() + kRecordHeaderBytes);
  ExpectOk(AppendTo(writer.get(), &saved));  // blocks of the copy begin at blocks of the pack
  ExpectOk(writer->Stage());
  // Even with the outer record's header gone, nothing inside is taken for a mark or a record.
  auto file = Must(dir->OpenFile(PackFileName(writer->pack_id()), {.mode = OpenMode::kReadWrite}));
  ExpectOk(file->WriteAt(saved.offset, Bytes(8)));
  PackContents contents = Must(OpenReader(dir.get(), writer->pack_id())->ReadFrom(0));
  EXPECT_EQ(contents.durable_end, writer->durable_end());
  EXPECT_EQ(contents.records.size(), 1u);
  EXPECT_TRUE(contents.tail_chunks.empty());
  EXPECT_TRUE(contents.tail_records.empty());
}

TEST(PackReader, SealedTableOfManyIsBisectedWithFewReads) {
  SimWorld world;
  auto dir = PacksDir(&world);
  auto writer = Must(PackWriter::Create(&world, dir.get(), TestWriterOptions()));
  std::vector<Written> chunks;
  for (std::uint64_t i = 0; i < 20000; ++i) {
    chunks.push_back(MakeChunk(8, i));
    ExpectOk(AppendTo(writer.get(), &chunks.back()));
  }
  ExpectOk(writer->Seal());
  auto reader = OpenReader(dir.get(), writer->pack_id());
  std::uint64_t before = world.op_count(SimOp::kRead);
  for (const Written& chunk : chunks) {
    auto found = Must(reader->FindInSealed(chunk.header.id));
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->offset, chunk.offset);
  }
  EXPECT_LT(world.op_count(SimOp::kRead) - before, 5 * chunks.size());
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_FALSE(Must(reader->FindInSealed(MakeChunk(9, i).header.id)).has_value());
  }
}

TEST(PackReader, FullRecordIsFoundBeforeADelta) {
  SimWorld world;
  auto dir = PacksDir(&world);
  auto writer = Must(PackWriter::Create(&world, dir.get(), TestWriterOptions()));
  Written full = MakeChunk(50, 1), delta = MakeDelta(20, 2, MakeChunk(9, 3).header.id);
  delta.header.id = full.header.id;
  Written only = MakeDelta(20, 4, MakeChunk(9, 5).header.id);
  for (Written* record : {&delta, &full, &only}) ExpectOk(AppendTo(writer.get(), record));
  ExpectOk(writer->Seal());
  auto reader = OpenReader(dir.get(), writer->pack_id());
  EXPECT_EQ(Must(reader->FindInSealed(full.header.id))->offset, full.offset);
  EXPECT_EQ(Must(reader->FindInSealed(only.header.id))->base, only.base);
}

TEST(PackReader, NotSealedIsUnsupportedForBisection) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  script.Step(3);
  script.Commit(true);
  auto reader = OpenReader(dir.get(), script.pack_id());
  EXPECT_FALSE(reader->sealed());
  EXPECT_EQ(reader->FindInSealed(script.written()[0].header.id).status().code(),
            Code::kUnsupported);
}

TEST(PackReader, ForeignOrMissingPackIsRefused) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Script script(&world, dir.get());
  script.Step(3);
  script.Commit(true);
  auto code = [&](const Id128& pack, const Id128& store) {
    return PackReader::Open(dir.get(), pack, store).status().code();
  };
  Id128 other;
  other.bytes.fill(1);
  EXPECT_EQ(code(script.pack_id(), other), Code::kCorruption);
  EXPECT_EQ(code(other, TestStoreUuid()), Code::kNotFound);
  WriteFileBytes(dir.get(), PackFileName(other),
                 ReadFileBytes(dir.get(), PackFileName(script.pack_id())));
  EXPECT_EQ(code(other, TestStoreUuid()), Code::kCorruption);
}

}  // namespace
}  // namespace ckpt
