// SIGINT, SIGTERM and SIGHUP ask a running command to stop; it stops at the library's next
// callback, cleans up, and ends by the same signal, so that the exit status tells the truth.
//
// The handler only sets a flag and an alarm (I9): a command that has not come back five seconds
// later, say because it waits for input, is ended as by the signal itself, which the store survives
// like any crash. A second SIGINT ends it at once: somebody is pressing Ctrl-C. A second SIGTERM
// means nothing: batch systems send several.

#ifndef CKPT_CLI_SIGNALS_H_
#define CKPT_CLI_SIGNALS_H_

#include <functional>
#include <string>

namespace ckpt {

// A signal that is ignored when the command starts (nohup) stays ignored. SIGPIPE is ignored from
// here on: what is written to a closed pipe fails instead, and a save does not die of its log.
void InstallSignalHandlers();

// The signal that asked to stop; 0: none.
int InterruptSignal();
// From here on InterruptSignal also asks `source` (blocked signals have no handler): a signal, or
// 0.
void SetInterruptSource(std::function<int()> source);

// The default action for `signal`, raised again. Ends the process (with 128 + signal where the
// signal does not, as in process 1 of a container).
[[noreturn]] void EndBySignal(int signal);

// "SIGUSR1"
std::string SignalText(int signal);

// Whether SIGPIPE was ignored by whoever started the command.
bool PipeSignalWasIgnored();

}  // namespace ckpt

#endif  // CKPT_CLI_SIGNALS_H_
