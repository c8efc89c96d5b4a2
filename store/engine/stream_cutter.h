// StreamCutter: reads a stream into the pipeline's segments and cuts it into chunks there, so that
// bytes are touched while they are in cache and copied only where a chunk straddles two segments.
// Thread rule: the pipeline's owner.

#ifndef CKPT_STORE_ENGINE_STREAM_CUTTER_H_
#define CKPT_STORE_ENGINE_STREAM_CUTTER_H_

#include <functional>

#include "store/codec/chunker.h"
#include "store/engine/chunk_pipeline.h"

namespace ckpt {

class StreamCutter {
 public:
  // Fills the span from the stream's next byte on; 0 at its end.
  using ReadFn = std::function<Result<std::size_t>(MutableByteSpan)>;

  StreamCutter(ChunkPipeline* pipeline, const Chunker& chunker)
      : pipeline_(pipeline), chunker_(chunker) {}

  // Asked at each cut, with the bytes before it: true ends the cutting there.
  using StopFn = std::function<bool(std::uint64_t)>;

  // The chunk that may be known in place of one of `length` bytes behind `cut_bytes`
  // (ChunkPipeline's `known`).
  using KnownFn = std::function<std::optional<Id128>(std::uint64_t cut_bytes, std::size_t length)>;

  // Reads until the stream or `length_bytes` ends; chunks go to `list`. Answers the bytes cut.
  Result<std::uint64_t> Cut(const ReadFn& next, std::uint64_t length_bytes, ChunkListBuilder* list,
                            const KnownFn& known = nullptr, const StopFn& stop = nullptr);

 private:
  Status MakeRoom();
  // Cuts what can be cut; false: `stop` was true.
  Result<bool> Emit(bool last, ChunkListBuilder* list, const KnownFn& known, const StopFn& stop);

  ChunkPipeline* const pipeline_;
  const Chunker chunker_;
  ChunkPipeline::Segment* segment_ = nullptr;
  std::size_t begin_ = 0;  // of the bytes not cut yet
  std::size_t end_ = 0;
  std::uint64_t cut_bytes_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_STREAM_CUTTER_H_
