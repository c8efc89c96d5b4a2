// Chunks that are stored as their difference from another (docs/format.md, Codecs).

#include <gtest/gtest.h>

#include <algorithm>

#include "store/engine/check.h"
#include "store/engine/repair.h"
#include "store/engine/stats.h"
#include "tests/engine/delta_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

class Deltas : public DeltaTest {};

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

// What is remembered is the base, not the deltas, which are as they were written: once its bytes
// are saved anew by anybody, all that need it are sound.
TEST_F(Deltas, ABaseThatComesBackHealsAllThatNeedIt) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  const auto base = store->FindDurable(FirstChunk(store.get(), 1));
  FlipByte(tmp_ / "store/packs/" + PackFileName(base->pack_id),
           base->entry.offset + kRecordHeaderBytes + 1000);
  ASSERT_EQ(CheckStore(store.get(), {})->damage.size(), 1u);
  ASSERT_TRUE(RepairStore(store.get(), {}).ok());
  ASSERT_FALSE(CheckStore(store.get(), {})->damage.empty());
  const auto sound = [&](const std::string& name) {
    const auto found = ResolveCheckpoint(store.get(), name);
    return found.ok() && *IsSound(store.get(), *store->ReadManifest(found->ranks.front()));
  };
  EXPECT_FALSE(sound("melt@2"));
  SaveArrays(store.get(), {{"x", State(1)}}, "other");
  store = Open();
  ExpectState(store.get(), "melt@2", 2);
  EXPECT_TRUE(sound("melt@2"));
  EXPECT_TRUE(sound("melt@1"));
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
  for (CheckOptions options : {CheckOptions{.quick = true}, CheckOptions{.part_percent = 1}}) {
    options.record = false;
    const CheckReport in_part = *CheckStore(store.get(), options);
    ASSERT_FALSE(in_part.damage.empty()) << options.quick;
    EXPECT_EQ(in_part.damage[0].checkpoints, (std::vector<std::string>{"melt@1:2"}));
  }
  ExpectDamaged(store.get(), "melt@2");
  SaveArrays(store.get(), {{"x", State(2)}});
  ExpectState(store.get(), "melt@3", 2);
}

TEST_F(Deltas, AreSoundInEveryModeOfACheckAndHurtTogether) {
  auto store = Open();
  const std::uint64_t steps[] = {1, 2, 3, 4};
  for (const std::uint64_t step : steps) SaveArrays(store.get(), {{"x", State(step)}});
  const std::vector<CheckOptions> modes{
      {}, CheckOptions{.quick = true}, CheckOptions{.part_percent = 1}};
  std::uint64_t chunks = 0;
  for (const CheckOptions& options : modes) {
    const CheckReport report = *CheckStore(store.get(), options);
    EXPECT_TRUE(report.damage.empty());
    if (chunks == 0) chunks = report.chunks;
    EXPECT_EQ(report.chunks, chunks);
  }
  const auto base = store->FindDurable(FirstChunk(store.get(), 1));
  FlipByte(tmp_ / "store/packs/" + PackFileName(base->pack_id),
           base->entry.offset + kRecordHeaderBytes + 1000);
  const CheckReport report = *CheckStore(store.get(), {});
  ASSERT_EQ(report.damage.size(), 1u);
  EXPECT_EQ(report.damage[0].checkpoints.size(), std::size(steps));
}

// ---- two deltas of one chunk, of which one cannot be read --------------------------------------

TEST_F(Deltas, CollectionCarriesTheOneThatReads) {
  auto store = Open();
  Id128 by_hand;
  SaveOneOfTwo(store.get(), &by_hand);
  auto collected = Collect(store.get());
  ASSERT_TRUE(collected.ok()) << collected.status().ToString();
  store = Open();
  EXPECT_FALSE(store->PackStates().contains(by_hand));
  ExpectState(store.get(), "melt@2", 2);
  EXPECT_EQ(CheckStore(store.get(), {})->damage.size(), 0u);
}

// A chunk that another pack has, too, as the difference from another base: who is led there from
// the pack that went is led to that base as well, and a writer that took the chunk over claims
// both.
TEST_F(Deltas, WhoIsLedToADeltaIsLedToItsBase) {
  auto store = Open();
  std::vector<std::unique_ptr<Store>> handles;
  std::vector<std::unique_ptr<ChunkWriter>> held;  // each save gets a pack of its own
  const auto save = [&](const std::string& series, std::uint64_t step) {
    std::vector<double> chunk = State(step);
    chunk.resize(store->format().array_chunk_bytes / sizeof(double));
    SaveArrays(store.get(), {{"x", chunk}}, series);
    handles.push_back(Open());
    held.push_back(*ChunkWriter::Open(handles.back().get()));
    return held.back()->pack_id();
  };
  const Id128 base = save("other", 7);
  const Id128 delta = save("other", 2);
  ASSERT_TRUE(IsDeltaCodec(store->FindDurable(FirstChunk(store.get(), 2))->entry.codec));
  save("melt", 1);
  Id128 by_hand;
  PutByHand(store.get(), FirstBytes(store.get(), 2), {FirstBytes(store.get(), 1)}, &by_hand);
  {
    auto handle = Open();
    auto holds = ChunkWriter::Open(handle.get());  // or the save would go on there
    ASSERT_TRUE(holds.ok() && (*holds)->pack_id() == by_hand);
    save("melt", 2);
  }
  const std::vector<PackReliance> reliance{{by_hand, 1}};
  ASSERT_EQ(store->ResolvePacks(reliance)->size(), 1u);

  CollectOptions options;
  options.while_waiting = [&] {
    for (auto& writer : held) CKPT_RETURN_IF_ERROR(writer->PollEpoch());
    return Status();
  };
  auto collector = Collector::Open(store.get(), options);
  ASSERT_TRUE(collector.ok());
  Collected collected;
  ASSERT_OK((*collector)->Run({}, &collected));
  ASSERT_OK(store->Refresh());
  ASSERT_FALSE(store->PackStates().contains(by_hand));
  std::set<Id128> led_to;
  const auto resolved = store->ResolvePacks(reliance);
  ASSERT_TRUE(resolved.ok());
  for (const PackReliance& pack : *resolved) led_to.insert(pack.pack_id);
  EXPECT_TRUE(led_to.contains(delta));
  EXPECT_TRUE(led_to.contains(base));
}

// The pack that stays has two, of which one cannot be read: the base of the other one counts.
TEST_F(Deltas, WhoIsLedToTwoIsLedToTheBaseOfTheOneThatReads) {
  auto store = Open();
  const auto save = [&](const std::string& series, std::uint64_t step) {
    std::vector<double> chunk = State(step);
    chunk.resize(store->format().array_chunk_bytes / sizeof(double));
    SaveArrays(store.get(), {{"x", chunk}}, series);
  };
  save("melt", 1);
  save("other", 3);
  Id128 stays, goes;
  PutByHand(store.get(), FirstBytes(store.get(), 2),
            {FirstBytes(store.get(), 7), FirstBytes(store.get(), 1)}, &stays, 0);
  std::vector<std::unique_ptr<Store>> handles;
  std::vector<std::unique_ptr<ChunkWriter>> held;
  do {
    handles.push_back(Open());
    held.push_back(*ChunkWriter::Open(handles.back().get()));
  } while (held.back()->pack_id() != stays && held.size() < 5);
  ASSERT_EQ(held.back()->pack_id(), stays);
  PutByHand(store.get(), FirstBytes(store.get(), 2), {FirstBytes(store.get(), 3)}, &goes);
  save("melt", 2);
  CollectOptions options;
  options.while_waiting = [&] {
    for (auto& writer : held) CKPT_RETURN_IF_ERROR(writer->PollEpoch());
    return Status();
  };
  Collected collected;
  ASSERT_OK((*Collector::Open(store.get(), options))->Run({}, &collected));
  ASSERT_OK(store->Refresh());
  ASSERT_FALSE(store->PackStates().contains(goes));
  ASSERT_TRUE(store->PackStates().contains(stays));
  std::set<Id128> led_to;
  const auto resolved = store->ResolvePacks({{goes, 1}});
  ASSERT_TRUE(resolved.ok());
  for (const PackReliance& pack : *resolved) led_to.insert(pack.pack_id);
  EXPECT_TRUE(led_to.contains(stays));
  const auto base = store->FindDurable(FirstChunk(store.get(), 1));  // its pack may have gone, too
  ASSERT_TRUE(base.has_value());
  EXPECT_TRUE(led_to.contains(base->pack_id));
  held.clear();
  std::vector<double> restored(store->format().array_chunk_bytes / sizeof(double));
  auto reader = CheckpointReader::Open(store.get(), "melt@2");
  ASSERT_TRUE(reader.ok());
  ASSERT_OK((*reader)->Get("x", std::as_writable_bytes(std::span(restored))));
  EXPECT_TRUE(std::equal(restored.begin(), restored.end(), State(2).begin()));
}

TEST_F(Deltas, RepairKeepsTheOneThatReads) {
  auto store = Open();
  Id128 by_hand;
  SaveOneOfTwo(store.get(), &by_hand);
  FlipByte(tmp_ / "store/packs/" + PackFileName(by_hand), 100000);  // of the noise
  ASSERT_TRUE(RepairStore(store.get(), {}).ok());
  store = Open();
  EXPECT_FALSE(store->PackStates().contains(by_hand));
  ExpectState(store.get(), "melt@2", 2);
  EXPECT_EQ(CheckStore(store.get(), {})->damage.size(), 0u);
}

// A delta whose base is nowhere does not vouch for what a dead writer staged.
TEST_F(Deltas, ATailIsNotWholeBecauseOfOneThatDoesNotRead) {
  block_bytes = 60000;
  auto store = Open();
  ASSERT_OK(Save(store.get(), 1));
  const Bytes& block = BlockOf(3, 0);
  Bytes other = block;
  other[5] ^= std::byte{1};
  Id128 by_hand;
  PutByHand(store.get(), block, {other}, &by_hand);
  Id128 staged_in;
  {
    RunOfSaves run(PosixEnv(), store.get(), 1);
    ASSERT_OK(run.Stage(3));
    staged_in = run.writer()->chunks()->pack_id();
  }
  auto reader = PackReader::Open(store->packs_dir(), staged_in, store->format().uuid);
  ASSERT_TRUE(reader.ok());
  const PackContents contents = *(*reader)->ReadFrom(0);
  for (const ChunkEntry& entry : contents.tail_chunks) {
    if (entry.id != HashChunk(block)) continue;
    FlipByte(tmp_ / "store/packs/" + PackFileName(staged_in), entry.offset + 1000);
  }
  store = Open();
  CollectOptions options;
  options.live_share = 1.0;
  auto collector = Collector::Open(store.get(), options);
  ASSERT_TRUE(collector.ok());
  Collected collected;
  ASSERT_OK((*collector)->Run({}, &collected));
  store = Open();
  EXPECT_EQ(ResolveCheckpoint(store.get(), "run@3").status().code(), Code::kNotFound);
  EXPECT_TRUE(ResolveCheckpoint(store.get(), "run@1").ok());
  block_bytes = 3000;
}

// Of a chunk that is lost with its pack another one has the difference from a base: in a third
// pack, in the damaged one and sound there, or damaged as well.
TEST_F(Deltas, OneStandsInForWhatIsSetAsideIfItsBaseIsThere) {
  enum class Base { kElsewhere, kBeside, kDamaged };
  for (const Base where : {Base::kElsewhere, Base::kBeside, Base::kDamaged}) {
    options_.deltas = false;
    auto store = Open();
    const auto one_chunk = [&](std::uint64_t step) {
      std::vector<double> state = State(step);
      state.resize(store->format().array_chunk_bytes / sizeof(double));
      return state;
    };
    SaveArrays(store.get(), {{"x", one_chunk(1)}}, "base");
    const Id128 base_in = store->FindDurable(FirstChunk(store.get(), 1))->pack_id;
    {
      auto handle = Open();
      std::unique_ptr<ChunkWriter> holds;
      if (where != Base::kBeside) holds = *ChunkWriter::Open(handle.get());
      SaveArrays(store.get(), {{"x", one_chunk(2)}});
    }
    const auto lost = store->FindDurable(FirstChunk(store.get(), 2));
    ASSERT_TRUE(lost.has_value() && !IsDeltaCodec(lost->entry.codec));
    ASSERT_EQ(lost->pack_id == base_in, where == Base::kBeside);
    Id128 by_hand;
    PutByHand(store.get(), FirstBytes(store.get(), 2), {FirstBytes(store.get(), 1)}, &by_hand, 0);
    const std::string packs = tmp_ / "store/packs/";
    FlipByte(packs + PackFileName(lost->pack_id), lost->entry.offset + kRecordHeaderBytes + 1000);
    if (where == Base::kDamaged) FlipByte(packs + PackFileName(base_in), 4096 + 64 + 1000);
    const auto report = RepairStore(store.get(), {});
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    store = Open();
    EXPECT_FALSE(store->PackStates().contains(lost->pack_id));
    std::vector<double> restored(one_chunk(1).size());
    auto reader = CheckpointReader::Open(store.get(), "melt@1");
    ASSERT_TRUE(reader.ok());
    const Status read = (*reader)->Get("x", std::as_writable_bytes(std::span(restored)));
    EXPECT_EQ(read.code(), where == Base::kDamaged ? Code::kCorruption : Code::kOk)
        << read.ToString();
    if (read.ok()) {
      EXPECT_EQ(restored, one_chunk(2));
    }
    (*reader).reset();
    store.reset();
    std::filesystem::remove_all(tmp_ / "store");
  }
}

}  // namespace
}  // namespace ckpt
