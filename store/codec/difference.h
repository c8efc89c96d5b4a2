// What a chunk differs by from another of the same size: what a delta's frame holds, and back.
//
// kXor: byte by byte. kSubtract: both are taken for little-endian integers of `lane` bytes; the
// difference modulo 2^(8 lane) is folded so that small ones of either sign are small numbers (0,
// -1, 1, -2 … become 0, 1, 2, 3 …); the size % lane bytes left at the end are xored. Thread rule:
// pure functions.

#ifndef CKPT_STORE_CODEC_DIFFERENCE_H_
#define CKPT_STORE_CODEC_DIFFERENCE_H_

#include <cstddef>

#include "store/base/bytes.h"

namespace ckpt {

enum class Difference : std::uint8_t { kXor, kSubtract };

// The greatest of 8, 4, 2, 1 that divides an element of `width` bytes.
std::size_t LaneOfWidth(std::size_t width);

// REQUIRES: raw, base and out have one size and do not overlap; lane is 1, 2, 4 or 8.
void TakeDifference(Difference how, std::size_t lane, ByteSpan raw, ByteSpan base,
                    MutableByteSpan out);
void UndoDifference(Difference how, std::size_t lane, ByteSpan difference, ByteSpan base,
                    MutableByteSpan raw);

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_DIFFERENCE_H_
