// ChunkHasher: the ids of an array's chunks, one after the other, computed by several threads a
// window ahead. The window grows while nothing is found changed; what changed is still in a cache
// when its id is asked for, to be copied from there.
//
// Memory: 16 bytes for each chunk of a window (at most 256 MiB of the array). Threads other than
// the caller's live for one window. Thread rule: one thread.

#ifndef CKPT_STORE_SESSION_CHUNK_HASHER_H_
#define CKPT_STORE_SESSION_CHUNK_HASHER_H_

#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

class ChunkHasher {
 public:
  // `data` is cut every `chunk_bytes`. `threads`: the caller's among them. Those of `skipped`, by
  // chunk, nobody will ask for (nullptr: none); it outlives this.
  ChunkHasher(ByteSpan data, std::size_t chunk_bytes, std::size_t threads,
              const std::vector<bool>* skipped = nullptr);

  // Of chunk `i`. REQUIRES: asked for in order, not skipped. May throw std::bad_alloc.
  Id128 Id(std::size_t i);
  // The chunk asked for last had changed.
  void Changed() { changed_ = true; }
  ByteSpan Chunk(std::size_t i) const;

 private:
  void HashWindow(std::size_t first);
  bool Skips(std::size_t i) const {
    return skipped_ != nullptr && i < skipped_->size() && (*skipped_)[i];
  }

  const ByteSpan data_;
  const std::size_t chunk_bytes_;
  const std::size_t threads_;
  const std::vector<bool>* const skipped_;
  std::size_t window_bytes_;
  std::size_t first_ = 0;  // of the chunks in ids_
  std::vector<Id128> ids_;
  bool changed_ = false;
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_CHUNK_HASHER_H_
