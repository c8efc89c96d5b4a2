#include "cli/parse.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace ckpt {
namespace {

// Takes the decimal number at the front of `text`.
std::optional<std::uint64_t> TakeNumber(std::string_view* text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  return value;
}

// Bits to shift by for "", "K", "KB", "KiB", ... (always powers of 1024).
std::optional<unsigned> UnitShift(std::string_view unit) {
  if (unit.empty() || unit == "B") return 0;
  constexpr std::string_view kLetters = "KMGT";
  const char letter = unit[0] >= 'a' ? static_cast<char>(unit[0] - 'a' + 'A') : unit[0];
  const std::size_t at = kLetters.find(letter);
  const std::string_view rest = unit.substr(1);
  if (at == std::string_view::npos || !(rest.empty() || rest == "iB" || rest == "B")) {
    return std::nullopt;
  }
  return static_cast<unsigned>(10 * (at + 1));
}

std::optional<std::uint64_t> UnitSeconds(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 86400;
    case 'w':
      return 7 * 86400;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<std::uint64_t> ParseCount(std::string_view text) {
  const auto value = TakeNumber(&text);
  return text.empty() ? value : std::nullopt;
}

std::optional<std::int64_t> ParseStep(std::string_view text) {
  const auto value = ParseCount(text);
  if (!value || *value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*value);
}

std::optional<std::uint64_t> ParseSize(std::string_view text) {
  const auto value = TakeNumber(&text);
  const auto shift = UnitShift(text);
  if (!value || !shift || *value > (std::numeric_limits<std::uint64_t>::max() >> *shift)) {
    return std::nullopt;
  }
  return *value << *shift;
}

std::optional<std::int64_t> ParseDuration(std::string_view text) {
  constexpr std::uint64_t kMostSeconds = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
  std::uint64_t total = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const auto value = TakeNumber(&text);
    const auto unit = text.empty() ? std::nullopt : UnitSeconds(text[0]);
    if (!value || !unit || *value > kMostSeconds / *unit) return std::nullopt;
    total += *value * *unit;
    if (total > kMostSeconds) return std::nullopt;
    text.remove_prefix(1);
  }
  return static_cast<std::int64_t>(total) * 1'000'000'000;
}

std::optional<double> ParsePercent(std::string_view text) {
  if (!text.empty() && text.back() == '%') text.remove_suffix(1);
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || at != end || !(value > 0 && value <= 100)) return std::nullopt;
  return value;
}

bool IsSeriesName(std::string_view text) {
  constexpr std::size_t kBytesMax = 128;
  if (text.empty() || text.size() > kBytesMax || text[0] == '-' || text[0] == '.') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && c != '/' && c != '@' && byte != 0x7f;
  });
}

bool IsEntryName(std::string_view text) {
  constexpr std::size_t kBytesMax = 4096;
  constexpr std::size_t kComponentBytesMax = 255;
  if (text.size() > kBytesMax) return false;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > kComponentBytesMax) {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

}  // namespace ckpt
