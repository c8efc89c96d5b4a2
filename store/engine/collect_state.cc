#include "store/engine/collect_state.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "store/base/check.h"
#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr std::string_view kName = "collect";
constexpr std::string_view kStateMagic = "CKPTCOLL";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kSlotBytes = 65536;
constexpr std::size_t kFixedBytes = 48;
constexpr std::size_t kChecksumBytes = 8;
static_assert(kFixedBytes + 16 * kCollectPacksMax + kChecksumBytes <= kSlotBytes);

Bytes EncodeSlot(const CollectState& state, const Id128& uuid) {
  CKPT_CHECK(state.condemned.size() + state.broken.size() <= kCollectPacksMax,
             "a list that does not fit must not be chosen");
  Bytes slot;
  slot.reserve(kSlotBytes);
  ByteWriter w(&slot);
  w.Raw(AsBytes(kStateMagic));
  w.U32(kVersion);
  w.U32(static_cast<std::uint32_t>(state.phase));
  w.U64(state.epoch);
  w.Id(uuid);
  w.U32(static_cast<std::uint32_t>(state.condemned.size()));
  w.U32(static_cast<std::uint32_t>(state.broken.size()));
  for (const Id128& id : state.condemned) w.Id(id);
  for (const Id128& id : state.broken) w.Id(id);
  slot.resize(kSlotBytes - kChecksumBytes);
  ByteWriter(&slot).U64(Checksum64(slot));
  return slot;
}

CollectState DecodeSlot(ByteSpan slot, const Id128& uuid) {
  CollectState state;
  if (slot.size() != kSlotBytes || AsText(slot.first(kStateMagic.size())) != kStateMagic)
    return state;
  ByteSpan body = slot.first(kSlotBytes - kChecksumBytes);
  if (LoadU64(slot.data() + body.size()) != Checksum64(body)) return state;
  ByteReader r(body.subspan(kStateMagic.size()));
  std::uint32_t version = r.U32();
  std::uint32_t phase = r.U32();
  std::uint64_t epoch = r.U64();
  Id128 owner = r.Id();
  std::uint32_t condemned = r.U32();
  std::uint32_t broken = r.U32();
  bool sane = version == kVersion && phase <= 2 && owner == uuid && condemned <= kCollectPacksMax &&
              broken <= kCollectPacksMax - condemned;
  if (!sane) return state;
  for (std::uint32_t i = 0; i < condemned; ++i) state.condemned.push_back(r.Id());
  for (std::uint32_t i = 0; i < broken; ++i) state.broken.push_back(r.Id());
  state.phase = static_cast<CollectPhase>(phase);
  state.epoch = epoch;
  state.known = r.ok();
  return state;
}

bool IsBlank(ByteSpan slot) {
  // Each byte equals the next one: many times as fast as a look at each.
  return slot.size() == kSlotBytes && slot[0] == std::byte{0} &&
         std::memcmp(slot.data(), slot.data() + 1, kSlotBytes - 1) == 0;
}

// Within an epoch: condemned, moved, idle.
int Order(const CollectState& state) {
  return state.phase == CollectPhase::kIdle ? 3 : static_cast<int>(state.phase);
}

bool Before(const CollectState& a, const CollectState& b) {
  if (a.known != b.known) return !a.known;
  if (a.epoch != b.epoch) return a.epoch < b.epoch;
  return Order(a) < Order(b);
}

struct Slots {
  std::array<CollectState, 2> state;
  int present = 0;  // the one that counts
  CollectFlaws flaws;
};

Result<Slots> ReadSlots(File* file, const Id128& uuid) {
  Slots slots;
  Bytes bytes(kSlotBytes);
  for (std::size_t i = 0; i < 2; ++i) {
    CKPT_ASSIGN_OR_RETURN(std::size_t got, file->ReadAt(i * kSlotBytes, bytes));
    ByteSpan slot = ByteSpan(bytes).first(got);
    slots.state[i] = DecodeSlot(slot, uuid);
    if (slots.state[i].known || IsBlank(slot)) continue;
    slots.flaws.slots.push_back(i * kSlotBytes);
    // A cut is never our own doing, and of two writes the first was flushed.
    slots.flaws.lost = slots.flaws.lost || got < kSlotBytes || slots.flaws.slots.size() == 2;
  }
  slots.present = Before(slots.state[0], slots.state[1]) ? 1 : 0;
  return slots;
}

bool Contains(const std::vector<Id128>& sorted, const Id128& id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

}  // namespace

bool CollectState::Condemns(const Id128& pack_id) const {
  return phase != CollectPhase::kIdle && Contains(condemned, pack_id);
}

bool CollectState::Breaks(const Id128& pack_id) const { return Contains(broken, pack_id); }

Status MakeCollectFile(Dir* root, std::uint32_t permissions) {
  OpenOptions open;
  open.mode = OpenMode::kReadOrCreate;
  open.permissions = permissions;
  CKPT_ASSIGN_OR_RETURN(auto file, OpenOwnFile(root, kName, open));
  Status allocated = file->Allocate(0, 2 * kSlotBytes);
  if (!allocated.ok() && allocated.code() != Code::kUnsupported) return allocated;
  Bytes slot(kSlotBytes);
  for (std::uint64_t at : {std::size_t{0}, kSlotBytes}) {
    CKPT_ASSIGN_OR_RETURN(std::size_t got, file->ReadAt(at, slot));
    if (AsText(ByteSpan(slot).first(std::min(got, kStateMagic.size()))) == kStateMagic) continue;
    CKPT_RETURN_IF_ERROR(file->WriteAt(at, Bytes(kSlotBytes)));
  }
  return file->Sync();
}

Result<CollectState> ReadCollectState(Store* store) {
  auto file = OpenOwnFile(store->root(), kName, OpenOptions{});
  if (!file.ok() && file.status().code() == Code::kNotFound) return CollectState();
  if (!file.ok()) return file.status();
  CKPT_ASSIGN_OR_RETURN(Slots slots, ReadSlots(file->get(), store->format().uuid));
  return slots.state[slots.present];
}

Result<CollectFlaws> FindCollectFlaws(Store* store) {
  auto file = OpenOwnFile(store->root(), kName, OpenOptions{});
  if (!file.ok() && file.status().code() == Code::kNotFound) return CollectFlaws();
  if (!file.ok()) return file.status();
  CKPT_ASSIGN_OR_RETURN(Slots slots, ReadSlots(file->get(), store->format().uuid));
  return std::move(slots.flaws);
}

Status WriteCollectState(Store* store, const CollectState& state) {
  OpenOptions open;
  open.mode = OpenMode::kReadOrCreate;
  open.permissions = store->file_permissions();
  bool missing = !store->root()->StatEntry(kName).ok();
  CKPT_ASSIGN_OR_RETURN(auto file, OpenOwnFile(store->root(), kName, open));
  CKPT_ASSIGN_OR_RETURN(Slots slots, ReadSlots(file.get(), store->format().uuid));
  if (!Before(slots.state[slots.present], state)) {
    return Busy(store->path() + "/collect: another host is collecting at the same time");
  }
  Bytes slot = EncodeSlot(state, store->format().uuid);
  CKPT_RETURN_IF_ERROR(file->WriteAt((1 - slots.present) * kSlotBytes, slot));
  CKPT_RETURN_IF_ERROR(file->Sync());
  if (missing) CKPT_RETURN_IF_ERROR(store->root()->Sync());
  CKPT_ASSIGN_OR_RETURN(CollectState back, ReadCollectState(store));
  if (back == state) return Status();
  return IoError(store->path() + "/collect does not read back as it was written");
}

}  // namespace ckpt
