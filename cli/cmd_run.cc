// ckpt-store run: a program that cannot be changed, its files restored before it starts and saved
// while it runs. docs/run.md has the promises, the states and the table of signals.

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

#include "cli/command.h"
#include "cli/effort_table.h"
#include "cli/exit_codes.h"
#include "cli/parse.h"
#include "cli/run_child.h"
#include "cli/run_loop.h"
#include "cli/run_restore.h"
#include "cli/run_slurm.h"
#include "cli/signals.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

// The work is not done and nobody here can requeue it (EX_TEMPFAIL).
constexpr int kExitAgain = 75;

// "USR1=TERM", "TERM=NONE" -> {10, 15}, {15, 0}
bool ParseForward(const std::string& text, std::map<int, int>* forward) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos) return false;
  const int from = SignalByName(text.substr(0, at));
  const std::string name = text.substr(at + 1);
  const int to = SignalByName(name);
  if (from == 0 || (to == 0 && name != "NONE")) return false;
  (*forward)[from] = to;
  return true;
}

class RunCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddText(app, "--series", &plan_.series, "NAME",
            "The series that the program's files belong to");
    AddRepeated(app, "--save", &patterns_, "GLOB",
                "Files and folders to save, together as one set; may be repeated");
    AddTime(app, "--every", &plan_.every_ns,
            "At least so long between saves (default: none); not with --when");
    AddEffort(app, &plan_.effort, "Of saves: fast, balanced or small (default: the store's)");
    AddTime(app, "--settle", &plan_.settle_ns,
            "Save when nothing about the set changed for so long (2s)");
    AddText(app, "--when", &plan_.marker, "MARKER",
            "Save at once whenever this file appears instead, and remove it then");
    AddText(app, "--ready-cmd", &plan_.ready_command, "CMD",
            "Save when this accepts the files it is given, instead");
    AddRepeated(app, "--forward", &forwards_, "SIG=SIG",
                "Send one signal on as another, or NONE; may be repeated");
    AddTime(app, "--kill-after", &plan_.kill_after_ns,
            "SIGKILL for a program that has not ended so long after a stop signal");
    app.add_flag("--requeue", requeue_, "Requeue the Slurm job at its time limit or preemption");
    AddTime(app, "--near-limit", &near_limit_ns_,
            "A warning signal so long before the job's end counts as its time limit (15m)");
    AddText(app, "--done-if", &done_command_, "CMD", "The work is done if this succeeds");
    AddParsed<std::uint64_t>(app, "--max-restarts", &max_restarts_, "N", ParseCount, "a number",
                             "Requeue at most so often");
    AddText(app, "--on-restart", &restart_command_, "CMD",
            "Run this shell command instead of PROGRAM when something was restored");
    AddRest(app, "PROGRAM", &plan_.program, "The program and its arguments, best after --")
        ->required();
  }

  int Run(Console& console) override {
    if (IsLaterSlurmTask()) return RefuseTask(console);
    for (const std::string& text : forwards_) {
      if (!ParseForward(text, &plan_.forward)) {
        return console.FailUsage("--forward: '" + text + "' is not like USR1=TERM or USR2=NONE");
      }
    }
    if (!plan_.marker.empty() && !plan_.ready_command.empty()) {
      return console.FailUsage("--when and --ready-cmd exclude each other");
    }
    if (!patterns_.empty() && plan_.series.empty()) {
      return console.FailUsage("--save needs --series");
    }
    const SetScanner scanner(patterns_, plan_.marker, StorePath(console.options()));
    if (const std::string text = scanner.Objection(); !text.empty()) {
      return console.FailUsage("--save: " + text);
    }
    RunStart start;
    const int signal_fd = BlockSignals();
    SetInterruptSource([signal_fd] { return TakeStopSignal(signal_fd); });
    const int status = Restore(console, scanner, &start);
    const bool stopped = InterruptSignal() != 0;
    BlockStopSignals();
    SetInterruptSource(nullptr);
    if (stopped || InterruptSignal() != 0) return StoppedBeforeStart(console);
    if (status != kExitDone) return status;
    Export(start);
    return RunProgram(console, scanner, start, signal_fd);
  }

 private:
  static void AddTime(CLI::App& app, const std::string& name, std::int64_t* value,
                      const std::string& help) {
    AddParsed<std::int64_t>(app, name, value, "TIME", ParseDuration, "a time like 2s, 10m", help);
  }

  static int RefuseTask(Console& console) {
    return console.FailUsage(
        "started by srun once per task; only the first task acts. Start it once, around srun: "
        "ckpt-store run ... -- srun PROGRAM");
  }

  // A store is created now rather than after an hour of computing.
  int Restore(Console& console, const SetScanner& scanner, RunStart* start) {
    if (patterns_.empty()) return kExitDone;  // the program saves by itself
    StoreHandle store(console);
    const bool exists = std::filesystem::exists(StorePath(console.options()) + "/format");
    if (const int status = store.Open(exists ? CKPT_OPEN_READ : CKPT_OPEN_CREATE);
        status != kExitDone) {
      return status;
    }
    if (const int status = Claim(console, store); status != kExitDone) return status;
    if (const int status = RestoreForRun(console, store, plan_.series, scanner, start);
        status != kExitDone) {
      return status;
    }
    return DropOldMarker(console);
  }

  // Held to the end of the command. A job that was requeued may meet its former self for a moment.
  int Claim(Console& console, StoreHandle& store) {
    constexpr std::int64_t kWaitMs = 10'000;
    ckpt_claim* claim = nullptr;
    const ckpt_code code = ckpt_claim_series(store.get(), plan_.series.c_str(), kWaitMs, &claim);
    claim_.reset(claim);
    if (code == CKPT_OK || code == CKPT_UNSUPPORTED) return kExitDone;
    return console.Fail(code);
  }

  // One that an earlier run left: it says nothing about what the program will write.
  int DropOldMarker(Console& console) const {
    FileState marker;
    if (plan_.marker.empty() || !LookAtFile(plan_.marker, &marker)) return kExitDone;
    std::set<std::string> folders;
    const std::string error = Displace({plan_.marker}, &folders);
    return error.empty() ? kExitDone : console.Fail(CKPT_IO, error);
  }

  void Export(const RunStart& start) {
    std::error_code error;
    plan_.variables = {{"CKPT_RESTORED", start.restored ? "1" : "0"},
                       {"CKPT_STEP", start.restored ? std::to_string(start.step) : ""},
                       {"CKPT_DIR", std::filesystem::current_path(error).string()}};
    plan_.from_step = start.step;
    if (start.restored && !restart_command_.empty()) {
      plan_.program = ShellCommand(restart_command_);
    }
  }

  int RunProgram(Console& console, const SetScanner& scanner, const RunStart& start,
                 int signal_fd) {
    RunLoop loop(console, plan_, scanner, signal_fd);
    if (start.restored) loop.SetSaved(scanner.Scan());
    const RunEnd end = loop.Run();
    if (end.start_error != 0) {
      return console.FailToRun(plan_.program[0], end.start_error,
                               end.start_error == ENOENT ? kExitNoCommand : kExitCannotRun);
    }
    if (MustBeRunAgain(console, end.status, WarningOf(end), end.last_failed)) return kExitAgain;
    EndAs(end.status);
  }

  static Warning WarningOf(const RunEnd& end) {
    if (end.warned) return Warning::kOther;
    if (end.stop_signal != 0) return Warning::kTerm;
    // srun's tasks may have been warned and not we: it then ends with 128 + signal. So it does when
    // they crash or run out of memory, which is no warning.
    const int signal = ExitOfStatus(end.status) - kExitSignal;
    return IsStopSignal(signal) ? Warning::kTasks : Warning::kNone;
  }

  int StoppedBeforeStart(Console& console) {
    const int signal = InterruptSignal();
    const Warning warning = signal == SIGTERM ? Warning::kTerm : Warning::kOther;
    if (MustBeRunAgain(console, signal, warning, false)) return kExitAgain;
    return kExitSignal + signal;
  }

  // Requeues if that is wanted and right. True: the work is to be done again, but somebody else has
  // to see to it.
  bool MustBeRunAgain(Console& console, int status, Warning warning, bool unsaved) {
    if (!requeue_ || !Unfinished(status, warning)) return false;
    if (unsaved) {
      console.Notice(
          "not requeued (exit 75): the last set could not be saved, and running again would lose "
          "it");
      return true;
    }
    if (max_restarts_ && SlurmRestarts() >= *max_restarts_) {
      console.Notice("not requeued: restarted " + std::to_string(SlurmRestarts()) +
                     " times already (--max-restarts)");
      return false;
    }
    const RequeueChoice choice = AskSlurm(warning, near_limit_ns_ / kSecondNs);
    // Ended well and unfinished: that is --done-if's word.
    const bool failed_by_itself = warning == Warning::kNone && status != 0;
    if (!choice.known && failed_by_itself) return false;
    std::string error = choice.known ? "" : choice.why;
    if (choice.known && !choice.requeue) {
      console.Notice("not requeued: " + choice.why);
      return false;
    }
    if (error.empty()) {
      console.Notice("requeueing the job: " + choice.why);
      error = RequeueJob();
    }
    if (!error.empty()) {
      console.Notice("the work is not done and could not be requeued (exit 75): " + error);
    }
    return !error.empty();
  }

  bool Unfinished(int status, Warning warning) const {
    if (!done_command_.empty()) {
      ProcessPlan plan;
      plan.arguments = ShellCommand(done_command_);
      plan.variables = plan_.variables;
      return RunToEnd(plan) != 0;
    }
    // Preemption tells the tasks alone, and they may end well by it.
    return status != 0 || warning != Warning::kNone || IsBeingPreempted();
  }

  RunPlan plan_;
  std::unique_ptr<ckpt_claim, decltype(&ckpt_claim_release)> claim_{nullptr, ckpt_claim_release};
  std::vector<std::string> patterns_;
  std::vector<std::string> forwards_;
  bool requeue_ = false;
  std::int64_t near_limit_ns_ = 900 * kSecondNs;
  std::string done_command_;
  std::optional<std::uint64_t> max_restarts_;
  std::string restart_command_;
};

}  // namespace

const CommandInfo kRunCommand = {
    "run", "Run a program whose files are restored first and saved meanwhile",
    "ckpt-store run --series melt --save 'restart.*' -- lmp -in in.melt\n"
    "ckpt-store run --series melt --save 'restart.*' --every 10m --requeue -- srun lmp -in "
    "in.melt\n"
    "ckpt-store run --series cfd --save out --when out/DONE --forward USR1=TERM -- ./solver\n",
    [] { return std::unique_ptr<Command>(new RunCommand); }};

}  // namespace ckpt
