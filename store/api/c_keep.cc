// ckpt_remove, ckpt_collect, ckpt_freeze_begin, ckpt_thaw.

#include "store/api/c_api.h"
#include "store/engine/collect.h"
#include "store/engine/remove.h"
#include "store/engine/retention.h"
#include "store/io/process.h"

struct ckpt_freeze {
  std::unique_ptr<ckpt::File> lock;
};

namespace ckpt::c_api {
namespace {

constexpr std::uint8_t kWhyRemoved = 0;
constexpr std::uint8_t kWhyRetention = 1;

// What to say about checkpoints that are about to go; afterwards they cannot be looked at.
class Farewell {
 public:
  Status Add(Store* store, const Removal& removal, ckpt_checkpoint_fn fn) {
    if (fn == nullptr) return Status();
    auto info = CheckpointInfo::Make(store, *removal.view, removal.first, removal.abandoned);
    if (info.ok()) {
      infos_.push_back(*std::move(info));
    } else if (info.status().code() != Code::kCorruption &&
               info.status().code() != Code::kNotFound) {
      return info.status();
    } else {  // its manifest cannot be read: named by what the listing has
      store->Notice(
          "removing " +
          FormatCheckpointName(removal.view->series(), removal.first.attempt, removal.first.step) +
          ", of which little can be read: " + info.status().message());
    }
    return Status();
  }
  Status Say(ckpt_checkpoint_fn fn, void* user) const {
    for (const auto& info : infos_) {
      if (fn(info->get(), user) != 0) return Cancelled("stopped by the caller");
    }
    return Status();
  }

 private:
  std::vector<std::unique_ptr<CheckpointInfo>> infos_;
};

Result<Farewell> Prepare(Store* store, const std::vector<Removal>& removals,
                         ckpt_checkpoint_fn fn) {
  Farewell farewell;
  for (const Removal& removal : removals) {
    CKPT_RETURN_IF_ERROR(farewell.Add(store, removal, fn));
  }
  return farewell;
}

Result<RetentionRules> ToRules(const ckpt_collect_options& in) {
  RetentionRules rules;
  rules.series = Text(in.series);
  rules.keep_last = in.keep_last;
  rules.keep_every = in.keep_every;
  rules.keep_within_ns = in.keep_within_ns;
  if (in.live_share < 0 || in.live_share > 1) {
    return InvalidArgument("live_share must be from 0 to 1");
  }
  return rules;
}

}  // namespace
}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: the C functions below are glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_remove(ckpt_store* store, const char* const* checkpoints, size_t count,
                      int32_t force, ckpt_checkpoint_fn removed, void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    if (count > 0) CKPT_RETURN_IF_ERROR(Need(checkpoints, "checkpoints"));
    Store* s = store->store.get();
    CKPT_RETURN_IF_ERROR(s->Refresh());
    CKPT_ASSIGN_OR_RETURN(auto removals, PlanRemoval(s, Texts(checkpoints, count), force != 0));
    CKPT_ASSIGN_OR_RETURN(Farewell farewell, Prepare(s, removals, removed));
    CKPT_RETURN_IF_ERROR(CommitRemovals(s, removals, kWhyRemoved));
    return farewell.Say(removed, user);
  });
}

ckpt_code ckpt_collect(ckpt_store* store, const ckpt_collect_options* options,
                       ckpt_checkpoint_fn removed, void* user, ckpt_collect_result* result) {
  return Guard([&]() -> Status {
    Stopwatch watch;
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    ckpt_collect_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_collect_options CKPT_COLLECT_OPTIONS_INIT, &in));
    Store* s = store->store.get();
    CKPT_ASSIGN_OR_RETURN(RetentionRules rules, ToRules(in));
    CollectOptions collect;
    collect.dry_run = in.dry_run != 0;
    collect.wait_ms = in.wait_ms;
    if (in.live_share > 0) collect.live_share = in.live_share;
    collect.break_host_name = Text(in.break_host_name);
    CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(s, std::move(collect)));
    CKPT_RETURN_IF_ERROR(s->Refresh());
    CKPT_ASSIGN_OR_RETURN(auto removals, PlanRetention(s, rules));
    CKPT_ASSIGN_OR_RETURN(Farewell farewell, Prepare(s, removals, removed));
    if (in.dry_run == 0) CKPT_RETURN_IF_ERROR(CommitRemovals(s, removals, kWhyRetention));
    CKPT_RETURN_IF_ERROR(farewell.Say(removed, user));
    Collected collected;
    CKPT_RETURN_IF_ERROR(collector->Run(removals, &collected));
    ckpt_collect_result out = CKPT_COLLECT_RESULT_INIT;
    out.removed = removals.size();
    out.freed_bytes = collected.freed_bytes;
    out.rewritten_bytes = collected.rewritten_bytes;
    out.packs_removed = collected.packs_removed;
    out.packs_waiting = collected.packs_waiting;
    out.seconds = watch.seconds();
    return WriteResult(out, result);
  });
}

ckpt_code ckpt_freeze_begin(ckpt_store* store, int64_t wait_ms, ckpt_freeze** freeze) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(freeze, "freeze"));
    auto handle = std::make_unique<ckpt_freeze>();
    CKPT_ASSIGN_OR_RETURN(handle->lock, store->store->LockCollector(wait_ms));
    *freeze = handle.release();
    return Status();
  });
}

void ckpt_thaw(ckpt_freeze* freeze) { delete freeze; }
