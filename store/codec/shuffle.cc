#include "store/codec/shuffle.h"

#include <cstring>

#include "store/base/check.h"

namespace ckpt {

void Shuffle(ByteSpan in, std::size_t width, MutableByteSpan out) {
  CKPT_CHECK(in.size() == out.size() && width >= 1 && width <= kShuffleWidthMost, "see shuffle.h");
  std::size_t count = in.size() / width;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < width; ++j) out[j * count + i] = in[i * width + j];
  }
  for (std::size_t k = count * width; k < in.size(); ++k) out[k] = in[k];
}

void Unshuffle(ByteSpan in, std::size_t width, MutableByteSpan out) {
  CKPT_CHECK(in.size() == out.size() && width >= 1 && width <= kShuffleWidthMost, "see shuffle.h");
  std::size_t count = in.size() / width;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < width; ++j) out[i * width + j] = in[j * count + i];
  }
  for (std::size_t k = count * width; k < in.size(); ++k) out[k] = in[k];
}

}  // namespace ckpt
