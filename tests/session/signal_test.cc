// Stop and save signals: what is durable when the process is gone, and how it goes.

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <filesystem>

#include "tests/session/session_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

using At = SessionProbe::At;

// Computes, without ever coming to a step.
[[noreturn]] void ComputeForEver() {
  volatile double sum = 0;
  for (;;) sum = sum + 1;
}

struct Shared {
  std::atomic<std::int64_t> captured{0};
  std::atomic<std::int64_t> durable{0};
  std::atomic<std::int64_t> durable_ns{0};
  std::atomic<int> handled{0};
};

class SessionSignal : public SessionTest {
 protected:
  SessionSignal()
      : shared_(static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    new (shared_) Shared();
    options_.grace_seconds = 0.2;
  }
  ~SessionSignal() override { munmap(shared_, sizeof(Shared)); }

  SessionProbe Writing() {
    SessionProbe probe;
    probe.at = [this](At at, std::int64_t step) {
      if (at == At::kCaptured) shared_->captured = step;
      if (at == At::kDurable) {
        shared_->durable_ns = PosixEnv()->MonotonicNs();
        shared_->durable = step;
      }
    };
    return probe;
  }
  // Saves step 1 and more while `go_on(step)`.
  std::unique_ptr<Session> SaveSome(std::vector<double>* x, int steps) {
    auto s = Open(Writing());
    if (!s->Protect(VectorItem("x", x)).ok()) _exit(3);
    for (int step = 1; step <= steps; ++step) {
      x->assign(20000, step);
      if (!s->Step(step).error.ok()) _exit(4);
    }
    return s;
  }

  Shared* const shared_;
};

TEST_F(SessionSignal, StopAtAStepIsSavedAndEndsByTheSignal) {
  std::vector<double> x;
  int status = InChild([&] {
    auto s = SaveSome(&x, 3);
    raise(SIGTERM);
    x.assign(20000, 4);
    StepResult step = s->Step(4);
    if (!step.stop || !step.saved) return 5;
    return s->Finish(false).exit_code;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  EXPECT_EQ(RestoredStep(&x), 4);
  EXPECT_EQ(x, std::vector<double>(20000, 4));
}

TEST_F(SessionSignal, WithoutAStepWhatWasCapturedIsCommittedAndTheProcessEnds) {
  options_.durability = Durability::kOnRequest;
  std::vector<double> x;
  int status = InChild([&]() -> int {
    auto s = SaveSome(&x, 3);
    raise(SIGTERM);
    ComputeForEver();
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  EXPECT_EQ(shared_->durable.load(), 3);
  EXPECT_EQ(RestoredStep(&x), 3);
}

// The parent of a vfork is in an uninterruptible sleep, as in a read of a server that hangs: no
// handler runs.
#if !defined(__SANITIZE_THREAD__)  // makes a vfork a fork
TEST_F(SessionSignal, InAnUninterruptibleSleepWhatWasCapturedIsCommittedAndTheProcessEnds) {
  options_.durability = Durability::kOnRequest;
  int status = InChild([&] {
    std::vector<double> x;
    auto s = SaveSome(&x, 3);
    const pid_t child = vfork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      kill(getppid(), SIGTERM);
      sleep(100);
      _exit(0);
    }
    return 5;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  EXPECT_EQ(shared_->durable, 3);
}
#endif

TEST_F(SessionSignal, WithSeveralRanksTheProcessIsNotEnded) {
  options_.ranks = 2;
  options_.run_id = "job 1";
  std::vector<double> x;
  int status = InChild([&]() -> int {
    auto s = SaveSome(&x, 2);
    raise(SIGTERM);
    usleep(600000);  // three times the grace
    return s->Step(3).stop && s->Finish(false).exit_code == 143 ? 0 : 5;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

TEST_F(SessionSignal, ByPolicyTheExitIsLeftToTheCode) {
  options_.on_stop = OnStop::kLeaveExit;
  std::vector<double> x;
  int status = InChild([&]() -> int {
    auto s = SaveSome(&x, 2);
    raise(SIGTERM);
    usleep(600000);
    if (!s->Step(3).stop) return 5;
    return s->Finish(false).exit_code;
  });
  EXPECT_TRUE(Exited(status, 128 + SIGTERM)) << status;
}

// Signals do not end process 1 of a container by their default.
class SessionProcessOne : public SessionSignal {
 protected:
  // As InChild, with the body as process 1 of a pid namespace.
  static int AsProcessOne(const std::function<int()>& body) {
    return InChild([&] {
      if (unshare(CLONE_NEWPID) != 0) return kNotPossible;
      const pid_t one = fork();
      if (one < 0) return kNotPossible;
      if (one == 0) {
        alarm(120);
        ::_exit(getpid() == 1 ? body() : 9);
      }
      int status = 0;
      while (waitpid(one, &status, 0) < 0) {
      }
      return WIFEXITED(status) ? WEXITSTATUS(status) : kKilled;
    });
  }
  static constexpr int kNotPossible = 77;
  static constexpr int kKilled = 99;
};

TEST_F(SessionProcessOne, StoppedAtAStepExitsWithTheSignalsStatus) {
  std::vector<double> x;
  int status = AsProcessOne([&] {
    auto s = SaveSome(&x, 3);
    raise(SIGTERM);
    x.assign(20000, 4);
    if (!s->Step(4).stop) return 5;
    (void)s->Finish(false);
    return 6;
  });
  if (Exited(status, kNotPossible)) GTEST_SKIP() << "no pid namespaces here";
  EXPECT_TRUE(Exited(status, 128 + SIGTERM)) << status;
  EXPECT_EQ(RestoredStep(&x), 4);
}

TEST_F(SessionProcessOne, ThatNeverComesToAStepExitsWithTheSignalsStatus) {
  options_.durability = Durability::kOnRequest;
  options_.stop_signals = {SIGUSR2};
  std::vector<double> x;
  int status = AsProcessOne([&]() -> int {
    auto s = SaveSome(&x, 3);
    raise(SIGUSR2);
    ComputeForEver();
  });
  if (Exited(status, kNotPossible)) GTEST_SKIP() << "no pid namespaces here";
  EXPECT_TRUE(Exited(status, 128 + SIGUSR2)) << status;
  EXPECT_EQ(shared_->durable.load(), 3);
  EXPECT_EQ(RestoredStep(&x), 3);
}

TEST_F(SessionSignal, ACompleteRunReturnsZeroWhateverCame) {
  std::vector<double> x;
  int status = InChild([&] {
    auto s = SaveSome(&x, 2);
    raise(SIGTERM);
    return s->Finish(true).exit_code;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

TEST_F(SessionSignal, SaveSignalsSaveAtTheNextStep) {
  options_.every_steps = 1000;
  options_.durability = Durability::kOnRequest;
  std::vector<double> x(1000, 1);
  auto s = Open(Writing());
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  EXPECT_FALSE(s->Step(1).saved);
  raise(SIGUSR1);
  StepResult step = s->Step(2);
  EXPECT_TRUE(step.saved);
  EXPECT_FALSE(step.stop);
  EXPECT_FALSE(s->Step(3).saved);
  while (s->Report().durable_step < 2) usleep(1000);  // without being asked again
  EXPECT_EQ(s->Report().durable_step, 2);
}

TEST_F(SessionSignal, ASaveSignalNearTheEndOfTheAllocationStops) {
  options_.every_steps = 1000;
  options_.grace_seconds = 1000;
  options_.on_stop = OnStop::kLeaveExit;
  std::vector<double> x(1000, 1);
  // The last: one that was put off, or the job would have been killed.
  for (const int end_s : {500, -500, -5000}) {
    options_.end_time_ns = PosixEnv()->RealtimeNs() + end_s * kNsPerSecond;
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    raise(SIGUSR1);
    EXPECT_EQ(s->Step(1).stop, end_s > -5000) << end_s;
    s->Finish(true);
    std::filesystem::remove_all(store_path());
  }
}

TEST_F(SessionSignal, OtherSignalsAreTakenByChoice) {
  options_.stop_signals = {SIGUSR2, SIGINT};
  options_.save_signals = {};
  std::vector<double> x;
  int status = InChild([&] {
    auto s = SaveSome(&x, 1);
    raise(SIGUSR2);
    if (!s->Step(2).stop) return 5;
    return s->Finish(false).exit_code;
  });
  EXPECT_TRUE(KilledBy(status, SIGUSR2)) << status;
  for (int bad : {SIGKILL, SIGSTOP, SIGCONT, SIGSEGV, 0, 1000}) {
    options_.stop_signals = {bad};
    auto refused = Session::Open(PosixEnv(), store_path(), "run", options_);
    EXPECT_EQ(refused.status().code(), Code::kInvalidArgument) << bad;
  }
}

Shared* g_shared = nullptr;

TEST_F(SessionSignal, AHandlerThatWasThereIsCalledAfterTheCommitAndPutBack) {
  options_.durability = Durability::kOnRequest;
  std::vector<double> x;
  int status = InChild([&]() -> int {
    g_shared = shared_;
    struct sigaction mine = {};
    mine.sa_handler = [](int) {
      g_shared->handled = static_cast<int>(g_shared->durable.load()) + 100;
    };
    sigaction(SIGTERM, &mine, nullptr);
    auto s = SaveSome(&x, 3);
    raise(SIGTERM);
    while (shared_->handled.load() == 0) usleep(1000);
    if (shared_->handled != 103) return 5;
    usleep(400000);  // twice the grace: a code with a handler of its own is not ended
    int exit_code = s->Finish(false).exit_code;
    struct sigaction now;
    sigaction(SIGTERM, nullptr, &now);
    return now.sa_handler == mine.sa_handler && exit_code == 143 ? 0 : 6;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

TEST_F(SessionSignal, AHandlerOfASaveSignalIsCalledAfterTheCommitOfWhatWasCaptured) {
  options_.durability = Durability::kOnRequest;
  std::vector<double> x;
  int status = InChild([&]() -> int {
    g_shared = shared_;
    struct sigaction mine = {};
    mine.sa_handler = [](int) {
      g_shared->handled = static_cast<int>(g_shared->durable.load()) + 100;
    };
    sigaction(SIGUSR1, &mine, nullptr);
    auto s = SaveSome(&x, 3);
    raise(SIGUSR1);
    while (shared_->handled.load() == 0) usleep(1000);
    if (shared_->handled != 103) return 5;
    return s->Finish(true).exit_code;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

TEST_F(SessionSignal, AHandlerThatWasThereIsCalledOnceForAllSessionsAndAfterAllOfThem) {
  options_.durability = Durability::kOnRequest;
  std::vector<double> x, y(20000, 1);
  int status = InChild([&]() -> int {
    g_shared = shared_;
    struct sigaction mine = {};
    mine.sa_handler = [](int) { ++g_shared->handled; };
    sigaction(SIGUSR1, &mine, nullptr);
    auto a = SaveSome(&x, 2);
    std::atomic<int> called_before_commit{0};
    SessionProbe probe;
    probe.at = [&](At at, std::int64_t) {
      if (at == At::kBeforeCommit) called_before_commit = shared_->handled.load();
    };
    auto b = Session::Open(PosixEnv(), store_path(), "other", options_, probe);
    if (!b.ok() || !(*b)->Protect(VectorItem("y", &y)).ok()) return 5;
    for (int round = 1; round <= 5; ++round) {
      y[0] = round;
      if (!(*b)->Step(round).error.ok()) return 6;
      raise(SIGUSR1);
      while (shared_->handled.load() < round || (*b)->Report().durable_step < round) usleep(1000);
      if (called_before_commit != round - 1) return 7;
    }
    // Whatever was still to come came before the sessions are gone.
    b->reset();
    a.reset();
    return shared_->handled == 5 ? 0 : 8;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

// The last moment there is: the session's thread has ended.
TEST_F(SessionSignal, AHandlerThatWasThereIsCalledForSignalsThatComeLast) {
  int status = InChild([&]() -> int {
    g_shared = shared_;
    struct sigaction mine = {};
    mine.sa_handler = [](int) { ++g_shared->handled; };
    sigaction(SIGUSR1, &mine, nullptr);
    SignalOwner* owner = SignalOwner::Get();
    auto one = owner->Subscribe({SIGUSR1}), other = owner->Subscribe({SIGUSR1});
    if (!one.ok() || !other.ok()) return 4;
    auto send = [&](std::uint32_t total) {
      raise(SIGUSR1);
      while (owner->Count(*one, SIGUSR1) < total) usleep(1000);  // sanitizers deliver it later
    };
    send(1);
    owner->Answered(*one, SIGUSR1, 1);
    if (shared_->handled != 0) return 5;
    owner->Unsubscribe(*other);
    if (shared_->handled != 1) return 6;
    owner->Answered(*one, SIGUSR1, 1);
    if (shared_->handled != 1) return 7;
    send(2);
    owner->Unsubscribe(*one);
    if (shared_->handled != 2) return 8;
    raise(SIGUSR1);  // not ours any more
    while (shared_->handled.load() < 3) usleep(1000);
    return 0;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

TEST_F(SessionSignal, DispositionsArePutBackByTheLastSession) {
  struct sigaction before, now;
  sigaction(SIGTERM, nullptr, &before);
  {
    auto a = Open();
    auto b = Session::Open(PosixEnv(), store_path(), "other", options_);
    ASSERT_TRUE(b.ok());
    a.reset();
    sigaction(SIGTERM, nullptr, &now);
    EXPECT_NE(now.sa_handler, before.sa_handler);
  }
  sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, before.sa_handler);
}

TEST_F(SessionSignal, AHandlerThatReplacedOursIsNoticedAndLeftAlone) {
  std::vector<double> x(1000);
  struct sigaction mine = {}, old, now;
  mine.sa_handler = [](int) {};
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  EXPECT_FALSE(s->Report().handlers_replaced);
  sigaction(SIGTERM, &mine, &old);
  ASSERT_OK(s->Step(2).error);
  EXPECT_TRUE(s->Report().handlers_replaced);
  EXPECT_TRUE(Noticed("another signal handler"));
  s.reset();
  sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, mine.sa_handler);
  signal(SIGTERM, SIG_DFL);
}

TEST_F(SessionSignal, AForkedChildHasNoSession) {
  std::vector<double> x(1000, 1);
  auto s = Open(Writing());
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  // AddressSanitizer's allocator cannot be used in a child whose parent's other thread allocated
  // just then; else the fork falls into the save.
  if (kSanitized) ASSERT_OK(s->Commit());
  // It gets an error, dies of SIGTERM as if nothing had happened, and its parent hears nothing.
  int status = InChild([&] {
    if (s->Step(2).error.code() != Code::kInvalidArgument) return 5;
    if (s->Restore().ok() || s->Commit().ok() || s->Report().saves != 0) return 6;
    raise(SIGTERM);
    return 7;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  EXPECT_EQ(s->Report().stop_signal, 0);
  // One that ends in the ordinary way destroys its copy.
  status = InChild([&] {
    s.reset();
    return 0;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
  EXPECT_TRUE(s->Step(2).saved);
  EXPECT_FALSE(s->Step(3).stop);
}

TEST_F(SessionSignal, AForkedChildHoldsNoLocks) {
  std::vector<double> x(1000, 1);
  int stop[2], began[2];
  ASSERT_EQ(pipe(stop), 0);
  ASSERT_EQ(pipe(began), 0);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("x", &x)));
  ASSERT_OK(s->Step(1).error);
  ASSERT_OK(s->Commit());
  pid_t child = fork();
  if (child == 0) {
    close(stop[1]);
    char byte = 0;
    (void)!write(began[1], &byte, 1);
    (void)!read(stop[0], &byte, 1);
    _exit(0);
  }
  close(stop[0]);
  char byte = 0;
  ASSERT_EQ(read(began[0], &byte, 1), 1);  // until it runs it has what its parent had
  close(began[0]);
  close(began[1]);
  s.reset();
  auto again = Session::Open(PosixEnv(), store_path(), "run", options_);
  EXPECT_TRUE(again.ok()) << again.status().ToString();
  close(stop[1]);
  waitpid(child, nullptr, 0);
}

TEST_F(SessionSignal, SessionsOfOneProcessStopAtOneStep) {
  options_.on_stop = OnStop::kLeaveExit;
  std::vector<double> x(1000, 1), y(1000, 2);
  auto a = Open();
  auto b = *Session::Open(PosixEnv(), store_path(), "other", options_);
  ASSERT_OK(a->Protect(VectorItem("x", &x)));
  ASSERT_OK(b->Protect(VectorItem("y", &y)));
  EXPECT_FALSE(a->Step(1).stop);
  raise(SIGTERM);  // between the two
  EXPECT_FALSE(b->Step(1).stop);
  EXPECT_TRUE(a->Step(2).stop);
  EXPECT_TRUE(b->Step(2).stop);
}

TEST_F(SessionSignal, ASecondSignalJoins) {
  std::vector<double> x;
  int status = InChild([&] {
    auto s = SaveSome(&x, 1);
    raise(SIGTERM);
    raise(SIGTERM);
    StepResult step = s->Step(2);
    raise(SIGTERM);
    if (!step.stop || !step.saved) return 5;
    return s->Finish(false).exit_code;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  EXPECT_EQ(RestoredStep(&x), 2);
}

}  // namespace
}  // namespace ckpt
