// What the index tests share: made-up chunks, packs and records, a temporary directory.

#ifndef CKPT_TESTS_INDEX_INDEX_FIXTURE_H_
#define CKPT_TESTS_INDEX_INDEX_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/codec/hash.h"
#include "store/index/lmdb_index.h"
#include "store/index/memory_index.h"
#include "tests/support/temp_dir.h"

namespace ckpt::index_test {

// A distinct, well-spread id for each (kind, number).
inline Id128 IdOf(char kind, std::uint64_t number) {
  Bytes bytes;
  ByteWriter writer(&bytes);
  writer.U8(static_cast<std::uint8_t>(kind));
  writer.U64(number);
  return HashChunk(bytes);
}
inline Id128 PackId(std::uint64_t number) { return IdOf('p', number); }
inline Id128 ChunkId(std::uint64_t number) { return IdOf('c', number); }

// The entry of chunk `number`; every field follows from it.
inline ChunkEntry Chunk(std::uint64_t number, std::uint64_t offset) {
  ChunkEntry entry;
  entry.id = ChunkId(number);
  entry.offset = offset;
  entry.stored_bytes = static_cast<std::uint32_t>(number % 60000 + 1);
  entry.raw_bytes = static_cast<std::uint32_t>(number % 60000 + 7);
  entry.codec = static_cast<std::uint8_t>(number % 3);
  entry.codec_param = static_cast<std::uint8_t>(number % 9);
  return entry;
}
inline Bytes ToBytes(std::string_view text) {
  ByteSpan span = AsBytes(text);
  return Bytes(span.begin(), span.end());
}
inline IndexRecord Record(std::string_view key, std::string_view value) {
  return {.key = ToBytes(key), .value = ToBytes(value)};
}

constexpr std::uint64_t kChunkStride = 4096;

// Pack `pack` grown from `before` to `after` chunks, holding the chunks from `first` on.
inline PackUpdate Grow(std::uint64_t pack, std::uint64_t first, std::uint64_t before,
                       std::uint64_t after) {
  PackUpdate update;
  update.coverage = {.pack_id = PackId(pack),
                     .covered_bytes = (after + 1) * kChunkStride,
                     .check_offset = after * kChunkStride,
                     .check_checksum = after ^ pack};
  update.covered_before = before == 0 ? 0 : (before + 1) * kChunkStride;
  for (std::uint64_t i = before; i < after; ++i) {
    update.chunks.push_back(Chunk(first + i, (i + 1) * kChunkStride));
  }
  return update;
}
inline IndexUpdate One(PackUpdate pack) {
  IndexUpdate update;
  update.packs.push_back(std::move(pack));
  return update;
}

inline LmdbIndexOptions OptionsFor(const std::string& path) {
  LmdbIndexOptions options;
  options.path = path;
  options.store_uuid = IdOf('s', 1);
  options.host = IdOf('h', 1);
  return options;
}

inline std::shared_ptr<Index> MustOpen(const LmdbIndexOptions& options) {
  Result<std::shared_ptr<Index>> index = OpenLmdbIndex(PosixEnv(), options);
  EXPECT_TRUE(index.ok()) << index.status().ToString();
  return index.ok() ? *index : nullptr;
}

inline void MustPublish(Index* index, const IndexUpdate& update) {
  Result<bool> published = index->Publish(update);
  ASSERT_TRUE(published.ok()) << published.status().ToString();
  ASSERT_TRUE(*published);
}

// Where the index says a chunk is.
inline std::optional<ChunkPlace> Find(Index* index, std::uint64_t number) {
  Result<std::optional<ChunkPlace>> place = index->FindChunk(ChunkId(number));
  EXPECT_TRUE(place.ok());
  return place.ok() ? *place : std::nullopt;
}
inline bool SameEntry(const ChunkEntry& a, const ChunkEntry& b) {
  return a.id == b.id && a.offset == b.offset && a.stored_bytes == b.stored_bytes &&
         a.raw_bytes == b.raw_bytes && a.codec == b.codec && a.codec_param == b.codec_param &&
         a.base == b.base;
}
// How many of the chunks [first, first + count) are found; a wrong entry fails the test.
inline std::uint64_t CountFound(Index* index, std::uint64_t first, std::uint64_t count) {
  std::uint64_t found = 0;
  for (std::uint64_t number = first; number < first + count; ++number) {
    std::optional<ChunkPlace> place = Find(index, number);
    if (!place) continue;
    EXPECT_TRUE(SameEntry(place->entry, Chunk(number, place->entry.offset)));
    ++found;
  }
  return found;
}

using KeysAndValues = std::vector<std::pair<std::string, std::string>>;
inline KeysAndValues Scan(Index* index, std::string_view prefix, bool reverse = false) {
  KeysAndValues all;
  Status status =
      index->ScanRecords(AsBytes(prefix), reverse, [&](ByteSpan key, ByteSpan value, const Id128&) {
        all.emplace_back(AsText(key), AsText(value));
        return true;
      });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return all;
}

inline std::vector<PackCoverage> PacksOf(Index* index) {
  Result<std::vector<PackCoverage>> packs = index->Packs();
  EXPECT_TRUE(packs.ok()) << packs.status().ToString();
  return packs.ok() ? *packs : std::vector<PackCoverage>();
}

}  // namespace ckpt::index_test

#endif  // CKPT_TESTS_INDEX_INDEX_FIXTURE_H_
