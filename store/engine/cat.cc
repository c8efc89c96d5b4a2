#include "store/engine/cat.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "store/engine/array_io.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

constexpr std::size_t kAheadBytes = 8u << 20;
constexpr std::size_t kAheadItems = 256;
constexpr std::size_t kZerosBytes = 64u << 10;

// Chunks decoded by threads and taken in the order in which they were asked for.
class ReadAhead {
 public:
  ReadAhead(Fetcher* fetcher, int threads) : fetcher_(fetcher), thread_count_(threads) {}
  ~ReadAhead() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  struct Slot {
    ChunkItem item;
    std::uint64_t offset = 0;  // in the entry
    Bytes raw;                 // of chunks
    Status status;
    bool done = false;
  };

  bool empty() const { return order_.empty(); }
  bool full() const { return order_.size() >= kAheadItems || (bytes_ >= kAheadBytes && !empty()); }

  Status Push(ChunkItem item, std::uint64_t offset) {
    const bool chunk = item.kind == ChunkItem::Kind::kChunk;
    if (chunk && threads_.size() < static_cast<std::size_t>(thread_count_)) {
      CKPT_RETURN_IF_ERROR(AddQuietThread(&threads_, [this] { Work(); }));
    }
    order_.push_back(std::make_unique<Slot>());  // owned before a thread knows it
    Slot* slot = order_.back().get();
    slot->item = std::move(item);
    slot->offset = offset;
    slot->done = !chunk;
    if (!chunk) return Status();
    bytes_ += slot->item.raw_bytes;
    std::lock_guard lock(mutex_);
    queue_.push_back(slot);
    work_.notify_one();
    return Status();
  }

  // REQUIRES: not empty().
  std::unique_ptr<Slot> Take() {
    std::unique_ptr<Slot> slot = std::move(order_.front());
    order_.pop_front();
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [&] { return slot->done; });
    bytes_ -= slot->raw.size();
    return slot;
  }

 private:
  void Work() {
    std::optional<Decoder> decoder;
    Bytes scratch;
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      Slot* slot = queue_.front();
      queue_.pop_front();
      lock.unlock();
      Status s = Read(slot, &decoder, &scratch);
      lock.lock();
      slot->status = std::move(s);
      slot->done = true;
      finished_.notify_all();
    }
  }

  Status Read(Slot* slot, std::optional<Decoder>* decoder, Bytes* scratch) try {
    if (!decoder->has_value()) decoder->emplace();
    slot->raw.resize(slot->item.raw_bytes);
    CKPT_ASSIGN_OR_RETURN(ChunkPlace place, fetcher_->Locate(slot->item.id));
    return fetcher_->ReadChunk(place, &**decoder, scratch, slot->raw);
  } catch (const std::bad_alloc&) {  // a thread has nobody to throw to
    return NoMemoryLeft();
  }

  Fetcher* const fetcher_;
  const int thread_count_;
  std::vector<std::thread> threads_;
  std::deque<std::unique_ptr<Slot>> order_;
  std::size_t bytes_ = 0;

  std::mutex mutex_;  // guards what follows, and done and status of queued slots
  std::condition_variable work_;
  std::condition_variable finished_;
  std::deque<Slot*> queue_;
  bool stop_ = false;
};

class Cat {
 public:
  Cat(const CheckpointReader::Found& found, int threads, std::uint64_t begin, std::uint64_t end,
      const std::function<Status(ByteSpan)>& write)
      : entry_(*found.entry),
        list_(entry_.content, found.fetcher),
        ahead_(found.fetcher, threads),
        begin_(begin),
        end_(end),
        write_(write) {}

  Status Run() {
    CKPT_ASSIGN_OR_RETURN(at_, list_.Seek(begin_));
    for (;;) {
      while (!ended_ && !ahead_.full()) CKPT_RETURN_IF_ERROR(Push());
      if (ahead_.empty()) return Status();
      CKPT_RETURN_IF_ERROR(Deliver(*ahead_.Take()));
    }
  }

 private:
  Status Push() {
    std::optional<ChunkItem> item;
    if (at_ < end_) {
      CKPT_ASSIGN_OR_RETURN(item, list_.Next());
      if (!item.has_value()) {
        return Corruption("'" + ShownName(entry_.name) + "' has " + std::to_string(at_) +
                          " bytes of content where its entry says " +
                          std::to_string(entry_.logical_bytes));
      }
    }
    ended_ = !item.has_value();
    if (ended_) return Status();
    std::uint64_t bytes = item->raw_bytes;
    CKPT_RETURN_IF_ERROR(ahead_.Push(*std::move(item), at_));
    at_ += bytes;
    return Status();
  }

  // What of the item lies in [begin_, end_).
  Status Deliver(const ReadAhead::Slot& slot) {
    CKPT_RETURN_IF_ERROR(Status(slot.status));
    std::uint64_t begin = std::max(begin_, slot.offset) - slot.offset;
    std::uint64_t length = std::min(end_ - slot.offset, slot.item.raw_bytes) - begin;
    if (slot.item.kind == ChunkItem::Kind::kHole) return Zeros(length);
    const Bytes& raw =
        slot.item.kind == ChunkItem::Kind::kChunk ? slot.raw : slot.item.inline_bytes;
    return write_(ByteSpan(raw).subspan(begin, length));
  }

  Status Zeros(std::uint64_t length) {
    Bytes zeros(std::min<std::uint64_t>(length, kZerosBytes));
    while (length > 0) {
      std::size_t now = std::min<std::uint64_t>(length, zeros.size());
      CKPT_RETURN_IF_ERROR(write_(ByteSpan(zeros).first(now)));
      length -= now;
    }
    return Status();
  }

  const Entry& entry_;
  ChunkListReader list_;
  ReadAhead ahead_;
  const std::uint64_t begin_;
  const std::uint64_t end_;
  const std::function<Status(ByteSpan)>& write_;
  std::uint64_t at_ = 0;
  bool ended_ = false;
};

bool HasContent(EntryKind kind) {
  return kind == EntryKind::kFile || kind == EntryKind::kArray || kind == EntryKind::kStream;
}

}  // namespace

Status CatEntry(Store* store, const std::string& checkpoint, const std::string& name,
                std::uint64_t offset, std::uint64_t length_bytes,
                const std::function<Status(ByteSpan)>& write) {
  CKPT_ASSIGN_OR_RETURN(auto reader, CheckpointReader::Open(store, checkpoint));
  CKPT_ASSIGN_OR_RETURN(auto found, reader->FindContent(name));
  if (!HasContent(found.entry->kind)) {
    return InvalidArgument("'" + ShownName(name) +
                           "' is a folder or symbolic link and has no bytes");
  }
  std::uint64_t end = found.entry->logical_bytes;
  if (offset >= end) return Status();
  end = offset + std::min(length_bytes, end - offset);
  if (offset == end) return Status();
  Status s = Cat(found, store->threads(), offset, end, write).Run();
  return s.ok() ? s : reader->Explain(std::move(s));
}

}  // namespace ckpt
