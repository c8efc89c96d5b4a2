// The store from outside, through ckpt.h: saving and restoring arrays, a store of many checkpoints,
// one of many chunks; and in the same run what the machine itself can do (BM_Limit_*).
//
// "synced:1" works below $TMPDIR (/tmp) on a real disk, where a save ends with fdatasync;
// "synced:0" in memory (/dev/shm), where that costs nothing. Sizes: $CKPT_BENCH_BYTES (256 MiB) a
// checkpoint, $CKPT_BENCH_CHECKPOINTS (10,000), $CKPT_BENCH_CHUNKS (200,000). $CKPT_BENCH_STORE:
// where the store of many checkpoints is made, and left for others to look at.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/temp_folder.h"
#include "ckpt/ckpt.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

std::uint64_t Setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}
std::uint64_t StateBytes() { return Setting("CKPT_BENCH_BYTES", 256 * kMiB); }

void Check(ckpt_code code) {
  if (code == CKPT_OK) return;
  std::fprintf(stderr, "%s\n", ckpt_error_message());
  std::abort();
}

// The most memory this process had since, the index's mapped pages included.
void ForgetPeakMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }
double PeakMemoryMib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib / 1024;
  }
  return 0;
}

struct CloseStore {
  void operator()(ckpt_store* store) const { ckpt_store_close(store); }
};
using StorePtr = std::unique_ptr<ckpt_store, CloseStore>;

StorePtr Open(const std::string& path, ckpt_open_mode mode, std::uint32_t array_chunk_bytes = 0) {
  ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
  options.mode = mode;
  options.array_chunk_bytes = array_chunk_bytes;
  ckpt_store* store = nullptr;
  Check(ckpt_store_open(path.c_str(), &options, &store));
  return StorePtr(store);
}

ckpt_save_result Save(ckpt_store* store, const char* series,
                      const std::vector<std::uint8_t>& data) {
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = series;
  ckpt_writer* writer = nullptr;
  Check(ckpt_begin(store, &options, &writer));
  const std::uint64_t shape[1] = {data.size()};
  Check(ckpt_put(writer, "state", data.data(), CKPT_UINT8, 0, 1, shape));
  ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
  Check(ckpt_end(writer, &result));
  return result;
}

void Fill(std::uint8_t* data, std::size_t bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t at = 0; at < bytes; at += 8) {
    const std::uint64_t word = random();
    std::memcpy(data + at, &word, std::min<std::size_t>(8, bytes - at));
  }
}

const std::vector<std::uint8_t>& RandomState() {
  static const std::vector<std::uint8_t> state = [] {
    std::vector<std::uint8_t> made(StateBytes());
    Fill(made.data(), made.size(), 1);
    return made;
  }();
  return state;
}

void SetBytes(benchmark::State& state, std::uint64_t bytes_each) {
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes_each) * state.iterations());
}

// logical / stored of a save; one that stores nothing counts as a byte.
void SetRatio(benchmark::State& state, const ckpt_save_result& saved) {
  state.counters["dedup_ratio"] = static_cast<double>(saved.logical_bytes) /
                                  static_cast<double>(std::max<std::uint64_t>(saved.new_bytes, 1));
  state.counters["stored_MiB"] =
      static_cast<double>(saved.stored_bytes) / static_cast<double>(kMiB);
}

// ---- what the machine can do -------------------------------------------------------------------

void BM_Limit_Memcpy(benchmark::State& state) {
  const std::vector<std::uint8_t>& from = RandomState();
  std::vector<std::uint8_t> to(from.size());
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), from.size());
    benchmark::ClobberMemory();
  }
  SetBytes(state, from.size());
}
BENCHMARK(BM_Limit_Memcpy)->Unit(benchmark::kMillisecond)->UseRealTime();

// As xxHash is compiled here, one thread; the library chooses its own variant at run time.
void BM_Limit_Xxh3(benchmark::State& state) {
  const std::vector<std::uint8_t>& data = RandomState();
  for (auto _ : state) {
    for (std::size_t at = 0; at < data.size(); at += 65536) {
      const std::size_t bytes = std::min<std::size_t>(65536, data.size() - at);
      benchmark::DoNotOptimize(XXH3_128bits(data.data() + at, bytes));
    }
  }
  SetBytes(state, data.size());
}
BENCHMARK(BM_Limit_Xxh3)->Unit(benchmark::kMillisecond)->UseRealTime();

// Writes the state into a new file in pieces of 4 MiB, with fdatasync. direct:1 is O_DIRECT.
void BM_Limit_Write(benchmark::State& state) {
  const std::vector<std::uint8_t>& data = RandomState();
  constexpr std::size_t kPiece = 4 * kMiB;
  void* piece = std::aligned_alloc(4096, kPiece);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | (state.range(0) != 0 ? O_DIRECT : 0);
  TempFolder folder(true);
  const std::string path = folder.path() + "/file";
  for (auto _ : state) {
    state.PauseTiming();
    std::filesystem::remove(path);
    sync();
    state.ResumeTiming();
    const int fd = open(path.c_str(), flags, 0600);
    for (std::size_t at = 0; at + kPiece <= data.size() && fd >= 0; at += kPiece) {
      std::memcpy(piece, data.data() + at, kPiece);
      if (write(fd, piece, kPiece) != static_cast<ssize_t>(kPiece)) state.SkipWithError("write");
    }
    if (fd < 0 || fdatasync(fd) != 0) state.SkipWithError("open or fdatasync");
    if (fd >= 0) close(fd);
  }
  std::free(piece);
  SetBytes(state, data.size() / kPiece * kPiece);
}
BENCHMARK(BM_Limit_Write)
    ->ArgName("direct")
    ->Arg(0)
    ->Arg(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(3);

// ---- saving and restoring ----------------------------------------------------------------------

void BM_Store_SaveFirst(benchmark::State& state) {
  const std::vector<std::uint8_t>& data = RandomState();
  ckpt_save_result saved = CKPT_SAVE_RESULT_INIT;
  for (auto _ : state) {
    state.PauseTiming();
    {
      TempFolder folder(state.range(0) != 0);
      StorePtr store = Open(folder.path() + "/s", CKPT_OPEN_CREATE);
      sync();
      state.ResumeTiming();
      saved = Save(store.get(), "series", data);
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
  SetBytes(state, data.size());
  SetRatio(state, saved);
}
BENCHMARK(BM_Store_SaveFirst)
    ->ArgName("synced")
    ->Arg(0)
    ->Arg(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(3);

// A contiguous share of the state, in 1/1000, differs from the save before.
void BM_Store_SaveChanged(benchmark::State& state) {
  std::vector<std::uint8_t> data = RandomState();
  TempFolder folder(state.range(0) != 0);
  StorePtr store = Open(folder.path() + "/s", CKPT_OPEN_CREATE);
  Save(store.get(), "series", data);
  const std::size_t changed = data.size() / 1000 * static_cast<std::size_t>(state.range(1));
  const std::size_t begin = (data.size() - changed) / 3;
  std::uint64_t seed = 2;
  ckpt_save_result saved = CKPT_SAVE_RESULT_INIT;
  for (auto _ : state) {
    state.PauseTiming();
    Fill(data.data() + begin, changed, seed++);
    sync();
    state.ResumeTiming();
    saved = Save(store.get(), "series", data);
  }
  SetBytes(state, data.size());
  SetRatio(state, saved);
}
BENCHMARK(BM_Store_SaveChanged)
    ->ArgNames({"synced", "permille"})
    ->ArgsProduct({{0, 1}, {0, 10, 100}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(5);

void BM_Store_Restore(benchmark::State& state) {
  const std::vector<std::uint8_t>& data = RandomState();
  TempFolder folder(state.range(0) != 0);
  StorePtr store = Open(folder.path() + "/s", CKPT_OPEN_CREATE);
  Save(store.get(), "series", data);
  std::vector<std::uint8_t> back(data.size());
  for (auto _ : state) {
    ckpt_reader* reader = nullptr;
    Check(ckpt_read(store.get(), "series", &reader));
    Check(ckpt_get(reader, "state", back.data(), back.size()));
    ckpt_reader_close(reader);
  }
  if (back != data) state.SkipWithError("other bytes came back");
  SetBytes(state, data.size());
}
BENCHMARK(BM_Store_Restore)
    ->ArgName("synced")
    ->Arg(0)
    ->Arg(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(5);

// ---- many checkpoints --------------------------------------------------------------------------

std::uint64_t Checkpoints() { return Setting("CKPT_BENCH_CHECKPOINTS", 10'000); }

// A store of Checkpoints() checkpoints of 4 KiB: nine tenths of them in the series "melt", the rest
// in ten others. Made once a run.
const std::string& ManyStore() {
  static TempFolder folder(false);
  static const std::string path = [] {
    const char* wanted = std::getenv("CKPT_BENCH_STORE");
    std::string made = wanted != nullptr ? wanted : folder.path() + "/many.ckpt";
    std::filesystem::create_directories(std::filesystem::path(made).parent_path());
    StorePtr store = Open(made, CKPT_OPEN_CREATE_NEW);
    std::vector<std::uint8_t> data(4096);
    for (std::uint64_t i = 0; i < Checkpoints(); ++i) {
      Fill(data.data(), data.size(), i);
      const std::string series = i % 10 == 0 ? "other-" + std::to_string(i / 10 % 10) : "melt";
      Save(store.get(), series.c_str(), data);
    }
    return made;
  }();
  return path;
}

void BM_Store_ManyOpen(benchmark::State& state) {
  const std::string& path = ManyStore();
  for (auto _ : state) Open(path, static_cast<ckpt_open_mode>(state.range(0)));
  state.counters["checkpoints"] = static_cast<double>(Checkpoints());
}
BENCHMARK(BM_Store_ManyOpen)
    ->ArgName("mode")
    ->Arg(CKPT_OPEN_READ)
    ->Arg(CKPT_OPEN_WRITE)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void BM_Store_ManyListLast10(benchmark::State& state) {
  const std::string& path = ManyStore();
  ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
  options.series = "melt";
  options.last = 10;
  for (auto _ : state) {
    StorePtr store = Open(path, CKPT_OPEN_READ);
    int seen = 0;
    Check(ckpt_list(
        store.get(), &options,
        [](const ckpt_checkpoint*, void* user) {
          ++*static_cast<int*>(user);
          return 0;
        },
        &seen));
    if (seen != 10) state.SkipWithError("other than 10 were listed");
  }
  state.counters["checkpoints"] = static_cast<double>(Checkpoints());
}
BENCHMARK(BM_Store_ManyListLast10)->Unit(benchmark::kMillisecond)->UseRealTime();

// ---- many chunks -------------------------------------------------------------------------------

// Random chunks of 512 bytes, in 20 checkpoints: the index grows at random; then it is rebuilt from
// the packs, warm. Manual time: that of ckpt_reindex.
void BM_Store_Reindex(benchmark::State& state) {
  constexpr std::uint64_t kChunk = 512, kSaves = 20;
  const std::uint64_t wanted = Setting("CKPT_BENCH_CHUNKS", 200'000);
  TempFolder folder(true);
  const std::string path = folder.path() + "/s";
  {
    StorePtr store = Open(path, CKPT_OPEN_CREATE, kChunk);
    std::vector<std::uint8_t> data(wanted / kSaves * kChunk);
    for (std::uint64_t i = 0; i < kSaves; ++i) {
      Fill(data.data(), data.size(), 100 + i);
      Save(store.get(), "series", data);
    }
  }
  // Looks at the whole index that grew, which is mapped for as long as that store is open.
  ckpt_stats stats = CKPT_STATS_INIT;
  Check(ckpt_get_stats(Open(path, CKPT_OPEN_WRITE).get(), &stats));
  StorePtr store = Open(path, CKPT_OPEN_WRITE);
  ckpt_reindex_result result = CKPT_REINDEX_RESULT_INIT;
  std::vector<double> seconds;
  ForgetPeakMemory();
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    Check(ckpt_reindex(store.get(), &result));
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    state.SetIterationTime(seconds.back());
  }
  std::sort(seconds.begin(), seconds.end());
  const double chunks = static_cast<double>(result.chunks);
  state.SetItemsProcessed(static_cast<std::int64_t>(result.chunks) * state.iterations());
  state.counters["chunks"] = chunks;
  state.counters["median_rate"] = chunks / seconds[seconds.size() / 2];
  state.counters["peak_mib"] = PeakMemoryMib();
  state.counters["grown_bytes_a_chunk"] = static_cast<double>(stats.index_bytes) / chunks;
  state.counters["bytes_a_chunk"] = static_cast<double>(result.index_bytes) / chunks;
}
BENCHMARK(BM_Store_Reindex)->Unit(benchmark::kMillisecond)->UseManualTime()->Iterations(3);

}  // namespace
}  // namespace ckpt
