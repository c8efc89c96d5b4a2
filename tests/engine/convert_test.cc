// Numbers of one type as numbers of another.

#include "store/engine/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "store/engine/array_io.h"

namespace ckpt {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

template <typename T>
ByteSpan BytesOf(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <typename To, typename From>
Status Convert(Dtype from, const std::vector<From>& in, Dtype to, std::vector<To>* out) {
  out->assign(in.size(), To{});
  Status looked = ConvertElements(from, BytesOf(in), to, {}, 0);
  Status done = ConvertElements(from, BytesOf(in), to, std::as_writable_bytes(std::span(*out)), 0);
  EXPECT_EQ(looked.ToString(), done.ToString());
  return done;
}

template <typename To, typename From>
bool Fits(Dtype from, From value, Dtype to) {
  std::vector<To> out;
  return Convert(from, std::vector<From>{value}, to, &out).ok();
}

std::uint16_t SmallOf(Dtype to, double value) {
  std::vector<std::uint16_t> out;
  Status s = Convert(Dtype::kFloat64, std::vector<double>{value}, to, &out);
  EXPECT_TRUE(s.ok()) << s.ToString();
  return out[0];
}

TEST(Convert, TypesThatAreNoRealNumbersAreNot) {
  for (int from = 1; from <= 20; ++from) {
    const bool number = from <= static_cast<int>(Dtype::kFloat64);
    EXPECT_EQ(CanConvert(static_cast<Dtype>(from), Dtype::kFloat64), number) << from;
    EXPECT_EQ(CanConvert(Dtype::kInt8, static_cast<Dtype>(from)), number) << from;
  }
  EXPECT_FALSE(CanConvert(static_cast<Dtype>(0), Dtype::kInt8));
  EXPECT_FALSE(CanConvert(static_cast<Dtype>(200), Dtype::kInt8));
}

TEST(Convert, IntegersFitWhenInRange) {
  EXPECT_TRUE((Fits<std::int8_t>(Dtype::kInt64, std::int64_t{-128}, Dtype::kInt8)));
  EXPECT_FALSE((Fits<std::int8_t>(Dtype::kInt64, std::int64_t{-129}, Dtype::kInt8)));
  EXPECT_FALSE((Fits<std::int8_t>(Dtype::kUint8, std::uint8_t{128}, Dtype::kInt8)));
  EXPECT_FALSE((Fits<std::uint64_t>(Dtype::kInt8, std::int8_t{-1}, Dtype::kUint64)));
  EXPECT_TRUE((Fits<std::int64_t>(Dtype::kUint64, std::uint64_t{INT64_MAX}, Dtype::kInt64)));
  EXPECT_FALSE((Fits<std::int64_t>(Dtype::kUint64, std::uint64_t{1} << 63, Dtype::kInt64)));
  std::vector<std::uint16_t> out;
  ASSERT_TRUE(
      Convert(Dtype::kInt32, std::vector<std::int32_t>{0, 65535, 7}, Dtype::kUint16, &out).ok());
  EXPECT_EQ(out, (std::vector<std::uint16_t>{0, 65535, 7}));
}

TEST(Convert, FloatsBecomeIntegersWhenWholeAndInRange) {
  for (double bad : {0.5, -1e-300, 128.0, -129.0, kInf, -kInf, std::nan("")}) {
    EXPECT_FALSE((Fits<std::int8_t>(Dtype::kFloat64, bad, Dtype::kInt8))) << bad;
  }
  for (double good : {127.0, -128.0, 0.0, -0.0}) {
    EXPECT_TRUE((Fits<std::int8_t>(Dtype::kFloat64, good, Dtype::kInt8))) << good;
  }
  EXPECT_FALSE((Fits<std::int64_t>(Dtype::kFloat64, 0x1p63, Dtype::kInt64)));
  EXPECT_TRUE((Fits<std::int64_t>(Dtype::kFloat64, -0x1p63, Dtype::kInt64)));
  EXPECT_FALSE((Fits<std::uint64_t>(Dtype::kFloat64, 0x1p64, Dtype::kUint64)));
  EXPECT_FALSE((Fits<std::uint64_t>(Dtype::kFloat32, -1.0f, Dtype::kUint64)));
  std::vector<std::uint64_t> out;
  ASSERT_TRUE(
      Convert(Dtype::kFloat64, std::vector<double>{0x1.fffffffffffffp63}, Dtype::kUint64, &out)
          .ok());
  EXPECT_EQ(out[0], 0xfffffffffffff800u);
}

TEST(Convert, NarrowerFloatsAreRoundedAndNeverBecomeInfinite) {
  std::vector<float> out;
  const std::vector<double> in = {0.1, -1e300 * 0, 1e-46, kInf, -kInf, 0x1.fffffefffffffp127};
  ASSERT_TRUE(Convert(Dtype::kFloat64, in, Dtype::kFloat32, &out).ok());
  for (std::size_t i = 0; i < in.size(); ++i) EXPECT_EQ(out[i], static_cast<float>(in[i]));
  EXPECT_FALSE((Fits<float>(Dtype::kFloat64, 0x1.ffffffp127, Dtype::kFloat32)));
  EXPECT_FALSE((Fits<float>(Dtype::kFloat64, -1e300, Dtype::kFloat32)));
  ASSERT_TRUE(
      Convert(Dtype::kFloat64, std::vector<double>{std::nan("")}, Dtype::kFloat32, &out).ok());
  EXPECT_TRUE(std::isnan(out[0]));
  ASSERT_TRUE(Convert(Dtype::kInt64, std::vector<std::int64_t>{(1 << 24) + 1, INT64_MAX},
                      Dtype::kFloat32, &out)
                  .ok());
  EXPECT_EQ(out[0], 16777216.0f);
  EXPECT_EQ(out[1], 0x1p63f);
  EXPECT_FALSE((Fits<std::uint16_t>(Dtype::kInt32, 65520, Dtype::kFloat16)));
  EXPECT_TRUE((Fits<std::uint16_t>(Dtype::kInt32, 65519, Dtype::kFloat16)));
}

TEST(Convert, KnownNumbersOf16Bits) {
  const std::map<double, std::uint16_t> halves = {
      {1.0, 0x3c00},     {-2.0, 0xc000},    {65504.0, 0x7bff}, {0x1p-24, 0x0001},
      {0x1p-14, 0x0400}, {0x1p-25, 0x0000}, {kInf, 0x7c00},    {1.0 / 3, 0x3555}};
  for (auto [value, bits] : halves) EXPECT_EQ(SmallOf(Dtype::kFloat16, value), bits) << value;
  const std::map<double, std::uint16_t> bfloats = {
      {1.0, 0x3f80}, {-0.0, 0x8000}, {0x1p-133, 0x0001}, {3.140625, 0x4049}, {-kInf, 0xff80}};
  for (auto [value, bits] : bfloats) EXPECT_EQ(SmallOf(Dtype::kBfloat16, value), bits) << value;
}

// Every number of 16 bits as a double, and back; and against looking for the nearest of them all.
class ConvertSmall : public ::testing::TestWithParam<Dtype> {};

TEST_P(ConvertSmall, EveryNumberComesBackAndTheNearestIsFound) {
  std::vector<std::uint16_t> all(65536), back;
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  std::vector<double> wide;
  ASSERT_TRUE(Convert(GetParam(), all, Dtype::kFloat64, &wide).ok());
  ASSERT_TRUE(Convert(Dtype::kFloat64, wide, GetParam(), &back).ok());
  std::map<double, std::uint16_t> numbers;  // finite, not negative
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::isnan(wide[i])) {
      EXPECT_TRUE(std::isnan(wide[i])) << i;
      continue;
    }
    ASSERT_EQ(back[i], all[i]);
    if (i < 0x8000 && std::isfinite(wide[i])) numbers[wide[i]] = all[i];
  }
  const double largest = numbers.rbegin()->first;
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const double scale = std::ldexp(1.0, static_cast<int>(random() % 60) - 45);
    const double value = static_cast<double>(random() >> 11) * 0x1p-53 * scale;
    if (value > largest) continue;
    auto above = numbers.lower_bound(value);
    auto below = above == numbers.begin() || above->first == value ? above : std::prev(above);
    const double up = above->first - value, down = value - below->first;
    const bool even = (below->second & 1) == 0;
    const std::uint16_t nearest = down < up || (down == up && even) ? below->second : above->second;
    ASSERT_EQ(SmallOf(GetParam(), value), nearest) << value;
    ASSERT_EQ(SmallOf(GetParam(), -value), nearest | 0x8000) << value;
  }
}
INSTANTIATE_TEST_SUITE_P(Types, ConvertSmall, ::testing::Values(Dtype::kFloat16, Dtype::kBfloat16));

TEST(Convert, TheFirstThatDoesNotFitIsNamed) {
  std::vector<double> in(2000, 3.0);
  in[1500] = 3.5;
  in[1700] = kInf;
  std::vector<std::int32_t> out(in.size());
  Status s = ConvertElements(Dtype::kFloat64, BytesOf(in), Dtype::kInt32,
                             std::as_writable_bytes(std::span(out)), 100000);
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_EQ(s.message(), "element 101500, 3.5 as float64, does not fit int32");
}

// From and to each type, what all of them hold.
TEST(Convert, SmallNumbersComeBackFromEveryType) {
  const Dtype types[] = {Dtype::kInt8,    Dtype::kInt16,    Dtype::kInt32,   Dtype::kInt64,
                         Dtype::kUint8,   Dtype::kUint16,   Dtype::kUint32,  Dtype::kUint64,
                         Dtype::kFloat16, Dtype::kBfloat16, Dtype::kFloat32, Dtype::kFloat64};
  const std::vector<double> numbers{0, 1, 2, 100, 127};
  for (const Dtype type : types) {
    Bytes between(numbers.size() * *ElementBytesOf(type));
    ASSERT_TRUE(ConvertElements(Dtype::kFloat64, BytesOf(numbers), type, between, 0).ok());
    std::vector<double> back(numbers.size());
    ASSERT_TRUE(
        ConvertElements(type, between, Dtype::kFloat64, std::as_writable_bytes(std::span(back)), 0)
            .ok());
    EXPECT_EQ(back, numbers) << static_cast<int>(type);
  }
}

}  // namespace
}  // namespace ckpt
