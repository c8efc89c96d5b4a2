// Writers, removals, collectors and readers of one store under a deterministic scheduler that may
// switch at every file call. After each schedule: what was acknowledged and not removed restores
// bit for bit and what was removed stays removed (also when the power is then lost), nothing that
// passes for whole lacks a chunk, no reader failed on a checkpoint that was not removed, each save
// of the one host committed (I7), and collection ended idle or gave up soundly.
//
// $CKPT_RACES: how many schedules in all (short form below; scripts/prove runs a million), from
// seed $CKPT_RACES_FIRST on. $CKPT_RACES_SEED: this one only, with every call printed; a failure
// names it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <ostream>

#include "tests/support/race.h"

namespace ckpt {
namespace {

using races::BaseStore;
using races::Name;
using races::Race;
using races::RaceOptions;

constexpr std::uint64_t kSchedulesShort = kSanitized ? 200 : 10000;
constexpr std::uint64_t kBases = 8;
constexpr std::uint64_t kCallsOfARace = 2000;  // about: where priorities change

std::uint64_t Variable(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::uint64_t Schedules() { return Variable("CKPT_RACES", kSchedulesShort); }

const BaseStore& Base(std::uint64_t seed) {
  static std::map<std::uint64_t, BaseStore> bases;
  return bases.try_emplace(seed % kBases, 3 + seed % kBases).first->second;
}

struct Scenario {
  const char* name;
  void (*cast)(Race* race, SimRng* rng);
  bool hosts = false;
  std::uint64_t share = 1;  // of all schedules, in parts
};

void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

void CastCollector(Race* race, SimRng* rng) {
  constexpr std::int64_t kWaits[] = {0, 100, 2000};
  race->Collects(kWaits[rng->Below(3)], rng->Below(2) == 0 ? 1.0 : 0.75);
}

void CastSaver(Race* race, SimRng* rng, const std::string& series) {
  constexpr std::int64_t kSteps[] = {2, 3, 5, 9};  // of removed blocks, living ones, and both
  race->Saves(series, kSteps[rng->Below(4)], true);
}

// The series that has a past goes on: two thirds of its blocks are inherited.
void CastRun(Race* race, SimRng* rng) {
  if (rng->Below(4) != 0) {
    // Step 9 has blocks of removed steps, which it finds; step 5 has its parent's and its own.
    race->Session(rng->Below(2) == 0 ? 5 : 9, 1 + static_cast<int>(rng->Below(3)));
  } else {
    race->Saves("run", rng->Below(2) == 0 ? 5 : 9, rng->Below(3) == 0);
  }
}

void CastOneHost(Race* race, SimRng* rng) {
  if (rng->Below(5) != 0) CastRun(race, rng);
  if (rng->Below(4) != 0) CastSaver(race, rng, "a");
  if (rng->Below(3) == 0) CastSaver(race, rng, "b");
  if (rng->Below(2) == 0) race->Removes(3 + static_cast<std::int64_t>(rng->Below(2)));
  CastCollector(race, rng);
  if (rng->Below(3) == 0) CastCollector(race, rng);
  if (rng->Below(2) == 0) race->Reads("run", 3 + static_cast<std::int64_t>(rng->Below(2)), 2);
  if (rng->Below(4) == 0) race->Reads("a", 9, 2);
}

// Each may be killed at any change it makes.
void CastMortals(Race* race, SimRng* rng) {
  auto mortal = [&] {
    if (rng->Below(2) == 0) race->KillLastAt(rng->Below(40));
  };
  CastRun(race, rng);
  mortal();
  CastSaver(race, rng, "a");
  mortal();
  if (rng->Below(2) == 0) {
    race->Removes(3 + static_cast<std::int64_t>(rng->Below(2)));
    mortal();
  }
  for (int i = 0; i < 2; ++i) {
    CastCollector(race, rng);
    mortal();
  }
  if (rng->Below(2) == 0) race->Reads("run", 3 + static_cast<std::int64_t>(rng->Below(2)), 2);
}

// Writers of another host, whose locks are not seen here and which a person may give up for dead.
void CastTwoHosts(Race* race, SimRng* rng) {
  race->NextIsFar();
  rng->Below(2) == 0 ? CastRun(race, rng) : CastSaver(race, rng, "a");
  if (rng->Below(4) == 0) race->KillLastAt(rng->Below(40));
  CastSaver(race, rng, "b");
  if (rng->Below(2) == 0) race->Removes(3 + static_cast<std::int64_t>(rng->Below(2)));
  race->Collects(100, 1.0, "far");
  if (rng->Below(2) == 0) CastCollector(race, rng);
  if (rng->Below(2) == 0) race->Reads("run", 3 + static_cast<std::int64_t>(rng->Below(2)), 2);
}

// Few actors, so that the moments between a hit, its claim and the second look are met often.
void CastClaims(Race* race, SimRng* rng) {
  rng->Below(2) == 0 ? race->Session(9, 2) : race->Saves("a", 2, true);
  if (rng->Below(2) == 0) race->Removes(4);
  race->Collects(2000, 1.0);
}

// Chunks that are stored twice, as differences from different bases, of which some go.
void CastTwins(Race* race, SimRng* rng) {
  if (!collect_test::similar_blocks) return CastClaims(race, rng);
  const std::string series = rng->Below(2) == 0 ? "twin" : "other";
  race->Saves(series, 10, rng->Below(3) == 0);  // has blocks of step 8, inherited or found
  if (rng->Below(3) == 0) race->Saves("a", 8, true);
  const Name names[] = {{"twin", 5}, {"twin", 8}, {"other", 2}, {"other", 8}};
  for (const auto& [of, step] : names) {
    if (rng->Below(2) == 0) race->Removes(step, of);
  }
  CastCollector(race, rng);
  if (rng->Below(2) == 0) CastCollector(race, rng);
  if (rng->Below(3) == 0) race->Reads(series, 8, 2);
}

const Scenario kScenarios[] = {
    {"OneHost", CastOneHost, false, 4}, {"Mortals", CastMortals, false, 2},
    {"Claims", CastClaims, false, 1},   {"TwoHosts", CastTwoHosts, true, 2},
    {"Twins", CastTwins, false, 2},
};
constexpr std::uint64_t kShares = 12;  // the twelfth: few preemptions

std::unique_ptr<SimStrategy> StrategyOf(std::size_t actors, SimRng* rng) {
  if (rng->Below(3) == 0) {
    constexpr std::uint64_t kRarities[] = {2, 10, 50, 250};
    return std::make_unique<RandomWalk>(rng->Next(), kRarities[rng->Below(4)]);
  }
  return std::make_unique<PriorityWalk>(rng->Next(), actors, kCallsOfARace, rng->Below(5));
}

struct Totals {
  std::uint64_t calls = 0;
  std::uint64_t switches = 0;
  std::uint64_t collected = 0;  // schedules in which a pack went
};

// One schedule, all of it from `seed`.
std::string RunSeed(const Scenario& scenario, std::uint64_t seed, RaceOptions options,
                    Totals* totals, bool print = false) {
  SimRng rng(seed);
  options.hosts = scenario.hosts;
  const std::uint64_t which = rng.Next();
  collect_test::similar_blocks = which % 2 == 1;  // which are stored as differences
  const BaseStore& base = Base(which);
  Race race(base, rng.Next(), options);
  scenario.cast(&race, &rng);
  auto strategy = StrategyOf(race.actors(), &rng);
  if (print) {
    race.world()->set_trace([&](std::uint64_t process, SimOp, const std::string& what) {
      if (process != 0) std::printf("%s: %s\n", race.NameOfProcess(process).c_str(), what.c_str());
    });
  }
  std::string broken = race.Run(strategy.get());
  totals->calls += race.calls();
  totals->switches += race.switches();
  totals->collected += race.collected() ? 1 : 0;
  return broken;
}

class Races : public ::testing::TestWithParam<Scenario> {
 protected:
  ~Races() override { collect_test::similar_blocks = false; }
};
INSTANTIATE_TEST_SUITE_P(Casts, Races, ::testing::ValuesIn(kScenarios),
                         [](const auto& scenario) { return std::string(scenario.param.name); });

TEST_P(Races, WhatWasPromisedHoldsInEverySchedule) {
  const Scenario& scenario = GetParam();
  Totals totals;
  if (std::uint64_t seed = Variable("CKPT_RACES_SEED", 0); seed != 0) {
    EXPECT_EQ(RunSeed(scenario, seed, {}, &totals, true), "");
    return;
  }
  const std::uint64_t schedules = Schedules() * scenario.share / kShares;
  const std::uint64_t first = Variable("CKPT_RACES_FIRST", 1);
  for (std::uint64_t seed = first; seed < first + schedules; ++seed) {
    ASSERT_EQ(RunSeed(scenario, seed, {}, &totals), "")
        << "again, with every call: CKPT_RACES_SEED=" << seed
        << " engine_test --gtest_filter='*Races*" << scenario.name << "'";
  }
  EXPECT_GT(totals.collected, schedules / 4) << "collectors hardly ever did anything";
  std::printf("proof: %s: %llu schedules, %llu calls, %llu switches, packs collected in %llu\n",
              scenario.name, static_cast<unsigned long long>(schedules),
              static_cast<unsigned long long>(totals.calls),
              static_cast<unsigned long long>(totals.switches),
              static_cast<unsigned long long>(totals.collected));
}

// All schedules of a small cast with at most two preemptions; with two of them only every k-th, so
// that they are about `schedules` in all.
struct FewPreemptions {
  void (*cast)(Race* race);
  std::uint64_t tried = 0;

  std::string Try(std::size_t first, std::vector<std::uint64_t> at, std::uint64_t* calls) {
    Race race(Base(0), 7, {});
    cast(&race);
    std::string where = "first " + std::to_string(first);
    for (std::uint64_t call : at) where += ", preempted at " + std::to_string(call);
    Preemptions strategy(first, std::move(at));
    std::string broken = race.Run(&strategy);
    *calls = strategy.calls();
    ++tried;
    return broken.empty() ? broken : where + ": " + broken;
  }
  std::string TryAll(std::size_t actors, std::uint64_t schedules, std::uint64_t* stride) {
    for (std::size_t first = 0; first < actors; ++first) {
      std::uint64_t calls = 0, with_one = 0, with_two = 0;
      std::string broken = Try(first, {}, &calls);
      std::uint64_t pairs = calls * calls / 2 * actors;
      std::uint64_t rest = schedules - std::min(schedules, calls * actors);
      *stride = rest == 0 ? pairs : std::max<std::uint64_t>(1, pairs / rest);
      std::uint64_t pair = 0;
      for (std::uint64_t i = 1; i <= calls && broken.empty(); i += kSweepStride) {
        broken = Try(first, {i}, &with_one);
        for (std::uint64_t j = i + 1; j <= with_one && broken.empty(); ++j) {
          if (pair++ % *stride == *stride - 1) broken = Try(first, {i, j}, &with_two);
        }
      }
      if (!broken.empty()) return broken;
    }
    return "";
  }
};

void CastOneSaveOneCollector(Race* race) {
  race->Saves("run", 9, true);
  race->Collects(0, 1.0);
}

TEST(RacesTest, SchedulesOfFewPreemptionsHold) {
  FewPreemptions few{CastOneSaveOneCollector};
  std::uint64_t stride = 0;
  ASSERT_EQ(few.TryAll(2, Schedules() / kShares, &stride), "");
  std::printf(
      "proof: FewPreemptions: %llu schedules, all with one, every %llu. of those with two\n",
      static_cast<unsigned long long>(few.tried), static_cast<unsigned long long>(stride));
}

// ---- the test of the test -----------------------------------------------------------------------

constexpr std::uint64_t kSlotBytes = 65536;  // docs/format.md, "collect"
constexpr std::size_t kCondemnedAt = 40, kBrokenAt = 44, kListAt = 48;

bool IsSlot(const std::string& path, MutableByteSpan read) {
  return path.ends_with("/collect") && path.find("/locks/") == std::string::npos &&
         read.size() == kSlotBytes;
}

void Put32(MutableByteSpan at, std::uint32_t value) { std::memcpy(at.data(), &value, 4); }

void SetChecksum(MutableByteSpan slot) {
  std::uint64_t checksum = Checksum64(slot.first(kSlotBytes - 8));
  std::memcpy(slot.data() + kSlotBytes - 8, &checksum, 8);
}

// `collect` names no pack: its reader acknowledges the epoch and claims nothing.
void HideCondemned(const std::string& path, std::uint64_t, MutableByteSpan read) {
  if (!IsSlot(path, read) || LoadU32(read.data() + kCondemnedAt) == 0) return;
  Put32(read.subspan(kCondemnedAt), 0);
  Put32(read.subspan(kBrokenAt), 0);
  std::fill(read.begin() + kListAt, read.end(), std::byte{0});
  SetChecksum(read);
}

// Nobody is broken.
void HideBroken(const std::string& path, std::uint64_t, MutableByteSpan read) {
  if (!IsSlot(path, read) || LoadU32(read.data() + kBrokenAt) == 0) return;
  std::uint32_t condemned = LoadU32(read.data() + kCondemnedAt);
  Put32(read.subspan(kBrokenAt), 0);
  std::fill(read.begin() + kListAt + 16 * condemned, read.end(), std::byte{0});
  SetChecksum(read);
}

// An old copy of `collect`, from before the first epoch.
void HideCollection(const std::string& path, std::uint64_t, MutableByteSpan read) {
  if (IsSlot(path, read)) std::fill(read.begin(), read.end(), std::byte{0});
}

struct Lie {
  const char* name;
  RaceOptions options;
  Scenario scenario = kScenarios[0];
};

void CastFarSessionBroken(Race* race, SimRng*) {
  race->NextIsFar();
  race->Session(5, 3);
  race->Collects(0, 1.0, "far");
}

RaceOptions ToWriters(SimLies lies) {
  RaceOptions options;
  options.writers_are_told = std::move(lies);
  return options;
}
RaceOptions ToCollectors(SimLies lies) {
  RaceOptions options;
  options.collectors_are_told = std::move(lies);
  return options;
}

TEST(RacesTest, LiesAreFound) {
  const Lie lies[] = {
      {"collectors see no locks: they wait for nobody",
       ToCollectors({.others_locks_unseen = true})},
      {"writers lock after reading `collect`", ToWriters({.locks_taken_late = true})},
      {"closing a file drops its locks", ToWriters({.locks_dropped_by_close = true})},
      {"writers do not see what is condemned: no claims, and hits on it",
       ToWriters({.reads = HideCondemned})},
      {"writers do not see that they are broken",
       ToWriters({.reads = HideBroken}),
       {"FarSessionBroken", CastFarSessionBroken, true}},
      {"writers see no collection, collectors no locks",
       {.writers_are_told = {.reads = HideCollection},
        .collectors_are_told = {.others_locks_unseen = true}}},
  };
  constexpr std::uint64_t kTriesMax = 5000;
  for (const Lie& lie : lies) {
    Totals totals;
    std::uint64_t seed = 1;
    std::string broken;
    while (broken.empty() && seed <= kTriesMax) {
      broken = RunSeed(lie.scenario, seed++, lie.options, &totals);
    }
    EXPECT_NE(broken, "") << lie.name;
    std::printf("proof: found after %llu schedules: %s: %s\n",
                static_cast<unsigned long long>(seed - 1), lie.name, broken.c_str());
  }
}

}  // namespace
}  // namespace ckpt
