#include "store/codec/element_width.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "store/codec/shuffle.h"

namespace ckpt {
namespace {

constexpr std::size_t kPlaces = 4;
constexpr std::size_t kPlaceBytes = 256;
constexpr std::size_t kSampleBytes = kPlaces * kPlaceBytes;
constexpr std::size_t kLeastBytes = 2 * kPlaces * (kPlaceBytes + kShuffleWidthMost);

using Block = std::uint8_t __attribute__((vector_size(16)));

// Bytes at a place as vectors, from any address.
Block LoadBlock(const std::byte* p) {
  Block block;
  std::memcpy(&block, p, sizeof(block));
  return block;
}

// The sum of 16 counts: neighbours to 16 bits, then by a multiplication into the top ones.
std::uint32_t SumLanes(Block counts) {
  constexpr std::uint64_t kEven = 0x00FF00FF00FF00FF;
  std::uint64_t halves[2];
  std::memcpy(halves, &counts, sizeof(halves));
  std::uint64_t sums = 0;
  for (std::uint64_t half : halves) sums += (half & kEven) + ((half >> 8) & kEven);
  return static_cast<std::uint32_t>((sums * 0x0001000100010001) >> 48);
}

// How many of the sample's bytes equal the byte `distance` further on.
std::uint32_t CountEqual(const std::byte* const places[kPlaces], std::size_t distance) {
  static_assert(kSampleBytes / sizeof(Block) <= 255, "a lane's count must fit its byte");
  Block counts = {};
  for (std::size_t place = 0; place < kPlaces; ++place) {
    const std::byte* p = places[place];
    for (std::size_t i = 0; i < kPlaceBytes; i += sizeof(Block)) {
      counts -= LoadBlock(p + i) == LoadBlock(p + i + distance);  // equal lanes compare as -1
    }
  }
  return SumLanes(counts);
}

}  // namespace

std::size_t GuessElementWidth(ByteSpan bytes) {
  if (bytes.size() < kLeastBytes) return 0;
  const std::byte* places[kPlaces];
  for (std::size_t i = 0; i < kPlaces; ++i) places[i] = &bytes[(2 * i + 1) * bytes.size() / 8];

  std::array<std::uint32_t, kShuffleWidthMost + 1> equal{};
  for (std::size_t d = 1; d <= kShuffleWidthMost; ++d) equal[d] = CountEqual(places, d);
  std::array<std::uint32_t, kShuffleWidthMost + 1> sorted = equal;
  std::nth_element(sorted.begin(), sorted.begin() + 128, sorted.end());
  std::uint32_t usual = sorted[128];
  std::uint32_t best = *std::max_element(equal.begin() + 1, equal.end());
  if (best < usual + kSampleBytes / 24) return 0;
  // Multiples of the width resemble nearly as well: the least that is close to the best.
  std::uint32_t enough = best - (best - usual) / 4;
  std::size_t width = 1;
  while (equal[width] < enough) ++width;
  return width > 1 ? width : 0;
}

}  // namespace ckpt
