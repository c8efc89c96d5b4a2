// ckpt-store analyze: what a store would make of some files. Needs none and writes nothing.

#include "cli/command.h"
#include "cli/effort_table.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

// The C interface has one `user` for progress and results.
struct Gathered {
  Console* console = nullptr;
  JsonList results;
  EffortTable efforts;
  std::vector<ckpt_effort_estimate> estimates;
  Table table{{{"CHUNKER"},
               {"CHUNK", Table::Align::kRight},
               {"UNIQUE", Table::Align::kRight},
               {"DEDUP", Table::Align::kRight},
               {"STORED", Table::Align::kRight},
               {"TOTAL", Table::Align::kRight}}};
};

int OnAnalyzeProgress(const ckpt_progress* progress, void* user) {
  static_cast<Gathered*>(user)->console->Update(*progress);
  return Interrupted();
}

int OnAnalysis(const ckpt_analysis* analysis, void* user) {
  auto* gathered = static_cast<Gathered*>(user);
  gathered->results.Add({{"chunker", analysis->chunker},
                         {"size", analysis->chunk_bytes},
                         {"unique_bytes", analysis->unique_bytes},
                         {"dedup_ratio", analysis->dedup_ratio},
                         {"stored_bytes", analysis->stored_bytes},
                         {"total_ratio", analysis->total_ratio},
                         {"chunks", analysis->chunks}});
  gathered->table.AddRow({analysis->chunker, HumanBytes(analysis->chunk_bytes),
                          HumanBytes(analysis->unique_bytes), HumanRatio(analysis->dedup_ratio),
                          HumanBytes(analysis->stored_bytes), HumanRatio(analysis->total_ratio)});
  return Interrupted();
}

int OnEffort(const ckpt_effort_estimate* estimate, void* user) {
  static_cast<Gathered*>(user)->estimates.push_back(*estimate);
  return Interrupted();
}

class AnalyzeCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddRest(app, "PATH", &paths_, "Files and folders, in the order they would be saved")
        ->required();
    AddParsed<std::uint64_t>(app, "--level", &level_, "N", ParseCount, "a number",
                             "zstd level, 1 to 19 (default 3)");
  }

  int Run(Console& console) override {
    if (level_ < 1 || level_ > 19) return console.FailUsage("--level is 1 to 19");
    const std::vector<const char*> paths = Pointers(paths_);
    Gathered gathered;
    gathered.console = &console;
    ckpt_analyze_result result = CKPT_ANALYZE_RESULT_INIT;
    const ckpt_code code =
        ckpt_analyze_efforts(paths.data(), paths.size(), static_cast<std::int32_t>(level_),
                             OnAnalyzeProgress, OnAnalysis, OnEffort, &gathered, &result);
    if (code != CKPT_OK) return console.Fail(code);
    for (const ckpt_effort_estimate& estimate : gathered.estimates) {
      gathered.efforts.Add(estimate, result.logical_bytes);
    }
    if (console.json()) {
      console.Print(gathered.results.DocumentIn({{"files", result.files},
                                                 {"logical_bytes", result.logical_bytes},
                                                 {"efforts", gathered.efforts.json()}},
                                                "results"));
    } else {
      console.Print(HumanBytes(result.logical_bytes) + " in " +
                    Plural(result.files, "file", "files") + "\n" + gathered.table.Text() +
                    "\nchunks of 64 KiB, content-defined, by effort; speeds are of one thread:\n" +
                    gathered.efforts.Text());
    }
    return kExitDone;
  }

 private:
  std::vector<std::string> paths_;
  std::uint64_t level_ = 3;
};

}  // namespace

const CommandInfo kAnalyzeCommand = {"analyze",
                                     "Show what a store would make of some files; writes nothing",
                                     "ckpt-store analyze restart.5000 restart.10000\n",
                                     [] { return std::unique_ptr<Command>(new AnalyzeCommand); }};

}  // namespace ckpt
