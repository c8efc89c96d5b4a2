// The signal handler calls nothing but what I9 allows. malloc and its kin, locks and stdio are
// replaced in this program: they count when they are entered from inside the handler, whatever the
// thread was doing when the signal came.

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "tests/session/session_fixture.h"

// Sanitizers replace the same functions.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)

namespace {

thread_local volatile bool in_handler = false;
std::atomic<int> forbidden_calls{0};
std::atomic<int> handlers_run{0};

void Entered() {
  if (in_handler) ++forbidden_calls;
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) {
  Entered();
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  Entered();
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  Entered();
  return __libc_realloc(old, size);
}
void free(void* memory) {
  Entered();
  __libc_free(memory);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) {
  static auto* const real = Real<int(pthread_mutex_t*)>("pthread_mutex_lock");
  Entered();
  return real(mutex);
}
int pthread_cond_signal(pthread_cond_t* condition) {
  static auto* const real = Real<int(pthread_cond_t*)>("pthread_cond_signal");
  Entered();
  return real(condition);
}
int pthread_cond_broadcast(pthread_cond_t* condition) {
  static auto* const real = Real<int(pthread_cond_t*)>("pthread_cond_broadcast");
  Entered();
  return real(condition);
}
std::size_t fwrite(const void* data, std::size_t size, std::size_t count, FILE* file) {
  static auto* const real =
      Real<std::size_t(const void*, std::size_t, std::size_t, FILE*)>("fwrite");
  Entered();
  return real(data, size, count, file);
}
int fputs(const char* text, FILE* file) {
  static auto* const real = Real<int(const char*, FILE*)>("fputs");
  Entered();
  return real(text, file);
}
}

namespace ckpt {
namespace {

void Probe(bool enters) {
  in_handler = enters;
  if (enters) ++handlers_run;
}

// A function that the compiler cannot see through.
void* volatile sink;
void AllocateSome() {
  for (int i = 0; i < 100; ++i) {
    sink = std::malloc(100 + static_cast<std::size_t>(i));
    std::free(sink);
  }
}

class SessionHandler : public SessionTest {};

TEST_F(SessionHandler, TheWatchSeesForbiddenCalls) {
  forbidden_calls = 0;
  in_handler = true;
  AllocateSome();
  std::fputs("", stdout);
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  pthread_mutex_unlock(&mutex);
  in_handler = false;
  EXPECT_GE(forbidden_calls.load(), 202);
}

TEST_F(SessionHandler, CallsNothingForbiddenWhateverIsInterrupted) {
  std::vector<double> x = Numbers(100000, 1);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  forbidden_calls = 0;
  handlers_run = 0;
  signal_handler_probe = &Probe;
  std::atomic<bool> done{false};
  const pthread_t target = pthread_self();
  std::thread sender([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    while (!done.load()) pthread_kill(target, SIGUSR1);
  });
  for (int step = 1; step <= 30; ++step) {
    AllocateSome();
    x[static_cast<std::size_t>(step)] = step;
    errno = 12345;
    for (int before = handlers_run.load(); handlers_run.load() < before + 20;) {
    }
    EXPECT_EQ(errno, 12345);
    EXPECT_OK(s->Step(step).error);
  }
  done = true;
  sender.join();
  signal_handler_probe = nullptr;
  EXPECT_EQ(forbidden_calls.load(), 0);
  EXPECT_GT(handlers_run.load(), 600);
}

}  // namespace
}  // namespace ckpt

#endif
