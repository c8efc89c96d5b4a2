#include "store/codec/element_width.h"

#include <gtest/gtest.h>

#include <random>

namespace ckpt {
namespace {

// Records of `width` bytes of which the first `fixed` hardly change.
Bytes Records(std::size_t width, std::size_t fixed, std::size_t size) {
  std::mt19937 random(1);
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i) {
    std::size_t column = i % width;
    data[i] = column < fixed ? static_cast<std::byte>((column * 2654435761u >> 13) % 7)
                             : static_cast<std::byte>(random());
  }
  return data;
}

TEST(ElementWidth, RecordsAreFoundAtAnyPhase) {
  for (std::size_t width : {2, 3, 4, 8, 12, 16, 24, 40, 88, 132, 255, 256}) {
    Bytes data = Records(width, (width + 3) / 4, 70'000);
    for (std::size_t phase : {std::size_t{0}, std::size_t{1}, width - 1}) {
      EXPECT_EQ(GuessElementWidth(ByteSpan(data).subspan(phase)), width) << "phase " << phase;
    }
  }
}

TEST(ElementWidth, RandomBytesAndConstantBytesHaveNone) {
  Bytes data = Records(8, 0, 65'536);
  EXPECT_EQ(GuessElementWidth(data), 0u);
  EXPECT_EQ(GuessElementWidth(Bytes(65'536)), 0u);
}

TEST(ElementWidth, ShortInputsOfAnySizeAreSafe) {
  for (std::size_t size = 0; size < 8192; size += 13) {
    Bytes data = Records(8, 2, size);
    data.shrink_to_fit();
    std::size_t width = GuessElementWidth(data);
    EXPECT_TRUE(width == 0 || width == 8) << size;
  }
}

}  // namespace
}  // namespace ckpt
