// Patterns on entry names, one by one and against a naive matcher.

#include "store/engine/glob.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace ckpt {
namespace {

// A pattern without classes, by trying everything.
bool NaiveGlob(std::string_view p, std::string_view name) {
  if (p.empty()) return name.empty();
  if (p.starts_with("**")) {
    p.remove_prefix(2);
    if (p.starts_with("/") && NaiveGlob(p.substr(1), name)) return true;
    for (std::size_t i = 0; i <= name.size(); ++i) {
      if (NaiveGlob(p, name.substr(i))) return true;
    }
    return false;
  }
  if (p[0] == '*') {
    for (std::size_t i = 0;; ++i) {
      if (NaiveGlob(p.substr(1), name.substr(i))) return true;
      if (i >= name.size() || name[i] == '/') return false;
    }
  }
  if (name.empty() || (p[0] == '?' ? name[0] == '/' : p[0] != name[0])) return false;
  return NaiveGlob(p.substr(1), name.substr(1));
}

TEST(Glob, WithoutASlashIsComparedWithTheLastComponent) {
  EXPECT_TRUE(GlobMatches("*.log", "run/out.log"));
  EXPECT_FALSE(GlobMatches("*.log", "run/out.log/x"));
  EXPECT_FALSE(GlobMatches("*.log", "run/out.logs"));
  EXPECT_TRUE(GlobMatches("run/*.log", "run/out.log"));
  EXPECT_FALSE(GlobMatches("un/*.log", "run/out.log"));
  EXPECT_TRUE(GlobMatches("run/", "run"));
}

TEST(Glob, StarStopsAtASlashAndTwoDoNot) {
  EXPECT_FALSE(GlobMatches("run/*", "run/a/b"));
  EXPECT_TRUE(GlobMatches("run/**", "run/a/b"));
  EXPECT_TRUE(GlobMatches("**", "run/a/b"));
  EXPECT_TRUE(GlobMatches("run/**/b", "run/b"));
  EXPECT_TRUE(GlobMatches("run/**/b", "run/a/c/b"));
  EXPECT_FALSE(GlobMatches("run/?", "run//"));
}

TEST(Glob, ClassIsOneByteAndNeverASlash) {
  EXPECT_TRUE(GlobMatches("s[0-9]", "s7"));
  EXPECT_FALSE(GlobMatches("s[0-9]", "sx"));
  EXPECT_TRUE(GlobMatches("s[!0-9]", "sx"));
  EXPECT_FALSE(GlobMatches("s[!0-9]", "s7"));
  EXPECT_TRUE(GlobMatches("s[abc]", "sb"));
  EXPECT_TRUE(GlobMatches("s[]]", "s]"));   // first, it stands for itself
  EXPECT_TRUE(GlobMatches("s[a-]", "s-"));  // last, too
  EXPECT_TRUE(GlobMatches("s[0", "s[0"));   // no end: no class
  EXPECT_TRUE(GlobMatches("s[", "s["));
  EXPECT_FALSE(GlobMatches("a/s[!x]b", "a/s/b"));
}

TEST(Glob, CoversWhatIsBelow) {
  EXPECT_TRUE(AnyGlobCovers({"tmp"}, "run/tmp/a/b"));
  EXPECT_TRUE(AnyGlobCovers({"x", "b"}, "run/tmp/a/b"));
  EXPECT_FALSE(AnyGlobCovers({"c"}, "run/tmp/a/b"));
  EXPECT_FALSE(AnyGlobCovers({}, "run"));
}

// "**" as a component of its own, as it is meant.
TEST(Glob, AgreesWithOneThatTriesEverything) {
  std::mt19937 random(7);
  const auto path = [&](const std::vector<std::string>& components) {
    std::string made = "a";  // with a slash it is compared with the whole name
    for (std::size_t i = random() % 4 + 1; i > 0; --i) {
      made += "/" + components[random() % components.size()];
    }
    return made;
  };
  int matched = 0;
  for (int i = 0; i < 50000; ++i) {
    const std::string pattern = path({"**", "**", "*", "a*", "*b", "?", "a*b*", "a?*", "ab"});
    const std::string name = path({"a", "b", "ab", "aab", "abab", "ba"});
    const bool matches = NaiveGlob(pattern, name);
    ASSERT_EQ(GlobMatches(pattern, name), matches) << pattern << " on " << name;
    matched += matches ? 1 : 0;
  }
  EXPECT_GT(matched, 1000);
}

}  // namespace
}  // namespace ckpt
