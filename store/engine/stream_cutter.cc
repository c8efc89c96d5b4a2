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
  if (segment_ != nullptr) CKPT_RETURN_IF_ERROR(pipeline_->Release(segment_));
  segment_ = nullptr;
  CKPT_ASSIGN_OR_RETURN(segment_, pipeline_->TakeSegment());
  std::copy(rest.begin(), rest.end(), segment_->buffer.data());
  begin_ = 0;
  end_ = rest.size();
  return Status();
}

Status StreamCutter::Emit(bool last, ChunkListBuilder* list) {
  for (;;) {
    ByteSpan pending(segment_->buffer.data() + begin_, end_ - begin_);
    std::size_t length = chunker_.Next(pending, last);
    if (length == 0) return Status();
    CKPT_RETURN_IF_ERROR(pipeline_->AddBytes(list, pending.first(length), 0, segment_));
    begin_ += length;
  }
}

Result<std::uint64_t> StreamCutter::Cut(const ReadFn& next, std::uint64_t length_bytes,
                                        ChunkListBuilder* list) {
  begin_ = end_;
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
    CKPT_RETURN_IF_ERROR(Emit(last, list));
  }
  return total;
}

// A read that is under way. It is over before this goes: it writes into the segment.
struct StreamCutter::Ahead {
  ~Ahead() {
    if (answer.valid()) answer.wait();
  }
  ChunkPipeline::Segment* segment = nullptr;
  std::size_t wanted = 0;
  std::future<Result<std::size_t>> answer;
};

// In front of what is read there is room for what the segment before leaves uncut.
Status StreamCutter::Ask(const ReadAtFn& read_at, std::uint64_t offset, std::uint64_t length_bytes,
                         Ahead* ahead) {
  CKPT_ASSIGN_OR_RETURN(ahead->segment, pipeline_->TakeSegment());
  const AlignedBuffer& buffer = ahead->segment->buffer;
  const std::size_t room = chunker_.params().max_bytes;
  ahead->wanted = std::min<std::uint64_t>(buffer.size() - room, length_bytes - offset);
  MutableByteSpan out(ahead->segment->buffer.data() + room, ahead->wanted);
  ahead->answer = pipeline_->ReadAhead([&read_at, offset, out] { return read_at(offset, out); });
  return Status();
}

Result<std::uint64_t> StreamCutter::CutAhead(const ReadAtFn& read_at, std::uint64_t length_bytes,
                                             const std::function<Status(std::size_t)>& progress,
                                             ChunkListBuilder* list) {
  if (segment_ != nullptr) CKPT_RETURN_IF_ERROR(pipeline_->Release(segment_));
  segment_ = nullptr;
  const std::size_t room = chunker_.params().max_bytes;
  std::uint64_t total = 0;
  Bytes rest;
  Ahead ahead;
  CKPT_RETURN_IF_ERROR(Ask(read_at, 0, length_bytes, &ahead));
  for (bool last = false; !last;) {
    CKPT_ASSIGN_OR_RETURN(std::size_t got, ahead.answer.get());
    segment_ = ahead.segment;
    total += got;
    last = got < ahead.wanted || total == length_bytes;
    if (!last) CKPT_RETURN_IF_ERROR(Ask(read_at, total, length_bytes, &ahead));
    CKPT_RETURN_IF_ERROR(progress(got));
    begin_ = room - rest.size();
    end_ = room + got;
    std::copy(rest.begin(), rest.end(), segment_->buffer.data() + begin_);
    CKPT_RETURN_IF_ERROR(Emit(last, list));
    rest.assign(segment_->buffer.data() + begin_, segment_->buffer.data() + end_);
    CKPT_RETURN_IF_ERROR(pipeline_->Release(segment_));
    segment_ = nullptr;
  }
  begin_ = end_ = 0;
  return total;
}

}  // namespace ckpt
