// A stop signal that comes while a session gives its signals back, after its thread has ended.

#include <dlfcn.h>
#include <pthread.h>

#include "tests/session/session_fixture.h"

// Sanitizers replace the same function.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) && defined(__GLIBC__)

namespace {
volatile bool raise_after_join = false;
}

extern "C" __attribute__((visibility("default"))) int pthread_join(pthread_t thread,
                                                                   void** result) {
  using Join = int(pthread_t, void**);
  static auto* const real = reinterpret_cast<Join*>(dlsym(RTLD_NEXT, "pthread_join"));
  const int code = real(thread, result);
  if (raise_after_join) {
    raise_after_join = false;
    raise(SIGTERM);
  }
  return code;
}

namespace ckpt {
namespace {

class FinishWindow : public SessionTest {
 protected:
  int FinishInWindow(bool complete) {
    return InChild([&] {
      std::vector<double> x(100, 1);
      auto s = Open();
      if (!s->Protect(VectorItem("x", &x)).ok() || !s->Step(1).saved) return 3;
      raise_after_join = true;
      const int code = s->Finish(complete).exit_code;
      return raise_after_join ? 4 : code;
    });
  }
};

TEST_F(FinishWindow, ASignalEndsTheProcess) {
  EXPECT_TRUE(KilledBy(FinishInWindow(false), SIGTERM));
  EXPECT_TRUE(KilledBy(FinishInWindow(true), SIGTERM));
}

TEST_F(FinishWindow, ByPolicyItIsInTheExitCode) {
  options_.on_stop = OnStop::kLeaveExit;
  EXPECT_TRUE(Exited(FinishInWindow(false), 128 + SIGTERM));
}

TEST_F(FinishWindow, AHandlerFromBeforeIsCalled) {
  int status = InChild([&] {
    signal(SIGTERM, [](int) { _exit(9); });
    const int inner = FinishInWindow(true);
    return WIFEXITED(inner) ? WEXITSTATUS(inner) : 1;
  });
  EXPECT_TRUE(Exited(status, 9)) << status;
}

}  // namespace
}  // namespace ckpt

#endif
