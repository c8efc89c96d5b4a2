// A folder below $TMPDIR (/tmp), which should be on a real disk, or in memory (/dev/shm); it goes
// with this object. Thread rule: one thread.

#ifndef CKPT_BENCH_TEMP_FOLDER_H_
#define CKPT_BENCH_TEMP_FOLDER_H_

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace ckpt {

class TempFolder {
 public:
  explicit TempFolder(bool on_disk = true) {
    const char* base = on_disk ? std::getenv("TMPDIR") : "/dev/shm";
    path_ = std::string(base != nullptr ? base : "/tmp") + "/ckpt-bench-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) {
      std::perror(path_.c_str());
      std::exit(1);
    }
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace ckpt

#endif  // CKPT_BENCH_TEMP_FOLDER_H_
