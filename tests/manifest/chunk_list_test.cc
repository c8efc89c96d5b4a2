#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "store/manifest/node.h"
#include "store/manifest/tree_writer.h"
#include "tests/manifest/tree_fixture.h"

namespace ckpt {
namespace {

std::vector<ChunkItem> ManyChunks(std::size_t count) {
  std::vector<ChunkItem> items;
  for (std::size_t i = 0; i < count; ++i) items.push_back(ChunkOf(i, 1000 + i % 7));
  return items;
}

// Chunks (some repeated), inline items and holes in any mixture.
std::vector<ChunkItem> MixedItems(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<ChunkItem> items;
  for (std::size_t i = 0; i < count; ++i) {
    switch (random() % 5) {
      case 0:
        items.push_back(InlineOf(std::string(1 + random() % 240, static_cast<char>(random()))));
        break;
      case 1:
        items.push_back(HoleOf(1 + random()));
        break;
      default:
        items.push_back(ChunkOf(random() % 500, 241 + random() % 100000));
    }
  }
  return items;
}

void ExpectSameItems(const std::vector<ChunkItem>& a, const std::vector<ChunkItem>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), SameItem));
}

TEST(ChunkList, RoundTripsAtEverySizeAndFanOut) {
  for (std::size_t count : {0, 1, 2, 7, 31, 32, 33, 1023, 1024, 1025, 2048, 2049, 5000, 40000}) {
    for (FanOut fan_out : {FanOut::kFixed, FanOut::kContentDefined}) {
      MemoryChunks store;
      std::vector<ChunkItem> items = MixedItems(count, static_cast<std::uint32_t>(count));
      Result<std::vector<ChunkItem>> back = ReadList(BuildList(items, fan_out, &store), &store);
      ASSERT_TRUE(back.ok()) << back.status().ToString();
      ExpectSameItems(*back, items);
    }
  }
}

TEST(ChunkList, RoundTripsByProperty) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed, bool fixed) {
    MemoryChunks store;
    std::vector<ChunkItem> items = MixedItems(*rc::gen::inRange(0, 400), seed);
    TreeRef tree = BuildList(items, fixed ? FanOut::kFixed : FanOut::kContentDefined, &store);
    Result<std::vector<ChunkItem>> back = ReadList(tree, &store);
    RC_ASSERT(back.ok());
    RC_ASSERT(std::equal(back->begin(), back->end(), items.begin(), items.end(), SameItem));
  }));
}

TEST(ChunkList, EmptyListIsAnEmptyTree) {
  MemoryChunks store;
  EXPECT_EQ(BuildList({}, FanOut::kFixed, &store), TreeRef{});
  EXPECT_EQ(store.puts, 0u);
}

TEST(ChunkList, SmallRootIsHeldHereAndNothingIsStored) {
  MemoryChunks store;
  TreeRef tree = BuildList(ManyChunks(11), FanOut::kFixed, &store);  // 8 + 11 * 20 = 228 bytes
  EXPECT_EQ(tree.root.how, NodeRef::How::kHere);
  EXPECT_EQ(store.puts, 0u);
  EXPECT_EQ(BuildList(ManyChunks(12), FanOut::kFixed, &store).root.how, NodeRef::How::kChunk);
}

TEST(ChunkList, FixedFanOutHas1024ItemsANode) {
  MemoryChunks store;
  EXPECT_EQ(BuildList(ManyChunks(1024), FanOut::kFixed, &store).level, 0);
  EXPECT_EQ(store.puts, 1u);
  store.puts = 0;
  TreeRef tree = BuildList(ManyChunks(4 * 1024 + 1), FanOut::kFixed, &store);
  EXPECT_EQ(tree.level, 1);
  EXPECT_EQ(tree.root.how, NodeRef::How::kHere);  // five children: 8 + 5 * 36 = 188 bytes
  EXPECT_EQ(store.puts, 5u);
}

TEST(ChunkList, EveryStoredNodeIsLargerThanAnInlineItem) {
  MemoryChunks store;
  BuildList(ManyChunks(1025), FanOut::kFixed, &store);  // the second leaf has one item
  ASSERT_EQ(store.chunks.size(), 2u);
  for (const auto& [id, raw] : store.chunks) EXPECT_GT(raw.size(), kInlineBytesMax);
}

// The page's rule, applied by hand to the leaves.
TEST(ChunkList, ContentDefinedLeavesEndWhereThePageSays) {
  MemoryChunks store;
  std::vector<ChunkItem> items = MixedItems(20000, 5);
  TreeRef tree = BuildList(items, FanOut::kContentDefined, &store);
  std::multiset<std::size_t> wanted;
  std::size_t size = 0;
  for (const ChunkItem& item : items) {
    ++size;
    bool marked = item.kind == ChunkItem::Kind::kChunk && item.id.bytes[15] % 128 == 0;
    if ((marked && size >= 32) || size == 1024) {
      wanted.insert(size);
      size = 0;
    }
  }
  if (size > 0) wanted.insert(size);
  std::multiset<std::size_t> leaves;
  Status status = VisitChunkList(tree, &store, [&](const Id128& id, std::uint64_t, bool is_node) {
    if (is_node && store.chunks[id][0] == std::byte{1}) {
      leaves.insert(LoadU32(store.chunks[id].data() + 4));
    }
    return Result<bool>(true);
  });
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(leaves, wanted);
}

TEST(ChunkList, OneChangeInManyCostsFewNodes) {
  const std::size_t kCount = 100000;
  std::vector<ChunkItem> items = ManyChunks(kCount);
  MemoryChunks store;
  BuildList(items, FanOut::kContentDefined, &store);
  EXPECT_GT(store.chunks.size(), 300u);
  for (std::size_t at : {std::size_t{0}, std::size_t{1}, kCount / 3, kCount / 2, kCount - 1}) {
    auto place = static_cast<std::ptrdiff_t>(at);
    std::vector<ChunkItem> inserted = items, removed = items, changed = items;
    inserted.insert(inserted.begin() + place, ChunkOf(kCount + at));
    removed.erase(removed.begin() + place);
    changed[at] = ChunkOf(2 * kCount + at);
    for (const auto& list : {inserted, removed, changed}) {
      store.new_nodes = 0;
      BuildList(list, FanOut::kContentDefined, &store);
      // One node a level; where a node's end is touched, its neighbour too.
      EXPECT_LE(store.new_nodes, 8u) << "at " << at;
      EXPECT_GE(store.new_nodes, 1u) << "at " << at;
    }
  }
}

TEST(ChunkList, OneChangeInAnArrayCostsOneNodeALevel) {
  std::vector<ChunkItem> items = ManyChunks(100000);
  MemoryChunks store;
  TreeRef before = BuildList(items, FanOut::kFixed, &store);
  EXPECT_EQ(before.level, 1);
  items[51234] = ChunkOf(1u << 20);
  store.new_nodes = 0;
  BuildList(items, FanOut::kFixed, &store);
  EXPECT_EQ(store.new_nodes, 2u);
}

TEST(ChunkList, TotalsCountChunksAndBytes) {
  MemoryChunks store;
  ChunkListBuilder builder(FanOut::kFixed, &store);
  ASSERT_TRUE(builder.Add(ChunkOf(1, 1000)).ok());
  ASSERT_TRUE(builder.Add(InlineOf("abc")).ok());
  ASSERT_TRUE(builder.Add(HoleOf(1u << 30)).ok());
  EXPECT_EQ(builder.chunks(), 1u);
  EXPECT_EQ(builder.logical_bytes(), 1003u + (1u << 30));
}

TEST(ChunkList, ItemsOutsideTheLimitsAreRefusedAndLeaveTheBuilderUsable) {
  MemoryChunks store;
  ChunkListBuilder builder(FanOut::kFixed, &store);
  ASSERT_TRUE(builder.Add(HoleOf(5)).ok());
  ChunkItem wrong_size = InlineOf("abc");
  wrong_size.raw_bytes = 4;
  for (const ChunkItem& item :
       {ChunkOf(1, 240), ChunkOf(1, 0), ChunkOf(1, (16u << 20) + 1), InlineOf(""),
        InlineOf(std::string(241, 'x')), wrong_size, HoleOf(0), HoleOf(~std::uint64_t{0})}) {
    EXPECT_EQ(builder.Add(item).code(), Code::kInvalidArgument);
  }
  Result<TreeRef> tree = builder.Finish();
  ASSERT_TRUE(tree.ok());
  EXPECT_EQ(ReadList(*tree, &store)->size(), 1u);
  EXPECT_EQ(builder.Add(HoleOf(1)).code(), Code::kInvalidArgument);
}

TEST(ChunkList, SeekAgreesWithAFlatList) {
  for (FanOut fan_out : {FanOut::kFixed, FanOut::kContentDefined}) {
    MemoryChunks store;
    std::vector<ChunkItem> items = MixedItems(6000, 9);
    ChunkListReader reader(BuildList(items, fan_out, &store), &store);
    std::vector<std::uint64_t> begins = {0};
    for (const ChunkItem& item : items) begins.push_back(begins.back() + item.raw_bytes);
    std::mt19937_64 random(1);
    for (int round = 0; round < 3000; ++round) {
      std::uint64_t offset = random() % (begins.back() + 10);
      if (round % 3 == 0) offset = begins[random() % begins.size()] - (round % 2);
      if (offset == ~std::uint64_t{0}) continue;
      auto above = std::upper_bound(begins.begin(), begins.end(), offset);
      auto index =
          std::min<std::size_t>(static_cast<std::size_t>(above - begins.begin()) - 1, items.size());
      Result<std::uint64_t> begin = reader.Seek(offset);
      ASSERT_TRUE(begin.ok()) << begin.status().ToString();
      ASSERT_EQ(*begin, begins[index]) << offset;
      for (std::size_t i = index; i < std::min(index + 3, items.size() + 1); ++i) {
        Result<std::optional<ChunkItem>> item = reader.Next();
        ASSERT_TRUE(item.ok());
        ASSERT_EQ(item->has_value(), i < items.size());
        if (i < items.size()) {
          ASSERT_TRUE(SameItem(**item, items[i]));
        }
      }
    }
  }
}

TEST(ChunkList, SeekFetchesOneNodeALevel) {
  MemoryChunks store;
  TreeRef tree = BuildList(ManyChunks(100000), FanOut::kContentDefined, &store);
  ChunkListReader reader(tree, &store);
  store.gets = 0;
  ASSERT_TRUE(reader.Seek(50000000).ok());
  EXPECT_EQ(store.gets, StoredLevels(tree));
  ASSERT_TRUE(reader.Seek(50000001).ok());
  EXPECT_LE(store.gets, StoredLevels(tree) + 1u);
}

TEST(ChunkList, SeekInAnEmptyListIsItsEnd) {
  MemoryChunks store;
  ChunkListReader reader(TreeRef{}, &store);
  EXPECT_EQ(*reader.Seek(5), 0u);
  EXPECT_FALSE((*reader.Next()).has_value());
}

TEST(TreeWriter, MoreItemsThanTheLevelsHoldAreRefused) {
  // Two items a node and three levels: eight items.
  NodeRule tiny{TreeKind::kChunkList, 2, 2, kNodeBytesMax, 3};
  for (std::size_t count : {8u, 9u}) {
    MemoryChunks store;
    TreeWriter writer(tiny, &store);
    Status status;
    for (std::size_t i = 0; i < count && status.ok(); ++i) {
      ChunkItem item = ChunkOf(i);
      Bytes encoded;
      EncodeChunkItem(item, &encoded);
      status = writer.Add({encoded, {}, &item.id, item.raw_bytes, 1});
    }
    Result<TreeRef> tree = writer.Finish();
    EXPECT_EQ(tree.ok(), count == 8);
    if (tree.ok()) {
      EXPECT_EQ(tree->level, 2);
      EXPECT_EQ(ReadList(*tree, &store)->size(), 8u);
    } else {
      EXPECT_EQ(tree.status().code(), Code::kInvalidArgument);
      EXPECT_NE(tree.status().message().find("levels"), std::string::npos);
    }
  }
}

TEST(TreeWriter, LevelsAreNeverSuperfluous) {
  NodeRule tiny{TreeKind::kChunkList, 3, 3, kNodeBytesMax, 8};
  for (std::size_t count = 1; count < 300; ++count) {
    MemoryChunks store;
    TreeWriter writer(tiny, &store);
    for (std::size_t i = 0; i < count; ++i) {
      ChunkItem item = ChunkOf(i);
      Bytes encoded;
      EncodeChunkItem(item, &encoded);
      ASSERT_TRUE(writer.Add({encoded, {}, &item.id, item.raw_bytes, 1}).ok());
    }
    Result<TreeRef> tree = writer.Finish();
    ASSERT_TRUE(tree.ok());
    int level = 0;
    for (std::size_t nodes = (count + 2) / 3; nodes > 1; nodes = (nodes + 2) / 3) ++level;
    EXPECT_EQ(tree->level, level) << count;
    EXPECT_EQ(ReadList(*tree, &store)->size(), count);
  }
}

// The end of a node decides nothing for the reader: any division within the limits will do.
TEST(ChunkList, ReaderAcceptsAnyDivision) {
  std::vector<ChunkItem> items = MixedItems(300, 3);
  for (std::uint32_t fan_out : {2u, 5u, 100u}) {
    MemoryChunks store;
    TreeWriter writer({TreeKind::kChunkList, fan_out, fan_out, kNodeBytesMax, 10}, &store);
    for (const ChunkItem& item : items) {
      Bytes encoded;
      EncodeChunkItem(item, &encoded);
      bool is_chunk = item.kind == ChunkItem::Kind::kChunk;
      ASSERT_TRUE(writer.Add({encoded, {}, nullptr, item.raw_bytes, is_chunk ? 1u : 0u}).ok());
    }
    Result<TreeRef> tree = writer.Finish();
    ASSERT_TRUE(tree.ok());
    Result<std::vector<ChunkItem>> back = ReadList(*tree, &store);
    if (tree->level < kTreeLevelsMax) {
      ASSERT_TRUE(back.ok()) << back.status().ToString();
      ExpectSameItems(*back, items);
    } else {
      EXPECT_EQ(back.status().code(), Code::kCorruption);  // deeper than a tree may be
    }
  }
}

}  // namespace
}  // namespace ckpt
