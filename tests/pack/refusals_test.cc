// What a reader of packs refuses: places where nothing can be, records that are not those that were
// asked for, headers and marks of later versions.

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/pack_fixture.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

// A pack with a chunk, a delta, and an end.
class Refusals : public ::testing::Test {
 protected:
  Refusals() : dir_(PacksDir(&world_)), chunk_(MakeChunk(100, 1)) {
    delta_ = MakeDelta(50, 2, chunk_.header.id);
    auto writer = Must(PackWriter::Create(&world_, dir_.get(), TestWriterOptions()));
    for (Written* record : {&chunk_, &delta_}) ExpectOk(AppendTo(writer.get(), record));
    ExpectOk(writer->Seal());
    pack_id_ = writer->pack_id();
    writer.reset();
    reader_ = OpenReader(dir_.get(), pack_id_);
  }
  Status ReadAs(ChunkEntry entry) {
    Bytes payload(entry.stored_bytes);
    return reader_->ReadChunkPayload(entry, true, payload);
  }
  ChunkEntry EntryOf(const Written& record) {
    return *Must(reader_->FindInSealed(record.header.id));
  }

  SimWorld world_;
  std::unique_ptr<Dir> dir_;
  Written chunk_, delta_;
  Id128 pack_id_;
  std::unique_ptr<PackReader> reader_;
};

TEST_F(Refusals, NothingIsReadWhereNoRecordCanBe) {
  Bytes payload;
  for (const std::uint64_t offset :
       {std::uint64_t{0}, kPackHeaderBytes - 8, ~std::uint64_t{0} - 7}) {
    EXPECT_EQ(reader_->ReadRecord(offset, &payload).status().code(), Code::kCorruption) << offset;
  }
  Bytes bytes(8);
  EXPECT_EQ(reader_->ReadRaw(~std::uint64_t{0} - 7, bytes).code(), Code::kCorruption);
  EXPECT_FALSE(Must(reader_->HeaderChecksumIs(~std::uint64_t{0} - 7, 1)));
  EXPECT_FALSE(Must(reader_->HeaderChecksumIs(0, 1)));
}

TEST_F(Refusals, AChunkOtherThanTheOneAskedForIsDamage) {
  const ChunkEntry sound = EntryOf(chunk_);
  ExpectOk(ReadAs(sound));
  const auto refused = [&](auto change) {
    ChunkEntry entry = sound;
    change(&entry);
    return ReadAs(entry).code() == Code::kCorruption;
  };
  EXPECT_TRUE(refused([](ChunkEntry* e) { e->id.bytes[0] ^= 1; }));
  EXPECT_TRUE(refused([](ChunkEntry* e) { e->stored_bytes -= 1; }));
  EXPECT_TRUE(refused([](ChunkEntry* e) { e->raw_bytes += 1; }));
  EXPECT_TRUE(refused([](ChunkEntry* e) { e->codec = 1; }));
  EXPECT_TRUE(refused([](ChunkEntry* e) { e->codec_param = 1; }));
  EXPECT_TRUE(refused([&](ChunkEntry* e) {  // another type
    e->offset = Must(reader_->ReadFrom(0)).mark->directory_offset;
  }));
}

TEST_F(Refusals, ADeltaAgainstAnotherBaseIsDamage) {
  ChunkEntry entry = EntryOf(delta_);
  ExpectOk(ReadAs(entry));
  EXPECT_EQ(entry.base, chunk_.header.id);
  entry.base.bytes[3] ^= 1;
  EXPECT_EQ(ReadAs(entry).code(), Code::kCorruption);
}

// Its writer lies: behind a mark it is listed by its directory, before one by nobody.
TEST_F(Refusals, ADeltaTooShortForItsBaseIsDamage) {
  for (const bool staged : {true, false}) {
    Written tiny = MakeDelta(50, 3, chunk_.header.id);
    tiny.payload.resize(kBaseBytes - 1);
    auto writer = Must(PackWriter::Create(&world_, dir_.get(), TestWriterOptions()));
    ExpectOk(AppendTo(writer.get(), &tiny));
    ExpectOk(staged ? writer->Stage() : writer->Commit(true));
    auto reader = OpenReader(dir_.get(), writer->pack_id());
    const PackContents contents = Must(reader->ReadFrom(0));
    EXPECT_TRUE(contents.tail_chunks.empty());
    ASSERT_EQ(contents.damage.size(), staged ? 1u : 0u);
    if (staged) {
      EXPECT_EQ(contents.damage[0].begin, tiny.offset);
      continue;
    }
    ASSERT_EQ(contents.chunks.size(), 1u);
    Bytes payload(tiny.payload.size());
    EXPECT_EQ(reader->ReadChunkPayload(contents.chunks[0], true, payload).code(),
              Code::kCorruption);
  }
}

TEST_F(Refusals, ARecordThatTheFileEndsWithinIsDamage) {
  Bytes whole = ReadFileBytes(dir_.get(), PackFileName(pack_id_));
  const std::size_t middle = chunk_.offset + kRecordHeaderBytes + 10;
  WriteFileBytes(dir_.get(), PackFileName(pack_id_), ByteSpan(whole).first(middle));
  Bytes payload;
  EXPECT_EQ(reader_->ReadRecord(chunk_.offset, &payload).status().code(), Code::kCorruption);
  ChunkEntry entry;
  entry.id = chunk_.header.id;
  entry.offset = chunk_.offset;
  entry.stored_bytes = entry.raw_bytes = 100;
  EXPECT_EQ(ReadAs(entry).code(), Code::kCorruption);
}

// With the checksums of a sound table: its writer lies.
TEST_F(Refusals, ATableWithoutItsHeadOrAnEndIsDamage) {
  const std::uint64_t at = Must(reader_->ReadFrom(0)).mark->directory_offset;
  const Bytes whole = ReadFileBytes(dir_.get(), PackFileName(pack_id_));
  RecordHeader header;
  ASSERT_TRUE(DecodeRecordHeader(ByteSpan(whole).subspan(at), pack_id_, at, &header));
  const auto found_with = [&](const RecordHeader& other, std::size_t place, std::uint8_t flip) {
    Bytes lying = whole;
    lying[at + kRecordHeaderBytes + place] ^= std::byte{flip};
    EncodeRecordHeader(other, pack_id_, at, lying.data() + at);
    WriteFileBytes(dir_.get(), PackFileName(pack_id_), lying);
    return OpenReader(dir_.get(), pack_id_)->FindInSealed(chunk_.header.id).status().code();
  };
  EXPECT_EQ(found_with(header, 0, 0), Code::kOk);
  RecordHeader manifest = header;
  manifest.type = RecordType::kManifest;
  manifest.raw_bytes = manifest.stored_bytes;
  EXPECT_EQ(found_with(manifest, 0, 0), Code::kCorruption);
  RecordHeader shorter = header;
  shorter.stored_bytes = 1;
  EXPECT_EQ(found_with(shorter, 0, 0), Code::kCorruption);
  EXPECT_EQ(found_with(header, 16, 1), Code::kCorruption);     // not sorted
  EXPECT_EQ(found_with(header, 23, 0x80), Code::kCorruption);  // more chunks than it has room for
}

// Puts `value` at `at` of something with a checksum in its last 8 bytes.
template <typename T>
Bytes With(Bytes bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(value));
  const std::uint64_t checksum = Checksum64(ByteSpan(bytes).first(bytes.size() - 8));
  std::memcpy(bytes.data() + bytes.size() - 8, &checksum, 8);
  return bytes;
}

TEST_F(Refusals, APackOfALaterVersionIsUnsupported) {
  const std::string name = PackFileName(pack_id_);
  Bytes whole = ReadFileBytes(dir_.get(), name);
  const Bytes later =
      With(Bytes(whole.begin(), whole.begin() + kPackHeaderBytes), 8, std::uint32_t{9});
  EXPECT_EQ(DecodePackHeader(later).status().code(), Code::kUnsupported);
  std::copy(later.begin(), later.end(), whole.begin());
  WriteFileBytes(dir_.get(), name, whole);
  const Status s =
      PackReader::Open(dir_.get(), pack_id_, TestStoreUuid(), PackReader::BadHeader::kSalvage)
          .status();
  EXPECT_EQ(s.code(), Code::kUnsupported);
  EXPECT_NE(s.message().find(name), std::string::npos) << s.message();
}

TEST_F(Refusals, ADamagedPackHeaderHasNoChecksum) {
  const std::string name = PackFileName(pack_id_);
  Bytes whole = ReadFileBytes(dir_.get(), name);
  const std::uint64_t checksum = LoadU64(whole.data() + kPackHeaderBytes - 8);
  EXPECT_TRUE(Must(reader_->HeaderChecksumIs(0, checksum)));
  whole[50] ^= std::byte{1};
  WriteFileBytes(dir_.get(), name, whole);
  auto reader = Must(
      PackReader::Open(dir_.get(), pack_id_, TestStoreUuid(), PackReader::BadHeader::kSalvage));
  EXPECT_FALSE(Must(reader->HeaderChecksumIs(0, checksum)));
}

TEST_F(Refusals, ARecordsChecksumIsThatOfItsHeader) {
  const Bytes whole = ReadFileBytes(dir_.get(), PackFileName(pack_id_));
  const std::uint64_t checksum = LoadU64(whole.data() + chunk_.offset + kRecordHeaderBytes - 8);
  EXPECT_TRUE(Must(reader_->HeaderChecksumIs(chunk_.offset, checksum)));
  EXPECT_FALSE(Must(reader_->HeaderChecksumIs(chunk_.offset, checksum + 1)));
}

// After a power loss a new file may hold a block of another one's: with marks, be they its own or
// the other one's, it is damaged; without, it never began.
TEST_F(Refusals, TheHeaderOfAnotherPackIsDamageWhereMarksAre) {
  const std::string name = PackFileName(pack_id_);
  const Bytes whole = ReadFileBytes(dir_.get(), name);
  PackHeader header = Must(DecodePackHeader(ByteSpan(whole).first(kPackHeaderBytes)));
  header.pack_id.bytes[0] ^= 1;
  Bytes other = EncodePackHeader(header);
  const auto code = [&] {
    WriteFileBytes(dir_.get(), name, other);
    return PackReader::Open(dir_.get(), pack_id_, TestStoreUuid()).status().code();
  };
  EXPECT_EQ(code(), Code::kNotFound);
  other.insert(other.end(), whole.begin() + kPackHeaderBytes, whole.end());
  EXPECT_EQ(code(), Code::kCorruption);
}

// Its bytes are nobody's, and have no checksum.
TEST_F(Refusals, PaddingIsReadAsItIs) {
  Bytes whole = ReadFileBytes(dir_.get(), PackFileName(pack_id_));
  std::uint64_t at = 0;
  RecordHeader header;
  for (at = kPackHeaderBytes; at < whole.size(); at += header.ExtentBytes()) {
    ASSERT_TRUE(DecodeRecordHeader(ByteSpan(whole).subspan(at), pack_id_, at, &header)) << at;
    if (header.type == RecordType::kPadding && header.stored_bytes > 0) break;
  }
  ASSERT_LT(at, whole.size());
  whole[at + kRecordHeaderBytes] = std::byte{7};
  WriteFileBytes(dir_.get(), PackFileName(pack_id_), whole);
  Bytes payload;
  EXPECT_EQ(Must(reader_->ReadRecord(at, &payload)).type, RecordType::kPadding);
  EXPECT_EQ(payload.front(), std::byte{7});
}

TEST(RecordTypes, AreNamedAndThoseToComeNumbered) {
  EXPECT_EQ(RecordTypeName(RecordType::kManifest), "manifest");
  EXPECT_EQ(RecordTypeName(static_cast<RecordType>(0)), "record of type 0");
  EXPECT_EQ(RecordTypeName(static_cast<RecordType>(77)), "record of type 77");
}

}  // namespace
}  // namespace ckpt
