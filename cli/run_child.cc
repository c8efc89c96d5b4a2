#include "cli/run_child.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "cli/exit_codes.h"
#include "cli/parse.h"
#include "cli/signals.h"

namespace ckpt {
namespace {

struct Named {
  int signal;
  const char* name;
  bool stops;
};
constexpr Named kForwarded[] = {{SIGTERM, "TERM", true},  {SIGINT, "INT", true},
                                {SIGHUP, "HUP", true},    {SIGQUIT, "QUIT", true},
                                {SIGUSR1, "USR1", true},  {SIGUSR2, "USR2", true},
                                {SIGXCPU, "XCPU", true},  {SIGALRM, "ALRM", false},
                                {SIGCONT, "CONT", false}, {SIGWINCH, "WINCH", false}};
// Signals that may be sent but cannot, or need not, be received.
constexpr Named kOthers[] = {{SIGKILL, "KILL", true},
                             {SIGSTOP, "STOP", false},
                             {SIGTSTP, "TSTP", false},
                             {SIGABRT, "ABRT", true}};

constexpr std::int64_t kKillPatienceMs = 5000;

sigset_t g_mask_before;
std::set<pid_t> g_earlier_children;

bool StopsCommands(int signal) { return signal == SIGINT || signal == SIGTERM || signal == SIGHUP; }

bool IsIgnored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// kForwarded but for what is ignored (by nohup, by a shell for what it starts in the background):
// blocked, it would come all the same.
sigset_t TakenSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const Named& named : kForwarded) {
    if (!IsIgnored(named.signal)) sigaddset(&set, named.signal);
  }
  return set;
}

// In the child, between fork and exec.
void BecomeProgram(const ProcessPlan& plan, pid_t parent) {
  if (plan.ends_with_us) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(kExitCannotRun);
  }
  if (!PipeSignalWasIgnored()) signal(SIGPIPE, SIG_DFL);
  for (const auto& [name, value] : plan.variables) setenv(name.c_str(), value.c_str(), 1);
  if (plan.output_fd >= 0) dup2(plan.output_fd, STDOUT_FILENO);
  if (!plan.signals_blocked) sigprocmask(SIG_SETMASK, &g_mask_before, nullptr);
}

std::vector<char*> ArgumentPointers(const std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  DIR* folder = opendir("/proc");
  if (folder == nullptr) return children;
  while (const dirent* entry = readdir(folder)) {
    const auto pid = ParseCount(entry->d_name);
    if (!pid) continue;
    FILE* file = fopen(("/proc/" + std::string(entry->d_name) + "/stat").c_str(), "re");
    if (file == nullptr) continue;
    char text[512] = {};
    const std::size_t bytes = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    // "PID (NAME) STATE PPID"; the name may hold anything.
    const char* after = bytes > 0 ? strrchr(text, ')') : nullptr;
    if (after != nullptr && strlen(after) > 4 && atoi(after + 4) == parent) {
      children.push_back(static_cast<pid_t>(*pid));
    }
  }
  closedir(folder);
  return children;
}

}  // namespace

int BlockSignals() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  struct sigaction action {};
  action.sa_handler = SIG_DFL;  // with SIG_IGN statuses would be lost
  sigaction(SIGCHLD, &action, nullptr);
  const std::vector<pid_t> earlier = ChildrenOf(getpid());
  g_earlier_children = {earlier.begin(), earlier.end()};
  sigset_t set = TakenSignals();
  sigaddset(&set, SIGCHLD);
  sigset_t now = set;
  sigdelset(&now, SIGALRM);  // ends a command that does not stop
  for (const Named& named : kForwarded) {
    if (StopsCommands(named.signal)) sigdelset(&now, named.signal);
  }
  sigprocmask(SIG_BLOCK, &now, &g_mask_before);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void BlockStopSignals() {
  const sigset_t set = TakenSignals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

int TakeStopSignal(int signal_fd) {
  signalfd_siginfo info{};
  while (read(signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const bool request = info.ssi_code == SI_QUEUE && info.ssi_int == kRequestValue;
    const int signal = static_cast<int>(info.ssi_signo);
    if (IsStopSignal(signal) && !request) return signal;
  }
  return 0;
}

int SignalByName(const std::string& name) {
  const std::string plain = name.starts_with("SIG") ? name.substr(3) : name;
  const auto number = ParseCount(plain);
  for (const Named& named : kForwarded) {
    if (plain == named.name || number == static_cast<std::uint64_t>(named.signal)) {
      return named.signal;
    }
  }
  for (const Named& named : kOthers) {
    if (plain == named.name) return named.signal;
  }
  return 0;
}

bool IsStopSignal(int signal) {
  for (const Named& named : kForwarded) {
    if (named.signal == signal) return named.stops;
  }
  return false;
}

std::vector<std::string> ShellCommand(const std::string& command,
                                      const std::vector<std::string>& arguments) {
  std::vector<std::string> out = {"/bin/sh", "-c", command, "sh"};
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

int StartProcess(const ProcessPlan& plan, pid_t* pid) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return errno;
  const std::vector<char*> arguments = ArgumentPointers(plan.arguments);
  const pid_t parent = getpid();
  *pid = fork();
  if (*pid == 0) {
    BecomeProgram(plan, parent);
    execvp(arguments[0], arguments.data());
    const int error = errno;
    (void)!write(report[1], &error, sizeof error);
    _exit(kExitCannotRun);
  }
  int error = *pid < 0 ? errno : 0;
  close(report[1]);
  int failure = 0;
  ssize_t got = 0;
  while (*pid > 0 && (got = read(report[0], &failure, sizeof failure)) < 0 && errno == EINTR) {
  }
  close(report[0]);
  if (got == static_cast<ssize_t>(sizeof failure)) {
    WaitFor(*pid);
    error = failure;
  }
  return error;
}

pid_t StartWorker(const std::function<int()>& work) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  int answer = kExitFailed;
  try {
    answer = work();
  } catch (const std::exception& error) {
    fprintf(stderr, "ckpt-store: %s\n", error.what());
  }
  _exit(answer);
}

int RunToEnd(const ProcessPlan& plan) {
  pid_t pid = -1;
  const int error = StartProcess(plan, &pid);
  if (error != 0) return error == ENOENT ? kExitNoCommand : kExitCannotRun;
  return ExitOfStatus(WaitFor(pid));
}

int RunForOutput(ProcessPlan plan, std::string* output) {
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) return kExitCannotRun;
  plan.output_fd = out[1];
  pid_t pid = -1;
  const int error = StartProcess(plan, &pid);
  close(out[1]);
  char buffer[4096];
  for (ssize_t got = 1; error == 0 && got != 0;) {
    got = read(out[0], buffer, sizeof buffer);
    if (got > 0) output->append(buffer, static_cast<std::size_t>(got));
    if (got < 0 && errno != EINTR) break;
  }
  close(out[0]);
  if (error != 0) return error == ENOENT ? kExitNoCommand : kExitCannotRun;
  return ExitOfStatus(WaitFor(pid));
}

int ExitOfStatus(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : kExitSignal + WTERMSIG(status);
}

int EndOrphans(std::int64_t grace_ms) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  int ended = 0;
  std::set<pid_t> asked;
  for (;;) {
    pid_t pid = 0;
    while ((pid = waitpid(-1, nullptr, WNOHANG)) > 0) ended += g_earlier_children.erase(pid) == 0;
    if (pid < 0 && errno == ECHILD) return ended;
    std::vector<pid_t> children = ChildrenOf(getpid());
    std::erase_if(children, [](pid_t child) { return g_earlier_children.contains(child); });
    if (children.empty()) return ended;
    const auto waited = Clock::now() - begin;
    const bool over = waited >= std::chrono::milliseconds(grace_ms);
    // One that even SIGKILL does not end hangs in the kernel; init gets it.
    if (waited >= std::chrono::milliseconds(grace_ms + kKillPatienceMs)) return ended;
    for (const pid_t child : children) {
      if (over)
        kill(child, SIGKILL);
      else if (asked.insert(child).second)
        kill(child, SIGTERM);
    }
    const timespec wait{0, 50'000'000};
    sigtimedwait(&child_ended, nullptr, &wait);
  }
}

void EndAs(int status) {
  if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);  // the program has left one, if it was to
  EndBySignal(WTERMSIG(status));
}

}  // namespace ckpt
