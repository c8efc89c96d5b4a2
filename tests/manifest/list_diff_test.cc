// The difference of two chunk lists: right beside a naive reference, and at a cost that follows the
// change.

#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "tests/manifest/tree_fixture.h"

namespace ckpt {
namespace {

using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

Result<Ranges> ListDiff(const TreeRef& before, const TreeRef& after, bool by_place,
                        MemoryChunks* store) {
  Ranges ranges;
  CKPT_RETURN_IF_ERROR(DiffChunkLists(before, store, after, store, by_place,
                                      [&](std::uint64_t offset, std::uint64_t length_bytes) {
                                        ranges.emplace_back(offset, length_bytes);
                                      }));
  return ranges;
}

// Item by item, everything read.
Ranges NaiveDiff(const std::vector<ChunkItem>& before, const std::vector<ChunkItem>& after,
                 bool by_place) {
  std::multimap<std::uint64_t, const ChunkItem*> places;
  std::set<Id128> anywhere;
  std::uint64_t offset = 0;
  for (const ChunkItem& item : before) {
    places.emplace(offset, &item);
    if (item.kind == ChunkItem::Kind::kChunk) anywhere.insert(item.id);
    offset += item.raw_bytes;
  }
  Ranges ranges;
  offset = 0;
  for (const ChunkItem& item : after) {
    auto here = places.find(offset);
    bool same = here != places.end() && SameItem(*here->second, item);
    bool may_move = !by_place && item.kind == ChunkItem::Kind::kChunk;
    if (!same && !(may_move && anywhere.contains(item.id))) {
      ranges.emplace_back(offset, item.raw_bytes);
    }
    offset += item.raw_bytes;
  }
  return ranges;
}

std::vector<ChunkItem> Numbered(std::size_t count, std::uint64_t first = 0) {
  std::vector<ChunkItem> items;
  for (std::size_t i = 0; i < count; ++i) items.push_back(ChunkOf(first + i));
  return items;
}

TEST(ChunkListDiff, ByPlaceAgreesWithANaiveReference) {
  RC_ASSERT(rc::check([] {
    std::vector<ChunkItem> before = Numbered(*rc::gen::inRange<std::size_t>(0, 3000));
    std::vector<ChunkItem> after = Numbered(*rc::gen::inRange<std::size_t>(0, 3000));
    for (int edits = *rc::gen::inRange(0, 20); edits > 0 && !after.empty(); --edits) {
      std::size_t at = *rc::gen::inRange<std::size_t>(0, after.size());
      int what = *rc::gen::inRange(0, 3);
      if (what == 0) after[at] = ChunkOf(1000000 + at);
      if (what == 1) after[at] = HoleOf(65536);
      if (what == 2) after[at] = ChunkOf(1000000 + at, 4096);  // what follows moves
    }
    MemoryChunks store;
    auto ranges = ListDiff(BuildList(before, FanOut::kFixed, &store),
                           BuildList(after, FanOut::kFixed, &store), true, &store);
    RC_ASSERT(ranges.ok());
    RC_ASSERT(*ranges == NaiveDiff(before, after, true));
  }));
}

// With ids that occur once, nothing is copied out of a stretch that did not change.
TEST(ChunkListDiff, OfContentThatMovesAgreesWithANaiveReference) {
  RC_ASSERT(rc::check([] {
    std::vector<ChunkItem> before = Numbered(*rc::gen::inRange<std::size_t>(0, 3000));
    std::vector<ChunkItem> after = before;
    std::uint64_t fresh = 1000000;
    for (int edits = *rc::gen::inRange(0, 12); edits > 0; --edits) {
      auto at = after.begin() +
                *rc::gen::inRange<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(after.size()) + 1);
      if (*rc::gen::arbitrary<bool>()) {
        after.insert(at, ChunkOf(++fresh));
      } else if (at != after.end()) {
        after.erase(at);
      }
    }
    MemoryChunks store;
    auto ranges = ListDiff(BuildList(before, FanOut::kContentDefined, &store),
                           BuildList(after, FanOut::kContentDefined, &store), false, &store);
    RC_ASSERT(ranges.ok());
    RC_ASSERT(*ranges == NaiveDiff(before, after, false));
  }));
}

TEST(ChunkListDiff, InlinePiecesAndHolesCountByPlace) {
  MemoryChunks store;
  TreeRef before =
      BuildList({ChunkOf(1), InlineOf("tail"), HoleOf(5000)}, FanOut::kContentDefined, &store);
  TreeRef after = BuildList({ChunkOf(2), ChunkOf(1), InlineOf("tail"), HoleOf(5000)},
                            FanOut::kContentDefined, &store);
  EXPECT_EQ(*ListDiff(before, after, false, &store),
            (Ranges{{0, 65536}, {131072, 4}, {131076, 5000}}));
  TreeRef other =
      BuildList({ChunkOf(3), InlineOf("TAIL"), HoleOf(5000)}, FanOut::kContentDefined, &store);
  EXPECT_EQ(*ListDiff(before, other, false, &store), (Ranges{{0, 65536}, {65536, 4}}));
}

TEST(ChunkListDiff, EqualListsFetchNothing) {
  MemoryChunks store;
  TreeRef list = BuildList(Numbered(5000), FanOut::kFixed, &store);
  store.gets = 0;
  EXPECT_TRUE(ListDiff(list, list, true, &store)->empty());
  EXPECT_EQ(store.gets, 0u);
}

TEST(ChunkListDiff, OneChangeInAnArrayFetchesOneNodeALevelOfEach) {
  std::vector<ChunkItem> items = Numbered(200000);
  MemoryChunks store;
  TreeRef before = BuildList(items, FanOut::kFixed, &store);
  for (std::size_t at : {0u, 123456u, 199999u}) {
    std::vector<ChunkItem> other = items;
    other[at] = ChunkOf(1000000);
    TreeRef after = BuildList(other, FanOut::kFixed, &store);
    store.gets = 0;
    EXPECT_EQ(*ListDiff(before, after, true, &store), (Ranges{{at * 65536ull, 65536}}));
    EXPECT_LE(store.gets, 2 * StoredLevels(before));
  }
}

TEST(ChunkListDiff, OneInsertInAFileFetchesFewNodes) {
  std::vector<ChunkItem> items = Numbered(200000);  // some 1,250 leaves
  MemoryChunks store;
  TreeRef before = BuildList(items, FanOut::kContentDefined, &store);
  for (std::size_t at : {0u, 123456u, 200000u}) {
    std::vector<ChunkItem> other = items;
    other.insert(other.begin() + static_cast<std::ptrdiff_t>(at), ChunkOf(1000000));
    TreeRef after = BuildList(other, FanOut::kContentDefined, &store);
    store.gets = 0;
    EXPECT_EQ(*ListDiff(before, after, false, &store), (Ranges{{at * 65536ull, 65536}}));
    EXPECT_LE(store.gets, 24u);
  }
}

TEST(ChunkListDiff, ListThatGrewALevelSharesItsLeaves) {
  std::vector<ChunkItem> items = Numbered(50000);
  MemoryChunks store;
  TreeRef small = BuildList(Numbered(1500), FanOut::kContentDefined, &store);
  TreeRef large = BuildList(items, FanOut::kContentDefined, &store);
  ASSERT_LT(small.level, large.level);
  EXPECT_EQ(ListDiff(small, large, false, &store)->size(), 48500u);
  store.gets = 0;
  EXPECT_TRUE(ListDiff(large, small, false, &store)->empty());
  EXPECT_EQ(*ListDiff(TreeRef{}, small, false, &store), NaiveDiff({}, Numbered(1500), false));
  EXPECT_TRUE(ListDiff(small, TreeRef{}, false, &store)->empty());
}

TEST(ChunkListDiff, MissingNodeIsAnError) {
  MemoryChunks store;
  TreeRef before = BuildList(Numbered(3000), FanOut::kFixed, &store);
  TreeRef after = BuildList(Numbered(3000, 500), FanOut::kFixed, &store);
  ASSERT_EQ(after.root.how, NodeRef::How::kHere);  // three children: its leaves are elsewhere
  MemoryChunks nothing;
  EXPECT_FALSE(ListDiff(before, after, true, &nothing).ok());
}

}  // namespace
}  // namespace ckpt
