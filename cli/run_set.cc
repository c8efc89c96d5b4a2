#include "cli/run_set.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
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

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    names.push_back(WithoutDot(at->path().string()));
  }
  return names;
}

// A glob that matches this name only.
std::string LiteralGlob(const std::string& name) {
  std::string glob;
  for (const char c : name) {
    const bool special = c == '*' || c == '?' || c == '[';
    glob += special ? std::string{'[', c, ']'} : std::string(1, c);
  }
  return glob;
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

std::int64_t FileClockNs() {
  const std::string name = ".ckpt-clock-" + std::to_string(getpid());
  int fd = open(".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  const bool named = fd < 0;
  if (named) fd = open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
  struct stat info {};
  const bool known = fd >= 0 && fstat(fd, &info) == 0;
  if (fd >= 0) close(fd);
  if (fd >= 0 && named) unlink(name.c_str());
  if (!known) clock_gettime(CLOCK_REALTIME, &info.st_ctim);
  return Ns(info.st_ctim);
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
    : patterns_(std::move(patterns)), marker_(WithoutDot(std::move(marker))), skip_(skip) {
  for (std::string& pattern : patterns_) pattern = WithoutDot(pattern);
}

// By the file, whatever it is called: the store may be named by a link.
std::optional<SetScanner::Place> SetScanner::Skip() const {
  struct stat info {};
  if (stat(skip_.c_str(), &info) != 0) return std::nullopt;
  return Place{info.st_dev, info.st_ino};
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
  const std::optional<Place> skip = Skip();
  for (const std::string& pattern : patterns_) {
    const std::vector<std::string> paths = Matches(pattern);
    set.matched.push_back(!paths.empty());
    for (const std::string& path : paths) {
      if (path != ".") {
        roots.insert(path);
        continue;
      }
      // What is in it, so that what does not belong to the set is no part of a root.
      for (const std::string& name : NamesIn(path)) roots.insert(name);
    }
  }
  for (const std::string& root : roots) {
    if (IsBelow(root, skip)) continue;
    const std::size_t before = set.files.size();
    AddTree(root, skip, &set);
    if (set.files.size() > before) set.roots.push_back(root);
  }
  return set;
}

bool SetScanner::IsBelow(const std::string& path, const std::optional<Place>& place) {
  fs::path parent = fs::path(path).parent_path();
  for (; place && !parent.empty(); parent = parent.parent_path()) {
    FileState state;
    bool same = LookAtFile(parent.string(), &state) && state.device == place->device &&
                state.inode == place->inode;
    if (same) return true;
  }
  return false;
}

void SetScanner::AddTree(const std::string& path, const std::optional<Place>& skip,
                         FileSet* set) const {
  FileState state;
  if (path == marker_ || fs::path(path).filename() == kDisplacedFolder) return;
  if (!LookAtFile(path, &state)) return;
  if (skip && state.device == skip->device && state.inode == skip->inode) return;
  if (!S_ISDIR(state.mode)) {
    set->files.emplace(path, state);
    return;
  }
  // A folder's size and times change with its entries, which are looked at themselves.
  state.size_bytes = state.mtime_ns = state.ctime_ns = 0;
  set->files.emplace(path, state);
  for (const std::string& name : NamesIn(path)) AddTree(name, skip, set);
}

std::vector<std::string> SetScanner::Excludes() const {
  std::vector<std::string> globs = {kDisplacedFolder};
  // Without a '/' it would be left out of every folder; and then it is in no root.
  if (marker_.find('/') != std::string::npos) globs.push_back(LiteralGlob(marker_));
  return globs;
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
