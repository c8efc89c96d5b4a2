// Readers beside a collection that moves what they read: what they knew is looked up again, and
// nothing they asked for is missing or wrong.

#include <gtest/gtest.h>

#include <cstdlib>

#include "store/engine/inspect.h"
#include "store/engine/verify.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

using Mode = OpenStoreOptions::Mode;

class MovedPacks : public ::testing::Test {
 protected:
  bool IsGone(const Id128& pack_id) {
    auto dir = world.OpenDir("/store/packs");
    EXPECT_TRUE(dir.ok());
    return !(*dir)->StatEntry(PackFileName(pack_id)).ok();
  }
  // Steps 1 to 6 in one pack; when all but `keep` are removed it is worth repacking.
  void SaveSix() {
    auto store = *OpenAt(&world);
    for (std::int64_t step = 1; step <= 6; ++step) ASSERT_TRUE(Save(store.get(), step).ok());
  }
  void KeepOnly(std::int64_t keep) {
    auto store = *OpenAt(&world, Mode::kWrite);
    for (std::int64_t step = 1; step <= 6; ++step) {
      if (step == keep) continue;
      ASSERT_TRUE(Remove(store.get(), step, true).ok());
    }
    auto collected = Collect(store.get());
    ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  }
  static CheckpointRow RowOf(Store* store, std::int64_t step) {
    auto found = ResolveCheckpoint(store, "run@" + std::to_string(step));
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    return found->ranks.front();
  }

  SimWorld world{1};
};

TEST_F(MovedPacks, RowReadBeforeACollectionLeadsToTheCopyOfItsManifest) {
  SaveSix();
  auto reader = *OpenAt(&world, Mode::kRead);
  CheckpointRow kept = RowOf(reader.get(), 4);
  CheckpointRow removed = RowOf(reader.get(), 2);
  KeepOnly(4);
  ASSERT_TRUE(IsGone(kept.pack_id));
  reader->packs()->Forget(kept.pack_id);  // as when many others were opened since
  auto manifest = reader->ReadManifest(kept);
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  EXPECT_EQ(manifest->step, 4);
  EXPECT_EQ(reader->ReadManifest(removed).status().code(), Code::kNotFound);
  EXPECT_TRUE(VerifyCheckpoint(reader.get(), {kept}).ok());
}

TEST_F(MovedPacks, NewestOfASeriesIsFoundWhateverWentMeanwhile) {
  SaveSix();
  auto reader = *OpenAt(&world, Mode::kRead);
  CheckpointRow newest = RowOf(reader.get(), 6);
  KeepOnly(3);
  reader->packs()->Forget(newest.pack_id);
  auto found = ResolveCheckpoint(reader.get(), "run");
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found->ranks.front().step, 3);
}

TEST_F(MovedPacks, LongReadGoesOnWhenItsPacksAreUnlinkedBetweenTwoReads) {
  SaveSix();
  auto reader = *OpenAt(&world, Mode::kRead);
  Manifest manifest = *reader->ReadManifest(RowOf(reader.get(), 4));
  auto fetcher = *Fetcher::Open(reader.get(), manifest.packs);
  auto entry = *EntryTableReader(manifest.entry_table, fetcher.get()).Find("state");
  ChunkListReader list(entry->content, fetcher.get());
  Decoder decoder;
  Bytes scratch;
  std::set<Id128> gone;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    auto item = list.Next();
    ASSERT_TRUE(item.ok() && item->has_value());
    auto place = fetcher->Locate((*item)->id);
    ASSERT_TRUE(place.ok()) << place.status().ToString();
    if (i == 1) {
      KeepOnly(4);
      ASSERT_TRUE(IsGone(place->pack_id));
    }
    // Descriptors are dropped when more packs are opened than are kept.
    for (const auto& [id, state] : reader->PackStates()) reader->packs()->Forget(id);
    Bytes raw(place->entry.raw_bytes);
    Status s = fetcher->ReadChunk(*place, &decoder, &scratch, raw);
    ASSERT_TRUE(s.ok()) << "block " << i << ": " << s.ToString();
    EXPECT_EQ(raw, BlockOf(4, i));
  }
  EXPECT_TRUE(VerifyCheckpoint(reader.get(), {RowOf(reader.get(), 4)}).ok());
}

// A copy of a chunk in a pack that the checkpoint does not rely on serves as long as it is there.
TEST_F(MovedPacks, CopyOutsideTheManifestsPacksMayGo) {
  {
    auto one = *OpenAt(&world);
    auto two = *OpenAt(&world);
    auto run = *Saving::Begin(one.get(), 1, "run");
    auto other = *Saving::Begin(two.get(), 1, "other");
    for (auto* saving :
         {run.get(), other.get()}) {  // neither sees what the other has not committed
      ASSERT_TRUE(saving->Put(0, kBlocks).ok());
    }
    ASSERT_TRUE(run->End().ok());
    ASSERT_TRUE(other->End().ok());
  }
  auto reader = *OpenAt(&world, Mode::kWrite);  // it knows where chunks are
  auto run = ResolveCheckpoint(reader.get(), "run@1")->ranks.front();
  auto other = ResolveCheckpoint(reader.get(), "other@1")->ranks.front();
  auto found = reader->FindDurable(HashChunk(BlockOf(1, 0)));
  ASSERT_TRUE(found.has_value());
  bool in_run = found->pack_id == run.pack_id;
  ASSERT_TRUE(in_run || found->pack_id == other.pack_id);
  const char* going = in_run ? "run@1" : "other@1";
  Manifest manifest = *reader->ReadManifest(in_run ? other : run);
  auto fetcher = *Fetcher::Open(reader.get(), manifest.packs);
  {
    auto store = *OpenAt(&world, Mode::kWrite);
    auto removals = PlanRemoval(store.get(), {going}, true);
    ASSERT_TRUE(removals.ok());
    ASSERT_TRUE(CommitRemovals(store.get(), *removals, 0).ok());
    ASSERT_TRUE(Collect(store.get()).ok());
  }
  ASSERT_TRUE(IsGone(found->pack_id));
  reader->packs()->Forget(found->pack_id);
  Decoder decoder;
  Bytes scratch;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    auto place = fetcher->Locate(HashChunk(BlockOf(1, i)));
    ASSERT_TRUE(place.ok()) << place.status().ToString();
    Bytes raw(place->entry.raw_bytes);
    Status s = fetcher->ReadChunk(*place, &decoder, &scratch, raw);
    ASSERT_TRUE(s.ok()) << "block " << i << ": " << s.ToString();
    EXPECT_EQ(raw, BlockOf(1, i));
  }
}

// One rule for single and coalesced reads: bytes are proved by the chunk's id, headers are not
// asked.
TEST_F(MovedPacks, DamagedRecordHeaderDoesNotHideSoundBytes) {
  SaveSix();
  auto reader = *OpenAt(&world, Mode::kWrite);  // it knows where chunks are
  CheckpointRow row = RowOf(reader.get(), 4);
  auto place = reader->FindDurable(HashChunk(BlockOf(4, 0)));
  ASSERT_TRUE(place.has_value());
  auto dir = *world.OpenDir("/store/packs");
  OpenOptions write;
  write.mode = OpenMode::kReadWrite;
  auto file = *dir->OpenFile(PackFileName(place->pack_id), write);
  ASSERT_TRUE(file->WriteAt(place->entry.offset + 8, Bytes(8, std::byte{0xee})).ok());
  EXPECT_TRUE(Restore(reader.get(), 4).ok());               // one by one
  EXPECT_TRUE(VerifyCheckpoint(reader.get(), {row}).ok());  // coalesced
}

// Another host's collector cannot take rows out of this host's index, nor may a reader.
TEST_F(LookTest, ReaderWhoseIndexNamesCollectedPacksListsAndReads) {
  options_.use_index = true;
  setenv("CKPT_HOST_ID", "first", 1);
  for (std::uint64_t step = 1; step <= 5; ++step) {
    WriteFile(tmp_ / "d/f", RandomText(300000, step));
    SaveDir(Open().get());
  }
  ASSERT_NE(OpenToRead()->index(), nullptr);
  setenv("CKPT_HOST_ID", "second", 1);
  {
    auto store = Open(OpenStoreOptions::Mode::kWrite);
    auto removals = PlanRemoval(store.get(), {"melt@1", "melt@2", "melt@3", "melt@5"}, true);
    ASSERT_TRUE(removals.ok()) << removals.status().ToString();
    ASSERT_OK(CommitRemovals(store.get(), *removals, 0));
    auto collected = Collect(store.get());
    ASSERT_TRUE(collected.ok()) << collected.status().ToString();
    ASSERT_GT(collected->packs_removed, 0u);
  }
  setenv("CKPT_HOST_ID", "first", 1);
  auto reader = OpenToRead();
  unsetenv("CKPT_HOST_ID");
  ASSERT_NE(reader->index(), nullptr);
  auto view = SeriesView::Load(reader.get(), "melt");
  ASSERT_TRUE(view.ok()) << view.status().ToString();
  ASSERT_EQ(view->rows().size(), 1u);
  auto state = StateOf(reader.get(), *view, view->rows().front());
  ASSERT_TRUE(state.ok()) << state.status().ToString();
  EXPECT_EQ(*state, CheckpointState::kCommitted);
  EXPECT_EQ(view->rows().front().step, 4);
  ASSERT_OK(VerifyCheckpoint(reader.get(), view->rows()));
}

}  // namespace
}  // namespace ckpt
