// Forked children of tests. Thread rule: the test's.

#ifndef CKPT_TESTS_SUPPORT_CHILD_H_
#define CKPT_TESTS_SUPPORT_CHILD_H_

#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <string>

namespace ckpt {

// Runs `body` in a forked child, whose exit status it answers (when it returns); the status that
// waitpid gives is the answer here.
inline int InChild(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(120);  // a child that hangs does not hang the test
    try {
      _exit(body());
    } catch (const std::exception& e) {
      (void)!write(STDERR_FILENO, e.what(), std::string(e.what()).size());
      _exit(99);
    }
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
  }
  return status;
}
inline bool KilledBy(int status, int signal) {
  return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}
inline bool Exited(int status, int code) {
  return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_CHILD_H_
