// ckpt-store freeze: runs a command while nothing is collected, so that rsync or tar see a steady
// store.
//
// Signals are blocked and taken one by one: what somebody sends to us goes on to the command. What
// the terminal sends (Ctrl-C) reached the command already, for it is in the same process group.

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/run_child.h"
#include "cli/signals.h"
#include "cli/store_handle.h"

extern char** environ;

namespace ckpt {
namespace {

constexpr int kPassedOn[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGALRM};

// Blocks the signals that are taken one by one, until it goes.
class BlockedSignals {
 public:
  BlockedSignals() {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;  // with SIG_IGN the command's status would be lost
    sigaction(SIGCHLD, &action, nullptr);
    sigemptyset(&set_);
    sigaddset(&set_, SIGCHLD);
    for (const int signal : kPassedOn) sigaddset(&set_, signal);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

  const sigset_t& set() const { return set_; }
  const sigset_t& before() const { return before_; }
  bool StopPending() const {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
           sigismember(&pending, SIGHUP) == 1;
  }

 private:
  sigset_t set_{};
  sigset_t before_{};
};

// 0 or errno. The child has the signals as we found them.
int Spawn(const std::vector<std::string>& command, const BlockedSignals& signals, pid_t* child) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  if (const int error = posix_spawnattr_init(&attributes); error != 0) return error;
  sigset_t defaults;
  sigemptyset(&defaults);
  if (!PipeSignalWasIgnored()) sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setsigmask(&attributes, &signals.before());
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const int error =
      posix_spawnp(child, arguments[0], nullptr, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  return error;
}

// Passes signals on until the child has ended; its wait status.
int WaitForward(pid_t child, const sigset_t& set) {
  for (;;) {
    siginfo_t info{};
    const int signal = sigwaitinfo(&set, &info);
    if (signal == SIGCHLD) {
      int status = 0;
      if (waitpid(child, &status, WNOHANG) == child) return status;
    } else if (signal > 0 && info.si_code <= 0) {  // sent by a process, not by the terminal
      kill(child, signal);
    }
  }
}

// The store's callbacks while signals are blocked: a pending one ends the wait for the collector.
struct Waiting {
  Console& console;
  const BlockedSignals& signals;
  bool stops = false;  // not while the store is opened

  static int OnFreezeProgress(const ckpt_progress* progress, void* user) {
    auto* self = static_cast<Waiting*>(user);
    self->console.Update(*progress);
    return self->stops && self->signals.StopPending() ? 1 : 0;
  }
  static void OnNotice(const char* message, void* user) {
    static_cast<Waiting*>(user)->console.Notice(message);
  }
};

class FreezeCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddRest(app, "CMD", &command_, "The command and its arguments, best after --")->required();
    AddWait(app, &wait_ms_, "Wait for a running collector, instead of exit 5");
  }

  int Run(Console& console) override {
    ckpt_code code = CKPT_OK;
    {
      // Before the store is open: its threads inherit the mask.
      const BlockedSignals signals;
      Waiting waiting{console, signals};
      StoreHandle store(console);
      ckpt_open_options options = store.DefaultOptions(CKPT_OPEN_WRITE);
      options.progress = Waiting::OnFreezeProgress;
      options.notice = Waiting::OnNotice;
      options.user = &waiting;
      if (const int status = store.Open(options); status != kExitDone) return status;
      waiting.stops = true;
      ckpt_freeze* freeze = nullptr;
      code = ckpt_freeze_begin(store.get(), wait_ms_, &freeze);
      if (code == CKPT_OK) {
        const int status = RunCommand(console, signals);
        ckpt_thaw(freeze);
        return status;
      }
      if (code != CKPT_CANCELLED) return store.Fail(code);
    }
    // The pending signal has been delivered by now.
    return console.Fail(code);
  }

 private:
  int RunCommand(Console& console, const BlockedSignals& signals) const {
    pid_t child = -1;
    const int error = Spawn(command_, signals, &child);
    if (error != 0) {
      return console.FailToRun(command_[0], error,
                               error == ENOENT ? kExitNoCommand : kExitCannotRun);
    }
    const int status = WaitForward(child, signals.set());
    return WIFEXITED(status) ? WEXITSTATUS(status) : kExitSignal + WTERMSIG(status);
  }

  std::vector<std::string> command_;
  std::int64_t wait_ms_ = 0;
};

}  // namespace

const CommandInfo kFreezeCommand = {
    "freeze", "Run a command while collection is held off",
    "ckpt-store freeze -s run.ckpt -- rsync -a run.ckpt/ backup:run.ckpt/\n",
    [] { return std::unique_ptr<Command>(new FreezeCommand); }};

}  // namespace ckpt
