#include "cli/signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace ckpt {
namespace {

constexpr unsigned kGraceSeconds = 5;

std::atomic<int> g_interrupt{0};
static_assert(std::atomic<int>::is_always_lock_free);
bool g_pipe_was_ignored = false;
std::function<int()> g_source;

void SetDefault(int signal) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(signal, &action, nullptr);
}

void OnStopSignal(int signal) {
  const int saved = errno;
  int none = 0;
  if (g_interrupt.compare_exchange_strong(none, signal)) alarm(kGraceSeconds);
  if (signal == SIGINT) SetDefault(SIGINT);
  errno = saved;
}

void OnGraceOver(int /*signal*/) { EndBySignal(g_interrupt.load()); }

void Handle(int signal, void (*handler)(int)) {
  struct sigaction old {};
  sigaction(signal, nullptr, &old);
  if (old.sa_handler == SIG_IGN && signal != SIGALRM) return;
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void InstallSignalHandlers() {
  struct sigaction ignore {};
  struct sigaction old {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &old);
  g_pipe_was_ignored = old.sa_handler == SIG_IGN;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) Handle(signal, OnStopSignal);
  Handle(SIGALRM, OnGraceOver);
}

int InterruptSignal() {
  int signal = g_interrupt.load();
  if (signal != 0 || !g_source) return signal;
  const int asked = g_source();
  if (asked != 0 && g_interrupt.compare_exchange_strong(signal, asked)) return asked;
  return signal;
}

void SetInterruptSource(std::function<int()> source) { g_source = std::move(source); }

void EndBySignal(int signal) {
  SetDefault(signal);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  kill(getpid(), signal);
  _exit(128 + signal);
}

std::string SignalText(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

bool PipeSignalWasIgnored() { return g_pipe_was_ignored; }

}  // namespace ckpt
