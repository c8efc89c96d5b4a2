#include "store/io/entry_name.h"

namespace ckpt {

Status CheckEntryName(std::string_view name, std::string_view dir_path) {
  bool is_component = !name.empty() && name != "." && name != ".." &&
                      name.find('/') == std::string_view::npos &&
                      name.find('\0') == std::string_view::npos;
  if (is_component) return {};
  std::string shown(name.substr(0, name.find('\0')));
  return InvalidArgument("'" + shown + "' is not the name of one entry of " +
                         std::string(dir_path) +
                         " (empty, '.', '..' and names with '/' or NUL are refused)");
}

std::string JoinPath(std::string_view dir_path, std::string_view name) {
  std::string path(dir_path);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

std::string ParentPath(std::string_view path) {
  const std::size_t end = path.find_last_not_of('/');
  const std::size_t slash = end == std::string_view::npos ? end : path.find_last_of('/', end);
  return slash == std::string_view::npos ? "." : std::string(path.substr(0, slash + 1));
}

Status CheckCString(std::string_view text, std::string_view what) {
  if (text.empty()) return InvalidArgument(std::string(what) + " is empty");
  if (text.find('\0') == std::string_view::npos) return {};
  return InvalidArgument(std::string(what) + " contains a NUL byte");
}

}  // namespace ckpt
