#include "store/base/stream_copy.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace ckpt {
namespace {

TEST(StreamCopyTest, EveryByteAndNoOther) {
  constexpr std::size_t kRoom = 70'000;
  alignas(64) static std::array<std::byte, kRoom> to;
  std::vector<std::byte> from(kRoom);
  for (std::size_t i = 0; i < kRoom; ++i) from[i] = static_cast<std::byte>(i * 31 + i / 251);
  for (std::size_t size : {0, 1, 15, 16, 63, 64, 65, 127, 128, 1000, 4096, 65'536, 69'000}) {
    for (std::size_t offset : {0, 1, 8, 33}) {
      for (std::size_t place : {64, 65, 72, 79}) {
        std::fill_n(to.data(), kRoom, std::byte{0xEE});
        StreamCopy(to.data() + place, from.data() + offset, size);
        EXPECT_EQ(std::memcmp(to.data() + place, from.data() + offset, size), 0) << size;
        EXPECT_EQ(to.data()[place - 1], std::byte{0xEE});
        EXPECT_EQ(to.data()[place + size], std::byte{0xEE}) << size;
      }
    }
  }
}

}  // namespace
}  // namespace ckpt
