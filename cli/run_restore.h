// The start of `run`: the newest sound checkpoint's files are put where the program looks for them.
//
// Files in the way that differ, and files that match the patterns but are not in the checkpoint
// (a torn newest one, say), are moved to .ckpt-displaced/TIME-PID/, each under its own name; what
// is on a file system mounted below, to such a folder beside it. Nothing is deleted. Killed at any
// point, the next start does the rest. Without a checkpoint nothing is touched. Thread rule: one
// thread.

#ifndef CKPT_CLI_RUN_RESTORE_H_
#define CKPT_CLI_RUN_RESTORE_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/run_set.h"
#include "cli/store_handle.h"

namespace ckpt {

struct RunStart {
  bool restored = false;
  std::int64_t step = CKPT_STEP_NONE;
};

// The exit code: kExitDone, or that of the error it printed.
int RestoreForRun(Console& console, StoreHandle& store, const std::string& series,
                  const SetScanner& scanner, RunStart* start);

// Moves files to a new folder below .ckpt-displaced, or several, named in *folders. "" or what went
// wrong.
std::string Displace(const std::vector<std::string>& names, std::set<std::string>* folders);

}  // namespace ckpt

#endif  // CKPT_CLI_RUN_RESTORE_H_
