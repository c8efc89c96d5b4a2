// Housekeeper: retention and collection from behind a running session, within a share of the time,
// and what makes room on a full disk or under a quota. Never drops the newest sound checkpoint of
// the series, nor any of another series. Thread rule: the committing thread.

#ifndef CKPT_STORE_SESSION_HOUSEKEEPER_H_
#define CKPT_STORE_SESSION_HOUSEKEEPER_H_

#include <cstdint>
#include <functional>
#include <string>

#include "store/engine/checkpoint_writer.h"
#include "store/engine/retention.h"
#include "store/engine/store.h"
#include "store/session/quota.h"

namespace ckpt {

class Housekeeper {
 public:
  Housekeeper(Store* store, RetentionRules rules, double share, Quota quota)
      : store_(store), rules_(std::move(rules)), share_(share), quota_(quota) {}

  // A checkpoint became durable. Drops what the rules let go (their tombstones are committed with
  // the next save) and, when something was dropped, collects. Does nothing while its share of the
  // time is used up. Failures are told as notices: the next call tries again. `last`: of the
  // session; drops, and leaves collection to the next one.
  void AfterCommit(CheckpointWriter* writer, bool last);
  // AfterCommit would do something now.
  bool Due() const;
  // The disk is full, or nearly, and no pack of ours is open: retention at once and collection, if
  // need be from the reserve. `wait_ms`: for others' collections, and for writers to acknowledge.
  static constexpr std::int64_t kFullDiskWaitMs = 10000;
  Status MakeRoom(std::int64_t wait_ms);
  // The quota has no room for `need` more: retention and collection at once, then the oldest
  // checkpoints that the rules would keep, one after the other, down to the newest sound one; as
  // few as it takes, and none while other writers hold up collection. Ok says that everything was
  // tried, not that there is room. `writer`: the session's, which then acknowledges while it is
  // waited for; null: no pack of ours is open.
  Status MakeRoomUnderQuota(const StoreUse& need, CheckpointWriter* writer);

  std::uint64_t removed() const { return removed_; }
  std::uint64_t freed_bytes() const { return freed_bytes_; }

 private:
  Status Drop(CheckpointWriter* writer);
  Status Collect(CheckpointWriter* writer);
  Result<std::vector<Removal>> PlanByRules(const RetentionRules& rules);
  Status RemoveAndCollect(const std::vector<Removal>& removals, CheckpointWriter* writer,
                          std::int64_t wait_ms);
  Result<std::vector<Removal>> OldestFirst();
  Result<std::size_t> HowMany(const std::vector<Removal>& oldest, const StoreUse& excess);

  Store* const store_;
  const RetentionRules rules_;
  const double share_;
  const Quota quota_;
  bool gave_up_ = false;  // said once
  bool waiting_ = false;  // for other writers: what the last collection was to free comes later
  bool pending_ = false;  // a commit since the last look
  bool garbage_ = false;  // dropped since the last collection
  std::int64_t next_ns_ = 0;
  std::uint64_t removed_ = 0;
  std::uint64_t freed_bytes_ = 0;

 public:
  void Committed() { pending_ = true; }
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_HOUSEKEEPER_H_
