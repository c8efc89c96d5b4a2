// The shuffle against its definition, for every width and awkward sizes, in buffers of exact size
// (so that an address sanitizer sees any byte too far).

#include "store/codec/shuffle.h"

#include <gtest/gtest.h>

#include <random>

namespace ckpt {
namespace {

Bytes NaiveShuffle(const Bytes& in, std::size_t width) {
  Bytes out(in);
  std::size_t n = in.size() / width;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < width; ++j) out[j * n + i] = in[i * width + j];
  }
  return out;
}

TEST(Shuffle, EveryWidthAndSizeEqualsNaiveAndComesBack) {
  std::mt19937 random(1);
  for (std::size_t width = 1; width <= 256; ++width) {
    for (std::size_t count : {0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 100}) {
      for (std::size_t tail : {std::size_t{0}, std::size_t{1}, width / 2, width - 1}) {
        if (tail >= width) continue;
        Bytes in(width * count + tail);
        for (std::byte& b : in) b = static_cast<std::byte>(random());
        Bytes out(in.size()), back(in.size());
        Shuffle(in, width, out);
        ASSERT_EQ(out, NaiveShuffle(in, width)) << width << " x " << count << " + " << tail;
        Unshuffle(out, width, back);
        ASSERT_EQ(back, in) << width << " x " << count << " + " << tail;
      }
    }
  }
}

TEST(Shuffle, BytesAroundTheOutputAreUntouched) {
  for (std::size_t width : {2, 3, 8, 12, 16, 17, 88, 256}) {
    std::size_t size = width * 50 + 1;
    Bytes in(size, std::byte{7}), out(size + 64, std::byte{0xEE});
    MutableByteSpan middle = MutableByteSpan(out).subspan(32, size);
    for (bool forth : {true, false}) {
      forth ? Shuffle(in, width, middle) : Unshuffle(in, width, middle);
      for (std::size_t i = 0; i < 32; ++i) {
        ASSERT_EQ(out[i], std::byte{0xEE}) << width;
        ASSERT_EQ(out[size + 32 + i], std::byte{0xEE}) << width;
      }
    }
  }
}

}  // namespace
}  // namespace ckpt
