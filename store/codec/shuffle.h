// Byte shuffle: puts the first bytes of all elements together, then the second bytes, and so on,
// so that a compressor sees the exponents of floating-point numbers apart from their mantissas.
//
// With n = size / width whole elements, byte j of element i goes to place j * n + i; the size %
// width bytes left at the end stay where they are. width 1..256; 1 changes nothing. Thread rule:
// pure functions.

#ifndef CKPT_STORE_CODEC_SHUFFLE_H_
#define CKPT_STORE_CODEC_SHUFFLE_H_

#include <cstddef>

#include "store/base/bytes.h"

namespace ckpt {

inline constexpr std::size_t kShuffleWidthMost = 256;

// REQUIRES: out.size() == in.size(), no overlap, 1 <= width <= 256.
void Shuffle(ByteSpan in, std::size_t width, MutableByteSpan out);
void Unshuffle(ByteSpan in, std::size_t width, MutableByteSpan out);

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_SHUFFLE_H_
