#include "store/codec/shuffle.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "store/base/check.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ckpt {
namespace {

void ShuffleElements(const std::byte* in, std::size_t width, std::size_t count, std::size_t begin,
                     std::size_t end, std::byte* out) {
  for (std::size_t i = begin; i < end; ++i) {
    for (std::size_t j = 0; j < width; ++j) out[j * count + i] = in[i * width + j];
  }
}

void UnshuffleElements(const std::byte* in, std::size_t width, std::size_t count, std::size_t begin,
                       std::size_t end, std::byte* out) {
  for (std::size_t i = begin; i < end; ++i) {
    for (std::size_t j = 0; j < width; ++j) out[i * width + j] = in[j * count + i];
  }
}

#if defined(__SSE2__)

constexpr std::size_t kLanes = 16;  // elements to a group, bytes to a vector

__m128i Load(const std::byte* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
void Store(std::byte* p, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }

// Interleaves the bytes of the first half of the vectors with those of the second half. Seen as one
// array whose index has log2(16 * kVectors) bits, it rotates each byte's index left by one bit.
template <std::size_t kVectors>
void Interleave(__m128i v[kVectors]) {
  __m128i t[kVectors];
  for (std::size_t i = 0; i < kVectors / 2; ++i) {
    t[2 * i] = _mm_unpacklo_epi8(v[i], v[i + kVectors / 2]);
    t[2 * i + 1] = _mm_unpackhi_epi8(v[i], v[i + kVectors / 2]);
  }
  for (std::size_t i = 0; i < kVectors; ++i) v[i] = t[i];
}

// 16 elements of kWidth = 2, 4 or 8 bytes fill kWidth vectors: an index is (element: 4 bits, byte:
// log2 kWidth bits), so four rotations bring the byte number in front, and the rest undo it.
template <std::size_t kWidth>
std::size_t ShuffleNarrow(const std::byte* in, std::size_t count, std::byte* out) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    __m128i v[kWidth];
    for (std::size_t k = 0; k < kWidth; ++k) v[k] = Load(in + i * kWidth + k * kLanes);
    for (int round = 0; round < 4; ++round) Interleave<kWidth>(v);
    for (std::size_t j = 0; j < kWidth; ++j) Store(out + j * count + i, v[j]);
  }
  return i;
}

template <std::size_t kWidth>
std::size_t UnshuffleNarrow(const std::byte* in, std::size_t count, std::byte* out) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    __m128i v[kWidth];
    for (std::size_t j = 0; j < kWidth; ++j) v[j] = Load(in + j * count + i);
    for (std::size_t w = kWidth; w > 1; w /= 2) Interleave<kWidth>(v);
    for (std::size_t k = 0; k < kWidth; ++k) Store(out + i * kWidth + k * kLanes, v[k]);
  }
  return i;
}

void Transpose16(__m128i v[kLanes]) {
  for (int round = 0; round < 4; ++round) Interleave<kLanes>(v);
}

// Any other width, in tiles of 16 elements by 16 columns; the last tile of a row begins early, at
// width - 16, and writes some columns twice. Widths under 16 load past their element, which the
// caller makes safe by ending a group early.
std::size_t ShuffleTiles(const std::byte* in, std::size_t width, std::size_t count,
                         std::byte* out) {
  std::size_t i = 0;
  std::size_t spare = width < kLanes ? kLanes : 0;  // elements that must follow a group
  std::size_t columns = std::min(width, kLanes);
  for (; i + kLanes + spare <= count; i += kLanes) {
    for (std::size_t c = 0; c < width; c += kLanes) {
      std::size_t from = width < kLanes ? 0 : std::min(c, width - kLanes);
      __m128i v[kLanes];
      for (std::size_t k = 0; k < kLanes; ++k) v[k] = Load(in + (i + k) * width + from);
      Transpose16(v);
      for (std::size_t j = 0; j < columns; ++j) Store(out + (from + j) * count + i, v[j]);
    }
  }
  return i;
}

// The stores of widths under 16 spill into the next element, which is written after it.
std::size_t UnshuffleTiles(const std::byte* in, std::size_t width, std::size_t count,
                           std::byte* out) {
  std::size_t i = 0;
  std::size_t spare = width < kLanes ? kLanes : 0;
  std::size_t columns = std::min(width, kLanes);
  for (; i + kLanes + spare <= count; i += kLanes) {
    for (std::size_t c = 0; c < width; c += kLanes) {
      std::size_t from = width < kLanes ? 0 : std::min(c, width - kLanes);
      __m128i v[kLanes] = {};
      for (std::size_t j = 0; j < columns; ++j) v[j] = Load(in + (from + j) * count + i);
      Transpose16(v);
      for (std::size_t k = 0; k < kLanes; ++k) Store(out + (i + k) * width + from, v[k]);
    }
  }
  return i;
}

std::size_t ShuffleGroups(const std::byte* in, std::size_t width, std::size_t count,
                          std::byte* out) {
  if (width == 2) return ShuffleNarrow<2>(in, count, out);
  if (width == 4) return ShuffleNarrow<4>(in, count, out);
  if (width == 8) return ShuffleNarrow<8>(in, count, out);
  return ShuffleTiles(in, width, count, out);
}

std::size_t UnshuffleGroups(const std::byte* in, std::size_t width, std::size_t count,
                            std::byte* out) {
  if (width == 2) return UnshuffleNarrow<2>(in, count, out);
  if (width == 4) return UnshuffleNarrow<4>(in, count, out);
  if (width == 8) return UnshuffleNarrow<8>(in, count, out);
  return UnshuffleTiles(in, width, count, out);
}

#else

std::size_t ShuffleGroups(const std::byte*, std::size_t, std::size_t, std::byte*) { return 0; }
std::size_t UnshuffleGroups(const std::byte*, std::size_t, std::size_t, std::byte*) { return 0; }

#endif

void CopyTail(ByteSpan in, std::size_t from, MutableByteSpan out) {
  if (from < in.size()) std::memcpy(out.data() + from, in.data() + from, in.size() - from);
}

}  // namespace

void Shuffle(ByteSpan in, std::size_t width, MutableByteSpan out) {
  CKPT_CHECK(in.size() == out.size() && width >= 1 && width <= kShuffleWidthMost, "see shuffle.h");
  std::size_t count = in.size() / width;
  if (width == 1) return CopyTail(in, 0, out);
  std::size_t done = ShuffleGroups(in.data(), width, count, out.data());
  ShuffleElements(in.data(), width, count, done, count, out.data());
  CopyTail(in, count * width, out);
}

void Unshuffle(ByteSpan in, std::size_t width, MutableByteSpan out) {
  CKPT_CHECK(in.size() == out.size() && width >= 1 && width <= kShuffleWidthMost, "see shuffle.h");
  std::size_t count = in.size() / width;
  if (width == 1) return CopyTail(in, 0, out);
  std::size_t done = UnshuffleGroups(in.data(), width, count, out.data());
  UnshuffleElements(in.data(), width, count, done, count, out.data());
  CopyTail(in, count * width, out);
}

}  // namespace ckpt
