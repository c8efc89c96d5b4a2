#include "store/manifest/node.h"

#include <algorithm>

#include "store/manifest/entry_coding.h"
#include "store/manifest/manifest.h"

namespace ckpt {
namespace {

// The least bytes an item can have, to bound counts before anything is allocated.
constexpr std::size_t kChunkItemBytesMin = 5;
constexpr std::size_t kChildBytesMin = 36;

Status ReadHeader(TreeKind kind, int level, ByteReader* in, std::uint32_t* items) {
  std::uint8_t kind_byte = in->U8();
  std::uint8_t level_byte = in->U8();
  std::uint16_t zero = in->U16();
  *items = in->U32();
  if (!in->ok()) return Corruption("cut off within its header");
  if (level_byte != level) {
    return Corruption("its level is " + std::to_string(level_byte) + ", but it is named as level " +
                      std::to_string(level));
  }
  if (kind_byte != NodeKindByte(kind, level)) {
    return Corruption("its kind is " + std::to_string(kind_byte) + ", but it is named as kind " +
                      std::to_string(NodeKindByte(kind, level)));
  }
  if (zero != 0 || *items == 0 || *items > kNodeItemsMax) {
    return Corruption("its header has impossible values");
  }
  return {};
}

// Behind the items: nothing, or the zeros that pad a stored node.
Status CheckEnd(ByteSpan raw, ByteReader* in) {
  if (!in->ok()) return Corruption("an item is out of bounds or cut off");
  ByteSpan rest = in->Raw(in->remaining());
  bool zeros = std::all_of(rest.begin(), rest.end(), [](std::byte b) { return b == std::byte{0}; });
  if (rest.empty() || (raw.size() == kStoredNodeBytesMin && zeros)) return {};
  return Corruption(std::to_string(rest.size()) + " bytes too many behind its items");
}

Status AddToSums(std::uint64_t span, std::uint64_t count, Node* node) {
  if (AddWithin(span, &node->span) && AddWithin(count, &node->count)) return {};
  return Corruption("the sizes of its items have no sum");
}

Status CheckAscending(const std::string& before, const std::string& name) {
  if (before < name) return {};
  return Corruption("'" + ShownName(name) + "' stands behind '" + ShownName(before) +
                    "': not in order");
}

Child DecodeChild(TreeKind kind, ByteReader* in) {
  Child child;
  if (kind == TreeKind::kEntryTable) {
    child.first_name = in->String(kEntryNameBytesMax);
    if (in->ok() && !ValidateEntryName(child.first_name).ok()) in->Fail();
  }
  child.id = in->Id();
  child.raw_bytes = in->U32();
  std::uint64_t first = in->U64();
  std::uint64_t second = in->U64();
  // Chunk lists: bytes, chunks. Entry tables: entries, bytes.
  child.span = kind == TreeKind::kChunkList ? first : second;
  child.count = kind == TreeKind::kChunkList ? second : first;
  bool sized = child.raw_bytes >= kStoredNodeBytesMin && child.raw_bytes <= kNodeBytesMax;
  if (!sized || first == 0) in->Fail();
  return child;
}

Status ReadChildren(TreeKind kind, std::uint32_t items, ByteReader* in, Node* node) {
  if (items > in->remaining() / kChildBytesMin) return Corruption("cut off within its items");
  node->children.reserve(items);
  for (std::uint32_t i = 0; i < items; ++i) {
    Child child = DecodeChild(kind, in);
    if (!in->ok()) return Corruption("item " + std::to_string(i) + " is out of bounds");
    if (i > 0 && kind == TreeKind::kEntryTable) {
      CKPT_RETURN_IF_ERROR(CheckAscending(node->children.back().first_name, child.first_name));
    }
    CKPT_RETURN_IF_ERROR(AddToSums(child.span, child.count, node));
    node->children.push_back(std::move(child));
  }
  return {};
}

Status ReadChunks(std::uint32_t items, ByteReader* in, Node* node) {
  if (items > in->remaining() / kChunkItemBytesMin) return Corruption("cut off within its items");
  node->chunks.reserve(items);
  for (std::uint32_t i = 0; i < items; ++i) {
    ChunkItem item = DecodeChunkItem(in);
    if (!in->ok()) return Corruption("item " + std::to_string(i) + " is out of bounds");
    bool counted = item.kind == ChunkItem::Kind::kChunk;
    CKPT_RETURN_IF_ERROR(AddToSums(item.raw_bytes, counted ? 1 : 0, node));
    node->chunks.push_back(std::move(item));
  }
  return {};
}

Status ReadEntries(std::uint32_t items, ByteReader* in, Node* node) {
  for (std::uint32_t i = 0; i < items; ++i) {
    CKPT_ASSIGN_OR_RETURN(Entry entry, DecodeEntry(in));
    if (i > 0) CKPT_RETURN_IF_ERROR(CheckAscending(node->entries.back().name, entry.name));
    CKPT_RETURN_IF_ERROR(AddToSums(entry.logical_bytes, 1, node));
    node->entries.push_back(std::move(entry));
  }
  return {};
}

Status Disagrees(std::string_view what, std::uint64_t has, std::uint64_t declared) {
  return Corruption("it has " + std::to_string(has) + " " + std::string(what) +
                    ", but its parent says " + std::to_string(declared));
}

Status CompareWithParent(TreeKind kind, const Node& node, const Child& child,
                         const std::string* name_bound) {
  bool table = kind == TreeKind::kEntryTable;
  if (node.span != child.span) {
    return Disagrees(table ? "logical bytes" : "content bytes", node.span, child.span);
  }
  if (node.count != child.count) {
    return Disagrees(table ? "entries" : "chunks", node.count, child.count);
  }
  if (!table) return {};
  if (node.first_name() != child.first_name) {
    return Corruption("its first name is '" + ShownName(node.first_name()) +
                      "', but its parent says '" + ShownName(child.first_name) + "'");
  }
  if (name_bound == nullptr) return {};
  return CheckAscending(node.last_name(), *name_bound);
}

Result<Node> FetchNode(TreeKind kind, int level, const Id128& id, std::uint32_t raw_bytes,
                       ChunkSource* source) {
  CKPT_ASSIGN_OR_RETURN(Bytes raw, source->GetNode(id, raw_bytes));
  if (raw.size() != raw_bytes) return Disagrees("bytes", raw.size(), raw_bytes);
  return DecodeNode(kind, level, raw);
}

}  // namespace

std::uint8_t NodeKindByte(TreeKind kind, int level) {
  int leaf = kind == TreeKind::kChunkList ? 1 : 3;
  return static_cast<std::uint8_t>(level == 0 ? leaf : leaf + 1);
}

const std::string& Node::first_name() const {
  return children.empty() ? entries.front().name : children.front().first_name;
}

const std::string& Node::last_name() const {
  return children.empty() ? entries.back().name : children.back().first_name;
}

void EncodeChild(TreeKind kind, const Child& child, Bytes* out) {
  ByteWriter writer(out);
  bool table = kind == TreeKind::kEntryTable;
  if (table) writer.String(child.first_name);
  writer.Id(child.id);
  writer.U32(child.raw_bytes);
  writer.U64(table ? child.count : child.span);
  writer.U64(table ? child.span : child.count);
}

Result<Node> DecodeNode(TreeKind kind, int level, ByteSpan raw) {
  if (raw.size() > kNodeBytesMax) return Corruption("larger than 1 MiB");
  ByteReader in(raw);
  std::uint32_t items = 0;
  CKPT_RETURN_IF_ERROR(ReadHeader(kind, level, &in, &items));
  Node node;
  node.level = level;
  if (level > 0) {
    CKPT_RETURN_IF_ERROR(ReadChildren(kind, items, &in, &node));
  } else if (kind == TreeKind::kChunkList) {
    CKPT_RETURN_IF_ERROR(ReadChunks(items, &in, &node));
  } else {
    CKPT_RETURN_IF_ERROR(ReadEntries(items, &in, &node));
  }
  CKPT_RETURN_IF_ERROR(CheckEnd(raw, &in));
  return node;
}

Result<Node> LoadRoot(TreeKind kind, const TreeRef& tree, ChunkSource* source) {
  Status bad = CheckTreeRef(tree);
  if (!bad.ok()) return Corruption("root node: " + bad.message());
  bool here = tree.root.how == NodeRef::How::kHere;
  Result<Node> node = here ? DecodeNode(kind, tree.level, tree.root.here)
                           : FetchNode(kind, tree.level, tree.root.id, tree.root.raw_bytes, source);
  if (node.ok()) return node;
  std::string context = here ? "root node held in its record" : "node " + tree.root.id.ToHex();
  return std::move(node).status().WithContext(context);
}

Result<Node> LoadChild(TreeKind kind, int level, const Child& child, const std::string* name_bound,
                       ChunkSource* source) {
  Result<Node> node = FetchNode(kind, level, child.id, child.raw_bytes, source);
  Status status = node.ok() ? CompareWithParent(kind, *node, child, name_bound) : node.status();
  if (status.ok()) return node;
  return std::move(status).WithContext("node " + child.id.ToHex());
}

}  // namespace ckpt
