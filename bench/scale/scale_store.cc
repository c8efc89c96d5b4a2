// Simulated stores of many chunks and checkpoints, made by the store's own writer, and the calls
// that bench/scale/run measures in a process of its own each.
//
//   scale_store make STORE CHUNKS     a series of 100 checkpoints for each 100,000 chunks
//   scale_store open STORE            opens it for reading
//   scale_store lookup STORE CHUNKS   10,000 ids of it at random, and as many that it has not
//   scale_store commit STORE CHUNKS   one more checkpoint of the last series, 1 % changed
//
// A series has a state of 10,000 chunks of 512 bytes, of which 910 in a row are new with each step;
// 16 bytes of a chunk are its own and the rest zeros, so that it takes little disk. Prints the
// seconds that the call itself took. Thread rule: one thread.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ckpt/ckpt.h"
#include "store/codec/hash.h"
#include "store/engine/store.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kChunkBytes = 512;
constexpr std::uint64_t kStateChunks = 10'000;
constexpr std::uint64_t kSteps = 100;
constexpr std::uint64_t kChangedChunks = 910;
constexpr std::uint64_t kSeriesChunks = kStateChunks + (kSteps - 1) * kChangedChunks;
// A pack has some 75,000 of these chunks; one of 512 MiB would have four millions, where it has
// 8192 of 64 KiB.
constexpr std::uint64_t kPackBytes = 8u << 20;
constexpr std::uint64_t kWriters = 6;  // processes, as each save waits for the disk
constexpr int kLookups = 10'000;

void Check(ckpt_code code) {
  if (code == CKPT_OK) return;
  std::fprintf(stderr, "%s\n", ckpt_error_message());
  std::exit(1);
}

std::uint64_t SeriesOf(std::uint64_t chunks) {
  return (chunks + kSeriesChunks - 1) / kSeriesChunks;
}

// The n-th chunk of a series.
void FillChunk(std::uint8_t* out, std::uint64_t series, std::uint64_t n) {
  const std::uint64_t words[2] = {(series + 1) * 0x9E3779B97F4A7C15, (n + 1) * 0xC2B2AE3D27D4EB4F};
  std::memset(out, 0, kChunkBytes);
  std::memcpy(out, words, sizeof(words));
}

// A series' memory, step by step.
class State {
 public:
  explicit State(std::uint64_t series) : series_(series), bytes_(kStateChunks * kChunkBytes) {
    Change(0, kStateChunks);
  }
  void Step(std::uint64_t chunks) {
    Change(at_, chunks);
    at_ = (at_ + chunks) % kStateChunks;
  }
  const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  void Change(std::uint64_t at, std::uint64_t chunks) {
    for (std::uint64_t i = 0; i < chunks; ++i, ++made_) {
      FillChunk(&bytes_[(at + i) % kStateChunks * kChunkBytes], series_, made_);
    }
  }

  const std::uint64_t series_;
  std::vector<std::uint8_t> bytes_;
  std::uint64_t at_ = 0;
  std::uint64_t made_ = 0;
};

struct CloseStore {
  void operator()(ckpt_store* store) const { ckpt_store_close(store); }
};
using StorePtr = std::unique_ptr<ckpt_store, CloseStore>;

StorePtr OpenStore(const std::string& path, ckpt_open_mode mode) {
  ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
  options.mode = mode;
  options.array_chunk_bytes = kChunkBytes;
  options.pack_bytes = kPackBytes;
  options.threads = 1;
  options.no_verify = 1;
  ckpt_store* store = nullptr;
  Check(ckpt_store_open(path.c_str(), &options, &store));
  return StorePtr(store);
}

void Save(ckpt_store* store, std::uint64_t series, const State& state) {
  const std::string name = "series-" + std::to_string(series);
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = name.c_str();
  ckpt_writer* writer = nullptr;
  Check(ckpt_begin(store, &options, &writer));
  const std::uint64_t shape[1] = {state.bytes().size()};
  Check(ckpt_put(writer, "state", state.bytes().data(), CKPT_UINT8, 0, 1, shape));
  ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
  Check(ckpt_end(writer, &result));
}

namespace fs = std::filesystem;

// The series that are this writer's. Each is made in a copy of the empty store, which has a small
// index of its own, and its packs are then moved to the others: a store put together from packs of
// copies is a store.
void MakeSeries(const fs::path& path, std::uint64_t writer, std::uint64_t end) {
  const fs::path empty = path.string() + ".empty";
  const fs::path copy = path.string() + ".writer-" + std::to_string(writer);
  for (std::uint64_t series = writer; series < end; series += kWriters) {
    fs::copy(empty, copy, fs::copy_options::recursive);
    {
      StorePtr store = OpenStore(copy.string(), CKPT_OPEN_WRITE);
      State state(series);
      Save(store.get(), series, state);
      for (std::uint64_t step = 1; step < kSteps; ++step) {
        state.Step(kChangedChunks);
        Save(store.get(), series, state);
      }
    }
    for (const auto& pack : fs::directory_iterator(copy / "packs")) {
      const fs::path to = path / "packs" / pack.path().filename();
      if (!fs::exists(to)) fs::rename(pack.path(), to);  // all have one reserve
    }
    fs::remove_all(copy);
  }
}

void Make(const std::string& path, std::uint64_t chunks) {
  OpenStore(path, CKPT_OPEN_CREATE_NEW).reset();
  const fs::path empty = path + ".empty";
  fs::copy(path, empty, fs::copy_options::recursive);
  fs::remove_all(empty / "index");
  for (std::uint64_t writer = 0; writer < kWriters; ++writer) {
    const pid_t child = fork();
    if (child == 0) {
      MakeSeries(path, writer, SeriesOf(chunks));
      std::exit(0);
    }
    if (child < 0) {
      std::perror("fork");
      std::exit(1);
    }
  }
  bool failed = false;
  for (int status = 0; wait(&status) > 0;) failed = failed || status != 0;
  fs::remove_all(empty);
  if (failed) std::exit(1);
}

void Lookup(const std::string& path, std::uint64_t chunks) {
  auto store = Store::Open(PosixEnv(), path, {});
  Status opened = store.ok() ? (*store)->Refresh() : store.status();
  if (!opened.ok()) {
    std::fprintf(stderr, "%s\n", opened.message().c_str());
    std::exit(1);
  }
  std::mt19937_64 random(1);
  std::uint8_t chunk[kChunkBytes];
  for (int i = 0; i < 2 * kLookups; ++i) {
    const bool there = i % 2 == 0;
    FillChunk(chunk, random() % SeriesOf(chunks), random() % kSeriesChunks);
    if (!there) chunk[kChunkBytes - 1] = 1;
    const Id128 id = HashChunk(std::as_bytes(std::span(chunk)));
    if ((*store)->FindDurable(id).has_value() == there) continue;
    std::fprintf(stderr, "chunk %s is %s\n", id.ToHex().c_str(), there ? "not found" : "found");
    std::exit(1);
  }
}

void Commit(const std::string& path, std::uint64_t chunks) {
  const std::uint64_t series = SeriesOf(chunks) - 1;
  State state(series);
  for (std::uint64_t step = 1; step < kSteps; ++step) state.Step(kChangedChunks);
  state.Step(kStateChunks / 100);
  const auto begin = std::chrono::steady_clock::now();
  StorePtr store = OpenStore(path, CKPT_OPEN_WRITE);
  Save(store.get(), series, state);
  store.reset();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%.9f\n", took.count());
}

int Usage() {
  std::fprintf(stderr, "usage: scale_store make|open|lookup|commit STORE [CHUNKS]\n");
  return 2;
}

int Run(int argc, char** argv) {
  if (argc < 3) return Usage();
  const std::string what = argv[1], path = argv[2];
  const std::uint64_t chunks = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 0;
  const auto begin = std::chrono::steady_clock::now();
  if (what == "open") {
    OpenStore(path, CKPT_OPEN_READ);
  } else if (chunks == 0) {
    return Usage();
  } else if (what == "make") {
    Make(path, chunks);
  } else if (what == "lookup") {
    Lookup(path, chunks);
  } else if (what == "commit") {
    Commit(path, chunks);  // without the time that it takes to make the state
    return 0;
  } else {
    return Usage();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::printf("%.9f\n", took.count());
  return 0;
}

}  // namespace
}  // namespace ckpt

int main(int argc, char** argv) { return ckpt::Run(argc, argv); }
