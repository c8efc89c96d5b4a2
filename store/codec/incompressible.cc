#include "store/codec/incompressible.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace ckpt {
namespace {

constexpr std::size_t kLeastLookedAt = 4 << 10;
constexpr std::size_t kSpots = 16;
constexpr std::size_t kSpotBytes = 128;
constexpr std::size_t kSpotBytesAll = kSpots * kSpotBytes;
constexpr int kSlotBits = 11;

// The sum of squared counts (chi-square, 255 degrees of freedom) within six standard deviations of
// what values of equal frequency give. What is less uneven is worth 0.6 % at best: too little to be
// packed.
bool AllValuesAsFrequent(ByteSpan bytes) {
  std::array<std::uint16_t, 256> counts{};
  for (std::size_t spot = 0; spot < kSpots; ++spot) {
    const std::byte* p = &bytes[(2 * spot + 1) * (bytes.size() - kSpotBytes) / (2 * kSpots)];
    for (std::size_t i = 0; i < kSpotBytes; ++i) ++counts[std::to_integer<std::size_t>(p[i])];
  }
  std::uint64_t squares = 0;
  for (std::uint64_t count : counts) squares += count * count;
  constexpr std::uint64_t kExpected = kSpotBytesAll * kSpotBytesAll / 256 + kSpotBytesAll;
  constexpr std::uint64_t kDeviation = 23 * kSpotBytesAll / 256;
  return squares < kExpected + 6 * kDeviation;
}

}  // namespace

// Whether the same four bytes follow two of the zero bytes (in random bytes one time in 100,000). A
// slot remembers the newest only.
bool SomethingRepeats(ByteSpan bytes) {
  if (bytes.size() <= sizeof(std::uint32_t)) return false;
  std::array<std::uint32_t, std::size_t{1} << kSlotBits> seen{};
  std::uint32_t follows = 0;
  const std::byte* const end = bytes.data() + bytes.size() - sizeof(follows);
  const std::byte* at = bytes.data();
  while (at < end) {
    at = static_cast<const std::byte*>(std::memchr(at, 0, static_cast<std::size_t>(end - at)));
    if (at == nullptr) return false;
    std::memcpy(&follows, ++at, sizeof(follows));
    std::uint32_t& slot = seen[(follows * 0x9E3779B1u) >> (32 - kSlotBits)];
    if (slot == follows) return true;  // also four zeros, which a fresh slot holds
    slot = follows;
  }
  return false;
}

bool LooksIncompressible(ByteSpan bytes) {
  return bytes.size() >= kLeastLookedAt && AllValuesAsFrequent(bytes) && !SomethingRepeats(bytes);
}

}  // namespace ckpt
