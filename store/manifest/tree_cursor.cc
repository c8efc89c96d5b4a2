#include "store/manifest/tree_cursor.h"

#include <utility>

namespace ckpt {

TreeCursor::TreeCursor(TreeKind kind, TreeRef tree, ChunkSource* source)
    : kind_(kind), tree_(std::move(tree)), source_(source) {}

Status TreeCursor::Start() {
  if (started_) return {};
  if (tree_.root.how != NodeRef::How::kEmpty) {
    CKPT_ASSIGN_OR_RETURN(Node root, LoadRoot(kind_, tree_, source_));
    frames_.push_back({std::move(root), 0});
  }
  started_ = true;
  return {};
}

// Only the root may stand behind its last item: Skip leaves the others.
bool TreeCursor::AtEnd() const { return frames_.empty() || top().at == top().node.size(); }

const Child* TreeCursor::child() const {
  return top().node.level > 0 ? &top().node.children[top().at] : nullptr;
}

void TreeCursor::Skip() {
  ++frames_.back().at;
  while (frames_.size() > 1 && top().at == top().node.size()) {
    frames_.pop_back();
    ++frames_.back().at;
  }
}

void TreeCursor::SkipAll() {
  if (frames_.empty()) return;
  frames_.resize(1);
  frames_[0].at = frames_[0].node.size();
}

const std::string* TreeCursor::NameBound() const {
  if (kind_ != TreeKind::kEntryTable) return nullptr;
  for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame) {
    const std::vector<Child>& children = frame->node.children;
    if (frame->at + 1 < children.size()) return &children[frame->at + 1].first_name;
  }
  return nullptr;
}

Status TreeCursor::Open() {
  CKPT_ASSIGN_OR_RETURN(Node node,
                        LoadChild(kind_, top().node.level - 1, *child(), NameBound(), source_));
  frames_.push_back({std::move(node), 0});
  return {};
}

Status TreeCursor::OpenToLeaf() {
  while (!AtEnd() && child() != nullptr) CKPT_RETURN_IF_ERROR(Open());
  return {};
}

Status TreeCursor::Enter(std::size_t depth, std::size_t index) {
  bool open = depth + 1 < frames_.size() && frames_[depth].at == index;
  if (open) return {};
  frames_.resize(depth + 1);
  frames_[depth].at = index;
  return top().node.level > 0 ? Open() : Status();
}

}  // namespace ckpt
