// The life of a program under `run`, from its start to its end.
//
//                 due, changed since the last save
//      WATCHING ----------------------------------> SETTLING (two equal snapshots, --settle apart;
//       ^    ^                                          |     or --ready-cmd is asked; or --when's
//       |    | saved, changed meanwhile, refused        v     marker is there)
//       |    +--------------------------------------- SAVING (a process of its own)
//       |
//      the program ends: what it left is ended -> the set is saved once more, if it can be whole;
//                        one that was saved and may not be whole is taken back (run_doubt.h)
//
// Signals are passed on in every state as they come: saving happens in a worker process that has
// them blocked. A set is saved whole or not at all: the worker takes the snapshot again after it
// has read everything and commits only if nothing changed.
// Between events the loop sleeps; inotify says that something happened in the folders of the set
// (a hint: other hosts' writes do not show), a look every kIdleLookMs finds the rest.
// Thread rule: one thread.

#ifndef CKPT_CLI_RUN_LOOP_H_
#define CKPT_CLI_RUN_LOOP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/run_child.h"
#include "cli/run_doubt.h"
#include "cli/run_set.h"
#include "cli/run_watch.h"

namespace ckpt {

struct RunPlan {
  std::string series;
  std::int64_t every_ns = 0;  // at least so long between saves
  std::int64_t settle_ns = 2'000'000'000;
  std::int32_t effort = CKPT_EFFORT_DEFAULT;
  std::string marker;              // --when
  std::string ready_command;       // --ready-cmd
  std::map<int, int> forward;      // signals sent on as others; 0: not sent on
  std::int64_t kill_after_ns = 0;  // after a stop signal; 0: never
  std::int64_t from_step = CKPT_STEP_NONE;
  std::vector<std::string> program;
  Variables variables;
};

struct RunEnd {
  int start_error = 0;  // errno: the program could not be started
  int status = 0;       // of waitpid
  int stop_signal = 0;  // the first that asked to stop; 0: none
  bool warned = false;  // a stop signal other than SIGTERM came
  bool killed_by_us = false;
  bool last_failed = false;  // a whole set that the program left could not be saved
};

class RunLoop {
 public:
  RunLoop(Console& console, const RunPlan& plan, const SetScanner& scanner, int signal_fd);
  // What is there now counts as saved.
  void SetSaved(FileSet set) { saved_ = std::move(set); }
  // Starts the program and returns when it has ended and the last set is saved.
  RunEnd Run();

 private:
  enum class Helper { kNone, kReady, kSave };
  // What a worker process answers.
  static constexpr int kWorkerSaved = 0;
  static constexpr int kWorkerChanged = 75;

  std::int64_t WaitMs(std::int64_t now) const;
  void Wait();
  void TakeSignals();
  void PassOn(int signal, bool from_terminal);
  void SaveSoon();
  void Reap();
  void HelperEnded(int exit);
  void Look(std::int64_t now);
  void LookForMarker(const FileSet& set, std::int64_t now);
  void Settle(const FileSet& set, std::int64_t now);
  void AskReady(const FileSet& set);
  void StartSave(const FileSet& set, std::int64_t now);
  int SaveInWorker(const FileSet& set) const;
  void KillWhenOverdue(std::int64_t now);
  void FinishHelper();
  void SaveLast();
  void TakeBackDoubtful(const FileSet& set);
  std::string WhyNotWhole(const FileSet& set);
  void NoteMatched(const FileSet& set);
  void SayUnmatched() const;
  bool MarkerHolds(const FileSet& set);
  void RemoveMarker();
  ProcessPlan ReadyPlan(const FileSet& set, const std::string& child_status) const;

  Console& console_;
  const RunPlan& plan_;
  const SetScanner& scanner_;
  const int signal_fd_;
  FolderWatch watch_;
  RunEnd end_;
  pid_t program_ = -1;
  bool program_ended_ = false;
  std::int64_t ended_file_ns_ = 0;    // by the files' clock, as what follows
  std::int64_t stopped_file_ns_ = 0;  // the first stop signal; 0: none
  pid_t helper_ = -1;
  Helper helper_kind_ = Helper::kNone;
  FileSet candidate_;  // what is settling, asked about or being saved
  std::int64_t candidate_since_ = 0;
  FileSet saved_;
  SavedName saved_name_;
  bool only_settled_ = false;  // that it was at rest is all that speaks for what is (being) saved
  std::int64_t from_step_;
  bool asked_ = false;  // save as soon as it can be, whatever --every says
  std::int64_t last_save_ = 0;
  std::int64_t next_look_ = 0;
  std::int64_t soonest_look_ = 0;  // after a hint
  bool hinted_ = false;            // heard something since the last look
  std::int64_t kill_at_ = 0;       // 0: not
  bool save_failed_ = false;
  std::vector<bool> matched_;  // by pattern: it ever matched something
  std::int64_t restless_since_ = 0;
  bool told_restless_ = false;
};

}  // namespace ckpt

#endif  // CKPT_CLI_RUN_LOOP_H_
