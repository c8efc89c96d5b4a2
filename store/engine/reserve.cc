#include "store/engine/reserve.h"

#include <algorithm>
#include <set>

#include "store/engine/chunk_writer.h"
#include "store/engine/collect_state.h"

namespace ckpt {
namespace {

// Below so much room a reserve is not worth continuing; with less free space none is made.
constexpr std::uint64_t kFreeBytesMin = 4u << 20;
constexpr std::int64_t kLockWaitMs = 10000;
constexpr std::int64_t kLockPollMs = 20;

struct Reserve {
  Id128 pack_id;
  std::uint64_t room_bytes = 0;
};

std::optional<Reserve> FindReserve(Store* store, const std::set<Id128>& none_of = {}) {
  std::optional<Reserve> best;
  for (const auto& [id, state] : store->PackStates()) {
    if (none_of.contains(id)) continue;
    auto view = store->packs()->Get(id);
    if (!view.ok() || !(*view)->reader().header().reserve) continue;
    auto bytes = (*view)->reader().FileBytes();
    if (!bytes.ok()) continue;
    auto contents = (*view)->reader().ReadFrom(0, true);
    if (!contents.ok()) continue;
    std::uint64_t room = *bytes - std::min(*bytes, contents->durable_end);
    if (!best.has_value() || room > best->room_bytes) best = Reserve{id, room};
  }
  return best;
}

Status AppendAll(ChunkWriter* writer, const std::vector<PlainRecord>& records) {
  for (const PlainRecord& record : records) {
    CKPT_RETURN_IF_ERROR(writer->AppendRecord(record.type, record.payload));
  }
  return writer->Commit(true);
}

Status WriteToReserve(Store* store, const std::vector<PlainRecord>& records) {
  CKPT_ASSIGN_OR_RETURN(auto pack, ContinueReserve(store));
  for (const PlainRecord& record : records) {
    RecordHeader header;
    header.type = record.type;
    CKPT_RETURN_IF_ERROR(pack->Append(header, record.payload).status());
  }
  CKPT_RETURN_IF_ERROR(pack->Commit(true));
  pack.reset();
  return store->Refresh();
}

}  // namespace

Status WriteRecords(Store* store, const std::vector<PlainRecord>& records) {
  if (records.empty()) return Status();
  auto writer = ChunkWriter::Open(store);
  Status written = writer.ok() ? AppendAll(writer->get(), records) : writer.status();
  if (written.code() != Code::kNoSpace) return written;
  if (writer.ok()) (*writer)->Abandon();
  Status reserve = WriteToReserve(store, records);
  return reserve.code() == Code::kNotFound ? written : reserve;
}

std::optional<Id128> CurrentReserve(Store* store) {
  auto reserve = FindReserve(store);
  return reserve.has_value() ? std::optional<Id128>(reserve->pack_id) : std::nullopt;
}

std::uint64_t ReserveRoom(Store* store) {
  auto reserve = FindReserve(store);
  return reserve.has_value() ? reserve->room_bytes : 0;
}

Result<std::unique_ptr<PackWriter>> ContinueReserve(Store* store) {
  PackWriterOptions options;
  options.store_uuid = store->format().uuid;
  options.pack_bytes_max = kReserveBytes;
  options.reserve = true;
  options.permissions = store->file_permissions();
  std::int64_t deadline = store->env()->MonotonicNs() + kLockWaitMs * 1000000;
  std::set<Id128> condemned;
  for (;;) {
    auto reserve = FindReserve(store, condemned);
    if (!reserve.has_value()) {
      return NoSpace(store->path() +
                     " has no reserve pack and the disk is full: free some space by other means,"
                     " then try again");
    }
    CKPT_ASSIGN_OR_RETURN(auto pack, PackWriter::Continue(store->env(), store->packs_dir(),
                                                          reserve->pack_id, options));
    if (pack != nullptr) {
      // Asked when it is locked: one that is collected would take what is written along.
      CKPT_ASSIGN_OR_RETURN(CollectState state, ReadCollectState(store));
      if (!state.Condemns(reserve->pack_id) && !state.Breaks(reserve->pack_id)) return pack;
      condemned.insert(reserve->pack_id);
      continue;
    }
    CKPT_ASSIGN_OR_RETURN(auto view, store->packs()->Get(reserve->pack_id));
    auto locked = view->reader().file()->LockedByOther();
    if (!locked.ok() || !*locked) {
      return NoSpace("the reserve pack of " + store->path() +
                     " is full or another host's, and so is the disk: free some space by other"
                     " means, then try again");
    }
    if (store->env()->MonotonicNs() >= deadline) {
      return Busy("somebody keeps writing into the reserve pack of " + store->path());
    }
    store->env()->SleepMs(kLockPollMs);
  }
}

void RenewReserve(Store* store) {
  auto present = FindReserve(store);
  if (present.has_value() && present->room_bytes >= kReserveBytes / 2) return;
  auto free = store->packs_dir()->FreeBytes();
  if (!free.ok() || *free < kFreeBytesMin) return;
  PackWriterOptions options;
  options.store_uuid = store->format().uuid;
  options.pack_bytes_max = kReserveBytes;
  options.reserve = true;
  options.permissions = store->file_permissions();
  auto pack = PackWriter::Create(store->env(), store->packs_dir(), options);
  if (!pack.ok()) return;
  Status committed = (*pack)->Commit(true);
  if (!committed.ok()) {  // never held anything: gone again
    Status removed = store->packs_dir()->RemoveFile(PackFileName((*pack)->pack_id()));
    (void)removed;
  }
}

}  // namespace ckpt
