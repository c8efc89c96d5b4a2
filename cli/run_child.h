// Processes of `run`: the program, the commands it asks (--ready-cmd, --done-if, scontrol), and
// whatever the program left behind.
//
// `run` is a child subreaper: what the program leaves becomes our child when its parent ends.
// Signals that are taken one by one (kForwarded and SIGCHLD) are blocked from BlockSignals on and
// read from a descriptor; processes begin with the mask and the SIGPIPE that we were started with.
// Thread rule: one thread.

#ifndef CKPT_CLI_RUN_CHILD_H_
#define CKPT_CLI_RUN_CHILD_H_

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace ckpt {

// As shells say it.
inline constexpr int kExitCannotRun = 126;
inline constexpr int kExitNoCommand = 127;

// The value that a SIGUSR1 carries which is not for the program: "save now" (ckpt-store request).
inline constexpr int kRequestValue = 0x636b7074;

// Blocks the signals (but those that are ignored, which stay so) for the rest of the process and
// answers a descriptor to read them from: all but those that stop a command (cli/signals.h), until
// BlockStopSignals. Children that are there already (of a shell that became us by exec) are not the
// program's: see EndOrphans.
int BlockSignals();
void BlockStopSignals();
// Reads what has come: the first that stops the program; 0: none. Requests to save are dropped, for
// nothing has been computed that could be.
int TakeStopSignal(int signal_fd);
// "USR1", "SIGUSR1", "10"; 0: no such signal.
int SignalByName(const std::string& name);
// Whether somebody wants the program to stop when this signal comes.
bool IsStopSignal(int signal);

using Variables = std::vector<std::pair<std::string, std::string>>;

struct ProcessPlan {
  std::vector<std::string> arguments;
  Variables variables;           // set besides our own
  bool ends_with_us = false;     // SIGTERM when we die
  bool signals_blocked = false;  // as ours are
  int output_fd = -1;            // standard output; -1: ours
};
// {"sh", "-c", command, "sh", arguments...}
std::vector<std::string> ShellCommand(const std::string& command,
                                      const std::vector<std::string>& arguments = {});
// 0 or errno, that of a failed exec included.
int StartProcess(const ProcessPlan& plan, pid_t* pid);
// A process that calls `work` and ends with its answer.
pid_t StartWorker(const std::function<int()>& work);

// Starts it and waits: its exit code, 128 + signal, kExitNoCommand or kExitCannotRun.
// REQUIRES: nobody else reaps.
int RunToEnd(const ProcessPlan& plan);
// The same with standard output as text.
int RunForOutput(ProcessPlan plan, std::string* output);

// The code that a shell would show for a wait status.
int ExitOfStatus(int status);

// Ends what the program left behind: SIGTERM to each child of ours that was not there before
// BlockSignals, and SIGKILL after `grace_ms`, until there is none. Answers how many ended.
int EndOrphans(std::int64_t grace_ms);

// Ends this process as `status` (of waitpid) says: the same code, or the same signal.
[[noreturn]] void EndAs(int status);

}  // namespace ckpt

#endif  // CKPT_CLI_RUN_CHILD_H_
