#include "store/io/lock_holder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <charconv>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

namespace ckpt {
namespace {

// The name as a number; 0 when it is none.
std::int64_t Number(std::string_view name) {
  std::int64_t number = 0;
  std::from_chars(name.data(), name.data() + name.size(), number);
  return number;
}

// Until one is found. Not std::filesystem, which ends the process when memory runs out.
template <typename Found>
bool AnyEntry(const std::string& folder, const Found& found) {
  struct CloseDir {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(folder.c_str()));
  while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir.get())) {
    if (entry->d_name[0] != '.' && found(std::string(entry->d_name))) return true;
  }
  return false;
}

bool HoldsLock(const std::string& fdinfo) {
  std::ifstream file(fdinfo);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("lock:") && line.find("OFDLCK") != std::string::npos &&
        line.find("WRITE") != std::string::npos) {
      return true;
    }
  }
  return false;
}

bool ProcessHolds(const std::string& process, std::uint64_t device, std::uint64_t inode) {
  return AnyEntry(process + "/fd", [&](const std::string& fd) {
    struct stat info {};
    if (::stat((process + "/fd/" + fd).c_str(), &info) != 0) return false;
    return info.st_dev == device && info.st_ino == inode && HoldsLock(process + "/fdinfo/" + fd);
  });
}

}  // namespace

std::int64_t LockHolder(std::uint64_t device, std::uint64_t inode) {
  std::int64_t holder = 0;
  AnyEntry("/proc", [&](const std::string& name) {
    const std::int64_t pid = Number(name);
    if (pid > 0 && ProcessHolds("/proc/" + name, device, inode)) holder = pid;
    return holder != 0;
  });
  return holder;
}

}  // namespace ckpt
