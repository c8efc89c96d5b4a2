#include "store/session/housekeeper.h"

#include <algorithm>

#include "store/engine/collect.h"

namespace ckpt {
namespace {

constexpr std::uint8_t kWhyRetention = 1;
constexpr std::int64_t kAckWaitMs = 2000;
constexpr double kLiveShare = 0.5;  // what is copied costs the computation's disk
constexpr std::int64_t kFullDiskWaitMs = 10000;

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

Status Housekeeper::MakeRoom() {
  CollectOptions options;
  options.wait_ms = kFullDiskWaitMs;
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store_, std::move(options)));
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  std::vector<Removal> removals;
  if (auto plan = PlanRetention(store_, rules_); plan.ok()) {
    removals = *std::move(plan);
  } else if (plan.status().code() != Code::kNotFound) {
    return plan.status();
  }
  CKPT_RETURN_IF_ERROR(CommitRemovals(store_, removals, kWhyRetention));
  Collected collected;
  CKPT_RETURN_IF_ERROR(collector->Run(removals, &collected));
  removed_ += removals.size();
  freed_bytes_ += collected.freed_bytes;
  return Status();
}

}  // namespace ckpt
