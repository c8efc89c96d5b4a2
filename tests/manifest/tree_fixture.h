// What the tests of trees share: a store of chunks in memory that counts, and makers of items.
// Thread rule: one thread.

#ifndef CKPT_TESTS_MANIFEST_TREE_FIXTURE_H_
#define CKPT_TESTS_MANIFEST_TREE_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/codec/hash.h"
#include "store/manifest/tree.h"

namespace ckpt {

class MemoryChunks : public ChunkSink, public ChunkSource {
 public:
  Result<Id128> PutNode(ByteSpan raw) override {
    ++puts;
    Id128 id = HashChunk(raw);
    new_nodes += chunks.emplace(id, Bytes(raw.begin(), raw.end())).second ? 1 : 0;
    return id;
  }
  Result<Bytes> GetNode(const Id128& id, std::uint32_t raw_bytes) override {
    ++gets;
    auto found = chunks.find(id);
    if (found == chunks.end()) return NotFound("no chunk " + id.ToHex());
    if (found->second.size() != raw_bytes) return Corruption("another size than its parent says");
    return found->second;
  }

  std::map<Id128, Bytes> chunks;
  std::size_t puts = 0;
  std::size_t new_nodes = 0;
  std::size_t gets = 0;
};

inline Id128 NumberedId(std::uint64_t number) {
  return HashChunk(AsBytes("chunk " + std::to_string(number)));
}

inline ChunkItem ChunkOf(std::uint64_t number, std::uint64_t raw_bytes = 65536) {
  ChunkItem item;
  item.raw_bytes = raw_bytes;
  item.id = NumberedId(number);
  return item;
}
inline ChunkItem InlineOf(std::string_view text) {
  ChunkItem item;
  item.kind = ChunkItem::Kind::kInline;
  item.raw_bytes = text.size();
  ByteSpan bytes = AsBytes(text);
  item.inline_bytes.assign(bytes.begin(), bytes.end());
  return item;
}
inline ChunkItem HoleOf(std::uint64_t raw_bytes) {
  ChunkItem item;
  item.kind = ChunkItem::Kind::kHole;
  item.raw_bytes = raw_bytes;
  return item;
}
inline bool SameItem(const ChunkItem& a, const ChunkItem& b) {
  return a.kind == b.kind && a.raw_bytes == b.raw_bytes && a.id == b.id &&
         a.inline_bytes == b.inline_bytes;
}

inline TreeRef BuildList(const std::vector<ChunkItem>& items, FanOut fan_out, ChunkSink* sink) {
  ChunkListBuilder builder(fan_out, sink);
  for (const ChunkItem& item : items) {
    Status status = builder.Add(item);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  Result<TreeRef> tree = builder.Finish();
  EXPECT_TRUE(tree.ok()) << tree.status().ToString();
  return tree.ok() ? *tree : TreeRef{};
}

// How many nodes a way from the root to a leaf fetches.
inline std::size_t StoredLevels(const TreeRef& tree) {
  return tree.level + (tree.root.how == NodeRef::How::kChunk ? 1u : 0u);
}

inline Result<std::vector<ChunkItem>> ReadList(const TreeRef& tree, ChunkSource* source) {
  ChunkListReader reader(tree, source);
  std::vector<ChunkItem> items;
  while (true) {
    CKPT_ASSIGN_OR_RETURN(std::optional<ChunkItem> item, reader.Next());
    if (!item) return items;
    items.push_back(std::move(*item));
  }
}

// A regular file of one inline item.
inline Entry FileEntry(std::string name, std::string_view content = "x") {
  Entry entry;
  entry.name = std::move(name);
  entry.logical_bytes = content.size();
  entry.mode = 0644;
  MemoryChunks unused;
  if (!content.empty()) entry.content = BuildList({InlineOf(content)}, FanOut::kFixed, &unused);
  return entry;
}

inline TreeRef BuildTable(const std::vector<Entry>& entries, ChunkSink* sink) {
  EntryTableBuilder builder(sink);
  for (const Entry& entry : entries) {
    Status status = builder.Add(entry);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  Result<TreeRef> tree = builder.Finish();
  EXPECT_TRUE(tree.ok()) << tree.status().ToString();
  return tree.ok() ? *tree : TreeRef{};
}

inline Result<std::vector<Entry>> ReadTable(const TreeRef& tree, ChunkSource* source) {
  EntryTableReader reader(tree, source);
  std::vector<Entry> entries;
  while (true) {
    CKPT_ASSIGN_OR_RETURN(std::optional<Entry> entry, reader.Next());
    if (!entry) return entries;
    entries.push_back(std::move(*entry));
  }
}

// "dir003/file00042" names in ascending order.
inline std::vector<Entry> ManyFiles(std::size_t count) {
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    std::string number = std::to_string(1000000 + i).substr(1);
    entries.push_back(FileEntry("dir" + number.substr(0, 3) + "/file" + number, number));
  }
  return entries;
}

}  // namespace ckpt

#endif  // CKPT_TESTS_MANIFEST_TREE_FIXTURE_H_
