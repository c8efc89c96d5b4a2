// ckpt-store request: asks whoever is at work on a series on this host for a checkpoint, and waits
// until one that was made since is durable, or the process is gone.
//
// A session takes SIGUSR1 as "checkpoint now". `run` passes SIGUSR1 on to its program, so it is
// asked by one that carries a value (cli/run_child.h). Who it is, the locks tell (ckpt_get_runner):
// the signal goes to a process that was seen to hold the lock while a descriptor for it was open,
// so never to a stranger with the same number.

#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <optional>

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/run_child.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

struct Newest {
  std::uint64_t attempt = 0;
  std::int64_t step = CKPT_STEP_NONE;
  std::string host;
  std::string job;
  bool IsAfter(const Newest& other) const {
    return attempt != other.attempt ? attempt > other.attempt : step > other.step;
  }
};

int OnCheckpoint(const ckpt_checkpoint* checkpoint, void* user) {
  *static_cast<Newest*>(user) = {checkpoint->attempt, checkpoint->step, checkpoint->host_name,
                                 checkpoint->job_id};
  return 0;
}

// Newest first: the first that is durable.
int OnDurable(const ckpt_checkpoint* checkpoint, void* user) {
  auto* newest = static_cast<Newest*>(user);
  const bool first = newest->step == CKPT_STEP_NONE;
  return first && strcmp(checkpoint->state, "committed") == 0 ? OnCheckpoint(checkpoint, user) : 0;
}

// Whether the process has a handler for the signal or, where `blocked` will do, blocks it.
bool Expects(std::int64_t pid, int signal, bool blocked) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  bool expects = false;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigCgt:") && !(blocked && line.starts_with("SigBlk:"))) continue;
    expects = expects || (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1u) != 0;
  }
  return expects;
}

class RequestCommand : public Command {
 public:
  RequestCommand() = default;
  RequestCommand(const RequestCommand&) = delete;
  RequestCommand& operator=(const RequestCommand&) = delete;
  ~RequestCommand() override {
    if (process_ >= 0) close(process_);
  }
  void Define(CLI::App& app) override {
    AddText(app, "SERIES", &series_, "", "The series of a running session or 'run'")->required();
    AddParsed<std::int64_t>(app, "--timeout", &timeout_ns_, "TIME", ParseDuration,
                            "a time like 30s, 10m", "Wait at most so long (10m)");
  }

  int Run(Console& console) override {
    const auto begin = std::chrono::steady_clock::now();
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    Newest before;
    if (const ckpt_code code = Look(store, &before); code != CKPT_OK) return store.Fail(code);
    if (const int status = Ask(console, store, before); status != kExitDone) return status;
    while (true) {
      // Looked at first: what it saved last is seen when it is gone.
      const bool gone = IsGone();
      Newest now;
      if (const ckpt_code code = LookForDurable(store, &now); code != CKPT_OK) {
        return store.Fail(code);
      }
      const auto waited = std::chrono::steady_clock::now() - begin;
      if (now.IsAfter(before)) return Report(console, now, std::chrono::duration<double>(waited));
      if (gone) {
        return console.Fail(CKPT_NOT_FOUND, "it was asked, and has ended without a checkpoint");
      }
      if (Interrupted() != 0) return console.Fail(CKPT_CANCELLED, "stopped waiting");
      if (waited > std::chrono::nanoseconds(timeout_ns_)) {
        return console.Fail(CKPT_BUSY, "it was asked, but there is no new checkpoint yet", {},
                            "it may have nothing new to save, or not have come to a step");
      }
      usleep(kPauseUs);
    }
  }

 private:
  static constexpr useconds_t kPauseUs = 100'000;

  // The newest checkpoint; none leaves *newest as it is.
  ckpt_code Look(const StoreHandle& store, Newest* newest) const {
    ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
    options.series = series_.c_str();
    options.last = 1;
    const ckpt_code code = ckpt_list(store.get(), &options, OnCheckpoint, newest);
    return code == CKPT_NOT_FOUND ? CKPT_OK : code;
  }

  ckpt_code LookForDurable(const StoreHandle& store, Newest* newest) const {
    ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
    options.series = series_.c_str();
    const ckpt_code code = ckpt_list(store.get(), &options, OnDurable, newest);
    return code == CKPT_NOT_FOUND ? CKPT_OK : code;
  }

  bool IsGone() const {
    pollfd ended = {process_, POLLIN, 0};
    return poll(&ended, 1, 0) > 0;
  }

  int Ask(Console& console, StoreHandle& store, const Newest& newest) {
    ckpt_runner runner = CKPT_RUNNER_INIT;
    ckpt_code code = ckpt_get_runner(store.get(), series_.c_str(), 0, &runner);
    if (code != CKPT_OK) return store.Fail(code);
    if (runner.claimed == 0 && runner.writing == 0) {
      return console.Fail(CKPT_NOT_FOUND, "nobody is at work on series '" + series_ + "'",
                          store.SeriesSuggestion({series_}));
    }
    const bool run = runner.claimed != 0;
    const std::int64_t pid = run ? runner.claimed_pid : runner.writing_pid;
    if (pid == 0) return FailElsewhere(console, run, newest);
    if (!Expects(pid, SIGUSR1, run)) {
      return console.Fail(CKPT_BUSY, "process " + std::to_string(pid) +
                                         " is at work on the series but does not take SIGUSR1: a "
                                         "save, or a session with other signals");
    }
    // By number: the C library of Debian 12 declares the functions for C only.
    process_ = static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0));
    const int open_error = errno;
    ckpt_runner again = CKPT_RUNNER_INIT;
    code = ckpt_get_runner(store.get(), series_.c_str(), 0, &again);
    const bool same = code == CKPT_OK && (run ? again.claimed_pid : again.writing_pid) == pid;
    const int error = process_ < 0 ? open_error : same ? SendRequest(process_) : ESRCH;
    if (error == 0) return kExitDone;
    return console.Fail(CKPT_IO,
                        "cannot signal process " + std::to_string(pid) + ": " + strerror(error));
  }

  // 0 or errno.
  static int SendRequest(int process) {
    siginfo_t info{};
    info.si_signo = SIGUSR1;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = kRequestValue;
    return syscall(SYS_pidfd_send_signal, process, SIGUSR1, &info, 0) == 0 ? 0 : errno;
  }

  int FailElsewhere(Console& console, bool run, const Newest& newest) const {
    const std::string job = newest.job.empty() ? "JOB" : newest.job;
    const std::string hint =
        run ? "srun --overlap --jobid=" + job + " ckpt-store -s STORE request " + series_
            : "scancel --signal=USR1 " + job + " (with --batch or --full where it is no step)";
    return console.Fail(CKPT_IO,
                        "it is not one of this host's processes that may be seen; its last "
                        "checkpoint came from host '" +
                            newest.host + "'",
                        {}, hint);
  }

  int Report(Console& console, const Newest& now, std::chrono::duration<double> waited) const {
    if (console.json()) {
      Json json = Json::object();
      SetText(json, "series", series_);
      json["attempt"] = now.attempt;
      json["step"] = now.step;
      json["seconds"] = waited.count();
      console.Print(JsonDocument(json));
    } else {
      console.Say("saved " + PrintableName(series_) + "@" + std::to_string(now.step) + ", " +
                  HumanSeconds(waited.count()) + "\n");
    }
    return kExitDone;
  }

  std::string series_;
  int process_ = -1;  // of the one that was asked
  std::int64_t timeout_ns_ = 600'000'000'000;
};

}  // namespace

const CommandInfo kRequestCommand = {
    "request", "Ask a running session or 'run' for a checkpoint",
    "ckpt-store request heat3d\n"
    "srun --overlap --jobid=123 ckpt-store -s run.ckpt request heat3d\n",
    [] { return std::unique_ptr<Command>(new RequestCommand); }};

}  // namespace ckpt
