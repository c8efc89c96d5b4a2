// A hint that something happened in some folders: inotify, where it is to be had.
//
// Nothing is heard of writes by other hosts to a shared file system, nor of writes to mapped files,
// and a folder that cannot be watched is not. One event is as good as a thousand: after it nothing
// is heard until Rearm.
// Thread rule: one thread.

#ifndef CKPT_CLI_RUN_WATCH_H_
#define CKPT_CLI_RUN_WATCH_H_

#include <set>
#include <string>
#include <vector>

namespace ckpt {

class FolderWatch {
 public:
  FolderWatch();
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  int fd() const { return fd_; }  // readable once something happened; -1: no watch
  // Drops what was heard and watches these folders, too.
  void Rearm(const std::vector<std::string>& folders);

 private:
  int fd_ = -1;
  std::set<std::string> watched_;
};

}  // namespace ckpt

#endif  // CKPT_CLI_RUN_WATCH_H_
