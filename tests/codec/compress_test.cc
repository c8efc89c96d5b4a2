// Payloads: round trips of any bytes, hostile stored bytes, and what the trials promise.

#include "store/codec/compress.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "store/codec/shuffle.h"

namespace ckpt {
namespace {

enum Sample { kAnyBytes, kZeroBytes, kText, kDoubles, kAtoms, kHalfRandom, kRepeatedFar, kSamples };

void PutDouble(Bytes* data, std::size_t at, double v) {
  if (at + 8 <= data->size()) std::memcpy(&(*data)[at], &v, 8);
}

Bytes MakeSample(int kind, std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes data(size);
  auto fill = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) data[i] = static_cast<std::byte>(random());
  };
  if (kind == kAnyBytes) fill(0, size);
  if (kind == kHalfRandom) fill(size / 2, size);
  if (kind == kRepeatedFar) {  // a third of it random, then the same again
    fill(0, size);
    std::copy(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size / 3),
              data.end() - static_cast<std::ptrdiff_t>(size / 3));
  }
  for (std::size_t i = 0; kind == kText && i < size; ++i) {
    data[i] = static_cast<std::byte>("etaoin shrdlu\n{}()"[random() % 18]);
  }
  for (std::size_t i = 0; kind == kDoubles && i < size; i += 8) {
    PutDouble(
        &data, i,
        std::sin(static_cast<double>(i) * 1e-5) + 1e-9 * static_cast<double>(random() % 1000));
  }
  // Records of 88 bytes: position, velocity, tag, type, mask, as LAMMPS writes its atoms.
  for (std::size_t i = 0; kind == kAtoms && i < size; i += 88) {
    PutDouble(&data, i, 11);
    for (std::size_t d = 1; d < 7; ++d)
      PutDouble(&data, i + 8 * d, static_cast<double>(random()) / 4e7);
    PutDouble(&data, i + 56, static_cast<double>(i / 88));
    PutDouble(&data, i + 64, 1);
  }
  return data;
}

std::uint8_t Id(Codec codec) { return static_cast<std::uint8_t>(codec); }

struct Kept {
  Codec codec;
  std::uint8_t param;
  Bytes bytes;
};

Kept EncodeAndKeep(Encoder* encoder, ByteSpan raw, const EncodeOptions& options) {
  Result<Encoded> e = encoder->Encode(raw, options);
  EXPECT_TRUE(e.ok()) << e.status().ToString();
  return {e->codec, e->param, Bytes(e->bytes.begin(), e->bytes.end())};
}

RC_GTEST_PROP(Compress, AnyBytesComeBack, ()) {
  Encoder encoder;
  Decoder decoder;
  for (int i = 0; i < 4; ++i) {  // contexts are reused, so several in a row
    Bytes raw = MakeSample(*rc::gen::inRange(0, static_cast<int>(kSamples)),

                           *rc::gen::element<std::size_t>(0, 1, 7, 300, 5000, 32768, 70001) +
                               *rc::gen::inRange<std::size_t>(0, 300),
                           *rc::gen::arbitrary<std::uint32_t>());
    EncodeOptions options{.level = *rc::gen::inRange(-9, 12),
                          .element_width = *rc::gen::element<std::size_t>(0, 1, 2, 4, 8, 12, 88,
                                                                          255, 256, 257, 1 << 20),
                          .verify = *rc::gen::arbitrary<bool>()};
    Kept kept = EncodeAndKeep(&encoder, raw, options);
    RC_ASSERT(kept.bytes.size() <= raw.size());
    RC_ASSERT(kept.codec == Codec::kRaw || kept.bytes.size() < raw.size());
    Bytes back(raw.size());
    RC_ASSERT(decoder.Decode(Id(kept.codec), kept.param, kept.bytes, back).ok());
    RC_ASSERT(back == raw);
  }
}

TEST(Compress, OutputDependsOnBytesAndOptionsOnly) {
  Encoder used, fresh;
  for (int kind = 0; kind < kSamples; ++kind) {
    for (int level : {9, 1, 3}) {
      EncodeAndKeep(&used, MakeSample(kind, 50'000, 1), {.level = level});
    }
    Bytes raw = MakeSample(kind, 65'536, 2);
    Kept a = EncodeAndKeep(&used, raw, {}), b = EncodeAndKeep(&fresh, raw, {});
    EXPECT_EQ(a.codec, b.codec);
    EXPECT_EQ(a.param, b.param);
    EXPECT_EQ(a.bytes, b.bytes);
  }
}

TEST(Compress, IncompressibleIsRawAndNotCopied) {
  Encoder encoder;
  Bytes raw = MakeSample(kAnyBytes, 65'536, 1);
  for (std::size_t width : {0, 1, 8}) {
    Result<Encoded> e = encoder.Encode(raw, {.element_width = width});
    ASSERT_TRUE(e.ok());
    EXPECT_EQ(e->codec, Codec::kRaw);
    EXPECT_EQ(e->bytes.data(), raw.data());
    EXPECT_EQ(e->bytes.size(), raw.size());
  }
}

// A sample or a guess must not cost more than 2 % of what plain zstd gives.
TEST(Compress, TrialsLoseNothingAgainstPlain) {
  Encoder encoder;
  for (int kind = 0; kind < kSamples; ++kind) {
    for (std::size_t size : {3000, 20'000, 65'536, 200'000}) {
      Bytes raw = MakeSample(kind, size, 3);
      std::size_t plain = EncodeAndKeep(&encoder, raw, {.element_width = 1}).bytes.size();
      for (std::size_t width : {0, 4, 8, 88}) {
        std::size_t got = EncodeAndKeep(&encoder, raw, {.element_width = width}).bytes.size();
        EXPECT_LE(got, plain + plain / 50) << "kind " << kind << " size " << size << " w " << width;
      }
    }
  }
}

TEST(Compress, RepetitionBeyondAnySampleIsFound) {
  Encoder encoder;
  Kept kept = EncodeAndKeep(&encoder, MakeSample(kRepeatedFar, 65'536, 4), {});
  EXPECT_EQ(kept.codec, Codec::kZstd);
  EXPECT_LT(kept.bytes.size(), 65'536u * 70 / 100);
}

TEST(Compress, RecordsAndNumbersAreShuffled) {
  Encoder encoder;
  Bytes doubles = MakeSample(kDoubles, 65'536, 5);
  Kept given = EncodeAndKeep(&encoder, doubles, {.element_width = 8});
  EXPECT_EQ(given.codec, Codec::kShuffleZstd);
  EXPECT_EQ(given.param, 8);
  Bytes atoms = MakeSample(kAtoms, 65'536, 6);
  Kept guessed = EncodeAndKeep(&encoder, atoms, {});
  Kept plain = EncodeAndKeep(&encoder, atoms, {.element_width = 1});
  EXPECT_EQ(guessed.codec, Codec::kShuffleZstd);
  EXPECT_EQ(guessed.param, 88);
  EXPECT_LT(guessed.bytes.size(), plain.bytes.size() * 95 / 100);
}

// What the comment in compress.h tells a stranger: magic number in front, and any zstd reads it.
TEST(Compress, PayloadIsAStandardFrameWithoutItsMagicNumber) {
  Encoder encoder;
  for (std::size_t width : {1, 8}) {
    Bytes raw = MakeSample(kDoubles, 65'536, 7);
    Kept kept = EncodeAndKeep(&encoder, raw, {.element_width = width});
    ASSERT_EQ(kept.codec, width == 1 ? Codec::kZstd : Codec::kShuffleZstd);
    Bytes frame = {std::byte{0x28}, std::byte{0xB5}, std::byte{0x2F}, std::byte{0xFD}};
    frame.insert(frame.end(), kept.bytes.begin(), kept.bytes.end());
    Bytes out(raw.size()), back(raw.size());
    ASSERT_EQ(ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size()), raw.size());
    Unshuffle(out, width, back);
    EXPECT_EQ(back, raw);
    EXPECT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), ZSTD_CONTENTSIZE_UNKNOWN);
  }
}

// Elements of which byte j is noise ('n'), zero ('z'), one of eight values ('e') or a count ('c').
Bytes MakeElements(const std::string& bytes, std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i) {
    const char kind = bytes[i % bytes.size()];
    const std::size_t element = i / bytes.size();
    if (kind == 'n') data[i] = static_cast<std::byte>(random());
    if (kind == 'e') data[i] = static_cast<std::byte>(random() % 8);
    if (kind == 'c') data[i] = static_cast<std::byte>(element / 64);
  }
  return data;
}

// Whichever planes are noise, and in front of or behind what others: the frame is one that zstd
// reads, and takes no more than the planes would take together.
TEST(Compress, NoiseInSomePlanesIsPassedOver) {
  Encoder encoder;
  Decoder decoder;
  for (const char* bytes : {"nnnnnnez", "nnnnnnze", "ezcnnnnn", "nnncennn", "nnzzznnn", "nzne",
                            "ne", "en", "nnznnenn", "nnne"}) {
    const std::size_t width = std::string(bytes).size();
    for (std::size_t size : {65'536, 65'537 + 5, 40'000, 300'001, 2'000'003}) {
      for (int level : {1, 3, 12}) {
        Bytes raw = MakeElements(bytes, size, 8);
        Kept kept = EncodeAndKeep(&encoder, raw, {.level = level, .element_width = width});
        ASSERT_EQ(kept.codec, Codec::kShuffleZstd) << bytes << ' ' << size << ' ' << level;
        Bytes back(raw.size());
        ASSERT_TRUE(decoder.Decode(Id(kept.codec), kept.param, kept.bytes, back).ok());
        ASSERT_EQ(back, raw);
        Bytes frame = {std::byte{0x28}, std::byte{0xB5}, std::byte{0x2F}, std::byte{0xFD}};
        frame.insert(frame.end(), kept.bytes.begin(), kept.bytes.end());
        Bytes planes(raw.size()), out(raw.size());
        Shuffle(raw, width, planes);
        ASSERT_EQ(ZSTD_decompress(out.data(), out.size(), frame.data(), frame.size()), raw.size());
        ASSERT_EQ(out, planes);
        Bytes whole(ZSTD_compressBound(raw.size()));
        const std::size_t together =
            ZSTD_compress(whole.data(), whole.size(), planes.data(), planes.size(), level);
        EXPECT_LE(kept.bytes.size(), together + together / 50) << bytes << ' ' << size;
      }
    }
  }
}

// Written once by this format: 100 bytes 'a', as plain and as shuffled by 256 (never possible for
// 100 bytes, so nothing moves) and by 4 (all equal, so it looks the same).
TEST(Compress, GoldenPayloadDecodes) {
  const std::uint8_t golden[] = {0x00, 0x00, 0x45, 0x00, 0x00, 0x10, 0x61,
                                 0x61, 0x01, 0x00, 0x3F, 0x01, 0x2C};
  Bytes want(100, std::byte{'a'}), raw(100);
  Decoder decoder;
  ByteSpan stored = std::as_bytes(std::span(golden));
  for (auto [codec, param] : {std::pair(1, 0), std::pair(2, 0), std::pair(2, 4)}) {
    ASSERT_TRUE(
        decoder
            .Decode(static_cast<std::uint8_t>(codec), static_cast<std::uint8_t>(param), stored, raw)
            .ok());
    EXPECT_EQ(raw, want);
  }
}

// Decodes into a buffer with guards on both sides.
Status DecodeGuarded(Decoder* decoder, std::uint8_t codec, std::uint8_t param, ByteSpan stored,
                     std::size_t raw_bytes, Bytes* raw) {
  Bytes buffer(raw_bytes + 64, std::byte{0xA5});
  Status status =
      decoder->Decode(codec, param, stored, MutableByteSpan(buffer).subspan(32, raw_bytes));
  for (std::size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(buffer[i], std::byte{0xA5});
    EXPECT_EQ(buffer[raw_bytes + 32 + i], std::byte{0xA5});
  }
  raw->assign(buffer.begin() + 32, buffer.end() - 32);
  return status;
}

TEST(Decoder, EveryTruncationAndWrongLengthIsCorruption) {
  Encoder encoder;
  Decoder decoder;
  for (std::size_t width : {1, 8}) {
    Bytes raw = MakeSample(kDoubles, 2000, 8), back;
    Kept kept = EncodeAndKeep(&encoder, raw, {.element_width = width});
    ASSERT_NE(kept.codec, Codec::kRaw);
    for (std::size_t n = 0; n < kept.bytes.size(); ++n) {
      ByteSpan cut = ByteSpan(kept.bytes).first(n);
      Status status = DecodeGuarded(&decoder, Id(kept.codec), kept.param, cut, raw.size(), &back);
      ASSERT_EQ(status.code(), Code::kCorruption) << n;
    }
    for (std::size_t n : {std::size_t{0}, raw.size() - 1, raw.size() + 1, 2 * raw.size()}) {
      Status status = DecodeGuarded(&decoder, Id(kept.codec), kept.param, kept.bytes, n, &back);
      ASSERT_EQ(status.code(), Code::kCorruption) << n;
    }
    kept.bytes.push_back(std::byte{0});
    Status status =
        DecodeGuarded(&decoder, Id(kept.codec), kept.param, kept.bytes, raw.size(), &back);
    EXPECT_EQ(status.code(), Code::kCorruption);
  }
}

// The record's checksum finds the flip; here it must only stay inside its bounds, and the decoder
// must go on working.
TEST(Decoder, EveryFlippedBitIsHarmless) {
  Encoder encoder;
  Decoder decoder;
  Bytes raw = MakeSample(kDoubles, 1200, 9), back;
  Kept kept = EncodeAndKeep(&encoder, raw, {.element_width = 8});
  ASSERT_EQ(kept.codec, Codec::kShuffleZstd);
  for (std::size_t bit = 0; bit < 8 * kept.bytes.size(); ++bit) {
    Bytes bad = kept.bytes;
    bad[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    Status status = DecodeGuarded(&decoder, Id(kept.codec), kept.param, bad, raw.size(), &back);
    if (!status.ok()) {
      ASSERT_EQ(status.code(), Code::kCorruption);
    }
  }
  ASSERT_TRUE(decoder.Decode(Id(kept.codec), kept.param, kept.bytes, back).ok());
  EXPECT_EQ(back, raw);
}

RC_GTEST_PROP(Decoder, RandomBytesAreHarmless, ()) {
  Decoder decoder;
  auto stored = *rc::gen::container<std::vector<std::uint8_t>>(rc::gen::arbitrary<std::uint8_t>());
  auto codec = *rc::gen::arbitrary<std::uint8_t>();
  Bytes back;
  Status status =
      DecodeGuarded(&decoder, *rc::gen::element<std::uint8_t>(1, 2, codec),
                    *rc::gen::element<std::uint8_t>(0, 0, 8, 255), std::as_bytes(std::span(stored)),
                    *rc::gen::inRange<std::size_t>(0, 5000), &back);
  RC_ASSERT(status.ok() || status.code() == Code::kCorruption ||
            status.code() == Code::kUnsupported);
}

TEST(Decoder, BombIsBoundedByItsDeclaredLength) {
  Encoder encoder;
  Decoder decoder;
  Bytes raw(16 << 20), back;
  Kept kept = EncodeAndKeep(&encoder, raw, {});
  ASSERT_LT(kept.bytes.size(), 4096u);
  Status status = DecodeGuarded(&decoder, Id(kept.codec), kept.param, kept.bytes, 1000, &back);
  EXPECT_EQ(status.code(), Code::kCorruption);
}

TEST(Decoder, UnknownCodecIsUnsupportedAndNamed) {
  Decoder decoder;
  Bytes raw(10), stored(10);
  for (int codec : {3, 15, 18, 255}) {
    Status status = decoder.Decode(static_cast<std::uint8_t>(codec), 0, stored, raw);
    EXPECT_EQ(status.code(), Code::kUnsupported);
    EXPECT_NE(status.message().find("codec " + std::to_string(codec)), std::string::npos);
  }
}

TEST(Decoder, ParameterWithoutMeaningIsCorruption) {
  Decoder decoder;
  Bytes raw(10), stored(10);
  EXPECT_EQ(decoder.Decode(0, 1, stored, raw).code(), Code::kCorruption);
  EXPECT_EQ(decoder.Decode(1, 1, stored, raw).code(), Code::kCorruption);
  EXPECT_EQ(decoder.Decode(0, 0, stored, MutableByteSpan(raw).first(9)).code(), Code::kCorruption);
  EXPECT_TRUE(decoder.Decode(0, 0, stored, raw).ok());
}

TEST(CodecName, NamesWhatItKnows) {
  EXPECT_EQ(CodecName(0), "raw");
  EXPECT_EQ(CodecName(1), "zstd");
  EXPECT_EQ(CodecName(2), "shuffle");
  EXPECT_EQ(CodecName(77), "codec 77");
}

}  // namespace
}  // namespace ckpt
