// SimSchedule: several actors over one simulated world, one at a time, each on a stack of its own.
// Before every call of a file, directory or process a SimStrategy says who goes on; nothing else
// switches. So a run follows from its strategy alone and can be had again.
//
//   SimSchedule schedule(&world, &strategy);
//   schedule.Add([&] { Save(...); });
//   schedule.Add([&] { Collect(...); });
//   schedule.Run();                      // until all have ended
//
// Actors use one Store each: a mutex that two of them share would be held by one and waited for by
// the other on the same thread. An actor that sleeps jumps the clock and goes behind the others;
// so a time-out may come at any time, as in life.
// Thread rule: one thread; actors start none that call the world.

#ifndef CKPT_TESTS_SUPPORT_SIM_SCHEDULE_H_
#define CKPT_TESTS_SUPPORT_SIM_SCHEDULE_H_

#include <ucontext.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tests/support/sim_world.h"

namespace ckpt {

class SimStrategy {
 public:
  virtual ~SimStrategy() = default;
  enum class Why : std::uint8_t {
    kCall,   // the actor that runs is about to make a call
    kSleep,  // it has slept: somebody else is to go on where there is one
    kEnd,    // it is not among those that are ready any more
  };
  // One of `ready`, ascending and not empty. `now` is the actor that runs.
  virtual std::size_t Choose(const std::vector<std::size_t>& ready, std::size_t now, Why why) = 0;
};

// Another actor with one chance in `rarity` at each call.
class RandomWalk final : public SimStrategy {
 public:
  RandomWalk(std::uint64_t seed, std::uint64_t rarity) : rng_(seed), rarity_(rarity) {}
  std::size_t Choose(const std::vector<std::size_t>& ready, std::size_t now, Why why) override;

 private:
  SimRng rng_;
  const std::uint64_t rarity_;
};

// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte 2010): actors have
// random priorities, the highest goes on, and at `changes` random calls of the first `calls` the
// one that runs falls behind all others. Finds a bug that needs d ordered steps with a chance of at
// least 1 / (actors * calls^(d-1)) when d = changes + 1.
class PriorityWalk final : public SimStrategy {
 public:
  PriorityWalk(std::uint64_t seed, std::size_t actors, std::uint64_t calls, std::size_t changes);
  std::size_t Choose(const std::vector<std::size_t>& ready, std::size_t now, Why why) override;

 private:
  std::vector<std::int64_t> priority_;
  std::vector<std::uint64_t> changes_;  // at which calls
  std::uint64_t calls_ = 0;
  std::int64_t lowest_ = 0;
};

// Actors one after the other, from `first` on, except that at each call named the one that runs is
// set aside for the next one: all runs with few preemptions can be enumerated.
class Preemptions final : public SimStrategy {
 public:
  Preemptions(std::size_t first, std::vector<std::uint64_t> at)
      : first_(first), at_(std::move(at)) {}
  std::size_t Choose(const std::vector<std::size_t>& ready, std::size_t now, Why why) override;
  std::uint64_t calls() const { return calls_; }

 private:
  const std::size_t first_;
  const std::vector<std::uint64_t> at_;  // ascending, from 1
  std::uint64_t calls_ = 0;
  bool began_ = false;
};

class SimSchedule final : public SimTurns {
 public:
  SimSchedule(SimWorld* world, SimStrategy* strategy);
  ~SimSchedule() override;

  void Add(std::function<void()> body);
  // Called once, by the actor that runs, when there were so many calls that somebody seems to wait
  // for ever; it must bring all to an end (by killing their processes).
  void SetLimit(std::uint64_t calls, std::function<void()> exceeded);
  void Run();

  std::size_t now() const { return now_; }
  std::uint64_t calls() const { return calls_; }
  std::uint64_t switches() const { return switches_; }

 private:
  struct Actor;
  void BeforeCall() override;
  void AfterSleep() override;
  void Turn(SimStrategy::Why why);
  void SwitchTo(Actor* next);
  static void Main(unsigned high, unsigned low);

  SimWorld* const world_;
  SimStrategy* const strategy_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::vector<std::size_t> ready_;
  std::unique_ptr<Actor> caller_;  // of Run
  Actor* running_ = nullptr;
  std::size_t now_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t switches_ = 0;
  std::uint64_t calls_max_ = UINT64_MAX;
  std::function<void()> exceeded_;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_SIM_SCHEDULE_H_
