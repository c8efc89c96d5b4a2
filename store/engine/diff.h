// What changed between two checkpoints, of any series. Equal subtrees, of the entry tables and of
// the chunk lists, are not read: the cost follows what changed. Ranks are compared with each other
// one by one.
//
// Changed bytes are told by chunks, without reading content: in an array, the bytes of B whose
// chunk A does not have at that place; in a file or stream, whose bytes may move, the bytes of B
// whose chunk A's entry has nowhere (a chunk copied out of a long stretch that did not change may
// count as changed). Inline pieces and holes are compared by place. Memory: 16 bytes for each of
// A's chunks, of one entry at a time, that is in a part that differs. Thread rule: one thread a
// call.

#ifndef CKPT_STORE_ENGINE_DIFF_H_
#define CKPT_STORE_ENGINE_DIFF_H_

#include <functional>
#include <string>
#include <vector>

#include "store/engine/store.h"

namespace ckpt {

enum class DiffStatus { kAdded, kRemoved, kChanged, kMetadata };
std::string_view DiffStatusName(DiffStatus status);

struct ChangedRange {
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
  bool operator==(const ChangedRange&) const = default;
};

struct DiffedEntry {
  std::string name;
  std::uint32_t rank = 0;
  DiffStatus status = DiffStatus::kChanged;
  std::uint64_t changed_bytes = 0;   // of B; of A when removed
  std::uint64_t logical_bytes = 0;   // likewise
  std::vector<ChangedRange> ranges;  // where in B, ascending; at most kDiffRangesMax
};
constexpr std::size_t kDiffRangesMax = 1000;

// Calls fn, in order of names within a rank, for each entry that differs. An entry whose change
// time or inode alone is another counts as equal; one whose mode, owner, modification time,
// extended attributes, element type or shape is, as "metadata".
Status DiffCheckpoints(Store* store, const std::string& a, const std::string& b,
                       const std::function<Status(const DiffedEntry&)>& fn);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_DIFF_H_
