// SignalOwner: the process's one owner of signal dispositions, shared by all its sessions.
//
//             first Subscribe that names it                       last Unsubscribe that named it
//   (theirs) ------------------------------> OURS ------------------------------------> (theirs)
//                                              |  somebody else installs a handler
//                                              +----------------> REPLACED: left alone, reported
//
// The handler saves errno, adds to a lock-free counter, writes to the subscribers' eventfds and
// puts errno back; nothing else (I9). Everything that follows is done by the sessions' threads,
// which existed before and have all signals blocked. In a forked child the dispositions that were
// there before are put back, before fork returns: a child has no session and tells its parent
// nothing.
//
// Thread rule: any thread; the handler itself on whichever thread the system chooses.

#ifndef CKPT_STORE_SESSION_SIGNAL_OWNER_H_
#define CKPT_STORE_SESSION_SIGNAL_OWNER_H_

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "store/base/status.h"

namespace ckpt {

class SignalOwner {
 public:
  static SignalOwner* Get();  // never destroyed: a handler may run at any time

  // One session's part. Its eventfd is readable after each signal it named (and after Wake).
  struct Subscription {
    int slot = -1;
    int event_fd = -1;
    std::map<int, std::uint32_t> before;  // counters at the beginning
  };
  // InvalidArgument: a signal that cannot be caught, or a fault of the program.
  Result<Subscription> Subscribe(const std::vector<int>& signals);
  // Puts back what was there before for signals nobody names any more. True: all of them were still
  // ours; false: somebody else replaced one, which was left alone. Calls a function that was only
  // waiting for this session (see Answered).
  bool Unsubscribe(const Subscription& subscription);

  // How often the signal came since `subscription` began.
  std::uint32_t Count(const Subscription& subscription, int signal) const;
  // A signal that was sent and has not been taken for a moment counts as come where the main
  // thread, which is to take it, is in a sleep that no signal interrupts (a read of a server that
  // hangs). When it is taken after all it counts again, as a second one. True: look again in
  // kWaitingMomentNs. REQUIRES: the calling thread has the subscription's signals blocked.
  static constexpr std::int64_t kWaitingMomentNs = 20'000'000;
  bool TakeWaiting(const Subscription& subscription, std::int64_t now_ns);
  // Ours are still installed.
  bool HandlersInPlace(const Subscription& subscription) const;
  // What was there before is a function (neither the default nor "ignore").
  bool HasPrevious(int signal) const;
  // This session did what the first `count` (see Count) of these signals ask for. When all sessions
  // that named the signal have, that function is called, on this thread: once for signals that came
  // together.
  void Answered(const Subscription& subscription, int signal, std::uint32_t count);
  // The code of this session is in a call that sees to the stop itself, or was told to stop: no
  // other session ends the process meanwhile.
  void Hold(const Subscription& subscription, bool holds);
  // Another session that named the signal holds, or has not yet done what the signal asks for.
  bool OthersBusy(const Subscription& subscription, int signal) const;
  // Some session has named the signal and is not over.
  bool IsNamed(int signal) const;
  // Ends the process the way the signal would have without us: the disposition of before, and the
  // signal again; as process 1, which the default spares, _exit(128 + signal). Returns when that
  // disposition does not end it.
  void EndProcess(int signal);

  // Sessions of one process stop at one step: the first to ask decides, for a step that none of
  // them has passed yet. True: stop now.
  bool StopAt(std::int64_t step);
  // A session went on beyond this step.
  void Passed(std::int64_t step);

 private:
  struct Installed {
    struct sigaction before;
    int users = 0;
  };
  SignalOwner();
  Status Install(int signal);
  bool Uninstall(int signal);
  bool TakeCall(int signal);
  static void CallPrevious(int signal, const struct sigaction& before);
  static void WakeAll();
  static bool IsOurs(const struct sigaction& action);
  static void InForkedChild();

  mutable std::mutex mutex_;  // guards what follows
  std::map<int, Installed> installed_;
  std::map<int, std::set<int>> signals_of_;  // by slot
  // Up to which count of g_state a signal was answered, by slot; and its function called.
  std::map<std::pair<int, int>, std::uint32_t> answered_;  // (slot, signal)
  std::map<int, std::uint32_t> called_;
  // Sent, and not taken yet.
  struct Waiting {
    std::int64_t since_ns = 0;
    bool counted = false;
  };
  std::map<int, Waiting> waiting_;
  std::int64_t passed_ = -1;
  std::int64_t stop_step_ = -1;
};

// For tests that watch what the handler does: called first and last in it.
extern void (*volatile signal_handler_probe)(bool enters);

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_SIGNAL_OWNER_H_
