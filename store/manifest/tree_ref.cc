#include "store/manifest/node.h"

namespace ckpt {

Status CheckTreeRef(const TreeRef& tree) {
  const NodeRef& root = tree.root;
  if (tree.level >= kTreeLevelsMax) return InvalidArgument("a tree has at most 8 levels");
  switch (root.how) {
    case NodeRef::How::kEmpty:
      if (tree.level == 0) return {};
      return InvalidArgument("an empty tree has level 0");
    case NodeRef::How::kHere:
      if (!root.here.empty() && root.here.size() <= kInlineBytesMax) return {};
      return InvalidArgument("a node held in its record has 1 ... 240 bytes");
    case NodeRef::How::kChunk:
      if (root.raw_bytes >= kStoredNodeBytesMin && root.raw_bytes <= kNodeBytesMax) return {};
      return InvalidArgument("a node stored as a chunk has 241 bytes ... 1 MiB");
  }
  return InvalidArgument("a node is empty, here or a chunk");
}

void EncodeTreeRef(const TreeRef& tree, ByteWriter* out) {
  out->U8(tree.level);
  out->U8(static_cast<std::uint8_t>(tree.root.how));
  if (tree.root.how == NodeRef::How::kHere) out->Blob(tree.root.here);
  if (tree.root.how == NodeRef::How::kChunk) {
    out->Id(tree.root.id);
    out->U32(tree.root.raw_bytes);
  }
}

TreeRef DecodeTreeRef(ByteReader* in) {
  TreeRef tree;
  tree.level = in->U8();
  tree.root.how = static_cast<NodeRef::How>(in->U8());
  if (tree.root.how == NodeRef::How::kHere) {
    ByteSpan here = in->Blob(kInlineBytesMax);
    tree.root.here.assign(here.begin(), here.end());
  }
  if (tree.root.how == NodeRef::How::kChunk) {
    tree.root.id = in->Id();
    tree.root.raw_bytes = in->U32();
  }
  if (in->ok() && !CheckTreeRef(tree).ok()) in->Fail();
  return in->ok() ? tree : TreeRef{};
}

}  // namespace ckpt
