#include "store/engine/analyze.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "store/codec/chunker.h"
#include "store/codec/compress.h"
#include "store/codec/hash.h"
#include "store/engine/file_walk.h"
#include "store/engine/sampled_ids.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

constexpr std::array<std::uint32_t, 4> kSizes{4u << 10, 16u << 10, 64u << 10, 256u << 10};
constexpr std::size_t kOfStores = kSizes.size() + 2;  // content-defined, 64 KiB: a store's default
constexpr std::size_t kChunkMost = 4 * kSizes.back();
constexpr std::size_t kFillBytes = 4u << 20;

// Pieces of streams, read one behind the other. `head` bytes before kChunkMost belong to the first
// piece: what no chunking had finished in the buffer before.
struct Buffer {
  Bytes bytes = Bytes(kChunkMost + kFillBytes);
  struct Piece {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool first = false;  // the stream begins here
    bool last = false;   // the stream ends here
  };
  std::vector<Piece> pieces;
  std::size_t end = kChunkMost;
};

// One way of cutting, with what it has found.
class Chunking {
 public:
  Chunking(const std::optional<Chunker>& chunker, std::uint32_t size, int level)
      : chunker_(chunker), size_(size), level_(level) {}

  Status Take(const Buffer& buffer) {
    for (const Buffer::Piece& piece : buffer.pieces) {
      std::size_t at = piece.first ? piece.begin : piece.begin - pending_;
      while (at < piece.end) {
        ByteSpan rest = ByteSpan(buffer.bytes).subspan(at, piece.end - at);
        std::size_t length = Cut(rest, piece.last);
        if (length == 0) break;
        CKPT_RETURN_IF_ERROR(Add(rest.first(length)));
        at += length;
      }
      pending_ = piece.end - at;
    }
    return Status();
  }
  // Distinct chunks that it samples go to `trial`, too.
  void SetTrial(EffortTrial* trial) { trial_ = trial; }
  // Bytes at the end of the buffer that belong to no chunk yet.
  std::size_t pending() const { return pending_; }

  ChunkingAnalysis Result() const {
    SampledIds::Totals totals = ids_.Sum();
    return {chunker_.has_value(), size_, totals.raw_bytes + inline_bytes_,
            totals.stored_bytes + inline_bytes_, totals.chunks};
  }

 private:
  std::size_t Cut(ByteSpan rest, bool last) const {
    if (chunker_.has_value()) return chunker_->Next(rest, last);
    if (rest.size() >= size_) return size_;
    return last ? rest.size() : 0;
  }

  Status Add(ByteSpan raw) {
    if (raw.size() <= kInlineBytesMax) {
      inline_bytes_ += raw.size();
      return Status();
    }
    const Id128 id = HashChunk(raw);
    SampledIds::Sizes* sizes = ids_.Insert(id);
    if (sizes == nullptr) return Status();
    if (trial_ != nullptr && trial_->Samples(id)) {
      CKPT_RETURN_IF_ERROR(trial_->Add(raw, kUnknownWidth));
    }
    EncodeOptions options;
    options.level = level_;
    options.verify = false;
    CKPT_ASSIGN_OR_RETURN(Encoded encoded, encoder_.Encode(raw, options));
    sizes->raw_bytes = static_cast<std::uint32_t>(raw.size());
    sizes->stored_bytes = static_cast<std::uint32_t>(
        RoundUp(kRecordHeaderBytes + encoded.bytes.size(), kRecordAlignBytes));
    return Status();
  }

  std::optional<Chunker> chunker_;
  std::uint32_t size_;
  int level_;
  Encoder encoder_;
  EffortTrial* trial_ = nullptr;
  SampledIds ids_;
  std::size_t pending_ = 0;
  std::uint64_t inline_bytes_ = 0;
};

// Threads that give one buffer to all chunkings while the caller reads the next.
class Crew {
 public:
  explicit Crew(std::vector<std::unique_ptr<Chunking>>* chunkings) : chunkings_(chunkings) {}
  Status Hire(int threads) {
    int count = std::clamp(threads, 1, static_cast<int>(chunkings_->size()));
    for (int i = 0; i < count; ++i) {
      CKPT_RETURN_IF_ERROR(AddQuietThread(&threads_, [this] { Work(); }));
    }
    return Status();
  }
  ~Crew() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void Start(const Buffer* buffer) {
    std::lock_guard lock(mutex_);
    buffer_ = buffer;
    next_ = 0;
    left_ = chunkings_->size();
    work_.notify_all();
  }
  Status Wait() {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [&] { return left_ == 0; });
    return error_;
  }

 private:
  void Work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] { return stop_ || (buffer_ != nullptr && next_ < chunkings_->size()); });
      if (stop_) return;
      Chunking* chunking = (*chunkings_)[next_++].get();
      lock.unlock();
      Status s = Take(chunking);
      lock.lock();
      if (!s.ok() && error_.ok()) error_ = std::move(s);
      if (--left_ == 0) finished_.notify_all();
    }
  }
  Status Take(Chunking* chunking) try {
    return chunking->Take(*buffer_);
  } catch (const std::bad_alloc&) {  // a thread has nobody to throw to
    return NoMemoryLeft();
  }

  std::vector<std::unique_ptr<Chunking>>* const chunkings_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable work_;
  std::condition_variable finished_;
  const Buffer* buffer_ = nullptr;
  std::size_t next_ = SIZE_MAX;
  std::size_t left_ = 0;
  bool stop_ = false;
  Status error_;
};

class Analyzer {
 public:
  Analyzer(Env* env, const AnalyzeOptions& options) : env_(env), options_(options) {}

  Result<Analysis> Run(const std::vector<std::string>& paths) {
    CKPT_RETURN_IF_ERROR(MakeChunkings());
    Crew crew(&chunkings_);
    CKPT_RETURN_IF_ERROR(crew.Hire(options_.threads > 0
                                       ? options_.threads
                                       : static_cast<int>(std::thread::hardware_concurrency())));
    crew_ = &crew;
    CKPT_RETURN_IF_ERROR(CountWhatThereIs(paths));
    if (options_.efforts) {
      trial_.emplace(options_.level, data_bytes_);
      chunkings_[kOfStores]->SetTrial(&*trial_);
    }
    CKPT_RETURN_IF_ERROR(Walk(paths, [this](const FoundFile& found) { return Visit(found); }));
    CKPT_RETURN_IF_ERROR(HandOver());
    CKPT_RETURN_IF_ERROR(crew.Wait());
    for (const auto& chunking : chunkings_) result_.results.push_back(chunking->Result());
    if (trial_.has_value()) {
      result_.efforts = trial_->Estimates(chunkings_[kOfStores]->Result().unique_bytes);
    }
    return result_;
  }

 private:
  Status MakeChunkings() {
    for (std::uint32_t size : kSizes) {
      chunkings_.push_back(std::make_unique<Chunking>(std::nullopt, size, options_.level));
    }
    for (std::uint32_t size : kSizes) {
      CKPT_ASSIGN_OR_RETURN(Chunker chunker, Chunker::Create(ChunkerParams::ForAverage(size)));
      chunkings_.push_back(std::make_unique<Chunking>(chunker, size, options_.level));
    }
    return Status();
  }

  // In the order of the paths.
  Status Walk(const std::vector<std::string>& paths,
              const std::function<Status(const FoundFile&)>& visit) const {
    for (const std::string& path : paths) {
      CKPT_RETURN_IF_ERROR(WalkFiles(env_, {path}, WalkOptions(), visit));
    }
    return Status();
  }

  // So that it is known how long it will take: a walk that only asks for sizes.
  Status CountWhatThereIs(const std::vector<std::string>& paths) {
    std::uint64_t bytes = 0, items = 0;
    CKPT_RETURN_IF_ERROR(Walk(paths, [&](const FoundFile& found) {
      if (found.info.kind != FileKind::kRegular) return Status();
      bytes += found.info.size_bytes;
      data_bytes_ += std::min(found.info.size_bytes, found.info.allocated_bytes);
      return ++items % 1000 == 0 ? Report() : Status();
    }));
    progress_.total_bytes = bytes;
    progress_.total_items = items;
    return Status();
  }

  Status Visit(const FoundFile& found) {
    if (found.info.kind != FileKind::kRegular) return Status();
    auto file = found.dir->OpenFile(found.component, OpenOptions{});
    if (!file.ok()) {
      bool vanished = file.status().code() == Code::kNotFound && !found.named;
      return vanished ? Status() : file.status();
    }
    CKPT_ASSIGN_OR_RETURN(FileInfo info, (*file)->Stat());
    ++result_.files;
    result_.logical_bytes += info.size_bytes;
    std::vector<Extent> extents{{0, info.size_bytes, false}};
    if (info.allocated_bytes < info.size_bytes) {
      CKPT_ASSIGN_OR_RETURN(extents, (*file)->Extents());
    }
    for (const Extent& extent : extents) {
      if (extent.hole) progress_.done_bytes += extent.length_bytes;
      if (!extent.hole) CKPT_RETURN_IF_ERROR(ReadExtent(file->get(), extent));
    }
    progress_.done_items = result_.files;
    return Report();
  }

  // The extent is a stream of its own, as it is for a save.
  Status ReadExtent(File* file, const Extent& extent) {
    std::uint64_t at = extent.offset;
    std::uint64_t left = extent.length_bytes;
    bool first = true;
    while (left > 0) {
      Buffer& buffer = buffers_[current_];
      if (buffer.end == buffer.bytes.size()) {
        CKPT_RETURN_IF_ERROR(HandOver());
        continue;
      }
      std::size_t want = std::min<std::uint64_t>(left, buffer.bytes.size() - buffer.end);
      CKPT_ASSIGN_OR_RETURN(
          std::size_t got,
          file->ReadAt(at, MutableByteSpan(buffer.bytes).subspan(buffer.end, want)));
      if (got < want) left = got;  // it shrank meanwhile
      buffer.pieces.push_back({buffer.end, buffer.end + got, first, left == got});
      buffer.end += got;
      at += got;
      left -= got;
      first = false;
      progress_.done_bytes += got;
    }
    return Status();
  }

  // Gives the current buffer to the threads once they are done with the other, whose unfinished end
  // comes before the first piece.
  Status HandOver() {
    CKPT_RETURN_IF_ERROR(crew_->Wait());
    Buffer& now = buffers_[current_];
    Buffer& before = buffers_[1 - current_];
    std::size_t pending = 0;
    for (const auto& chunking : chunkings_) pending = std::max(pending, chunking->pending());
    if (pending > 0) {
      std::copy(before.bytes.begin() + static_cast<std::ptrdiff_t>(before.end - pending),
                before.bytes.begin() + static_cast<std::ptrdiff_t>(before.end),
                now.bytes.begin() + static_cast<std::ptrdiff_t>(kChunkMost - pending));
    }
    crew_->Start(&now);
    current_ = 1 - current_;
    buffers_[current_].pieces.clear();
    buffers_[current_].end = kChunkMost;
    return Report();
  }

  Status Report() {
    if (options_.progress && !options_.progress(progress_)) {
      return Cancelled("stopped by the caller");
    }
    return Status();
  }

  Env* const env_;
  const AnalyzeOptions& options_;
  std::optional<EffortTrial> trial_;  // used by the thread that has its chunking
  std::vector<std::unique_ptr<Chunking>> chunkings_;
  std::array<Buffer, 2> buffers_;
  std::size_t current_ = 0;
  Crew* crew_ = nullptr;
  Analysis result_;
  std::uint64_t data_bytes_ = 0;  // without holes
  Progress progress_{"analyzing", 0, 0, 0, 0};
};

}  // namespace

Result<Analysis> AnalyzeFiles(Env* env, const std::vector<std::string>& paths,
                              const AnalyzeOptions& options) {
  if (paths.empty()) return InvalidArgument("nothing to analyze: name some files");
  auto analyzer = std::make_unique<Analyzer>(env, options);
  return analyzer->Run(paths);
}

}  // namespace ckpt
