// Glob patterns on entry names, as bytes: '?' and '*' match within a component, "**" across them,
// "[a-z]" and "[!a-z]" one byte. A pattern without '/' is compared with the last component, any
// other with the whole name. Thread rule: pure functions.

#ifndef CKPT_STORE_ENGINE_GLOB_H_
#define CKPT_STORE_ENGINE_GLOB_H_

#include <string>
#include <string_view>
#include <vector>

namespace ckpt {

bool GlobMatches(std::string_view pattern, std::string_view name);
bool AnyGlobMatches(const std::vector<std::string>& patterns, std::string_view name);
// Some pattern matches the name or a folder above it.
bool AnyGlobCovers(const std::vector<std::string>& patterns, std::string_view name);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_GLOB_H_
