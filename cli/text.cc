#include "cli/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace ckpt {
namespace {

struct Decoded {
  char32_t code = 0;
  std::size_t length = 0;  // 0: not UTF-8 here
};

// The character at the start of `bytes`; over-long forms, surrogates and values above U+10FFFF are
// not UTF-8.
Decoded DecodeUtf8(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || bytes.size() < length) return {};
  char32_t code = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(bytes[i]);
    if ((next & 0xC0u) != 0x80u) return {};
    code = (code << 6u) | (next & 0x3Fu);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, length};
}

bool IsControl(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x200E || code == 0x200F ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

bool IsWide(char32_t code) {
  return (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
         (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
         (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD);
}

bool IsCombining(char32_t code) {
  return (code >= 0x0300 && code <= 0x036F) || (code >= 0x200B && code <= 0x200D) ||
         (code >= 0xFE00 && code <= 0xFE0F);
}

template <typename... Args>
std::string Format(const char* format, Args... args) {
  std::array<char, 128> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, args...);
  return buffer.data();
}

std::string Escaped(char32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return code < 0x80 ? Format("\\x%02x", static_cast<unsigned>(code))
                         : Format("\\u%04x", static_cast<unsigned>(code));
  }
}

std::string Printable(std::string_view bytes, bool double_backslash) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Decoded next = DecodeUtf8(bytes);
    if (next.length == 0) {
      out += Format("\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(bytes[0])));
      bytes.remove_prefix(1);
      continue;
    }
    if (IsControl(next.code)) {
      out += Escaped(next.code);
    } else if (next.code == '\\' && double_backslash) {
      out += "\\\\";
    } else {
      out += bytes.substr(0, next.length);
    }
    bytes.remove_prefix(next.length);
  }
  return out;
}

std::string TimeText(const std::tm& time, const char* format) {
  std::array<char, 64> buffer{};
  buffer[std::strftime(buffer.data(), buffer.size(), format, &time)] = '\0';
  return buffer.data();
}

std::time_t WholeSeconds(std::int64_t time_ns) {
  return static_cast<std::time_t>(time_ns / kSecondNs - (time_ns % kSecondNs < 0 ? 1 : 0));
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const Decoded next = DecodeUtf8(bytes);
    if (next.length == 0) return false;
    bytes.remove_prefix(next.length);
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Decoded next = DecodeUtf8(bytes);
    out += next.length == 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(0, next.length);
    bytes.remove_prefix(std::max<std::size_t>(next.length, 1));
  }
  return out;
}

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = (bits << 8u) | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      out += i <= count ? kDigits[(bits >> (18u - 6u * i)) & 63u] : '=';
    }
  }
  return out;
}

std::string PrintableName(std::string_view bytes) { return Printable(bytes, true); }

std::string PrintableMessage(std::string_view bytes) { return Printable(bytes, false); }

std::size_t DisplayWidth(std::string_view utf8) {
  std::size_t width = 0;
  while (!utf8.empty()) {
    const Decoded next = DecodeUtf8(utf8);
    if (!IsCombining(next.code) || next.length == 0) width += IsWide(next.code) ? 2 : 1;
    utf8.remove_prefix(std::max<std::size_t>(next.length, 1));
  }
  return width;
}

std::string HumanBytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return Format("%d B", static_cast<int>(bytes));
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return Format("%.1f %s", value, kUnits[std::max<std::size_t>(unit, 1)]);
}

std::string HumanCount(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

std::string HumanSeconds(double seconds) {
  if (!(seconds > 0)) seconds = 0;
  if (seconds < 9.995) return Format("%.2f s", seconds);
  if (seconds < 59.95) return Format("%.1f s", seconds);
  if (seconds > 1e9) return "ages";
  const auto whole = static_cast<long>(std::lround(seconds));
  if (whole < 3600) return Format("%ld min %02ld s", whole / 60, whole % 60);
  return Format("%ld h %02ld min", whole / 3600, whole % 3600 / 60);
}

std::string HumanRate(double bytes_per_second) {
  if (bytes_per_second <= 0) return "-";
  return HumanBytes(static_cast<std::uint64_t>(bytes_per_second)) + "/s";
}

std::string HumanRatio(double ratio) {
  return ratio > 0 && std::isfinite(ratio) ? Format("%.2f:1", ratio) : "-";
}

std::string HumanPercent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "-" : Format("%.1f %%", 100 * Ratio(part, whole));
}

std::string Plural(std::uint64_t count, std::string_view one, std::string_view many) {
  return HumanCount(count) + " " + std::string(count == 1 ? one : many);
}

double Ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string LocalTime(std::int64_t time_ns) {
  const std::time_t seconds = WholeSeconds(time_ns);
  std::tm time{};
  if (localtime_r(&seconds, &time) == nullptr) return "-";
  return TimeText(time, "%Y-%m-%d %H:%M:%S");
}

std::string UtcTime(std::int64_t time_ns) {
  const std::time_t seconds = WholeSeconds(time_ns);
  std::tm time{};
  if (gmtime_r(&seconds, &time) == nullptr) return "";
  const auto micros = static_cast<int>((time_ns - seconds * kSecondNs) / 1000);
  return TimeText(time, "%Y-%m-%dT%H:%M:%S") + Format(".%06dZ", micros);
}

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::Text() const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[c]));
    widths.push_back(width);
  }
  std::string out;
  const auto add_line = [&](const auto& cell) {
    std::string line;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string& text = cell(c);
      const std::string space(widths[c] - DisplayWidth(text), ' ');
      if (c > 0) line += "  ";
      line += columns_[c].align == Align::kRight ? space + text : text + space;
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  add_line([&](std::size_t c) -> const std::string& { return columns_[c].title; });
  for (const auto& row : rows_) {
    add_line([&](std::size_t c) -> const std::string& { return row[c]; });
  }
  return out;
}

}  // namespace ckpt
