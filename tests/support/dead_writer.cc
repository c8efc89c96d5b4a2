#include "tests/support/dead_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <string_view>

namespace {

constexpr off_t kPackBytesMin = 100 << 10;

// Set in the child, before it has threads.
enum class At { kNothing, kPack, kIndex };
std::atomic<At> at = At::kNothing;

bool IsBigPack(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && info.st_size > kPackBytesMin;
}

bool IsIndex(int fd) {
  char path[4096];
  ssize_t length = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof(path));
  return length > 0 && std::string_view(path, static_cast<std::size_t>(length)).ends_with(".mdb");
}

}  // namespace

// Seen by shared libraries, LMDB's too.
extern "C" __attribute__((visibility("default"))) int fdatasync(int fd) {
  if (at == At::kPack && IsBigPack(fd)) raise(SIGKILL);
  if (at == At::kIndex && IsIndex(fd)) raise(SIGSTOP);
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace ckpt {
namespace {

pid_t Start(At where, const std::function<void()>& save) {
  pid_t child = fork();
  if (child != 0) return child;
  at = where;
  save();
  _exit(1);
}

}  // namespace

bool DiesBeforeItsMark(const std::function<void()>& save) {
  pid_t child = Start(At::kPack, save);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  EXPECT_TRUE(killed) << "the writer was to die in its flush; wait says " << status;
  return killed;
}

StoppedInTheIndex::StoppedInTheIndex(const std::function<void()>& save)
    : child_(Start(At::kIndex, save)) {
  int status = 0;
  EXPECT_EQ(waitpid(child_, &status, WUNTRACED), child_);
  stopped_ = WIFSTOPPED(status);
  EXPECT_TRUE(stopped_) << "the writer was to stop in the index; wait says " << status;
}

StoppedInTheIndex::~StoppedInTheIndex() {
  kill(child_, SIGKILL);
  int status = 0;
  waitpid(child_, &status, 0);
}

}  // namespace ckpt
