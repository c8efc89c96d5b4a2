// Retention: which checkpoints the rules of `gc` let go.
//
// A checkpoint stays when any rule keeps it:
//   keep_last     the newest N sound ones of the line (series.h), from its newest back;
//   keep_every    those whose step is a multiple, on the line or off it;
//   keep_within   those, on the line or off it, made at most so long before the series' newest one
//                 (before it, not before now: a series that rests for a month loses nothing).
// Without a rule everything stays. Never let go: the newest sound checkpoint of a series, what is
// newer than that one on its line (a rank group that is still being written, say), and the furthest
// sound one of runs that the line does not go back to, as long as its step is above the line's.
// Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_RETENTION_H_
#define CKPT_STORE_ENGINE_RETENTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "store/engine/remove.h"

namespace ckpt {

struct RetentionRules {
  std::string series;  // empty: all
  std::uint64_t keep_last = 0;
  std::int64_t keep_every = 0;
  std::int64_t keep_within_ns = 0;
  bool any() const { return keep_last > 0 || keep_every > 0 || keep_within_ns > 0; }
};

// NotFound: no such series. InvalidArgument: a negative number.
Result<std::vector<Removal>> PlanRetention(Store* store, const RetentionRules& rules);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_RETENTION_H_
