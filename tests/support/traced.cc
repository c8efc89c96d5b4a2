#include "tests/support/traced.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#if defined(__x86_64__)
#include <sys/reg.h>
#endif
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string>

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

constexpr std::uint64_t kFailing[] = {
    SYS_read,
    SYS_pread64,
    SYS_preadv,
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_getdents64,
    SYS_lseek,
    SYS_fcntl,
    SYS_flock,
    SYS_dup,
    SYS_dup3,
    SYS_pipe2,
    SYS_clone,
    SYS_clone3,
    SYS_signalfd4,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_statfs,
    SYS_fstatfs,
    SYS_getcwd,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_execve,
    SYS_epoll_create1,
    SYS_eventfd2,
    SYS_chdir,
    SYS_fchdir,
    SYS_timerfd_create,
#ifdef SYS_open
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_pipe,
    SYS_dup2,
    SYS_vfork,
    SYS_fork,
#endif
};

bool Counts(Calls which, const __ptrace_syscall_info& info) {
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
  if (which == Calls::kEach) return true;
  if (which == Calls::kFailing) {
    if (info.entry.nr == SYS_openat) return true;
    if (info.entry.nr == SYS_mmap) return static_cast<std::int32_t>(info.entry.args[4]) >= 0;
    if (std::ranges::find(kFailing, info.entry.nr) != std::end(kFailing)) return true;
    return info.entry.nr != SYS_exit_group && Counts(Calls::kChanging, info);
  }
  if (info.entry.nr == SYS_openat) return (info.entry.args[2] & O_CREAT) != 0;
  return std::ranges::find(kChanging, info.entry.nr) != std::end(kChanging);
}

[[noreturn]] void Child(const std::function<int()>& work) {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(126);
  raise(SIGSTOP);
  _exit(work());
}

bool IsEvent(int status, int event) { return status >> 8 == (SIGTRAP | event << 8); }

// From where on calls are counted.
enum class From { kStart, kExec, kFirstHandler };

struct Plan {
  int signal = 0;  // 0: the call fails instead
  int error = 0;
  bool for_good = false;
  Calls which = Calls::kEach;
  std::int64_t at = 0;
  From from = From::kStart;
};

enum class Register { kNumber, kResult };
// False where this processor's are not known.
bool SetRegister([[maybe_unused]] pid_t thread, [[maybe_unused]] Register which,
                 [[maybe_unused]] long value) {
#if defined(__x86_64__)
  const int place = which == Register::kNumber ? ORIG_RAX : RAX;
  return ptrace(PTRACE_POKEUSER, thread, sizeof(long) * static_cast<std::size_t>(place), value) ==
         0;
#else
  return false;
#endif
}

// One stop of one thread: what it is let go on with, after it was counted and perhaps the signal
// sent.
class Tracer {
 public:
  Tracer(const Plan& plan, pid_t child)
      : plan_(plan), counting_(plan.from == From::kStart), child_(child) {}

  void Stopped(pid_t thread, int status) {
    int deliver = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      AtCall(thread);
    } else if (IsEvent(status, PTRACE_EVENT_EXEC)) {
      counting_ = counting_ || plan_.from == From::kExec;
      loaded_ = true;
    } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) {
      deliver = WSTOPSIG(status);
    }
    ptrace(PTRACE_SYSCALL, thread, nullptr, deliver);  // fails when it was killed: it is reaped
  }
  Traced result;

 private:
  // Not of a program that it started.
  bool RunsTheCommand(pid_t thread) {
    const std::string program = ProgramOf(thread);
    if (command_.empty()) command_ = program;
    return program == command_;
  }
  static std::string ProgramOf(pid_t thread) {
    char path[4096];
    const std::string link = "/proc/" + std::to_string(thread) + "/exe";
    const ssize_t size = readlink(link.c_str(), path, sizeof(path));
    return size <= 0 ? "" : std::string(path, static_cast<std::size_t>(size));
  }
  void AtCall(pid_t thread) {
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0) return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && failing_.erase(thread) > 0) {
      SetRegister(thread, Register::kResult, -plan_.error);
      return;
    }
    if (plan_.from == From::kFirstHandler && loaded_ && info.op == PTRACE_SYSCALL_INFO_ENTRY &&
        info.entry.nr == SYS_rt_sigaction) {
      counting_ = true;
    }
    if (!counting_ || !Counts(plan_.which, info)) return;
    if (plan_.from == From::kFirstHandler && !RunsTheCommand(thread)) return;
    const auto number = static_cast<std::int64_t>(info.entry.nr);
    ++result.calls;
    const bool again = plan_.for_good && result.killed && number == result.killed_in;
    if (result.calls != plan_.at && !again) return;
    result.killed = true;
    result.killed_in = number;
    if (plan_.signal != 0) kill(child_, plan_.signal);
    if (plan_.signal != 0 || !SetRegister(thread, Register::kNumber, -1)) return;
    failing_.insert(thread);
  }

  const Plan plan_;
  bool counting_;
  bool loaded_ = false;
  std::string command_;
  const pid_t child_;
  std::set<pid_t> failing_;  // threads in a call that is not made
};

Traced Trace(const Plan& plan, const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) Child(work);
  int status = 0;
  waitpid(child, &status, __WALL);
  Tracer tracer(plan, child);
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
  Plan plan;
  plan.signal = SIGKILL;
  plan.which = which;
  plan.at = fatal;
  plan.from = after_exec ? From::kExec : From::kStart;
  return Trace(plan, work);
}

Traced SignalAtCall(int signal, Calls which, std::int64_t at, const std::function<int()>& work) {
  Plan plan;
  plan.signal = signal;
  plan.which = which;
  plan.at = at;
  return Trace(plan, work);
}

Traced FailCall(int error, bool for_good, std::int64_t at, const std::function<int()>& work) {
  Plan plan;
  plan.which = Calls::kFailing;
  plan.from = From::kFirstHandler;
  plan.at = at;
  plan.error = error;
  plan.for_good = for_good;
#if defined(__x86_64__)
  return Trace(plan, work);
#else
  Traced none;
  none.possible = false;
  return none;
#endif
}

}  // namespace ckpt
