#include <cstdio>

#include "store/manifest/manifest.h"

namespace ckpt {
namespace {

constexpr std::size_t kSeriesBytesMax = 128;
constexpr std::size_t kNameBytesMax = 4096;
constexpr std::size_t kComponentBytesMax = 255;
constexpr std::size_t kShownBytesMax = 120;

Status BadSeries(std::string_view series, std::string_view why) {
  return InvalidArgument("series name '" + ShownName(series) + "' " + std::string(why));
}

Status BadName(std::string_view name, std::string_view why) {
  return InvalidArgument("entry name '" + ShownName(name) + "' " + std::string(why));
}

bool IsAllowedInSeries(unsigned char c) { return c > 0x20 && c != '/' && c != '@' && c != 0x7f; }

std::string_view ComponentProblem(std::string_view component) {
  if (component.empty()) return "has an empty component: use a relative path with single '/'";
  if (component == "." || component == "..") return "has the component '.' or '..': leave it out";
  if (component.size() > kComponentBytesMax) return "has a component of more than 255 bytes";
  return {};
}

}  // namespace

std::string ShownName(std::string_view name) {
  std::string shown;
  for (unsigned char c : name.substr(0, kShownBytesMax)) {
    char escaped[8];
    std::snprintf(escaped, sizeof(escaped), "\\x%02x", c);
    if (c < 0x20 || c == 0x7f) {
      shown += escaped;
    } else {
      shown += static_cast<char>(c);
    }
  }
  if (name.size() > kShownBytesMax) shown += "...";
  return shown;
}

Status ValidateSeriesName(std::string_view series) {
  if (series.empty()) return InvalidArgument("a series name needs at least one byte");
  if (series.size() > kSeriesBytesMax) return BadSeries(series, "has more than 128 bytes");
  if (series[0] == '-' || series[0] == '.') {
    return BadSeries(series, "begins with '-' or '.': begin with a letter or digit");
  }
  for (unsigned char c : series) {
    if (!IsAllowedInSeries(c)) {
      return BadSeries(series,
                       "has a blank, a control byte, '/' or '@': use letters, digits, '-', '_'");
    }
  }
  return {};
}

Status ValidateEntryName(std::string_view name) {
  if (name.empty()) return InvalidArgument("an entry name needs at least one byte");
  if (name.size() > kNameBytesMax) return BadName(name, "has more than 4096 bytes");
  if (name.find('\0') != std::string_view::npos) return BadName(name, "has a NUL byte");
  if (name[0] == '/') return BadName(name, "is absolute: use a relative path");
  for (std::size_t begin = 0; begin <= name.size();) {
    std::size_t end = name.find('/', begin);
    if (end == std::string_view::npos) end = name.size();
    std::string_view problem = ComponentProblem(name.substr(begin, end - begin));
    if (!problem.empty()) return BadName(name, problem);
    begin = end + 1;
  }
  return {};
}

}  // namespace ckpt
