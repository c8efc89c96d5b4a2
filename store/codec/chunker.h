// Content-defined chunking: cuts a stream where its bytes say so, so that an insertion moves the
// cuts near it and no others, and unchanged stretches give the chunks the store already has.
//
//   CKPT_ASSIGN_OR_RETURN(Chunker chunker, Chunker::Create(ChunkerParams{}));
//   while (std::size_t n = chunker.Next(window, at_end)) { use(window.first(n)); ... }
//
// Definition (on disk: a store's parameters never change, and other implementations must agree).
// All arithmetic is unsigned, modulo 2^64 for SplitMix64 and modulo 2^32 for G and F.
//
//   Gear table, for b = 0..255, from the stored 64-bit seed (SplitMix64's b-th output, high half):
//     z = seed + (b + 1) * 0x9E3779B97F4A7C15
//     z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
//     z = (z ^ (z >> 27)) * 0x94D049BB133111EB
//     G[b] = (z ^ (z >> 31)) >> 32
//   Fingerprint of the 32 bytes that end before position p of a chunk x (p >= 32):
//     F(p) = sum over k = 0..31 of G[x[p - 1 - k]] * 2^k
//   which is 32 steps of F = 2 * F + G[byte] from zero: it depends on those bytes only.
//   Thresholds: hard = floor(2^30 / avg_bytes), easy = floor(2^34 / avg_bytes).
//   A chunk that starts with n bytes left in its stream has the length
//     - n, if n <= min_bytes;
//     - else the least p with min_bytes <= p < min(n, max_bytes) and
//       F(p) < (p < avg_bytes ? hard : easy);
//     - else min(n, max_bytes).
//   So a position below the average is a cut with chance 1/(4 avg), one above with 4/avg (the
//   normalised chunking of FastCDC); random data gives chunks of about 1.15 * avg_bytes.
//
// 32 bits and a window of 32 bytes, rather than 64 of FastCDC, let AVX-512 hash 16 stretches at
// once (BM_Chunker_*). Chosen at run time; every variant gives the same cuts.
// Thread rule: immutable after Create; any number of threads.

#ifndef CKPT_STORE_CODEC_CHUNKER_H_
#define CKPT_STORE_CODEC_CHUNKER_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

struct ChunkerParams {
  // With this seed runs of equal bytes are cut at max_bytes, whatever the byte (chunker_test).
  static constexpr std::uint64_t kDefaultSeed = 0x636B70742D763101;

  std::uint32_t min_bytes = 16 << 10;
  std::uint32_t avg_bytes = 64 << 10;
  std::uint32_t max_bytes = 256 << 10;
  std::uint64_t seed = kDefaultSeed;

  // min = avg / 4 and max = avg * 4.
  static ChunkerParams ForAverage(std::uint32_t avg_bytes);
  bool operator==(const ChunkerParams&) const = default;
};

class Chunker {
 public:
  static constexpr std::uint32_t kWindowBytes = 32;
  static constexpr std::uint32_t kAvgBytesLeast = 256;
  static constexpr std::uint32_t kAvgBytesMost = 4 << 20;
  static constexpr std::uint32_t kMaxBytesMost = 16 << 20;

  // InvalidArgument unless kWindowBytes <= min <= avg <= max and the limits above hold; the
  // parameters may come from disk (I8).
  static Result<Chunker> Create(const ChunkerParams& params);

  // The length of the chunk at the start of `data`, which begins at a cut of the stream; 0 when
  // more bytes are needed to tell. `last`: the stream ends with `data`. Never 0 when `last` and
  // `data` is not empty, or when `data` has max_bytes. How a stream is split into calls does not
  // change its cuts.
  std::size_t Next(ByteSpan data, bool last) const;

  const ChunkerParams& params() const { return params_; }

 private:
  explicit Chunker(const ChunkerParams& params);

  ChunkerParams params_;
  std::uint32_t hard_threshold_;
  std::uint32_t easy_threshold_;
  std::array<std::uint32_t, 256> gear_;
  // The four bytes of every gear value apart: byte j of G[b] is gear_planes_[j * 256 + b].
  alignas(64) std::array<std::uint8_t, 1024> gear_planes_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_CHUNKER_H_
