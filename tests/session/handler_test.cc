// The signal handler calls nothing but what I9 allows. malloc and its kin, locks, stdio and LMDB
// are replaced in this program: they count when they are entered from inside the handler, whatever
// the thread was doing when the signal came.

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <thread>
#include <utility>

#include "tests/session/session_fixture.h"

// Sanitizers replace the same functions.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)

namespace {

thread_local volatile bool in_handler = false;
std::atomic<int> forbidden_calls{0};
std::atomic<int> lmdb_calls{0};  // of the forbidden ones
std::atomic<int> handlers_run{0};

void Entered() {
  if (in_handler) ++forbidden_calls;
}
void EnteredLmdb() {
  Entered();
  if (in_handler) ++lmdb_calls;
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

int puts(const char* text) {
  static auto* const real = Real<int(const char*)>("puts");
  Entered();
  return real(text);
}
int fputc(int c, FILE* file) {
  static auto* const real = Real<int(int, FILE*)>("fputc");
  Entered();
  return real(c, file);
}
int fflush(FILE* file) {
  static auto* const real = Real<int(FILE*)>("fflush");
  Entered();
  return real(file);
}
int vfprintf(FILE* file, const char* format, va_list arguments) {
  static auto* const real = Real<int(FILE*, const char*, va_list)>("vfprintf");
  Entered();
  return real(file, format, arguments);
}
int vsnprintf(char* out, std::size_t size, const char* format, va_list arguments) {
  static auto* const real = Real<int(char*, std::size_t, const char*, va_list)>("vsnprintf");
  Entered();
  return real(out, size, format, arguments);
}
int printf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int wrote = vfprintf(stdout, format, arguments);
  va_end(arguments);
  return wrote;
}
int fprintf(FILE* file, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int wrote = vfprintf(file, format, arguments);
  va_end(arguments);
  return wrote;
}
int snprintf(char* out, std::size_t size, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int wrote = vsnprintf(out, size, format, arguments);
  va_end(arguments);
  return wrote;
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
  static auto* const real = Real<int(void**, std::size_t, std::size_t)>("posix_memalign");
  Entered();
  return real(memory, alignment, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  static auto* const real = Real<void*(std::size_t, std::size_t)>("aligned_alloc");
  Entered();
  return real(alignment, size);
}
int pthread_rwlock_rdlock(pthread_rwlock_t* lock) {
  static auto* const real = Real<int(pthread_rwlock_t*)>("pthread_rwlock_rdlock");
  Entered();
  return real(lock);
}
int pthread_rwlock_wrlock(pthread_rwlock_t* lock) {
  static auto* const real = Real<int(pthread_rwlock_t*)>("pthread_rwlock_wrlock");
  Entered();
  return real(lock);
}
int pthread_rwlock_unlock(pthread_rwlock_t* lock) {
  static auto* const real = Real<int(pthread_rwlock_t*)>("pthread_rwlock_unlock");
  Entered();
  return real(lock);
}
int sem_post(sem_t* semaphore) {
  static auto* const real = Real<int(sem_t*)>("sem_post");
  Entered();
  return real(semaphore);
}
int sem_wait(sem_t* semaphore) {
  static auto* const real = Real<int(sem_t*)>("sem_wait");
  Entered();
  return real(semaphore);
}

// LMDB's functions as far as a caller sees them: only the index includes its header.
int mdb_env_create(void** env) {
  static auto* const real = Real<int(void**)>("mdb_env_create");
  EnteredLmdb();
  return real(env);
}
int mdb_env_open(void* env, const char* path, unsigned flags, mode_t mode) {
  static auto* const real = Real<int(void*, const char*, unsigned, mode_t)>("mdb_env_open");
  EnteredLmdb();
  return real(env, path, flags, mode);
}
int mdb_env_sync(void* env, int force) {
  static auto* const real = Real<int(void*, int)>("mdb_env_sync");
  EnteredLmdb();
  return real(env, force);
}
void mdb_env_close(void* env) {
  static auto* const real = Real<void(void*)>("mdb_env_close");
  EnteredLmdb();
  real(env);
}
int mdb_txn_begin(void* env, void* parent, unsigned flags, void** txn) {
  static auto* const real = Real<int(void*, void*, unsigned, void**)>("mdb_txn_begin");
  EnteredLmdb();
  return real(env, parent, flags, txn);
}
int mdb_txn_commit(void* txn) {
  static auto* const real = Real<int(void*)>("mdb_txn_commit");
  EnteredLmdb();
  return real(txn);
}
void mdb_txn_abort(void* txn) {
  static auto* const real = Real<void(void*)>("mdb_txn_abort");
  EnteredLmdb();
  real(txn);
}
void mdb_txn_reset(void* txn) {
  static auto* const real = Real<void(void*)>("mdb_txn_reset");
  EnteredLmdb();
  real(txn);
}
int mdb_txn_renew(void* txn) {
  static auto* const real = Real<int(void*)>("mdb_txn_renew");
  EnteredLmdb();
  return real(txn);
}
int mdb_get(void* txn, unsigned dbi, void* key, void* data) {
  static auto* const real = Real<int(void*, unsigned, void*, void*)>("mdb_get");
  EnteredLmdb();
  return real(txn, dbi, key, data);
}
int mdb_put(void* txn, unsigned dbi, void* key, void* data, unsigned flags) {
  static auto* const real = Real<int(void*, unsigned, void*, void*, unsigned)>("mdb_put");
  EnteredLmdb();
  return real(txn, dbi, key, data, flags);
}
int mdb_del(void* txn, unsigned dbi, void* key, void* data) {
  static auto* const real = Real<int(void*, unsigned, void*, void*)>("mdb_del");
  EnteredLmdb();
  return real(txn, dbi, key, data);
}
int mdb_cursor_open(void* txn, unsigned dbi, void** cursor) {
  static auto* const real = Real<int(void*, unsigned, void**)>("mdb_cursor_open");
  EnteredLmdb();
  return real(txn, dbi, cursor);
}
int mdb_cursor_get(void* cursor, void* key, void* data, int operation) {
  static auto* const real = Real<int(void*, void*, void*, int)>("mdb_cursor_get");
  EnteredLmdb();
  return real(cursor, key, data, operation);
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

class SessionHandler : public SessionTest {
 protected:
  // Reads records and writes them, both by the index.
  void UseIndex() {
    OpenStoreOptions options;
    options.mode = OpenStoreOptions::Mode::kWrite;
    auto store = Store::Open(PosixEnv(), store_path(), options);
    EXPECT_OK(store.status());
    EXPECT_OK(SeriesView::Load(store->get(), "run").status());
  }
};

// That each of these calls is seen, as many times as it is one.
TEST_F(SessionHandler, TheWatchSeesForbiddenCalls) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  sem_t semaphore;
  ASSERT_EQ(sem_init(&semaphore, 0, 0), 0);
  void* memory = nullptr;
  char text[8];
  const std::pair<const char*, std::function<void()>> calls[] = {
      {"malloc, free", [] { AllocateSome(); }},
      {"posix_memalign", [&] { EXPECT_EQ(posix_memalign(&memory, 64, 64), 0); }},
      {"free", [&] { std::free(memory); }},
      {"aligned new", [&] { delete[] new (std::align_val_t(64)) char[64]; }},
      {"fputs", [] { std::fputs("", stdout); }},
      {"fputc", [] { std::fputc('\n', stdout); }},
      {"puts", [] { std::puts(""); }},
      {"printf", [] { std::printf("%d\n", 1); }},
      {"fprintf", [] { std::fprintf(stdout, "%d\n", 1); }},
      {"snprintf", [&] { std::snprintf(text, sizeof(text), "%d", 1); }},
      {"fflush", [] { std::fflush(stdout); }},
      {"mutex", [&] { pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex); }},
      {"read lock", [&] { pthread_rwlock_rdlock(&lock); }},
      {"unlock", [&] { pthread_rwlock_unlock(&lock); }},
      {"write lock", [&] { pthread_rwlock_wrlock(&lock), pthread_rwlock_unlock(&lock); }},
      {"post", [&] { sem_post(&semaphore); }},
      {"wait", [&] { sem_wait(&semaphore); }},
  };
  for (const auto& [name, call] : calls) {
    forbidden_calls = 0;
    in_handler = true;
    call();
    in_handler = false;
    EXPECT_GE(forbidden_calls.load(), 1) << name;
  }
  sem_destroy(&semaphore);
}

TEST_F(SessionHandler, TheWatchSeesTheIndex) {
  std::vector<double> x = Numbers(100, 1);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->Commit());
  s.reset();
  lmdb_calls = 0;
  in_handler = true;
  UseIndex();
  in_handler = false;
  EXPECT_GT(lmdb_calls.load(), 3);
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
    EXPECT_OK(s->Commit());
    UseIndex();
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
