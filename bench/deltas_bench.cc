// What a computation whose chunks all change a little stores, and how fast: a front that moves
// through a field of doubles, along all rows at once, so that each step changes a few cells in one
// or several places of every chunk.
//
// In the same run: chunks of 4 KiB and of 64 KiB that are stored in full (series of one checkpoint
// each, which have nothing that a difference could be taken from).

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "bench/temp_folder.h"
#include "store/engine/array_io.h"
#include "store/engine/store.h"

namespace ckpt {
namespace {

constexpr std::size_t kCells = 1u << 21;  // 16 MiB
constexpr int kSteps = 40;

enum Behind : std::int64_t { kConstant, kSmooth, kNoise };
const char* const kBehind[] = {"a constant is left behind", "a smooth field is left behind",
                               "noise is left behind"};

class Front {
 public:
  Front(std::int64_t behind, std::size_t columns, std::size_t cells_a_step)
      : behind_(behind), columns_(columns), cells_a_step_(cells_a_step), cells_(kCells) {
    for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i] = Noise();
  }
  void Step() {
    for (std::size_t row = 0; row < kCells / columns_; ++row) {
      for (std::size_t i = 0; i < cells_a_step_; ++i) {
        double& cell = cells_[row * columns_ + (at_ + i) % columns_];
        if (behind_ == kConstant) cell = 1;
        if (behind_ == kSmooth) cell = std::tanh(0.01 * static_cast<double>(row) + cell);
        if (behind_ == kNoise) cell = Noise();
      }
    }
    at_ += cells_a_step_;
  }
  const std::vector<double>& cells() const { return cells_; }

 private:
  double Noise() { return 1 + static_cast<double>(random_()) * 0x1p-64; }

  const std::int64_t behind_;
  const std::size_t columns_, cells_a_step_;
  std::mt19937_64 random_{1};
  std::vector<double> cells_;
  std::size_t at_ = 0;
};

class Run {
 public:
  Run(const std::string& path, std::uint32_t chunk_bytes, bool deltas) : one_series_(deltas) {
    OpenStoreOptions options;
    options.mode = OpenStoreOptions::Mode::kCreate;
    options.format.array_chunk_bytes = chunk_bytes;
    options.deltas = deltas;
    store_ = Must(Store::Open(PosixEnv(), path, options));
  }

  // The bytes that the store grew by.
  double Save(const Front& front) {
    SaveOptions options;
    options.series = one_series_ ? "run" : "step" + std::to_string(saves_);
    ++saves_;
    auto writer = Must(ArrayWriter::Begin(store_.get(), options));
    ArrayShape shape;
    shape.dtype = Dtype::kFloat64;
    shape.shape = {kCells};
    Check(writer->Put("field", std::as_bytes(std::span(front.cells())), shape));
    return static_cast<double>(Must(writer->End()).stored_bytes);
  }

 private:
  static void Check(const Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    std::abort();
  }
  template <typename T>
  static T Must(Result<T> result) {
    Check(result.status());
    return *std::move(result);
  }

  const bool one_series_;
  std::unique_ptr<Store> store_;
  int saves_ = 0;
};

void BM_Deltas_MovingFront(benchmark::State& state) {
  state.SetLabel(kBehind[state.range(0)]);
  double deltas = 0, small = 0, large = 0, first = 0;
  for (auto _ : state) {
    state.PauseTiming();
    TempFolder folder(false);
    Front front(state.range(0), static_cast<std::size_t>(state.range(1)),
                static_cast<std::size_t>(state.range(2)));
    Run with(folder.path() + "/deltas", 65536, true);
    Run of_4k(folder.path() + "/4k", 4096, false);
    Run of_64k(folder.path() + "/64k", 65536, false);
    first = with.Save(front);
    of_4k.Save(front);
    of_64k.Save(front);
    for (int step = 0; step < kSteps; ++step) {
      front.Step();
      small += of_4k.Save(front);
      large += of_64k.Save(front);
      state.ResumeTiming();
      deltas += with.Save(front);
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
  state.counters["step_KiB"] = deltas / kSteps / static_cast<double>(state.iterations()) / 1024;
  state.counters["of_first"] = deltas / kSteps / static_cast<double>(state.iterations()) / first;
  state.counters["to_4KiB_chunks"] = deltas / small;
  state.counters["to_64KiB_chunks"] = deltas / large;
}
BENCHMARK(BM_Deltas_MovingFront)
    ->ArgNames({"behind", "columns", "cells"})
    ->ArgsProduct({{kConstant, kSmooth, kNoise}, {1024}, {8}})
    ->ArgsProduct({{kConstant, kSmooth, kNoise}, {8192}, {64}})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1)
    ->UseRealTime();

}  // namespace
}  // namespace ckpt
