#include "cli/run_set.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>

namespace ckpt {
namespace {

namespace fs = std::filesystem;

std::int64_t Ns(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string WithoutDot(std::string path) {
  while (path.starts_with("./")) path.erase(0, path.find_first_not_of('/', 1));
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::vector<std::string> Matches(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.push_back(WithoutDot(found.gl_pathv[i]));
  }
  globfree(&found);
  return paths;
}

// The folder part without wildcards: "out/a" of "out/a/b*/c".
std::string FixedFolder(const std::string& pattern) {
  const std::size_t wild = std::min(pattern.find_first_of("*?["), pattern.size());
  const std::size_t slash = pattern.rfind('/', wild);
  return slash == std::string::npos ? "." : pattern.substr(0, slash);
}

std::string LinkOnTheWay(const std::string& folder) {
  fs::path walked;
  for (const fs::path& part : fs::path(folder)) {
    walked /= part;
    std::error_code error;
    if (fs::is_symlink(walked, error)) return walked.string();
  }
  return "";
}

bool LeadsOut(const std::string& pattern) {
  if (pattern.starts_with('/')) return true;
  const fs::path path(pattern);
  return std::find(path.begin(), path.end(), "..") != path.end();
}

}  // namespace

bool LookAtFile(const std::string& path, FileState* state) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return false;
  *state = {info.st_dev,  info.st_ino,      info.st_mode,
            info.st_size, Ns(info.st_mtim), Ns(info.st_ctim)};
  return true;
}

std::int64_t FileSet::NewestChangeNs() const {
  std::int64_t newest = 0;
  for (const auto& [name, state] : files) newest = std::max(newest, state.ctime_ns);
  return newest;
}

std::string FileSet::NewestName() const {
  const auto newest = std::max_element(
      files.begin(), files.end(),
      [](const auto& a, const auto& b) { return a.second.ctime_ns < b.second.ctime_ns; });
  return newest == files.end() ? "" : newest->first;
}

SetScanner::SetScanner(std::vector<std::string> patterns, std::string marker,
                       const std::string& skip)
    : patterns_(std::move(patterns)), marker_(WithoutDot(std::move(marker))) {
  for (std::string& pattern : patterns_) pattern = WithoutDot(pattern);
  has_skip_ = LookAtFile(skip, &skip_);
}

std::string SetScanner::Objection() const {
  for (const std::string& pattern : patterns_) {
    if (pattern.empty() || LeadsOut(pattern)) {
      return std::string("'").append(pattern).append(
          "' leads out of the working folder: start 'run' where the files are");
    }
    if (const std::string link = LinkOnTheWay(FixedFolder(pattern)); !link.empty()) {
      return std::string("'")
          .append(pattern)
          .append("' leads through the symbolic link '")
          .append(link)
          .append("', which restoring does not follow: start 'run' in the folder itself");
    }
  }
  return "";
}

FileSet SetScanner::Scan() const {
  FileSet set;
  std::set<std::string> roots;
  for (const std::string& pattern : patterns_) {
    for (const std::string& path : Matches(pattern)) roots.insert(path);
  }
  for (const std::string& root : roots) {
    const std::size_t before = set.files.size();
    AddTree(root, &set);
    if (set.files.size() > before) set.roots.push_back(root);
  }
  return set;
}

void SetScanner::AddTree(const std::string& path, FileSet* set) const {
  FileState state;
  if (path == marker_ || fs::path(path).filename() == kDisplacedFolder) return;
  if (!LookAtFile(path, &state)) return;
  if (has_skip_ && state.device == skip_.device && state.inode == skip_.inode) return;
  if (!S_ISDIR(state.mode)) {
    set->files.emplace(path, state);
    return;
  }
  // A folder's size and times change with its entries, which are looked at themselves.
  state.size_bytes = state.mtime_ns = state.ctime_ns = 0;
  set->files.emplace(path, state);
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    AddTree(WithoutDot(at->path().string()), set);
  }
}

std::vector<std::string> SetScanner::Folders(const FileSet& set) const {
  std::set<std::string> folders;
  if (patterns_.empty()) return {};
  for (const std::string& pattern : patterns_) folders.insert(FixedFolder(pattern));
  if (!marker_.empty()) folders.insert(FixedFolder(marker_));
  for (const auto& [name, state] : set.files) {
    if (S_ISDIR(state.mode)) folders.insert(name);
    const fs::path parent = fs::path(name).parent_path();
    if (!parent.empty()) folders.insert(parent.string());
  }
  return {folders.begin(), folders.end()};
}

}  // namespace ckpt
