// Many processes save into a store that is not there yet, as the first jobs of an array do: all of
// them find one store, under a deterministic scheduler that may switch at every call.
//
// $CKPT_CREATE_RACES: how many schedules of each kind.

#include <gtest/gtest.h>

#include <cstdlib>

#include "store/engine/check.h"
#include "tests/engine/collect_fixture.h"
#include "tests/support/sim_schedule.h"

namespace ckpt {
namespace {

using collect_test::OpenAt;
using collect_test::Save;
using Mode = OpenStoreOptions::Mode;

constexpr std::uint64_t kCreationsShort = kSanitized ? 20 : 400;
constexpr std::size_t kSavers = 3;
constexpr std::uint64_t kCallsOfOne = 150;  // about

enum class Kind : std::uint8_t {
  kOneHost,
  kMortals,   // each may be killed at any change it makes
  kTwoHosts,  // locks are seen on their own host only
};

struct Saver {
  std::unique_ptr<SimProcess> process;
  std::string series;
  Status status = Internal("did not end");
};

class CreateRace {
 public:
  CreateRace(Kind kind, std::uint64_t seed) : kind_(kind), world_(seed), rng_(seed) {
    if (kind == Kind::kTwoHosts) {
      world_.set_network_file_system(true);
      world_.set_locks(SimLocks::kPerHost);
    }
    for (std::size_t i = 0; i < kSavers; ++i) {
      Saver saver;
      saver.process = world_.NewProcess();
      saver.series = "s" + std::to_string(i);
      if (kind == Kind::kTwoHosts && i > 0) saver.process->set_host(collect_test::RunId(77), "far");
      if (kind == Kind::kMortals && i > 0) saver.process->set_stop_after(rng_.Below(60));
      savers_.push_back(std::move(saver));
    }
  }

  // "" or what does not hold.
  std::string Run() {
    constexpr std::uint64_t kRarities[] = {2, 5, 20};
    std::unique_ptr<SimStrategy> strategy;
    if (rng_.Below(2) == 0) {
      strategy = std::make_unique<RandomWalk>(rng_.Next(), kRarities[rng_.Below(3)]);
    } else {
      strategy = std::make_unique<PriorityWalk>(rng_.Next(), kSavers, kSavers * kCallsOfOne,
                                                1 + rng_.Below(4));
    }
    SimSchedule schedule(&world_, strategy.get());
    for (Saver& saver : savers_) {
      schedule.Add([&saver] {
        auto store = OpenAt(saver.process.get(), Mode::kCreate);
        saver.status = store.ok() ? Save(store->get(), 1, true, saver.series) : store.status();
        if (saver.process->dead()) saver.process->Kill();
      });
    }
    schedule.Run();
    std::string broken = WhatBreaks(&world_);
    if (!broken.empty()) return broken;
    auto after = world_.Crash(collect_test::NothingKept());
    broken = WhatBreaks(after.get());
    return broken.empty() ? broken : "without power: " + broken;
  }

 private:
  std::string WhatBreaks(Env* env) {
    // Whoever comes next, whatever the others left.
    auto store = OpenAt(env, Mode::kCreate);
    if (!store.ok()) return store.status().ToString();
    for (const Saver& saver : savers_) {
      if (saver.status.ok()) {
        const Status restored = collect_test::Restore(store->get(), 1, saver.series);
        if (!restored.ok()) return saver.series + " was acknowledged: " + restored.ToString();
      } else if (kind_ != Kind::kTwoHosts && !saver.process->dead()) {
        return saver.series + ": " + saver.status.ToString();
      }
    }
    const Status saved = Save(store->get(), 1, true, "next");
    if (!saved.ok()) return "the next save: " + saved.ToString();
    CheckOptions options;
    options.record = false;
    auto report = CheckStore(store->get(), options);
    if (!report.ok()) return report.status().ToString();
    if (report->damage.empty()) return "";
    return "called damage: " + report->damage.front().what;
  }

  const Kind kind_;
  SimWorld world_;
  SimRng rng_;
  std::vector<Saver> savers_;
};

class CreateRaces : public ::testing::TestWithParam<Kind> {};
std::string NameOf(const ::testing::TestParamInfo<Kind>& info) {
  constexpr const char* kNames[] = {"OneHost", "Mortals", "TwoHosts"};
  return kNames[static_cast<std::size_t>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(By, CreateRaces,
                         ::testing::Values(Kind::kOneHost, Kind::kMortals, Kind::kTwoHosts),
                         NameOf);

TEST_P(CreateRaces, EverybodyFindsOneStore) {
  const char* wanted = std::getenv("CKPT_CREATE_RACES");
  const std::uint64_t schedules =
      wanted == nullptr ? kCreationsShort : std::strtoull(wanted, nullptr, 10);
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    ASSERT_EQ(CreateRace(GetParam(), seed).Run(), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace ckpt
