#include "tests/support/lives.h"

#include <algorithm>
#include <map>
#include <set>

#include "store/engine/check.h"
#include "store/engine/repair.h"

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

void SaveStep(Env* env, Told* told, std::int64_t step,
              std::optional<std::int64_t> from = std::nullopt) {
  NotedPart part("save " + std::to_string(step));
  auto store = OpenToSave(env);
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

void CollectAll(SimWorld* world, double live_share = CollectOptions().live_share) {
  NotedPart part("gc");
  auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite);
  if (!store.ok()) return;
  CollectOptions options;
  options.wait_ms = 0;
  options.live_share = live_share;
  auto collector = Collector::Open(store->get(), options);
  Collected collected;
  if (collector.ok()) (void)(*collector)->Run({}, &collected).ok();
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
  world->set_separate_caches(true);
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

// A save of another host's is half done, and relies on what is just being removed, when a
// collection begins: it is seen by its announcement alone.
void AnnouncedSave(SimWorld* world, Told* told, bool continues) {
  world->set_network_file_system(true);
  world->set_locks(SimLocks::kPerHost);
  world->set_separate_caches(true);
  auto far = world->NewProcess();
  far->set_host(RunId(77), "far");
  for (std::int64_t step : {1, 2}) SaveStep(world, told, step);
  if (continues) SaveStep(far.get(), told, 3);
  SaveStep(world, told, 4);
  NotedPart part("announced save");
  auto store = OpenToSave(far.get());
  if (!store.ok()) return;
  told->tried.insert(9);
  auto saving = Saving::Begin(store->get(), 9);
  if (!saving.ok() || !(*saving)->Put(0, kBlocks, true).ok()) return;
  for (std::int64_t step : {1, 2}) RemoveStep(world, told, step);
  CollectAll(world, 1.0);  // waits, and gives up
  if ((*saving)->End().ok()) told->acknowledged.insert(9);
  saving->reset();
  CollectAll(world, 1.0);
}
void HostBegins(SimWorld* world, Told* told) { AnnouncedSave(world, told, false); }
void HostGoesOn(SimWorld* world, Told* told) { AnnouncedSave(world, told, true); }

// A collector dies in the middle, the next one goes on.
void SecondCollector(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2, 3}) SaveStep(world, told, step);
  for (std::uint64_t died_after : {3u, 8u, 12u, 14u}) {
    if (died_after == 3) RemoveStep(world, told, 1);
    if (died_after == 12) RemoveStep(world, told, 2);
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

// A bit of the disk turns: in step 3's own first block, which step 4 has, too.
void DamageStep3(SimWorld* world, Told* told) {
  NotedPart part(kDamagePart);
  auto store = OpenAt(world, OpenStoreOptions::Mode::kRead);
  if (!store.ok()) return;
  auto found = ResolveCheckpoint(store->get(), "run@3");
  if (!found.ok()) return;
  auto manifest = (*store)->ReadManifest(found->ranks.front());
  if (!manifest.ok()) return;
  auto fetcher = Fetcher::Open(store->get(), manifest->packs);
  if (!fetcher.ok()) return;
  auto place = (*fetcher)->Locate(HashChunk(BlockOf(3, 0)));
  if (!place.ok()) return;
  auto file =
      (*store)->packs_dir()->OpenFile(PackFileName(place->pack_id), {.mode = OpenMode::kReadWrite});
  if (!file.ok()) return;
  told->damaged = {3, 4};
  const std::byte turned{0x5a};
  if (!(*file)->WriteAt(place->entry.offset + kRecordHeaderBytes + 7, {&turned, 1}).ok()) return;
  (void)(*file)->Sync().ok();
}

// A save that has the same bytes, and reads them all.
void SaveWhatIsDamaged(SimWorld* world, Told* told) {
  NotedPart part("healing save");
  auto store = OpenToSave(world);
  if (store.ok() && Save(store->get(), 3, true, "heal").ok()) told->damaged.clear();
}

// Damage that `check` finds and records, healed by a save, then collected.
void DamageHealed(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2, 3, 4}) SaveStep(world, told, step);
  DamageStep3(world, told);
  {
    NotedPart part("check");
    auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite);
    if (!store.ok() || !CheckStore(store->get(), {}).ok()) return;
  }
  SaveWhatIsDamaged(world, told);
  for (std::int64_t step : {1, 2}) RemoveStep(world, told, step);
  CollectAll(world);
  SaveStep(world, told, 5);
}

// The same by `repair`, which sets the pack aside.
void DamageRepaired(SimWorld* world, Told* told) {
  for (std::int64_t step : {1, 2, 3, 4}) SaveStep(world, told, step);
  DamageStep3(world, told);
  {
    NotedPart part("repair");
    auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite);
    RepairOptions options;
    options.wait_ms = 0;
    if (!store.ok() || !RepairStore(store->get(), options).ok()) return;
  }
  SaveWhatIsDamaged(world, told);
  RemoveStep(world, told, 1);
  CollectAll(world);
  SaveStep(world, told, 5);
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

// Chunks that are stored twice, as differences from different bases, of which some go.
void TwinDeltas(SimWorld* world, Told* told) {
  SaveStep(world, told, 1);
  told->tried.insert({5, 8});
  if (SaveTwins(world, "run", "other").ok()) told->acknowledged.insert({5, 8});
  RemoveStep(world, told, 5);
  if (auto store = OpenAt(world, OpenStoreOptions::Mode::kWrite); store.ok()) {
    (void)Remove(store->get(), 2, true, "other").ok();
  }
  CollectAll(world, 1.0);
  SaveStep(world, told, 10);
  RemoveStep(world, told, 8);
  CollectAll(world, 1.0);
  SaveStep(world, told, 11);
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
      made = made || kind == SimOp::kLink;
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
    {"two hosts", TwoHosts, 3000, 2, "nothing"},
    {"host begins", HostBegins, 3000, 4, "announced save"},
    {"host goes on", HostGoesOn, 3000, 4, "nothing"},
    {"second collector", SecondCollector},
    {"maker dies", MakerDies},
    {"damage healed", DamageHealed, 3000, 2},
    {"damage repaired", DamageRepaired, 3000, 2},
    {"full disk", FullDisk},
    {"full disk, no room to copy", FullDisk, 160000, 20},
    {"saves and collections of deltas", SavesAndCollections, 3000, 2, "nothing", true},
    {"deltas staged and committed", StageAndCommit, 3000, 2, "nothing", true},
    {"deltas beside a collection", CommitsBesideCollection, 3000, 2, "nothing", true},
    {"twin deltas", TwinDeltas, 3000, 3, "nothing", true},
    {"deltas of which some are damaged", DamageRepaired, 3000, 4, "nothing", true},
};

}  // namespace

void PrintTo(const Life& life, std::ostream* out) { *out << life.name; }

std::span<const Life> AllLives() { return kLives; }

Result<std::unique_ptr<Store>> OpenToSave(Env* env) {
  return OpenAt(env, OpenStoreOptions::Mode::kCreate, kLifePackBytes);
}

std::unique_ptr<SimWorld> LiveUntil(const Life& life, std::uint64_t n, const Mutation& mutation,
                                    Told* told, bool at_once) {
  auto world = std::make_unique<SimWorld>(7);
  world->LeaveOutSync(mutation.left_out);
  world->KeepBack(mutation.kept_back, mutation.until);
  world->LosePowerAfter(n, at_once);
  life.run(world.get(), told);
  return world;
}

namespace {

void FindMarks(LifeStory* story) {
  std::map<std::string, std::pair<bool, bool>> unflushed;  // a mark, anything else
  std::string flushed;                                     // by the change before
  for (LifeChange& change : *story) {
    if (change.IsSync()) {
      auto [mark, other] = std::exchange(unflushed[change.what], {});
      flushed = (other || !mark) && change.part != kDamagePart ? change.what : "";
      continue;
    }
    const std::string synced_by = change.SyncedBy();
    const bool pack = synced_by.starts_with("sync /store/packs/");
    change.mark = pack && (flushed == synced_by || flushed == "sync directory /store/packs");
    (change.mark ? unflushed[synced_by].first : unflushed[synced_by].second) = true;
    flushed.clear();
  }
}

}  // namespace

LifeStory StoryOf(const Life& life) {
  LifeStory story;
  std::string part = "beginning";
  part_now = &part;
  SimWorld world(7);
  world.set_trace([&](std::uint64_t, SimOp kind, const std::string& what) {
    if (kind == SimOp::kRead || kind == SimOp::kOpen || kind == SimOp::kLock) return;
    story.push_back({story.size() + 1, kind, part, what});
  });
  Told told;
  life.run(&world, &told);
  part_now = nullptr;
  FindMarks(&story);
  return story;
}

std::vector<LifeSync> SyncsOf(const LifeStory& story) {
  std::vector<LifeSync> syncs;
  std::string before;
  std::map<std::string, std::uint64_t> unflushed;  // changes, by the sync they wait for
  std::set<std::string> flushed;
  bool creating = true;
  for (const LifeChange& change : story) {
    if (change.IsSync() && change.part != kDamagePart) {
      LifeSync sync{change.number, change.part, change.what, before, creating};
      sync.covers = std::exchange(unflushed[change.what], 0);
      sync.covers_mark = sync.covers == 1 && story[change.number - 2].mark;
      sync.again = !flushed.insert(change.what).second;
      for (LifeSync& other : syncs) {
        if (other.what == change.what && other.part == change.part) other.again_in_part = true;
      }
      syncs.push_back(std::move(sync));
    }
    if (!change.IsSync()) ++unflushed[change.SyncedBy()];
    if (change.kind == SimOp::kLink) creating = false;
    before = change.what;
  }
  return syncs;
}

std::string LifeChange::SyncedBy() const {
  std::size_t begin = what.find('/');
  if (kind == SimOp::kRename) begin = what.find('/', what.find(" to "));
  if (kind == SimOp::kLink) begin = what.find('/', what.find(" as "));
  std::string path = what.substr(begin, what.find(" at ", begin) - begin);
  switch (kind) {
    case SimOp::kWrite:
    case SimOp::kTruncate:
    case SimOp::kAllocate:
    case SimOp::kPunch:
      return "sync " + path;
    case SimOp::kCreate:
    case SimOp::kMakeDir:
    case SimOp::kRemove:
    case SimOp::kRename:
    case SimOp::kLink:
      return "sync directory " + path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    default:
      return "";  // durable at once, or a sync itself
  }
}

std::vector<OrderedPair> OrderedPairsOf(const LifeStory& story) {
  std::vector<OrderedPair> pairs;
  for (const LifeChange& first : story) {
    const std::string synced_by = first.SyncedBy();
    if (synced_by.empty() || first.part == kDamagePart) continue;
    auto at = std::find_if(story.begin() + static_cast<std::ptrdiff_t>(first.number), story.end(),
                           [&](const LifeChange& later) { return later.what == synced_by; });
    const std::uint64_t sync = at == story.end() ? 0 : at->number;
    at = std::find_if(at, story.end(), [](const LifeChange& later) { return !later.IsSync(); });
    if (at != story.end()) pairs.push_back({&first, sync, &*at});
  }
  return pairs;
}

}  // namespace ckpt
