// Reading chunk lists and entry tables in order, and finding a place in them.

#include <algorithm>

#include "store/manifest/tree_cursor.h"

namespace ckpt {
namespace {

std::uint64_t SpanOf(const Node& node, std::size_t index) {
  return node.level > 0 ? node.children[index].span : node.chunks[index].raw_bytes;
}

// The last item whose name is not above `name`; nullopt when all are.
template <typename Items, typename NameOf>
std::optional<std::size_t> LastNotAbove(const Items& items, std::string_view name, NameOf name_of) {
  auto above = std::upper_bound(
      items.begin(), items.end(), name,
      [&](std::string_view wanted, const auto& item) { return wanted < name_of(item); });
  if (above == items.begin()) return std::nullopt;
  return static_cast<std::size_t>(above - items.begin()) - 1;
}

}  // namespace

struct ChunkListReader::State {
  TreeCursor cursor;
};

ChunkListReader::ChunkListReader(TreeRef tree, ChunkSource* source)
    : state_(new State{TreeCursor(TreeKind::kChunkList, std::move(tree), source)}) {}
ChunkListReader::~ChunkListReader() = default;

Result<std::optional<ChunkItem>> ChunkListReader::Next() {
  TreeCursor& cursor = state_->cursor;
  CKPT_RETURN_IF_ERROR(cursor.Start());
  CKPT_RETURN_IF_ERROR(cursor.OpenToLeaf());
  if (cursor.AtEnd()) return std::optional<ChunkItem>();
  std::optional<ChunkItem> item = cursor.chunk();
  cursor.Skip();
  return item;
}

Result<std::uint64_t> ChunkListReader::Seek(std::uint64_t offset) {
  TreeCursor& cursor = state_->cursor;
  CKPT_RETURN_IF_ERROR(cursor.Start());
  if (cursor.empty()) return std::uint64_t{0};
  if (offset >= cursor.AtDepth(0).span) {
    cursor.SkipAll();
    return cursor.AtDepth(0).span;
  }
  std::uint64_t begin = 0;
  for (std::size_t depth = 0;; ++depth) {
    const Node& node = cursor.AtDepth(depth);
    std::size_t index = 0;
    // Ends within the node: its span, checked against its parent, reaches beyond the offset.
    for (; offset - begin >= SpanOf(node, index); ++index) begin += SpanOf(node, index);
    int level = node.level;  // Enter may move the node
    CKPT_RETURN_IF_ERROR(cursor.Enter(depth, index));
    if (level == 0) return begin;
  }
}

struct EntryTableReader::State {
  TreeCursor next;
  TreeCursor find;
};

EntryTableReader::EntryTableReader(TreeRef tree, ChunkSource* source)
    : state_(new State{TreeCursor(TreeKind::kEntryTable, tree, source),
                       TreeCursor(TreeKind::kEntryTable, std::move(tree), source)}) {}
EntryTableReader::~EntryTableReader() = default;

Result<std::optional<Entry>> EntryTableReader::Next() {
  TreeCursor& cursor = state_->next;
  CKPT_RETURN_IF_ERROR(cursor.Start());
  CKPT_RETURN_IF_ERROR(cursor.OpenToLeaf());
  if (cursor.AtEnd()) return std::optional<Entry>();
  std::optional<Entry> entry = cursor.entry();
  cursor.Skip();
  return entry;
}

Result<std::optional<Entry>> EntryTableReader::Find(std::string_view name) {
  TreeCursor& cursor = state_->find;
  CKPT_RETURN_IF_ERROR(cursor.Start());
  if (cursor.empty()) return std::optional<Entry>();
  std::size_t depth = 0;
  for (; cursor.AtDepth(depth).level > 0; ++depth) {
    std::optional<std::size_t> index =
        LastNotAbove(cursor.AtDepth(depth).children, name,
                     [](const Child& child) -> std::string_view { return child.first_name; });
    if (!index) return std::optional<Entry>();
    CKPT_RETURN_IF_ERROR(cursor.Enter(depth, *index));
  }
  const std::vector<Entry>& entries = cursor.AtDepth(depth).entries;
  std::optional<std::size_t> index = LastNotAbove(
      entries, name, [](const Entry& entry) -> std::string_view { return entry.name; });
  if (!index || entries[*index].name != name) return std::optional<Entry>();
  return std::optional<Entry>(entries[*index]);
}

}  // namespace ckpt
