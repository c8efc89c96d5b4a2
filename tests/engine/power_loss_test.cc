// Every state of the disk that a power loss may leave, for scripted lives of a store: what was
// acknowledged is there, nothing else passes for whole, and the store goes on. And the other way
// round: with the syncs of any one save, removal or collection left out a state is found where that
// does not hold, so this test sees what it is for.
//
// $CKPT_PROOF_STATES sets how many states of each point are tried (short form 200; 2000 makes
// a million in all); up to 12 unsynced effects, all of their subsets when there are no more of them
// than that. The counts are printed.

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <ostream>

#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

constexpr std::uint64_t kLifePackBytes = 1u << 20;
constexpr std::size_t kEffectsMax = 12;

constexpr std::uint64_t kStatesShort = kAddressSanitizer ? 8 : 200;

std::uint64_t StatesOfAPoint() {
  const char* text = std::getenv("CKPT_PROOF_STATES");
  return text == nullptr ? kStatesShort : std::strtoull(text, nullptr, 10);
}

struct Life {
  const char* name;
  std::function<void(SimWorld*, Told*)> run;  // goes on after failures; a dead process fails all
  std::size_t block_bytes = 3000;
  std::uint64_t slower = 1;  // its states are so many times fewer
};

void PrintTo(const Life& life, std::ostream* out) { *out << life.name; }

// The syncs of one save, removal or collection.
struct Part {
  std::string name;
  std::uint64_t first_sync;
  std::uint64_t last_sync;
};
std::vector<Part>* parts = nullptr;  // where they are noted, if anywhere

class NotedPart {
 public:
  NotedPart(SimWorld* world, std::string name)
      : world_(world), part_{std::move(name), world->sync_count() + 1, 0} {}
  ~NotedPart() {
    part_.last_sync = world_->sync_count();
    if (parts != nullptr) parts->push_back(part_);
  }
  NotedPart(const NotedPart&) = delete;
  NotedPart& operator=(const NotedPart&) = delete;

 private:
  SimWorld* const world_;
  Part part_;
};

Result<std::unique_ptr<Store>> OpenToSave(Env* env) {
  return OpenAt(env, OpenStoreOptions::Mode::kCreate, kLifePackBytes);
}

void SaveStep(SimWorld* world, Told* told, std::int64_t step,
              std::optional<std::int64_t> from = std::nullopt) {
  NotedPart part(world, "save " + std::to_string(step));
  auto store = OpenToSave(world);
  if (!store.ok()) return;
  told->tried.insert(step);
  told->removed.erase(step);  // it comes back now
  SaveOptions options;
  options.series = "run";
  options.step = step;
  options.from_step = from;
  auto saving = Saving::Begin(store->get(), std::move(options));
  if (!saving.ok() || !(*saving)->Put(0, kBlocks, step % 2 == 0).ok()) return;
  if (!(*saving)->End().ok()) return;
  told->acknowledged.insert(step);
  told->removing.erase(step);
}

void RemoveStep(SimWorld* world, Told* told, std::int64_t step) {
  NotedPart part(world, "rm " + std::to_string(step));
  auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite);
  if (!store.ok()) return;
  told->removing.insert(step);
  if (Remove(store->get(), step).ok()) told->removed.insert(step);
}

void CollectAll(SimWorld* world) {
  NotedPart part(world, "gc");
  auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite);
  if (store.ok()) (void)Collect(store->get()).ok();
}

void SavesAndCollections(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2, 3}) SaveStep(world, told, step);
  RemoveStep(world, told, 1);
  CollectAll(world);
  SaveStep(world, told, 4);
  RemoveStep(world, told, 2);
  RemoveStep(world, told, 3);
  CollectAll(world);
  SaveStep(world, told, 5);
}

void BranchAndTheSameStepAgain(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2, 3}) SaveStep(world, told, step);
  SaveStep(world, told, 4, 1);  // goes back
  SaveStep(world, told, 5);
  RemoveStep(world, told, 4);
  SaveStep(world, told, 4);  // begins another attempt
  CollectAll(world);
  SaveStep(world, told, 6);
}

// Two writers at once, of which one begins while the other is at work, beside a collection.
void SeveralWriters(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2}) SaveStep(world, told, step);
  RemoveStep(world, told, 1);
  auto first = OpenToSave(world);
  auto second = OpenToSave(world);
  if (!first.ok() || !second.ok()) return;
  told->tried.insert(3);
  auto a = Saving::Begin(first->get(), 3);
  auto b = Saving::Begin(second->get(), 3, "other");
  if (!a.ok() || !b.ok()) return;
  if (!(*b)->Put(0, kBlocks).ok() || !(*a)->Put(0, 4).ok()) return;
  if (!(*b)->End().ok()) return;
  b->reset();
  CollectAll(world);
  if (!(*a)->Put(4, kBlocks).ok()) return;
  if ((*a)->End().ok()) told->acknowledged.insert(3);
}

// A run that stages and commits, its successor, which takes over what was only staged.
void StageAndCommit(SimWorld* world, Told* told) {
  auto store = OpenToSave(world);
  if (!store.ok()) return;
  Told staged;
  auto commit = [&](RunOfSaves* run) {
    if (!run->Commit().ok()) return false;
    told->acknowledged = staged.acknowledged;
    return true;
  };
  auto stage = [&](RunOfSaves* run, std::int64_t step) {
    told->tried.insert(step);
    if (!run->Stage(step).ok()) return false;
    staged.acknowledged.insert(step);
    return true;
  };
  {
    RunOfSaves first(world, store->get(), 1);
    if (!stage(&first, 1) || !commit(&first)) return;
    if (!stage(&first, 2) || !stage(&first, 3) || !commit(&first)) return;
    (void)first.RemoveAndCollect(1, told).ok();
    if (!stage(&first, 4) || !stage(&first, 5)) return;
  }
  RunOfSaves second(world, store->get(), 2);
  if (!stage(&second, 6) || !commit(&second)) return;
  (void)second.RemoveAndCollect(2, told).ok();
}

// A flush fails and the next one says success, as on Linux; the pack is given up.
void PoisonedPack(SimWorld* world, Told* told) {
  SaveStep(world, told, 1);
  world->FailOp(world->op_count(SimOp::kSync) + 1, EIO, false, SimOp::kSync);
  SaveStep(world, told, 2);
  SaveStep(world, told, 3);
  RemoveStep(world, told, 1);
  CollectAll(world);
  SaveStep(world, told, 4);
}

// A writer of another host stages, commits, stages again and is gone; a person says so.
void LostHost(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2}) SaveStep(world, told, step);
  auto far = world->NewProcess();
  far->set_host(RunId(77), "far");
  {
    auto store = OpenToSave(far.get());
    if (!store.ok()) return;
    RunOfSaves run(far.get(), store->get(), 3);
    told->tried.insert({3, 4});
    if (!run.Stage(3).ok() || !run.Commit().ok()) return;
    told->acknowledged.insert(3);
    if (!run.Stage(4).ok()) return;
    far->Kill();
  }
  RemoveStep(world, told, 1);
  if (auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite); store.ok()) {
    CollectOptions options;
    options.break_host_name = "far";
    auto collector = Collector::Open(store->get(), options);
    Collected collected;
    if (collector.ok()) (void)(*collector)->Run({}, &collected).ok();
  }
  SaveStep(world, told, 5);
  RemoveStep(world, told, 2);
  CollectAll(world);
  SaveStep(world, told, 6);
}

const Life kLives[] = {
    {"saves and collections", SavesAndCollections},
    {"packs that fill up", SavesAndCollections, 90000, 8},
    {"branch, same step again", BranchAndTheSameStepAgain},
    {"several writers", SeveralWriters},
    {"stage and commit", StageAndCommit},
    {"poisoned pack", PoisonedPack},
    {"lost host", LostHost},
};

// Runs a life up to its n-th operation.
std::unique_ptr<SimWorld> LiveUntil(const Life& life, std::uint64_t n, const Part& left_out,
                                    Told* told) {
  auto world = std::make_unique<SimWorld>(7);
  world->LeaveOutSyncs(left_out.first_sync, left_out.last_sync);
  world->set_stop_after(n);
  life.run(world.get(), told);
  return world;
}

// What does not hold after opening; with `go_on`, after a save and a collection, too.
std::string WhatBreaks(SimWorld* world, Told told, bool go_on) {
  auto store = OpenToSave(world);
  if (!store.ok()) return "opening: " + store.status().ToString();  // I3
  std::string broken = Violation(store->get(), told);
  if (!broken.empty() || !go_on) return broken;
  told.tried.insert(90);
  if (Status s = Save(store->get(), 90, true); !s.ok()) return "save: " + s.ToString();
  told.acknowledged.insert(90);
  if (auto c = Collect(store->get()); !c.ok()) return "gc: " + c.status().ToString();
  return Violation(store->get(), told);
}

CrashChoice StateOf(std::uint64_t k, std::size_t effects, std::uint64_t states) {
  CrashChoice choice;
  if (effects <= kEffectsMax && (1ull << effects) <= states && k < (1ull << effects)) {
    choice.keep = CrashChoice::Keep::kMask;  // all subsets, then random ones with tears
    for (std::size_t i = 0; i < effects; ++i) choice.mask.push_back((k >> i & 1) != 0);
    choice.fill = static_cast<CrashChoice::Fill>(k % 3);
    choice.seed = k;
    return choice;
  }
  if (k == 0) return CrashChoice::None();
  if (k == 1) return CrashChoice::All();
  return CrashChoice::Random(k * 7919 + effects);
}

const Part kNothing = {"", 0, 0};

// Tries `states` states after each operation. "" or what is broken, and where.
std::string TryStates(const Life& life, const Part& left_out, std::uint64_t operations,
                      std::uint64_t states, std::uint64_t* tried) {
  for (std::uint64_t n = 0; n <= operations; ++n) {
    Told told;
    auto world = LiveUntil(life, n, left_out, &told);
    const std::size_t effects = world->effect_count();
    const std::uint64_t here = effects == 0 ? 1 : states;
    for (std::uint64_t k = 0; k < here; ++k, ++*tried) {
      auto after = world->Crash(StateOf(k, effects, states));
      std::string broken = WhatBreaks(after.get(), told, k % 16 == 5 || effects == 0);
      if (broken.empty()) continue;
      return "after operation " + std::to_string(n) + ", state " + std::to_string(k) + " of " +
             std::to_string(effects) + " effects: " + broken;
    }
  }
  return "";
}

class PowerLoss : public ::testing::TestWithParam<Life> {
 protected:
  PowerLoss() { block_bytes = GetParam().block_bytes; }
  ~PowerLoss() override { block_bytes = 3000; }
};
INSTANTIATE_TEST_SUITE_P(Lives, PowerLoss, ::testing::ValuesIn(kLives), [](const auto& life) {
  std::string name = life.param.name;
  std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
  return name;
});

std::uint64_t OperationsOf(const Life& life) {
  Told told;
  return LiveUntil(life, UINT64_MAX, kNothing, &told)->op_count();
}

TEST_P(PowerLoss, WhatWasAcknowledgedIsThereInEveryState) {
  const std::uint64_t operations = OperationsOf(GetParam());
  std::uint64_t tried = 0;
  EXPECT_EQ(
      TryStates(GetParam(), kNothing, operations, StatesOfAPoint() / GetParam().slower, &tried),
      "");
  std::printf("proof: %s: %llu states after %llu operations\n", GetParam().name,
              static_cast<unsigned long long>(tried), static_cast<unsigned long long>(operations));
}

TEST(PowerLossTest, SyncsLeftOutAreFound) {
  const Life& life = kLives[0];
  std::vector<Part> all;
  parts = &all;
  const std::uint64_t operations = OperationsOf(life);
  parts = nullptr;
  ASSERT_EQ(all.size(), 10u);
  std::uint64_t tried = 0;
  for (const Part& part : all) {
    EXPECT_NE(TryStates(life, part, operations, 24, &tried), "")
        << part.name << " makes " << part.last_sync + 1 - part.first_sync
        << " syncs, and nothing shows that it needs them";
  }
}

}  // namespace
}  // namespace ckpt
