// ParallelReader: reads the contents of entries with several threads: chunks that lie next to each
// other in a pack come with one read, are decoded, verified (I1) and given to the entry's target.
//
//   ParallelReader reader(fetcher, threads);
//   CKPT_RETURN_IF_ERROR(reader.Read(entry.content, target));  // any number
//   CKPT_RETURN_IF_ERROR(reader.Drain());
//
// Memory: a piece of raw and one of stored bytes a thread (about 2.5 MiB, or a chunk's size where
// that is more), and a bounded queue. Thread rule: one owner; targets are called by the reader's
// threads.

#ifndef CKPT_STORE_ENGINE_PARALLEL_READER_H_
#define CKPT_STORE_ENGINE_PARALLEL_READER_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/engine/fetcher.h"
#include "store/manifest/tree.h"

namespace ckpt {

// Where an entry's bytes go. Write is called by several threads at once for different ranges, each
// range once; holes are not written. Done is called once, after the last, unless something failed.
class ReadTarget {
 public:
  virtual ~ReadTarget() = default;
  // Memory of the caller's where [offset, offset + length) belongs, to be decoded into directly;
  // empty: use Write.
  virtual MutableByteSpan Direct(std::uint64_t /*offset*/, std::size_t /*length*/) { return {}; }
  virtual Status Write(std::uint64_t offset, ByteSpan bytes) = 0;
  virtual Status Done() { return Status(); }
  // What errors are about: "restoring 'state.5000'".
  virtual std::string What() const { return {}; }
};

class ParallelReader {
 public:
  ParallelReader(Fetcher* fetcher, int threads);
  ~ParallelReader();
  ParallelReader(const ParallelReader&) = delete;
  ParallelReader& operator=(const ParallelReader&) = delete;

  // Queues the content; waits while the queue is full. Answers its length. Corruption when that is
  // not `length_bytes`, where given: Done is not called then.
  Result<std::uint64_t> Read(const TreeRef& content, std::shared_ptr<ReadTarget> target,
                             std::optional<std::uint64_t> length_bytes = std::nullopt);
  Status Drain();
  // What went wrong first, with its target's What: an error that Read and Drain answer may be
  // another target's than the one at hand.
  Status error();

 private:
  // Counts the pieces that hold it; the last one calls Done.
  struct Job {
    std::shared_ptr<ReadTarget> target;
    std::atomic<std::size_t> pieces{1};  // one for Read itself
  };
  struct Part {
    ChunkPlace place;
    std::uint64_t offset = 0;  // in the entry
    std::uint32_t raw_bytes = 0;
    Bytes inline_bytes;  // not empty: no chunk
  };
  struct Piece {
    std::shared_ptr<Job> job;
    std::vector<Part> parts;
    std::size_t raw_bytes = 0;
  };
  struct Scratch {
    std::optional<Decoder> decoder;
    Bytes stored;
    Bytes chunk;
    // What is to be written next: neighbours in the entry go to the target together.
    Bytes raw;
    std::uint64_t raw_offset = 0;  // in the entry
    std::size_t raw_bytes = 0;
  };

  Status Push(Piece piece);
  void Work();
  Status Run(const Piece& piece, Scratch* scratch);
  Status RunSpan(const Piece& piece, std::size_t begin, std::size_t end, Scratch* scratch);
  Status Place(const Piece& piece, const Part& part, ByteSpan stored, Scratch* scratch);
  static Result<MutableByteSpan> Gather(ReadTarget* target, const Part& part, Scratch* scratch);
  static Status Flush(ReadTarget* target, Scratch* scratch);
  Status Finish(Job* job);

  Fetcher* const fetcher_;
  const int thread_count_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable work_;
  std::condition_variable room_;
  std::deque<Piece> queue_;
  int busy_ = 0;
  bool stop_ = false;
  Status error_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_PARALLEL_READER_H_
