#include "store/engine/glob.h"

#include <algorithm>

namespace ckpt {
namespace {

// Consumes "[...]" at the front of the pattern and says whether it matches `c`. A '[' without its
// ']' stands for itself.
bool MatchClass(std::string_view* pattern, unsigned char c) {
  std::string_view p = pattern->substr(1);
  bool negated = !p.empty() && p[0] == '!';
  if (negated) p.remove_prefix(1);
  std::size_t close = p.find(']', 1);
  if (close == std::string_view::npos) {
    pattern->remove_prefix(1);
    return c == '[';
  }
  bool found = false;
  for (std::size_t i = 0; i < close; ++i) {
    auto low = static_cast<unsigned char>(p[i]);
    unsigned char high = low;
    if (i + 2 < close && p[i + 1] == '-') high = static_cast<unsigned char>(p[i += 2]);
    found = found || (low <= c && c <= high);
  }
  pattern->remove_prefix(static_cast<std::size_t>(p.data() - pattern->data()) + close + 1);
  return found != negated && c != '/';
}

// Only the latest '*' or "**" needs to be taken back: what an earlier one could take, it could too.
// (A "**" after a '*' forgets the '*': the "**" can stretch at least as far.)
bool Match(std::string_view pattern, std::string_view name) {
  std::string_view star_pattern, star_name, deep_pattern, deep_name;
  bool has_star = false, has_deep = false;
  while (!name.empty()) {
    if (pattern.starts_with("**")) {
      pattern.remove_prefix(2);
      if (pattern.starts_with("/") && Match(pattern.substr(1), name)) return true;
      deep_pattern = pattern;
      deep_name = name;
      has_deep = true;
      has_star = false;
      continue;
    }
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      star_pattern = pattern;
      star_name = name;
      has_star = true;
      continue;
    }
    bool matches = false;
    if (!pattern.empty()) {
      if (pattern[0] == '[') {
        matches = MatchClass(&pattern, static_cast<unsigned char>(name[0]));
      } else {
        matches = pattern[0] == name[0] || (pattern[0] == '?' && name[0] != '/');
        pattern.remove_prefix(1);
      }
    }
    if (matches) {
      name.remove_prefix(1);
    } else if (has_star && star_name[0] != '/') {
      star_name.remove_prefix(1);
      name = star_name;
      pattern = star_pattern;
      if (star_name.empty()) break;
    } else if (has_deep) {
      deep_name.remove_prefix(1);
      name = deep_name;
      pattern = deep_pattern;
      has_star = false;
    } else {
      return false;
    }
  }
  while (!pattern.empty() && pattern[0] == '*') pattern.remove_prefix(1);
  return pattern.empty();
}

}  // namespace

bool GlobMatches(std::string_view pattern, std::string_view name) {
  if (pattern.find('/') == std::string_view::npos && pattern != "**") {
    std::size_t slash = name.rfind('/');
    if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  }
  while (pattern.ends_with('/')) pattern.remove_suffix(1);
  return Match(pattern, name);
}

bool AnyGlobMatches(const std::vector<std::string>& patterns, std::string_view name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return GlobMatches(pattern, name); });
}

bool AnyGlobCovers(const std::vector<std::string>& patterns, std::string_view name) {
  if (patterns.empty()) return false;
  for (std::size_t end = name.find('/'); end != std::string_view::npos;
       end = name.find('/', end + 1)) {
    if (AnyGlobMatches(patterns, name.substr(0, end))) return true;
  }
  return AnyGlobMatches(patterns, name);
}

}  // namespace ckpt
