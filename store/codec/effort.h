// How much time a save may take so that less is stored, in the user's words.
//
// What each gives and costs: docs/benchmarks.md, Effort. What is stored reads the same whatever was
// chosen, and chunks that are there already are not stored anew because another effort is asked
// for.
// Thread rule: values and pure functions.

#ifndef CKPT_STORE_CODEC_EFFORT_H_
#define CKPT_STORE_CODEC_EFFORT_H_

#include <cstdint>
#include <string_view>

namespace ckpt {

// The numbers are on disk.
enum class Effort : std::uint8_t {
  kUnsaid = 0,  // what the level above says: of an array its save's, of a save its store's
  kFast = 1,
  kBalanced = 2,
  kSmall = 3,
};

// "fast", "balanced", "small"; "" for kUnsaid.
std::string_view EffortName(Effort effort);

// `said` unless that is kUnsaid.
inline Effort OrElse(Effort said, Effort otherwise) {
  return said == Effort::kUnsaid ? otherwise : said;
}

// What it means for one chunk.
struct EffortRule {
  int level = 3;            // zstd's
  bool thorough = false;    // every form is tried in full, not by a sample first
  bool deltas = true;       // differences are looked for
  double delta_most = 0.5;  // of the bytes that the chunk would have: a difference has no more
};
// `level`: the store's own, for balanced; fast takes none above it, small none below.
EffortRule RuleOf(Effort effort, int level);

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_EFFORT_H_
