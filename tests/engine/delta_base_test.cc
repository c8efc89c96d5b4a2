// Which chunk another is stored as the difference from (docs/format.md, Codecs), and when that
// pays.

#include "store/engine/delta_base.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "store/engine/check.h"
#include "tests/engine/delta_fixture.h"

namespace ckpt {
namespace {

using collect_test::CountDeltas;

// ---- when it pays ------------------------------------------------------------------------------

// What `saves` checkpoints store of a chunk whose delta grows by `growth` with each save.
double StoredBy(std::uint64_t growth, std::uint64_t full, int saves, int renewed_every) {
  double stored = static_cast<double>(full);
  std::uint64_t before = 0;
  int since = 0;
  for (int i = 1; i < saves; ++i) {
    const std::uint64_t delta = growth * static_cast<std::uint64_t>(++since);
    const bool pays = delta <= DeltaBytesThatPay({}, full) && !NewBaseIsDue(delta, before, full);
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
  EXPECT_EQ(DeltaBytesThatPay({}, 60000), 30000u);
  EXPECT_FALSE(NewBaseIsDue(30000, 30000, 60000));
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

// ---- what may be a base ------------------------------------------------------------------------

class DeltaBases : public DeltaTest {};

TEST_F(DeltaBases, ABaseIsFullOfTheSameSizeAndDurable) {
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
TEST_F(DeltaBases, OneThatLeadsToNoFullChunkIsSavedAnew) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  SaveArrays(store.get(), {{"x", State(2)}});
  Id128 by_hand;
  PutByHand(store.get(), FirstBytes(store.get(), 5), {FirstBytes(store.get(), 7)}, &by_hand, 0);
  PutByHand(store.get(), FirstBytes(store.get(), 6), {FirstBytes(store.get(), 2)}, &by_hand, 0);
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

TEST_F(DeltaBases, ABaseThatDoesNotReadTrueIsNone) {
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
TEST_F(DeltaBases, ANewBaseIsMadeWhereTheDeltaBeforeDoesNotRead) {
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
TEST_F(DeltaBases, AChunkWhoseBaseDoesNotReadIsStoredInFull) {
  auto store = Open();
  SaveArrays(store.get(), {{"x", State(1)}});
  for (const auto& [id, at] : PayloadPlaces(store.get(), BigPack())) FlipByte(BigPack(), at + 9);
  SaveArrays(store.get(), {{"x", State(2)}});
  EXPECT_EQ(CountDeltas(store.get()), 0u);
  ExpectState(store.get(), "melt@2", 2);
}

TEST_F(DeltaBases, OfTheSameChunkTwiceInASaveThereIsOne) {
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

// Buffers are for chunks of up to 1 MiB.
TEST_F(DeltaBases, LargeChunksAreStoredInFull) {
  options_.format.array_chunk_bytes = 2u << 20;
  auto store = Open();
  std::vector<double> state = Numbers(3u << 17, 1);
  SaveArrays(store.get(), {{"x", state}});
  state[0] = state[2u << 17] = -1;
  SaveArrays(store.get(), {{"x", state}});
  EXPECT_EQ(CountDeltas(store.get()), 1u);  // of the last one, which has 1 MiB
}

TEST_F(DeltaBases, AreDecodedFromTheBaseThatTheirTableNames) {
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

}  // namespace
}  // namespace ckpt
