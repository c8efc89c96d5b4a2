#include "store/codec/incompressible.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

namespace ckpt {
namespace {

Bytes Random(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() >> 7);
  return bytes;
}

TEST(Incompressible, RandomBytesOfAnySizeAreButShortOnesNever) {
  for (std::size_t size : {4096u, 16'384u, 65'536u, 262'144u}) {
    int seen = 0;
    for (std::uint32_t seed = 0; seed < 200; ++seed) {
      seen += LooksIncompressible(Random(size, seed)) ? 1 : 0;
    }
    EXPECT_GE(seen, 199) << size;  // it may err, and costs time only then
  }
  for (std::size_t size = 0; size < 4096; size += 65) {
    EXPECT_FALSE(LooksIncompressible(Random(size, 1)));
  }
}

// What zstd finds wherever it stands must not be overlooked.
TEST(Incompressible, ARepetitionAnywhereIsSeen) {
  std::mt19937 random(1);
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    Bytes bytes = Random(65'536, seed);
    const auto length = static_cast<std::ptrdiff_t>(4096 + random() % 8192);
    const auto from = static_cast<std::ptrdiff_t>(random() % (32'768 - 12'288));
    const auto to = static_cast<std::ptrdiff_t>(32'768 + random() % (32'768 - 12'288));
    std::copy_n(bytes.begin() + from, length, bytes.begin() + to);
    EXPECT_FALSE(LooksIncompressible(bytes))
        << seed << ": " << length << " bytes of " << from << " at " << to;
  }
}

TEST(Incompressible, AHoleOrTextInRandomBytesIsSeen) {
  for (std::size_t begin = 0; begin + 8192 <= 65'536; begin += 1000) {
    Bytes zeros = Random(65'536, 2), text = zeros;
    for (std::size_t i = 0; i < 8192; ++i) {
      zeros[begin + i] = std::byte{0};
      text[begin + i] = static_cast<std::byte>("etaoin shrdlu\n{}()"[i * i % 18]);
    }
    EXPECT_FALSE(LooksIncompressible(zeros)) << begin;
    EXPECT_FALSE(LooksIncompressible(text)) << begin;
  }
}

TEST(Incompressible, NumbersAreNot) {
  std::mt19937 random(3);
  Bytes doubles(65'536), counts(65'536), identities(65'536);
  for (std::size_t i = 0; i < doubles.size(); i += 8) {
    const double value =
        1 + static_cast<double>(random()) / 4294967296.0;  // every mantissa bit in use
    std::memcpy(&doubles[i], &value, 8);
    const std::uint64_t count = i / 8 + 70'000;
    std::memcpy(&counts[i], &count, 8);
    // Of 1,000 random ones, each some eight times.
    std::mt19937_64 of(random() % 1000);
    const std::uint64_t identity = of();
    std::memcpy(&identities[i], &identity, 8);
  }
  EXPECT_FALSE(LooksIncompressible(doubles));
  EXPECT_FALSE(LooksIncompressible(counts));
  EXPECT_FALSE(LooksIncompressible(identities));
  EXPECT_FALSE(LooksIncompressible(Bytes(65'536)));
  EXPECT_FALSE(LooksIncompressible(Bytes(65'536, std::byte{0x5A})));
}

}  // namespace
}  // namespace ckpt
