// How checkpoints are named, by people and to them. No store is asked: see SeriesView and
// ResolveCheckpoint for which one a name means.
// Thread rule: values.

#ifndef CKPT_STORE_ENGINE_CHECKPOINT_NAME_H_
#define CKPT_STORE_ENGINE_CHECKPOINT_NAME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/base/status.h"
#include "store/manifest/manifest.h"

namespace ckpt {

// "SERIES", "SERIES@STEP", "SERIES@ATTEMPT:STEP" (ATTEMPT: ordinal, or at least 4 hexadecimal
// digits of the id).
struct CheckpointName {
  std::string series;
  std::string attempt;
  std::optional<std::int64_t> step;
};
Result<CheckpointName> ParseCheckpointName(std::string_view name);
std::string FormatCheckpointName(const std::string& series, const AttemptRef& attempt,
                                 std::int64_t step);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHECKPOINT_NAME_H_
