#include "store/engine/chunk_pipeline.h"

#include <algorithm>
#include <new>

#include "store/codec/hash.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

constexpr std::size_t kBatchBytes = 512u << 10;
constexpr std::size_t kBatchJobs = 256;
constexpr std::size_t kBatchesInFlight = 64;

}  // namespace

ChunkPipeline::ChunkPipeline(ChunkWriter* writer, int threads, std::size_t chunk_bytes_max)
    : writer_(writer),
      thread_count_(std::max(1, threads)),
      segment_bytes_(std::max<std::size_t>(4u << 20, 4 * chunk_bytes_max)) {}

ChunkPipeline::~ChunkPipeline() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    queue_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Result<ChunkPipeline::Segment*> ChunkPipeline::NextSegment() {
  if (open_ != nullptr) CKPT_RETURN_IF_ERROR(HandOver());
  if (current_ != nullptr) current_->filling = false;
  current_ = nullptr;
  for (;;) {
    CKPT_RETURN_IF_ERROR(Deliver(false));
    for (auto& segment : segments_) {
      if (segment->filling || segment->batches > 0) continue;
      current_ = segment.get();
      current_->filling = true;
      return current_;
    }
    if (segments_.size() < kSegments) {
      auto segment = std::make_unique<Segment>();
      segment->buffer = AlignedBuffer(segment_bytes_);
      if (segment->buffer.size() > 0) {
        segments_.push_back(std::move(segment));
        continue;
      }
      if (segments_.empty()) return OutOfMemory("no memory for a buffer to read into");
    }
    CKPT_RETURN_IF_ERROR(Deliver(true));
  }
}

Status ChunkPipeline::AddBytes(ChunkListBuilder* list, ByteSpan raw, const ChunkForm& form,
                               const Id128* known) {
  Job job;
  job.raw = raw;
  job.form = form;
  if (known != nullptr) job.known = *known;
  job.list = list;
  return Add(std::move(job));
}

Status ChunkPipeline::AddKnown(ChunkListBuilder* list, ChunkItem known) {
  Job job;
  job.list = list;
  job.known = known.id;
  job.item = std::move(known);
  return Add(std::move(job));
}

Status ChunkPipeline::AddHole(ChunkListBuilder* list, std::uint64_t length_bytes) {
  Job job;
  job.list = list;
  job.item.kind = ChunkItem::Kind::kHole;
  job.item.raw_bytes = length_bytes;
  return Add(std::move(job));
}

Status ChunkPipeline::AddAction(std::function<Status()> action) {
  Job job;
  job.action = std::move(action);
  return Add(std::move(job));
}

Status ChunkPipeline::Add(Job job) {
  CKPT_RETURN_IF_ERROR(Status(error_));
  if (open_ == nullptr) {
    open_ = std::make_unique<Batch>();
    open_->segment = current_;
    if (current_ != nullptr) ++current_->batches;
  }
  open_->bytes += job.raw.size();
  open_->jobs.push_back(std::move(job));
  if (open_->bytes < kBatchBytes && open_->jobs.size() < kBatchJobs) return Status();
  CKPT_RETURN_IF_ERROR(HandOver());
  CKPT_RETURN_IF_ERROR(Deliver(false));
  return order_.size() > kBatchesInFlight ? Deliver(true) : Status();
}

Status ChunkPipeline::HandOver() {
  if (open_->bytes > 0 && threads_.size() < static_cast<std::size_t>(thread_count_)) {
    error_ = AddQuietThread(&threads_, [this] { Work(); });
    CKPT_RETURN_IF_ERROR(Status(error_));
  }
  Batch* batch = open_.get();
  order_.push_back(std::move(open_));
  if (batch->bytes == 0) {  // nothing to compute
    std::lock_guard lock(mutex_);
    batch->done = true;
    return Status();
  }
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(batch);
  }
  work_.notify_one();
  return Status();
}

Status ChunkPipeline::Deliver(bool wait) {
  while (error_.ok() && !order_.empty()) {
    Batch* front = order_.front().get();
    {
      std::unique_lock lock(mutex_);
      if (!front->done && !wait) return Status();
      finished_.wait(lock, [&] { return front->done; });
    }
    wait = false;
    std::unique_ptr<Batch> batch = std::move(order_.front());
    order_.pop_front();
    if (batch->segment != nullptr) --batch->segment->batches;
    error_ = DeliverBatch(batch.get());
  }
  return error_;
}

Status ChunkPipeline::DeliverBatch(Batch* batch) {
  CKPT_RETURN_IF_ERROR(Status(batch->status));
  for (Job& job : batch->jobs) {
    if (job.action) {
      CKPT_RETURN_IF_ERROR(job.action());
    } else {
      known_used_ = known_used_ || (job.known.has_value() && *job.known == job.item.id);
      CKPT_RETURN_IF_ERROR(job.list->Add(std::move(job.item)));
    }
  }
  return Status();
}

Status ChunkPipeline::Drain() {
  if (open_ != nullptr) CKPT_RETURN_IF_ERROR(HandOver());
  while (error_.ok() && !order_.empty()) CKPT_RETURN_IF_ERROR(Deliver(true));
  return error_;
}

Status ChunkPipeline::Run(Job* job, ChunkWriter* writer, std::optional<ChunkEncoder>* encoder) try {
  if (job->raw.empty()) return Status();
  job->item.raw_bytes = job->raw.size();
  if (job->raw.size() <= kInlineBytesMax) {
    job->item.kind = ChunkItem::Kind::kInline;
    job->item.inline_bytes.assign(job->raw.begin(), job->raw.end());
    return Status();
  }
  job->item.kind = ChunkItem::Kind::kChunk;
  job->item.id = HashChunk(job->raw);
  if (job->known.has_value() && *job->known == job->item.id) return Status();
  if (!encoder->has_value()) encoder->emplace();
  return writer->Put(job->raw, job->item.id, job->form, &**encoder,
                     job->known.has_value() ? &*job->known : nullptr);
} catch (const std::bad_alloc&) {  // a thread has nobody to throw to
  return NoMemoryLeft();
}

void ChunkPipeline::Work() {
  std::optional<ChunkEncoder> encoder;
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    Batch* batch = queue_.front();
    queue_.pop_front();
    lock.unlock();
    for (Job& job : batch->jobs) {
      if (!batch->status.ok()) break;
      batch->status = Run(&job, writer_, &encoder);
    }
    lock.lock();
    batch->done = true;
    finished_.notify_all();
  }
}

}  // namespace ckpt
