// The record layouts alone: what is encoded decodes to the same, every cut and every flipped bit is
// refused, counts and offsets out of bounds are refused.

#include "store/pack/format.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "store/codec/hash.h"

namespace ckpt {
namespace {

Id128 IdOf(std::uint64_t seed) { return HashChunk(std::as_bytes(std::span(&seed, 1))); }

Bytes Encoded(const RecordHeader& header, const Id128& pack, std::uint64_t offset) {
  Bytes out(kRecordHeaderBytes);
  EncodeRecordHeader(header, pack, offset, out.data());
  return out;
}

RecordHeader SomeHeader() {
  RecordHeader header;
  header.type = RecordType::kChunk;
  header.codec = 2;
  header.codec_param = 8;
  header.stored_bytes = 1000;
  header.raw_bytes = 4096;
  header.writer_id = 7;
  header.id = IdOf(1);
  header.payload_checksum = 99;
  return header;
}

Directory SomeDirectory(bool sealed) {
  Directory directory;
  directory.previous_offset = sealed ? 0 : 4096;
  directory.covers_from = sealed ? 4096 : 8192;
  directory.sealed = sealed;
  for (std::uint64_t i = 0; i < 5; ++i) {
    ChunkEntry entry;
    entry.id = IdOf(i);
    entry.offset = 8192 + i * 1024;
    entry.stored_bytes = 500;
    entry.raw_bytes = 900;
    entry.codec = i == 3 ? 16 : 1;
    if (i == 3) entry.base = IdOf(0);
    directory.chunks.push_back(entry);
  }
  if (sealed) std::sort(directory.chunks.begin(), directory.chunks.end(), ChunkEntryLess);
  directory.records.push_back({16384, 100, RecordType::kManifest});
  directory.records.push_back({16640, 30, RecordType::kTombstone});
  return directory;
}

TEST(RecordHeader, EncodedDecodesToTheSame) {
  RecordHeader header = SomeHeader(), back;
  std::uint64_t checksum = 0;
  Bytes bytes = Encoded(header, IdOf(2), 4096);
  ASSERT_TRUE(DecodeRecordHeader(bytes, IdOf(2), 4096, &back, &checksum));
  EXPECT_EQ(Encoded(back, IdOf(2), 4096), bytes);
  EXPECT_EQ(checksum, LoadU64(bytes.data() + 56));
}

TEST(RecordHeader, ElsewhereOrInAnotherPackIsRefused) {
  Bytes bytes = Encoded(SomeHeader(), IdOf(2), 4096);
  RecordHeader back;
  EXPECT_FALSE(DecodeRecordHeader(bytes, IdOf(2), 4104, &back));
  EXPECT_FALSE(DecodeRecordHeader(bytes, IdOf(3), 4096, &back));
  // Where none begins.
  EXPECT_FALSE(DecodeRecordHeader(Encoded(SomeHeader(), IdOf(2), 4100), IdOf(2), 4100, &back));
}

// What a later version may put there is not passed over.
TEST(RecordHeader, AReservedByteIsZero) {
  Bytes bytes = Encoded(SomeHeader(), IdOf(2), 4096);
  const auto decodes = [&] {
    Bytes bound(80);
    const std::uint64_t offset = 4096;
    std::memcpy(bound.data(), IdOf(2).bytes.data(), 16);
    std::memcpy(bound.data() + 16, &offset, 8);
    std::memcpy(bound.data() + 24, bytes.data(), 56);
    const std::uint64_t checksum = Checksum64(bound);
    std::memcpy(bytes.data() + 56, &checksum, 8);
    RecordHeader back;
    return DecodeRecordHeader(bytes, IdOf(2), 4096, &back);
  };
  EXPECT_TRUE(decodes());
  bytes[7] = std::byte{1};
  EXPECT_FALSE(decodes());
}

TEST(RecordHeader, AnyFlippedBitOrCutIsRefused) {
  Bytes bytes = Encoded(SomeHeader(), IdOf(2), 4096);
  RecordHeader back;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    Bytes flipped = bytes;
    flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_FALSE(DecodeRecordHeader(flipped, IdOf(2), 4096, &back)) << bit;
  }
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(DecodeRecordHeader(ByteSpan(bytes).first(cut), IdOf(2), 4096, &back)) << cut;
  }
}

TEST(RecordHeader, SizesBeyondTheTypeAreRefused) {
  auto refused = [](RecordType type, std::uint64_t stored, std::uint64_t raw, std::uint8_t codec) {
    RecordHeader header, back;
    header.type = type;
    header.codec = codec;
    header.stored_bytes = stored;
    header.raw_bytes = raw;
    return !DecodeRecordHeader(Encoded(header, IdOf(2), 4096), IdOf(2), 4096, &back);
  };
  EXPECT_FALSE(refused(RecordType::kChunk, kChunkBytesMax, kChunkBytesMax, 0));
  EXPECT_TRUE(refused(RecordType::kChunk, kChunkBytesMax + 1, kChunkBytesMax + 1, 0));
  EXPECT_TRUE(refused(RecordType::kChunk, 10, kChunkBytesMax + 1, 1));
  EXPECT_TRUE(refused(RecordType::kChunk, 10, 11, 0));
  EXPECT_FALSE(refused(RecordType::kChunk, kChunkBytesMax + 65536, kChunkBytesMax, 1));
  EXPECT_TRUE(refused(RecordType::kChunk, kChunkBytesMax + 65537, kChunkBytesMax, 1));
  EXPECT_TRUE(refused(RecordType::kTombstone, 65537, 65537, 0));
  EXPECT_TRUE(refused(RecordType::kTombstone, 10, 20, 1));
  for (const RecordType type : {RecordType::kDamage, RecordType::kAttempt, RecordType::kWriter}) {
    EXPECT_FALSE(refused(type, 65536, 65536, 0));
    EXPECT_TRUE(refused(type, 65537, 65537, 0));
  }
  for (const RecordType type : {RecordType::kAck, RecordType::kMoved}) {
    EXPECT_FALSE(refused(type, 1u << 20, 1u << 20, 0));
    EXPECT_TRUE(refused(type, (1u << 20) + 1, (1u << 20) + 1, 0));
  }
  EXPECT_FALSE(refused(RecordType::kManifest, 10, 64u << 20, 1));
  EXPECT_TRUE(refused(RecordType::kManifest, 10, (64u << 20) + 1, 1));
  EXPECT_TRUE(refused(RecordType::kDirectory, ~0ull - 100, ~0ull - 100, 0));
  // A type of the future is skipped, so its header must be valid; but not of any size.
  EXPECT_FALSE(refused(static_cast<RecordType>(77), 1000, 5000, 9));
  EXPECT_TRUE(refused(static_cast<RecordType>(77), ~0ull - 100, 0, 0));
}

TEST(PackHeader, RoundTripsAndRefusesFlips) {
  PackHeader header{IdOf(4), IdOf(5), true, 123456789, IdOf(6)};
  Bytes bytes = EncodePackHeader(header);
  ASSERT_EQ(bytes.size(), kPackHeaderBytes);
  Result<PackHeader> back = DecodePackHeader(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(EncodePackHeader(*back), bytes);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_EQ(DecodePackHeader(bytes).status().code(), Code::kCorruption) << bit;
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
  }
  for (std::size_t cut : {0ul, 1ul, 100ul, bytes.size() - 1}) {
    EXPECT_FALSE(DecodePackHeader(ByteSpan(bytes).first(cut)).ok());
  }
}

TEST(SyncMark, RoundTripsAndRefusesCutsAndImpossibleOffsets) {
  SyncMark mark;
  mark.durable_offset = 8192;
  mark.host = IdOf(1);
  mark.device = 2;
  mark.inode = 3;
  mark.directory_offset = 4096;
  mark.sequence = 4;
  mark.closed = true;
  mark.sealed = true;
  Bytes bytes = EncodeSyncMark(mark);
  EXPECT_EQ(bytes.size(), 64u);
  Result<SyncMark> back = DecodeSyncMark(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(EncodeSyncMark(*back), bytes);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(DecodeSyncMark(ByteSpan(bytes).first(cut)).ok());
  }
  auto refused = [&](auto change) {
    SyncMark other = mark;
    change(&other);
    return !DecodeSyncMark(EncodeSyncMark(other)).ok();
  };
  EXPECT_TRUE(refused([](SyncMark* m) { m->directory_offset = 8192; }));
  EXPECT_TRUE(refused([](SyncMark* m) { m->directory_offset = 8; }));
  EXPECT_TRUE(refused([](SyncMark* m) { m->directory_offset = 4097; }));
  EXPECT_TRUE(refused([](SyncMark* m) { m->directory_offset = 0; }));  // sealed without one
  EXPECT_TRUE(refused([](SyncMark* m) { m->durable_offset = 8200; }));
  EXPECT_TRUE(refused([](SyncMark* m) { m->durable_offset = 0; }));
  // The flags, and zeros behind them.
  for (const std::size_t at : {bytes.size() - 7, bytes.size() - 4}) {
    Bytes other = bytes;
    other[at] = std::byte{4};
    EXPECT_EQ(DecodeSyncMark(other).status().code(), Code::kCorruption) << at;
  }
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(DecodeSyncMark(bytes).ok());
}

TEST(Directory, RoundTrips) {
  for (bool sealed : {false, true}) {
    Bytes bytes = EncodeDirectory(SomeDirectory(sealed));
    Result<Directory> back = DecodeDirectory(bytes, 20480);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_EQ(EncodeDirectory(*back), bytes);
    EXPECT_EQ(back->sealed, sealed);
    EXPECT_EQ(back->chunks.size(), 5u);
  }
}

TEST(Directory, EveryCutIsRefusedAndNoFlipCrashes) {
  for (bool sealed : {false, true}) {
    Bytes bytes = EncodeDirectory(SomeDirectory(sealed));
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      EXPECT_FALSE(DecodeDirectory(ByteSpan(bytes).first(cut), 20480).ok()) << cut;
    }
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      Bytes flipped = bytes;
      flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      Result<Directory> back = DecodeDirectory(flipped, 20480);
      if (!back.ok()) continue;
      EXPECT_EQ(EncodeDirectory(*back).size(), bytes.size());
      for (const ChunkEntry& entry : back->chunks) EXPECT_LT(entry.offset, 20480u);
    }
  }
}

TEST(Directory, ImpossibleContentsAreRefused) {
  auto refused = [](bool sealed, auto change) {
    Directory directory = SomeDirectory(sealed);
    change(&directory);
    return DecodeDirectory(EncodeDirectory(directory), 20480).status().code() == Code::kCorruption;
  };
  EXPECT_FALSE(refused(false, [](Directory*) {}));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->previous_offset = 8192; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->covers_from = 8200; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->covers_from = 20488; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->chunks[4].offset = 20480 - 500; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->chunks[4].offset = ~0ull - 7; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->chunks[4].offset += 4; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { std::swap(d->chunks[0], d->chunks[1]); }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->chunks[1].offset = d->chunks[0].offset + 8; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->chunks[1].raw_bytes = kChunkBytesMax + 1; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { std::swap(d->records[0], d->records[1]); }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->records[0].type = RecordType::kSyncMark; }));
  EXPECT_TRUE(refused(false, [](Directory* d) { d->records[0].stored_bytes = ~0ull; }));
  EXPECT_TRUE(refused(true, [](Directory* d) { d->previous_offset = 4096; }));
  EXPECT_TRUE(refused(true, [](Directory* d) { std::swap(d->chunks[0], d->chunks[1]); }));
}

TEST(PackFileName, OnlyItsOwnFormParses) {
  Id128 id = IdOf(9), back;
  std::string name = PackFileName(id);
  ASSERT_TRUE(ParsePackFileName(name, &back));
  EXPECT_EQ(back, id);
  for (const std::string& bad : {std::string(""), std::string(".pack"), name + "x", "../" + name,
                                 name.substr(1), id.ToHex()}) {
    EXPECT_FALSE(ParsePackFileName(bad, &back)) << bad;
  }
}

}  // namespace
}  // namespace ckpt
