#include "store/session/signal_owner.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

#include "store/io/process.h"
#include "store/io/unique_fd.h"

namespace ckpt {

void (*volatile signal_handler_probe)(bool enters) = nullptr;

namespace {

constexpr int kSignals = 65;
constexpr int kSlots = 64;

// All the handler touches. Descriptors stay open for the process's life, so that a handler that
// runs late never writes into somebody else's file.
struct HandlerState {
  std::atomic<pid_t> pid{0};
  std::array<std::atomic<std::uint32_t>, kSignals> counts{};
  std::array<std::atomic<int>, kSlots> event_fds{};
  // Of the session in each slot: see Hold.
  std::array<std::atomic<bool>, kSlots> holds{};
  // The threads that are calling a function from before; how many of them. One that calls ours back
  // brings no signal.
  std::array<std::atomic<pid_t>, kSlots> callers{};
  std::atomic<int> calls{0};
  // As installed_ in SignalOwner, for the child of a fork, which may take no lock.
  std::array<std::atomic<bool>, kSignals> ours{};
  std::array<struct sigaction, kSignals> before{};
};
HandlerState g_state;
// The descriptors of the slots, kept from one session to the next.
constinit std::array<int, kSlots> g_kept_fds = [] {
  std::array<int, kSlots> none{};
  none.fill(-1);
  return none;
}();
static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              std::atomic<int>::is_always_lock_free);

// A child that was made without fork() and got here: it has no session. What was there before us
// gets the signal.
void InStrangeProcess(int signal) {
  const struct sigaction& before = g_state.before[static_cast<std::size_t>(signal)];
  sigaction(signal, &before, nullptr);
  raise(signal);
}

// REQUIRES: what it answers is set to 0, and then g_state.calls counted down, when the call is
// over.
std::atomic<pid_t>& EnterCall() {
  ++g_state.calls;
  for (;;) {
    for (std::atomic<pid_t>& caller : g_state.callers) {
      pid_t none = 0;
      if (caller.compare_exchange_strong(none, gettid())) return caller;
    }
  }
}

// On the thread of a call of a function from before.
bool IsCalledBack() {
  if (g_state.calls.load() == 0) return false;
  const pid_t self = gettid();
  return std::any_of(g_state.callers.begin(), g_state.callers.end(),
                     [&](const std::atomic<pid_t>& caller) { return caller.load() == self; });
}

void OnSignal(int signal) {
  const int saved = errno;
  if (signal_handler_probe != nullptr) signal_handler_probe(true);
  if (getpid() != g_state.pid.load(std::memory_order_relaxed)) {
    InStrangeProcess(signal);
  } else if (!IsCalledBack()) {
    g_state.counts[static_cast<std::size_t>(signal)].fetch_add(1);
    const std::uint64_t one = 1;
    for (auto& slot : g_state.event_fds) {
      const int fd = slot.load();
      if (fd < 0) continue;
      ssize_t wrote = ::write(fd, &one, sizeof(one));
      (void)wrote;  // full: it is readable already
    }
  }
  if (signal_handler_probe != nullptr) signal_handler_probe(false);
  errno = saved;
}

}  // namespace

SignalOwner* SignalOwner::Get() {
  static SignalOwner* const owner = new SignalOwner;
  return owner;
}

SignalOwner::SignalOwner() {
  for (auto& fd : g_state.event_fds) fd = -1;
  g_state.pid = getpid();
  // The mutex is held across fork, so that the child finds the tables whole.
  pthread_atfork([] { Get()->mutex_.lock(); }, [] { Get()->mutex_.unlock(); },
                 [] {
                   InForkedChild();
                   Get()->mutex_.unlock();
                 });
}

void SignalOwner::InForkedChild() {
  for (int signal = 1; signal < kSignals; ++signal) {
    const auto s = static_cast<std::size_t>(signal);
    if (!g_state.ours[s].exchange(false)) continue;
    struct sigaction now;
    if (sigaction(signal, nullptr, &now) == 0 && IsOurs(now)) {
      sigaction(signal, &g_state.before[s], nullptr);
    }
  }
  for (auto& fd : g_state.event_fds) fd = -1;
  for (auto& holds : g_state.holds) holds = false;
  for (auto& caller : g_state.callers) caller = 0;
  g_state.calls = 0;
  // The parent's sessions are woken by these.
  for (int& fd : g_kept_fds) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  for (auto& count : g_state.counts) count = 0;
  g_state.pid = getpid();  // a session of the child's own may follow
  Get()->installed_.clear();
  Get()->called_.clear();
  Get()->answered_.clear();
  Get()->signals_of_.clear();
  Get()->waiting_.clear();
  Get()->passed_ = Get()->stop_step_ = -1;
}

bool SignalOwner::IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == &OnSignal;
}

Status SignalOwner::Install(int signal) {
  auto found = installed_.find(signal);
  if (found != installed_.end()) {
    ++found->second.users;
    return Status();
  }
  const auto s = static_cast<std::size_t>(signal);
  struct sigaction ours = {};
  ours.sa_handler = &OnSignal;
  ours.sa_flags = SA_RESTART | SA_ONSTACK;
  sigfillset(&ours.sa_mask);
  Installed entry;
  if (sigaction(signal, nullptr, &entry.before) != 0) {
    return InvalidArgument("signal " + std::to_string(signal) + " cannot be caught");
  }
  g_state.before[s] = entry.before;
  g_state.ours[s] = true;
  if (sigaction(signal, &ours, nullptr) != 0) {
    g_state.ours[s] = false;
    return InvalidArgument("signal " + std::to_string(signal) + " cannot be caught");
  }
  entry.users = 1;
  installed_.emplace(signal, entry);
  return Status();
}

bool SignalOwner::Uninstall(int signal) {
  auto found = installed_.find(signal);
  if (found == installed_.end() || --found->second.users > 0) return true;
  struct sigaction now;
  bool ours = sigaction(signal, nullptr, &now) == 0 && IsOurs(now);
  if (ours) sigaction(signal, &found->second.before, nullptr);
  g_state.ours[static_cast<std::size_t>(signal)] = false;
  installed_.erase(found);
  return ours;
}

Result<SignalOwner::Subscription> SignalOwner::Subscribe(const std::vector<int>& signals) {
  for (int signal : signals) {
    bool fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL;
    if (signal < 1 || signal >= kSignals || signal == SIGKILL || signal == SIGSTOP ||
        signal == SIGCONT || fault) {
      return InvalidArgument("signal " + std::to_string(signal) +
                             " is none a session may take: use SIGTERM, SIGUSR1, SIGUSR2, SIGINT,"
                             " SIGHUP and the like");
    }
  }
  std::lock_guard lock(mutex_);
  Subscription subscription;
  for (int slot = 0; slot < kSlots && subscription.slot < 0; ++slot) {
    if (!signals_of_.contains(slot)) subscription.slot = slot;
  }
  if (subscription.slot < 0) return Busy("a process has at most 64 sessions at a time");
  const auto slot = static_cast<std::size_t>(subscription.slot);
  if (g_kept_fds[slot] < 0) {
    g_kept_fds[slot] = AboveStandard(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
  if (g_kept_fds[slot] < 0) return ErrnoStatus(errno, "make an eventfd");
  subscription.event_fd = g_kept_fds[slot];
  std::uint64_t old = 0;  // what woke the session before, and was not read
  ssize_t got = ::read(subscription.event_fd, &old, sizeof(old));
  (void)got;
  g_state.holds[slot] = false;
  std::set<int> distinct(signals.begin(), signals.end());
  for (int signal : distinct) {
    subscription.before[signal] = g_state.counts[static_cast<std::size_t>(signal)];
  }
  g_state.event_fds[slot] = g_kept_fds[slot];
  if (signals_of_.empty()) passed_ = stop_step_ = -1;
  for (auto it = distinct.begin(); it != distinct.end(); ++it) {
    Status s = Install(*it);
    if (s.ok()) continue;
    for (auto undo = distinct.begin(); undo != it; ++undo) Uninstall(*undo);
    g_state.event_fds[slot] = -1;
    return s;
  }
  for (int signal : distinct) {
    answered_[{subscription.slot, signal}] = subscription.before[signal];
    if (!called_.contains(signal)) called_[signal] = subscription.before[signal];
  }
  signals_of_[subscription.slot] = std::move(distinct);
  return subscription;
}

bool SignalOwner::Unsubscribe(const Subscription& subscription) {
  bool all_ours = true;
  std::vector<std::pair<int, struct sigaction>> calls;  // that only this session kept waiting
  {
    std::lock_guard lock(mutex_);
    auto found = signals_of_.find(subscription.slot);
    if (found == signals_of_.end()) return true;  // a forked child's copy
    const std::set<int> signals = std::move(found->second);
    signals_of_.erase(found);
    g_state.event_fds[static_cast<std::size_t>(subscription.slot)] = -1;
    for (int signal : signals) {
      auto entry = installed_.find(signal);
      struct sigaction before = {};  // nothing to call
      if (entry != installed_.end()) before = entry->second.before;
      all_ours = Uninstall(signal) && all_ours;
      if (TakeCall(signal)) calls.emplace_back(signal, before);
      if (!installed_.contains(signal)) called_.erase(signal);
    }
  }
  WakeAll();  // one of them may be the last now
  for (const auto& [signal, before] : calls) CallPrevious(signal, before);
  return all_ours;
}

std::uint32_t SignalOwner::Count(const Subscription& subscription, int signal) const {
  auto before = subscription.before.find(signal);
  if (before == subscription.before.end()) return 0;
  return g_state.counts[static_cast<std::size_t>(signal)].load() - before->second;
}

bool SignalOwner::TakeWaiting(const Subscription& subscription, std::int64_t now_ns) {
  sigset_t pending;
  if (sigpending(&pending) != 0) return false;
  bool again = false;
  std::lock_guard lock(mutex_);
  for (const auto& [signal, count] : subscription.before) {
    struct sigaction now;
    const bool waits =
        sigismember(&pending, signal) == 1 && sigaction(signal, nullptr, &now) == 0 && IsOurs(now);
    if (!waits) {
      waiting_.erase(signal);
      continue;
    }
    Waiting& waiting = waiting_.try_emplace(signal, Waiting{now_ns, false}).first->second;
    const bool moment_over = now_ns - waiting.since_ns >= kWaitingMomentNs;
    again = again || !moment_over;
    if (!moment_over || waiting.counted || !MainThreadIsUninterruptible()) continue;
    waiting.counted = true;
    ++g_state.counts[static_cast<std::size_t>(signal)];
    WakeAll();
  }
  return again;
}

bool SignalOwner::HandlersInPlace(const Subscription& subscription) const {
  for (const auto& [signal, count] : subscription.before) {
    struct sigaction now;
    if (sigaction(signal, nullptr, &now) != 0 || !IsOurs(now)) return false;
  }
  return true;
}

bool SignalOwner::HasPrevious(int signal) const {
  std::lock_guard lock(mutex_);
  auto found = installed_.find(signal);
  if (found == installed_.end()) return false;
  const struct sigaction& before = found->second.before;
  if ((before.sa_flags & SA_SIGINFO) != 0) return true;
  return before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN;
}

void SignalOwner::WakeAll() {
  const std::uint64_t one = 1;
  for (auto& slot : g_state.event_fds) {
    const int fd = slot.load();
    ssize_t wrote = fd < 0 ? 0 : ::write(fd, &one, sizeof(one));
    (void)wrote;  // full: it is readable already
  }
}

void SignalOwner::Hold(const Subscription& subscription, bool holds) {
  g_state.holds[static_cast<std::size_t>(subscription.slot)] = holds;
}

bool SignalOwner::OthersBusy(const Subscription& subscription, int signal) const {
  std::lock_guard lock(mutex_);
  const std::uint32_t now = g_state.counts[static_cast<std::size_t>(signal)];
  return std::any_of(signals_of_.begin(), signals_of_.end(), [&](const auto& other) {
    const auto& [slot, signals] = other;
    if (slot == subscription.slot || !signals.contains(signal)) return false;
    auto answered = answered_.find({slot, signal});
    return g_state.holds[static_cast<std::size_t>(slot)].load() || answered == answered_.end() ||
           answered->second != now;
  });
}

bool SignalOwner::IsNamed(int signal) const {
  std::lock_guard lock(mutex_);
  return installed_.contains(signal);
}

void SignalOwner::Answered(const Subscription& subscription, int signal, std::uint32_t count) {
  struct sigaction before;
  {
    std::lock_guard lock(mutex_);
    auto began = subscription.before.find(signal);
    if (began == subscription.before.end()) return;
    answered_[{subscription.slot, signal}] = began->second + count;
    WakeAll();  // others may wait for this one
    auto found = installed_.find(signal);
    if (found == installed_.end() || !TakeCall(signal)) return;
    before = found->second.before;
  }
  CallPrevious(signal, before);
}

// Whether all sessions answered more of these signals than the function was called for. The
// counters go round like any unsigned number: what matters is how far behind one is.
bool SignalOwner::TakeCall(int signal) {
  const std::uint32_t now = g_state.counts[static_cast<std::size_t>(signal)];
  std::uint32_t behind = 0;
  for (const auto& [slot, signals] : signals_of_) {
    if (signals.contains(signal)) behind = std::max(behind, now - answered_[{slot, signal}]);
  }
  auto called = called_.find(signal);
  if (called == called_.end() || now - called->second <= behind) return false;
  called->second = now - behind;
  return true;
}

void SignalOwner::CallPrevious(int signal, const struct sigaction& before) {
  std::atomic<pid_t>& caller = EnterCall();
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    siginfo_t info = {};
    info.si_signo = signal;
    info.si_code = SI_USER;
    info.si_pid = getpid();
    before.sa_sigaction(signal, &info, nullptr);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  }
  caller = 0;
  --g_state.calls;
}

void SignalOwner::EndProcess(int signal) {
  {
    std::lock_guard lock(mutex_);
    auto found = installed_.find(signal);
    if (found != installed_.end()) {
      sigaction(signal, &found->second.before, nullptr);
      g_state.ours[static_cast<std::size_t>(signal)] = false;
      installed_.erase(found);
    }
  }
  struct sigaction now;
  bool by_default = sigaction(signal, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
                    now.sa_handler == SIG_DFL;
  if (!by_default) {
    kill(getpid(), signal);
    return;
  }
  if (getpid() == 1) ::_exit(128 + signal);
  // On this thread, whoever else has it blocked.
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  pthread_kill(pthread_self(), signal);
}

bool SignalOwner::StopAt(std::int64_t step) {
  std::lock_guard lock(mutex_);
  if (stop_step_ < 0) stop_step_ = signals_of_.size() > 1 && passed_ >= step ? passed_ + 1 : step;
  return step >= stop_step_;
}

void SignalOwner::Passed(std::int64_t step) {
  std::lock_guard lock(mutex_);
  if (step > passed_) passed_ = step;
}

}  // namespace ckpt
