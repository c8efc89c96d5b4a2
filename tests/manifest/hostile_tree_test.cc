// Trees that somebody damaged or forged: always an error or something within the bounds, never a
// crash, a hang or an allocation that the bytes do not pay for.

#include <gtest/gtest.h>

#include <functional>

#include "store/manifest/entry_coding.h"
#include "store/manifest/node.h"
#include "store/manifest/tree_writer.h"
#include "tests/manifest/entry_samples.h"
#include "tests/manifest/hostile_bytes.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

// Answers one node's bytes for a given id, whatever was stored.
class ForgedChunks : public MemoryChunks {
 public:
  Result<Bytes> GetNode(const Id128& id, std::uint32_t raw_bytes) override {
    if (id == forged_id) return forged;
    return MemoryChunks::GetNode(id, raw_bytes);
  }
  Id128 forged_id;
  Bytes forged;
};

Bytes SampleChunkLeaf() {
  Bytes body;
  for (const ChunkItem& item : {ChunkOf(1), InlineOf("hello"), HoleOf(99), ChunkOf(2, 1000)}) {
    EncodeChunkItem(item, &body);
  }
  return NodeBytes(1, 0, 4, body);
}

Bytes SampleInner(TreeKind kind) {
  Bytes body;
  bool table = kind == TreeKind::kEntryTable;
  for (std::uint64_t i = 0; i < 9; ++i) {
    Child child{"name" + std::to_string(i), NumberedId(i), 241, 1000, 2};
    EncodeChild(kind, child, &body);
  }
  return NodeBytes(table ? 4 : 2, 1, 9, body);
}

Bytes SampleEntryLeaf() {
  Bytes body;
  for (const Entry& entry : EntriesOfAllKinds()) EncodeEntry(entry, &body);
  return NodeBytes(3, 0, 6, body);
}

void ExpectBounded(TreeKind kind, int level, const Bytes& raw) {
  Result<Node> node = DecodeNode(kind, level, raw);
  ASSERT_TRUE(node.ok()) << node.status().ToString();
  ForEveryCut(raw, [&](const Bytes& cut) {
    Result<Node> other = DecodeNode(kind, level, cut);
    // Padding alone may be missing: the root's bytes say how many there are.
    if (other.ok()) {
      EXPECT_EQ(other->size(), node->size());
    } else {
      EXPECT_EQ(other.status().code(), Code::kCorruption);
    }
  });
  ForEveryFlip(raw, [&](const Bytes& flipped) {
    Result<Node> other = DecodeNode(kind, level, flipped);
    if (other.ok()) {
      EXPECT_LE(other->size(), kNodeItemsMax);
      for (const ChunkItem& item : other->chunks) EXPECT_TRUE(CheckChunkItem(item).ok());
      for (const Entry& entry : other->entries) EXPECT_TRUE(CheckEntry(entry).ok());
    } else {
      EXPECT_EQ(other.status().code(), Code::kCorruption) << other.status().ToString();
    }
  });
}

TEST(HostileNode, CutAndFlippedChunkListLeafIsBounded) {
  ExpectBounded(TreeKind::kChunkList, 0, SampleChunkLeaf());
}
TEST(HostileNode, CutAndFlippedChunkListInnerNodeIsBounded) {
  ExpectBounded(TreeKind::kChunkList, 1, SampleInner(TreeKind::kChunkList));
}
TEST(HostileNode, CutAndFlippedEntryLeafIsBounded) {
  ExpectBounded(TreeKind::kEntryTable, 0, SampleEntryLeaf());
}
TEST(HostileNode, CutAndFlippedEntryInnerNodeIsBounded) {
  ExpectBounded(TreeKind::kEntryTable, 1, SampleInner(TreeKind::kEntryTable));
}

TEST(HostileNode, ForgedHeadersAreRefused) {
  Bytes body;
  EncodeChunkItem(ChunkOf(1), &body);
  EXPECT_TRUE(DecodeNode(TreeKind::kChunkList, 0, NodeBytes(1, 0, 1, body)).ok());
  for (const Bytes& bad :
       {NodeBytes(1, 0, 0, {}), NodeBytes(1, 0, 2, body), NodeBytes(1, 0, 1025, Bytes(30000)),
        NodeBytes(1, 0, ~0u, body), NodeBytes(1, 1, 1, body), NodeBytes(2, 0, 1, body),
        NodeBytes(3, 0, 1, body), NodeBytes(1, 0, 1, Bytes(kNodeBytesMax)), Bytes{}}) {
    EXPECT_EQ(DecodeNode(TreeKind::kChunkList, 0, bad).status().code(), Code::kCorruption);
  }
}

TEST(HostileNode, PaddingThatIsNotZeroIsRefused) {
  Bytes node = SampleChunkLeaf();
  ASSERT_EQ(node.size(), kStoredNodeBytesMin);
  node.back() = std::byte{1};
  EXPECT_EQ(DecodeNode(TreeKind::kChunkList, 0, node).status().code(), Code::kCorruption);
}

TEST(HostileNode, SumsThatOverflowAreRefused) {
  Bytes body;
  EncodeChunkItem(HoleOf(1ull << 63), &body);
  EncodeChunkItem(HoleOf(1ull << 63), &body);
  EXPECT_EQ(DecodeNode(TreeKind::kChunkList, 0, NodeBytes(1, 0, 2, body)).status().code(),
            Code::kCorruption);
}

TEST(HostileNode, EntriesOutOfOrderAreRefused) {
  for (auto [first, second] : {std::pair{"b", "a"}, std::pair{"a", "a"}}) {
    Bytes leaf, inner;
    EncodeEntry(FileEntry(first), &leaf);
    EncodeEntry(FileEntry(second), &leaf);
    EXPECT_EQ(DecodeNode(TreeKind::kEntryTable, 0, NodeBytes(3, 0, 2, leaf)).status().code(),
              Code::kCorruption);
    EncodeChild(TreeKind::kEntryTable, {first, NumberedId(1), 300, 1, 1}, &inner);
    EncodeChild(TreeKind::kEntryTable, {second, NumberedId(2), 300, 1, 1}, &inner);
    EXPECT_EQ(DecodeNode(TreeKind::kEntryTable, 1, NodeBytes(4, 1, 2, inner)).status().code(),
              Code::kCorruption);
  }
}

// An inner node that names itself, at every level a root may have.
TEST(HostileTree, NodeThatNamesItselfEndsWithAnError) {
  for (TreeKind kind : {TreeKind::kChunkList, TreeKind::kEntryTable}) {
    for (std::uint8_t level = 1; level < kTreeLevelsMax; ++level) {
      bool table = kind == TreeKind::kEntryTable;
      ForgedChunks store;
      store.forged_id = NumberedId(1);
      Bytes body;
      EncodeChild(kind, {"a", store.forged_id, 241, 5, 1}, &body);
      store.forged = NodeBytes(table ? 4 : 2, level, 1, body);
      TreeRef tree{level, {NodeRef::How::kChunk, {}, store.forged_id, 241}};
      Status status = table ? ReadTable(tree, &store).status() : ReadList(tree, &store).status();
      EXPECT_EQ(status.code(), Code::kCorruption);
      auto enter = [](const Id128&, std::uint64_t, bool) { return Result<bool>(true); };
      status = table ? VisitEntryTable(tree, &store, enter) : VisitChunkList(tree, &store, enter);
      EXPECT_EQ(status.code(), Code::kCorruption);
    }
  }
}

// A list of two levels whose only child is declared as `child` says.
Status ReadDeclared(const std::function<void(Child*)>& lie, std::string* message) {
  MemoryChunks store;
  Bytes leaf = SampleChunkLeaf();
  Child child;
  child.id = *store.PutNode(leaf);
  child.raw_bytes = static_cast<std::uint32_t>(leaf.size());
  child.span = 65536 + 5 + 99 + 1000;
  child.count = 2;
  lie(&child);
  Bytes body;
  EncodeChild(TreeKind::kChunkList, child, &body);
  Bytes root = NodeBytes(2, 1, 1, body);
  TreeRef tree{1, {NodeRef::How::kChunk, {}, *store.PutNode(root), 241}};
  Status status = ReadList(tree, &store).status();
  *message = status.message();
  return status;
}

TEST(HostileTree, ChunkListThatDisagreesWithItsParentIsNamed) {
  std::string message;
  EXPECT_TRUE(ReadDeclared([](Child*) {}, &message).ok()) << message;
  EXPECT_EQ(ReadDeclared([](Child* c) { c->span += 1; }, &message).code(), Code::kCorruption);
  EXPECT_NE(message.find("66640 content bytes, but its parent says 66641"), std::string::npos)
      << message;
  EXPECT_EQ(ReadDeclared([](Child* c) { c->count = 3; }, &message).code(), Code::kCorruption);
  EXPECT_NE(message.find("2 chunks, but its parent says 3"), std::string::npos) << message;
  EXPECT_EQ(ReadDeclared([](Child* c) { c->raw_bytes = 242; }, &message).code(), Code::kCorruption);
  EXPECT_EQ(ReadDeclared([](Child* c) { c->raw_bytes = 240; }, &message).code(), Code::kCorruption);
}

// Two leaves, "b" "c" and "d" "e", under a root that tells of them what `lie` makes of the truth.
Status ReadDeclaredTable(const std::function<void(std::vector<Child>*)>& lie,
                         std::string* message) {
  MemoryChunks store;
  std::vector<Child> children;
  for (auto [first, second] : {std::pair{"b", "c"}, std::pair{"d", "e"}}) {
    Bytes body;
    EncodeEntry(FileEntry(first, "one"), &body);
    EncodeEntry(FileEntry(second, "four"), &body);
    Bytes leaf = NodeBytes(3, 0, 2, body);
    children.push_back(
        {first, *store.PutNode(leaf), static_cast<std::uint32_t>(leaf.size()), 7, 2});
  }
  lie(&children);
  Bytes body;
  for (const Child& child : children) EncodeChild(TreeKind::kEntryTable, child, &body);
  Bytes root = NodeBytes(4, 1, 2, body);
  TreeRef tree{
      1, {NodeRef::How::kChunk, {}, *store.PutNode(root), static_cast<std::uint32_t>(root.size())}};
  Status status = ReadTable(tree, &store).status();
  *message = status.message();
  return status;
}

TEST(HostileTree, EntryTableThatDisagreesWithItsParentIsNamed) {
  using Children = std::vector<Child>;
  std::string message;
  EXPECT_TRUE(ReadDeclaredTable([](Children*) {}, &message).ok()) << message;
  const std::vector<std::pair<std::function<void(Children*)>, std::string>> lies = {
      {[](Children* c) { (*c)[0].span = 8; }, "7 logical bytes, but its parent says 8"},
      {[](Children* c) { (*c)[0].count = 1; }, "2 entries, but its parent says 1"},
      {[](Children* c) { (*c)[0].first_name = "a"; }, "first name is 'b'"},
      {[](Children* c) { (*c)[1].first_name = "bb"; }, "not in order"},  // "c" would lie behind
      {[](Children* c) { (*c)[1].first_name = "../d"; }, "out of bounds"},
  };
  for (const auto& [lie, wanted] : lies) {
    EXPECT_EQ(ReadDeclaredTable(lie, &message).code(), Code::kCorruption);
    EXPECT_NE(message.find(wanted), std::string::npos) << message;
  }
}

// The bound on names reaches below: the last leaf of a subtree against the subtree behind it.
TEST(HostileTree, NamesBeyondTheNextSubtreeAreRefusedAtAnyDepth) {
  MemoryChunks store;
  Child children[2];
  for (int i = 0; i < 2; ++i) {
    Bytes leaf_body, inner_body;
    EncodeEntry(FileEntry(i == 0 ? "a" : "m"), &leaf_body);
    if (i == 0) EncodeEntry(FileEntry("z"), &leaf_body);
    std::uint32_t items = i == 0 ? 2 : 1;
    Bytes leaf = NodeBytes(3, 0, items, leaf_body);
    Child child{i == 0 ? "a" : "m", *store.PutNode(leaf), static_cast<std::uint32_t>(leaf.size()),
                items, items};
    EncodeChild(TreeKind::kEntryTable, child, &inner_body);
    Bytes inner = NodeBytes(4, 1, 1, inner_body);
    child.id = *store.PutNode(inner);
    child.raw_bytes = static_cast<std::uint32_t>(inner.size());
    children[i] = child;
  }
  Bytes body;
  for (const Child& child : children) EncodeChild(TreeKind::kEntryTable, child, &body);
  Bytes root = NodeBytes(4, 2, 2, body);
  TreeRef tree{
      2, {NodeRef::How::kChunk, {}, *store.PutNode(root), static_cast<std::uint32_t>(root.size())}};
  EXPECT_EQ(ReadTable(tree, &store).status().code(), Code::kCorruption);
}

// Every byte of every node of a real tree, one flip each, read to the end.
TEST(HostileTree, FlippedByteAnywhereInATableNeverReadsAsMoreThanWasThere) {
  MemoryChunks sound;
  TreeRef tree = BuildTable(ManyFiles(150), &sound);
  ForgedChunks store;
  store.chunks = sound.chunks;
  for (const auto& [id, raw] : sound.chunks) {
    store.forged_id = id;
    for (std::size_t i = 0; i < raw.size(); i += kSweepStride) {
      store.forged = raw;
      store.forged[i] ^= std::byte{0x10};
      Result<std::vector<Entry>> entries = ReadTable(tree, &store);
      if (entries.ok()) {
        EXPECT_EQ(entries->size(), 150u);
      } else {
        EXPECT_TRUE(entries.status().code() == Code::kCorruption ||
                    entries.status().code() == Code::kNotFound);
      }
    }
  }
}

TEST(HostileTree, SourcesErrorIsPassedOnAndTheReaderStaysAtItsPlace) {
  MemoryChunks store;
  std::vector<Entry> entries = ManyFiles(1000);
  TreeRef tree = BuildTable(entries, &store);
  MemoryChunks holed = store;
  for (auto& [id, raw] : store.chunks) {
    if (raw[0] == std::byte{3}) holed.chunks.erase(id);
  }
  EntryTableReader reader(tree, &holed);
  EXPECT_EQ(reader.Next().status().code(), Code::kNotFound);
  EXPECT_EQ(reader.Find(entries[500].name).status().code(), Code::kNotFound);
  holed.chunks = store.chunks;
  Result<std::optional<Entry>> first = reader.Next();
  ASSERT_TRUE(first.ok() && first->has_value());
  EXPECT_EQ((*first)->name, entries[0].name);
  EXPECT_TRUE((*reader.Find(entries[500].name)).has_value());
}

TEST(TreeRefCoding, HostileBytesAreBounded) {
  for (const TreeRef& tree :
       {TreeRef{}, TreeRef{2, {NodeRef::How::kHere, Bytes(20), {}, 0}},
        TreeRef{7, {NodeRef::How::kChunk, {}, NumberedId(1), kNodeBytesMax}}}) {
    Bytes bytes;
    ByteWriter out(&bytes);
    EncodeTreeRef(tree, &out);
    ByteReader in(bytes);
    EXPECT_EQ(DecodeTreeRef(&in), tree);
    EXPECT_TRUE(in.Done());
    ForEveryCut(bytes, [](const Bytes& cut) {
      ByteReader reader(cut);
      EXPECT_EQ(DecodeTreeRef(&reader), TreeRef{});
      EXPECT_FALSE(reader.ok());
    });
    ForEveryFlip(bytes, [](const Bytes& flipped) {
      ByteReader reader(flipped);
      TreeRef other = DecodeTreeRef(&reader);
      if (reader.ok()) {
        EXPECT_TRUE(CheckTreeRef(other).ok());
      }
    });
  }
}

}  // namespace
}  // namespace ckpt
