#include "store/io/lock_holder.h"

#include <sys/stat.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

namespace ckpt {
namespace {

namespace fs = std::filesystem;

// The folder's name as a number; 0 when it is none.
std::int64_t Number(const fs::path& path) {
  const std::string text = path.filename().string();
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool HoldsLock(const fs::path& fdinfo) {
  std::ifstream file(fdinfo);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("lock:") && line.find("OFDLCK") != std::string::npos &&
        line.find("WRITE") != std::string::npos) {
      return true;
    }
  }
  return false;
}

bool ProcessHolds(const fs::path& process, std::uint64_t device, std::uint64_t inode) {
  std::error_code error;
  for (fs::directory_iterator at(process / "fd", error), end; !error && at != end;
       at.increment(error)) {
    struct stat info {};
    if (::stat(at->path().c_str(), &info) != 0) continue;
    if (info.st_dev != device || info.st_ino != inode) continue;
    if (HoldsLock(process / "fdinfo" / at->path().filename())) return true;
  }
  return false;
}

}  // namespace

std::int64_t LockHolder(std::uint64_t device, std::uint64_t inode) {
  std::error_code error;
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const std::int64_t pid = Number(at->path());
    if (pid > 0 && ProcessHolds(at->path(), device, inode)) return pid;
  }
  return 0;
}

}  // namespace ckpt
