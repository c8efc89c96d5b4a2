#include "cli/run_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

namespace ckpt {
namespace {

constexpr std::size_t kMostFolders = 1000;
constexpr std::uint32_t kEvents = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM |
                                  IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK;

constexpr int kMostReads = 64;

}  // namespace

FolderWatch::FolderWatch() : fd_(inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {}

FolderWatch::~FolderWatch() {
  if (fd_ >= 0) close(fd_);
}

void FolderWatch::Rearm(const std::vector<std::string>& folders) {
  if (fd_ < 0) return;
  char events[16384];
  // Whoever writes faster than this reads must not hold up the loop: what is left is read next
  // time.
  for (int reads = 0; reads < kMostReads && read(fd_, events, sizeof events) > 0; ++reads) {
  }
  for (const std::string& folder : folders) {
    if (watched_.size() >= kMostFolders) return;
    if (watched_.contains(folder)) continue;
    if (inotify_add_watch(fd_, folder.c_str(), kEvents) >= 0) watched_.insert(folder);
  }
}

}  // namespace ckpt
