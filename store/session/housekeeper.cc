#include "store/session/housekeeper.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "store/engine/collect.h"

namespace ckpt {
namespace {

constexpr std::uint8_t kWhyRetention = 1;
constexpr std::int64_t kAckWaitMs = 2000;
constexpr double kLiveShare = 0.5;  // what is copied costs the computation's disk

}  // namespace

bool Housekeeper::Due() const {
  return rules_.any() && pending_ && store_->env()->MonotonicNs() >= next_ns_;
}

void Housekeeper::AfterCommit(CheckpointWriter* writer, bool last) {
  if (!rules_.any() || !pending_ || writer == nullptr || (!last && !Due())) return;
  const std::int64_t begin = store_->env()->MonotonicNs();
  // What was dropped by the last call is durable by now.
  Status s = garbage_ && !last ? Collect(writer) : Status();
  if (s.ok()) s = Drop(writer);
  pending_ = false;
  if (!s.ok() && s.code() != Code::kBusy && s.code() != Code::kCancelled) {
    store_->Notice("old checkpoints stay for now: " + s.message());
  }
  const auto spent = static_cast<double>(store_->env()->MonotonicNs() - begin);
  next_ns_ = begin + static_cast<std::int64_t>(spent / std::max(share_, 1e-3));
}

Status Housekeeper::Drop(CheckpointWriter* writer) {
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  CKPT_ASSIGN_OR_RETURN(auto removals, PlanRetention(store_, rules_));
  for (const Removal& removal : removals) {
    Tombstone tombstone;
    tombstone.attempt = removal.first.attempt;
    tombstone.series = removal.view->series();
    tombstone.step = removal.first.step;
    tombstone.time_ns = store_->env()->RealtimeNs();
    tombstone.why = kWhyRetention;
    CKPT_ASSIGN_OR_RETURN(Bytes payload, EncodeTombstone(tombstone));
    CKPT_RETURN_IF_ERROR(writer->chunks()->AppendRecord(RecordType::kTombstone, payload));
  }
  removed_ += removals.size();
  garbage_ = garbage_ || !removals.empty();
  return Status();
}

Status Housekeeper::Collect(CheckpointWriter* writer) {
  CollectOptions options;
  options.wait_ms = kAckWaitMs;
  options.lock_at_once = true;  // who has it may wait for us to acknowledge
  options.live_share = kLiveShare;
  // Our own pack is one of those waited for.
  options.while_waiting = [writer] { return writer->chunks()->PollEpoch(); };
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store_, std::move(options)));
  Collected collected;
  CKPT_RETURN_IF_ERROR(collector->Run({}, &collected));
  freed_bytes_ += collected.freed_bytes;
  garbage_ = false;
  return Status();
}

Result<std::vector<Removal>> Housekeeper::PlanByRules(const RetentionRules& rules) {
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  auto plan = PlanRetention(store_, rules);
  if (!plan.ok() && plan.status().code() == Code::kNotFound) return std::vector<Removal>();
  return plan;
}

Status Housekeeper::RemoveAndCollect(const std::vector<Removal>& removals, CheckpointWriter* writer,
                                     std::int64_t wait_ms) {
  CollectOptions options;
  options.wait_ms = wait_ms;
  if (writer != nullptr) {
    options.while_waiting = [writer] { return writer->chunks()->PollEpoch(); };
  }
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store_, std::move(options)));
  CKPT_RETURN_IF_ERROR(CommitRemovals(store_, removals, kWhyRetention));
  removed_ += removals.size();
  Collected collected;
  CKPT_RETURN_IF_ERROR(collector->Run(removals, &collected));
  freed_bytes_ += collected.freed_bytes;
  garbage_ = false;
  waiting_ = collected.packs_waiting > 0;
  return Status();
}

Status Housekeeper::MakeRoom(std::int64_t wait_ms) {
  CKPT_ASSIGN_OR_RETURN(auto removals, PlanByRules(rules_));
  return RemoveAndCollect(removals, nullptr, wait_ms);
}

// ---- under a quota -----------------------------------------------------------------------------

// All that may go beyond what the rules let go. Abandoned branches before the line.
Result<std::vector<Removal>> Housekeeper::OldestFirst() {
  RetentionRules newest_only;
  newest_only.series = rules_.series;
  newest_only.keep_last = 1;
  CKPT_ASSIGN_OR_RETURN(auto removals, PlanByRules(newest_only));
  auto age = [](const Removal& removal) {
    return std::make_tuple(!removal.abandoned, removal.first.attempt.ordinal, removal.first.step);
  };
  std::sort(removals.begin(), removals.end(),
            [&](const Removal& a, const Removal& b) { return age(a) < age(b); });
  return removals;
}

// The fewest that a collection is expected to return `excess` for; all of them, if none is enough.
Result<std::size_t> Housekeeper::HowMany(const std::vector<Removal>& oldest,
                                         const StoreUse& excess) {
  std::size_t least = 1, most = oldest.size();
  while (least < most) {
    const std::size_t middle = least + (most - least) / 2;
    CollectOptions options;
    options.dry_run = true;
    CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store_, std::move(options)));
    Collected expected;
    CKPT_RETURN_IF_ERROR(collector->Run(
        {oldest.begin(), oldest.begin() + static_cast<std::ptrdiff_t>(middle)}, &expected));
    // What is carried over goes into a pack of the collector's own.
    const bool enough = expected.freed_bytes >= excess.bytes &&
                        (excess.files == 0 || expected.packs_removed > excess.files);
    (enough ? most : least) = enough ? middle : middle + 1;
  }
  return least;
}

Status Housekeeper::MakeRoomUnderQuota(const StoreUse& need, CheckpointWriter* writer) {
  CKPT_ASSIGN_OR_RETURN(auto removals, PlanByRules(rules_));
  CKPT_RETURN_IF_ERROR(RemoveAndCollect(removals, writer, kAckWaitMs));
  while (rules_.any() && !waiting_) {
    CKPT_ASSIGN_OR_RETURN(StoreUse use, MeasureUse(store_));
    const StoreUse excess = quota_.Excess(use, need);
    if (excess.none()) break;
    CKPT_ASSIGN_OR_RETURN(auto oldest, OldestFirst());
    if (oldest.empty()) break;
    CKPT_ASSIGN_OR_RETURN(std::size_t count, HowMany(oldest, excess));
    oldest.resize(count);
    CKPT_RETURN_IF_ERROR(RemoveAndCollect(oldest, writer, kAckWaitMs));
    if (!std::exchange(gave_up_, true)) {
      store_->Notice("checkpoints of '" + rules_.series +
                     "' that retention would keep are given up to stay under the quota");
    }
  }
  return Status();
}

}  // namespace ckpt
