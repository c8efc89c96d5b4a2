#include <gtest/gtest.h>

#include "store/manifest/manifest.h"

namespace ckpt {
namespace {

using namespace std::string_literals;

TEST(SeriesName, AcceptsWhatThePageAllows) {
  for (const std::string& name :
       {"melt"s, "a"s, "run-2_b.c"s, "r\xc3\xa9sum\xc3\xa9"s, "\xff\xfe"s, std::string(128, 'x')}) {
    EXPECT_TRUE(ValidateSeriesName(name).ok()) << name;
  }
}

TEST(SeriesName, RefusesWhatThePageForbids) {
  for (const std::string& name : {""s, "-x"s, ".x"s, "a b"s, "a/b"s, "a@1"s, "a\nb"s, "a\0b"s,
                                  "a\x7f"s, std::string(129, 'x')}) {
    EXPECT_EQ(ValidateSeriesName(name).code(), Code::kInvalidArgument) << name;
  }
}

TEST(EntryName, AcceptsRelativePathsOfAnyEncoding) {
  for (const std::string& name :
       {"a"s, "a/b"s, "..."s, "a/..b/.c"s, "-x"s, " "s, "\n\xff"s, "a\\b"s, std::string(255, 'x'),
        std::string(255, 'x') + "/" + std::string(255, 'y')}) {
    EXPECT_TRUE(ValidateEntryName(name).ok()) << name;
  }
}

TEST(EntryName, RefusesWhatCouldLeaveTheTarget) {
  std::string deep = "a";
  while (deep.size() <= 4096) deep += "/a";
  for (const std::string& name :
       {""s, "/"s, "/etc/passwd"s, ".."s, "../x"s, "a/.."s, "a/../b"s, "."s, "./a"s, "a/."s,
        "a//b"s, "a/"s, "a\0b"s, std::string(256, 'x'), deep}) {
    EXPECT_EQ(ValidateEntryName(name).code(), Code::kInvalidArgument) << name;
  }
}

TEST(ShownName, EscapesControlBytesAndCuts) {
  EXPECT_EQ(ShownName("a\x1b[31mb\n"), "a\\x1b[31mb\\x0a");
  EXPECT_LT(ShownName(std::string(5000, 'x')).size(), 130u);
}

}  // namespace
}  // namespace ckpt
