#include "tests/support/lives.h"

#include "store/engine/reserve.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

// What the syncs are noted under, while they are.
std::string* part_now = nullptr;

class NotedPart {
 public:
  explicit NotedPart(std::string name) {
    if (part_now != nullptr) before_ = std::exchange(*part_now, std::move(name));
  }
  ~NotedPart() {
    if (part_now != nullptr) *part_now = std::move(before_);
  }
  NotedPart(const NotedPart&) = delete;
  NotedPart& operator=(const NotedPart&) = delete;

 private:
  std::string before_;
};

void SaveStep(SimWorld* world, Told* told, std::int64_t step,
              std::optional<std::int64_t> from = std::nullopt) {
  NotedPart part("save " + std::to_string(step));
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
  NotedPart part("rm " + std::to_string(step));
  auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite);
  if (!store.ok()) return;
  told->removing.insert(step);
  if (Remove(store->get(), step).ok()) told->removed.insert(step);
}

void CollectAll(SimWorld* world) {
  NotedPart part("gc");
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

// A run that commits while a collection waits for it, and goes on after it.
void CommitsBesideCollection(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2}) SaveStep(world, told, step);
  auto store = OpenToSave(world);
  if (!store.ok()) return;
  RunOfSaves run(world, store->get(), 4);
  auto save = [&](std::int64_t step) -> Status {
    told->tried.insert(step);
    CKPT_RETURN_IF_ERROR(run.Stage(step));
    CKPT_RETURN_IF_ERROR(run.Commit());
    told->acknowledged.insert(step);
    return Status();
  };
  if (!save(3).ok()) return;
  RemoveStep(world, told, 1);
  RemoveStep(world, told, 2);
  auto other = OpenAt(world, OpenStoreOptions::Mode::kWrite);
  if (!other.ok()) return;
  CollectOptions options;
  options.wait_ms = 100;
  options.live_share = 1.0;
  std::int64_t step = 4;
  options.while_waiting = [&]() -> Status {
    CKPT_RETURN_IF_ERROR(run.writer()->chunks()->PollEpoch());
    return step < 6 ? save(step++) : Status();
  };
  Collected collected;
  auto collector = Collector::Open(other->get(), options);
  if (collector.ok()) (void)(*collector)->Run({}, &collected).ok();
  (void)save(7).ok();
}

// A host whose locks are not seen stages and commits beside a collection, and is seen to have
// ended.
void TwoHosts(SimWorld* world, Told* told) {
  world->set_network_file_system(true);
  world->set_locks(SimLocks::kPerHost);
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
    RemoveStep(world, told, 1);
    CollectAll(world);  // waits, and gives up
    if (!run.Stage(4).ok() || !run.Commit(true).ok()) return;
    told->acknowledged.insert(4);
  }
  RemoveStep(world, told, 2);
  CollectAll(world);
  SaveStep(world, told, 5);
}

// A collector dies in the middle, the next one goes on.
void SecondCollector(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2, 3}) SaveStep(world, told, step);
  for (std::uint64_t died_after : {3u, 8u, 11u, 13u}) {
    if (died_after == 3) RemoveStep(world, told, 1);
    if (died_after == 11) RemoveStep(world, told, 2);
    auto first = world->NewProcess();
    first->set_stop_after(died_after);
    if (auto store = OpenAt(first.get(), OpenStoreOptions::Mode::kWrite); store.ok()) {
      (void)Collect(store->get()).ok();
    }
    first->Kill();
  }
  CollectAll(world);
  SaveStep(world, told, 4);
}

// The disk is full while steps are removed and collected, from the reserve.
void FullDisk(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2, 3}) SaveStep(world, told, step);
  world->set_capacity_bytes(world->used_bytes());
  RemoveStep(world, told, 1);
  RemoveStep(world, told, 2);
  CollectAll(world);
  world->clear_capacity();
  SaveStep(world, told, 4);
  SaveStep(world, told, 5);
  world->set_capacity_bytes(world->used_bytes());
  RemoveStep(world, told, 3);
  RemoveStep(world, told, 4);
  CollectAll(world);
  world->clear_capacity();
}

// Whoever makes the store dies when it has its format file, before the name of that is durable.
void MakerDies(SimWorld* world, Told* told) {
  std::uint64_t changes = 0;
  {
    SimWorld other(7);
    bool made = false;
    other.set_trace([&](std::uint64_t, SimOp kind, const std::string&) {
      bool counts = kind != SimOp::kRead && kind != SimOp::kOpen && kind != SimOp::kLock;
      changes += counts && !made ? 1 : 0;
      made = made || kind == SimOp::kRename;
    });
    (void)OpenToSave(&other).ok();
  }
  auto maker = world->NewProcess();
  maker->set_stop_after(changes);
  (void)OpenToSave(maker.get()).ok();
  maker->Kill();
  for (std::int64_t step : {1, 2}) SaveStep(world, told, step);
}

const Life kLives[] = {
    {"saves and collections", SavesAndCollections},
    {"packs that fill up", SavesAndCollections, 90000, 8},
    {"branch, same step again", BranchAndTheSameStepAgain},
    {"several writers", SeveralWriters},
    {"stage and commit", StageAndCommit},
    {"poisoned pack", PoisonedPack},
    {"lost host", LostHost},
    {"commits beside a collection", CommitsBesideCollection},
    {"two hosts", TwoHosts},
    {"second collector", SecondCollector},
    {"maker dies", MakerDies},
    {"full disk", FullDisk},
    {"full disk, no room to copy", FullDisk, 160000, 20},
};

}  // namespace

void PrintTo(const Life& life, std::ostream* out) { *out << life.name; }

std::span<const Life> AllLives() { return kLives; }

Result<std::unique_ptr<Store>> OpenToSave(Env* env) {
  return OpenAt(env, OpenStoreOptions::Mode::kCreate, kLifePackBytes);
}

std::unique_ptr<SimWorld> LiveUntil(const Life& life, std::uint64_t n, const LeftOut& left_out,
                                    Told* told, bool at_once) {
  auto world = std::make_unique<SimWorld>(7);
  world->LeaveOutSyncs(left_out.first, left_out.last);
  world->LosePowerAfter(n, at_once);
  life.run(world.get(), told);
  return world;
}

std::vector<LifeSync> SyncsOf(const Life& life, std::uint64_t* changes) {
  std::vector<LifeSync> syncs;
  std::string part = "beginning", before;
  bool creating = true;
  part_now = &part;
  SimWorld world(7);
  *changes = 0;
  world.set_trace([&](std::uint64_t, SimOp kind, const std::string& what) {
    if (kind == SimOp::kRead || kind == SimOp::kOpen || kind == SimOp::kLock) return;
    ++*changes;
    if (kind == SimOp::kSync || kind == SimOp::kSyncDir) {
      LifeSync sync{*changes, part, what, before, creating};
      for (LifeSync& other : syncs) {
        if (other.what != what) continue;
        sync.marks_reserve = sync.marks_reserve || other.change + 3 >= *changes;
        other.again_in_part = other.again_in_part || other.part == part;
      }
      syncs.push_back(std::move(sync));
    }
    if (kind == SimOp::kRename) creating = false;
    before = what;
  });
  Told told;
  life.run(&world, &told);
  part_now = nullptr;
  return syncs;
}

namespace {

// What the store holds of the last steps is found again, and what it does not hold is not.
Status SaveAgain(Store* store, const Told& told, std::set<std::int64_t>* saved) {
  for (auto step = told.tried.rbegin(); step != told.tried.rend() && saved->size() < 2; ++step) {
    CKPT_RETURN_IF_ERROR(Save(store, *step, true, "again" + std::to_string(*step)));
    saved->insert(*step);
  }
  return Status();
}

// A save that is half done when a collection begins and does not answer it: it is waited for.
Status SaveBesideCollection(Env* env, Store* store) {
  CKPT_ASSIGN_OR_RETURN(auto own, OpenToSave(env));
  CKPT_ASSIGN_OR_RETURN(auto saving, Saving::Begin(own.get(), 3, "beside"));
  CKPT_RETURN_IF_ERROR(saving->Put(0, kBlocks, true));
  CollectOptions options;
  options.wait_ms = 0;
  options.live_share = 1.0;
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store, options));
  Collected collected;
  CKPT_RETURN_IF_ERROR(collector->Run({}, &collected));
  CKPT_RETURN_IF_ERROR(saving->End().status());
  CKPT_RETURN_IF_ERROR(store->Refresh());
  return Restore(store, 3, "beside");
}

std::string GoOnSaving(SimWorld* world, Store* store, const Told& told) {
  std::set<std::int64_t> again;
  if (Status s = SaveAgain(store, told, &again); !s.ok()) return "save: " + s.ToString();
  if (Status s = SaveBesideCollection(world, store); !s.ok()) {
    return "save beside gc: " + s.ToString();
  }
  if (auto c = Collect(store); !c.ok()) return "gc: " + c.status().ToString();
  for (std::int64_t step : again) {
    Status s = Restore(store, step, "again" + std::to_string(step));
    if (!s.ok()) return "saved again: " + s.ToString();
  }
  return Violation(store, told);
}

// What a mark stands behind was flushed before it was written.
std::string DamageBelowMarks(Store* store) {
  for (const auto& [id, state] : store->PackStates()) {
    for (const DamagedRange& range : state.damage) {
      if (range.begin < state.durable_end) return "damaged below its last mark: " + id.ToHex();
    }
  }
  return "";
}

std::string GoOnFull(SimWorld* world, Store* store, Told* told) {
  world->set_capacity_bytes(world->used_bytes());
  std::vector<std::int64_t> there;
  for (std::int64_t step : told->acknowledged) {
    if (!told->removing.contains(step)) there.push_back(step);
  }
  for (std::size_t i = 0; i + 1 < there.size(); ++i) {
    Status s = Remove(store, there[i], true);
    if (!s.ok()) return "rm on a full disk: " + s.ToString();
    told->removing.insert(there[i]);
    told->removed.insert(there[i]);
  }
  // Something is written into the reserve in any case: a tombstone of nothing.
  Tombstone tombstone;
  tombstone.series = "nobody";
  tombstone.attempt = {RunId(9), 1};
  auto payload = EncodeTombstone(tombstone);
  if (!payload.ok()) return payload.status().ToString();
  Status s = WriteRecords(store, {{RecordType::kTombstone, *payload}});
  if (!s.ok()) return "writing on a full disk: " + s.ToString();
  if (auto c = Collect(store); !c.ok()) return "gc on a full disk: " + c.status().ToString();
  return Violation(store, *told);
}

}  // namespace

std::string WhatBreaks(SimWorld* world, Told told, GoOn go_on) {
  auto store = OpenToSave(world);
  if (!store.ok()) return "opening: " + store.status().ToString();  // I3
  std::string broken = Violation(store->get(), told);
  if (broken.empty()) broken = DamageBelowMarks(store->get());
  if (!broken.empty() || go_on == GoOn::kNot) return broken;
  if (go_on == GoOn::kFullDisk) return GoOnFull(world, store->get(), &told);
  world->clear_capacity();
  return GoOnSaving(world, store->get(), told);
}

}  // namespace ckpt
