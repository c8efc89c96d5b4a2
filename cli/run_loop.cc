#include "cli/run_loop.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>

#include "cli/exit_codes.h"
#include "cli/signals.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kIdleLookMs = 10'000;
constexpr std::int64_t kMarkerLookMs = 1'000;
constexpr std::int64_t kHintPauseMs = 500;
constexpr std::int64_t kBusyWaitMs = 60'000;
constexpr std::int64_t kOrphanGraceMs = 3'000;
// Looking takes at most so small a part of the time, however many files there are.
constexpr std::int64_t kLookShare = 50;
constexpr std::int64_t kSettleLooks = 5;
// So many times --settle a launcher may outlive the task that wrote: 40 s, and srun's longest is
// Slurm's KillWait and two seconds, 32 s by default.
constexpr std::int64_t kDoubtSettles = 20;
constexpr std::int64_t kRestlessNs = 600'000'000'000;

std::int64_t Now() {
  timespec time{};
  clock_gettime(CLOCK_BOOTTIME, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

struct Confirmation {
  const SetScanner* scanner;
  const FileSet* expected;
};
// A ckpt_save_options::confirm.
int StillTheSame(void* user) {
  const auto* confirmation = static_cast<Confirmation*>(user);
  return confirmation->scanner->Scan() == *confirmation->expected ? 0 : 1;
}

}  // namespace

RunLoop::RunLoop(Console& console, const RunPlan& plan, const SetScanner& scanner, int signal_fd)
    : console_(console),
      plan_(plan),
      scanner_(scanner),
      signal_fd_(signal_fd),
      from_step_(plan.from_step) {}

RunEnd RunLoop::Run() {
  ProcessPlan program;
  program.arguments = plan_.program;
  program.variables = plan_.variables;
  program.ends_with_us = true;
  watch_.Rearm(scanner_.Folders(saved_));
  end_.start_error = StartProcess(program, &program_);
  if (end_.start_error != 0) return end_;
  last_save_ = Now();
  next_look_ = last_save_ + (plan_.marker.empty() ? plan_.every_ns : 0);
  while (!program_ended_) {
    Wait();
    TakeSignals();
    const std::int64_t now = Now();
    KillWhenOverdue(now);
    if (!program_ended_ && helper_kind_ == Helper::kNone && now >= next_look_) Look(now);
  }
  FinishHelper();
  if (const int left = EndOrphans(kOrphanGraceMs); left > 0) {
    console_.Notice("ended " + Plural(static_cast<std::uint64_t>(left), "process", "processes") +
                    " that the program left behind");
  }
  SaveLast();
  SayUnmatched();
  return end_;
}

// ---- waiting ------------------------------------------------------------------------------------

// How long nothing is to be done; -1: until something happens.
std::int64_t RunLoop::WaitMs(std::int64_t now) const {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  const std::int64_t look_at = helper_kind_ == Helper::kNone ? next_look_ : kNever;
  const std::int64_t until = std::min(look_at, kill_at_ == 0 ? kNever : kill_at_);
  return until == kNever ? -1 : std::max<std::int64_t>(0, (until - now + kMs - 1) / kMs);
}

void RunLoop::Wait() {
  const std::int64_t now = Now();
  const std::int64_t wait_ms = WaitMs(now);
  // A hint counts when a look would be allowed, once, and not while the set settles.
  const bool listens = helper_kind_ == Helper::kNone && candidate_.empty() && !hinted_ &&
                       watch_.fd() >= 0 &&
                       (!plan_.marker.empty() || asked_ || now >= last_save_ + plan_.every_ns);
  pollfd wanted[] = {{signal_fd_, POLLIN, 0}, {watch_.fd(), POLLIN, 0}};
  const timespec timeout{wait_ms / 1000, wait_ms % 1000 * kMs};
  const int ready = ppoll(wanted, listens ? 2 : 1, wait_ms < 0 ? nullptr : &timeout, nullptr);
  if (ready <= 0 || !listens || (wanted[1].revents & POLLIN) == 0) return;
  hinted_ = true;
  next_look_ = std::min(next_look_, soonest_look_);
}

void RunLoop::TakeSignals() {
  signalfd_siginfo info{};
  bool reap = false;
  errno = EAGAIN;
  while (read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) {
      reap = true;
    } else if (info.ssi_code == SI_QUEUE && info.ssi_int == kRequestValue) {
      SaveSoon();
    } else {
      PassOn(signal, info.ssi_code > 0);
    }
  }
  // One that cannot be read may have told of an end.
  if (reap || errno != EAGAIN) Reap();
}

// What the terminal sends (Ctrl-C) has reached the program already, unless it has gone to a process
// group of its own.
void RunLoop::PassOn(int signal, bool from_terminal) {
  const auto mapped = plan_.forward.find(signal);
  const int sent = mapped == plan_.forward.end() ? signal : mapped->second;
  const bool has_it = from_terminal && sent == signal && getpgid(program_) == getpgrp();
  if (sent != 0 && !has_it) kill(program_, sent);
  if (!IsStopSignal(signal)) return;
  if (end_.stop_signal == 0) {
    end_.stop_signal = signal;
    stopped_file_ns_ = FileClockNs();
    if (plan_.kill_after_ns > 0) kill_at_ = Now() + plan_.kill_after_ns;
  }
  if (signal != SIGTERM) end_.warned = true;
  SaveSoon();  // the end is near
}

void RunLoop::SaveSoon() {
  asked_ = true;
  if (candidate_.empty()) next_look_ = Now();
}

void RunLoop::Reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == program_) {
      program_ended_ = true;
      end_.status = status;
      ended_file_ns_ = FileClockNs();
    } else if (pid == helper_) {
      HelperEnded(ExitOfStatus(status));
    }
  }
}

void RunLoop::KillWhenOverdue(std::int64_t now) {
  if (kill_at_ == 0 || now < kill_at_ || program_ended_) return;
  kill_at_ = 0;
  end_.killed_by_us = true;
  console_.Notice("the program has not ended " +
                  HumanSeconds(static_cast<double>(plan_.kill_after_ns) * 1e-9) + " after " +
                  SignalText(end_.stop_signal) + ": sending SIGKILL");
  kill(program_, SIGKILL);
}

// ---- looking ------------------------------------------------------------------------------------

void RunLoop::Look(std::int64_t now) {
  watch_.Rearm(scanner_.Folders(candidate_.empty() ? saved_ : candidate_));
  const FileSet set = scanner_.Scan();
  NoteMatched(set);
  const std::int64_t look_ns = Now() - now;
  const std::int64_t idle_ms = plan_.marker.empty() ? kIdleLookMs : kMarkerLookMs;
  next_look_ = now + std::max(idle_ms * kMs, look_ns * kLookShare);
  // Something that is written to all the time, a log say, must not keep us busy.
  const std::int64_t pause_ns = plan_.ready_command.empty() ? kHintPauseMs * kMs : plan_.settle_ns;
  soonest_look_ = now + std::max(pause_ns, look_ns * kLookShare);
  hinted_ = false;
  if (!plan_.marker.empty()) {
    LookForMarker(set, now);
  } else if (set.empty() || set == saved_) {
    candidate_ = {};
    asked_ = false;
    restless_since_ = 0;
    next_look_ = std::max(next_look_, last_save_ + plan_.every_ns);
  } else if (!plan_.ready_command.empty()) {
    AskReady(set);
  } else {
    Settle(set, now);
  }
}

void RunLoop::Settle(const FileSet& set, std::int64_t now) {
  if (set == candidate_ && now - candidate_since_ >= plan_.settle_ns) {
    StartSave(set, now);
    return;
  }
  if (!(set == candidate_)) {
    candidate_ = set;
    candidate_since_ = now;
    if (restless_since_ == 0) restless_since_ = now;
  }
  // Several looks, so that a rest that began between two of them is not missed by its half.
  next_look_ = std::min(candidate_since_ + plan_.settle_ns, now + plan_.settle_ns / kSettleLooks);
  if (now - restless_since_ < kRestlessNs || told_restless_) return;
  told_restless_ = true;
  console_.Notice("the files have not been at rest for " +
                  HumanSeconds(static_cast<double>(plan_.settle_ns) * 1e-9) +
                  " in ten minutes, so nothing was saved: see --settle, --when and --ready-cmd");
}

void RunLoop::LookForMarker(const FileSet& set, std::int64_t now) {
  FileState marker;
  if (!LookAtFile(plan_.marker, &marker)) return;
  if (!MarkerHolds(set) || set == saved_) {
    RemoveMarker();
    return;
  }
  StartSave(set, now);
}

// The marker says that the files that were there when it appeared are whole.
bool RunLoop::MarkerHolds(const FileSet& set) {
  FileState marker;
  if (set.empty() || !LookAtFile(plan_.marker, &marker)) return false;
  if (set.NewestChangeNs() <= marker.ctime_ns) return true;
  console_.Notice("'" + PrintableName(set.NewestName()) + "' changed after '" +
                  PrintableName(plan_.marker) +
                  "' appeared: not saved (write again only when the marker is gone)");
  return false;
}

void RunLoop::RemoveMarker() { (void)unlink(plan_.marker.c_str()); }

ProcessPlan RunLoop::ReadyPlan(const FileSet& set, const std::string& child_status) const {
  ProcessPlan plan;
  plan.arguments = ShellCommand(plan_.ready_command, set.roots);
  plan.variables = plan_.variables;
  plan.variables.emplace_back("CKPT_CHILD_STATUS", child_status);
  return plan;
}

void RunLoop::AskReady(const FileSet& set) {
  candidate_ = set;
  const int error = StartProcess(ReadyPlan(set, ""), &helper_);
  if (error == 0) {
    helper_kind_ = Helper::kReady;
    return;
  }
  candidate_ = {};
  console_.Notice(std::string("cannot run --ready-cmd: ") + strerror(error));
}

// ---- saving -------------------------------------------------------------------------------------

void RunLoop::StartSave(const FileSet& set, std::int64_t now) {
  candidate_ = set;
  only_settled_ = !program_ended_ && plan_.marker.empty() && plan_.ready_command.empty();
  last_save_ = now;
  asked_ = false;
  helper_ = StartWorker([this] { return SaveInWorker(candidate_); });
  helper_kind_ = helper_ > 0 ? Helper::kSave : Helper::kNone;
  if (helper_ <= 0) console_.Notice(std::string("cannot start a process: ") + strerror(errno));
}

int RunLoop::SaveInWorker(const FileSet& set) const {
  StoreHandle store(console_);
  ckpt_open_options open = store.DefaultOptions(CKPT_OPEN_CREATE);
  open.progress = nullptr;  // the terminal is the program's
  if (const int status = store.Open(open); status != kExitDone) return status;
  const std::vector<const char*> paths = Pointers(set.roots);
  const std::vector<std::string> exclude_globs = scanner_.Excludes();
  const std::vector<const char*> excludes = Pointers(exclude_globs);
  Confirmation confirmation{&scanner_, &set};
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = plan_.series.c_str();
  options.from_step = from_step_;
  options.wait_ms = kBusyWaitMs;
  options.effort = plan_.effort;
  options.excludes = excludes.data();
  options.exclude_count = excludes.size();
  options.confirm = StillTheSame;
  options.confirm_user = &confirmation;
  ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
  const ckpt_code code =
      ckpt_save_files(store.get(), &options, paths.data(), paths.size(), &result);
  // A file that is gone, or was written to, since the snapshot.
  if (code != CKPT_OK && !(scanner_.Scan() == set)) return kWorkerChanged;
  if (code != CKPT_OK) return store.Fail(code);
  saved_name_.Set(result.attempt, result.step);
  console_.Notice("saved " + PrintableName(plan_.series) + "@" + std::to_string(result.step) +
                  ": " + HumanBytes(result.logical_bytes) + " in " +
                  Plural(result.entries, "entry", "entries") + ", " + HumanBytes(result.new_bytes) +
                  " new, " + HumanSeconds(result.seconds));
  return kWorkerSaved;
}

void RunLoop::HelperEnded(int exit) {
  const Helper kind = helper_kind_;
  helper_ = -1;
  helper_kind_ = Helper::kNone;
  const std::int64_t now = Now();
  if (kind == Helper::kReady) {
    if (exit == 0 && !program_ended_) StartSave(candidate_, now);
    if (exit != 0) candidate_ = {};
    return;
  }
  if (exit == kWorkerSaved) saved_ = candidate_;
  // What has changed since it was saved was not the last thing that was written.
  if (exit != kWorkerSaved) only_settled_ = false;
  save_failed_ = exit != kWorkerSaved && exit != kWorkerChanged;
  // The attempt has begun with the first that came so far as to read the files.
  if (!save_failed_) from_step_ = CKPT_STEP_NONE;
  if (!plan_.marker.empty() && !save_failed_) RemoveMarker();
  if (exit == kWorkerChanged && !plan_.marker.empty()) {
    console_.Notice("the files changed while they were saved: nothing was saved");
  }
  candidate_ = {};
  restless_since_ = 0;
  // Changed meanwhile: again at once, for it is due.
  if (exit == kWorkerChanged) last_save_ = now - plan_.every_ns;
  const bool soon = asked_ || exit == kWorkerChanged || !plan_.marker.empty();
  next_look_ = soon ? now : std::max(last_save_ + plan_.every_ns, now + plan_.settle_ns);
}

// ---- the end ------------------------------------------------------------------------------------

void RunLoop::FinishHelper() {
  // What --ready-cmd says of a running program is of no use any more.
  if (helper_kind_ == Helper::kReady) kill(helper_, SIGKILL);
  while (helper_kind_ != Helper::kNone) {
    int status = 0;
    const pid_t pid = waitpid(helper_, &status, 0);
    if (pid < 0 && errno == EINTR) continue;
    HelperEnded(ExitOfStatus(status));
  }
}

// Whoever else was writing has ended; what counts is whether the program left whole files. "": yes.
std::string RunLoop::WhyNotWhole(const FileSet& set) {
  if (!plan_.marker.empty()) {
    FileState marker;
    const std::string name = "'" + PrintableName(plan_.marker) + "'";
    if (!LookAtFile(plan_.marker, &marker)) return name + " is not there";
    return MarkerHolds(set) ? "" : name + " is older than they are";
  }
  if (!plan_.ready_command.empty()) {
    const int exit = RunToEnd(ReadyPlan(set, std::to_string(ExitOfStatus(end_.status))));
    return exit == 0 ? "" : "--ready-cmd answered " + std::to_string(exit);
  }
  if (WIFEXITED(end_.status) && WEXITSTATUS(end_.status) == 0) return "";
  // At rest before it was told to stop: then it was alive, and not writing. Else it may have died
  // writing, and what we see ended was its launcher.
  const std::int64_t changed = set.NewestChangeNs();
  if (stopped_file_ns_ != 0 && changed <= stopped_file_ns_ - plan_.settle_ns) return "";
  if (changed <= ended_file_ns_ - kDoubtSettles * plan_.settle_ns) return "";
  return "'" + PrintableName(set.NewestName()) + "' may be half written: the program ended " +
         (WIFEXITED(end_.status) ? "with an error" : "by a signal") + " just after it changed";
}

void RunLoop::NoteMatched(const FileSet& set) {
  matched_.resize(set.matched.size());
  for (std::size_t i = 0; i < matched_.size(); ++i) matched_[i] = matched_[i] || set.matched[i];
}

void RunLoop::SayUnmatched() const {
  for (std::size_t i = 0; i < matched_.size(); ++i) {
    if (matched_[i]) continue;
    console_.Notice("--save '" + PrintableName(scanner_.patterns()[i]) +
                    "' never matched anything: nothing of it is saved");
  }
}

void RunLoop::SaveLast() {
  const FileSet set = scanner_.Scan();
  NoteMatched(set);
  if (set.empty()) return;
  if (set == saved_) {
    if (only_settled_ && !WhyNotWhole(set).empty()) TakeBackDoubtful(set);
    return;
  }
  if (const std::string why = WhyNotWhole(set); !why.empty()) {
    console_.Notice("the last files are not saved, " +
                    std::string(saved_.empty() ? "and none were before"
                                               : "the set saved before stays the newest") +
                    ": " + why);
    return;
  }
  for (int tries = 0; tries < 2 && !(set == saved_); ++tries) {
    StartSave(set, Now());
    FinishHelper();
  }
  end_.last_failed = !(set == saved_);
  if (end_.last_failed && !save_failed_) {
    console_.Notice("the files changed although the program has ended: the last set is not saved");
  }
}

void RunLoop::TakeBackDoubtful(const FileSet& set) {
  const std::string name = saved_name_.Text();
  if (name.empty()) return;
  const pid_t worker = StartWorker([&] { return TakeBack(console_, plan_.series, name); });
  int status = 0;
  while (worker > 0 && waitpid(worker, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string full_name = PrintableName(plan_.series) + "@" + name;
  const std::string doubt = "'" + PrintableName(set.NewestName()) +
                            "' may be half written, since it changed so shortly before the program "
                            "ended, and not by itself: ";
  if (worker > 0 && ExitOfStatus(status) == kExitDone) {
    console_.Notice(doubt + "took " + full_name + " back, the set saved before is the newest");
  } else {
    console_.Notice(doubt + "look at it before you go on from " + full_name);
  }
}

}  // namespace ckpt
