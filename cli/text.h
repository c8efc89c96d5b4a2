// Bytes made fit for people: names from a store in terminal output and JSON, sizes, times, tables.
//
// Names may hold any bytes. What goes to a terminal never contains control characters (a file name
// must not move the cursor); what goes into JSON is always UTF-8 (see json.h).
// Thread rule: pure functions.

#ifndef CKPT_CLI_TEXT_H_
#define CKPT_CLI_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ckpt {

inline constexpr std::int64_t kSecondNs = 1'000'000'000;

bool IsUtf8(std::string_view bytes);
// Each byte that is not part of valid UTF-8 becomes U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view bytes);
std::string Base64(std::string_view bytes);

// A name for a terminal: control characters, direction marks and bytes that are not UTF-8 become
// C escapes ("\n", "\x1b", "\u202e"), a backslash is doubled, so that two names never look alike.
std::string PrintableName(std::string_view bytes);
// The same for a message that holds names: a backslash stays.
std::string PrintableMessage(std::string_view bytes);
// How many columns the text takes; East Asian wide characters take two.
std::size_t DisplayWidth(std::string_view utf8);

std::string HumanBytes(std::uint64_t bytes);     // "812 B", "31.2 MiB"
std::string HumanRate(double bytes_per_second);  // "410.2 MiB/s"; "-" when there is none
std::string HumanCount(std::uint64_t count);     // "1,234,567"
std::string HumanSeconds(double seconds);        // "0.52 s", "12.3 s", "3 min 05 s", "2 h 04 min"
std::string HumanRatio(double ratio);            // "3.42:1"; "-" when there is none
std::string HumanPercent(std::uint64_t part, std::uint64_t whole);  // "12.5 %"; "-" of nothing
// "1 file", "12 files"
std::string Plural(std::uint64_t count, std::string_view one, std::string_view many);
// part / whole; 0 when whole is 0.
double Ratio(std::uint64_t part, std::uint64_t whole);

std::string LocalTime(std::int64_t time_ns);  // "2026-03-01 14:05:09"
std::string UtcTime(std::int64_t time_ns);    // "2026-03-01T13:05:09.123456Z"

// Rows below headings, columns two spaces apart, no space at the end of a line.
class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES: as many cells as columns.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  std::string Text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ckpt

#endif  // CKPT_CLI_TEXT_H_
