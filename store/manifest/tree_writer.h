// Cuts a sequence of items into nodes, level by level, and stores each node once it is known not to
// be the root. Internal to this layer.
//
// Where a node ends depends only on its items, never on where the sequence began or how long it is:
// that is what makes a change cost O(log n) nodes. The first node of each level is held back until
// a second one begins; so a level exists only when the one below has two nodes, and a small root is
// never stored. Thread rule: one thread an object.

#ifndef CKPT_STORE_MANIFEST_TREE_WRITER_H_
#define CKPT_STORE_MANIFEST_TREE_WRITER_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/manifest/node.h"

namespace ckpt {

// A node ends behind a marked item that is at least the `least`th, behind the `greatest`th, or when
// it has `full_bytes`.
struct NodeRule {
  TreeKind kind;
  std::uint32_t least;
  std::uint32_t greatest;
  std::size_t full_bytes;
  std::size_t levels_max;
};
NodeRule ChunkListRule(FanOut fan_out);
NodeRule EntryTableRule();

struct NodeItem {
  ByteSpan encoded;
  std::string_view name;      // entry tables: marks the item
  const Id128* id = nullptr;  // chunk lists: marks the item; null for inline items and holes
  std::uint64_t span = 0;
  std::uint64_t count = 0;
};

class TreeWriter {
 public:
  TreeWriter(const NodeRule& rule, ChunkSink* sink);
  // After an error every later call answers it again.
  Status Add(const NodeItem& item);
  Result<TreeRef> Finish();

 private:
  struct OpenNode {
    Bytes bytes;
    std::uint32_t items = 0;
    Child totals;  // first_name, span, count
  };
  struct Level {
    OpenNode open;
    std::optional<OpenNode> held;  // the level's first node, perhaps the root
  };

  Status AddTo(std::size_t level, const NodeItem& item);
  void Append(std::size_t level, const NodeItem& item);
  bool EndsBehind(const OpenNode& node, const NodeItem& item) const;
  Status Close(std::size_t level);
  Status Store(std::size_t level, OpenNode node);
  Result<TreeRef> StoreRoot(std::size_t level, OpenNode node);
  Result<TreeRef> FinishLevels();
  // The node with its header complete; the level's open node is empty again.
  OpenNode Take(std::size_t level);

  NodeRule rule_;
  ChunkSink* sink_;
  std::vector<Level> levels_;  // never reallocated
  Status broken_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_MANIFEST_TREE_WRITER_H_
