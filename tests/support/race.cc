#include "tests/support/race.h"

#include "store/base/check.h"

namespace ckpt::races {
namespace {

using collect_test::BlockOf;
using collect_test::kBlocks;
using collect_test::OpenAt;
using collect_test::Saving;
using Mode = OpenStoreOptions::Mode;

constexpr std::uint64_t kCallsMax = 300000;  // a run has some thousands
constexpr std::uint64_t kNoReserveBelowBytes = 4u << 20;
constexpr std::int64_t kBaseSteps = 4;
constexpr std::uint8_t kSessionRun = 50;

std::string Text(const Name& name) { return name.first + "@" + std::to_string(name.second); }

// As in a long save: time goes by, it looks for an epoch, and time goes by again.
Status Linger(SimProcess* process, ChunkWriter* chunks) {
  process->SleepMs(1);
  CKPT_RETURN_IF_ERROR(chunks->PollEpoch());
  process->SleepMs(1);
  return Status();
}

Status StageStep(SimProcess* process, CheckpointWriter* writer, std::int64_t step,
                 std::size_t poll_at) {
  ChunkEncoder encoder;
  ChunkListBuilder list(FanOut::kFixed, writer->chunks());
  for (std::size_t i = 0; i < kBlocks; ++i) {
    if (i == poll_at) CKPT_RETURN_IF_ERROR(Linger(process, writer->chunks()));
    const Bytes& block = BlockOf(step, i);
    ChunkItem item;
    item.raw_bytes = block.size();
    item.id = HashChunk(block);
    CKPT_RETURN_IF_ERROR(collect_test::PutBlock(writer, block, item.id, i, false, &encoder));
    CKPT_RETURN_IF_ERROR(list.Add(item));
  }
  Entry entry;
  entry.kind = EntryKind::kArray;
  entry.name = "state";
  entry.array.shape = {kBlocks * collect_test::block_bytes};
  entry.logical_bytes = list.logical_bytes();
  entry.chunks = list.chunks();
  CKPT_ASSIGN_OR_RETURN(entry.content, list.Finish());
  CKPT_RETURN_IF_ERROR(writer->AddEntry(entry, 0));
  return writer->Stage().status();
}

}  // namespace

BaseStore::BaseStore(std::uint64_t seed) : world(std::make_unique<SimWorld>(seed)) {
  auto store = OpenAt(world.get());
  CKPT_CHECK(store.ok(), "the store can be made");
  // Held open, so that the next save must begin a pack of its own.
  std::vector<std::unique_ptr<ChunkWriter>> held;
  for (std::int64_t step = 1; step <= kBaseSteps; ++step) {
    auto saving = Saving::Begin(store->get(), step);
    CKPT_CHECK(saving.ok() && (*saving)->Put(0, kBlocks, true).ok(), "it can be saved into");
    auto saved = (*saving)->End();
    CKPT_CHECK(saved.ok(), "and that committed");
    attempt = saved->attempt.id;
    saving->reset();
    fates[{"run", step}].acknowledged = true;
    held.push_back(*ChunkWriter::Open(store->get()));
    CKPT_CHECK(held.back()->Commit(false).ok(), "a writer may write nothing");
  }
  held.clear();
  // One that has a reserve costs three times as long to look at: most do without.
  for (const auto& [id, state] : (*store)->PackStates()) {
    if (!state.reserve || seed % 8 == 0) continue;
    CKPT_CHECK((*store)->packs_dir()->RemoveFile(PackFileName(id)).ok(), "files can be removed");
    CKPT_CHECK((*store)->packs_dir()->Sync().ok(), "and that made durable");
    world->set_capacity_bytes(kNoReserveBelowBytes);  // so that none is made anew
  }
  if (collect_test::similar_blocks) {
    CKPT_CHECK(collect_test::SaveTwins(world.get(), "twin", "other").ok(), "two may save at once");
    for (const Name& name : {Name("twin", 5), {"twin", 8}, {"other", 2}, {"other", 8}}) {
      fates[name].acknowledged = true;
    }
  }
  for (std::int64_t step : {1, 2}) {
    CKPT_CHECK(collect_test::Remove(store->get(), step).ok(), "steps can be removed");
    fates[{"run", step}].removing = fates[{"run", step}].removed = true;
  }
}

Race::Race(const BaseStore& base, std::uint64_t seed, const RaceOptions& options)
    : options_(options),
      world_(base.world->KillProcess()),
      rng_(seed),
      parent_attempt_(base.attempt),
      fates_(base.fates) {
  world_->Reseed(rng_.Next());
  if (options_.hosts) {
    world_->set_network_file_system(true);
    world_->set_locks(SimLocks::kPerHost);
  }
}

SimProcess* Race::Add(const std::string& name, const SimLies& lies,
                      std::function<void(SimProcess*)> body) {
  processes_.push_back(world_->NewProcess());
  SimProcess* process = processes_.back().get();
  process->set_lies(lies);
  if (std::exchange(next_is_far_, false)) {
    process->set_host(collect_test::RunId(77), "far");
    may_fail_.insert(process);
  }
  names_[process->id()] = name;
  bodies_.push_back([process, body = std::move(body)] {
    body(process);
    if (process->dead()) process->Kill();
  });
  return process;
}

void Race::KillLastAt(std::uint64_t n) { processes_.back()->set_stop_after(n); }

void Race::Blame(const std::string& what) {
  if (blame_.empty()) blame_ = what;
}

bool Race::Fails(SimProcess* process, const Status& status, const std::string& what) {
  if (status.ok()) return false;
  if (!process->dead() && !may_fail_.contains(process)) Blame(what + ": " + status.ToString());
  return true;
}

// ---- actors -------------------------------------------------------------------------------------

void Race::Saves(const std::string& series, std::int64_t step, bool look_up) {
  const Name name(series, step);
  const std::string what = "save " + Text(name);
  Add(what, options_.writers_are_told, [this, name, what, look_up](SimProcess* process) {
    fates_[name];
    auto store = OpenAt(process, Mode::kWrite);
    if (Fails(process, store.status(), what + ", opening")) return;
    auto saving = Saving::Begin(store->get(), name.second, name.first);
    if (Fails(process, saving.status(), what + ", beginning")) return;
    const std::size_t some = rng_.Below(kBlocks);
    if (Fails(process, (*saving)->Put(0, some, look_up), what + ", putting")) return;
    if (rng_.Below(2) == 0) {
      Status lingered = Linger(process, (*saving)->writer()->chunks());
      if (Fails(process, lingered, what + ", acknowledging")) return;
    }
    if (Fails(process, (*saving)->Put(some, kBlocks, look_up), what + ", going on")) return;
    if (Fails(process, (*saving)->End().status(), what + ", committing")) return;  // I7
    fates_[name].acknowledged = true;
  });
}

Status Race::SessionSteps(Store* store, SimProcess* process, std::int64_t first, int steps) {
  SaveOptions options;
  options.series = "run";
  options.step = first;
  RunAttempt run;
  run.id = collect_test::RunId(kSessionRun);
  run.has_parent = true;
  run.parent_attempt = parent_attempt_;
  run.parent_step = kBaseSteps;
  options.run = run;
  CKPT_ASSIGN_OR_RETURN(auto writer, CheckpointWriter::Begin(store, std::move(options)));
  std::vector<Name> staged;
  for (int i = 0; i < steps; ++i) {
    const Name name("run", first + i);
    if (i > 0) CKPT_RETURN_IF_ERROR(writer->Next(name.second));
    fates_[name];
    CKPT_RETURN_IF_ERROR(StageStep(process, writer.get(), name.second, rng_.Below(2 * kBlocks)));
    staged.push_back(name);
    process->SleepMs(1);  // the computation goes on
    CKPT_RETURN_IF_ERROR(writer->chunks()->PollEpoch());
    if (i + 1 < steps && rng_.Below(2) == 0) continue;
    CKPT_RETURN_IF_ERROR(writer->Commit(i + 1 == steps));
    for (const Name& committed : staged) fates_[committed].acknowledged = true;
  }
  return Status();
}

void Race::Session(std::int64_t first, int steps) {
  Add("session", options_.writers_are_told, [this, first, steps](SimProcess* process) {
    auto store = OpenAt(process, Mode::kWrite);
    if (Fails(process, store.status(), "session, opening")) return;
    Fails(process, SessionSteps(store->get(), process, first, steps), "session");  // I7
  });
}

void Race::Removes(std::int64_t step, const std::string& series) {
  const Name name(series, step);
  Add("rm " + Text(name), options_.writers_are_told, [this, name](SimProcess* p) {
    auto store = OpenAt(p, Mode::kWrite);
    if (Fails(p, store.status(), "rm, opening")) return;
    fates_[name].removing = true;
    if (Fails(p, collect_test::Remove(store->get(), name.second, true, name.first), "rm")) return;
    fates_[name].removed = true;
  });
}

void Race::Collects(std::int64_t wait_ms, double live_share, const std::string& break_host) {
  CollectOptions options;
  options.wait_ms = wait_ms;
  options.live_share = live_share;
  options.break_host_name = break_host;
  Add("gc", options_.collectors_are_told, [this, options](SimProcess* process) {
    auto store = OpenAt(process, Mode::kWrite);
    if (Fails(process, store.status(), "gc, opening")) return;
    auto collector = Collector::Open(store->get(), options);
    if (collector.status().code() == Code::kBusy) return;  // another one is at it
    if (Fails(process, collector.status(), "gc, locking")) return;
    Collected collected;
    Status run = (*collector)->Run({}, &collected);
    if (process->dead()) collector_died_ = true;
    // Nothing of that host is there yet.
    if (!options.break_host_name.empty() && run.code() == Code::kNotFound) return;
    if (Fails(process, run, "gc")) return;
    if (collected.packs_waiting > 0) gave_up_ = true;
    packs_removed_ += collected.packs_removed;
  });
}

void Race::Reads(const std::string& series, std::int64_t step, int times) {
  const Name name(series, step);
  Add("restore " + Text(name), {}, [this, name, times](SimProcess* process) {
    bool there = fates_[name].acknowledged;  // before anything is looked at
    auto store = OpenAt(process, Mode::kRead);
    if (Fails(process, store.status(), "restore, opening")) return;
    for (int i = 0; i < times; ++i) {
      if (i > 0) {
        there = fates_[name].acknowledged;
        if (Fails(process, (*store)->Refresh(), "restore, looking for news")) return;
      }
      Status s = collect_test::Restore(store->get(), name.second, name.first);
      const Fate& fate = fates_[name];
      // I1; and a reader never fails on a checkpoint that was not removed.
      if (s.code() == Code::kInternal || (!s.ok() && there && !fate.removing)) {
        Fails(process, s, "restore " + Text(name));
      }
    }
  });
}

// ---- what must hold -----------------------------------------------------------------------------

std::string Race::WhatBreaks(Env* env) const {
  auto store = OpenAt(env, Mode::kRead);
  if (!store.ok()) return "opening: " + store.status().ToString();
  for (const auto& [name, fate] : fates_) {
    Status s = collect_test::Restore(store->get(), name.second, name.first);
    if (fate.acknowledged && !fate.removing) {
      if (!s.ok()) return Text(name) + ": " + s.ToString();
    } else if (fate.removed) {
      if (s.code() != Code::kNotFound) return "removed " + Text(name) + ": " + s.ToString();
    } else if (!s.ok() && s.code() != Code::kNotFound) {
      // Of a save that did not end; a record of it may be there, but must not pass for whole.
      if (s.code() != Code::kCorruption) return Text(name) + ": " + s.ToString();
      auto found = ResolveCheckpoint(store->get(), Text(name));
      if (found.ok() && !found->ranks.front().staged) {
        return "committed and cannot be read: " + Text(name) + ": " + s.ToString();
      }
    }
  }
  return "";
}

// Nobody is left to be waited for: whatever the collectors before did, this one ends idle.
std::string Race::CollectAtLast() {
  auto store = OpenAt(world_.get(), Mode::kWrite);
  if (!store.ok()) return "opening to collect: " + store.status().ToString();
  auto state = ReadCollectState(store->get());
  if (!state.ok()) return "collect: " + state.status().ToString();
  const bool idle = state->phase == CollectPhase::kIdle;
  const bool waits = state->phase == CollectPhase::kCondemned && gave_up_;
  if (!idle && !waits && !collector_died_) return "gc left an epoch unfinished";
  for (bool far : {true, false}) {
    if (far && !options_.hosts) continue;
    CollectOptions options;
    options.wait_ms = 0;
    options.live_share = 1.0;
    // By its id: it may have died before its name was written anywhere.
    if (far) options.break_host_name = collect_test::RunId(77).ToHex();
    auto collector = Collector::Open(store->get(), options);
    if (!collector.ok()) return "gc at last: " + collector.status().ToString();
    Collected collected;
    Status run = (*collector)->Run({}, &collected);
    if (far && run.code() == Code::kNotFound) continue;
    if (!run.ok()) return "gc at last: " + run.ToString();
    if (collected.packs_waiting > 0) return "gc at last waits for somebody who has ended";
  }
  state = ReadCollectState(store->get());
  if (!state.ok() || state->phase != CollectPhase::kIdle) return "gc at last is not idle";
  return "";
}

std::string Race::AtTheEnd() {
  if (!blame_.empty()) return blame_;
  // The dear ones of these questions are not asked each time.
  const bool lose_power = rng_.Below(8) == 0;
  const bool collect_at_last = rng_.Below(2) == 0;
  auto broken = [&](const std::string& when) {
    std::string what = WhatBreaks(world_.get());
    if (!what.empty()) return when + ": " + what;
    if (!lose_power) return what;
    what = WhatBreaks(world_->Crash(CrashChoice::None()).get());
    return what.empty() ? what : when + ", power lost: " + what;
  };
  std::string what = broken("at the end");
  if (!what.empty()) return what;
  if (!collect_at_last) return what;
  what = CollectAtLast();
  return what.empty() ? broken("collected at last") : what;
}

std::string Race::Run(SimStrategy* strategy) {
  {
    SimSchedule schedule(world_.get(), strategy);
    for (auto& body : bodies_) schedule.Add(std::move(body));
    schedule.SetLimit(kCallsMax, [this] {
      Blame("somebody waits for ever");
      for (auto& process : processes_) process->Kill();
    });
    schedule.Run();
    calls_ = schedule.calls();
    switches_ = schedule.switches();
  }
  return AtTheEnd();
}

}  // namespace ckpt::races
