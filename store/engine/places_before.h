// PlacesBefore: which chunk of a file was, in the checkpoint before, where one is now that was cut
// by content again and came out at the same place and size. It may be stored as the difference from
// that one (delta_base.h): a database of which some pages changed, say. A file whose numbers all
// changed has other cuts, and nothing is there.
// Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_PLACES_BEFORE_H_
#define CKPT_STORE_ENGINE_PLACES_BEFORE_H_

#include <optional>

#include "store/manifest/tree.h"

namespace ckpt {

class PlacesBefore {
 public:
  // `before`: the list of the same file in the checkpoint before. Only a help: from where it cannot
  // be read there is nothing.
  PlacesBefore(const TreeRef& before, ChunkSource* source) : list_(before, source) { ReadAhead(); }

  // The chunk of `length` bytes that was at `offset`. REQUIRES: offset does not go back.
  std::optional<Id128> At(std::uint64_t offset, std::uint64_t length);

 private:
  void ReadAhead();

  ChunkListReader list_;
  std::optional<ChunkItem> ahead_;  // the next item of list_, which begins at ahead_offset_
  std::uint64_t ahead_offset_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_PLACES_BEFORE_H_
