// Several threads look for what changed: the same ids, the same chunks.

#include "store/session/chunk_hasher.h"

#include <gtest/gtest.h>

#include "store/codec/hash.h"
#include "tests/session/session_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

TEST(ChunkHasherTest, IdsAreThoseOfTheChunks) {
  const std::string data = RandomText(((kSanitized ? 8u : 40u) << 20) + 12345, 1);
  for (std::size_t chunk : {1000u, 65536u, 3u << 20, 64u << 20}) {
    for (std::size_t threads : {1u, 2u, 5u, 1000000u}) {  // no more than have work
      for (std::size_t changed_every : {0u, 7u}) {        // windows that grow, and that begin anew
        ChunkHasher hasher(AsBytes(data), chunk, threads);
        for (std::size_t i = 0; i * chunk < data.size(); ++i) {
          ByteSpan bytes = AsBytes(data).subspan(i * chunk);
          bytes = bytes.first(std::min(chunk, bytes.size()));
          ASSERT_EQ(hasher.Chunk(i).data(), bytes.data());
          ASSERT_EQ(hasher.Chunk(i).size(), bytes.size());
          ASSERT_EQ(hasher.Id(i), HashChunk(bytes)) << i << " of " << chunk << ", " << threads;
          if (changed_every != 0 && i % changed_every == 0) hasher.Changed();
        }
      }
    }
  }
}

class HashThreads : public SessionTest {};

TEST_F(HashThreads, WhatChangedIsFoundWhoeverLooks) {
  options_.hash_threads = 3;
  std::vector<double> x = Numbers(4u << 20, 1);  // 512 chunks
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
    EXPECT_EQ(s->Report().last.changed_bytes, x.size() * 8);
    for (std::size_t i : {std::size_t{0}, x.size() / 2, x.size() - 1}) x[i] += 1;
    ASSERT_OK(s->Step(2).error);
    EXPECT_EQ(s->Report().last.changed_bytes, 3 * 65536u);
    ASSERT_OK(s->Step(3).error);
    EXPECT_EQ(s->Report().last.changed_bytes, 0u);
  }
  std::vector<double> back;
  EXPECT_EQ(RestoredStep(&back), 3);
  EXPECT_EQ(back, x);
}

}  // namespace
}  // namespace ckpt
