// What a store would do to files, for fixed and content-defined chunks of 4, 16, 64 and 256 KiB:
// how much of them is distinct, and what that takes compressed. Reads the data once for all eight,
// needs no store and writes nothing.
//
// Efforts are tried on a sample (effort_trial.h); differences are none here.
//
// Memory is bounded, whatever the data: each table holds at most 786,432 distinct chunks (exact up
// to 3 GiB of distinct data at 4 KiB, 48 GiB at 64 KiB). Beyond, a table keeps every second,
// fourth,
// ... chunk, chosen by the id, and its figures are estimates within a few tenths of a percent.
// About 200 MiB in all. Thread rule: one thread a call; up to eight of its own.

#ifndef CKPT_STORE_ENGINE_ANALYZE_H_
#define CKPT_STORE_ENGINE_ANALYZE_H_

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "store/engine/effort_trial.h"
#include "store/engine/store.h"
#include "store/io/env.h"

namespace ckpt {

struct AnalyzeOptions {
  int level = 3;
  bool efforts = false;                           // estimates them, too
  int threads = 0;                                // 0: as many as cores
  std::function<bool(const Progress&)> progress;  // false cancels
};

struct ChunkingAnalysis {
  bool content_defined = false;
  std::uint32_t chunk_bytes = 0;
  std::uint64_t unique_bytes = 0;
  std::uint64_t stored_bytes = 0;  // compressed, headers included
  std::uint64_t chunks = 0;        // distinct
};

struct Analysis {
  std::uint64_t files = 0;
  std::uint64_t logical_bytes = 0;
  std::vector<ChunkingAnalysis> results;  // fixed, then content-defined, ascending sizes
  std::array<EffortEstimate, 3> efforts;  // for content-defined chunks of 64 KiB
};

// The paths in their order; names within a folder ascending, as a save walks them.
Result<Analysis> AnalyzeFiles(Env* env, const std::vector<std::string>& paths,
                              const AnalyzeOptions& options);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_ANALYZE_H_
