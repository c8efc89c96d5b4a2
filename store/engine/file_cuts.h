// FileCuts: where the changed bytes of a file are cut, and which chunk each may be stored as the
// difference from. By content (store/codec/chunker.h), as long as that finds chunks that are
// stored: what moved is found again so. A program that writes all of its file anew, with other
// numbers at the same places, leaves nothing to be found; there the chunks are cut where they were
// cut before, so that each has a base of its own size (delta_base.h), where a difference from it is
// smaller.
//
//   FileCuts cuts(store, chunker, before.content, source, &encoder);
//   FileCuts::Cut cut = cuts.Next(offset, pending, last);
//
// It looks at a stretch of some chunks now and then, more and more seldom where cutting as before
// does not pay. Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_FILE_CUTS_H_
#define CKPT_STORE_ENGINE_FILE_CUTS_H_

#include <deque>

#include "store/codec/chunker.h"
#include "store/engine/delta_base.h"
#include "store/engine/stream_cutter.h"
#include "store/manifest/tree.h"

namespace ckpt {

class FileCuts {
 public:
  // `before`: the list of the same file in the checkpoint before. Only a help: where it cannot be
  // read, or a chunk not be encoded, cuts are by content.
  FileCuts(Store* store, const Chunker& chunker, const TreeRef& before, ChunkSource* source,
           ChunkEncoder* encoder);

  // The chunk at the start of `pending`, which are the file's bytes from `offset` on; of length 0
  // when more are needed to tell. `last`: the data end with `pending`.
  // REQUIRES: offset does not go back.
  StreamCutter::Cut Next(std::uint64_t offset, ByteSpan pending, bool last);

 private:
  struct Place {
    std::uint64_t offset = 0;
    ChunkItem item;
  };
  bool ReadAhead();
  const Place* FirstFrom(std::uint64_t offset);
  const Place* OneWithin(std::uint64_t offset, std::size_t length_bytes);
  void Look(std::uint64_t offset, ByteSpan pending, bool last);
  enum class Found : std::uint8_t { kMany, kFew, kTooShort };
  Found FindByContent(ByteSpan pending, bool last);
  bool DifferencePays(const Id128& before, ByteSpan raw);
  StreamCutter::Cut AsBefore(std::uint64_t offset, ByteSpan pending, bool last);

  Store* const store_;
  const Chunker& chunker_;
  ChunkListReader before_;
  std::uint64_t before_offset_ = 0;  // to where it was read
  bool ended_ = false;               // its end, or what cannot be read
  std::deque<Place> ahead_;          // chunks that were read and not passed yet

  const std::size_t look_bytes_;
  std::uint64_t look_at_ = 0;  // the offset from which on it looks again
  std::uint64_t skip_bytes_ = 0;
  bool as_before_ = false;
  ChunkEncoder* const encoder_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_FILE_CUTS_H_
