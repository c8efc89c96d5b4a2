#include "cli/parse.cc"  // see text_test.cc

#include <gtest/gtest.h>

namespace ckpt {
namespace {

TEST(ParseCount, OnlyWholeNumbers) {
  EXPECT_EQ(ParseCount("0"), 0u);
  EXPECT_EQ(ParseCount("010"), 10u);  // no octal
  EXPECT_EQ(ParseCount("18446744073709551615"), UINT64_MAX);
  for (const char* text :
       {"", "-1", "+1", " 1", "1 ", "1.5", "0x10", "18446744073709551616", "x"}) {
    EXPECT_EQ(ParseCount(text), std::nullopt) << text;
  }
}

TEST(ParseStep, NoneAboveWhatAStepHolds) {
  EXPECT_EQ(ParseStep("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(ParseStep("9223372036854775808"), std::nullopt);
  EXPECT_EQ(ParseStep("-1"), std::nullopt);
}

TEST(ParseSize, PowersOf1024) {
  EXPECT_EQ(ParseSize("65536"), 65536u);
  EXPECT_EQ(ParseSize("64K"), 65536u);
  EXPECT_EQ(ParseSize("64k"), 65536u);
  EXPECT_EQ(ParseSize("64KiB"), 65536u);
  EXPECT_EQ(ParseSize("64KB"), 65536u);
  EXPECT_EQ(ParseSize("3M"), 3u << 20u);
  EXPECT_EQ(ParseSize("1G"), 1u << 30u);
  EXPECT_EQ(ParseSize("12B"), 12u);
  for (const char* text : {"", "K", "64X", "64Ki", "6 4K", "-1K", "99999999999T"}) {
    EXPECT_EQ(ParseSize(text), std::nullopt) << text;
  }
}

TEST(ParseDuration, NeedsItsUnit) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(ParseDuration("30s"), 30 * kSecond);
  EXPECT_EQ(ParseDuration("30m"), 1800 * kSecond);
  EXPECT_EQ(ParseDuration("12h"), 43200 * kSecond);
  EXPECT_EQ(ParseDuration("7d"), 604800 * kSecond);
  EXPECT_EQ(ParseDuration("2w"), 1209600 * kSecond);
  EXPECT_EQ(ParseDuration("1d12h"), 129600 * kSecond);
  for (const char* text : {"", "7", "d", "7 d", "7x", "-7d", "7d3", "1.5h", "99999999999999999999d",
                           "9999999999w", "9223372036s9223372036s"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(ParsePercent, AboveZeroToAHundred) {
  EXPECT_EQ(ParsePercent("10%"), 10.0);
  EXPECT_EQ(ParsePercent("2.5"), 2.5);
  EXPECT_EQ(ParsePercent("100%"), 100.0);
  for (const char* text : {"", "%", "0", "0%", "-1", "101%", "nan", "inf", "1e1", "10%%", "x"}) {
    EXPECT_EQ(ParsePercent(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace ckpt
