#include "cli/effort_table.h"

#include <optional>
#include <string_view>

namespace ckpt {
namespace {

std::optional<std::int32_t> ParseEffort(std::string_view text) {
  for (std::int32_t effort = CKPT_EFFORT_FAST; effort <= CKPT_EFFORT_SMALL; ++effort) {
    if (text == ckpt_effort_name(effort)) return effort;
  }
  return std::nullopt;
}

}  // namespace

CLI::Option* AddEffort(CLI::App& app, std::int32_t* effort, const std::string& help) {
  return AddParsed<std::int32_t>(app, "--effort", effort, "EFFORT", ParseEffort,
                                 "fast, balanced or small", help);
}

void EffortTable::Add(const ckpt_effort_estimate& estimate, std::uint64_t logical_bytes) {
  const double ratio = Ratio(logical_bytes, estimate.stored_bytes);
  json_.push_back({{"effort", ckpt_effort_name(estimate.effort)},
                   {"level", estimate.level},
                   {"sampled_bytes", estimate.sampled_bytes},
                   {"stored_bytes", estimate.stored_bytes},
                   {"total_ratio", ratio},
                   {"encode_bytes_per_second", estimate.encode_bytes_per_second},
                   {"decode_bytes_per_second", estimate.decode_bytes_per_second}});
  table_.AddRow({ckpt_effort_name(estimate.effort), std::to_string(estimate.level),
                 HumanBytes(estimate.stored_bytes), HumanRatio(ratio),
                 HumanRate(estimate.encode_bytes_per_second),
                 HumanRate(estimate.decode_bytes_per_second)});
}

}  // namespace ckpt
