// ChunkPipeline: many threads hash, compress and append chunks; the results come back in the order
// in which they were given, so that chunk lists and entry tables can be built as if by one thread.
//
//   ChunkPipeline pipeline(writer, threads, chunk_bytes_max);
//   pipeline.AddBytes(&list, bytes_in_a_segment, width);   // any number of lists and actions
//   pipeline.AddAction([&] { return FinishEntry(list); }); // runs when all before it are done
//   CKPT_RETURN_IF_ERROR(pipeline.Drain());
//
// Memory: kSegments segments of max(4 MiB, 4 x the greatest chunk), and a compression context a
// thread; nothing grows with the data.
// Thread rule: one owner calls everything; actions and list updates run on the owner's thread.

#ifndef CKPT_STORE_ENGINE_CHUNK_PIPELINE_H_
#define CKPT_STORE_ENGINE_CHUNK_PIPELINE_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/engine/chunk_writer.h"
#include "store/io/env.h"
#include "store/manifest/tree.h"

namespace ckpt {

class ChunkPipeline {
 public:
  static constexpr int kSegments = 8;

  // A buffer that streams are read into; chunks point into it.
  struct Segment {
    AlignedBuffer buffer;
    int batches = 0;  // not yet delivered
    bool filling = false;
  };

  ChunkPipeline(ChunkWriter* writer, int threads, std::size_t chunk_bytes_max);
  ~ChunkPipeline();  // waits for the threads; results are dropped
  ChunkPipeline(const ChunkPipeline&) = delete;
  ChunkPipeline& operator=(const ChunkPipeline&) = delete;

  // A segment nobody uses; waits for one. The one before is given back once its chunks are done.
  Result<Segment*> NextSegment();
  // A chunk of list. The bytes must stay until delivered: in the current segment, or (for memory of
  // the caller's) until the next Drain.
  // `known` (may be null) is the id of a chunk that is stored already and relied upon: bytes that
  // have it need no look-up, and others may be stored as their difference from it.
  Status AddBytes(ChunkListBuilder* list, ByteSpan raw, const ChunkForm& form,
                  const Id128* known = nullptr);
  // A chunk that was found to be `known` already: nothing is computed.
  Status AddKnown(ChunkListBuilder* list, ChunkItem known);
  Status AddHole(ChunkListBuilder* list, std::uint64_t length_bytes);
  Status AddAction(std::function<Status()> action);
  // Everything is done and delivered when this is ok. The first failure is final.
  Status Drain();
  // Some delivered chunk was the one its caller knew.
  bool known_used() const { return known_used_; }

 private:
  struct Job {
    ByteSpan raw;
    ChunkForm form;
    std::optional<Id128> known;
    ChunkListBuilder* list = nullptr;
    ChunkItem item;
    std::function<Status()> action;
  };
  struct Batch {
    Segment* segment = nullptr;
    std::vector<Job> jobs;
    std::size_t bytes = 0;
    Status status;
    bool done = false;  // guarded by mutex_
  };

  Status Add(Job job);
  Status HandOver();
  // Delivers what is done at the front; with `wait`, at least one batch.
  Status Deliver(bool wait);
  Status DeliverBatch(Batch* batch);
  void Work();
  static Status Run(Job* job, ChunkWriter* writer, std::optional<ChunkEncoder>* encoder);

  ChunkWriter* const writer_;
  const int thread_count_;
  std::vector<std::unique_ptr<Segment>> segments_;
  std::size_t segment_bytes_;
  Segment* current_ = nullptr;
  std::unique_ptr<Batch> open_;
  std::deque<std::unique_ptr<Batch>> order_;  // handed over, not delivered
  Status error_;
  bool known_used_ = false;
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // guards what follows and Batch::done
  std::condition_variable work_;
  std::condition_variable finished_;
  std::deque<Batch*> queue_;
  bool stop_ = false;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHUNK_PIPELINE_H_
