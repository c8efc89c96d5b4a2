// Sessions: what a save costs the application, and how long a stop signal takes to be safe; beside
// what the machine can do, measured before each save.
//
// Ratios of medians are counters: "x_xxh3" is blocked time over one XXH3-128 pass by as many
// threads as the save has, "x_memcpy" (by one), "x_write" likewise; least_ms and most_ms are the
// spread. Sizes: $CKPT_BENCH_BYTES (1 GiB) of state, $CKPT_BENCH_TRIALS (1,000) signals. Stores are
// below $TMPDIR (/tmp), which should be a real disk.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "bench/temp_folder.h"
#include "store/codec/hash.h"
#include "store/io/quiet_thread.h"
#include "store/session/session.h"

namespace ckpt {
namespace {

constexpr std::size_t kChunkBytes = 64u << 10;

std::uint64_t Setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}
std::uint64_t StateBytes() { return Setting("CKPT_BENCH_BYTES", 1ull << 30); }

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::abort();
}

using State = std::vector<std::uint64_t>;

void Fill(State* state, std::uint64_t seed) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
  for (std::uint64_t& word : *state) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    word = x;
  }
}

State& SharedState() {
  static State state = [] {
    State made(StateBytes() / 8);
    Fill(&made, 1);
    return made;
  }();
  return state;
}

ByteSpan BytesOf(const State& state) { return std::as_bytes(std::span(state)); }

double Seconds(std::int64_t since_ns) {
  return static_cast<double>(PosixEnv()->MonotonicNs() - since_ns) * 1e-9;
}

// ---- limits ------------------------------------------------------------------------------------

// Seconds for the whole state.
double HashOnce(std::size_t threads = 1) {
  ByteSpan bytes = BytesOf(SharedState());
  const std::size_t share = bytes.size() / threads / kChunkBytes * kChunkBytes;
  const std::int64_t begin = PosixEnv()->MonotonicNs();
  Check(RunOnThreads(threads, [&](std::size_t thread) {
    const std::size_t end = thread + 1 == threads ? bytes.size() : (thread + 1) * share;
    for (std::size_t at = thread * share; at < end; at += kChunkBytes) {
      benchmark::DoNotOptimize(HashChunk(bytes.subspan(at, kChunkBytes)));
    }
  }));
  return Seconds(begin);
}

double CopyOnce() {
  const State& state = SharedState();
  static State copy(state.size());
  const std::int64_t begin = PosixEnv()->MonotonicNs();
  std::memcpy(copy.data(), state.data(), state.size() * 8);
  benchmark::ClobberMemory();
  return Seconds(begin);
}

double WriteAndSyncOnce() {
  const State& state = SharedState();
  TempFolder folder;
  const int fd = open((folder.path() + "/f").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  const std::int64_t begin = PosixEnv()->MonotonicNs();
  const char* from = reinterpret_cast<const char*>(state.data());
  for (std::size_t left = state.size() * 8; left > 0;) {
    const ssize_t wrote = write(fd, from, std::min<std::size_t>(left, 8u << 20));
    if (wrote <= 0) std::abort();
    from += wrote;
    left -= static_cast<std::size_t>(wrote);
  }
  if (fsync(fd) != 0) std::abort();
  const double took = Seconds(begin);
  close(fd);
  return took;
}

struct Samples {
  std::vector<double> blocked, hash, copy, write;
};
// Of every run so far: what the disk takes.
std::vector<double> g_write;

// ---- saves -------------------------------------------------------------------------------------

std::unique_ptr<Session> OpenSession(const std::string& folder, State* state,
                                     std::uint64_t buffer_bytes,
                                     Durability durability = Durability::kEachSave,
                                     std::size_t hash_threads = 1,
                                     ChangeDetection detection = ChangeDetection::kHash) {
  SessionOptions options;
  options.hash_threads = hash_threads;
  options.change_detection = detection;
  options.audit_saves = 0;
  options.every_steps = 1;
  options.buffer_bytes = buffer_bytes;
  options.durability = durability;
  options.on_stop = OnStop::kLeaveExit;
  auto session = Session::Open(PosixEnv(), folder + "/store", "bench", options);
  Check(session.status());
  ProtectedItem item;
  item.name = "x";
  ArrayShape shape;
  shape.dtype = Dtype::kUint64;
  shape.element_bytes = 8;
  item.locate = [state, shape]() -> Result<ArrayView> {
    ArrayShape now = shape;
    now.shape = {state->size()};
    return ArrayView{BytesOf(*state), now};
  };
  item.accepts = [](const ArrayShape&) { return Status(); };
  item.prepare = [state](const ArrayShape&) -> Result<MutableByteSpan> {
    return std::as_writable_bytes(std::span(*state));
  };
  Check((*session)->Protect(item));
  return *std::move(session);
}

void Report(benchmark::State& bench, const Samples& samples, const SessionReport& report) {
  const double blocked = Median(samples.blocked);
  bench.counters["blocked_ms"] = blocked * 1e3;
  bench.counters["least_ms"] =
      *std::min_element(samples.blocked.begin(), samples.blocked.end()) * 1e3;
  bench.counters["most_ms"] =
      *std::max_element(samples.blocked.begin(), samples.blocked.end()) * 1e3;
  bench.counters["xxh3_ms"] = Median(samples.hash) * 1e3;
  bench.counters["memcpy_ms"] = Median(samples.copy) * 1e3;
  bench.counters["write_ms"] = Median(samples.write) * 1e3;
  bench.counters["x_xxh3"] = blocked / Median(samples.hash);
  bench.counters["x_memcpy"] = blocked / Median(samples.copy);
  bench.counters["x_write"] = blocked / Median(samples.write);
  bench.counters["waited_s"] = report.last.waited_s;
  bench.counters["durable_s"] = report.last.durable_s;
}

// permille: how much changes between saves, in one block. Each save follows one measurement of each
// limit.
void Saves(benchmark::State& bench, std::uint64_t permille, std::uint64_t buffer_bytes,
           std::size_t threads = 1) {
  State& state = SharedState();
  TempFolder folder;
  auto session = OpenSession(folder.path(), &state, buffer_bytes, Durability::kEachSave, threads);
  std::int64_t step = 1;
  Check(session->Step(step).error);
  Check(session->Commit());
  Samples samples;
  for (auto _ : bench) {
    const std::size_t count = state.size() / 1000 * permille;
    const std::size_t at = count == state.size() ? 0
                                                 : (static_cast<std::size_t>(step) * count) %
                                                       (state.size() - count + 1);
    for (std::size_t i = 0; i < count; ++i) state[at + i] += static_cast<std::uint64_t>(step) | 1;
    samples.hash.push_back(HashOnce(threads));
    samples.copy.push_back(CopyOnce());
    samples.write.push_back(WriteAndSyncOnce());
    const std::int64_t begin = PosixEnv()->MonotonicNs();
    Check(session->Step(++step).error);
    samples.blocked.push_back(Seconds(begin));
    bench.SetIterationTime(samples.blocked.back());
    Check(session->Commit());
  }
  g_write.insert(g_write.end(), samples.write.begin(), samples.write.end());
  Report(bench, samples, session->Report());
  bench.SetBytesProcessed(bench.iterations() * static_cast<std::int64_t>(state.size() * 8));
}

// Nothing changed, or the first word of one page in a hundred, anywhere: by the kernel, and in
// turns by hashing all, two sessions of which see the same changes ("x_hashing").
void Tracked(benchmark::State& bench, std::size_t one_page_in) {
  constexpr std::size_t kPageWords = 4096 / sizeof(std::uint64_t);
  State& state = SharedState();
  const std::uint64_t buffer_bytes = StateBytes() / 2;
  TempFolder kernel_folder, hash_folder;
  auto kernel = OpenSession(kernel_folder.path(), &state, buffer_bytes, Durability::kEachSave, 1,
                            ChangeDetection::kKernel);
  auto hashing = OpenSession(hash_folder.path(), &state, buffer_bytes);
  Samples samples;
  std::vector<double> hashed;
  std::mt19937_64 random(11);
  std::int64_t step = 0;
  auto save = [&](Session* session) {
    const std::int64_t begin = PosixEnv()->MonotonicNs();
    Check(session->Step(step).error);
    const double took = Seconds(begin);
    Check(session->Commit());
    return took;
  };
  ++step;
  save(kernel.get());
  save(hashing.get());
  for (auto _ : bench) {
    const std::size_t pages = state.size() / kPageWords;
    for (std::size_t i = 0; one_page_in > 0 && i < pages / one_page_in; ++i) {
      state[random() % pages * kPageWords] = random();
    }
    ++step;
    samples.hash.push_back(HashOnce());
    samples.copy.push_back(CopyOnce());
    samples.write.push_back(WriteAndSyncOnce());
    hashed.push_back(save(hashing.get()));
    samples.blocked.push_back(save(kernel.get()));
    bench.SetIterationTime(samples.blocked.back());
  }
  const SessionReport report = kernel->Report();
  Report(bench, samples, report);
  bench.counters["x_hashing"] = Median(samples.blocked) / Median(hashed);
  bench.counters["vouched"] = static_cast<double>(report.last.vouched_bytes) /
                              static_cast<double>(report.last.logical_bytes);
  bench.counters["first_write_ms"] = report.last.first_write_s * 1e3;
}
void BM_Session_TrackedNothingChanged(benchmark::State& bench) { Tracked(bench, 0); }
BENCHMARK(BM_Session_TrackedNothingChanged)
    ->UseManualTime()
    ->Iterations(9)
    ->Unit(benchmark::kMillisecond);
void BM_Session_TrackedOnePageInHundred(benchmark::State& bench) { Tracked(bench, 100); }
BENCHMARK(BM_Session_TrackedOnePageInHundred)
    ->UseManualTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

void BM_Session_NothingChanged(benchmark::State& bench) { Saves(bench, 0, 64u << 20); }
BENCHMARK(BM_Session_NothingChanged)->UseManualTime()->Iterations(5)->Unit(benchmark::kMillisecond);

std::size_t Cores() { return std::max(2u, std::thread::hardware_concurrency()); }

void BM_Session_NothingChangedAllCores(benchmark::State& bench) {
  Saves(bench, 0, 64u << 20, Cores());
}
BENCHMARK(BM_Session_NothingChangedAllCores)
    ->UseManualTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

void BM_Session_AllChangedAllCores(benchmark::State& bench) {
  Saves(bench, 1000, StateBytes() + (16u << 20), Cores());
}
BENCHMARK(BM_Session_AllChangedAllCores)
    ->UseManualTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

void BM_Session_OnePercentChanged(benchmark::State& bench) { Saves(bench, 10, 64u << 20); }
BENCHMARK(BM_Session_OnePercentChanged)
    ->UseManualTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

void BM_Session_AllChangedBufferAsState(benchmark::State& bench) {
  Saves(bench, 1000, StateBytes() + (16u << 20));
}
BENCHMARK(BM_Session_AllChangedBufferAsState)
    ->UseManualTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

void BM_Session_AllChangedDefaultBuffer(benchmark::State& bench) { Saves(bench, 1000, 64u << 20); }
BENCHMARK(BM_Session_AllChangedDefaultBuffer)
    ->UseManualTime()
    ->Iterations(5)
    ->Unit(benchmark::kMillisecond);

// ---- signals -----------------------------------------------------------------------------------

// Of each store, which is deleted then: a trial leaves some 12 MiB.
constexpr std::size_t kTrialsOfStore = 100;

// SIGTERM while the main thread computes, with checkpoints captured and not durable; the time until
// all of them are. "over": trials above 100 ms + those bytes at the rate of write + fsync.
void BM_Session_StopToDurable(benchmark::State& bench) {
  State state(1u << 19);  // 4 MiB
  Fill(&state, 3);
  // All of a trial's saves fit. Opening touches it, which took longer than the rest of a trial.
  constexpr std::uint64_t kBufferBytes = 16u << 20;
  std::optional<TempFolder> folder;
  std::mt19937_64 random(5);
  std::vector<double> seconds;
  double over = 0;
  if (g_write.empty()) g_write.push_back(WriteAndSyncOnce());
  const double rate = static_cast<double>(StateBytes()) / Median(g_write);
  for (auto _ : bench) {
    if (seconds.size() % kTrialsOfStore == 0) folder.emplace();
    auto session = OpenSession(folder->path(), &state, kBufferBytes, Durability::kOnRequest);
    Check(session->Restore().status());
    std::int64_t step = static_cast<std::int64_t>(seconds.size()) * 4;
    for (int saves = 0; saves < 3; ++saves) {
      for (std::size_t i = 0; i < state.size(); i += 1 + random() % 4096) state[i] = random();
      Check(session->Step(++step).error);
    }
    const std::int64_t until =
        PosixEnv()->MonotonicNs() + static_cast<std::int64_t>(random() % 8000000);
    while (PosixEnv()->MonotonicNs() < until) {
    }
    const auto bytes = static_cast<double>(session->Report().undurable_bytes);
    const std::int64_t begin = PosixEnv()->MonotonicNs();
    raise(SIGTERM);
    double computed = 0;
    while (session->Report().stop_to_durable_s < 0) {
      // Some 0.2 ms: each look takes the lock that the helper thread needs.
      for (int i = 0; i < 100000; ++i) benchmark::DoNotOptimize(computed += i);
    }
    const double took = Seconds(begin);
    bench.SetIterationTime(took);
    seconds.push_back(took);
    if (took > 0.1 + bytes / rate) ++over;
    if (session->Report().durable_step != step) std::abort();
    if (session->Finish(false).exit_code != 128 + SIGTERM) std::abort();
  }
  std::sort(seconds.begin(), seconds.end());
  auto at = [&](double share) {
    return seconds[static_cast<std::size_t>(share * static_cast<double>(seconds.size() - 1))] * 1e3;
  };
  bench.counters["p50_ms"] = at(0.5);
  bench.counters["p999_ms"] = at(0.999);
  bench.counters["worst_ms"] = at(1);
  bench.counters["over"] = over;
}
BENCHMARK(BM_Session_StopToDurable)
    ->UseManualTime()
    ->Iterations(static_cast<std::int64_t>(Setting("CKPT_BENCH_TRIALS", 1000)))
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ckpt
