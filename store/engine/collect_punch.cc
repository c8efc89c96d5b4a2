// Hollow packs (docs/collection.md): where there is no room to copy survivors, the space of chunks
// that nobody needs is given back where they lie. The epoch is an ordinary one up to SecondLook;
// what Unlink would have taken away for good, Punch takes away from within.

#include <algorithm>

#include "store/engine/collect.h"
#include "store/engine/hollow.h"

namespace ckpt {
namespace {

// For less than this a pack is not made hollow.
constexpr std::uint64_t kPunchBytesMin = 64u << 10;
constexpr int kRefusalsMax = 64;  // of the file system, one after the other

}  // namespace

// What punching would free in addition to what is punched already.
Result<std::uint64_t> Collector::PunchableBytes(const Id128& id, const Usage& usage) {
  std::uint64_t bytes = 0;
  CKPT_ASSIGN_OR_RETURN(auto entries, EntriesOf(id, false));
  for (const ChunkEntry& entry : entries) {
    if (marker_->live().Contains(entry.id)) continue;
    bytes += PayloadBlocks(entry.offset, entry.stored_bytes).bytes();
  }
  std::uint64_t punched = usage.file_bytes - std::min(usage.file_bytes, usage.stored_bytes);
  return bytes - std::min(bytes, punched);
}

Status Collector::ChooseHollow() {
  punchable_ = 0;
  for (const auto& [id, usage] : usage_) {
    if (!usage.candidate || to_break_.contains(id) || list_.size() >= kCollectPacksMax / 2)
      continue;
    CKPT_ASSIGN_OR_RETURN(std::uint64_t bytes, PunchableBytes(id, usage));
    if (bytes < kPunchBytesMin) continue;
    punchable_ += bytes;
    list_.insert(id);
  }
  return Status();
}

// Ends in IDLE, or in CONDEMNED when a writer does not acknowledge.
Status Collector::MakeRoom() {
  CKPT_ASSIGN_OR_RETURN(bool any, Choose(Kind::kHollow));
  if (!any) return Status();
  Status epoch = RunEpoch();
  if (epoch.code() == Code::kNoSpace) {
    store_->Notice(epoch.message());
    return GiveUpCopy();
  }
  return epoch;
}

// Durable before the first block goes, and before IDLE: whoever does not see these packs condemned
// any more has read this, and finds nothing in them.
Status Collector::MarkHollow() {
  std::vector<OwnPacks::Record> records;
  for (const Id128& id : list_) {
    OwnPacks::Record record;
    record.header.type = RecordType::kDamage;
    record.payload =
        EncodeDamage({DamageRecord::kHollow, id, 0, Id128(), store_->env()->RealtimeNs()});
    records.push_back(std::move(record));
  }
  if (records.empty()) {
    AbandonOwn();
  } else {
    CKPT_RETURN_IF_ERROR(own_->CommitRecords(records));
  }
  own_.reset();
  return CheckOurs();
}

// Only the blocks inside payloads, and only where the record is what the directory says.
Status Collector::PunchPack(const Id128& id) {
  auto file =
      store_->packs_dir()->OpenFile(PackFileName(id), OpenOptions{.mode = OpenMode::kReadWrite});
  if (!file.ok()) return file.status();
  CKPT_ASSIGN_OR_RETURN(bool locked, (*file)->TryLock());
  if (!locked) return Status();  // a writer that is about to see that the pack is condemned
  CKPT_ASSIGN_OR_RETURN(FileInfo before, (*file)->Stat());
  CKPT_ASSIGN_OR_RETURN(auto entries, EntriesOf(id, false));
  Bytes bytes(kRecordHeaderBytes);
  int refusals = 0;
  for (const ChunkEntry& entry : entries) {
    BlockRange blocks = PayloadBlocks(entry.offset, entry.stored_bytes);
    if (marker_->live().Contains(entry.id) || blocks.bytes() == 0) continue;
    CKPT_ASSIGN_OR_RETURN(std::size_t got, (*file)->ReadAt(entry.offset, bytes));
    RecordHeader header;
    bool same = got == bytes.size() && DecodeRecordHeader(bytes, id, entry.offset, &header) &&
                header.type == RecordType::kChunk && header.id == entry.id &&
                header.stored_bytes == entry.stored_bytes;
    if (!same) continue;
    Status punched = (*file)->PunchHole(blocks.begin, blocks.bytes());
    // A file system may need a block of its own to give others back.
    bool refused = punched.code() == Code::kNoSpace && ++refusals < kRefusalsMax;
    if (!punched.ok() && !refused) return punched;
    if (punched.ok()) refusals = 0;
  }
  CKPT_RETURN_IF_ERROR((*file)->Sync());
  CKPT_ASSIGN_OR_RETURN(FileInfo after, (*file)->Stat());
  collected_.freed_bytes +=
      before.allocated_bytes - std::min(before.allocated_bytes, after.allocated_bytes);
  Usage& usage = usage_[id];
  usage.stored_bytes = std::min(usage.file_bytes, after.allocated_bytes);
  return Status();
}

Status Collector::Punch() {
  for (const Id128& id : list_) {
    Status punched = PunchPack(id);
    if (punched.ok() || punched.code() == Code::kNotFound) continue;
    bool goes_on = punched.code() == Code::kUnsupported || punched.code() == Code::kPermission ||
                   punched.code() == Code::kNoSpace;
    if (!goes_on) return punched;
    store_->Notice("no space could be given back inside packs: " + punched.message());
    break;
  }
  list_.clear();
  CKPT_RETURN_IF_ERROR(GiveUpList());
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  return scan_->Refresh();
}

}  // namespace ckpt
