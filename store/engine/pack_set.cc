#include "store/engine/pack_set.h"

#include "store/codec/compress.h"

namespace ckpt {
namespace {

constexpr std::size_t kOpenPacksMax = 256;
constexpr std::uint64_t kTablesBytesMax = 128u << 20;
// Of the table and the entries it points to.
constexpr std::uint64_t kBytesPerChunk = sizeof(ChunkEntry) + 48;

}  // namespace

PackView::~PackView() { *tables_bytes_ -= table_bytes_; }

Status PackView::Load() {
  CKPT_ASSIGN_OR_RETURN(std::uint64_t bytes, reader_->FileBytes());
  if (contents_ != nullptr && bytes == loaded_bytes_) return Status();
  CKPT_ASSIGN_OR_RETURN(PackContents contents, reader_->ReadFrom(0));
  auto shared = std::make_shared<const PackContents>(std::move(contents));
  table_.clear();
  table_.reserve(shared->chunks.size() + shared->tail_chunks.size());
  for (const auto* list : {&shared->chunks, &shared->tail_chunks}) {
    for (const ChunkEntry& entry : *list) {
      auto [it, fresh] = table_.emplace(entry.id, &entry);
      if (!fresh && IsDeltaCodec(it->second->codec)) it->second = &entry;
    }
  }
  contents_ = std::move(shared);
  loaded_bytes_ = bytes;
  std::uint64_t now = table_.size() * kBytesPerChunk;
  *tables_bytes_ += now - table_bytes_;
  table_bytes_ = now;
  return Status();
}

Result<std::optional<ChunkEntry>> PackView::Find(const Id128& id, bool thorough) {
  std::lock_guard lock(mutex_);
  bool on_disk = reader_->sealed() && contents_ == nullptr && *tables_bytes_ > kTablesBytesMax;
  if (on_disk && !thorough) return reader_->FindInSealed(id);
  CKPT_RETURN_IF_ERROR(Load());
  auto it = table_.find(id);
  if (it == table_.end()) return std::optional<ChunkEntry>();
  return std::optional<ChunkEntry>(*it->second);
}

Result<std::shared_ptr<const PackContents>> PackView::Contents() {
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Load());
  return contents_;
}

void PackSet::Init(Dir* packs_dir, const Id128& store_uuid) {
  packs_dir_ = packs_dir;
  store_uuid_ = store_uuid;
}

Result<std::shared_ptr<PackView>> PackSet::Get(const Id128& pack_id) {
  std::lock_guard lock(mutex_);
  auto it = views_.find(pack_id);
  if (it != views_.end()) return it->second;
  if (views_.size() >= kOpenPacksMax) views_.clear();  // those in use stay with their users
  // Records are bound to the pack's id, not to its header: one that cannot be read hides nothing.
  CKPT_ASSIGN_OR_RETURN(auto reader, PackReader::Open(packs_dir_, pack_id, store_uuid_,
                                                      PackReader::BadHeader::kSalvage));
  auto view = std::make_shared<PackView>(std::move(reader), &tables_bytes_);
  views_.emplace(pack_id, view);
  return view;
}

void PackSet::Forget(const Id128& pack_id) {
  std::lock_guard lock(mutex_);
  views_.erase(pack_id);
}

}  // namespace ckpt
