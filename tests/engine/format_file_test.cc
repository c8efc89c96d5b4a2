// The `format` file: what is refused, by which code, and what is not believed.

#include "store/engine/format_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr std::size_t kVersionAt = 8, kReadCompatibleAt = 24, kIncompatibleAt = 32, kHashAt = 56;
constexpr std::size_t kAverageAt = 76, kArrayChunkAt = 84, kLevelAt = 88, kEffortAt = 92,
                      kPackBytesAt = 96;

// A sound file with other bytes at `at`, and a checksum that fits.
template <typename T>
Bytes FormatWith(std::size_t at, T value) {
  Bytes bytes = *EncodeFormatFile(StoreFormat());
  std::memcpy(bytes.data() + at, &value, sizeof(value));
  const std::uint64_t checksum = Checksum64(ByteSpan(bytes).first(kFormatFileBytes - 8));
  std::memcpy(bytes.data() + kFormatFileBytes - 8, &checksum, 8);
  return bytes;
}

TEST(FormatFile, FeaturesOfLaterBuildsAreNamed) {
  EXPECT_TRUE(DecodeFormatFile(FormatWith<std::uint64_t>(16, 5)).ok());  // concerns nobody
  const auto read_only = DecodeFormatFile(FormatWith<std::uint64_t>(kReadCompatibleAt, 2));
  ASSERT_TRUE(read_only.ok());
  EXPECT_TRUE(read_only->read_only);
  const auto refused = DecodeFormatFile(FormatWith<std::uint64_t>(kIncompatibleAt, 5));
  EXPECT_EQ(refused.status().code(), Code::kUnsupported);
  EXPECT_NE(refused.status().message().find("bits 0, 2)"), std::string::npos);
  const auto later = DecodeFormatFile(FormatWith<std::uint32_t>(kVersionAt, 2));
  EXPECT_EQ(later.status().code(), Code::kUnsupported);
  EXPECT_NE(later.status().message().find("format 2"), std::string::npos);
  const auto hash = DecodeFormatFile(FormatWith<std::uint8_t>(kHashAt, 9));
  EXPECT_EQ(hash.status().code(), Code::kUnsupported);
  EXPECT_NE(hash.status().message().find("number 9"), std::string::npos);
}

TEST(FormatFile, AnEffortOfALaterBuildIsTakenForBalanced) {
  EXPECT_EQ(DecodeFormatFile(FormatWith<std::uint32_t>(kEffortAt, 3))->effort, Effort::kSmall);
  EXPECT_EQ(DecodeFormatFile(FormatWith<std::uint32_t>(kEffortAt, 4))->effort, Effort::kBalanced);
  EXPECT_EQ(DecodeFormatFile(FormatWith<std::uint32_t>(kEffortAt, 0))->effort, Effort::kBalanced);
}

TEST(FormatFile, AnyOtherFileIsCorruption) {
  const Bytes sound = *EncodeFormatFile(StoreFormat());
  EXPECT_EQ(DecodeFormatFile(ByteSpan(sound).first(4095)).status().code(), Code::kCorruption);
  for (std::size_t at : {std::size_t{0}, kAverageAt, kFormatFileBytes - 1}) {
    Bytes flipped = sound;
    flipped[at] ^= std::byte{1};
    EXPECT_EQ(DecodeFormatFile(flipped).status().code(), Code::kCorruption) << at;
  }
}

TEST(FormatFile, ParametersBeyondTheLimitsAreRefused) {
  for (std::uint32_t bytes : {0u, 65000u, 1u << 30}) {
    EXPECT_EQ(DecodeFormatFile(FormatWith(kAverageAt, bytes)).status().code(), Code::kCorruption);
  }
  for (std::uint32_t bytes : {511u, (16u << 20) + 1}) {
    EXPECT_EQ(DecodeFormatFile(FormatWith(kArrayChunkAt, bytes)).status().code(),
              Code::kCorruption);
  }
  for (std::int32_t level : {-8, 20}) {
    EXPECT_EQ(DecodeFormatFile(FormatWith(kLevelAt, level)).status().code(), Code::kCorruption);
  }
  for (std::uint64_t bytes : {(1ull << 20) - 1, (1ull << 40) + 1}) {
    EXPECT_EQ(DecodeFormatFile(FormatWith(kPackBytesAt, bytes)).status().code(), Code::kCorruption);
  }
  StoreFormat asked;
  asked.chunker = {.min_bytes = 200, .avg_bytes = 512, .max_bytes = 2048, .seed = 1};
  EXPECT_EQ(EncodeFormatFile(asked).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace ckpt
