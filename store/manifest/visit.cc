// Visiting every chunk a tree reaches, with one node a level in memory.

#include "store/manifest/tree_cursor.h"

namespace ckpt {
namespace {

// fn's answer for the root; a node held in its record is no chunk, and is always entered.
Result<bool> EntersRoot(const TreeRef& tree, const ChunkVisitor& fn) {
  if (tree.root.how == NodeRef::How::kEmpty) return false;
  if (tree.root.how == NodeRef::How::kHere) return true;
  return fn(tree.root.id, tree.root.raw_bytes, true);
}

// Calls on_item at every item of the leaves that fn wants to enter.
template <typename OnItem>
Status VisitTree(TreeKind kind, const TreeRef& tree, ChunkSource* source, const ChunkVisitor& fn,
                 OnItem on_item) {
  CKPT_ASSIGN_OR_RETURN(bool enters_root, EntersRoot(tree, fn));
  if (!enters_root) return {};
  TreeCursor cursor(kind, tree, source);
  CKPT_RETURN_IF_ERROR(cursor.Start());
  while (!cursor.AtEnd()) {
    const Child* child = cursor.child();
    bool enters = false;
    if (child != nullptr) {
      CKPT_ASSIGN_OR_RETURN(enters, fn(child->id, child->raw_bytes, true));
    } else {
      CKPT_RETURN_IF_ERROR(on_item(cursor));
    }
    if (enters) {
      CKPT_RETURN_IF_ERROR(cursor.Open());
    } else {
      cursor.Skip();
    }
  }
  return {};
}

}  // namespace

Status VisitChunkList(const TreeRef& tree, ChunkSource* source, const ChunkVisitor& fn) {
  return VisitTree(TreeKind::kChunkList, tree, source, fn, [&](const TreeCursor& cursor) {
    const ChunkItem& item = cursor.chunk();
    if (item.kind != ChunkItem::Kind::kChunk) return Status();
    return fn(item.id, item.raw_bytes, false).status();
  });
}

Status VisitEntryTable(const TreeRef& tree, ChunkSource* source, const ChunkVisitor& fn,
                       const std::function<void(const Entry&)>& on_entry) {
  return VisitTree(TreeKind::kEntryTable, tree, source, fn, [&](const TreeCursor& cursor) {
    if (on_entry) on_entry(cursor.entry());
    return VisitChunkList(cursor.entry().content, source, fn);
  });
}

}  // namespace ckpt
