// The chunker against a naive transcription of its definition, and what the cuts are good for.

#include "store/codec/chunker.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <unordered_set>
#include <vector>

#include "store/codec/gear_scan.h"
#include "store/codec/hash.h"

namespace ckpt {
namespace {

// The definition in chunker.h, word for word, with no thought of speed.
class NaiveChunker {
 public:
  explicit NaiveChunker(const ChunkerParams& params) : params_(params) {
    for (std::uint64_t b = 0; b < 256; ++b) {
      std::uint64_t z = params.seed + (b + 1) * 0x9E3779B97F4A7C15u;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      gear_[b] = static_cast<std::uint32_t>((z ^ (z >> 31)) >> 32);
    }
  }

  std::uint32_t Gear(std::size_t byte) const { return gear_[byte]; }

  std::uint32_t Fingerprint(ByteSpan x, std::size_t p) const {
    std::uint32_t f = 0;
    for (std::size_t k = 0; k < 32; ++k) {
      f += gear_[std::to_integer<std::size_t>(x[p - 1 - k])] << k;
    }
    return f;
  }

  std::size_t Next(ByteSpan x) const {
    if (x.size() <= params_.min_bytes) return x.size();
    std::size_t end = std::min<std::size_t>(x.size(), params_.max_bytes);
    for (std::size_t p = params_.min_bytes; p < end; ++p) {
      std::uint64_t threshold =
          (std::uint64_t{1} << (p < params_.avg_bytes ? 30 : 34)) / params_.avg_bytes;
      if (Fingerprint(x, p) < threshold) return p;
    }
    return end;
  }

 private:
  ChunkerParams params_;
  std::uint32_t gear_[256];
};

std::vector<std::size_t> NaiveCuts(const ChunkerParams& params, ByteSpan data) {
  NaiveChunker naive(params);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; at < data.size();) cuts.push_back(at += naive.Next(data.subspan(at)));
  return cuts;
}

std::vector<std::size_t> Cuts(const ChunkerParams& params, ByteSpan data) {
  Chunker chunker = *Chunker::Create(params);
  std::vector<std::size_t> cuts;
  for (std::size_t at = 0; at < data.size();) {
    std::size_t n = chunker.Next(data.subspan(at), true);
    if (n == 0) return {};
    cuts.push_back(at += n);
  }
  return cuts;
}

// The cuts when the stream arrives in pieces of random sizes.
std::vector<std::size_t> CutsOfPieces(const ChunkerParams& params, ByteSpan data,
                                      std::mt19937& random) {
  Chunker chunker = *Chunker::Create(params);
  std::vector<std::size_t> cuts;
  std::size_t at = 0, seen = 0;
  while (at < data.size()) {
    std::size_t n = chunker.Next(data.subspan(at, seen - at), seen == data.size());
    if (n == 0) {
      if (seen == data.size()) return {};
      seen = std::min(data.size(), seen + 1 + random() % (params.max_bytes / 2));
    } else {
      cuts.push_back(at += n);
    }
  }
  return cuts;
}

enum Kind { kRandom, kZeros, kTwoValues, kPeriodic, kFloats, kRuns, kKinds };

Bytes MakeData(int kind, std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes data(size);
  std::size_t period = 1 + random() % 300;
  for (std::size_t i = 0; i < size; ++i) {
    auto any = static_cast<std::byte>(random());
    if (kind == kRandom) data[i] = any;
    if (kind == kTwoValues) data[i] = any & std::byte{1};
    if (kind == kPeriodic) data[i] = i < period ? any : data[i - period];
    if (kind == kRuns) data[i] = i == 0 || random() % 500 == 0 ? any : data[i - 1];
  }
  for (std::size_t i = 0; kind == kFloats && i + 8 <= size; i += 8) {
    double v = std::sin(static_cast<double>(i + seed) * 1e-4);
    std::memcpy(&data[i], &v, 8);
  }
  return data;
}

ChunkerParams ArbitraryParams() {
  ChunkerParams params;
  params.avg_bytes = *rc::gen::inRange<std::uint32_t>(256, 3000);
  params.min_bytes = *rc::gen::inRange<std::uint32_t>(32, params.avg_bytes + 1);
  params.max_bytes = params.avg_bytes + *rc::gen::inRange<std::uint32_t>(0, 9000);
  params.seed = *rc::gen::arbitrary<std::uint64_t>();
  return params;
}

RC_GTEST_PROP(Chunker, AnyDataCutAsNaiveReference, ()) {
  ChunkerParams params = ArbitraryParams();
  Bytes data =
      MakeData(*rc::gen::inRange(0, static_cast<int>(kKinds)),
               *rc::gen::inRange<std::size_t>(0, 40000), *rc::gen::arbitrary<std::uint32_t>());
  auto want = NaiveCuts(params, data);
  RC_ASSERT(Cuts(params, data) == want);
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  RC_ASSERT(CutsOfPieces(params, data, random) == want);
}

TEST(Chunker, DefaultParametersCutAsNaiveReference) {
  for (int kind = 0; kind < kKinds; ++kind) {
    Bytes data = MakeData(kind, 3'000'000, 7);
    EXPECT_EQ(Cuts({}, data), NaiveCuts({}, data)) << "kind " << kind;
  }
}

// Both scans at every length and begin, with a threshold that hits often and one that never does.
RC_GTEST_PROP(GearScan, EveryVariantFindsTheNaivePosition, ()) {
  NaiveChunker naive({.seed = *rc::gen::arbitrary<std::uint64_t>()});
  Bytes data = MakeData(*rc::gen::inRange(0, static_cast<int>(kKinds)), 3000,
                        *rc::gen::arbitrary<std::uint32_t>());
  auto begin = *rc::gen::inRange<std::size_t>(32, 700);
  auto end = *rc::gen::inRange<std::size_t>(begin, 3001);
  std::uint32_t threshold = *rc::gen::element(0u, 1u << 20, 1u << 23, 1u << 27, ~0u);
  std::uint32_t gear[256];
  alignas(64) std::uint8_t planes[1024];
  for (std::size_t b = 0; b < 256; ++b) {
    gear[b] = naive.Gear(b);
    for (std::size_t j = 0; j < 4; ++j) {
      planes[256 * j + b] = static_cast<std::uint8_t>(gear[b] >> (8 * j));
    }
  }
  std::size_t want = begin;
  while (want < end && naive.Fingerprint(data, want) >= threshold) ++want;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(data.data());
  RC_ASSERT(GearScanScalar(bytes, begin, end, threshold, gear, planes) == want);
#if defined(__x86_64__)
  if (CanRunGearScanAvx512()) {
    RC_ASSERT(GearScanAvx512(bytes, begin, end, threshold, gear, planes) == want);
  }
#endif
}

// Pins the definition: changing it would lose all deduplication against existing stores.
TEST(Chunker, DefaultCutsOfKnownBytesNeverChange) {
  Bytes data(1 << 20);
  std::uint64_t state = 1;
  for (std::byte& b : data) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    b = static_cast<std::byte>(state >> 56);
  }
  std::vector<std::size_t> cuts = Cuts({}, data);
  Id128 id = HashChunk(std::as_bytes(std::span(cuts)));
  EXPECT_EQ(id.ToHex(), "90d3b782f3592a02393584de879544c2")
      << cuts.size() << " cuts, first " << cuts[0];
}

TEST(Chunker, RandomDataGivesAboutTheAverage) {
  Bytes data = MakeData(kRandom, 32 << 20, 5);
  std::vector<std::size_t> cuts = Cuts({}, data);
  double average = static_cast<double>(data.size()) / static_cast<double>(cuts.size());
  EXPECT_GT(average, 1.0 * (64 << 10));
  EXPECT_LT(average, 1.3 * (64 << 10));
}

TEST(Chunker, RunsOfAnyByteAreCutAtTheMost) {
  ChunkerParams params;
  Chunker chunker = *Chunker::Create(params);
  for (int b = 0; b < 256; ++b) {
    Bytes data(params.max_bytes + 1, static_cast<std::byte>(b));
    EXPECT_EQ(chunker.Next(data, false), params.max_bytes) << "byte " << b;
  }
}

// The bytes of `after` in chunks that `before` does not have.
std::size_t NewBytes(const ChunkerParams& params, ByteSpan before, ByteSpan after) {
  std::unordered_set<Id128, Id128Hash> known;
  std::size_t at = 0, fresh = 0;
  for (std::size_t cut : Cuts(params, before)) {
    known.insert(HashChunk(before.subspan(at, cut - at)));
    at = cut;
  }
  at = 0;
  for (std::size_t cut : Cuts(params, after)) {
    if (!known.contains(HashChunk(after.subspan(at, cut - at)))) fresh += cut - at;
    at = cut;
  }
  return fresh;
}

// Odd and even lengths alike: a two-byte step that tests a different mask at odd places loses here.
TEST(Chunker, InsertsOfAnyLengthCostAFewChunks) {
  ChunkerParams params = ChunkerParams::ForAverage(4096);
  Bytes before = MakeData(kRandom, 4 << 20, 11);
  for (std::size_t length = 1; length <= 9; ++length) {
    std::size_t fresh = 0;
    for (std::size_t place = 100'001; place < before.size(); place += 411'113) {
      Bytes after = before;
      after.insert(after.begin() + static_cast<std::ptrdiff_t>(place), length, std::byte{0x5A});
      fresh += NewBytes(params, before, after);
    }
    EXPECT_LT(fresh, 11 * 4 * 4096) << "inserts of " << length << " bytes";
  }
}

TEST(Chunker, InsertIntoFloatingPointFieldResynchronises) {
  ChunkerParams params = ChunkerParams::ForAverage(4096);
  Bytes before = MakeData(kFloats, 4 << 20, 0);
  Bytes after = before;
  after.insert(after.begin() + 1'000'003, 5, std::byte{1});
  EXPECT_LT(NewBytes(params, before, after), 8 * 4096u);
}

TEST(Chunker, ShortInputAnswersMoreOrAll) {
  Chunker chunker = *Chunker::Create({});
  EXPECT_EQ(chunker.Next({}, true), 0u);
  EXPECT_EQ(chunker.Next({}, false), 0u);
  Bytes data(16 << 10);
  EXPECT_EQ(chunker.Next(data, false), 0u);
  EXPECT_EQ(chunker.Next(data, true), data.size());
}

TEST(Chunker, HostileParametersAreRefused) {
  auto refused = [](std::uint32_t least, std::uint32_t average, std::uint32_t most) {
    Result<Chunker> made =
        Chunker::Create({.min_bytes = least, .avg_bytes = average, .max_bytes = most});
    return !made.ok() && made.status().code() == Code::kInvalidArgument;
  };
  EXPECT_FALSE(refused(32, 256, 256));
  EXPECT_TRUE(refused(31, 256, 1024));
  EXPECT_TRUE(refused(0, 0, 0));
  EXPECT_TRUE(refused(64, 255, 1024));
  EXPECT_TRUE(refused(512, 256, 1024));
  EXPECT_TRUE(refused(64, 1024, 1023));
  EXPECT_TRUE(refused(~0u, ~0u, ~0u));
  EXPECT_TRUE(refused(64, 1024, (16 << 20) + 1));
  EXPECT_TRUE(refused(64, (4 << 20) + 1, 16 << 20));
}

}  // namespace
}  // namespace ckpt
