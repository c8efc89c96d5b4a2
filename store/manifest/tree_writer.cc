#include "store/manifest/tree_writer.h"

#include <utility>

#include "store/codec/hash.h"
#include "store/manifest/entry_coding.h"

namespace ckpt {
namespace {

constexpr std::uint32_t kChunkNodeLeast = 32;
constexpr std::uint32_t kEntryNodeLeast = 8;
constexpr std::uint8_t kIdMarkMask = 0x7f;
constexpr std::uint64_t kNameMarkMask = 0x3f;

bool IsMarked(TreeKind kind, const NodeItem& item) {
  if (kind == TreeKind::kEntryTable) {
    return (Checksum64(AsBytes(item.name)) & kNameMarkMask) == 0;
  }
  return item.id != nullptr && (item.id->bytes[15] & kIdMarkMask) == 0;
}

}  // namespace

NodeRule ChunkListRule(FanOut fan_out) {
  std::uint32_t least = fan_out == FanOut::kFixed ? kNodeItemsMax : kChunkNodeLeast;
  return {TreeKind::kChunkList, least, kNodeItemsMax, kNodeBytesMax, kTreeLevelsMax};
}

NodeRule EntryTableRule() {
  return {TreeKind::kEntryTable, kEntryNodeLeast, kNodeItemsMax, kNodeFullBytes, kTreeLevelsMax};
}

TreeWriter::TreeWriter(const NodeRule& rule, ChunkSink* sink) : rule_(rule), sink_(sink) {
  levels_.reserve(rule.levels_max);
}

Status TreeWriter::Add(const NodeItem& item) {
  if (broken_.ok()) broken_ = AddTo(0, item);
  return broken_;
}

Status TreeWriter::AddTo(std::size_t level, const NodeItem& item) {
  if (level == rule_.levels_max) {
    return InvalidArgument("more items than a tree of " + std::to_string(rule_.levels_max) +
                           " levels can hold");
  }
  if (level == levels_.size()) levels_.emplace_back();
  if (levels_[level].held) {
    OpenNode first = std::move(*levels_[level].held);
    levels_[level].held.reset();
    CKPT_RETURN_IF_ERROR(Store(level, std::move(first)));
  }
  Append(level, item);
  return EndsBehind(levels_[level].open, item) ? Close(level) : Status();
}

void TreeWriter::Append(std::size_t level, const NodeItem& item) {
  OpenNode& node = levels_[level].open;
  if (node.items == 0) {
    node.bytes.resize(kNodeHeaderBytes);
    node.totals.first_name = item.name;
  }
  node.bytes.insert(node.bytes.end(), item.encoded.begin(), item.encoded.end());
  ++node.items;
  node.totals.span += item.span;
  node.totals.count += item.count;
}

bool TreeWriter::EndsBehind(const OpenNode& node, const NodeItem& item) const {
  if (node.items >= rule_.greatest || node.bytes.size() >= rule_.full_bytes) return true;
  return node.items >= rule_.least && IsMarked(rule_.kind, item);
}

TreeWriter::OpenNode TreeWriter::Take(std::size_t level) {
  OpenNode node = std::exchange(levels_[level].open, OpenNode{});
  Bytes header;
  ByteWriter out(&header);
  out.U8(NodeKindByte(rule_.kind, static_cast<int>(level)));
  out.U8(static_cast<std::uint8_t>(level));
  out.U16(0);
  out.U32(node.items);
  std::copy(header.begin(), header.end(), node.bytes.begin());
  return node;
}

Status TreeWriter::Close(std::size_t level) {
  OpenNode node = Take(level);
  if (level + 1 == levels_.size()) {
    levels_[level].held = std::move(node);
    return {};
  }
  return Store(level, std::move(node));
}

Status TreeWriter::Store(std::size_t level, OpenNode node) {
  if (node.bytes.size() < kStoredNodeBytesMin) node.bytes.resize(kStoredNodeBytesMin);
  Child& child = node.totals;
  CKPT_ASSIGN_OR_RETURN(child.id, sink_->PutNode(node.bytes));
  child.raw_bytes = static_cast<std::uint32_t>(node.bytes.size());
  Bytes encoded;
  EncodeChild(rule_.kind, child, &encoded);
  return AddTo(level + 1, {encoded, child.first_name, &child.id, child.span, child.count});
}

Result<TreeRef> TreeWriter::StoreRoot(std::size_t level, OpenNode node) {
  TreeRef tree;
  tree.level = static_cast<std::uint8_t>(level);
  if (node.bytes.size() <= kInlineBytesMax) {
    tree.root.how = NodeRef::How::kHere;
    tree.root.here = std::move(node.bytes);
    return tree;
  }
  tree.root.how = NodeRef::How::kChunk;
  CKPT_ASSIGN_OR_RETURN(tree.root.id, sink_->PutNode(node.bytes));
  tree.root.raw_bytes = static_cast<std::uint32_t>(node.bytes.size());
  return tree;
}

Result<TreeRef> TreeWriter::FinishLevels() {
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    bool top = level + 1 == levels_.size();
    if (top && levels_[level].held) return StoreRoot(level, std::move(*levels_[level].held));
    if (top) return StoreRoot(level, Take(level));
    if (levels_[level].open.items > 0) CKPT_RETURN_IF_ERROR(Store(level, Take(level)));
  }
  return TreeRef{};
}

Result<TreeRef> TreeWriter::Finish() {
  if (!broken_.ok()) return broken_;
  Result<TreeRef> tree = FinishLevels();
  broken_ = tree.ok() ? InvalidArgument("the tree is finished") : tree.status();
  return tree;
}

}  // namespace ckpt
