// Chunks that are stored as their difference from another (docs/format.md, Codecs).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "store/engine/check.h"
#include "store/engine/delta_base.h"
#include "store/engine/repair.h"
#include "store/engine/stats.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

// ---- when it pays ------------------------------------------------------------------------------

// What `saves` checkpoints store of a chunk whose delta grows by `growth` with each save.
double StoredBy(std::uint64_t growth, std::uint64_t full, int saves, int renewed_every) {
  double stored = static_cast<double>(full);
  std::uint64_t before = 0;
  int since = 0;
  for (int i = 1; i < saves; ++i) {
    const std::uint64_t delta = growth * static_cast<std::uint64_t>(++since);
    const bool kept = renewed_every == 0 ? DeltaPays(delta, before, full) : since < renewed_every;
    stored += static_cast<double>(kept ? delta : full);
    before = kept ? delta : 0;
    if (!kept) since = 0;
  }
  return stored;
}

TEST(DeltaPays, IsWithinATenthOfTheBestPeriod) {
  constexpr std::uint64_t kFull = 60000;
  for (std::uint64_t growth : {20u, 100u, 1000u, 5000u, 20000u}) {
    double best = 1e300;
    for (int period = 1; period < 400; ++period) {
      best = std::min(best, StoredBy(growth, kFull, 2000, period));
    }
    EXPECT_LT(StoredBy(growth, kFull, 2000, 0), 1.1 * best) << growth;
  }
}

TEST(DeltaPays, AsLongAsItIsNoLargerThanBefore) {
  EXPECT_TRUE(DeltaPays(40000, 40000, 60000));
  EXPECT_FALSE(DeltaPays(46000, 46000, 60000));
}

TEST(DeltaGate, TriesFewWhereTheyAreInVain) {
  DeltaGate gate;
  int tried = 0;
  for (int i = 0; i < 1600; ++i) {
    if (!gate.WorthTrying()) continue;
    ++tried;
    gate.Tried(false);
  }
  EXPECT_GT(tried, 100);
  EXPECT_LT(tried, 130);
  gate.Tried(true);
  EXPECT_TRUE(gate.WorthTrying());
}

// ---- in a store --------------------------------------------------------------------------------

class Deltas : public LookTest {
 protected:
  Deltas() { options_.deltas = true; }
  // Noise that no codec makes smaller, of which a hundredth is of this step.
  static std::vector<double> State(std::uint64_t step) {
    std::vector<double> state = Numbers(65536, 1);
    std::mt19937_64 random(step);
    for (std::size_t i = 0; i < state.size(); ++i) {
      if (i % 8192 / 80 == step) state[i] = static_cast<double>(random());
    }
    return state;
  }
  Id128 FirstChunk(Store* store, std::uint64_t step) {
    const std::vector<double> state = State(step);
    return HashChunk(std::as_bytes(std::span(state)).first(store->format().array_chunk_bytes));
  }
  static Status ReadX(Store* store, const std::string& name, std::vector<double>* state) {
    CKPT_ASSIGN_OR_RETURN(auto reader, CheckpointReader::Open(store, name));
    state->assign(State(1).size(), 0);
    return reader->Get("x", std::as_writable_bytes(std::span(*state)));
  }
  static void ExpectState(Store* store, const std::string& name, std::uint64_t step) {
    std::vector<double> state;
    ASSERT_OK(ReadX(store, name, &state));
    EXPECT_EQ(state, State(step)) << name;
  }
  static void ExpectDamaged(Store* store, const std::string& name) {
    std::vector<double> state;
    EXPECT_EQ(ReadX(store, name, &state).code(), Code::kCorruption) << name;
  }
  static void RemoveAndCollect(Store* store, const std::string& name) {
    ASSERT_OK(store->Refresh());
    auto removals = PlanRemoval(store, {name}, true);
    ASSERT_TRUE(removals.ok()) << removals.status().ToString();
    ASSERT_OK(CommitRemovals(store, *removals, 0));
    auto collected = Collect(store);
    ASSERT_TRUE(collected.ok()) << collected.status().ToString();
    ASSERT_OK(store->Refresh());
  }
};

TEST_F(Deltas, ASmallChangeInEachChunkCostsLittle) {
  auto store = Open();
  const Saved first = SaveArrays(store.get(), {{"x", State(1)}});
  const Saved second = SaveArrays(store.get(), {{"x", State(2)}});
  const Saved third = SaveArrays(store.get(), {{"x", State(3)}});
  EXPECT_EQ(second.new_chunks, first.new_chunks);
  EXPECT_LT(second.stored_bytes, first.stored_bytes / 10);
  EXPECT_LT(third.stored_bytes, first.stored_bytes / 10);
  EXPECT_EQ(CountDeltas(store.get()), 2 * first.new_chunks);
  ExpectState(store.get(), "melt@2", 2);
  ExpectState(store.get(), "melt@3", 3);
  const StoreStats stats = *GetStats(store.get());
  EXPECT_LT(stats.garbage_bytes, first.stored_bytes / 10);
  EXPECT_EQ(CheckStore(store.get(), {})->damage.size(), 0u);
}

// I12: what a delta is from lives on, in full, when nothing else needs it.
TEST_F(Deltas, OutliveTheCheckpointOfTheirBase) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  RemoveAndCollect(store.get(), "melt@1");
  store = Open();
  const auto base = store->FindDurable(FirstChunk(store.get(), 1));
  ASSERT_TRUE(base.has_value());
  EXPECT_FALSE(IsDeltaCodec(base->entry.codec));
  ExpectState(store.get(), "melt@2", 2);
  EXPECT_LT(GetStats(store.get())->garbage_bytes, 100000u);
  RemoveAndCollect(store.get(), "melt@2");
  EXPECT_FALSE(store->FindDurable(FirstChunk(store.get(), 1)).has_value());
}

// Saved again, a chunk that is there as a delta is relied upon together with its base.
TEST_F(Deltas, AreFoundByOtherSeries) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  const Saved other = SaveArrays(store.get(), {{"x", State(2)}}, "other");
  EXPECT_EQ(other.new_chunks, 0u);
  RemoveAndCollect(store.get(), "melt@1");
  RemoveAndCollect(store.get(), "melt@2");
  store = Open();
  ExpectState(store.get(), "other@1", 2);
}

// The damage is named once, where it is, and hurts whoever needs a delta from there.
TEST_F(Deltas, ADamagedBaseHurtsAllThatNeedItUntilItIsSavedAnew) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  const auto base = store->FindDurable(FirstChunk(store.get(), 1));
  ASSERT_TRUE(base.has_value());
  FlipByte(tmp_ / "store/packs/" + PackFileName(base->pack_id),
           base->entry.offset + kRecordHeaderBytes + 1000);
  store = Open();
  CheckReport report = *CheckStore(store.get(), {});
  ASSERT_EQ(report.damage.size(), 1u);
  EXPECT_EQ(report.damage[0].offset, base->entry.offset);
  EXPECT_EQ(report.damage[0].checkpoints, (std::vector<std::string>{"melt@1:1", "melt@1:2"}));
  ExpectDamaged(store.get(), "melt@2");
  // The chunk that is the delta is stored in full: its base may not be relied upon.
  SaveArrays(store.get(), {{"x", State(2)}});
  ExpectState(store.get(), "melt@2", 2);
  ExpectState(store.get(), "melt@3", 2);
  ExpectDamaged(store.get(), "melt@1");
  SaveArrays(store.get(), {{"x", State(1)}}, "again");
  ExpectState(store.get(), "melt@1", 1);
}

TEST_F(Deltas, RepairKeepsThemBesideTheirBase) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  const auto delta = store->FindDurable(FirstChunk(store.get(), 2));
  ASSERT_TRUE(delta.has_value() && IsDeltaCodec(delta->entry.codec));
  FlipByte(tmp_ / "store/packs/" + PackFileName(delta->pack_id),
           delta->entry.offset + kRecordHeaderBytes + 20);
  ASSERT_TRUE(RepairStore(store.get(), {}).ok());
  store = Open();
  ExpectState(store.get(), "melt@1", 1);
  ExpectDamaged(store.get(), "melt@2");
  SaveArrays(store.get(), {{"x", State(2)}});
  ExpectState(store.get(), "melt@2", 2);
}

// The base is in a pack of its own, which is gone: that is not taken for "nothing was lost".
TEST_F(Deltas, RepairSaysWhatIsLostWithTheirBase) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  const auto base = store->FindDurable(FirstChunk(store.get(), 1));
  {
    auto holder = Open();
    auto holds = ChunkWriter::Open(holder.get());  // the pack of the first save
    ASSERT_TRUE(holds.ok());
    SaveArrays(store.get(), {{"x", State(2)}});
  }
  const auto delta = store->FindDurable(FirstChunk(store.get(), 2));
  ASSERT_TRUE(base.has_value() && delta.has_value() && IsDeltaCodec(delta->entry.codec));
  ASSERT_NE(delta->pack_id, base->pack_id);
  std::filesystem::remove(tmp_ / "store/packs/" + PackFileName(base->pack_id));
  store = Open();
  ASSERT_TRUE(RepairStore(store.get(), {}).ok());
  store = Open();
  auto found = ResolveCheckpoint(store.get(), "melt@2");
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(*IsSound(store.get(), *store->ReadManifest(found->ranks.front())));
  const CheckReport report = *CheckStore(store.get(), {});
  ASSERT_FALSE(report.damage.empty());
  EXPECT_EQ(report.damage[0].checkpoints, (std::vector<std::string>{"melt@1:2"}));
  ExpectDamaged(store.get(), "melt@2");
  SaveArrays(store.get(), {{"x", State(2)}});
  ExpectState(store.get(), "melt@3", 2);
}

}  // namespace
}  // namespace ckpt
