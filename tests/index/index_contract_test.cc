// What every Index promises (index.h), asked of both implementations.

#include <rapidcheck.h>

#include <algorithm>
#include <map>

#include "tests/index/index_fixture.h"

namespace ckpt {
namespace {

using namespace index_test;  // NOLINT

class IndexContract : public ::testing::TestWithParam<bool> {
 protected:
  IndexContract() {
    if (GetParam()) {
      index_ = MustOpen(OptionsFor(dir_.path() + "/index"));
    } else {
      index_ = NewMemoryIndex();
    }
  }
  TempDir dir_;
  std::shared_ptr<Index> index_;
};

INSTANTIATE_TEST_SUITE_P(Both, IndexContract, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Lmdb" : "Memory"; });

TEST_P(IndexContract, EmptyKnowsNothing) {
  EXPECT_TRUE(PacksOf(index_.get()).empty());
  EXPECT_FALSE(Find(index_.get(), 1));
  EXPECT_TRUE(Scan(index_.get(), "").empty());
  EXPECT_EQ(index_->Stats()->chunks, 0u);
}

TEST_P(IndexContract, PublishedChunksAreFoundWithEveryField) {
  MustPublish(index_.get(), One(Grow(1, 0, 0, 100)));
  for (std::uint64_t i = 0; i < 100; ++i) {
    std::optional<ChunkPlace> place = Find(index_.get(), i);
    ASSERT_TRUE(place);
    EXPECT_EQ(place->pack_id, PackId(1));
    EXPECT_TRUE(SameEntry(place->entry, Chunk(i, (i + 1) * kChunkStride)));
  }
  EXPECT_FALSE(Find(index_.get(), 100));
  EXPECT_EQ(index_->Stats()->chunks, 100u);
}

TEST_P(IndexContract, CoverageIsWhatWasPublished) {
  PackUpdate update = Grow(1, 0, 0, 10);
  MustPublish(index_.get(), One(update));
  std::vector<PackCoverage> packs = PacksOf(index_.get());
  ASSERT_EQ(packs.size(), 1u);
  EXPECT_EQ(packs[0].pack_id, update.coverage.pack_id);
  EXPECT_EQ(packs[0].covered_bytes, update.coverage.covered_bytes);
  EXPECT_EQ(packs[0].check_offset, update.coverage.check_offset);
  EXPECT_EQ(packs[0].check_checksum, update.coverage.check_checksum);
}

TEST_P(IndexContract, ContinuationAppliesAndGapOrOldNewsIsSkipped) {
  MustPublish(index_.get(), One(Grow(1, 0, 0, 10)));
  MustPublish(index_.get(), One(Grow(1, 0, 10, 20)));
  EXPECT_EQ(CountFound(index_.get(), 0, 30), 20u);
  EXPECT_FALSE(*index_->Publish(One(Grow(1, 0, 10, 30))));  // overlaps
  EXPECT_FALSE(*index_->Publish(One(Grow(1, 0, 25, 30))));  // a gap
  EXPECT_TRUE(*index_->Publish(One(Grow(1, 0, 5, 15))));    // old news
  EXPECT_EQ(CountFound(index_.get(), 0, 30), 20u);
  EXPECT_EQ(PacksOf(index_.get())[0].covered_bytes, 21 * kChunkStride);
}

TEST_P(IndexContract, CoveredBeforeZeroReplacesAllOfThePack) {
  PackUpdate update = Grow(1, 0, 0, 20);
  update.records.push_back(Record("old", "1"));
  MustPublish(index_.get(), One(update));
  PackUpdate again = Grow(1, 100, 0, 30);
  again.records.push_back(Record("new", "2"));
  MustPublish(index_.get(), One(again));
  EXPECT_EQ(CountFound(index_.get(), 0, 20), 0u);
  EXPECT_EQ(CountFound(index_.get(), 100, 30), 30u);
  EXPECT_EQ(Scan(index_.get(), ""), (KeysAndValues{{"new", "2"}}));
  EXPECT_EQ(PacksOf(index_.get()).size(), 1u);
}

TEST_P(IndexContract, APackIsPutAnewOnlyUponWhatWasSeenOfIt) {
  MustPublish(index_.get(), One(Grow(1, 0, 0, 10)));
  const std::uint64_t seen = PacksOf(index_.get())[0].covered_bytes;
  MustPublish(index_.get(), One(Grow(1, 0, 10, 20)));  // by somebody else, meanwhile
  PackUpdate anew = Grow(1, 0, 0, 10);
  anew.replaces_bytes = seen;
  EXPECT_FALSE(*index_->Publish(One(anew)));
  EXPECT_EQ(CountFound(index_.get(), 0, 20), 20u);
  anew = Grow(1, 100, 0, 5);
  anew.replaces_bytes = PacksOf(index_.get())[0].covered_bytes;
  MustPublish(index_.get(), One(anew));
  EXPECT_EQ(CountFound(index_.get(), 0, 20), 0u);
  EXPECT_EQ(CountFound(index_.get(), 100, 5), 5u);
}

TEST_P(IndexContract, ChunkAboveTheCoverageDoesNotCount) {
  PackUpdate update = Grow(1, 0, 0, 10);
  update.chunks.push_back(Chunk(50, update.coverage.covered_bytes));
  MustPublish(index_.get(), One(update));
  EXPECT_FALSE(Find(index_.get(), 50));
  EXPECT_EQ(CountFound(index_.get(), 0, 10), 10u);
}

TEST_P(IndexContract, OfAPackThatIsCoveredNowhereNothingCounts) {
  PackUpdate update = Grow(1, 0, 0, 10);
  update.records.push_back(Record("a", "1"));
  update.coverage.covered_bytes = 0;
  MustPublish(index_.get(), One(update));
  EXPECT_EQ(CountFound(index_.get(), 0, 10), 0u);
  EXPECT_EQ(Scan(index_.get(), ""), KeysAndValues());
  EXPECT_TRUE(PacksOf(index_.get()).empty());
}

// More than a scan takes along at once.
TEST_P(IndexContract, LargeRecordsAreScannedInOrder) {
  constexpr int kFirst = 100, kCount = 180;
  PackUpdate update = Grow(1, 0, 0, 1);
  for (int i = 0; i < kCount; ++i) {
    update.records.push_back(Record("k" + std::to_string(kFirst + i), std::string(50000, 'v')));
  }
  MustPublish(index_.get(), One(update));
  for (const bool reverse : {false, true}) {
    const KeysAndValues all = Scan(index_.get(), "k", reverse);
    ASSERT_EQ(all.size(), static_cast<std::size_t>(kCount));
    for (int i = 0; i < kCount; ++i) {
      const int number = kFirst + (reverse ? kCount - 1 - i : i);
      EXPECT_EQ(all[static_cast<std::size_t>(i)].first, "k" + std::to_string(number));
    }
  }
}

TEST_P(IndexContract, DroppedPackNeverCountsAgain) {
  IndexUpdate both;
  both.packs = {Grow(1, 0, 0, 10), Grow(2, 100, 0, 10)};
  both.packs[0].records.push_back(Record("a", "1"));
  both.packs[1].records.push_back(Record("b", "2"));
  MustPublish(index_.get(), both);
  IndexUpdate drop;
  drop.dropped_packs = {PackId(1), PackId(77)};
  drop.dropped_chunks = {ChunkId(0), ChunkId(100), ChunkId(12345)};
  MustPublish(index_.get(), drop);
  EXPECT_EQ(CountFound(index_.get(), 0, 10), 0u);
  EXPECT_EQ(CountFound(index_.get(), 100, 10), 10u);
  EXPECT_EQ(Scan(index_.get(), ""), (KeysAndValues{{"b", "2"}}));
  EXPECT_EQ(index_->Stats()->chunks, 19u);  // nine stale ones may stay
  ASSERT_EQ(PacksOf(index_.get()).size(), 1u);
  // Not even when another pack comes, or the pack itself is published anew.
  MustPublish(index_.get(), One(Grow(3, 200, 0, 1)));
  EXPECT_EQ(CountFound(index_.get(), 0, 10), 0u);
  MustPublish(index_.get(), One(Grow(1, 300, 0, 100)));
  EXPECT_EQ(CountFound(index_.get(), 0, 10), 0u);
  EXPECT_EQ(CountFound(index_.get(), 300, 100), 100u);
}

TEST_P(IndexContract, UpdateOfAPackDroppedAtOnceIsSkipped) {
  IndexUpdate update = One(Grow(1, 0, 0, 10));
  update.dropped_packs = {PackId(1)};
  MustPublish(index_.get(), update);
  EXPECT_EQ(CountFound(index_.get(), 0, 10), 0u);
  EXPECT_TRUE(PacksOf(index_.get()).empty());
}

TEST_P(IndexContract, CopiedChunkSurvivesTheDropOfItsFirstPack) {
  MustPublish(index_.get(), One(Grow(1, 0, 0, 10)));
  IndexUpdate moved = One(Grow(2, 0, 0, 10));
  moved.dropped_packs = {PackId(1)};
  moved.dropped_chunks = {ChunkId(0), ChunkId(1)};
  MustPublish(index_.get(), moved);
  EXPECT_EQ(CountFound(index_.get(), 0, 10), 10u);
  EXPECT_EQ(Find(index_.get(), 3)->pack_id, PackId(2));
}

TEST_P(IndexContract, FullRecordIsPreferredToADelta) {
  PackUpdate full = Grow(1, 0, 0, 1);
  PackUpdate delta = Grow(2, 0, 0, 1);
  delta.chunks[0].base = ChunkId(9);
  MustPublish(index_.get(), One(delta));
  EXPECT_EQ(Find(index_.get(), 0)->entry.base, ChunkId(9));
  MustPublish(index_.get(), One(full));
  EXPECT_TRUE(Find(index_.get(), 0)->entry.base.IsZero());
  MustPublish(index_.get(), One(Grow(2, 0, 1, 2)));
  delta.coverage.pack_id = PackId(3);
  MustPublish(index_.get(), One(delta));
  EXPECT_EQ(Find(index_.get(), 0)->pack_id, PackId(1));
  // But not to one that is gone.
  IndexUpdate drop = One(delta);
  drop.dropped_packs = {PackId(1)};
  MustPublish(index_.get(), drop);
  EXPECT_EQ(Find(index_.get(), 0)->entry.base, ChunkId(9));
}

TEST_P(IndexContract, RecordPutAgainBelongsToTheNewerPack) {
  PackUpdate first = Grow(1, 0, 0, 1);
  first.records = {Record("k", "old")};
  PackUpdate second = Grow(2, 10, 0, 1);
  second.records = {Record("k", "new"), Record("k", "newest")};
  MustPublish(index_.get(), One(first));
  MustPublish(index_.get(), One(second));
  EXPECT_EQ(Scan(index_.get(), "k"), (KeysAndValues{{"k", "newest"}}));
  IndexUpdate drop;
  drop.dropped_packs = {PackId(1)};
  MustPublish(index_.get(), drop);
  EXPECT_EQ(Scan(index_.get(), "k").size(), 1u);
  drop.dropped_packs = {PackId(2)};
  MustPublish(index_.get(), drop);
  EXPECT_TRUE(Scan(index_.get(), "k").empty());
}

TEST_P(IndexContract, ScanStopsWhenAskedAndTellsThePack) {
  PackUpdate update = Grow(1, 0, 0, 1);
  for (int i = 0; i < 5000; ++i) update.records.push_back(Record("k" + std::to_string(i), "v"));
  MustPublish(index_.get(), One(update));
  int seen = 0;
  Status status =
      index_->ScanRecords(AsBytes("k"), true, [&](ByteSpan, ByteSpan, const Id128& pack) {
        EXPECT_EQ(pack, PackId(1));
        return ++seen < 2500;
      });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(seen, 2500);
}

TEST_P(IndexContract, VisitorMayUseTheIndex) {
  PackUpdate update = Grow(1, 0, 0, 10);
  update.records = {Record("a", "1"), Record("b", "2")};
  MustPublish(index_.get(), One(update));
  Status status = index_->ScanRecords({}, false, [&](ByteSpan key, ByteSpan, const Id128&) {
    if (AsText(key) == "a") {
      EXPECT_TRUE(Find(index_.get(), 3));
      IndexUpdate drop;
      drop.dropped_packs = {PackId(1)};
      MustPublish(index_.get(), drop);
    }
    return true;
  });
  EXPECT_TRUE(status.ok());
}

TEST_P(IndexContract, KeysAndValuesOutOfBoundsAreRefused) {
  for (const IndexRecord& record : {Record("", "v"), Record(std::string(401, 'k'), "v"),
                                    Record("k", std::string(65537, 'v'))}) {
    PackUpdate update = Grow(1, 0, 0, 1);
    update.records = {record};
    EXPECT_EQ(index_->Publish(One(update)).status().code(), Code::kInvalidArgument);
  }
  PackUpdate far = Grow(1, 0, 0, 1);
  far.chunks[0].offset = 1ull << 48;
  EXPECT_EQ(index_->Publish(One(far)).status().code(), Code::kInvalidArgument);
  PackUpdate most = Grow(1, 0, 0, 1);
  most.records = {Record(std::string(400, '\xff'), std::string(65536, 'v'))};
  MustPublish(index_.get(), One(most));
  EXPECT_EQ(Scan(index_.get(), std::string(400, '\xff'), true).size(), 1u);
}

TEST_P(IndexContract, UpdateOfManyTransactionsIsWhole) {
  PackUpdate update = Grow(1, 0, 0, 40000);
  update.records = {Record("r", "v")};
  MustPublish(index_.get(), One(update));
  EXPECT_EQ(CountFound(index_.get(), 0, 40000), 40000u);
  EXPECT_EQ(Scan(index_.get(), "r").size(), 1u);
}

// Chunks of two packs side by side in a table that is nearly full: those of one go, here and there.
TEST_P(IndexContract, ChunksDroppedAmongManyLeaveTheOthers) {
  constexpr std::uint64_t kCount = 3000;
  MustPublish(index_.get(), One(Grow(1, 0, 0, kCount)));
  MustPublish(index_.get(), One(Grow(2, 100000, 0, kCount)));
  IndexUpdate drop;
  drop.dropped_packs = {PackId(1)};
  for (std::uint64_t i = 0; i < kCount; ++i) drop.dropped_chunks.push_back(ChunkId(i));
  MustPublish(index_.get(), drop);
  EXPECT_EQ(CountFound(index_.get(), 0, kCount), 0u);
  EXPECT_EQ(CountFound(index_.get(), 100000, kCount), kCount);
  EXPECT_EQ(index_->Stats()->chunks, kCount);
}

TEST_P(IndexContract, ManyRecordsAreScannedInOrder) {
  PackUpdate update = Grow(1, 0, 0, 1);
  for (int i = 0; i < 5000; ++i) {
    update.records.push_back(Record("r" + std::to_string(10000 + i), std::to_string(i)));
  }
  MustPublish(index_.get(), One(update));
  KeysAndValues forward = Scan(index_.get(), "r");
  ASSERT_EQ(forward.size(), 5000u);
  EXPECT_TRUE(std::is_sorted(forward.begin(), forward.end()));
  KeysAndValues backward = Scan(index_.get(), "r", true);
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(backward, forward);
}

// Random updates against a plain map, scanned by random prefixes both ways.
TEST_P(IndexContract, RecordsBehaveLikeAMap) {
  using Model = std::map<std::string, std::pair<std::string, std::uint64_t>>;
  int round = 0;
  bool ok = rc::check([&] {
    Model model;
    std::uint64_t base = 1000 * static_cast<std::uint64_t>(++round);
    auto key_of = rc::gen::container<std::string>(rc::gen::element('\0', 'a', 'b', '\xff'));
    auto steps = *rc::gen::inRange(1, 12);
    std::vector<Id128> all;
    for (int step = 0; step < steps; ++step) {
      std::uint64_t pack = base + static_cast<std::uint64_t>(*rc::gen::inRange(0, 5));
      all.push_back(PackId(pack));
      IndexUpdate update;
      std::erase_if(model, [&](const auto& item) { return item.second.second == pack; });
      if (*rc::gen::inRange(0, 3) == 0) {
        update.dropped_packs = {PackId(pack)};
      } else {
        PackUpdate put = Grow(pack, 0, 0, 1);
        for (const std::string& key : *rc::gen::container<std::vector<std::string>>(key_of)) {
          if (key.empty()) continue;
          std::string value = std::to_string(step) + key;
          put.records.push_back(Record(key, value));
          model[key] = {value, pack};
        }
        update.packs = {put};
      }
      RC_ASSERT(*index_->Publish(update));
      std::string prefix = *key_of;
      KeysAndValues expected;
      for (const auto& [key, value] : model) {
        if (key.starts_with(prefix)) expected.emplace_back(key, value.first);
      }
      RC_ASSERT(Scan(index_.get(), prefix) == expected);
      std::ranges::reverse(expected);
      RC_ASSERT(Scan(index_.get(), prefix, true) == expected);
    }
    IndexUpdate clear;
    clear.dropped_packs = all;
    RC_ASSERT(*index_->Publish(clear));
    RC_ASSERT(Scan(index_.get(), "").empty());
  });
  EXPECT_TRUE(ok);
}

}  // namespace
}  // namespace ckpt
