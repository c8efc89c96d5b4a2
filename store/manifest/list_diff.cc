// The difference of two chunk lists, level by level from their roots. A node that both lists have
// is left aside unread, so that the cost follows what changed; of the leaves that remain, the items
// of one list are looked up in a sorted table of the other's. It works for lists of different
// heights and divisions. Internal to this layer but for DiffChunkLists (tree.h).

#include <algorithm>

#include "store/codec/hash.h"
#include "store/manifest/node.h"
#include "store/manifest/tree.h"

namespace ckpt {
namespace {

// Of nodes: some 40 TiB of chunks that all differ. A hostile tree can name one node without end
// (I8).
constexpr std::size_t kUnreadMax = 1u << 22;

// A node that is not read yet, and where its content begins.
struct Unread {
  std::uint64_t offset = 0;
  Child child;
};

// One of the lists, opened down to `level`.
class Side {
 public:
  Side(const TreeRef& tree, ChunkSource* source) : tree_(tree), source_(source) {}

  Status Start() {
    if (tree_.root.how == NodeRef::How::kEmpty) return {};
    CKPT_ASSIGN_OR_RETURN(Node root, LoadRoot(TreeKind::kChunkList, tree_, source_));
    level_ = std::max(0, root.level - 1);
    AddChildren(0, root, &unread_);
    if (root.level == 0) root_ = std::move(root);
    return {};
  }

  int level() const { return level_; }
  std::vector<Unread>* unread() { return &unread_; }

  Status OpenLevel() {
    std::vector<Unread> below;
    for (const Unread& node : unread_) {
      CKPT_ASSIGN_OR_RETURN(Node opened, Load(node.child));
      AddChildren(node.offset, opened, &below);
      if (below.size() > kUnreadMax) {
        return OutOfMemory("two chunk lists differ in too many places to be compared");
      }
    }
    unread_ = std::move(below);
    --level_;
    return {};
  }

  // REQUIRES: level() is 0. fn(offset, item) for the items of all leaves that are left, in order.
  template <typename F>
  Status ForEachItem(const F& fn) {
    if (root_.has_value()) Items(0, *root_, fn);
    for (const Unread& leaf : unread_) {
      CKPT_ASSIGN_OR_RETURN(Node opened, Load(leaf.child));
      Items(leaf.offset, opened, fn);
    }
    return {};
  }

 private:
  Result<Node> Load(const Child& child) {
    return LoadChild(TreeKind::kChunkList, level_, child, nullptr, source_);
  }
  static void AddChildren(std::uint64_t offset, const Node& node, std::vector<Unread>* out) {
    for (const Child& child : node.children) {
      out->push_back({offset, child});
      offset += child.span;
    }
  }
  template <typename F>
  static void Items(std::uint64_t offset, const Node& leaf, const F& fn) {
    for (const ChunkItem& item : leaf.chunks) {
      fn(offset, item);
      offset += item.raw_bytes;
    }
  }

  const TreeRef& tree_;
  ChunkSource* const source_;
  std::optional<Node> root_;  // when it is a leaf
  int level_ = 0;             // of the nodes in unread_
  std::vector<Unread> unread_;
};

// What makes two nodes or items the same: their id, and where it counts their place.
class Keys {
 public:
  explicit Keys(bool by_place) : by_place_(by_place) {}

  Id128 Of(const Unread& node) const {
    if (!by_place_) return node.child.id;
    Bytes bytes;
    ByteWriter(&bytes).Id(node.child.id);
    return Placed(node.offset, bytes);
  }
  Id128 Of(std::uint64_t offset, const ChunkItem& item) const {
    if (!by_place_ && item.kind == ChunkItem::Kind::kChunk) return item.id;
    Bytes bytes;
    EncodeChunkItem(item, &bytes);
    return Placed(offset, bytes);
  }

 private:
  static Id128 Placed(std::uint64_t offset, ByteSpan bytes) {
    Bytes key;
    ByteWriter w(&key);
    w.U64(offset);
    w.Raw(bytes);
    return HashChunk(key);
  }

  const bool by_place_;
};

class SortedIds {
 public:
  void Add(const Id128& id) { ids_.push_back(id); }
  void Sort() {
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
  }
  bool Contains(const Id128& id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }

 private:
  std::vector<Id128> ids_;
};

void LeaveEqualNodesAside(const Keys& keys, Side* a, Side* b) {
  SortedIds in_a;
  SortedIds in_b;
  for (const Unread& node : *a->unread()) in_a.Add(keys.Of(node));
  for (const Unread& node : *b->unread()) in_b.Add(keys.Of(node));
  in_a.Sort();
  in_b.Sort();
  std::erase_if(*a->unread(), [&](const Unread& node) { return in_b.Contains(keys.Of(node)); });
  std::erase_if(*b->unread(), [&](const Unread& node) { return in_a.Contains(keys.Of(node)); });
}

}  // namespace

Status DiffChunkLists(const TreeRef& before, ChunkSource* before_source, const TreeRef& after,
                      ChunkSource* after_source, bool by_place, const ListDiffVisitor& fn) {
  if (before == after) return {};
  const Keys keys(by_place);
  Side a(before, before_source);
  Side b(after, after_source);
  CKPT_RETURN_IF_ERROR(a.Start());
  CKPT_RETURN_IF_ERROR(b.Start());
  for (int level = std::max(a.level(), b.level());; --level) {
    bool a_here = a.level() == level;
    bool b_here = b.level() == level;
    if (a_here && b_here) LeaveEqualNodesAside(keys, &a, &b);
    if (level == 0) break;
    if (a_here) CKPT_RETURN_IF_ERROR(a.OpenLevel());
    if (b_here) CKPT_RETURN_IF_ERROR(b.OpenLevel());
  }
  SortedIds old;
  CKPT_RETURN_IF_ERROR(a.ForEachItem(
      [&](std::uint64_t offset, const ChunkItem& item) { old.Add(keys.Of(offset, item)); }));
  old.Sort();
  return b.ForEachItem([&](std::uint64_t offset, const ChunkItem& item) {
    if (!old.Contains(keys.Of(offset, item))) fn(offset, item.raw_bytes);
  });
}

}  // namespace ckpt
