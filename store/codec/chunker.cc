#include "store/codec/chunker.h"

#include <algorithm>
#include <string>

#include "store/codec/gear_scan.h"

namespace ckpt {
namespace {

std::uint32_t GearValue(std::uint64_t seed, std::uint32_t byte) {
  std::uint64_t z = seed + (byte + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return static_cast<std::uint32_t>((z ^ (z >> 31)) >> 32);
}

GearScanFunction FastestGearScan() {
#if defined(__x86_64__)
  if (CanRunGearScanAvx512()) return &GearScanAvx512;
#endif
  return &GearScanScalar;
}

GearScanFunction GearScan() {
  static const GearScanFunction kScan = FastestGearScan();
  return kScan;
}

}  // namespace

#if defined(__x86_64__)
bool CanRunGearScanAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vbmi");
}
#endif

// Two bytes a step: the value after the first, t = 2h + g0, is tested beside the chain
// h' = 4h + (2 g0 + g1), which is what the next step waits for.
std::size_t GearScanScalar(const std::uint8_t* data, std::size_t begin, std::size_t end,
                           std::uint32_t threshold, const std::uint32_t* gear,
                           const std::uint8_t* /*planes*/) {
  std::uint32_t h = 0;
  for (std::size_t i = begin - Chunker::kWindowBytes; i < begin; ++i) h = 2 * h + gear[data[i]];
  std::size_t p = begin;
  for (; p + 2 <= end; p += 2) {
    if (h < threshold) return p;
    std::uint32_t g0 = gear[data[p]];
    std::uint32_t t = 2 * h + g0;
    if (t < threshold) return p + 1;
    h = 4 * h + (2 * g0 + gear[data[p + 1]]);
  }
  return p < end && h < threshold ? p : end;
}

ChunkerParams ChunkerParams::ForAverage(std::uint32_t avg_bytes) {
  ChunkerParams params;
  params.min_bytes = avg_bytes / 4;
  params.avg_bytes = avg_bytes;
  params.max_bytes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(std::uint64_t{avg_bytes} * 4, Chunker::kMaxBytesMost));
  return params;
}

Result<Chunker> Chunker::Create(const ChunkerParams& params) {
  bool ordered = kWindowBytes <= params.min_bytes && params.min_bytes <= params.avg_bytes &&
                 params.avg_bytes <= params.max_bytes;
  bool bounded = kAvgBytesLeast <= params.avg_bytes && params.avg_bytes <= kAvgBytesMost &&
                 params.max_bytes <= kMaxBytesMost;
  if (!ordered || !bounded) {
    return InvalidArgument("chunk sizes (least " + std::to_string(params.min_bytes) + ", average " +
                           std::to_string(params.avg_bytes) + ", most " +
                           std::to_string(params.max_bytes) +
                           " bytes): need 32 <= least <= average <= most, an average of 256 B to "
                           "4 MiB and at most 16 MiB");
  }
  return Chunker(params);
}

Chunker::Chunker(const ChunkerParams& params)
    : params_(params),
      hard_threshold_((1u << 30) / params.avg_bytes),
      easy_threshold_(static_cast<std::uint32_t>((std::uint64_t{1} << 34) / params.avg_bytes)) {
  for (std::uint32_t b = 0; b < 256; ++b) {
    gear_[b] = GearValue(params.seed, b);
    for (std::uint32_t j = 0; j < 4; ++j) {
      gear_planes_[j * 256 + b] = static_cast<std::uint8_t>(gear_[b] >> (8 * j));
    }
  }
}

std::size_t Chunker::Next(ByteSpan data, bool last) const {
  if (data.size() <= params_.min_bytes) return last ? data.size() : 0;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(data.data());
  GearScanFunction scan = GearScan();
  std::size_t end = std::min<std::size_t>(data.size(), params_.max_bytes);
  std::size_t middle = std::min<std::size_t>(end, params_.avg_bytes);
  std::size_t cut =
      scan(bytes, params_.min_bytes, middle, hard_threshold_, gear_.data(), gear_planes_.data());
  if (cut < middle) return cut;
  cut = scan(bytes, middle, end, easy_threshold_, gear_.data(), gear_planes_.data());
  if (cut < end || end == params_.max_bytes || last) return cut;
  return 0;
}

}  // namespace ckpt
