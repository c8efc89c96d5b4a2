#include "store/engine/file_cuts.h"

#include <algorithm>

#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kLookEveryChunks = 64;
constexpr std::uint64_t kSkipChunksMost = 1024;

}  // namespace

FileCuts::FileCuts(Store* store, const Chunker& chunker, const TreeRef& before, ChunkSource* source,
                   ChunkEncoder* encoder)
    : store_(store),
      chunker_(chunker),
      before_(before, source),
      look_bytes_(std::size_t{2} * chunker.params().max_bytes),
      encoder_(encoder) {}

// The next chunk, if there is one.
bool FileCuts::ReadAhead() {
  while (!ended_) {
    auto next = before_.Next();
    ended_ = !next.ok() || !next->has_value();
    if (ended_) break;
    Place place{before_offset_, **std::move(next)};
    before_offset_ += place.item.raw_bytes;
    if (place.item.kind != ChunkItem::Kind::kChunk) continue;
    ahead_.push_back(std::move(place));
    return true;
  }
  return false;
}

// The first chunk that began at `offset` or behind it; those before are passed.
const FileCuts::Place* FileCuts::FirstFrom(std::uint64_t offset) {
  while (!ahead_.empty() && ahead_.front().offset < offset) ahead_.pop_front();
  while (ahead_.empty()) {
    if (!ReadAhead()) return nullptr;
    if (ahead_.front().offset < offset) ahead_.pop_front();
  }
  return &ahead_.front();
}

// One of the middle, of those that were all within these bytes: what changed begins and ends
// somewhere in a chunk.
const FileCuts::Place* FileCuts::OneWithin(std::uint64_t offset, std::size_t length_bytes) {
  if (FirstFrom(offset) == nullptr) return nullptr;
  const std::uint64_t end = offset + length_bytes;
  while (ahead_.back().offset < end && ReadAhead()) {
  }
  std::size_t within = 0;
  while (within < ahead_.size() && ahead_[within].offset <= end &&
         ahead_[within].item.raw_bytes <= end - ahead_[within].offset) {
    ++within;
  }
  return within == 0 ? nullptr : &ahead_[within / 2];
}

StreamCutter::Cut FileCuts::Next(std::uint64_t offset, ByteSpan pending, bool last) {
  if (offset >= look_at_) {
    if (pending.size() < look_bytes_ && !last) return {};
    Look(offset, pending, last);
  }
  StreamCutter::Cut cut = as_before_ ? AsBefore(offset, pending, last)
                                     : StreamCutter::Cut{chunker_.Next(pending, last), {}};
  const Place* place = FirstFrom(offset);
  const bool same =
      place != nullptr && place->offset == offset && place->item.raw_bytes == cut.length;
  if (same) cut.before = place->item.id;
  return cut;
}

// Up to where the next chunk began before, by content where that is far.
StreamCutter::Cut FileCuts::AsBefore(std::uint64_t offset, ByteSpan pending, bool last) {
  const Place* place = FirstFrom(offset);
  if (place == nullptr || place->item.raw_bytes > chunker_.params().max_bytes) {
    return {chunker_.Next(pending, last), {}};
  }
  if (place->offset > offset) {
    const std::size_t length = chunker_.Next(pending, last);
    return {std::min<std::uint64_t>(length, place->offset - offset), {}};
  }
  if (place->item.raw_bytes <= pending.size()) return {place->item.raw_bytes, {}};
  return {last ? chunker_.Next(pending, true) : 0, {}};
}

void FileCuts::Look(std::uint64_t offset, ByteSpan pending, bool last) {
  const Found found = FindByContent(pending, last);
  if (found != Found::kTooShort) {
    const Place* place = OneWithin(offset, std::min(pending.size(), look_bytes_));
    as_before_ = found == Found::kFew && place != nullptr &&
                 DifferencePays(place->item.id,
                                pending.subspan(place->offset - offset, place->item.raw_bytes));
  }
  const std::uint64_t chunk_bytes = chunker_.params().avg_bytes;
  const std::uint64_t least = kLookEveryChunks * chunk_bytes;
  skip_bytes_ =
      as_before_ ? least : std::clamp(2 * skip_bytes_, least, kSkipChunksMost * chunk_bytes);
  look_at_ = offset + skip_bytes_;
}

// Whether the chunks that begin at cuts by content (the first does not) are stored already.
FileCuts::Found FileCuts::FindByContent(ByteSpan pending, bool last) {
  std::size_t cut = 0, found = 0;
  const std::size_t first = chunker_.Next(pending, last);
  for (std::size_t at = first; first > 0 && at < std::min(pending.size(), look_bytes_);) {
    const std::size_t length = chunker_.Next(pending.subspan(at), last);
    if (length == 0) break;
    cut += length;
    if (store_->FindDurable(HashChunk(pending.subspan(at, length))).has_value()) found += length;
    at += length;
  }
  if (cut == 0) return Found::kTooShort;
  return found >= cut / 4 ? Found::kMany : Found::kFew;
}

bool FileCuts::DifferencePays(const Id128& before, ByteSpan raw) {
  const auto base = FindDeltaBase(store_, before, raw.size());
  if (!base.has_value() || !ReadDeltaBase(store_, base->place, encoder_)) return false;
  EncodeOptions options;
  options.level = store_->format().level;
  options.verify = false;
  const auto full = encoder_->encoder.Encode(raw, options);
  if (!full.ok()) return false;
  const std::size_t bytes_max =
      std::min<std::size_t>(full->bytes.size(), base->place.entry.stored_bytes) / 4 * 3;
  const auto delta =
      encoder_->encoder.EncodeDelta(raw, encoder_->base, base->place.entry.id, options, bytes_max);
  return delta.ok() && delta->has_value();
}

}  // namespace ckpt
