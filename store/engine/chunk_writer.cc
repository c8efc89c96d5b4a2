#include "store/engine/chunk_writer.h"

#include <algorithm>

#include "store/codec/hash.h"

namespace ckpt {

Result<std::unique_ptr<ChunkWriter>> ChunkWriter::Open(Store* store) {
  std::unique_ptr<ChunkWriter> writer(new ChunkWriter(store));
  CKPT_RETURN_IF_ERROR(writer->OpenPack());
  return writer;
}

ChunkWriter::~ChunkWriter() { Abandon(); }

Status ChunkWriter::OpenPack() {
  PackWriterOptions options;
  options.store_uuid = store_->format().uuid;
  options.pack_bytes_max = store_->format().pack_bytes_max;
  options.permissions = store_->file_permissions();
  for (const auto& [id, state] : store_->PackStates()) {
    if (state.reserve || state.broken || state.file_bytes >= options.pack_bytes_max) continue;
    auto pack = PackWriter::Continue(store_->env(), store_->packs_dir(), id, options);
    if (!pack.ok()) {
      if (pack.status().code() == Code::kNoSpace) return pack.status();
      continue;  // not this one
    }
    if (*pack == nullptr) continue;
    pack_ = *std::move(pack);
    start_offset_ = pack_->end_offset();
    return Status();
  }
  CKPT_ASSIGN_OR_RETURN(pack_, PackWriter::Create(store_->env(), store_->packs_dir(), options));
  start_offset_ = 0;
  return Status();
}

void ChunkWriter::Rely(const Id128& pack_id, std::uint64_t up_to) {
  std::uint64_t& known = reliance_[pack_id];
  known = std::max(known, up_to);
}

Status ChunkWriter::Put(ByteSpan raw, const Id128& id, std::size_t element_width,
                        Encoder* encoder) {
  {
    std::lock_guard lock(mutex_);
    CKPT_RETURN_IF_ERROR(Status(failure_));
    if (own_.contains(id)) return Status();
  }
  CKPT_ASSIGN_OR_RETURN(auto place, store_->FindDurable(id));
  {
    std::lock_guard lock(mutex_);
    if (place.has_value() && place->entry.raw_bytes == raw.size()) {
      Rely(place->pack_id,
           RoundUp(place->entry.offset + kRecordHeaderBytes + place->entry.stored_bytes,
                   kRecordAlignBytes));
      return Status();
    }
    if (!own_.insert(id).second) return Status();  // another thread is at it
  }
  EncodeOptions options;
  options.level = store_->format().level;
  options.element_width = element_width;
  options.verify = store_->options().verify;
  auto encoded = encoder->Encode(raw, options);
  Status s = encoded.ok() ? AppendChunk(raw, id, *encoded) : encoded.status();
  if (!s.ok()) {
    std::lock_guard lock(mutex_);
    if (failure_.ok()) failure_ = s;
  }
  return s;
}

Status ChunkWriter::AppendChunk(ByteSpan raw, const Id128& id, const Encoded& encoded) {
  RecordHeader header;
  header.type = RecordType::kChunk;
  header.codec = static_cast<std::uint8_t>(encoded.codec);
  header.codec_param = encoded.param;
  header.raw_bytes = raw.size();
  header.id = id;
  header.payload_checksum = Checksum64(encoded.bytes);  // here, beside the other threads
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  if (pack_->BeyondLimit()) {
    CKPT_RETURN_IF_ERROR(RollOver());
    own_.insert(id);
  }
  CKPT_ASSIGN_OR_RETURN(Placed placed, pack_->Append(header, encoded.bytes));
  (void)placed;
  ++counts_.new_chunks;
  counts_.new_bytes += raw.size();
  return Status();
}

// REQUIRES: mutex_ held. Chunks other threads are encoding stay in own_: they go to the next pack.
Status ChunkWriter::RollOver() {
  CKPT_RETURN_IF_ERROR(pack_->Seal());
  Rely(pack_->pack_id(), pack_->end_offset());
  counts_.appended_bytes += pack_->end_offset() - start_offset_;
  PackContents news = pack_->TakeDurableNews();
  for (const ChunkEntry& entry : news.chunks) own_.erase(entry.id);
  Id128 id = pack_->pack_id();
  pack_.reset();
  CKPT_RETURN_IF_ERROR(store_->Publish(id, std::move(news)));
  return OpenPack();
}

Result<Id128> ChunkWriter::PutNode(ByteSpan raw) {
  Id128 id = HashChunk(raw);
  CKPT_RETURN_IF_ERROR(Put(raw, id, 0, &node_encoder_));
  return id;
}

Status ChunkWriter::AppendRecord(RecordType type, ByteSpan payload) {
  RecordHeader header;
  header.type = type;
  header.raw_bytes = payload.size();
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  auto placed = pack_->Append(header, payload);
  return placed.ok() ? Status() : failure_ = placed.status();
}

void ChunkWriter::Inherit(const std::vector<PackReliance>& packs) {
  std::lock_guard lock(mutex_);
  for (const PackReliance& pack : packs) Rely(pack.pack_id, pack.up_to);
}

std::vector<PackReliance> ChunkWriter::Reliance() const {
  std::lock_guard lock(mutex_);
  std::map<Id128, std::uint64_t> all = reliance_;
  std::uint64_t& own = all[pack_->pack_id()];
  own = std::max(own, pack_->end_offset());
  std::vector<PackReliance> list;
  for (const auto& [id, up_to] : all) list.push_back({id, up_to});
  return list;
}

void ChunkWriter::ForgetReliance() {
  std::lock_guard lock(mutex_);
  reliance_.clear();
}

Status ChunkWriter::Commit(bool closed) {
  std::lock_guard lock(mutex_);
  CKPT_RETURN_IF_ERROR(Status(failure_));
  if (Status s = pack_->Commit(closed); !s.ok()) return failure_ = s;
  counts_.appended_bytes += pack_->end_offset() - start_offset_;
  start_offset_ = pack_->end_offset();
  own_.clear();
  return store_->Publish(pack_->pack_id(), pack_->TakeDurableNews());
}

void ChunkWriter::Abandon() {
  if (pack_ == nullptr) return;
  pack_->Abandon();
  store_->packs()->Forget(pack_->pack_id());
  pack_.reset();
}

PutCounts ChunkWriter::counts() const {
  std::lock_guard lock(mutex_);
  PutCounts counts = counts_;
  counts.appended_bytes += pack_->end_offset() - start_offset_;
  return counts;
}

}  // namespace ckpt
