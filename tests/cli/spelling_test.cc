#include "cli/spelling.cc"  // see text_test.cc

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace ckpt {
namespace {

const std::vector<std::string> kWords = {"init", "save",  "restore", "list", "inspect",
                                         "diff", "stats", "rm",      "gc",   "reindex"};

TEST(EditDistance, KnownAnswers) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("abc", "abc"), 0u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("ab", "ba"), 1u);   // a swap is one edit
  EXPECT_EQ(EditDistance("ca", "abc"), 3u);  // and is not edited again
}

RC_GTEST_PROP(EditDistance, IsSymmetricAndBounded, (const std::string& a, const std::string& b)) {
  const std::size_t distance = EditDistance(a, b);
  RC_ASSERT(distance == EditDistance(b, a));
  RC_ASSERT(distance <= std::max(a.size(), b.size()));
  RC_ASSERT((distance == 0) == (a == b));
}

TEST(Suggestion, NearWordsAreFound) {
  EXPECT_EQ(Suggestion("lst", kWords), "list");
  EXPECT_EQ(Suggestion("sav", kWords), "save");
  EXPECT_EQ(Suggestion("retsore", kWords), "restore");
  EXPECT_EQ(Suggestion("ins", kWords), "inspect");  // a beginning
  EXPECT_EQ(Suggestion("stat", kWords), "stats");
}

TEST(Suggestion, FarWordsAreNot) {
  EXPECT_EQ(Suggestion("checkpoint", kWords), "");
  EXPECT_EQ(Suggestion("x", kWords), "");
  EXPECT_EQ(Suggestion("", kWords), "");
  EXPECT_EQ(Suggestion("xyz", kWords), "");
  EXPECT_EQ(Suggestion(std::string(100000, 'a'), kWords), "");
}

}  // namespace
}  // namespace ckpt
