// IdPasses: a walk over a store that needs a table of all its chunks, in bounded memory: as several
// walks, each with the ids of one range. Ids are hashes, so ranges of one width have about as many
// of them. How many walks there will be is not known before: one that meets more ids than fit is
// begun again with half of its range. Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_ID_PASSES_H_
#define CKPT_STORE_ENGINE_ID_PASSES_H_

#include <algorithm>
#include <cstdint>
#include <utility>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

// Ids by their first 32 bits.
struct IdRange {
  static constexpr std::uint64_t kEnd = std::uint64_t{1} << 32;
  std::uint64_t begin = 0;
  std::uint64_t end = kEnd;

  bool Whole() const { return begin == 0 && end == kEnd; }
  bool Contains(const Id128& id) const {
    auto byte = [&](std::size_t i) { return std::uint64_t{id.bytes[i]}; };
    const std::uint64_t at = byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
    return begin <= at && at < end;
  }
};

class IdPasses {
 public:
  // `ids_most` fit into a pass; about `ids_expected` are there (0: not known).
  IdPasses(std::uint64_t ids_most, std::uint64_t ids_expected)
      : ids_most_(ids_most), ids_expected_(ids_expected) {
    const auto kept = static_cast<double>(ids_most) * 0.98;  // ranges are not quite even
    if (static_cast<double>(ids_expected) > kept) {
      width_ = static_cast<std::uint64_t>(kept / static_cast<double>(ids_expected) *
                                          static_cast<double>(IdRange::kEnd));
      width_ = std::max(width_, kWidthLeast);
      range_.end = width_;
    }
  }

  const IdRange& range() const { return range_; }
  std::uint64_t ids_most() const { return ids_most_; }
  // So many ids a pass' table should have room for, so that it need not grow.
  std::uint64_t Room() const {
    return range_.Whole() ? std::min(ids_expected_ + ids_expected_ / 8, ids_most_) : ids_most_;
  }
  // The pass is over. False: it was the last.
  bool Next() {
    if (range_.end == IdRange::kEnd) return false;
    range_ = {range_.end, std::min(range_.end + width_, IdRange::kEnd)};
    return true;
  }
  // A walk has met so many ids of the range. Not ok: too many for the table; the walk ends with
  // this status, and is begun again. (One part in 4096 of all ids is taken however many they are.)
  Status Met(std::uint64_t ids) {
    if (ids <= ids_most_ || width_ <= kWidthLeast) return Status();
    too_many_ = true;
    return OutOfMemory("more chunks than the table has room for");
  }
  // After a walk that failed. True: with half of the range it is to be begun again.
  bool BeginAgain() {
    if (!std::exchange(too_many_, false)) return false;
    width_ = std::max(std::min(width_, range_.end - range_.begin) / 2, kWidthLeast);
    range_.end = std::min(range_.begin + width_, IdRange::kEnd);
    return true;
  }

 private:
  static constexpr std::uint64_t kWidthLeast = IdRange::kEnd >> 12;
  const std::uint64_t ids_most_;
  const std::uint64_t ids_expected_;
  IdRange range_;
  std::uint64_t width_ = IdRange::kEnd;
  bool too_many_ = false;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_ID_PASSES_H_
