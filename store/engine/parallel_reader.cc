#include "store/engine/parallel_reader.h"

#include <algorithm>
#include <new>

#include "store/base/quietly.h"
#include "store/codec/hash.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

constexpr std::size_t kPieceBytes = 1u << 20;
constexpr std::size_t kPieceParts = 256;
constexpr std::size_t kQueueMax = 64;
// Chunks so near to each other in a pack come with one read.
constexpr std::uint64_t kGapBytes = 16u << 10;
constexpr std::uint64_t kSpanBytes = 2u << 20;

std::uint64_t PayloadOffset(const ChunkEntry& entry) { return entry.offset + kRecordHeaderBytes; }

}  // namespace

ParallelReader::ParallelReader(Fetcher* fetcher, int threads)
    : fetcher_(fetcher), thread_count_(std::max(1, threads)) {}

ParallelReader::~ParallelReader() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    queue_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Result<std::uint64_t> ParallelReader::Read(const TreeRef& content,
                                           std::shared_ptr<ReadTarget> target,
                                           std::optional<std::uint64_t> length_bytes) {
  auto job = std::make_shared<Job>();
  job->target = std::move(target);
  ChunkListReader list(content, fetcher_);
  std::uint64_t offset = 0;
  Piece piece;
  piece.job = job;
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto item, list.Next());
    if (!item.has_value()) break;
    if (item->kind != ChunkItem::Kind::kHole) {
      Part part;
      part.offset = offset;
      part.raw_bytes = static_cast<std::uint32_t>(item->raw_bytes);
      if (item->kind == ChunkItem::Kind::kInline) {
        part.inline_bytes = std::move(item->inline_bytes);
      } else {
        CKPT_ASSIGN_OR_RETURN(part.place, fetcher_->Locate(item->id));
      }
      piece.parts.push_back(std::move(part));
      piece.raw_bytes += item->raw_bytes;
    }
    offset += item->raw_bytes;
    if (piece.raw_bytes >= kPieceBytes || piece.parts.size() >= kPieceParts) {
      CKPT_RETURN_IF_ERROR(Push(std::move(piece)));
      piece = Piece();
      piece.job = job;
    }
  }
  if (!piece.parts.empty()) CKPT_RETURN_IF_ERROR(Push(std::move(piece)));
  if (length_bytes.has_value() && offset != *length_bytes) {
    return Corruption("its content has " + std::to_string(offset) + " bytes, not " +
                      std::to_string(*length_bytes));
  }
  CKPT_RETURN_IF_ERROR(Finish(job.get()));
  return offset;
}

Status ParallelReader::Push(Piece piece) {
  ++piece.job->pieces;
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return !error_.ok() || queue_.size() < kQueueMax; });
  CKPT_RETURN_IF_ERROR(Status(error_));
  if (threads_.size() < static_cast<std::size_t>(thread_count_)) {
    CKPT_RETURN_IF_ERROR(AddQuietThread(&threads_, [this] { Work(); }));
  }
  queue_.push_back(std::move(piece));
  work_.notify_one();
  return Status();
}

Status ParallelReader::Drain() {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return !error_.ok() || (queue_.empty() && busy_ == 0); });
  return error_;
}

Status ParallelReader::error() {
  std::lock_guard lock(mutex_);
  return error_;
}

Status ParallelReader::Finish(Job* job) {
  return --job->pieces == 0 ? job->target->Done() : Status();
}

void ParallelReader::Work() {
  Scratch scratch;
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    Piece piece = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    bool failed = !error_.ok();
    lock.unlock();
    Status s;
    if (!failed) s = Run(piece, &scratch);
    if (!s.ok()) {
      Quietly([&] {  // without memory the reason must do
        std::string what = piece.job->target->What();
        if (!what.empty()) s = std::move(s).WithContext(what);
      });
    }
    piece = Piece();
    lock.lock();
    --busy_;
    if (!s.ok() && error_.ok()) error_ = std::move(s);
    room_.notify_all();
  }
}

Status ParallelReader::Run(const Piece& piece, Scratch* scratch) try {
  const std::vector<Part>& parts = piece.parts;
  ReadTarget* target = piece.job->target.get();
  scratch->raw_bytes = 0;
  if (!scratch->decoder.has_value()) scratch->decoder.emplace();
  for (std::size_t begin = 0; begin < parts.size();) {
    const Part& first = parts[begin];
    if (!first.inline_bytes.empty()) {
      CKPT_ASSIGN_OR_RETURN(MutableByteSpan raw, Gather(target, first, scratch));
      std::copy(first.inline_bytes.begin(), first.inline_bytes.end(), raw.begin());
      ++begin;
      continue;
    }
    std::size_t end = begin + 1;
    std::uint64_t start = PayloadOffset(first.place.entry);
    std::uint64_t stop = start + first.place.entry.stored_bytes;
    for (; end < parts.size() && parts[end].inline_bytes.empty(); ++end) {
      const ChunkPlace& next = parts[end].place;
      std::uint64_t next_start = PayloadOffset(next.entry);
      if (next.pack_id != first.place.pack_id || next_start < stop ||
          next_start - stop > kGapBytes ||
          next_start + next.entry.stored_bytes - start > kSpanBytes) {
        break;
      }
      stop = next_start + next.entry.stored_bytes;
    }
    CKPT_RETURN_IF_ERROR(RunSpan(piece, begin, end, scratch));
    begin = end;
  }
  CKPT_RETURN_IF_ERROR(Flush(target, scratch));
  return Finish(piece.job.get());
} catch (const std::bad_alloc&) {  // a thread has nobody to throw to
  return NoMemoryLeft();
}

Status ParallelReader::RunSpan(const Piece& piece, std::size_t begin, std::size_t end,
                               Scratch* scratch) {
  const Part& first = piece.parts[begin];
  const Part& last = piece.parts[end - 1];
  std::uint64_t start = PayloadOffset(first.place.entry);
  std::uint64_t stop = PayloadOffset(last.place.entry) + last.place.entry.stored_bytes;
  scratch->stored.resize(stop - start);
  Status read = fetcher_->ReadSpan(first.place.pack_id, start, scratch->stored);
  for (std::size_t i = begin; i < end; ++i) {
    const Part& part = piece.parts[i];
    ByteSpan stored;
    if (read.ok()) {
      stored = ByteSpan(scratch->stored)
                   .subspan(PayloadOffset(part.place.entry) - start, part.place.entry.stored_bytes);
    }
    CKPT_RETURN_IF_ERROR(Place(piece, part, stored, scratch));
  }
  return Status();
}

// Decoded once, into their place where the target has memory for it.
Status ParallelReader::Place(const Piece& piece, const Part& part, ByteSpan stored,
                             Scratch* scratch) {
  ReadTarget* target = piece.job->target.get();
  const ChunkEntry& entry = part.place.entry;
  if (entry.raw_bytes != part.raw_bytes) {
    return Corruption("chunk " + entry.id.ToHex() + " has another size than its list says");
  }
  MutableByteSpan raw = target->Direct(part.offset, part.raw_bytes);
  if (raw.empty()) {
    CKPT_ASSIGN_OR_RETURN(raw, Gather(target, part, scratch));
  }
  bool good = stored.size() == entry.stored_bytes &&
              fetcher_->DecodeChunk(part.place, stored, &*scratch->decoder, raw).ok();
  if (good) return Status();
  return fetcher_->ReadChunk(part.place, &*scratch->decoder, &scratch->chunk, raw);
}

// Memory for the part's bytes behind its neighbour's: a file's writers exclude each other, so
// that a few large writes cost half of many small ones (bench/peers, restore).
Result<MutableByteSpan> ParallelReader::Gather(ReadTarget* target, const Part& part,
                                               Scratch* scratch) {
  const std::size_t bytes = part.inline_bytes.empty() ? part.raw_bytes : part.inline_bytes.size();
  if (part.offset != scratch->raw_offset + scratch->raw_bytes) {
    CKPT_RETURN_IF_ERROR(Flush(target, scratch));
  }
  if (scratch->raw_bytes == 0) scratch->raw_offset = part.offset;
  const std::size_t begin = scratch->raw_bytes;
  scratch->raw_bytes += bytes;
  if (scratch->raw.size() < scratch->raw_bytes) scratch->raw.resize(scratch->raw_bytes);
  return MutableByteSpan(scratch->raw).subspan(begin, bytes);
}

Status ParallelReader::Flush(ReadTarget* target, Scratch* scratch) {
  if (scratch->raw_bytes == 0) return Status();
  ByteSpan bytes = ByteSpan(scratch->raw).first(scratch->raw_bytes);
  scratch->raw_bytes = 0;
  return target->Write(scratch->raw_offset, bytes);
}

}  // namespace ckpt
