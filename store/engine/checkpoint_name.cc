#include "store/engine/checkpoint_name.h"

#include <charconv>

namespace ckpt {
namespace {

// A name with a digit string that is too long for a step is no step.
std::optional<std::int64_t> ParseStep(std::string_view text) {
  std::int64_t step = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc() || end != text.data() + text.size() || step < 0) return std::nullopt;
  return step;
}

}  // namespace

Result<CheckpointName> ParseCheckpointName(std::string_view name) {
  CheckpointName parsed;
  std::size_t at = name.rfind('@');
  parsed.series = std::string(name.substr(0, at));
  CKPT_RETURN_IF_ERROR(ValidateSeriesName(parsed.series));
  if (at == std::string_view::npos) return parsed;
  std::string_view rest = name.substr(at + 1);
  std::size_t colon = rest.find(':');
  if (colon != std::string_view::npos) {
    parsed.attempt = std::string(rest.substr(0, colon));
    rest = rest.substr(colon + 1);
  }
  parsed.step = ParseStep(rest);
  if (!parsed.step.has_value() || (colon != std::string_view::npos && parsed.attempt.empty())) {
    return InvalidArgument("'" + std::string(name) + "' names no checkpoint: write SERIES, " +
                           "SERIES@STEP or SERIES@ATTEMPT:STEP, such as melt@5000 or melt@2:5000");
  }
  return parsed;
}

std::string FormatCheckpointName(const std::string& series, const AttemptRef& attempt,
                                 std::int64_t step) {
  return series + "@" + std::to_string(attempt.ordinal) + ":" + std::to_string(step);
}

}  // namespace ckpt
