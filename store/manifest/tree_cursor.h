// A place in a tree: one node a level in memory, nodes fetched only when they are entered. The
// readers, the difference and the visit all walk with it. Internal to this layer.
//
// The current element is an item of the deepest node: a child not yet opened, a chunk item or an
// entry. A failed Open leaves the place as it was. Thread rule: one thread an object.

#ifndef CKPT_STORE_MANIFEST_TREE_CURSOR_H_
#define CKPT_STORE_MANIFEST_TREE_CURSOR_H_

#include <vector>

#include "store/base/status.h"
#include "store/manifest/node.h"

namespace ckpt {

class TreeCursor {
 public:
  TreeCursor(TreeKind kind, TreeRef tree, ChunkSource* source);

  // Fetches the root when that has not happened. Everything below REQUIRES that it succeeded.
  Status Start();
  bool AtEnd() const;

  // The current element, REQUIRES: not AtEnd(). child() is null when it is an item of a leaf.
  const Child* child() const;
  const ChunkItem& chunk() const { return top().node.chunks[top().at]; }
  const Entry& entry() const { return top().node.entries[top().at]; }
  // Of the node that holds the current element.
  int level() const { return top().node.level; }
  void Skip();
  // Into the current child: its first item is the current element.
  Status Open();
  // Opens children until the current element is an item of a leaf, or the end is reached.
  Status OpenToLeaf();

  // Direct positioning. `depth` 0 is the root; Enter makes `index` the current item of the node at
  // `depth` and opens it when it is a child, keeping what is open there already.
  // REQUIRES: AtDepth(depth) exists and index is within it.
  Status Enter(std::size_t depth, std::size_t index);
  const Node& AtDepth(std::size_t depth) const { return frames_[depth].node; }
  bool empty() const { return frames_.empty(); }
  void SkipAll();

 private:
  struct Frame {
    Node node;
    std::size_t at = 0;
  };
  const Frame& top() const { return frames_.back(); }
  // The first name behind the current child of the deepest frame; null when nothing follows.
  const std::string* NameBound() const;

  TreeKind kind_;
  TreeRef tree_;
  ChunkSource* source_;
  bool started_ = false;
  std::vector<Frame> frames_;  // frames_[d + 1] is the child frames_[d].at; empty: an empty tree
};

}  // namespace ckpt

#endif  // CKPT_STORE_MANIFEST_TREE_CURSOR_H_
