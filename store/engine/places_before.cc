#include "store/engine/places_before.h"

namespace ckpt {

void PlacesBefore::ReadAhead() {
  if (ahead_.has_value()) ahead_offset_ += ahead_->raw_bytes;
  auto next = list_.Next();
  ahead_ = next.ok() ? *std::move(next) : std::nullopt;
}

std::optional<Id128> PlacesBefore::At(std::uint64_t offset, std::uint64_t length) {
  while (ahead_.has_value() && ahead_offset_ < offset) ReadAhead();
  const bool there = ahead_.has_value() && ahead_offset_ == offset && ahead_->raw_bytes == length &&
                     ahead_->kind == ChunkItem::Kind::kChunk;
  return there ? std::optional(ahead_->id) : std::nullopt;
}

}  // namespace ckpt
