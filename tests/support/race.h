// The cast of races_test.cc: writers, removals, collectors and readers of one small store, each an
// actor of a SimSchedule, and the question whether what they did holds.
//
// A Race is one run: a copy of a store that was made once, processes, and what the world was told.
// Thread rule: one thread.

#ifndef CKPT_TESTS_SUPPORT_RACE_H_
#define CKPT_TESTS_SUPPORT_RACE_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/collect_fixture.h"
#include "tests/support/sim_schedule.h"

namespace ckpt::races {

// What was asked for and answered about one checkpoint.
struct Fate {
  bool acknowledged = false;
  bool removing = false;
  bool removed = false;
};
using Name = std::pair<std::string, std::int64_t>;  // series and step
using Fates = std::map<Name, Fate>;

// A store in which every pack has garbage: series "run", steps 1 to 4 by four writers, of which 1
// and 2 are removed. Where blocks are similar also series "twin" and "other" (SaveTwins).
struct BaseStore {
  explicit BaseStore(std::uint64_t seed);
  std::unique_ptr<SimWorld> world;
  Id128 attempt;  // of "run"
  Fates fates;
};

struct RaceOptions {
  bool hosts = false;             // a network file system whose locks do not cross hosts
  SimLies writers_are_told = {};  // for the test of this test
  SimLies collectors_are_told = {};
};

class Race {
 public:
  Race(const BaseStore& base, std::uint64_t seed, const RaceOptions& options);

  // ---- actors, by what a user would type ------------------------------------------------------
  void Saves(const std::string& series, std::int64_t step, bool look_up);
  // A session: stages and commits `steps` steps of "run" from `first` on, and looks for epochs.
  void Session(std::int64_t first, int steps);
  void Removes(std::int64_t step, const std::string& series = "run");
  void Collects(std::int64_t wait_ms, double live_share, const std::string& break_host = "");
  void Reads(const std::string& series, std::int64_t step, int times);
  // The next actor added is of another host, which may be given up for dead: it may fail.
  void NextIsFar() { next_is_far_ = true; }
  // The actor added last is killed at its n-th change of the disk.
  void KillLastAt(std::uint64_t n);

  // "" or what does not hold.
  std::string Run(SimStrategy* strategy);
  std::size_t actors() const { return bodies_.size(); }
  std::uint64_t calls() const { return calls_; }
  std::uint64_t switches() const { return switches_; }
  bool collected() const { return packs_removed_ > 0; }
  SimWorld* world() { return world_.get(); }
  const std::string& NameOfProcess(std::uint64_t id) const { return names_.at(id); }

 private:
  SimProcess* Add(const std::string& name, const SimLies& lies,
                  std::function<void(SimProcess*)> body);
  // Not ok, and nothing may excuse it: the process was not killed and not given up for dead.
  bool Fails(SimProcess* process, const Status& status, const std::string& what);
  void Blame(const std::string& what);
  Status SessionSteps(Store* store, SimProcess* process, std::int64_t first, int steps);
  std::string WhatBreaks(Env* env) const;
  std::string CollectAtLast();
  std::string AtTheEnd();

  const RaceOptions options_;
  std::unique_ptr<SimWorld> world_;
  SimRng rng_;
  const Id128 parent_attempt_;
  Fates fates_;
  std::vector<std::unique_ptr<SimProcess>> processes_;
  std::map<std::uint64_t, std::string> names_;
  std::set<const SimProcess*> may_fail_;
  std::vector<std::function<void()>> bodies_;
  bool next_is_far_ = false;
  bool collector_died_ = false;
  bool gave_up_ = false;
  std::uint64_t packs_removed_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t switches_ = 0;
  std::string blame_;
};

}  // namespace ckpt::races

#endif  // CKPT_TESTS_SUPPORT_RACE_H_
