// Every variant of the hash that this processor can run, against libxxhash.

#include "store/codec/hash.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <random>

#include "store/codec/hash_variant.h"

namespace ckpt {
namespace {

Bytes RandomBytes(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

void ExpectAllEqualLibrary(ByteSpan bytes) {
  XXH128_canonical_t want;
  XXH128_canonicalFromHash(&want, XXH3_128bits(bytes.data(), bytes.size()));
  std::size_t count = 0;
  const HashVariant* const* variants = RunnableHashVariants(&count);
  for (std::size_t v = 0; v < count; ++v) {
    std::uint8_t got[16];
    variants[v]->hash128(bytes.data(), bytes.size(), got);
    ASSERT_EQ(0, std::memcmp(got, want.digest, 16)) << variants[v]->name << " " << bytes.size();
    ASSERT_EQ(variants[v]->hash64(bytes.data(), bytes.size()),
              XXH3_64bits(bytes.data(), bytes.size()))
        << variants[v]->name << " " << bytes.size();
    for (std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
      ASSERT_EQ(variants[v]->hash64_seeded(bytes.data(), bytes.size(), seed),
                XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed))
          << variants[v]->name << " " << bytes.size() << " seed " << seed;
    }
  }
}

TEST(Hash, EverySmallSizeEqualsLibraryInEveryVariant) {
  Bytes bytes = RandomBytes(4097, 1);
  for (std::size_t size = 0; size <= 4096; ++size) {
    // Also from an odd address.
    ExpectAllEqualLibrary(ByteSpan(bytes).first(size));
    ExpectAllEqualLibrary(ByteSpan(bytes).subspan(1, size));
  }
}

TEST(Hash, LargeSizesEqualLibraryInEveryVariant) {
  Bytes bytes = RandomBytes((4 << 20) + 77, 2);
  for (std::size_t size : {65535u, 65536u, 65537u, 262144u, 1048575u, (4u << 20) + 77u}) {
    ExpectAllEqualLibrary(ByteSpan(bytes).first(size));
  }
}

TEST(Hash, PublicFunctionsUseAnEqualVariant) {
  Bytes bytes = RandomBytes(100000, 3);
  XXH128_canonical_t want;
  XXH128_canonicalFromHash(&want, XXH3_128bits(bytes.data(), bytes.size()));
  EXPECT_EQ(0, std::memcmp(HashChunk(bytes).bytes.data(), want.digest, 16));
  EXPECT_EQ(Checksum64(bytes), XXH3_64bits(bytes.data(), bytes.size()));
  EXPECT_EQ(Checksum64Seeded(bytes, 42), XXH3_64bits_withSeed(bytes.data(), bytes.size(), 42));
}

TEST(Hash, InPiecesOfAnySizeIsThatOfTheWhole) {
  const Bytes bytes = RandomBytes(5000, 4);
  for (std::size_t piece : {1u, 7u, 64u, 255u, 256u, 257u, 1024u, 4999u, 5000u}) {
    HashStream stream;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const ByteSpan rest = ByteSpan(bytes).subspan(at);
      stream.Add(rest.first(std::min(piece, rest.size())));
      if (at == 0) {
        EXPECT_EQ(stream.Finish(), HashChunk(ByteSpan(bytes).first(piece)));
      }
    }
    EXPECT_EQ(stream.Finish(), HashChunk(bytes)) << piece;
  }
  EXPECT_EQ(HashStream().Finish(), HashChunk({}));
}

// Values published with xxHash, so that a broken system library is noticed too.
TEST(Hash, EmptyInputHasThePublishedValue) {
  EXPECT_EQ(HashChunk({}).ToHex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Checksum64({}), 0x2D06800538D394C2u);
}

TEST(Hash, FastestRunnableVariantIsUsed) {
  std::size_t count = 0;
  const HashVariant* const* variants = RunnableHashVariants(&count);
  EXPECT_EQ(HashVariantName(), variants[count - 1]->name);
}

}  // namespace
}  // namespace ckpt
