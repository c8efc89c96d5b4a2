// How fast bytes are hashed, cut, encoded and decoded on one core.
//
//   codec_bench --benchmark_filter=Encode
//
// BM_Hash_*/bytes: one buffer hashed again and again (in cache up to a few MiB). BM_Chunker_*: 64
// MiB from memory. BM_Encode_*, BM_Decode_*: 64 KiB chunks of 16 MiB; `ratio` is raw / stored
// bytes. width 0 guesses the width, 1 never shuffles. CKPT_BENCH_FILE=path gives BM_Encode_File its
// bytes.

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "store/codec/chunker.h"
#include "store/codec/compress.h"
#include "store/codec/element_width.h"
#include "store/codec/gear_scan.h"
#include "store/codec/hash.h"
#include "store/codec/hash_variant.h"
#include "store/codec/shuffle.h"

namespace ckpt {
namespace {

constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kChunkBytes = 64 << 10;

Bytes RandomData(std::size_t size) {
  Bytes data(size);
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    std::uint64_t v = random();
    std::memcpy(&data[i], &v, 8);
  }
  return data;
}

// A smooth field with noise in its low digits, as solvers leave behind.
Bytes Fp64Data(std::size_t size) {
  Bytes data(size);
  std::mt19937_64 random(2);
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    double v = std::sin(static_cast<double>(i) * 1e-5) +
               1e-7 * static_cast<double>(random() % 1000000) / 1e6;
    std::memcpy(&data[i], &v, 8);
  }
  return data;
}

Bytes TextData(std::size_t size) {
  static const char* const kWords[] = {"return", "status", "chunk", "(",           ")",
                                       ";\n",    "  ",     "const", "std::size_t", "bytes",
                                       "=",      "offset", "if",    "{\n",         "}\n"};
  std::string text;
  std::mt19937_64 random(3);
  while (text.size() < size) {
    text += kWords[random() % 15];
    text += random() % 6 == 0 ? std::to_string(random() % 1000) : " ";
  }
  Bytes data(size);
  std::memcpy(data.data(), text.data(), size);
  return data;
}

Bytes FileData(std::size_t most) {
  const char* path = std::getenv("CKPT_BENCH_FILE");
  std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "rb");
  if (file == nullptr) return {};
  Bytes data(most);
  data.resize(std::fread(data.data(), 1, most, file));
  std::fclose(file);
  return data;
}

void SetBytes(benchmark::State& state, std::size_t bytes) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) *
                          static_cast<std::int64_t>(state.iterations()));
}

void BM_Hash_Chunk(benchmark::State& state) {
  Bytes data = RandomData(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(HashChunk(data));
  SetBytes(state, data.size());
  state.SetLabel(std::string(HashVariantName()));
}
BENCHMARK(BM_Hash_Chunk)->Arg(64)->Arg(512)->Arg(4096)->Arg(65536)->Arg(1 << 20)->Arg(256 << 20);

void BM_Hash_EveryVariant(benchmark::State& state) {
  std::size_t count = 0;
  const HashVariant* const* variants = RunnableHashVariants(&count);
  if (static_cast<std::size_t>(state.range(0)) >= count) {
    return state.SkipWithError("this processor cannot run the variant");
  }
  const HashVariant& variant = *variants[state.range(0)];
  Bytes data = RandomData(kChunkBytes);
  std::uint8_t id[16];
  for (auto _ : state) {
    variant.hash128(data.data(), data.size(), id);
    benchmark::DoNotOptimize(id);
  }
  SetBytes(state, data.size());
  state.SetLabel(variant.name);
}
BENCHMARK(BM_Hash_EveryVariant)->DenseRange(0, 2);

void BM_Hash_Checksum64(benchmark::State& state) {
  Bytes data = RandomData(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Checksum64(data));
  SetBytes(state, data.size());
}
BENCHMARK(BM_Hash_Checksum64)->Arg(64)->Arg(4096)->Arg(65536);

void CutAll(benchmark::State& state, const Bytes& data) {
  Chunker chunker = *Chunker::Create({});
  std::size_t chunks = 0;
  for (auto _ : state) {
    for (ByteSpan rest = data; !rest.empty(); ++chunks)
      rest = rest.subspan(chunker.Next(rest, true));
  }
  SetBytes(state, data.size());
  state.counters["average"] = static_cast<double>(data.size()) *
                              static_cast<double>(state.iterations()) / static_cast<double>(chunks);
}
void BM_Chunker_Random(benchmark::State& state) { CutAll(state, RandomData(64 * kMiB)); }
void BM_Chunker_Fp64(benchmark::State& state) { CutAll(state, Fp64Data(64 * kMiB)); }
void BM_Chunker_Text(benchmark::State& state) { CutAll(state, TextData(64 * kMiB)); }
void BM_Chunker_Zeros(benchmark::State& state) { CutAll(state, Bytes(64 * kMiB)); }
BENCHMARK(BM_Chunker_Random);
BENCHMARK(BM_Chunker_Fp64);
BENCHMARK(BM_Chunker_Text);
BENCHMARK(BM_Chunker_Zeros);

void BM_Chunker_GearScan(benchmark::State& state, GearScanFunction scan) {
  Bytes data = RandomData(16 * kMiB);
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(data.data());
  alignas(64) std::uint8_t planes[1024];
  std::uint32_t gear[256];
  std::mt19937 random(4);
  for (std::size_t b = 0; b < 256; ++b) {
    gear[b] = static_cast<std::uint32_t>(random());
    for (std::size_t j = 0; j < 4; ++j) {
      planes[256 * j + b] = static_cast<std::uint8_t>(gear[b] >> (8 * j));
    }
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(scan(bytes, 32, data.size(), 0, gear, planes));
  }
  SetBytes(state, data.size());
}
BENCHMARK_CAPTURE(BM_Chunker_GearScan, scalar, &GearScanScalar);
#if defined(__x86_64__)
void BM_Chunker_GearScanAvx512(benchmark::State& state) {
  if (!CanRunGearScanAvx512()) return state.SkipWithError("no AVX-512 VBMI here");
  BM_Chunker_GearScan(state, &GearScanAvx512);
}
BENCHMARK(BM_Chunker_GearScanAvx512);
#endif

void EncodeAll(benchmark::State& state, const Bytes& data, EncodeOptions options) {
  if (data.empty()) return state.SkipWithError("no data");
  Encoder encoder;
  std::size_t stored = 0;
  for (auto _ : state) {
    stored = 0;
    for (std::size_t at = 0; at < data.size(); at += kChunkBytes) {
      ByteSpan raw = ByteSpan(data).subspan(at, std::min(kChunkBytes, data.size() - at));
      stored += encoder.Encode(raw, options)->bytes.size();
    }
  }
  SetBytes(state, data.size());
  state.counters["ratio"] = static_cast<double>(data.size()) / static_cast<double>(stored);
}
EncodeOptions OptionsOf(const benchmark::State& state) {
  return {.level = static_cast<int>(state.range(0)),
          .element_width = static_cast<std::size_t>(state.range(1)),
          .verify = state.range(2) != 0};
}
void BM_Encode_Random(benchmark::State& state) {
  EncodeAll(state, RandomData(16 * kMiB), OptionsOf(state));
}
void BM_Encode_Fp64(benchmark::State& state) {
  EncodeAll(state, Fp64Data(16 * kMiB), OptionsOf(state));
}
void BM_Encode_Text(benchmark::State& state) {
  EncodeAll(state, TextData(16 * kMiB), OptionsOf(state));
}
void BM_Encode_Zeros(benchmark::State& state) {
  EncodeAll(state, Bytes(16 * kMiB), OptionsOf(state));
}
void BM_Encode_File(benchmark::State& state) {
  EncodeAll(state, FileData(32 * kMiB), OptionsOf(state));
}
BENCHMARK(BM_Encode_Random)
    ->ArgNames({"level", "width", "verify"})
    ->ArgsProduct({{3}, {0, 1, 8}, {0, 1}});
BENCHMARK(BM_Encode_Fp64)
    ->ArgNames({"level", "width", "verify"})
    ->ArgsProduct({{1, 3}, {0, 1, 8}, {0, 1}});
BENCHMARK(BM_Encode_Text)->ArgNames({"level", "width", "verify"})->ArgsProduct({{3}, {0}, {0, 1}});
BENCHMARK(BM_Encode_Zeros)->ArgNames({"level", "width", "verify"})->ArgsProduct({{3}, {0}, {0, 1}});
BENCHMARK(BM_Encode_File)
    ->ArgNames({"level", "width", "verify"})
    ->ArgsProduct({{3}, {0, 1, 88}, {0, 1}});

void DecodeAll(benchmark::State& state, const Bytes& data, std::size_t width) {
  struct Payload {
    Codec codec;
    std::uint8_t param;
    Bytes bytes;
  };
  Encoder encoder;
  std::vector<Payload> payloads;
  for (std::size_t at = 0; at < data.size(); at += kChunkBytes) {
    Encoded e = *encoder.Encode(ByteSpan(data).subspan(at, kChunkBytes), {.element_width = width});
    payloads.push_back({e.codec, e.param, Bytes(e.bytes.begin(), e.bytes.end())});
  }
  Decoder decoder;
  Bytes raw(kChunkBytes);
  for (auto _ : state) {
    for (const Payload& p : payloads) {
      Status status = decoder.Decode(static_cast<std::uint8_t>(p.codec), p.param, p.bytes, raw);
      if (!status.ok()) return state.SkipWithError(status.message().c_str());
    }
  }
  SetBytes(state, data.size());
}
void BM_Decode_Random(benchmark::State& state) { DecodeAll(state, RandomData(16 * kMiB), 0); }
void BM_Decode_Fp64(benchmark::State& state) { DecodeAll(state, Fp64Data(16 * kMiB), 0); }
void BM_Decode_Fp64Shuffled(benchmark::State& state) { DecodeAll(state, Fp64Data(16 * kMiB), 8); }
void BM_Decode_Text(benchmark::State& state) { DecodeAll(state, TextData(16 * kMiB), 0); }
void BM_Decode_Zeros(benchmark::State& state) { DecodeAll(state, Bytes(16 * kMiB), 0); }
BENCHMARK(BM_Decode_Random);
BENCHMARK(BM_Decode_Fp64);
BENCHMARK(BM_Decode_Fp64Shuffled);
BENCHMARK(BM_Decode_Text);
BENCHMARK(BM_Decode_Zeros);

void GuessAll(benchmark::State& state, const Bytes& data) {
  std::size_t width = 0;
  for (auto _ : state) {
    for (std::size_t at = 0; at < data.size(); at += kChunkBytes) {
      width = GuessElementWidth(ByteSpan(data).subspan(at, kChunkBytes));
    }
  }
  SetBytes(state, data.size());
  state.counters["width"] = static_cast<double>(width);
}
void BM_ElementWidth_Random(benchmark::State& state) { GuessAll(state, RandomData(kMiB)); }
void BM_ElementWidth_Fp64(benchmark::State& state) { GuessAll(state, Fp64Data(kMiB)); }
void BM_ElementWidth_Text(benchmark::State& state) { GuessAll(state, TextData(kMiB)); }
BENCHMARK(BM_ElementWidth_Random);
BENCHMARK(BM_ElementWidth_Fp64);
BENCHMARK(BM_ElementWidth_Text);

void BM_Shuffle_Forth(benchmark::State& state) {
  Bytes in = RandomData(kChunkBytes), out(kChunkBytes);
  for (auto _ : state) {
    Shuffle(in, static_cast<std::size_t>(state.range(0)), out);
    benchmark::ClobberMemory();
  }
  SetBytes(state, in.size());
}
void BM_Shuffle_Back(benchmark::State& state) {
  Bytes in = RandomData(kChunkBytes), out(kChunkBytes);
  for (auto _ : state) {
    Unshuffle(in, static_cast<std::size_t>(state.range(0)), out);
    benchmark::ClobberMemory();
  }
  SetBytes(state, in.size());
}
BENCHMARK(BM_Shuffle_Forth)->Arg(2)->Arg(4)->Arg(8)->Arg(12)->Arg(16)->Arg(24)->Arg(88);
BENCHMARK(BM_Shuffle_Back)->Arg(2)->Arg(4)->Arg(8)->Arg(12)->Arg(16)->Arg(24)->Arg(88);

}  // namespace
}  // namespace ckpt
