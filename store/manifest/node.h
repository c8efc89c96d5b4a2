// One node of a tree: decoding with every bound checked, and fetching it with what its parent says
// about it compared (I8). Internal to this layer.
//
// All checks are local to the moment a node is fetched: its kind and level are those the parent
// expects, the sums over its items are what the parent declares, its names ascend and lie between
// the parent's first name and the next one. An inner node's sums are those its items declare, so
// by induction the whole tree agrees once every node was fetched. Levels fall by one a step, so a
// cycle ends. Thread rule: values and pure functions.

#ifndef CKPT_STORE_MANIFEST_NODE_H_
#define CKPT_STORE_MANIFEST_NODE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/manifest/tree.h"

namespace ckpt {

constexpr std::size_t kNodeHeaderBytes = 8;
constexpr std::uint32_t kNodeItemsMax = 1024;
// A node stored as a chunk is padded to this: no chunk is as small as an inline item.
constexpr std::uint32_t kStoredNodeBytesMin = kInlineBytesMax + 1;

enum class TreeKind : std::uint8_t { kChunkList, kEntryTable };

// The kind byte of a node at `level`.
std::uint8_t NodeKindByte(TreeKind kind, int level);

// An item of an inner node.
struct Child {
  std::string first_name;  // entry tables only
  Id128 id;
  std::uint32_t raw_bytes = 0;  // of the node
  std::uint64_t span = 0;       // content or logical bytes below
  std::uint64_t count = 0;      // chunks or entries below
};
void EncodeChild(TreeKind kind, const Child& child, Bytes* out);

// Only one of the three lists is used.
struct Node {
  int level = 0;
  std::vector<Child> children;    // level > 0
  std::vector<ChunkItem> chunks;  // leaf of a chunk list
  std::vector<Entry> entries;     // leaf of an entry table
  std::uint64_t span = 0;         // sums over the items
  std::uint64_t count = 0;

  std::size_t size() const { return children.size() + chunks.size() + entries.size(); }
  // Entry tables.
  const std::string& first_name() const;
  const std::string& last_name() const;
};

Result<Node> DecodeNode(TreeKind kind, int level, ByteSpan raw);
// REQUIRES: the tree is not empty.
Result<Node> LoadRoot(TreeKind kind, const TreeRef& tree, ChunkSource* source);
// `name_bound` (may be null) is the first name behind the child: its names must lie before.
Result<Node> LoadChild(TreeKind kind, int level, const Child& child, const std::string* name_bound,
                       ChunkSource* source);

// The items of chunk list leaves. Check: InvalidArgument when outside the limits.
Status CheckChunkItem(const ChunkItem& item);
void EncodeChunkItem(const ChunkItem& item, Bytes* out);
ChunkItem DecodeChunkItem(ByteReader* in);

// The sum, or false when it does not fit.
inline bool AddWithin(std::uint64_t more, std::uint64_t* sum) {
  return !__builtin_add_overflow(*sum, more, sum);
}

}  // namespace ckpt

#endif  // CKPT_STORE_MANIFEST_NODE_H_
