// Differences between chunks, and payloads that are one.

#include "store/codec/difference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "store/codec/compress.h"
#include "store/codec/hash.h"

namespace ckpt {
namespace {

Bytes NoiseOf(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

// A field of doubles, `shift` of a cell further than another.
Bytes Field(std::size_t count, double shift) {
  std::vector<double> field(count);
  for (std::size_t i = 0; i < count; ++i) {
    field[i] = 300 + 40 * std::sin(0.01 * static_cast<double>(i) + shift);
  }
  Bytes bytes(count * sizeof(double));
  std::memcpy(bytes.data(), field.data(), bytes.size());
  return bytes;
}

TEST(Difference, IsUndone) {
  for (const Difference how : {Difference::kXor, Difference::kSubtract}) {
    for (const std::size_t lane : {1, 2, 4, 8}) {
      for (const std::size_t size : {0, 1, 7, 8, 9, 4096, 4099}) {
        const Bytes raw = NoiseOf(size, 1), base = NoiseOf(size, 2);
        Bytes difference(size), again(size);
        TakeDifference(how, lane, raw, base, difference);
        UndoDifference(how, lane, difference, base, again);
        EXPECT_EQ(again, raw) << "lane " << lane << ", " << size << " bytes";
      }
    }
  }
}

// What docs/format.md says, in numbers.
TEST(Difference, SmallOnesOfEitherSignAreSmallNumbers) {
  auto of = [](std::uint32_t raw, std::uint32_t base) {
    Bytes a(4), b(4), out(4);
    std::memcpy(a.data(), &raw, 4);
    std::memcpy(b.data(), &base, 4);
    TakeDifference(Difference::kSubtract, 4, a, b, out);
    std::uint32_t word = 0;
    std::memcpy(&word, out.data(), 4);
    return word;
  };
  EXPECT_EQ(of(7, 7), 0u);
  EXPECT_EQ(of(6, 7), 1u);
  EXPECT_EQ(of(8, 7), 2u);
  EXPECT_EQ(of(0, 2), 3u);
  EXPECT_EQ(of(0xffffffff, 0), 1u);  // modulo 2^32
  EXPECT_EQ(of(0x80000000, 0), 0xffffffffu);
}

TEST(Difference, LanesDivideTheElement) {
  for (const auto& [width, lane] : std::vector<std::pair<std::size_t, std::size_t>>{
           {8, 8}, {88, 8}, {12, 4}, {6, 2}, {1, 1}, {7, 1}}) {
    EXPECT_EQ(LaneOfWidth(width), lane) << width;
  }
}

struct Case {
  const char* name;
  Bytes raw, base;
  std::size_t width;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const std::size_t bytes : {2000, 65536}) {
    Bytes raw = NoiseOf(bytes, 1);
    const Bytes base = raw;
    for (std::size_t at = 512; at < 1024; ++at) raw[at] = std::byte{7};
    cases.push_back({"one row of random bytes", raw, base, 8});
    cases.push_back({"of unknown width", raw, base, kUnknownWidth});
    cases.push_back({"wider than a shuffle", raw, base, 300});
  }
  cases.push_back({"a field that moved", Field(8192, 1e-9), Field(8192, 0), 8});
  cases.push_back({"a field, by 256", Field(8192, 1e-9), Field(8192, 0), 256});
  return cases;
}

TEST(Delta, IsMuchSmallerAndDecodesWithItsBase) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    Encoder encoder;
    EncodeOptions options;
    options.element_width = c.width;
    const std::size_t full = encoder.Encode(c.raw, options)->bytes.size();
    const Id128 id = HashChunk(c.base);
    auto delta = *encoder.EncodeDelta(c.raw, c.base, id, options, full);
    ASSERT_TRUE(delta.has_value());
    EXPECT_LT(delta->bytes.size(), full / 2);
    EXPECT_EQ(std::memcmp(delta->bytes.data(), id.bytes.data(), sizeof(id)), 0);
    Decoder decoder;
    Bytes again(c.raw.size());
    const auto codec = static_cast<std::uint8_t>(delta->codec);
    ASSERT_TRUE(decoder.Decode(codec, delta->param, delta->bytes, again, c.base).ok());
    EXPECT_EQ(again, c.raw);
    // No base, or one of another size: an error, nothing else.
    EXPECT_EQ(decoder.Decode(codec, delta->param, delta->bytes, again).code(), Code::kCorruption);
    EXPECT_EQ(decoder
                  .Decode(codec, delta->param, delta->bytes, again,
                          ByteSpan(c.base).first(c.base.size() - 1))
                  .code(),
              Code::kCorruption);
    EXPECT_EQ(decoder.Decode(codec, delta->param, delta->bytes.first(15), again, c.base).code(),
              Code::kCorruption);
  }
}

TEST(Delta, IsNoneWhereItDoesNotFit) {
  Encoder encoder;
  const Bytes raw = NoiseOf(65536, 1), other = NoiseOf(65536, 2);
  EXPECT_FALSE(encoder.EncodeDelta(raw, other, Id128(), {}, 65536)->has_value());
  Bytes near = raw;
  near[5] ^= std::byte{1};
  EXPECT_TRUE(encoder.EncodeDelta(near, raw, Id128(), {}, 1000)->has_value());
  EXPECT_FALSE(encoder.EncodeDelta(near, raw, Id128(), {}, 20)->has_value());
  EXPECT_FALSE(encoder.EncodeDelta(near, raw, Id128(), {}, 16)->has_value());
}

// Of noise nobody can tell the width of its elements; of what changed in them one can.
TEST(Delta, TheWidthIsSeenInTheDifference) {
  const Bytes base = NoiseOf(65536, 1), fresh = NoiseOf(65536, 2);
  Bytes raw = base;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (i % 8 < 3) raw[i] = fresh[i];
  }
  Encoder encoder;
  const auto delta = *encoder.EncodeDelta(raw, base, Id128(), {}, raw.size());
  ASSERT_TRUE(delta.has_value());
  EXPECT_EQ(delta->param, 8);
  EXPECT_LT(delta->bytes.size(), raw.size() * 38 / 100);  // three bytes of eight
}

// A counter that goes up: subtracting is what finds it.
TEST(Delta, IsTheWayThatIsSmaller) {
  std::vector<std::uint64_t> before(8192), after(8192);
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < before.size(); ++i) {
    before[i] = random();
    after[i] = before[i] + 3;
  }
  const ByteSpan raw = std::as_bytes(std::span(after)), base = std::as_bytes(std::span(before));
  Encoder encoder;
  EncodeOptions options;
  options.element_width = 8;
  auto delta = *encoder.EncodeDelta(raw, base, Id128(), options, 60000);
  ASSERT_TRUE(delta.has_value());
  EXPECT_EQ(delta->codec, Codec::kDeltaSubtract);
  EXPECT_LT(delta->bytes.size(), 100u);
}

}  // namespace
}  // namespace ckpt
