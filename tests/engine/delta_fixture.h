// What the tests of chunks that are stored as their difference from another share: a store of
// arrays of noise of which little changes, and packs made by hand.

#ifndef CKPT_TESTS_ENGINE_DELTA_FIXTURE_H_
#define CKPT_TESTS_ENGINE_DELTA_FIXTURE_H_

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "store/codec/hash.h"
#include "store/engine/delta_base.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {

class DeltaTest : public LookTest {
 protected:
  DeltaTest() { options_.deltas = true; }
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
    auto collected = collect_test::Collect(store);
    ASSERT_TRUE(collected.ok()) << collected.status().ToString();
    ASSERT_OK(store->Refresh());
  }
};

}  // namespace ckpt

#endif  // CKPT_TESTS_ENGINE_DELTA_FIXTURE_H_
