#include "tests/support/traced.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ckpt {
namespace {

constexpr std::uint64_t kChanging[] = {
    SYS_write,    SYS_pwrite64, SYS_writev,     SYS_pwritev,         SYS_ftruncate, SYS_fallocate,
    SYS_mkdirat,  SYS_unlinkat, SYS_renameat2,  SYS_linkat,          SYS_symlinkat, SYS_fchmod,
    SYS_fchmodat, SYS_fchown,   SYS_fchownat,   SYS_utimensat,       SYS_fsetxattr, SYS_fdatasync,
    SYS_fsync,    SYS_msync,    SYS_exit_group, SYS_copy_file_range,
#ifdef SYS_mkdir
    SYS_mkdir,    SYS_rename,   SYS_unlink,     SYS_renameat,        SYS_rmdir,
#endif
};

bool Counts(Calls which, const __ptrace_syscall_info& info) {
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
  if (which == Calls::kEach) return true;
  if (info.entry.nr == SYS_openat) return (info.entry.args[2] & O_CREAT) != 0;
  return std::ranges::find(kChanging, info.entry.nr) != std::end(kChanging);
}

[[noreturn]] void Child(const std::function<int()>& work) {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(126);
  raise(SIGSTOP);
  _exit(work());
}

bool IsEvent(int status, int event) { return status >> 8 == (SIGTRAP | event << 8); }

// One stop of one thread: what it is let go on with, after it was counted and perhaps the signal
// sent.
class Tracer {
 public:
  Tracer(int signal, Calls which, std::int64_t fatal, bool after_exec, pid_t child)
      : signal_(signal), which_(which), fatal_(fatal), counting_(!after_exec), child_(child) {}

  void Stopped(pid_t thread, int status) {
    int deliver = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      AtCall(thread);
    } else if (IsEvent(status, PTRACE_EVENT_EXEC)) {
      counting_ = true;
    } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) {
      deliver = WSTOPSIG(status);
    }
    ptrace(PTRACE_SYSCALL, thread, nullptr, deliver);  // fails when it was killed: it is reaped
  }
  Traced result;

 private:
  void AtCall(pid_t thread) {
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0) return;
    if (!counting_ || !Counts(which_, info)) return;
    if (++result.calls != fatal_) return;
    result.killed = true;
    result.killed_in = static_cast<std::int64_t>(info.entry.nr);
    kill(child_, signal_);
  }

  const int signal_;
  const Calls which_;
  const std::int64_t fatal_;
  bool counting_;
  const pid_t child_;
};

Traced Trace(int signal, Calls which, std::int64_t fatal, bool after_exec,
             const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) Child(work);
  int status = 0;
  waitpid(child, &status, __WALL);
  Tracer tracer(signal, which, fatal, after_exec, child);
  if (!WIFSTOPPED(status)) {
    tracer.result.possible = false;
    return tracer.result;
  }
  ptrace(PTRACE_SETOPTIONS, child, nullptr,
         PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
             PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC);
  ptrace(PTRACE_SYSCALL, child, nullptr, 0);
  for (pid_t thread; (thread = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
    if (thread <= 0) continue;
    if (WIFSTOPPED(status)) {
      tracer.Stopped(thread, status);
    } else if (thread == child) {
      tracer.result.status = status;
    }
  }
  return tracer.result;
}

}  // namespace

Traced KillAtCall(Calls which, std::int64_t fatal, bool after_exec,
                  const std::function<int()>& work) {
  return Trace(SIGKILL, which, fatal, after_exec, work);
}

Traced SignalAtCall(int signal, Calls which, std::int64_t at, const std::function<int()>& work) {
  return Trace(signal, which, at, false, work);
}

}  // namespace ckpt
