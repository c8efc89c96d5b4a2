// The committer where room is scarce: before a save on a disk that is nearly full; under a quota,
// before a save and while one grows.
//
// A collection cannot touch the pack that is being written. So before a save that is expected to go
// over the quota what was staged is committed and the pack let go; a save that grows beyond what
// was expected makes what room there is beside its own pack. And packs are kept small against the
// quota, so that whole ones can go.

#include <algorithm>

#include "store/session/committer.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kQuotaPackBytesMin = 1u << 20;
// Manifest, marks and padding of a save, besides its chunks; and tables and directories, a part of
// what was appended.
constexpr std::uint64_t kSaveOverheadBytes = 64u << 10;
constexpr std::uint64_t kTableShare = 512;
constexpr std::int64_t kQuotaPause = 5 * kNsPerSecond;  // between two tries in vain
constexpr std::uint64_t kSpareBytes = 1u << 20;         // on the disk, beside the next save
constexpr std::int64_t kEarlyWaitMs = 2000;             // before it is full

}  // namespace

bool Committer::DiskIsNearlyFull() const {
  const std::uint64_t need = quota_need_.bytes + quota_need_.bytes / 4 + kSpareBytes;
  auto free = store_->packs_dir()->FreeBytes();
  return free.ok() && *free < need;
}

// A disk that fills up under a save takes along what was staged before it in that pack. So a save
// that may not fit has that committed first and old checkpoints collected. The disk has the last
// word.
void Committer::EnterOnDisk() {
  if (!DiskIsNearlyFull()) return;
  const std::int64_t now = store_->env()->MonotonicNs();
  const bool in_vain = room_made_ns_ != 0 && now - room_made_ns_ < kQuotaPause;
  if (writer_ != nullptr && !(in_vain && staged_.empty())) CommitNow(!in_vain);
  if (in_vain || current_ == nullptr) return;  // or what was staged could not be committed
  writer_.reset();
  making_room_ = true;
  Status room = housekeeper_.MakeRoom(kEarlyWaitMs);
  making_room_ = false;
  room_made_ns_ = DiskIsNearlyFull() ? now : 0;
  if (!room.ok() && room.code() != Code::kCancelled && room.code() != Code::kBusy) {
    store_->Notice("no room could be made: " + room.message());
  }
  std::lock_guard lock(mutex_);
  report_.removed = housekeeper_.removed();
  report_.freed_bytes = housekeeper_.freed_bytes();
}

std::uint64_t Committer::QuotaPackBytes() const {
  if (quota_.bytes == 0) return UINT64_MAX;
  const bool another = quota_.files == 0 || quota_use_.files < quota_.files;
  return another ? std::max(kQuotaPackBytesMin, quota_.bytes / 8) : UINT64_MAX;
}

void Committer::MakeRoomUnderQuota() {
  making_room_ = true;
  Status room = housekeeper_.MakeRoomUnderQuota(quota_need_, writer_.get());
  making_room_ = false;
  quota_tried_ = true;
  room_made_ns_ = store_->env()->MonotonicNs();
  if (!room.ok() && room.code() != Code::kCancelled) {  // by a stop signal, which is in a hurry
    store_->Notice("no room could be made under the quota: " + room.message());
  }
  std::lock_guard lock(mutex_);
  report_.removed = housekeeper_.removed();
  report_.freed_bytes = housekeeper_.freed_bytes();
}

Status Committer::RefuseOverQuota(const StoreUse& use) {
  over_quota_ = true;
  return OverQuota(*store_, series_, quota_, use);
}

Status Committer::EnterUnderQuota() {
  quota_tried_ = false;
  quota_need_.bytes = std::max(quota_need_.bytes, kSaveOverheadBytes);
  quota_need_.files = 1 + quota_need_.bytes / store_->format().pack_bytes_max;
  CKPT_ASSIGN_OR_RETURN(quota_use_, MeasureUse(store_));
  if (quota_.Excess(quota_use_, quota_need_).none()) return Status();
  const bool in_vain = failing_ && store_->env()->MonotonicNs() - room_made_ns_ < kQuotaPause;
  if (!in_vain) {
    if (writer_ != nullptr) CommitNow(true);
    if (current_ == nullptr) return Status();
    writer_.reset();
    MakeRoomUnderQuota();
    CKPT_ASSIGN_OR_RETURN(quota_use_, MeasureUse(store_));
  }
  const StoreUse least{kSaveOverheadBytes, quota_need_.files};
  if (quota_.Excess(quota_use_, least).none()) return Status();
  return RefuseOverQuota(quota_use_);
}

// REQUIRES: a save is under way.
Status Committer::StayUnderQuota(std::uint64_t more_bytes) {
  if (quota_.bytes == 0) return Status();
  const std::uint64_t appended = writer_->chunks()->counts().appended_bytes;
  const std::uint64_t more = more_bytes + kSaveOverheadBytes + appended / kTableShare;
  auto fits = [&] { return quota_.Excess({quota_use_.bytes + appended, 0}, {more, 0}).none(); };
  if (fits()) return Status();
  if (!std::exchange(quota_tried_, true)) {
    const StoreUse before = quota_use_;
    quota_need_ = {more + std::max(appended, quota_need_.bytes), 0};
    const std::uint64_t freed = housekeeper_.freed_bytes();
    MakeRoomUnderQuota();
    const std::uint64_t gone = housekeeper_.freed_bytes() - freed;
    quota_use_.bytes = before.bytes - std::min(before.bytes, gone);
    if (fits()) return Status();
  }
  quota_need_.bytes = std::max(quota_need_.bytes, 2 * (more + appended));
  room_made_ns_ = 0;  // the next save lets the pack go, and so has more of it
  return RefuseOverQuota({quota_use_.bytes + appended, quota_use_.files});
}

}  // namespace ckpt
