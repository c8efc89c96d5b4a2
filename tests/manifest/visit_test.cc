#include <gtest/gtest.h>

#include <set>

#include "tests/manifest/tree_fixture.h"

namespace ckpt {
namespace {

TEST(VisitChunkList, NamesEveryNodeAndChunkOnceAPlace) {
  MemoryChunks store;
  std::vector<ChunkItem> items;
  std::multiset<Id128> wanted;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    items.push_back(i % 10 == 0 ? InlineOf("x") : i % 10 == 1 ? HoleOf(7) : ChunkOf(i / 2));
    if (i % 10 > 1) wanted.insert(NumberedId(i / 2));
  }
  TreeRef tree = BuildList(items, FanOut::kContentDefined, &store);
  std::multiset<Id128> nodes, chunks;
  ASSERT_TRUE(VisitChunkList(tree, &store, [&](const Id128& id, std::uint64_t size, bool is_node) {
                EXPECT_EQ(size, is_node ? store.chunks[id].size() : 65536);
                (is_node ? nodes : chunks).insert(id);
                return Result<bool>(true);
              }).ok());
  EXPECT_EQ(chunks, wanted);
  EXPECT_EQ(nodes.size(), store.chunks.size());
}

TEST(VisitEntryTable, NamesNodesOfTheTableAndOfItsListsAndTheirChunks) {
  MemoryChunks store;
  std::vector<Entry> entries = ManyFiles(500);
  std::set<Id128> wanted;
  for (std::size_t e = 0; e < entries.size(); e += 50) {
    std::vector<ChunkItem> items;
    for (std::uint64_t i = 0; i < 2000; ++i) {
      items.push_back(ChunkOf(e * 10000 + i));
      wanted.insert(items.back().id);
    }
    entries[e].content = BuildList(items, FanOut::kFixed, &store);
    entries[e].logical_bytes = 2000 * 65536;
    entries[e].chunks = 2000;
  }
  TreeRef tree = BuildTable(entries, &store);
  for (const auto& [id, raw] : store.chunks) wanted.insert(id);
  std::set<Id128> seen;
  ASSERT_TRUE(VisitEntryTable(tree, &store, [&](const Id128& id, std::uint64_t, bool) {
                return Result<bool>(seen.insert(id).second);
              }).ok());
  EXPECT_EQ(seen, wanted);
}

TEST(VisitEntryTable, NodesSeenBeforeAreNotFetched) {
  MemoryChunks store;
  TreeRef before = BuildTable(ManyFiles(20000), &store);
  std::vector<Entry> entries = ManyFiles(20000);
  entries[777].mode = 0600;
  TreeRef after = BuildTable(entries, &store);
  std::set<Id128> seen;
  auto visit = [&](const Id128& id, std::uint64_t, bool) {
    return Result<bool>(seen.insert(id).second);
  };
  ASSERT_TRUE(VisitEntryTable(before, &store, visit).ok());
  store.gets = 0;
  ASSERT_TRUE(VisitEntryTable(after, &store, visit).ok());
  EXPECT_EQ(store.gets, StoredLevels(after));
  EXPECT_EQ(seen.size(), store.chunks.size());
}

TEST(VisitChunkList, VisitorsErrorEndsIt) {
  MemoryChunks store;
  TreeRef tree = BuildList({ChunkOf(1), ChunkOf(2)}, FanOut::kFixed, &store);
  Status status = VisitChunkList(tree, &store, [](const Id128&, std::uint64_t, bool) {
    return Result<bool>(Cancelled("enough"));
  });
  EXPECT_EQ(status.code(), Code::kCancelled);
}

}  // namespace
}  // namespace ckpt
