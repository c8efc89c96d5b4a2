#include "store/base/bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>

namespace ckpt {
namespace {

Bytes Generated() {
  auto raw = *rc::gen::arbitrary<std::vector<std::uint8_t>>();
  Bytes bytes(raw.size());
  std::ranges::transform(raw, bytes.begin(), [](std::uint8_t b) { return std::byte{b}; });
  return bytes;
}

TEST(Bytes, WriterIsLittleEndian) {
  Bytes out;
  ByteWriter writer(&out);
  writer.U8(1);
  writer.U16(0x0302);
  writer.U32(0x07060504);
  writer.U64(0x0F0E0D0C0B0A0908);
  writer.String("hi");
  writer.Zeros(2);
  ASSERT_EQ(out.size(), 15u + 4 + 2 + 2);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(std::to_integer<std::size_t>(out[i]), i + 1);
  EXPECT_EQ(AsText(ByteSpan(out).subspan(15)), std::string("\2\0\0\0hi\0\0", 8));
}

TEST(Bytes, WhatIsWrittenIsRead) {
  bool held = rc::check([](std::uint8_t a, std::uint16_t b, std::uint32_t c, std::uint64_t d,
                           std::int64_t e, std::string text) {
    Id128 id;
    id.bytes[3] = a;
    Bytes out;
    ByteWriter writer(&out);
    writer.U8(a);
    writer.U16(b);
    writer.U32(c);
    writer.U64(d);
    writer.I64(e);
    writer.Id(id);
    writer.String(text);
    ByteReader reader(out);
    RC_ASSERT(reader.U8() == a);
    RC_ASSERT(reader.U16() == b);
    RC_ASSERT(reader.U32() == c);
    RC_ASSERT(reader.U64() == d);
    RC_ASSERT(reader.I64() == e);
    RC_ASSERT(reader.Id() == id);
    RC_ASSERT(!reader.Done());
    RC_ASSERT(reader.String(text.size()) == text);
    RC_ASSERT(reader.Done());
  });
  EXPECT_TRUE(held);
}

// Any reads from any bytes: never outside them, and after the first failure only zeros.
TEST(ByteReader, NeverLeavesItsBytes) {
  bool held = rc::check([] {
    // On the heap at its exact size, so that the address sanitizer sees a byte too many.
    const Bytes bytes = Generated();
    ByteReader reader(bytes);
    auto steps = *rc::gen::inRange(0, 20);
    for (int i = 0; i < steps; ++i) {
      bool ok_before = reader.ok();
      std::size_t left = reader.remaining();
      std::uint64_t value = 0;
      std::size_t needs = 0;
      switch (*rc::gen::inRange(0, 6)) {
        case 0:
          value = reader.U8();
          needs = 1;
          break;
        case 1:
          value = reader.U16();
          needs = 2;
          break;
        case 2:
          value = reader.U32();
          needs = 4;
          break;
        case 3:
          value = reader.U64();
          needs = 8;
          break;
        case 4:
          value = reader.Id().IsZero() ? 0 : 1;
          needs = 16;
          break;
        default:
          needs = *rc::gen::element<std::size_t>(0, 1, 100, SIZE_MAX, SIZE_MAX - 1);
          value = reader.Raw(needs).size();
          break;
      }
      RC_ASSERT(reader.ok() == (ok_before && needs <= left));
      if (!reader.ok()) RC_ASSERT(value == 0u && !reader.Done());
      RC_ASSERT(reader.offset() + reader.remaining() == bytes.size());
    }
  });
  EXPECT_TRUE(held);
}

TEST(ByteReader, BlobHeedsItsLimitAndItsBytes) {
  Bytes out;
  ByteWriter(&out).String("hello");
  EXPECT_EQ(ByteReader(out).String(5), "hello");
  ByteReader limited(out);
  EXPECT_EQ(limited.String(4), "");
  EXPECT_FALSE(limited.ok());
  for (std::size_t cut = 0; cut < out.size(); ++cut) {
    Bytes part(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(cut));
    ByteReader reader(part);
    EXPECT_TRUE(reader.Blob(SIZE_MAX).empty());
    EXPECT_FALSE(reader.ok()) << cut;
  }
  Bytes hostile;
  ByteWriter(&hostile).U32(0xFFFFFFFF);
  ByteReader reader(hostile);
  EXPECT_TRUE(reader.Blob(SIZE_MAX).empty());
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReader, FailureIsForGood) {
  Bytes out;
  ByteWriter(&out).U32(0xFFFFFFFF);
  ByteReader reader(out);
  EXPECT_EQ(reader.U64(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U8(), 0u) << "though a byte is there";
  ByteReader failed(out);
  failed.Fail();
  EXPECT_EQ(failed.U32(), 0u);
  EXPECT_TRUE(ByteReader({}).Done());
}

TEST(Id128, HexRoundTripsAndRefusesTheRest) {
  bool held = rc::check([](std::uint64_t a, std::uint64_t b) {
    Id128 id;
    std::memcpy(id.bytes.data(), &a, 8);
    std::memcpy(id.bytes.data() + 8, &b, 8);
    Id128 back;
    RC_ASSERT(Id128::FromHex(id.ToHex(), &back));
    RC_ASSERT(back == id);
  });
  EXPECT_TRUE(held);
  Id128 kept;
  kept.bytes[0] = 9;
  Id128 before = kept;
  for (std::string_view bad :
       {"", "0", "000102030405060708090a0b0c0d0e0", "000102030405060708090a0b0c0d0e0f0",
        "000102030405060708090a0b0c0d0e0g", "000102030405060708090A0B0C0D0E0F"}) {
    EXPECT_FALSE(Id128::FromHex(bad, &kept)) << bad;
    EXPECT_EQ(kept, before);
  }
}

TEST(RoundUp, AnswersTheNextMultiple) {
  EXPECT_EQ(RoundUp(0, 4096), 0u);
  EXPECT_EQ(RoundUp(1, 4096), 4096u);
  EXPECT_EQ(RoundUp(4096, 4096), 4096u);
  EXPECT_EQ(RoundUp(4097, 4096), 8192u);
}

}  // namespace
}  // namespace ckpt
