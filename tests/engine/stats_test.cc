// What a store holds and what it takes.

#include "store/engine/stats.h"

#include "store/engine/chunk_writer.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class StatsTest : public LookTest {
 protected:
  static StoreStats Stats(Store* store) {
    auto stats = GetStats(store);
    EXPECT_TRUE(stats.ok()) << stats.status().ToString();
    return stats.ok() ? *stats : StoreStats();
  }
};

TEST_F(StatsTest, SharedChunksCountOnce) {
  auto store = Open();
  EXPECT_EQ(Stats(store.get()).checkpoints, 0u);
  WriteFile(tmp_ / "d/f", RandomText(2 << 20, 1));
  SaveDir(store.get(), "a");
  StoreStats first = Stats(store.get());
  EXPECT_EQ(first.series, 1u);
  EXPECT_EQ(first.checkpoints, 1u);
  EXPECT_EQ(first.logical_bytes, 2u << 20);
  EXPECT_GE(first.unique_bytes, 2u << 20);
  EXPECT_LT(first.unique_bytes, (2u << 20) + 20000);
  EXPECT_GE(first.stored_bytes, first.live_bytes);
  EXPECT_EQ(first.garbage_bytes, 0u);
  SaveDir(store.get(), "a");
  SaveDir(store.get(), "b");
  StoreStats then = Stats(store.get());
  EXPECT_EQ(then.series, 2u);
  EXPECT_EQ(then.checkpoints, 3u);
  EXPECT_EQ(then.logical_bytes, 3 * (2u << 20));
  EXPECT_LT(then.unique_bytes, first.unique_bytes + 5000);
  EXPECT_EQ(then.garbage_bytes, 0u);
}

TEST_F(StatsTest, WhatARemovedCheckpointAloneNeededIsGarbage) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", Numbers(65536, 1)}}, "a");
  StoreStats alone = Stats(store.get());
  SaveArrays(store.get(), {{"x", Numbers(65536, 2)}}, "b");
  StoreStats both = Stats(store.get());
  auto view = SeriesView::Load(store.get(), "b");
  ASSERT_TRUE(view.ok());
  Tombstone tombstone;
  tombstone.series = "b";
  tombstone.attempt = view->rows()[0].attempt;
  tombstone.step = view->rows()[0].step;
  {
    auto writer = ChunkWriter::Open(store.get());
    ASSERT_TRUE(writer.ok());
    auto payload = EncodeTombstone(tombstone);
    ASSERT_TRUE(payload.ok());
    ASSERT_OK((*writer)->AppendRecord(RecordType::kTombstone, *payload));
    ASSERT_OK((*writer)->Commit(true));
  }
  StoreStats after = Stats(store.get());
  EXPECT_EQ(after.checkpoints, 1u);
  EXPECT_EQ(after.unique_bytes, alone.unique_bytes);
  EXPECT_EQ(after.garbage_bytes, both.live_bytes - alone.live_bytes);
}

TEST_F(StatsTest, ReadersWithoutAnIndexSeeTheSame) {
  SaveArrays(Open().get(), {{"x", Numbers(65536, 1)}});
  auto writing = Open();
  auto reading = OpenToRead();
  StoreStats a = Stats(writing.get());
  StoreStats b = Stats(reading.get());
  EXPECT_EQ(a.unique_bytes, b.unique_bytes);
  EXPECT_EQ(a.chunks, b.chunks);
  EXPECT_EQ(a.stored_bytes, b.stored_bytes);
}

}  // namespace
}  // namespace ckpt
