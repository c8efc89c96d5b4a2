#include "store/session/memory_room.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace ckpt {
namespace {

std::optional<std::string> ReadSmallFile(Env* env, const std::string& dir, const char* name) {
  auto folder = env->OpenDir(dir);
  if (!folder.ok()) return std::nullopt;
  auto file = (*folder)->OpenFile(name, OpenOptions{});
  if (!file.ok()) return std::nullopt;
  std::string text(16u << 10, '\0');
  auto got = (*file)->ReadAt(0, std::as_writable_bytes(std::span(text)));
  if (!got.ok()) return std::nullopt;
  text.resize(*got);
  return text;
}

// The number at the beginning; nullopt for "max".
std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

std::uint64_t RoomIn(Env* env, const std::string& dir, const char* limit_name,
                     const char* usage_name) {
  auto limit_text = ReadSmallFile(env, dir, limit_name);
  auto usage_text = ReadSmallFile(env, dir, usage_name);
  if (!limit_text.has_value() || !usage_text.has_value()) return UINT64_MAX;
  auto limit = ParseNumber(*limit_text);
  auto usage = ParseNumber(*usage_text);
  if (!limit.has_value() || !usage.has_value()) return UINT64_MAX;
  return *limit - std::min(*limit, *usage);
}

// Every group from the process's own up to the root may have a limit.
std::uint64_t RoomUpwards(Env* env, const std::string& root, std::string group,
                          const char* limit_name, const char* usage_name) {
  std::uint64_t room = UINT64_MAX;
  for (;;) {
    room = std::min(room, RoomIn(env, root + group, limit_name, usage_name));
    if (group.empty() || group == "/") return room;
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
}

}  // namespace

std::uint64_t MemoryRoom(Env* env) {
  auto groups = ReadSmallFile(env, "/proc/self", "cgroup");
  if (!groups.has_value()) return UINT64_MAX;
  std::uint64_t room = UINT64_MAX;
  std::string_view rest = *groups;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    std::string group(line.substr(second + 1));
    if (controllers == ",,") {
      room =
          std::min(room, RoomUpwards(env, "/sys/fs/cgroup", group, "memory.max", "memory.current"));
    } else if (controllers.find(",memory,") != std::string::npos) {
      room = std::min(room, RoomUpwards(env, "/sys/fs/cgroup/memory", group,
                                        "memory.limit_in_bytes", "memory.usage_in_bytes"));
    }
  }
  return room;
}

}  // namespace ckpt
