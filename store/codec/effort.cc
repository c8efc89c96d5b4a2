#include "store/codec/effort.h"

#include <algorithm>

namespace ckpt {
namespace {

constexpr int kFastLevelMost = 1;
// The first whose optimal parsing is smaller than level 3 on everything that was tried, at several
// times the speed of those above.
constexpr int kSmallLevelLeast = 14;

}  // namespace

std::string_view EffortName(Effort effort) {
  switch (effort) {
    case Effort::kFast:
      return "fast";
    case Effort::kBalanced:
      return "balanced";
    case Effort::kSmall:
      return "small";
    case Effort::kUnsaid:
      break;
  }
  return "";
}

EffortRule RuleOf(Effort effort, int level) {
  switch (effort) {
    case Effort::kFast:
      return {.level = std::min(level, kFastLevelMost), .deltas = false};
    case Effort::kSmall:
      return {.level = std::max(level, kSmallLevelLeast), .thorough = true, .delta_most = 0.75};
    case Effort::kBalanced:
    case Effort::kUnsaid:
      break;
  }
  return {.level = level};
}

}  // namespace ckpt
