// What a store must still hold after a power loss, and that it goes on.

#include "store/engine/check.h"
#include "store/engine/reserve.h"
#include "tests/support/lives.h"

namespace ckpt {

using namespace collect_test;  // NOLINT

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

// What is damaged is found, and saved anew by who has it.
Status Heal(Store* store) {
  CKPT_RETURN_IF_ERROR(CheckStore(store, {}).status());
  return Save(store, 3, true, "healed-again");
}

std::string GoOnSaving(SimWorld* world, Store* store, Told told) {
  std::set<std::int64_t> again;
  if (!told.damaged.empty()) {
    Status healed = Heal(store);
    if (!healed.ok()) return "healing: " + healed.ToString();
    told.damaged.clear();
  }
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

namespace {

// What comes after a power loss, until the next.
void Recover(SimWorld* world, Told* told) {
  auto store = OpenToSave(world);
  if (!store.ok()) return;
  (void)Collect(store->get()).ok();
  constexpr std::int64_t kStep = 50;
  told->tried.insert(kStep);
  if (Save(store->get(), kStep).ok()) told->acknowledged.insert(kStep);
  (void)Collect(store->get()).ok();
}

}  // namespace

std::string WhatBreaksAgain(const SimWorld& world, const Told& told, std::uint64_t first,
                            std::uint64_t stride, std::uint64_t* tried) {
  auto whole = world.KillProcess();
  Told ignored;
  Recover(whole.get(), &ignored);
  const std::uint64_t changes = whole->change_count();
  for (std::uint64_t n = 1 + first % stride; n <= changes; n += stride, ++*tried) {
    auto second = world.KillProcess();
    second->LosePowerAfter(n);
    Told then = told;
    Recover(second.get(), &then);
    auto after = second->Crash(CrashChoice::Random(n * 7919 + first));
    std::string broken = WhatBreaks(after.get(), then, n % 2 == 0 ? GoOn::kSaves : GoOn::kNot);
    if (!broken.empty()) return "again after operation " + std::to_string(n) + ": " + broken;
  }
  return "";
}

}  // namespace ckpt
