#include "store/io/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <new>

#include "store/io/env.h"
#include "store/io/unique_fd.h"

extern char** environ;

namespace ckpt {
namespace {

constexpr std::size_t kOutputBytesMax = 1u << 20;

// What the program begins with: standard output into the pipe, no signals of ours.
class SpawnSetup {
 public:
  SpawnSetup() = default;
  ~SpawnSetup() {
    if (has_files_) posix_spawn_file_actions_destroy(&files_);
    if (has_attributes_) posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  // Answers an errno, as posix_spawnp does.
  int Make(int out) {
    int error = posix_spawn_file_actions_init(&files_);
    has_files_ = error == 0;
    const auto then = [&](auto function, auto... arguments) {
      if (error == 0) error = function(arguments...);
    };
    then(posix_spawn_file_actions_addopen, &files_, 0, "/dev/null", O_RDONLY, mode_t{0});
    then(posix_spawn_file_actions_adddup2, &files_, out, 1);
    then(posix_spawn_file_actions_addopen, &files_, 2, "/dev/null", O_WRONLY, mode_t{0});
    then(posix_spawnattr_init, &attributes_);
    has_attributes_ = error == 0;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    then(posix_spawnattr_setsigmask, &attributes_, &none);
    then(posix_spawnattr_setsigdefault, &attributes_, &all);
    then(posix_spawnattr_setflags, &attributes_,
         short{POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF});
    return error;
  }
  posix_spawn_file_actions_t* files() { return &files_; }
  posix_spawnattr_t* attributes() { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
  bool has_files_ = false, has_attributes_ = false;
};

// Until the end of the output, or the deadline.
Status ReadAll(int fd, std::int64_t deadline_ns, std::string* text) {
  char piece[4096];
  for (;;) {
    const std::int64_t left_ns = deadline_ns - PosixEnv()->MonotonicNs();
    if (left_ns <= 0) return IoError("it took too long");
    pollfd ready = {fd, POLLIN, 0};
    const int polled = ::poll(&ready, 1, static_cast<int>(left_ns / 1'000'000) + 1);
    if (polled < 0 && errno != EINTR) return ErrnoStatus(errno, "wait for output");
    if (polled <= 0) continue;
    const ssize_t got = ::read(fd, piece, sizeof(piece));
    if (got == 0) return Status();
    if (got < 0 && errno != EINTR) return ErrnoStatus(errno, "read output");
    if (got > 0) text->append(piece, static_cast<std::size_t>(got));
    if (text->size() > kOutputBytesMax) return IoError("it printed more than 1 MiB");
  }
}

}  // namespace

Result<std::string> CommandOutput(const std::vector<std::string>& arguments,
                                  std::int64_t timeout_ms) {
  const std::int64_t deadline_ns = PosixEnv()->MonotonicNs() + timeout_ms * 1'000'000;
  const StandardFiller filler;  // the pipe's ends are none of the child's own
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "make a pipe");
  UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  {
    SpawnSetup setup;
    int error = setup.Make(in.get());
    if (error == 0) {
      error =
          posix_spawnp(&child, argv[0], setup.files(), setup.attributes(), argv.data(), environ);
    }
    if (error != 0) return ErrnoStatus(error, "run " + arguments[0]);
  }
  in = UniqueFd();
  std::string text;
  Status s;
  try {
    s = ReadAll(out.get(), deadline_ns, &text);
  } catch (const std::bad_alloc&) {  // whatever happens, the child is waited for
    s = NoMemoryLeft();
  }
  if (!s.ok()) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!s.ok()) return std::move(s).WithContext(arguments[0]);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return IoError(arguments[0] + " failed");
  return text;
}

}  // namespace ckpt
