#include "store/engine/stream_cutter.h"

#include <algorithm>

namespace ckpt {
namespace {

constexpr std::size_t kReadBytes = 1u << 20;

}  // namespace

// Moves on to another segment when this one has no room for a read; what is not cut yet (less than
// the greatest chunk) goes with us.
Status StreamCutter::MakeRoom() {
  std::size_t need = std::min<std::size_t>(kReadBytes, chunker_.params().max_bytes);
  if (segment_ != nullptr && segment_->buffer.size() - end_ >= need) return Status();
  Bytes rest;
  if (segment_ != nullptr) {
    rest.assign(segment_->buffer.data() + begin_, segment_->buffer.data() + end_);
  }
  CKPT_ASSIGN_OR_RETURN(segment_, pipeline_->NextSegment());
  std::copy(rest.begin(), rest.end(), segment_->buffer.data());
  begin_ = 0;
  end_ = rest.size();
  return Status();
}

Result<bool> StreamCutter::Emit(bool last, ChunkListBuilder* list, const KnownFn& known,
                                const StopFn& stop) {
  for (;;) {
    ByteSpan pending(segment_->buffer.data() + begin_, end_ - begin_);
    std::size_t length = chunker_.Next(pending, last);
    if (length == 0) return true;
    const auto before = known ? known(cut_bytes_, length) : std::nullopt;
    CKPT_RETURN_IF_ERROR(pipeline_->AddBytes(list, pending.first(length), {},
                                             before.has_value() ? &*before : nullptr));
    begin_ += length;
    cut_bytes_ += length;
    if (stop && stop(cut_bytes_)) return false;
  }
}

Result<std::uint64_t> StreamCutter::Cut(const ReadFn& next, std::uint64_t length_bytes,
                                        ChunkListBuilder* list, const KnownFn& known,
                                        const StopFn& stop) {
  begin_ = end_;  // what was read beyond a stop is not wanted any more
  cut_bytes_ = 0;
  std::uint64_t total = 0;
  for (bool last = false; !last;) {
    CKPT_RETURN_IF_ERROR(MakeRoom());
    std::size_t want =
        std::min<std::uint64_t>({kReadBytes, segment_->buffer.size() - end_, length_bytes - total});
    std::size_t got = 0;
    if (want > 0) {
      MutableByteSpan room(segment_->buffer.data() + end_, want);
      CKPT_ASSIGN_OR_RETURN(got, next(room));
    }
    end_ += got;
    total += got;
    last = got == 0 || total == length_bytes;
    CKPT_ASSIGN_OR_RETURN(bool go_on, Emit(last, list, known, stop));
    if (!go_on) break;
  }
  return cut_bytes_;
}

}  // namespace ckpt
