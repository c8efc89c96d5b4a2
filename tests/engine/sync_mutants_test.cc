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

// Why nothing is lost without it (docs/reliability.md, "Syncs whose absence nothing shows"), or
// null: something must be. Both is tried in the long form.
const char* WhyNothingShows(const Life& life, const LifeSync& sync, Mutant mutant) {
  const std::string_view name = life.name;
  const bool left_out = mutant == Mutant::kLeftOut;
  const bool collect = sync.what == "sync /store/collect";
  const bool packs = sync.what == "sync directory /store/packs";
  const bool parent = sync.what == "sync directory /";
  const bool store = sync.what == "sync directory /store" || parent;
  if (sync.covers == 0 && !store) return "nothing to flush";
  if (collect && !(sync.creating && left_out)) return "collect";
  if (packs && sync.before.starts_with("remove ")) return "names of packs that were unlinked";
  // A store whose maker lived to finish it, and what its maker did before it died. (The parent's
  // sync comes before the format file, so whoever finds that need not do it again.)
  const bool later = !sync.creating && !sync.before.starts_with("link ");
  if (store && later && (parent || name != "maker dies")) return "a store that is finished";
  const bool of_parts = sync.before.starts_with("sync /store/format.");
  if (store && name == "maker dies" && sync.part == "beginning" && !of_parts) {
    return "done by the next maker";
  }
  if (name == "several writers" && packs && sync.part == "beginning") return "nobody is asked";
  if (name == "poisoned pack" && sync.part == "save 2") return "the sync that fails";
  // Adopted, and flushed again with the save itself.
  bool adopts = name == "poisoned pack" && sync.part == "save 3" && sync.again_in_part;
  if (adopts && !sync.before.ends_with(" at 0")) return "flushed again in the save";
  // The announced pack has its header by then; that a writer ended is told for the next collection.
  if (*life.mutated != 0 && sync.covers_mark) return "announced before";
  if (*life.mutated != 0 && sync.before.starts_with("truncate ")) return "the end of a writer";
  if (name == "damage healed" && packs && sync.part == "gc") return "the damaged pack stays";
  // What was copied is taken over from a tail, too, where it is whole.
  const bool whole = sync.part != "repair" && name != "full disk" && !sync.creating;
  if (sync.covers_mark && whole) return "a tail that is whole";
  if (left_out) return nullptr;
  if (packs || sync.what == "sync directory /store/locks") return "absent as a whole";
  if (sync.what == "sync directory /store/quarantine") return "order only";
  if (parent || (store && !sync.creating)) return "absent as a whole";
  // Of the reserve's mark alone: before what it covers is unlinked is soon enough.
  return sync.covers_mark && !sync.part.starts_with("rm ") ? "order only" : nullptr;
}

bool IsOf(std::string_view what, std::string_view verb, std::string_view path) {
  return what.starts_with(verb) && what.substr(verb.size()).starts_with(path);
}

// The same for two changes in the other order. What needs no order besides: names (a file without
// its name is absent as a whole), sizes, blocks, `collect`, unlinking, and a mark, for the next one
// covers what it did.
bool MustBeOrdered(const Life& life, const OrderedPair& pair) {
  const std::string_view what = pair.first->what;
  if (life.name == std::string_view("poisoned pack") && pair.first->part == "save 2") return false;
  if (IsOf(what, "write ", "/store/packs/") || IsOf(what, "punch a hole into ", "/store/packs/")) {
    const bool reserve = life.name == std::string_view("full disk");
    return !pair.first->mark || (reserve && pair.first->part.starts_with("rm "));
  }
  return IsOf(what, "write ", "/store/format.") || IsOf(what, "allocate ", "/store/format.") ||
         what == "make directory /store/packs" || what == "make directory /store/locks";
}

// What the life's mutant breaks; "" when nothing.
std::string TryLeftOut(const Life& life, const std::vector<LifeSync>& syncs, const LifeSync& sync,
                       std::uint64_t changes, std::uint64_t* tried) {
  // From the next sync of the same file or folder on it makes no difference, but to what others
  // were misled to.
  for (const LifeSync& later : syncs) {
    if (*life.mutated == 0 && later.change > sync.change && later.what == sync.what) {
      changes = later.change - 1;
      break;
    }
  }
  for (std::uint64_t n = sync.change; n <= changes; ++n) {
    Told told;
    auto world = LiveUntil(life, n, {.left_out = sync.change}, &told);
    std::string broken = TryWorld(*world, told, kRandomStates, tried);
    if (!broken.empty()) return broken;
  }
  return "";
}

std::string TryPutOff(const Life& life, const std::vector<LifeSync>& syncs, const LifeSync& sync,
                      std::uint64_t* tried) {
  Told told;
  auto world =
      LiveUntil(life, NextOther(syncs, sync), {.left_out = sync.change}, &told, /*at_once=*/true);
  return TryWorld(*world, told, 8 * kRandomStates, tried);
}

std::string TrySwapped(const Life& life, const OrderedPair& pair, std::uint64_t* tried) {
  Told told;
  const std::uint64_t until = pair.second->number;
  auto world = LiveUntil(life, until, {.kept_back = pair.first->number, .until = until}, &told,
                         /*at_once=*/true);
  return TryWorld(*world, told, kRandomStates, tried);
}

class SyncMutants : public LifeTest {};
// Without those of larger blocks (each as another life).
std::vector<Life> LivesToMutate() {
  std::vector<Life> lives;
  for (const Life& life : AllLives()) {
    if (life.block_bytes > 3000 || life.mutated == std::string_view("nothing")) continue;
    lives.push_back(life);
  }
  return lives;
}
INSTANTIATE_TEST_SUITE_P(Lives, SyncMutants, ::testing::ValuesIn(LivesToMutate()),
                         [](const auto& life) {
                           std::string name = life.param.name;
                           std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
                           return name;
                         });

// What was tried of one kind.
struct Tally {
  std::uint64_t found = 0, excused = 0;
  // Demands that what has no excuse is found, and what has one is not.
  void Take(const std::string& broken, const char* why, const std::string& mutant) {
    EXPECT_EQ(broken.empty(), why != nullptr)
        << mutant << (why == nullptr ? ": nothing shows it" : ": found, although excused as ")
        << (why == nullptr ? "" : why) << broken;
    ++(broken.empty() ? excused : found);
  }
};

// The short form looks only for those that must be found; $CKPT_MUTANTS=all for the others, too.
class MutantsOf {
 public:
  explicit MutantsOf(const Life& life)
      : life_(life), story_(StoryOf(life)), syncs_(SyncsOf(story_)) {}

  void TrySyncs() {
    for (const LifeSync& sync : syncs_) {
      if (!IsMutated(sync.part)) continue;
      Told told;
      auto world = LiveUntil(life_, sync.change, {}, &told);
      ASSERT_EQ(TryWorld(*world, told, kRandomStates, &tried_), "") << "with all syncs in place";
      for (Mutant mutant : {Mutant::kLeftOut, Mutant::kPutOff}) TrySync(sync, mutant);
    }
  }
  void TryPairs() {
    for (const OrderedPair& pair : OrderedPairsOf(story_)) {
      if (!IsMutated(pair.first->part)) continue;
      const char* why = MustBeOrdered(life_, pair) ? nullptr : "no order needed";
      std::string broken;
      if (why == nullptr || all_) broken = TrySwapped(life_, pair, &tried_);
      swaps_.Take(broken, why, pair.first->what + " after " + pair.second->what);
    }
  }
  void Print() const {
    std::printf(
        "proof: mutants: %s: %d syncs found, %d excused; %d swaps found, %d excused; %d"
        " states in all\n",
        life_.name, static_cast<int>(left_out_.found + put_off_.found),
        static_cast<int>(left_out_.excused + put_off_.excused), static_cast<int>(swaps_.found),
        static_cast<int>(swaps_.excused), static_cast<int>(tried_));
  }

 private:
  bool IsMutated(const std::string& part) const {
    return *life_.mutated == 0 || part == life_.mutated;
  }
  void TrySync(const LifeSync& sync, Mutant mutant) {
    const char* why = WhyNothingShows(life_, sync, mutant);
    const bool left_out = mutant == Mutant::kLeftOut;
    std::string broken;
    if (why == nullptr || all_) {
      broken = left_out ? TryLeftOut(life_, syncs_, sync, story_.size(), &tried_)
                        : TryPutOff(life_, syncs_, sync, &tried_);
    }
    (left_out ? left_out_ : put_off_)
        .Take(broken, why,
              sync.part + ", change " + std::to_string(sync.change) + ", " + sync.what + " after " +
                  sync.before + (left_out ? ", left out" : ", put off"));
  }

  const Life& life_;
  const LifeStory story_;
  const std::vector<LifeSync> syncs_;
  const bool all_ = std::getenv("CKPT_MUTANTS") != nullptr;
  std::uint64_t tried_ = 0;
  Tally left_out_, put_off_, swaps_;
};

TEST_P(SyncMutants, EachIsFoundOrExplained) {
  MutantsOf mutants(GetParam());
  mutants.TrySyncs();
  mutants.TryPairs();
  mutants.Print();
}

}  // namespace
}  // namespace ckpt
