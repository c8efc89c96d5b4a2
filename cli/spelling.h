// "did you mean 'restore'?": the nearest known word to one that is not known.
// Thread rule: pure functions.

#ifndef CKPT_CLI_SPELLING_H_
#define CKPT_CLI_SPELLING_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ckpt {

// Insertions, deletions, replacements and swaps of two neighbours that turn a into b, no part of
// the text edited twice (Damerau-Levenshtein, "optimal string alignment").
std::size_t EditDistance(std::string_view a, std::string_view b);

// The nearest of `words`, the first of equals; "" when none is near: more than a third of the
// letters differ (one letter may always, in words of two or more), nor does a word begin with it.
std::string Suggestion(std::string_view word, const std::vector<std::string>& words);

}  // namespace ckpt

#endif  // CKPT_CLI_SPELLING_H_
