// The gear scan in AVX-512 VBMI, 256 positions a step; chunker.cc calls it only where the processor
// has it.
//
// A block of 256 bytes is seen as 16 stretches of 16, one to each 32-bit lane. Byte permutes gather
// byte r of all stretches (r = 0..15) and look it up in the gear table, held as four planes of
// bytes; so the rolling step h = 2h + g advances all stretches at once. A lane's start is the
// fingerprint of the 32 bytes before its stretch, that is of the two stretches before it, which a
// first pass sums. Blocks with a hit are given to the scalar loop, which finds the first.

#if defined(__x86_64__)
#include <immintrin.h>

#include "store/codec/gear_scan.h"

// After the headers: only this file is compiled for the target, whatever the build's flags.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vbmi"))), \
                             apply_to = function)
#else
// _mm512_undefined_epi32, GCC bug 105593.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC target("avx512f,avx512bw,avx512vbmi")
#endif

namespace ckpt {
namespace {

constexpr size_t kBlockBytes = 256;

// Index vectors: byte 16 j + 4 r + l of group q's result is byte (4 q + r) of stretch (4 j + l),
// at 16 (4 j + l) + 4 q + r of the block: the order that two unpack levels turn into lane order.
struct alignas(64) GatherIndices {
  uint8_t low[4][64];
};

constexpr GatherIndices MakeGatherIndices() {
  GatherIndices t = {};
  for (int q = 0; q < 4; ++q) {
    for (int i = 0; i < 64; ++i) {
      int j = i / 16, r = i % 16 / 4, l = i % 4;
      t.low[q][i] = static_cast<uint8_t>((16 * (4 * j + l) + 4 * q + r) & 127);
    }
  }
  return t;
}
constexpr GatherIndices kGather = MakeGatherIndices();

// The gear values of rows 4 q .. 4 q + 3: out[r], lane s is that of byte 4 q + r of stretch s.
inline void LookUpRows(const __m512i block[4], __m512i gather, const uint8_t* planes,
                       __m512i out[4]) {
  __m512i bytes =
      _mm512_mask_blend_epi64(0xF0, _mm512_permutex2var_epi8(block[0], gather, block[1]),
                              _mm512_permutex2var_epi8(block[2], gather, block[3]));
  __mmask64 upper = _mm512_movepi8_mask(bytes);
  __m512i g[4];
  for (int j = 0; j < 4; ++j) {
    const uint8_t* plane = planes + 256 * j;
    __m512i low =
        _mm512_permutex2var_epi8(_mm512_load_si512(plane), bytes, _mm512_load_si512(plane + 64));
    __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(plane + 128), bytes,
                                            _mm512_load_si512(plane + 192));
    g[j] = _mm512_mask_blend_epi8(upper, low, high);
  }
  __m512i low_front = _mm512_unpacklo_epi8(g[0], g[1]);
  __m512i low_back = _mm512_unpackhi_epi8(g[0], g[1]);
  __m512i high_front = _mm512_unpacklo_epi8(g[2], g[3]);
  __m512i high_back = _mm512_unpackhi_epi8(g[2], g[3]);
  out[0] = _mm512_unpacklo_epi16(low_front, high_front);
  out[1] = _mm512_unpackhi_epi16(low_front, high_front);
  out[2] = _mm512_unpacklo_epi16(low_back, high_back);
  out[3] = _mm512_unpackhi_epi16(low_back, high_back);
}

inline __m512i Roll(__m512i h, __m512i g) { return _mm512_add_epi32(_mm512_add_epi32(h, h), g); }

// The sums over the two stretches (16 bytes each) before data[p], in lanes 14 and 15.
__m512i StretchesBefore(const uint8_t* data, size_t p, const uint32_t* gear) {
  alignas(64) uint32_t lanes[16] = {};
  for (int s = 0; s < 2; ++s) {
    const uint8_t* stretch = data + p - 32 + 16 * s;
    for (int r = 0; r < 16; ++r) lanes[14 + s] = 2 * lanes[14 + s] + gear[stretch[r]];
  }
  return _mm512_load_si512(lanes);
}

// Whether any of the 256 positions after `p` is a hit. `*before` holds the sums of the stretches
// before the block in its last lanes, and those of the block's own afterwards.
inline bool BlockHasHit(const uint8_t* p, __m512i threshold, const uint8_t* planes,
                        __m512i* before) {
  __m512i block[4], g[16];
  for (int i = 0; i < 4; ++i) block[i] = _mm512_loadu_si512(p + 64 * i);
  for (int q = 0; q < 4; ++q) {
    LookUpRows(block, _mm512_load_si512(kGather.low[q]), planes, g + 4 * q);
  }
  __m512i sum = g[0];
  for (int r = 1; r < 16; ++r) sum = Roll(sum, g[r]);
  __m512i h = _mm512_add_epi32(_mm512_alignr_epi32(sum, *before, 15),
                               _mm512_slli_epi32(_mm512_alignr_epi32(sum, *before, 14), 16));
  *before = sum;
  __m512i least = _mm512_set1_epi32(-1);
  for (int r = 0; r < 16; ++r) {  // NOLINT(modernize-loop-convert): unrolled as it stands
    h = Roll(h, g[r]);
    least = _mm512_min_epu32(least, h);
  }
  return _mm512_cmplt_epu32_mask(least, threshold) != 0;
}

}  // namespace

size_t GearScanAvx512(const uint8_t* data, size_t begin, size_t end, uint32_t threshold,
                      const uint32_t* gear, const uint8_t* planes) {
  if (end - begin <= 2 * kBlockBytes) {
    return GearScanScalar(data, begin, end, threshold, gear, planes);
  }
  if (GearScanScalar(data, begin, begin + 1, threshold, gear, planes) == begin) return begin;
  __m512i before = StretchesBefore(data, begin, gear);
  const __m512i limit = _mm512_set1_epi32(static_cast<int>(threshold));
  size_t p = begin;
  for (; p + kBlockBytes < end; p += kBlockBytes) {
    if (BlockHasHit(data + p, limit, planes, &before)) {
      return GearScanScalar(data, p + 1, p + 1 + kBlockBytes, threshold, gear, planes);
    }
  }
  return GearScanScalar(data, p + 1, end, threshold, gear, planes);
}

}  // namespace ckpt

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
