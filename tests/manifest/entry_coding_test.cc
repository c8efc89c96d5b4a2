#include "store/manifest/entry_coding.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/manifest/entry_samples.h"
#include "tests/manifest/hostile_bytes.h"

namespace ckpt {
namespace {

Bytes Encoded(const Entry& entry) {
  Bytes bytes;
  EncodeEntry(entry, &bytes);
  return bytes;
}

Result<Entry> DecodedWhole(const Bytes& bytes) {
  ByteReader in(bytes);
  Result<Entry> entry = DecodeEntry(&in);
  if (entry.ok() && !in.Done()) return Corruption("bytes left");
  return entry;
}

TEST(EntryCoding, EveryKindRoundTrips) {
  for (const Entry& entry : EntriesOfAllKinds()) {
    ASSERT_TRUE(CheckEntry(entry).ok()) << CheckEntry(entry).ToString();
    Result<Entry> back = DecodedWhole(Encoded(entry));
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_EQ(*back, entry);
  }
}

TEST(EntryCoding, FileHasTheLayoutOfTheFormatPage) {
  Entry entry = EntryOfKind(EntryKind::kFile, "f", 3);
  Bytes wanted;
  ByteWriter out(&wanted);
  out.U8(0);
  out.String("f");
  out.U64(1003);
  out.U64(3);
  out.U8(1);
  for (std::uint32_t v : {3u, 9u, 15u}) out.U32(v);
  out.I64(21 - 1000);
  out.I64(33);
  out.U64(39);
  out.U64(51);
  out.U32(2);
  out.String("user.a");
  out.String("value");
  out.String("user.b");
  out.String(std::string_view("\0\xff", 2));
  out.U8(1);
  out.U8(2);
  out.Id(NumberedId(3));
  out.U32(300);
  EXPECT_EQ(Encoded(entry), wanted);
}

TEST(EntryCoding, ArrayHasTheLayoutOfTheFormatPage) {
  Entry entry = EntryOfKind(EntryKind::kArray, "a", 3);
  Bytes wanted;
  ByteWriter out(&wanted);
  out.U8(4);
  out.String("a");
  out.U64(192);
  out.U64(3);
  out.U8(2);
  out.U8(12);
  out.U8(1);
  out.U8(3);
  out.U32(8);
  for (std::uint64_t v : {2, 3, 4, 4, 3, 1000, 2, 0, 5}) out.U64(v);
  out.U8(1);
  out.U8(2);
  out.Id(NumberedId(3));
  out.U32(300);
  EXPECT_EQ(Encoded(entry), wanted);
}

TEST(EntryCoding, HostileBytesAreBounded) {
  for (const Entry& entry : EntriesOfAllKinds()) {
    Bytes bytes = Encoded(entry);
    ForEveryCut(bytes, [](const Bytes& cut) {
      EXPECT_EQ(DecodedWhole(cut).status().code(), Code::kCorruption) << "cut at " << cut.size();
    });
    ForEveryFlip(bytes, [](const Bytes& flipped) {
      Result<Entry> other = DecodedWhole(flipped);
      if (!other.ok()) {
        EXPECT_EQ(other.status().code(), Code::kCorruption);
        return;
      }
      EXPECT_TRUE(CheckEntry(*other).ok());
      EXPECT_EQ(Encoded(*other), flipped);  // no bit is ignored
    });
  }
}

struct Mistake {
  EntryKind kind;
  std::function<void(Entry*)> make;
};

TEST(EntryCoding, FieldsOutsideTheLimitsAreRefusedOnBothSides) {
  using K = EntryKind;
  const std::vector<Mistake> mistakes = {
      {K::kFile, [](Entry* e) { e->name = "../x"; }},
      {K::kFile, [](Entry* e) { e->name = "/x"; }},
      {K::kFile, [](Entry* e) { e->mode = 010000; }},
      {K::kFile, [](Entry* e) { e->xattrs[0].first = ""; }},
      {K::kFile, [](Entry* e) { e->xattrs[0].first = std::string("a\0b", 3); }},
      {K::kFile, [](Entry* e) { e->xattrs[0].first.assign(256, 'x'); }},
      {K::kFile, [](Entry* e) { e->xattrs[0].second.assign(65537, 'x'); }},
      {K::kFile,
       [](Entry* e) {
         e->xattrs.resize(1025, {"a", "b"});
       }},
      {K::kFile,
       [](Entry* e) {
         e->xattrs.assign(16, {"a", std::string(65536, 'x')});
       }},
      {K::kFile, [](Entry* e) { e->logical_bytes = 0; }},
      {K::kFile, [](Entry* e) { e->content = {}; }},
      {K::kFile, [](Entry* e) { e->content.level = 8; }},
      {K::kFile, [](Entry* e) { e->content.root.raw_bytes = 240; }},
      {K::kDirectory, [](Entry* e) { e->logical_bytes = 5; }},
      {K::kDirectory, [](Entry* e) { e->chunks = 1; }},
      {K::kSymlink, [](Entry* e) { e->target = ""; }},
      {K::kSymlink, [](Entry* e) { e->target = std::string("a\0b", 3); }},
      {K::kSymlink, [](Entry* e) { e->target.assign(4097, 'x'); }},
      {K::kHardLink, [](Entry* e) { e->target = e->name; }},
      {K::kHardLink, [](Entry* e) { e->target = "zzz"; }},
      {K::kHardLink, [](Entry* e) { e->target = "../a"; }},
      {K::kHardLink, [](Entry* e) { e->target = "/a"; }},
      {K::kArray, [](Entry* e) { e->logical_bytes += 8; }},
      {K::kArray, [](Entry* e) { e->array.element_bytes = 4; }},
      {K::kArray, [](Entry* e) { e->array.element_bytes = 0; }},
      {K::kArray, [](Entry* e) { e->array.dtype = static_cast<Dtype>(0); }},
      {K::kArray, [](Entry* e) { e->array.dtype = static_cast<Dtype>(21); }},
      {K::kArray,
       [](Entry* e) {
         e->array.shape = {1ull << 32, 1ull << 32};
       }},
      {K::kArray, [](Entry* e) { e->array.global_offset[0] = 3; }},
      {K::kArray, [](Entry* e) { e->array.global_offset[0] = ~0ull; }},
      {K::kArray, [](Entry* e) { e->array.global_shape[2] = 1ull << 60; }},
  };
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    Entry entry = EntryOfKind(mistakes[i].kind, "name");
    mistakes[i].make(&entry);
    EXPECT_EQ(CheckEntry(entry).code(), Code::kInvalidArgument) << "mistake " << i;
    EXPECT_EQ(DecodedWhole(Encoded(entry)).status().code(), Code::kCorruption) << "mistake " << i;
  }
}

TEST(EntryCoding, FieldsThatDoNotBelongToTheKindAreRefused) {
  using K = EntryKind;
  const std::vector<Mistake> mistakes = {
      {K::kFile, [](Entry* e) { e->target = "x"; }},
      {K::kFile, [](Entry* e) { e->array.shape = {1}; }},
      {K::kSymlink, [](Entry* e) { SetStoredContent(e, 1); }},
      {K::kArray, [](Entry* e) { e->trusted_stat = true; }},
      {K::kArray,
       [](Entry* e) {
         e->xattrs = {{"a", "b"}};
       }},
      {K::kArray, [](Entry* e) { e->array.global_shape.pop_back(); }},
      {K::kArray, [](Entry* e) { e->array.global_offset.clear(); }},
      {K::kArray, [](Entry* e) { e->array.shape.assign(33, 1); }},
  };
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    Entry entry = EntryOfKind(mistakes[i].kind, "name");
    mistakes[i].make(&entry);
    EXPECT_EQ(CheckEntry(entry).code(), Code::kInvalidArgument) << "mistake " << i;
  }
}

TEST(ArrayShape, ProductIsTheSizeAndOverflowIsRefused) {
  ArrayShape array;
  array.dtype = Dtype::kFloat32;
  array.element_bytes = 4;
  std::uint64_t bytes = 99;
  ASSERT_TRUE(CheckArrayShape(array, &bytes).ok());
  EXPECT_EQ(bytes, 4u);  // no dimensions: one element
  array.shape = {3, 0, 5};
  ASSERT_TRUE(CheckArrayShape(array, &bytes).ok());
  EXPECT_EQ(bytes, 0u);
  array.shape = {1ull << 40, 0, 1ull << 40};  // zero does not hide it
  EXPECT_EQ(CheckArrayShape(array, &bytes).code(), Code::kInvalidArgument);
  array.shape = {(1ull << 61) - 1};
  ASSERT_TRUE(CheckArrayShape(array, &bytes).ok());
  array.shape = {1ull << 61};
  EXPECT_EQ(CheckArrayShape(array, &bytes).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace ckpt
