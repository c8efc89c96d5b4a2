#include "store/engine/glob.h"

#include <gtest/gtest.h>

namespace ckpt {
namespace {

TEST(Glob, QuestionMarkAndStarStayWithinAComponent) {
  EXPECT_TRUE(GlobMatches("d/?.txt", "d/a.txt"));
  EXPECT_FALSE(GlobMatches("d/?.txt", "d/.txt"));
  EXPECT_FALSE(GlobMatches("d?a", "d/a"));
  EXPECT_TRUE(GlobMatches("d/*", "d/restart.5000"));
  EXPECT_FALSE(GlobMatches("d/*", "d/sub/x"));
  EXPECT_TRUE(GlobMatches("d/*.0", "d/a.0.0"));
  EXPECT_FALSE(GlobMatches("d/*.0", "d/a.0.1"));
}

TEST(Glob, TwoStarsCrossFolders) {
  EXPECT_TRUE(GlobMatches("**/x", "d/sub/x"));
  EXPECT_TRUE(GlobMatches("**/x", "x"));
  EXPECT_TRUE(GlobMatches("d/**", "d/sub/x"));
  EXPECT_TRUE(GlobMatches("d/**/x", "d/x"));
  EXPECT_FALSE(GlobMatches("d/**/x", "dx"));
}

TEST(Glob, ClassesTakeOneByteAndNeverASlash) {
  EXPECT_TRUE(GlobMatches("r.[0-9]", "r.5"));
  EXPECT_FALSE(GlobMatches("r.[0-9]", "r.a"));
  EXPECT_TRUE(GlobMatches("r.[!0-9]", "r.a"));
  EXPECT_FALSE(GlobMatches("r.[!0-9]", "r.5"));
  EXPECT_FALSE(GlobMatches("d[!a]x", "d/x"));
  EXPECT_TRUE(GlobMatches("[]]", "]"));
  EXPECT_TRUE(GlobMatches("a[b", "a[b")) << "without its end it stands for itself";
  EXPECT_TRUE(GlobMatches("[\x80-\xff]", "\xe4")) << "bytes, not signed ones";
}

TEST(Glob, WithoutASlashTheLastComponentIsCompared) {
  EXPECT_TRUE(GlobMatches("*.tmp", "d/sub/x.tmp"));
  EXPECT_TRUE(GlobMatches("x", "d/x"));
  EXPECT_FALSE(GlobMatches("d", "d/x"));
  EXPECT_FALSE(GlobMatches("d/*.tmp", "other/d/x.tmp"));
}

TEST(Glob, AFolderThatMatchesCoversWhatIsInIt) {
  EXPECT_TRUE(AnyGlobCovers({"cache"}, "d/cache/x/y"));
  EXPECT_TRUE(AnyGlobCovers({"no", "d/*"}, "d/sub/x"));
  EXPECT_FALSE(AnyGlobCovers({"d/*"}, "d"));
  EXPECT_FALSE(AnyGlobMatches({"cache"}, "d/cache/x/y"));
}

}  // namespace
}  // namespace ckpt
