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

  const Chunker& chunker() const { return chunker_; }

  // Asked at each cut, with the bytes before it: true ends the cutting there.
  using StopFn = std::function<bool(std::uint64_t)>;

  struct Cut {
    std::size_t length = 0;       // 0: more bytes are needed
    std::optional<Id128> before;  // ChunkPipeline's `known`
  };
  // The chunk at the start of `pending`, which comes behind `cut_bytes`; with at most four greatest
  // chunks pending it must not be of length 0.
  using CutFn = std::function<Cut(std::uint64_t cut_bytes, ByteSpan pending, bool last)>;

  // Reads until the stream or `length_bytes` ends; chunks go to `list`. Answers the bytes cut.
  // `cut`: null, to cut by content.
  Result<std::uint64_t> Run(const ReadFn& next, std::uint64_t length_bytes, ChunkListBuilder* list,
                            const CutFn& cut = nullptr, const StopFn& stop = nullptr);

 private:
  Status MakeRoom();
  // Cuts what can be cut; false: `stop` was true.
  Result<bool> Emit(bool last, ChunkListBuilder* list, const CutFn& cut, const StopFn& stop);

  ChunkPipeline* const pipeline_;
  const Chunker chunker_;
  ChunkPipeline::Segment* segment_ = nullptr;
  std::size_t begin_ = 0;  // of the bytes not cut yet
  std::size_t end_ = 0;
  std::uint64_t cut_bytes_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_STREAM_CUTTER_H_
