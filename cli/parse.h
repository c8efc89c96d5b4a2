// What people write on the command line: numbers, sizes, durations, percentages. Each answers
// nothing for text it does not accept in full.
// Thread rule: pure functions.

#ifndef CKPT_CLI_PARSE_H_
#define CKPT_CLI_PARSE_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace ckpt {

std::optional<std::uint64_t> ParseCount(std::string_view text);    // "12", "10000"
std::optional<std::int64_t> ParseStep(std::string_view text);      // 0 and above
std::optional<std::uint64_t> ParseSize(std::string_view text);     // "65536", "64K", "64KiB", "1G"
std::optional<std::int64_t> ParseDuration(std::string_view text);  // ns: "30s", "12h", "1d12h"
std::optional<double> ParsePercent(std::string_view text);         // "10%", "2.5": above 0, to 100

// The library's rules for names, for who must know before there is a store to ask.
bool IsSeriesName(std::string_view text);
bool IsEntryName(std::string_view text);

}  // namespace ckpt

#endif  // CKPT_CLI_PARSE_H_
