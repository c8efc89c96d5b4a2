// Rows of the index: what was sealed comes back; with any bit flipped, cut at any length, sealed
// for another key, table or index, or sealed with a body that is none, it is refused.

#include "store/index/index_rows.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace ckpt::index_internal {
namespace {

const RowSealer kSealer(11), kOther(12);
const Id128 kId{{1, 2, 3}}, kBase{{4, 5}};

struct RowKind {
  std::string name;
  Bytes row;
  Bytes key;
  Table table;
  std::function<bool(const RowSealer&, ByteSpan key, ByteSpan value)> decodes;
};

Bytes Copy(ByteSpan bytes) { return Bytes(bytes.begin(), bytes.end()); }

bool IsChunk(const RowSealer& sealer, ByteSpan key, ByteSpan value) {
  Id128 id;
  std::copy(key.begin(), key.end(), std::as_writable_bytes(std::span(id.bytes)).begin());
  ChunkRow row;
  return DecodeChunkRow(sealer, id, value, &row);
}

Bytes ChunkValueOf(const Id128& base) {
  ChunkRow row{.pack = 7, .entry = {}};
  row.entry.id = kId;
  row.entry.offset = 123456;
  row.entry.stored_bytes = 50;
  row.entry.raw_bytes = 60;
  row.entry.base = base;
  const ChunkValue value = EncodeChunkRow(kSealer, row);
  return Copy(ByteSpan(value.bytes.data(), value.size));
}

std::vector<RowKind> Kinds() {
  const PackKey pack_key = EncodePackKey(7);
  const Bytes record_key = RecordKey(AsBytes("m/run"));
  Bytes record;
  EncodeRecordRow(kSealer, record_key, {.link = 5, .pack = 7, .value = AsBytes("value")}, &record);
  return {
      {"chunk", ChunkValueOf(Id128()), Copy(IdSpan(kId)), kChunks, IsChunk},
      {"delta", ChunkValueOf(kBase), Copy(IdSpan(kId)), kChunks, IsChunk},
      {"pack", EncodePackRow(kSealer, 7, {kId, 8192, 4096, 99}), Copy(pack_key), kPacks,
       [](const RowSealer& sealer, ByteSpan key, ByteSpan value) {
         PackCoverage coverage;
         return DecodePackRow(sealer, key, value, &coverage);
       }},
      {"number", EncodeNumberRow(kSealer, kMeta, NextPackKey(), 3), Copy(NextPackKey()), kMeta,
       [](const RowSealer& sealer, ByteSpan key, ByteSpan value) {
         std::uint32_t number = 0;
         return DecodeNumberRow(sealer, kMeta, key, value, &number);
       }},
      {"record", record, record_key, kRecords,
       [](const RowSealer& sealer, ByteSpan key, ByteSpan value) {
         RecordRow row;
         return DecodeRecordRow(sealer, key, value, &row);
       }},
  };
}

TEST(IndexRows, AnyFlippedBitCutKeyOrSeedIsRefused) {
  for (const RowKind& kind : Kinds()) {
    ASSERT_TRUE(kind.decodes(kSealer, kind.key, kind.row)) << kind.name;
    EXPECT_FALSE(kind.decodes(kOther, kind.key, kind.row)) << kind.name;
    Bytes other_key = kind.key;
    other_key.back() ^= std::byte{1};
    EXPECT_FALSE(kind.decodes(kSealer, other_key, kind.row)) << kind.name;
    for (std::size_t length = 0; length < kind.row.size(); ++length) {
      EXPECT_FALSE(kind.decodes(kSealer, kind.key, ByteSpan(kind.row).first(length)))
          << kind.name << " of " << length;
    }
    for (std::size_t bit = 0; bit < 8 * kind.row.size(); ++bit) {
      Bytes flipped = kind.row;
      flipped[bit / 8] ^= std::byte(1 << bit % 8);
      EXPECT_FALSE(kind.decodes(kSealer, kind.key, flipped)) << kind.name << ", bit " << bit;
    }
  }
}

// Somebody's who knows the seed, say: the length is looked at, too.
TEST(IndexRows, SealedBodiesOfAnotherLengthAreRefused) {
  for (const RowKind& kind : Kinds()) {
    for (const std::size_t length : {std::size_t{0}, std::size_t{11}, std::size_t{21}}) {
      if (kind.name == "record" && length >= 12) continue;  // a record's value has any length
      Bytes row(length, std::byte{1});
      kSealer.Seal(kind.table, kind.key, &row);
      EXPECT_FALSE(kind.decodes(kSealer, kind.key, row)) << kind.name << " of " << length;
    }
  }
}

TEST(IndexRows, IdentityComesBackAndNoFlipDoes) {
  const IdentityRow identity{.store_uuid = kId, .host = kBase, .seed = 77};
  const Bytes row = EncodeIdentity(identity);
  IdentityRow found;
  ASSERT_TRUE(DecodeIdentity(row, &found));
  EXPECT_EQ(found.store_uuid, kId);
  EXPECT_EQ(found.host, kBase);
  EXPECT_EQ(found.seed, 77u);
  for (std::size_t bit = 0; bit < 8 * row.size(); ++bit) {
    Bytes flipped = row;
    flipped[bit / 8] ^= std::byte(1 << bit % 8);
    EXPECT_FALSE(DecodeIdentity(flipped, &found)) << bit;
  }
  EXPECT_FALSE(DecodeIdentity(ByteSpan(row).first(7), &found));
}

TEST(IndexRows, NewsFitWhereTheyBegin) {
  PackUpdate update;
  update.covered_before = 100;
  update.coverage.covered_bytes = 200;
  EXPECT_FALSE(DoesNotFit(update, 100));
  EXPECT_FALSE(IsLeftOut(update, 100));
  EXPECT_TRUE(IsLeftOut(update, 50));    // a gap
  EXPECT_TRUE(IsLeftOut(update, 150));   // part of it is known
  EXPECT_FALSE(IsLeftOut(update, 200));  // all of it
  update.covered_before = 0;
  EXPECT_TRUE(IsLeftOut(update, 300));  // put anew, upon what somebody else knows more of
  update.covered_before = 100;
  update.coverage.covered_bytes = 50;
  EXPECT_TRUE(DoesNotFit(update, 100));  // backwards
  EXPECT_FALSE(IsLeftOut(update, 100));
}

TEST(IndexRows, EndOfAPrefixIsTheNextKey) {
  Bytes prefix = Copy(AsBytes("ab"));
  EXPECT_TRUE(PrefixEnd(&prefix));
  EXPECT_EQ(prefix, Copy(AsBytes("ac")));
  prefix = {std::byte{1}, std::byte{0xff}, std::byte{0xff}};
  EXPECT_TRUE(PrefixEnd(&prefix));
  EXPECT_EQ(prefix, Bytes{std::byte{2}});
  prefix = {std::byte{0xff}};
  EXPECT_FALSE(PrefixEnd(&prefix));
}

}  // namespace
}  // namespace ckpt::index_internal
