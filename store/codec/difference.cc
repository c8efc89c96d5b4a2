#include "store/codec/difference.h"

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace ckpt {
namespace {

template <typename Word>
Word Load(const std::byte* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));  // little-endian hosts only (checked in base/bytes.cc)
  return word;
}

// Of the two's complement: the sign goes to the lowest bit.
template <typename Word>
Word Fold(Word difference) {
  const bool negative = difference >> (8 * sizeof(Word) - 1) != 0;
  return static_cast<Word>(static_cast<Word>(difference << 1) ^
                           (negative ? static_cast<Word>(-1) : Word{0}));
}

template <typename Word>
Word Unfold(Word folded) {
  return static_cast<Word>(static_cast<Word>(folded >> 1) ^
                           ((folded & 1) != 0 ? static_cast<Word>(-1) : Word{0}));
}

template <typename Word, typename Fn>
void EachWord(ByteSpan a, ByteSpan b, MutableByteSpan out, Fn fn) {
  std::size_t at = 0;
  for (; at + sizeof(Word) <= a.size(); at += sizeof(Word)) {
    const Word word = fn(Load<Word>(a.data() + at), Load<Word>(b.data() + at));
    std::memcpy(out.data() + at, &word, sizeof(word));
  }
  for (; at < a.size(); ++at) out[at] = a[at] ^ b[at];
}

void Xor(ByteSpan a, ByteSpan b, MutableByteSpan out) {
  EachWord<std::uint64_t>(a, b, out, [](std::uint64_t x, std::uint64_t y) { return x ^ y; });
}

template <typename Word>
void Subtract(ByteSpan raw, ByteSpan base, MutableByteSpan out) {
  EachWord<Word>(raw, base, out, [](Word x, Word y) { return Fold(static_cast<Word>(x - y)); });
}

template <typename Word>
void Add(ByteSpan difference, ByteSpan base, MutableByteSpan raw) {
  EachWord<Word>(difference, base, raw,
                 [](Word d, Word y) { return static_cast<Word>(Unfold(d) + y); });
}

template <typename Fn>
void WithLane(std::size_t lane, Fn fn) {
  if (lane == 8) return fn(std::uint64_t{});
  if (lane == 4) return fn(std::uint32_t{});
  if (lane == 2) return fn(std::uint16_t{});
  return fn(std::uint8_t{});
}

}  // namespace

std::size_t LaneOfWidth(std::size_t width) {
  return width % 8 == 0 ? 8 : width % 4 == 0 ? 4 : width % 2 == 0 ? 2 : 1;
}

void TakeDifference(Difference how, std::size_t lane, ByteSpan raw, ByteSpan base,
                    MutableByteSpan out) {
  if (how == Difference::kXor) return Xor(raw, base, out);
  WithLane(lane, [&](auto word) { Subtract<decltype(word)>(raw, base, out); });
}

void UndoDifference(Difference how, std::size_t lane, ByteSpan difference, ByteSpan base,
                    MutableByteSpan raw) {
  if (how == Difference::kXor) return Xor(difference, base, raw);
  WithLane(lane, [&](auto word) { Add<decltype(word)>(difference, base, raw); });
}

}  // namespace ckpt
