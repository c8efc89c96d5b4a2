// Several sessions in one process, and children of it: who ends the process, and when.

#include <poll.h>

#include <atomic>
#include <thread>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

using At = SessionProbe::At;

class SeveralSessions : public SessionTest {
 protected:
  std::unique_ptr<Session> OpenNamed(const std::string& series, std::vector<double>* data,
                                     SessionProbe probe = {}) {
    auto session = Session::Open(PosixEnv(), store_path(), series, options_, std::move(probe));
    if (!session.ok() || !(*session)->Protect(VectorItem("x", data)).ok()) _exit(3);
    return *std::move(session);
  }
  static SessionProbe HeldBefore(At at, std::atomic<bool>* go) {
    SessionProbe probe;
    probe.at = [at, go](At now, std::int64_t) {
      while (now == at && !go->load()) usleep(1000);
    };
    return probe;
  }
  std::int64_t StepOf(const std::string& series) {
    std::vector<double> x;
    auto session = OpenNamed(series, &x);
    auto restored = session->Restore();
    EXPECT_OK(restored.status());
    return restored.ok() && restored->restored ? restored->step : -1;
  }
};

TEST_F(SeveralSessions, TheFirstFinishLeavesTheOthersTheirSaves) {
  int status = InChild([&] {
    std::vector<double> x(100, 1), y(1000, 2);
    std::atomic<bool> go{false};
    auto a = OpenNamed("a", &x);
    auto b = OpenNamed("b", &y, HeldBefore(At::kBeforeStage, &go));
    raise(SIGTERM);
    if (!a->Step(1).stop || !b->Step(1).stop) return 5;
    if (a->Finish(false).exit_code != 128 + SIGTERM) return 6;
    go = true;
    return b->Finish(false).exit_code;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  EXPECT_EQ(StepOf("a"), 1);
  EXPECT_EQ(StepOf("b"), 1);
}

TEST_F(SeveralSessions, OneWhoseGraceIsOverWaitsForTheOthersCommit) {
  options_.grace_seconds = 0.2;
  options_.durability = Durability::kOnRequest;
  int status = InChild([&]() -> int {
    std::vector<double> x(100, 1), y(1000, 2);
    std::atomic<bool> go{false};
    auto a = OpenNamed("a", &x);
    auto b = OpenNamed("b", &y, HeldBefore(At::kBeforeStage, &go));
    if (!b->Step(1).saved) return 5;
    raise(SIGTERM);
    usleep(600000);  // three times the grace
    go = true;
    for (volatile double sum = 0;;) sum = sum + 1;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  EXPECT_EQ(StepOf("b"), 1);
}

TEST_F(SeveralSessions, AHandlerThatCallsOursBackBringsNoSignal) {
  int status = InChild([&] {
    static std::atomic<int> calls{0};
    static void (*ours)(int) = nullptr;
    std::vector<double> x(100, 1);
    {
      auto a = OpenNamed("a", &x);
      ours = signal(SIGTERM, [](int number) {
        ++calls;
        ours(number);
      });
      a->Finish(true);
    }
    auto b = OpenNamed("b", &x);
    raise(SIGTERM);
    while (calls == 0) usleep(1000);
    usleep(300000);
    return calls == 1 ? 0 : 5;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
}

TEST_F(SeveralSessions, AForkedChildsSessionDoesNotWakeTheParents) {
  // Nor does what woke the session before it.
  auto before = SignalOwner::Get()->Subscribe({SIGUSR2});
  ASSERT_OK(before.status());
  raise(SIGUSR2);
  SignalOwner::Get()->Unsubscribe(*before);
  auto parents = SignalOwner::Get()->Subscribe({SIGUSR2});
  ASSERT_OK(parents.status());
  int status = InChild([] {
    auto own = SignalOwner::Get()->Subscribe({SIGUSR2});
    if (!own.ok()) return 3;
    raise(SIGUSR2);
    pollfd ready = {own->event_fd, POLLIN, 0};
    return poll(&ready, 1, 0) == 1 ? 0 : 4;
  });
  EXPECT_TRUE(Exited(status, 0)) << status;
  pollfd ready = {parents->event_fd, POLLIN, 0};
  EXPECT_EQ(poll(&ready, 1, 0), 0);
  SignalOwner::Get()->Unsubscribe(*parents);
}

TEST_F(SeveralSessions, ASignalThatStopsAndSavesStops) {
  options_.stop_signals = {SIGTERM, SIGUSR1};
  std::vector<double> x(100, 1);
  int status = InChild([&] {
    auto a = OpenNamed("a", &x);
    raise(SIGUSR1);
    return a->Step(1).stop ? a->Finish(false).exit_code : 5;
  });
  EXPECT_TRUE(KilledBy(status, SIGUSR1)) << status;
}

TEST_F(SeveralSessions, BetweenBeginAndEndTheProcessEndsInTimeToo) {
  options_.grace_seconds = 0.2;
  int status = InChild([&]() -> int {
    std::vector<double> x(100, 1);
    auto a = OpenNamed("a", &x);
    if (!a->Begin(1).ok()) return 5;
    if (!a->Put("y", {std::as_bytes(std::span(x)), DoubleShape(100)}).ok()) return 6;
    raise(SIGTERM);
    for (volatile double sum = 0;;) sum = sum + 1;
  });
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
}

}  // namespace
}  // namespace ckpt
