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
    const bool pays = DeltaPays(delta, full) && !NewBaseIsDue(delta, before, full);
    const bool kept = renewed_every == 0 ? pays : since < renewed_every;
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
  EXPECT_TRUE(DeltaPays(30000, 60000));
  EXPECT_FALSE(NewBaseIsDue(30000, 30000, 60000));
  EXPECT_FALSE(DeltaPays(30001, 60000));
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
  // A pack made by hand: noise that nobody needs, then the chunk as its difference from each base.
  void PutByHand(Store* store, ByteSpan chunk, const std::vector<Bytes>& bases, Id128* pack_id,
                 std::size_t noise_bytes = 4u << 20) {
    PackWriterOptions options;
    options.store_uuid = store->format().uuid;
    options.permissions = store->file_permissions();
    auto pack = PackWriter::Create(store->env(), store->packs_dir(), options);
    ASSERT_TRUE(pack.ok()) << pack.status().ToString();
    *pack_id = (*pack)->pack_id();
    Encoder encoder;
    const auto append = [&](ByteSpan raw, const Encoded& encoded, const Id128& base) {
      RecordHeader header;
      header.type = RecordType::kChunk;
      header.codec = static_cast<std::uint8_t>(encoded.codec);
      header.codec_param = encoded.param;
      header.raw_bytes = raw.size();
      header.id = HashChunk(raw);
      return (*pack)->Append(header, encoded.bytes, base).status();
    };
    if (noise_bytes > 0) {
      const std::string noise = RandomText(noise_bytes, 99);
      ASSERT_OK(append(AsBytes(noise), *encoder.Encode(AsBytes(noise), {}), Id128()));
    }
    for (const Bytes& base : bases) {
      const auto delta =
          encoder.EncodeDelta(chunk, base, HashChunk(base), {.element_width = 8}, chunk.size());
      ASSERT_TRUE(delta.ok() && delta->has_value());
      ASSERT_OK(append(chunk, **delta, HashChunk(base)));
    }
    ASSERT_OK((*pack)->Commit(true));
    pack->reset();
    ASSERT_OK(store->Refresh());
  }
  static Bytes FirstBytes(Store* store, std::uint64_t step) {
    const std::vector<double> state = State(step);
    const ByteSpan bytes = std::as_bytes(std::span(state)).first(store->format().array_chunk_bytes);
    return Bytes(bytes.begin(), bytes.end());
  }
  // A checkpoint that needs a chunk of which one pack has two deltas; the base of the first is
  // nowhere.
  void SaveOneOfTwo(Store* store, Id128* pack_id) {
    SaveArrays(store, {{"x", State(1)}});
    PutByHand(store, FirstBytes(store, 2), {FirstBytes(store, 7), FirstBytes(store, 1)}, pack_id);
    SaveArrays(store, {{"x", State(2)}});
    EXPECT_EQ(store->FindDurable(FirstChunk(store, 2))->pack_id, *pack_id);
    ExpectState(store, "melt@2", 2);
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

// ---- what may be a base ------------------------------------------------------------------------

TEST_F(Deltas, ABaseIsFullOfTheSameSizeAndDurable) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  const std::size_t bytes = store->format().array_chunk_bytes;
  const Id128 full = FirstChunk(store.get(), 1), delta = FirstChunk(store.get(), 2);
  const auto from_full = FindDeltaBase(store.get(), full, bytes);
  const auto from_delta = FindDeltaBase(store.get(), delta, bytes);
  ASSERT_TRUE(from_full.has_value() && from_delta.has_value());
  EXPECT_EQ(from_full->place.entry.id, full);
  EXPECT_EQ(from_full->delta_bytes(), 0u);
  EXPECT_EQ(from_delta->place.entry.id, full);
  EXPECT_EQ(from_delta->delta_bytes(), store->FindDurable(delta)->entry.stored_bytes);
  EXPECT_FALSE(FindDeltaBase(store.get(), full, bytes - 8).has_value());
  EXPECT_FALSE(FindDeltaBase(store.get(), FirstChunk(store.get(), 5), bytes).has_value());
}

// A delta whose base is nowhere, and one whose base is a delta: neither stands for its chunk.
TEST_F(Deltas, OneThatLeadsToNoFullChunkIsSavedAnew) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  Id128 by_hand;
  PutByHand(store.get(), FirstBytes(store.get(), 5), {FirstBytes(store.get(), 7)}, &by_hand);
  PutByHand(store.get(), FirstBytes(store.get(), 6), {FirstBytes(store.get(), 2)}, &by_hand);
  for (const std::uint64_t step : {5u, 6u}) {
    const Id128 chunk = FirstChunk(store.get(), step);
    const auto whole = FindWhole(store.get(), chunk);
    ASSERT_TRUE(whole.has_value());
    EXPECT_FALSE(whole->reads);
    EXPECT_FALSE(FindDeltaBase(store.get(), chunk, store->format().array_chunk_bytes).has_value());
    auto fetcher = Fetcher::Open(store.get(), {});
    ASSERT_TRUE(fetcher.ok());
    Decoder decoder;
    Bytes scratch, raw(whole->place.entry.raw_bytes);
    EXPECT_EQ((*fetcher)->ReadChunk(whole->place, &decoder, &scratch, raw).code(),
              Code::kCorruption);
    SaveArrays(store.get(), {{"x", State(step)}});
    EXPECT_FALSE(IsDeltaCodec(FindWhole(store.get(), chunk)->place.entry.codec));
  }
  ExpectState(store.get(), "melt@3", 5);
  ExpectState(store.get(), "melt@4", 6);
}

TEST_F(Deltas, ABaseThatDoesNotReadTrueIsNone) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  const auto base =
      FindDeltaBase(store.get(), FirstChunk(store.get(), 2), store->format().array_chunk_bytes);
  ASSERT_TRUE(base.has_value() && base->before.has_value());
  ChunkEncoder scratch;
  ASSERT_TRUE(ReadDeltaBase(store.get(), base->place, &scratch));
  EXPECT_EQ(scratch.base, FirstBytes(store.get(), 1));
  ASSERT_TRUE(ReadDeltaBefore(store.get(), *base->before, &scratch));
  EXPECT_EQ(scratch.before, FirstBytes(store.get(), 2));
  const auto reads = [&](auto change) {
    ChunkPlace place = base->place;
    change(&place);
    ChunkEncoder other;
    return ReadDeltaBase(store.get(), place, &other);
  };
  EXPECT_TRUE(reads([](ChunkPlace*) {}));
  EXPECT_FALSE(reads([](ChunkPlace* place) { place->pack_id.bytes[0] ^= 1; }));
  EXPECT_FALSE(reads([](ChunkPlace* place) { place->entry.offset = 1u << 30; }));
  EXPECT_FALSE(reads([](ChunkPlace* place) { place->entry.raw_bytes -= 8; }));
  EXPECT_FALSE(reads([](ChunkPlace* place) { place->entry.id.bytes[0] ^= 1; }));
  scratch.base[100] ^= std::byte{1};
  EXPECT_FALSE(ReadDeltaBefore(store.get(), *base->before, &scratch));
}

// Deltas that grow little, although all of them are large, go on being deltas; where the one before
// does not read, that is not known, and the chunk is stored in full.
TEST_F(Deltas, ANewBaseIsMadeWhereTheDeltaBeforeDoesNotRead) {
  const auto state = [](std::uint64_t step) {  // a quarter of each chunk, and a little more
    std::vector<double> numbers(65536);
    std::mt19937_64 first(1), random(step);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = static_cast<double>(first());
      if (step > 1 && i % 8192 < 2048 + 8 * step) numbers[i] = static_cast<double>(random());
    }
    return numbers;
  };
  for (const bool damaged : {false, true}) {
    const std::string series = damaged ? "damaged" : "sound";
    auto store = Open();
    SaveArrays(store.get(), {{"x", state(1)}}, series);
    const Saved second = SaveArrays(store.get(), {{"x", state(2)}}, series);
    ASSERT_EQ(CountDeltas(store.get()), second.new_chunks);
    if (damaged) {
      for (const auto& [id, at] : PayloadPlaces(store.get(), BigPack())) {
        const auto place = store->FindDurable(id);
        if (IsDeltaCodec(place->entry.codec)) FlipByte(BigPack(), at + 1000);
      }
    }
    const Saved third = SaveArrays(store.get(), {{"x", state(3)}}, series);
    EXPECT_EQ(CountDeltas(store.get()), second.new_chunks + (damaged ? 0 : third.new_chunks));
    std::vector<double> restored;
    ASSERT_OK(ReadX(store.get(), series + "@3", &restored));
    EXPECT_EQ(restored, state(3));
    store.reset();
    std::filesystem::remove_all(tmp_ / "store");
  }
}

// Nobody knows that the base is damaged until it is read for the difference.
TEST_F(Deltas, AChunkWhoseBaseDoesNotReadIsStoredInFull) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  for (const auto& [id, at] : PayloadPlaces(store.get(), BigPack())) FlipByte(BigPack(), at + 9);
  SaveArrays(store.get(), {{"x", State(2)}});
  EXPECT_EQ(CountDeltas(store.get()), 0u);
  ExpectState(store.get(), "melt@2", 2);
}

TEST_F(Deltas, OfTheSameChunkTwiceInASaveThereIsOne) {
  options_.threads = 1;
  auto store = Open();
  const Saved first = SaveArrays(store.get(), {{"x", State(1)}});
  std::vector<double> state = State(2);
  const auto chunk = static_cast<std::ptrdiff_t>(store->format().array_chunk_bytes / 8);
  std::copy(state.begin(), state.begin() + chunk, state.begin() + chunk);
  const Saved second = SaveArrays(store.get(), {{"x", state}});
  EXPECT_EQ(second.new_chunks, first.new_chunks - 1);
  EXPECT_EQ(CountDeltas(store.get()), second.new_chunks);
  std::vector<double> restored;
  ASSERT_OK(ReadX(store.get(), "melt@2", &restored));
  EXPECT_EQ(restored, state);
  EXPECT_EQ(CheckStore(store.get(), {})->damage.size(), 0u);
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

// Buffers are for chunks of up to 1 MiB.
TEST_F(Deltas, LargeChunksAreStoredInFull) {
  options_.format.array_chunk_bytes = 2u << 20;
  auto store = Open();
  std::vector<double> state = Numbers(3u << 17, 1);
  SaveArrays(store.get(), {{"x", state}});
  state[0] = state[2u << 17] = -1;
  SaveArrays(store.get(), {{"x", state}});
  EXPECT_EQ(CountDeltas(store.get()), 1u);  // of the last one, which has 1 MiB
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
  const Id128 base = store->FindDurable(FirstChunk(store.get(), 1))->pack_id;
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
  EXPECT_TRUE(led_to.contains(base));
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

TEST_F(Deltas, AreDecodedFromTheBaseThatTheirTableNames) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  const auto place = store->FindDurable(FirstChunk(store.get(), 2));
  ASSERT_TRUE(place.has_value() && IsDeltaCodec(place->entry.codec));
  auto fetcher = *Fetcher::Open(store.get(), {});
  Bytes stored(place->entry.stored_bytes), raw(place->entry.raw_bytes);
  ASSERT_OK(fetcher->ReadSpan(place->pack_id, place->entry.offset + kRecordHeaderBytes, stored));
  Decoder decoder;
  ASSERT_OK(fetcher->DecodeChunk(*place, stored, &decoder, raw));
  EXPECT_EQ(raw, FirstBytes(store.get(), 2));
  const auto refused = [&](const ChunkPlace& at, ByteSpan bytes, MutableByteSpan out) {
    return fetcher->DecodeChunk(at, bytes, &decoder, out).code() == Code::kCorruption;
  };
  EXPECT_TRUE(refused(*place, stored, MutableByteSpan(raw).first(raw.size() - 8)));
  EXPECT_TRUE(refused(*place, ByteSpan(stored).first(kBaseBytes - 1), raw));
  ChunkPlace other = *place;
  other.entry.base = place->entry.id;
  EXPECT_TRUE(refused(other, stored, raw));
  EXPECT_EQ(fetcher->GetNode(place->entry.id, 1u << 30).status().code(), Code::kCorruption);
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
    PutByHand(store.get(), FirstBytes(store.get(), 2), {FirstBytes(store.get(), 1)}, &by_hand);
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
    store.reset();
    std::filesystem::remove_all(tmp_ / "store");
  }
}

}  // namespace
}  // namespace ckpt
