// A small pack cut at every length and flipped at every bit of its structure. A reader must end,
// must never hand out bytes that were not written, and keeps every durable record that the damage
// does not touch.

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/pack_fixture.h"
#include "tests/support/sim_world.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

enum class End { kTail, kCommitted, kSealed };

// Three commits, one of two stages, continued once; then as `end` says.
struct SmallPack {
  explicit SmallPack(End end) : dir(PacksDir(&world)) {
    auto writer = Must(PackWriter::Create(&world, dir.get(), TestWriterOptions()));
    pack_id = writer->pack_id();
    name = PackFileName(pack_id);
    Append(writer.get(), MakeChunk(300, 1));
    Append(writer.get(), MakeDelta(40, 2, written[0].header.id));
    Append(writer.get(), MakeRecord(RecordType::kManifest, 100, 3));
    ExpectOk(writer->Commit(false));
    Append(writer.get(), MakeChunk(5000, 4));
    ExpectOk(writer->Stage());
    Append(writer.get(), MakeChunk(10, 5));
    Append(writer.get(), MakeRecord(RecordType::kAttempt, 60, 6));
    ExpectOk(writer->Commit(true));
    writer.reset();
    writer = Must(PackWriter::Continue(&world, dir.get(), pack_id, TestWriterOptions()));
    Append(writer.get(), MakeChunk(700, 7));
    Append(writer.get(), MakeRecord(RecordType::kManifest, 90, 8));
    ExpectOk(end == End::kSealed ? writer->Seal() : writer->Commit(false));
    durable = written.size();
    if (end == End::kTail) {
      Append(writer.get(), MakeChunk(800, 9));
      Append(writer.get(), MakeRecord(RecordType::kManifest, 50, 10));
      ExpectOk(writer->Stage());
    }
    durable_end = writer->durable_end();
    writer.reset();
    bytes = ReadFileBytes(dir.get(), name);
  }

  void Append(PackWriter* writer, Written record) {
    ExpectOk(AppendTo(writer, &record));
    written.push_back(std::move(record));
  }

  SimWorld world;
  std::unique_ptr<Dir> dir;
  Id128 pack_id;
  std::string name;
  std::vector<Written> written;
  std::size_t durable = 0;
  std::uint64_t durable_end = 0;
  Bytes bytes;
};

std::uint64_t EndOf(const Written& record) {
  return record.offset + RoundUp(kRecordHeaderBytes + record.payload.size(), kRecordAlignBytes);
}

// True when every entry listed reads as what was written, or as an error.
void ExpectNothingWrong(const PackReader& reader, const SmallPack& pack, const Found& found) {
  auto written_at = [&](std::uint64_t offset) {
    return std::find_if(pack.written.begin(), pack.written.end(),
                        [&](const Written& w) { return w.offset == offset; });
  };
  for (const auto& [offset, entry] : found.chunks) {
    Bytes payload(entry.first.stored_bytes);
    if (!reader.ReadChunkPayload(entry.first, true, payload).ok()) continue;
    auto written = written_at(offset);
    ASSERT_NE(written, pack.written.end());
    EXPECT_EQ(written->payload, payload);
    EXPECT_EQ(written->header.id, entry.first.id);
  }
  for (const auto& [offset, entry] : found.records) {
    Bytes payload;
    Result<RecordHeader> header = reader.ReadRecord(offset, &payload);
    if (!header.ok()) continue;
    auto written = written_at(offset);
    ASSERT_NE(written, pack.written.end());
    EXPECT_EQ(written->payload, payload);
    EXPECT_EQ(written->header.type, header->type);
  }
}

// Writes the damaged bytes and reads them; `touched`: the range that is not as it was written.
void CheckDamaged(SmallPack* pack, ByteSpan damaged, DamagedRange touched) {
  WriteFileBytes(pack->dir.get(), pack->name, damaged);
  auto reader = PackReader::Open(pack->dir.get(), pack->pack_id, TestStoreUuid(),
                                 PackReader::BadHeader::kSalvage);
  if (!reader.ok()) {
    EXPECT_LT(damaged.size(), 3 * kBlockBytes) << reader.status().ToString();  // before any mark
    EXPECT_EQ(reader.status().code(), Code::kNotFound);
    return;
  }
  PackContents contents = Must((*reader)->ReadFrom(0));
  EXPECT_LE(contents.durable_end, contents.end);
  EXPECT_LE(contents.end, damaged.size());
  Found found = AllFound(contents);
  ExpectNothingWrong(**reader, *pack, found);
  for (std::size_t i = 0; i < pack->durable; ++i) {
    const Written& record = pack->written[i];
    if (record.offset < touched.end && EndOf(record) > touched.begin) continue;
    EXPECT_TRUE(ReadsBack(**reader, found, record)) << "record " << i << " at " << record.offset;
  }
  for (const Written& record : pack->written) {
    Result<std::optional<ChunkEntry>> in_table = (*reader)->FindInSealed(record.header.id);
    if (!in_table.ok() || !*in_table) continue;
    Bytes payload((*in_table)->stored_bytes);
    if (!(*reader)->ReadChunkPayload(**in_table, true, payload).ok()) continue;
    EXPECT_EQ(payload, record.payload);
  }
}

void CheckEveryCut(End end) {
  SmallPack pack(end);
  for (std::size_t length = 0; length < pack.bytes.size();
       length += (1 + length % 3) * kSweepStride) {
    CheckDamaged(&pack, ByteSpan(pack.bytes).first(length), {length, pack.bytes.size()});
    if (::testing::Test::HasFailure()) FAIL() << "cut at " << length;
  }
}

TEST(DamagedPack, CutAnywhereKeepsWhatIsBefore) {
  for (End end : {End::kTail, End::kCommitted, End::kSealed}) CheckEveryCut(end);
}

// Every bit of headers, marks and directories; of payloads, padding and the pack's own header every
// 97th.
void CheckEveryFlip(End end) {
  SmallPack pack(end);
  std::vector<bool> payload(pack.bytes.size(), false);
  for (std::size_t i = 0; i < kPackHeaderBytes; ++i) payload[i] = true;
  for (const Written& record : pack.written) {
    for (std::uint64_t i = record.offset + kRecordHeaderBytes; i < EndOf(record); ++i) {
      payload[i] = true;
    }
  }
  for (std::size_t bit = 0; bit < 8 * pack.bytes.size(); ++bit) {
    bool dull = payload[bit / 8] || pack.bytes[bit / 8] == std::byte{0};
    if (bit % (dull ? 97 : kSweepStride) != 0) continue;
    Bytes flipped = pack.bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    CheckDamaged(&pack, flipped, {bit / 8, bit / 8 + 1});
    if (::testing::Test::HasFailure())
      FAIL() << "flipped bit " << bit % 8 << " of byte " << bit / 8;
  }
}

TEST(DamagedPack, FlippedBitAnywhereKeepsTheRest) { CheckEveryFlip(End::kCommitted); }
TEST(DamagedPack, FlippedBitAnywhereKeepsTheRestWithATail) { CheckEveryFlip(End::kTail); }
TEST(DamagedPack, FlippedBitAnywhereKeepsTheRestWhenSealed) { CheckEveryFlip(End::kSealed); }

// Several blocks and runs at once, zeroed, swapped or made of noise: nothing wrong, nothing
// endless.
TEST(DamagedPack, ManyWoundsNeverGiveWrongBytes) {
  for (End end : {End::kTail, End::kCommitted, End::kSealed}) {
    SmallPack pack(end);
    SimRng random(7);
    for (int round = 0; round < 400; ++round) {
      Bytes damaged = pack.bytes;
      for (std::uint64_t wounds = 1 + random.Below(4); wounds > 0; --wounds) {
        std::uint64_t begin = random.Below(damaged.size());
        std::uint64_t length = std::min(1 + random.Below(6000), damaged.size() - begin);
        std::uint64_t from = random.Below(damaged.size() - length + 1);
        auto at = damaged.begin() + static_cast<std::ptrdiff_t>(begin);
        switch (random.Below(3)) {
          case 0:
            std::fill_n(at, length, std::byte{0});
            break;
          case 1:
            random.Fill(MutableByteSpan(damaged).subspan(begin, length));
            break;
          default:
            std::copy_n(pack.bytes.begin() + static_cast<std::ptrdiff_t>(from), length, at);
        }
      }
      WriteFileBytes(pack.dir.get(), pack.name, damaged);
      auto reader = PackReader::Open(pack.dir.get(), pack.pack_id, TestStoreUuid(),
                                     PackReader::BadHeader::kSalvage);
      if (!reader.ok()) continue;
      ExpectNothingWrong(**reader, pack, AllFound(Must((*reader)->ReadFrom(0))));
      ASSERT_FALSE(::testing::Test::HasFailure()) << "round " << round;
    }
  }
}

TEST(DamagedPack, BadDirectoryIsReportedAndReplacedByAWalk) {
  SmallPack pack(End::kCommitted);
  auto reader = OpenReader(pack.dir.get(), pack.pack_id);
  std::uint64_t directory = Must(reader->ReadFrom(0)).mark->directory_offset;
  Bytes damaged = pack.bytes;
  damaged[directory + kRecordHeaderBytes + 40] ^= std::byte{1};
  WriteFileBytes(pack.dir.get(), pack.name, damaged);
  PackContents contents = Must(reader->ReadFrom(0));
  ASSERT_EQ(contents.damage.size(), 1u);
  EXPECT_EQ(contents.damage[0].begin, directory);
  EXPECT_EQ(contents.chunks.size() + contents.records.size(), pack.written.size());
}

TEST(DamagedPack, EndsAtTheNextMark) {
  SmallPack pack(End::kCommitted);
  auto writer =
      Must(PackWriter::Continue(&pack.world, pack.dir.get(), pack.pack_id, TestWriterOptions()));
  ExpectOk(writer->Commit(true));  // another mark, nothing between
  auto reader = OpenReader(pack.dir.get(), pack.pack_id);
  std::uint64_t directory = Must(reader->ReadFrom(0)).mark->directory_offset;
  auto file = Must(pack.dir->OpenFile(pack.name, {.mode = OpenMode::kReadWrite}));
  ExpectOk(file->WriteAt(directory, Bytes(8)));
  PackContents contents = Must(reader->ReadFrom(0));
  ASSERT_EQ(contents.damage.size(), 1u);
  EXPECT_EQ(contents.damage[0].begin, directory);
  EXPECT_EQ(contents.damage[0].end, contents.mark->durable_offset - kBlockBytes);
}

// One entry of a sealed table with another id: every other chunk is found, or the damage is told.
TEST(DamagedPack, SealedTableNeverHidesAnotherChunk) {
  SimWorld world;
  auto dir = PacksDir(&world);
  auto writer = Must(PackWriter::Create(&world, dir.get(), TestWriterOptions()));
  std::vector<Id128> ids;
  for (std::uint64_t i = 0; i < 400; ++i) {
    Written chunk = MakeChunk(8, i);
    ExpectOk(AppendTo(writer.get(), &chunk));
    ids.push_back(chunk.header.id);
  }
  ExpectOk(writer->Seal());
  std::sort(ids.begin(), ids.end());
  auto reader = OpenReader(dir.get(), writer->pack_id());
  std::uint64_t table =
      Must(reader->ReadFrom(0)).mark->directory_offset + kRecordHeaderBytes + kDirectoryFixedBytes;
  auto file = Must(dir->OpenFile(PackFileName(writer->pack_id()), {.mode = OpenMode::kReadWrite}));
  std::size_t told = 0;
  for (std::size_t k = 0; k < ids.size(); ++k) {
    for (unsigned bit : {0x80u, 0x10u, 0x01u}) {
      Id128 other = ids[k];
      other.bytes[0] = static_cast<std::uint8_t>(other.bytes[0] ^ bit);
      std::uint64_t place = table + k * kChunkEntryBytes;
      ExpectOk(file->WriteAt(place, std::as_bytes(std::span(other.bytes))));
      for (std::size_t i = k - std::min<std::size_t>(k, 3); i < std::min(k + 4, ids.size()); ++i) {
        if (i == k) continue;
        auto found = reader->FindInSealed(ids[i]);
        if (!found.ok()) {
          EXPECT_EQ(found.status().code(), Code::kCorruption);
          ++told;
        } else {
          EXPECT_TRUE(found->has_value()) << "entry " << k << ", looking for " << i;
        }
      }
      ExpectOk(file->WriteAt(place, std::as_bytes(std::span(ids[k].bytes))));
    }
  }
  EXPECT_GT(told, 0u);
}

TEST(DamagedPack, BadHeaderIsCorruptionUnlessSalvaged) {
  SmallPack pack(End::kCommitted);
  Bytes damaged = pack.bytes;
  damaged[50] ^= std::byte{1};
  WriteFileBytes(pack.dir.get(), pack.name, damaged);
  EXPECT_EQ(PackReader::Open(pack.dir.get(), pack.pack_id, TestStoreUuid()).status().code(),
            Code::kCorruption);
  auto reader = Must(PackReader::Open(pack.dir.get(), pack.pack_id, TestStoreUuid(),
                                      PackReader::BadHeader::kSalvage));
  PackContents contents = Must(reader->ReadFrom(0));
  EXPECT_EQ(contents.chunks.size() + contents.records.size(), pack.written.size());
  ASSERT_EQ(contents.damage.size(), 1u);
  EXPECT_EQ(contents.damage[0].end, kPackHeaderBytes);
}

TEST(DamagedPack, ThatNeverBeganIsNotFound) {
  SimWorld world;
  auto dir = PacksDir(&world);
  Id128 id = TestStoreUuid();
  for (std::size_t size : {0u, 1u, 4095u, 4096u, 20000u}) {
    WriteFileBytes(dir.get(), PackFileName(id), Bytes(size));
    EXPECT_EQ(PackReader::Open(dir.get(), id, TestStoreUuid()).status().code(), Code::kNotFound);
  }
}

// Structures with valid checksums that lie: links upwards, and to themselves, end all the same.
TEST(DamagedPack, DirectoriesThatLieEndAndAreReplaced) {
  SmallPack pack(End::kCommitted);
  PackContents contents = Must(OpenReader(pack.dir.get(), pack.pack_id)->ReadFrom(0));
  std::uint64_t at = contents.mark->directory_offset;
  RecordHeader header;
  ASSERT_TRUE(DecodeRecordHeader(ByteSpan(pack.bytes).subspan(at), pack.pack_id, at, &header));
  for (std::uint64_t link : {at, at + 8, ~std::uint64_t{7}, std::uint64_t{8}}) {
    Bytes lying = pack.bytes;
    std::memcpy(lying.data() + at + kRecordHeaderBytes, &link, sizeof(link));
    header.payload_checksum =
        Checksum64(ByteSpan(lying).subspan(at + kRecordHeaderBytes, header.stored_bytes));
    EncodeRecordHeader(header, pack.pack_id, at, lying.data() + at);
    CheckDamaged(&pack, lying, {at, at + header.ExtentBytes()});
  }
}

}  // namespace
}  // namespace ckpt
