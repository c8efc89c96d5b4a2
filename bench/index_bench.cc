// The index: bulk building, random growth, look-ups, scans; bytes a chunk as a counter.
// CKPT_BENCH_CHUNKS (default 200,000) sets the size; the figures in docs are for 10,000,000.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/temp_folder.h"
#include "store/index/lmdb_index.h"
#include "store/index/memory_index.h"

namespace ckpt {
namespace {

std::uint64_t ChunksWanted() {
  const char* text = std::getenv("CKPT_BENCH_CHUNKS");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 200'000;
}

// The ids of a fixed seed, in order of creation.
std::vector<Id128> Ids(std::uint64_t count) {
  std::mt19937_64 random(1);
  std::vector<Id128> ids(count);
  for (Id128& id : ids) {
    std::uint64_t words[2] = {random(), random()};
    std::memcpy(id.bytes.data(), words, sizeof(words));
  }
  return ids;
}

ChunkEntry Entry(const Id128& id, std::uint64_t number) {
  ChunkEntry entry;
  entry.id = id;
  entry.offset = 4096 + number * 40'000;
  entry.stored_bytes = 39'000;
  entry.raw_bytes = 65'536;
  entry.codec = 1;
  return entry;
}

Id128 Pack() {
  Id128 id;
  id.bytes.fill(7);
  return id;
}
PackCoverage Coverage(std::uint64_t chunks) { return {Pack(), 4096 + chunks * 40'000, 4096, 1}; }

struct TempIndex {
  TempIndex() {
    LmdbIndexOptions options;
    options.path = folder.path() + "/index";
    index = *OpenLmdbIndex(PosixEnv(), options);
  }
  TempFolder folder;
  std::shared_ptr<Index> index;  // goes first
};

void Check(const Status& status) {
  if (!status.ok()) std::abort();
}

void Build(const std::shared_ptr<Index>& index, const std::vector<Id128>& sorted) {
  auto builder = *StartRebuild(index);
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    Check(builder->AddChunk(Pack(), Entry(sorted[i], i)));
  }
  Check(builder->Finish({Coverage(sorted.size())}));
}

// Publishes all ids in the order of their creation, `step` chunks at a time.
void Publish(Index* index, const std::vector<Id128>& ids, std::uint64_t step) {
  for (std::uint64_t at = 0; at < ids.size(); at += step) {
    std::uint64_t end = std::min<std::uint64_t>(ids.size(), at + step);
    PackUpdate update;
    update.coverage = Coverage(end);
    update.covered_before = at == 0 ? 0 : Coverage(at).covered_bytes;
    for (std::uint64_t i = at; i < end; ++i) update.chunks.push_back(Entry(ids[i], i));
    IndexUpdate all;
    all.packs.push_back(std::move(update));
    Check(index->Publish(all).status());
  }
}

void Report(benchmark::State& state, Index* index, std::uint64_t chunks) {
  IndexStats stats = *index->Stats();
  state.counters["bytes_a_chunk"] =
      static_cast<double>(stats.bytes) / static_cast<double>(stats.chunks);
  state.SetItemsProcessed(static_cast<std::int64_t>(chunks) * state.iterations());
}

void BM_LmdbIndex_Rebuild(benchmark::State& state) {
  std::vector<Id128> ids = Ids(ChunksWanted());
  std::sort(ids.begin(), ids.end());
  TempIndex temp;
  for (auto _ : state) Build(temp.index, ids);
  Report(state, temp.index.get(), ids.size());
}
BENCHMARK(BM_LmdbIndex_Rebuild)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(1);

void BM_LmdbIndex_GrowAtRandom(benchmark::State& state) {
  std::vector<Id128> ids = Ids(ChunksWanted());
  TempIndex temp;
  for (auto _ : state) Publish(temp.index.get(), ids, 100'000);
  Report(state, temp.index.get(), ids.size());
}
BENCHMARK(BM_LmdbIndex_GrowAtRandom)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(1);

void BM_LmdbIndex_PublishSmall(benchmark::State& state) {
  TempIndex temp;
  std::vector<Id128> ids = Ids(100'000);
  std::uint64_t at = 0;
  for (auto _ : state) {
    PackUpdate update;
    update.coverage = Coverage(at + 16);
    update.covered_before = at == 0 ? 0 : Coverage(at).covered_bytes;
    for (std::uint64_t i = at; i < at + 16; ++i) update.chunks.push_back(Entry(ids[i], i));
    IndexUpdate all;
    all.packs.push_back(std::move(update));
    Check(temp.index->Publish(all).status());
    at += 16;
  }
}
BENCHMARK(BM_LmdbIndex_PublishSmall)->UseRealTime()->Iterations(200);

void BM_LmdbIndex_FindChunk(benchmark::State& state) {
  static std::vector<Id128> ids;
  static std::unique_ptr<TempIndex> temp;
  if (state.thread_index() == 0) {
    ids = Ids(ChunksWanted());
    std::sort(ids.begin(), ids.end());
    temp = std::make_unique<TempIndex>();
    Build(temp->index, ids);
  }
  std::uint64_t random = 1 + static_cast<std::uint64_t>(state.thread_index());
  for (auto _ : state) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    auto place = temp->index->FindChunk(ids[(random >> 20) % ids.size()]);
    if (!place.ok() || !*place) std::abort();
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) temp.reset();
}
BENCHMARK(BM_LmdbIndex_FindChunk)->UseRealTime()->Threads(1)->Threads(2);

void BM_LmdbIndex_ScanRecords(benchmark::State& state) {
  TempIndex temp;
  PackUpdate update;
  update.coverage = Coverage(1);
  for (int i = 0; i < 100'000; ++i) {
    std::string key = "m/series/" + std::to_string(10'000'000 + i);
    ByteSpan span = AsBytes(key);
    update.records.push_back({Bytes(span.begin(), span.end()), Bytes(150)});
  }
  IndexUpdate all;
  all.packs.push_back(std::move(update));
  Check(temp.index->Publish(all).status());
  std::int64_t wanted = state.range(0);
  for (auto _ : state) {
    std::int64_t seen = 0;
    Check(temp.index->ScanRecords(
        AsBytes("m/"), true, [&](ByteSpan, ByteSpan, const Id128&) { return ++seen < wanted; }));
    if (seen != wanted) std::abort();
  }
}
BENCHMARK(BM_LmdbIndex_ScanRecords)->Arg(10)->Arg(100'000)->Unit(benchmark::kMicrosecond);

void BM_MemoryIndex_GrowAtRandom(benchmark::State& state) {
  std::vector<Id128> ids = Ids(ChunksWanted());
  std::unique_ptr<Index> index;
  for (auto _ : state) {
    index = NewMemoryIndex();
    Publish(index.get(), ids, 100'000);
  }
  Report(state, index.get(), ids.size());
}
BENCHMARK(BM_MemoryIndex_GrowAtRandom)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace ckpt
