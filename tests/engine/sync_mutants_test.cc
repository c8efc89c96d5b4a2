// The test of power_loss_test.cc: every sync of every life left out, one at a time, and every sync
// put off until after the change that follows it. Each must lead to a state of the disk after a
// power loss in which something does not hold; those that do not are named here, with their reason
// in docs/reliability.md.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/support/lives.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

constexpr std::uint64_t kRandomStates = 8;

struct State {
  CrashChoice choice;
  GoOn go_on;
};

// None, all, all but one, one alone, all of it torn; then random ones.
std::vector<State> StatesToTry(std::size_t effects, std::uint64_t random) {
  std::vector<State> states = {{CrashChoice::None(), GoOn::kNot},
                               {CrashChoice::All(), GoOn::kNot},
                               {CrashChoice::None(), GoOn::kSaves},
                               {CrashChoice::None(), GoOn::kFullDisk}};
  for (bool others : {true, false}) {
    for (std::size_t i = 0; i < effects; ++i) {
      CrashChoice choice = CrashChoice::Keeping(CrashChoice::Keep::kMask);
      choice.mask.assign(effects, others);
      choice.mask[i] = !others;
      states.push_back({std::move(choice), others ? GoOn::kSaves : GoOn::kNot});
    }
  }
  for (std::uint64_t k = 0; k < random; ++k) {  // all of it, torn
    CrashChoice choice = CrashChoice::All();
    choice.tear = k % 2 == 0 ? CrashChoice::Tear::kPage : CrashChoice::Tear::kSector;
    choice.seed = k;
    states.push_back({std::move(choice), k % 4 == 0 ? GoOn::kSaves : GoOn::kNot});
  }
  for (std::uint64_t k = 0; k < random; ++k) {
    states.push_back({CrashChoice::Random(k * 7919), k % 4 == 0 ? GoOn::kSaves : GoOn::kNot});
  }
  return states;
}

// "" or what breaks in some state of a world without power.
std::string TryWorld(const SimWorld& world, const Told& told, std::uint64_t random,
                     std::uint64_t* tried) {
  for (const State& state : StatesToTry(world.effect_count(), random)) {
    ++*tried;
    std::string broken = WhatBreaks(world.Crash(state.choice).get(), told, state.go_on);
    if (!broken.empty()) return broken;
  }
  return "";
}

// The next change that is not a sync.
std::uint64_t NextOther(const std::vector<LifeSync>& syncs, const LifeSync& sync) {
  std::uint64_t next = sync.change + 1;
  for (const LifeSync& other : syncs) next += other.change == next ? 1 : 0;
  return next;
}

enum class Mutant : std::uint8_t { kLeftOut, kPutOff };

// Without it nothing is lost: docs/reliability.md, "Syncs whose absence nothing shows", says why.
bool IsExplained(const Life& life, const LifeSync& sync, Mutant mutant) {
  const std::string_view name = life.name;
  // The slots of `collect`, and its blocks.
  if (sync.what == "sync /store/collect") return true;
  // The reserve's name; names of packs that were unlinked.
  const bool packs = sync.what == "sync directory /store/packs";
  if (packs && (sync.creating || sync.before.starts_with("remove "))) return true;
  // A store whose maker lived to finish it, and what its maker did before it died. (The parent's
  // sync comes before the format file, so whoever finds that need not do it again.)
  const bool parent = sync.what == "sync directory /";
  const bool store = sync.what == "sync directory /store" || parent;
  const bool later = !sync.creating && !sync.before.starts_with("rename ");
  if (store && later && (parent || name != "maker dies")) return true;
  if (store && name == "maker dies" && sync.part == "beginning") return true;
  // A save of another series, of which nobody is asked; the sync that fails; what is adopted before
  // the save itself is flushed in the same pack.
  if (name == "several writers" && packs && sync.part == "beginning") return true;
  if (name == "poisoned pack" && sync.part == "save 2") return true;
  if (name == "poisoned pack" && sync.part == "save 3" && sync.again_in_part) return true;
  if (mutant == Mutant::kLeftOut) return false;
  // A pack without its name is absent as a whole, so is a store; locks hold nothing.
  if (packs || sync.what == "sync directory /store/locks") return true;
  if (sync.what == "sync directory /" || (store && !sync.creating)) return true;
  // The second flush of a reserve, of its mark: before what it covers is unlinked is soon enough.
  return sync.marks_reserve;
}

// What the life's mutant breaks; "" when nothing.
std::string TryLeftOut(const Life& life, const std::vector<LifeSync>& syncs, const LifeSync& sync,
                       std::uint64_t changes, std::uint64_t* tried) {
  // From the next sync of the same file or folder on it makes no difference.
  for (const LifeSync& later : syncs) {
    if (later.change > sync.change && later.what == sync.what) {
      changes = later.change - 1;
      break;
    }
  }
  for (std::uint64_t n = sync.change; n <= changes; ++n) {
    Told told;
    auto world = LiveUntil(life, n, {sync.change, sync.change}, &told);
    std::string broken = TryWorld(*world, told, kRandomStates, tried);
    if (!broken.empty()) return broken;
  }
  return "";
}

std::string TryPutOff(const Life& life, const std::vector<LifeSync>& syncs, const LifeSync& sync,
                      std::uint64_t* tried) {
  Told told;
  auto world =
      LiveUntil(life, NextOther(syncs, sync), {sync.change, sync.change}, &told, /*at_once=*/true);
  return TryWorld(*world, told, 8 * kRandomStates, tried);
}

class SyncMutants : public ::testing::TestWithParam<Life> {
 protected:
  SyncMutants() { block_bytes = GetParam().block_bytes; }
  ~SyncMutants() override { block_bytes = 3000; }
};
// Without the slow ones (each as another life, with larger blocks), and without the life of two
// hosts: announcements are flushed so that other hosts see them, and here they see all.
std::vector<Life> LivesToMutate() {
  std::vector<Life> lives;
  for (const Life& life : AllLives()) {
    if (life.slower == 1 && life.name != std::string_view("two hosts")) lives.push_back(life);
  }
  return lives;
}
INSTANTIATE_TEST_SUITE_P(Lives, SyncMutants, ::testing::ValuesIn(LivesToMutate()),
                         [](const auto& life) {
                           std::string name = life.param.name;
                           std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
                           return name;
                         });

// The short form looks only for those that must be found; $CKPT_MUTANTS=all for the others, too.
TEST_P(SyncMutants, EachIsFoundOrExplained) {
  const Life& life = GetParam();
  const bool all = std::getenv("CKPT_MUTANTS") != nullptr;
  std::uint64_t changes = 0, tried = 0, found = 0, explained = 0;
  const std::vector<LifeSync> syncs = SyncsOf(life, &changes);
  for (const LifeSync& sync : syncs) {
    Told told;
    auto world = LiveUntil(life, sync.change, {}, &told);
    ASSERT_EQ(TryWorld(*world, told, kRandomStates, &tried), "") << "with all syncs in place";
    for (Mutant mutant : {Mutant::kLeftOut, Mutant::kPutOff}) {
      const bool excused = IsExplained(life, sync, mutant);
      std::string broken;
      if (!excused || all) {
        broken = mutant == Mutant::kLeftOut ? TryLeftOut(life, syncs, sync, changes, &tried)
                                            : TryPutOff(life, syncs, sync, &tried);
      }
      ++(broken.empty() ? explained : found);
      EXPECT_TRUE(excused || !broken.empty())
          << sync.part << ", change " << sync.change << ", " << sync.what
          << (mutant == Mutant::kLeftOut ? " left out" : " put off") << ": nothing shows it";
      if (excused && !broken.empty()) {
        std::printf("proof: found although excused: %s, change %d, %s: %s\n", life.name,
                    static_cast<int>(sync.change), sync.what.c_str(), broken.c_str());
      }
    }
  }
  std::printf("proof: mutants: %s: %d found, %d explained, %d states\n", life.name,
              static_cast<int>(found), static_cast<int>(explained), static_cast<int>(tried));
}

}  // namespace
}  // namespace ckpt
