// ckpt_analyze, and what efforts give.

#include "store/api/c_api.h"
#include "store/engine/analyze.h"

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

namespace {

ckpt_analysis ToAnalysis(const ChunkingAnalysis& in, std::uint64_t logical_bytes) {
  ckpt_analysis out{};
  out.chunker = in.content_defined ? "content-defined" : "fixed";
  out.chunk_bytes = in.chunk_bytes;
  out.unique_bytes = in.unique_bytes;
  out.stored_bytes = in.stored_bytes;
  out.chunks = in.chunks;
  out.dedup_ratio = Ratio(logical_bytes, in.unique_bytes);
  out.total_ratio = Ratio(logical_bytes, in.stored_bytes);
  return out;
}

Status TellEfforts(const std::array<EffortEstimate, 3>& efforts, ckpt_effort_fn fn, void* user) {
  for (const EffortEstimate& e : efforts) {
    const ckpt_effort_estimate out{static_cast<int32_t>(e.effort),
                                   e.level,
                                   e.sampled_bytes,
                                   e.stored_bytes,
                                   e.encode_bytes_per_s,
                                   e.decode_bytes_per_s};
    if (fn(&out, user) != 0) return Cancelled("stopped by the caller");
  }
  return Status();
}

}  // namespace

const char* ckpt_effort_name(int32_t effort) {
  const std::string_view name = effort < 0 || effort > CKPT_EFFORT_SMALL
                                    ? std::string_view()
                                    : EffortName(static_cast<Effort>(effort));
  return name.empty() ? "unknown" : name.data();
}

ckpt_code ckpt_estimate_efforts(ckpt_store* store, const char* checkpoint, ckpt_effort_fn fn,
                                void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(checkpoint, "checkpoint"));
    CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(fn), "fn"));
    CKPT_ASSIGN_OR_RETURN(auto efforts, EstimateEfforts(store->store.get(), checkpoint));
    return TellEfforts(efforts, fn, user);
  });
}

ckpt_code ckpt_analyze_efforts(const char* const* paths, size_t path_count, int32_t level,
                               ckpt_progress_fn progress,
                               int (*fn)(const ckpt_analysis* analysis, void* user),
                               ckpt_effort_fn effort_fn, void* user, ckpt_analyze_result* result) {
  return Guard([&]() -> Status {
    if (path_count > 0) CKPT_RETURN_IF_ERROR(Need(paths, "paths"));
    AnalyzeOptions options;
    if (level != 0) options.level = level;
    options.efforts = effort_fn != nullptr;
    if (progress != nullptr) {
      options.progress = [=](const Progress& p) {
        ckpt_progress out{p.phase, p.done_bytes, p.total_bytes, p.done_items, p.total_items};
        return progress(&out, user) == 0;
      };
    }
    CKPT_ASSIGN_OR_RETURN(Analysis analysis,
                          AnalyzeFiles(PosixEnv(), Texts(paths, path_count), options));
    for (const ChunkingAnalysis& one : analysis.results) {
      ckpt_analysis out = ToAnalysis(one, analysis.logical_bytes);
      if (fn != nullptr && fn(&out, user) != 0) return Cancelled("stopped by the caller");
    }
    if (effort_fn != nullptr) CKPT_RETURN_IF_ERROR(TellEfforts(analysis.efforts, effort_fn, user));
    ckpt_analyze_result out = CKPT_ANALYZE_RESULT_INIT;
    out.files = analysis.files;
    out.logical_bytes = analysis.logical_bytes;
    return WriteResult(out, result);
  });
}

ckpt_code ckpt_analyze(const char* const* paths, size_t path_count, int32_t level,
                       ckpt_progress_fn progress,
                       int (*fn)(const ckpt_analysis* analysis, void* user), void* user,
                       ckpt_analyze_result* result) {
  return ckpt_analyze_efforts(paths, path_count, level, progress, fn, nullptr, user, result);
}
