// A process killed, or sent another signal, at a chosen system call, by ptrace: the child runs a
// function (which may exec) and gets the signal when it is about to enter its n-th call, counted
// over all its threads and children. A call at which it is killed is not made. Calls before an exec
// count too, unless `after_exec` says otherwise.
//
// Thread rule: one thread, in a process that waits for no other child meanwhile.

#ifndef CKPT_TESTS_SUPPORT_TRACED_H_
#define CKPT_TESTS_SUPPORT_TRACED_H_

#include <cstdint>
#include <functional>

namespace ckpt {

enum class Calls {
  kEach,      // every system call
  kChanging,  // those that may change what is on disk, flush it, or end the process
  kFailing,   // those that fail on real machines: of files, folders, pipes, watches and processes
};

struct Traced {
  bool possible = true;         // false: this system lets nobody trace
  bool killed = false;          // by us; else it ended by itself. Of SignalAtCall: it was sent.
                                // Of FailCall: it failed
  int status = 0;               // as waitpid gives it
  std::int64_t calls = 0;       // of the kind asked for, that it made
  std::int64_t killed_in = -1;  // the number of the system call
};

// Runs `work` in a child, which ends with what it answers, and kills it at call `fatal` (from 1;
// 0: never).
Traced KillAtCall(Calls which, std::int64_t fatal, bool after_exec,
                  const std::function<int()>& work);

// The same with a signal that the child may take; then it goes on.
Traced SignalAtCall(int signal, Calls which, std::int64_t at, const std::function<int()>& work);

// Of a command that `work` makes itself: the call is not made, and answers `error`; `for_good`: and
// all that follow of the same number. Counted are calls of kFailing from the first on that asks for
// a signal's handler, so that the program was loaded. Not possible on processors other than x86-64.
Traced FailCall(int error, bool for_good, std::int64_t at, const std::function<int()>& work);

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_TRACED_H_
