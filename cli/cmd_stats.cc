// ckpt-store stats: what the store holds and what it saves.

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

class StatsCommand : public Command {
 public:
  void Define(CLI::App& /*app*/) override {}

  int Run(Console& console) override {
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    ckpt_stats stats = CKPT_STATS_INIT;
    const ckpt_code code = ckpt_get_stats(store.get(), &stats);
    if (code != CKPT_OK) return store.Fail(code);
    console.Print(console.json() ? JsonText(stats) : Text(stats));
    return kExitDone;
  }

 private:
  static std::string JsonText(const ckpt_stats& stats) {
    return JsonDocument({{"series", stats.series},
                         {"checkpoints", stats.checkpoints},
                         {"logical_bytes", stats.logical_bytes},
                         {"unique_bytes", stats.unique_bytes},
                         {"stored_bytes", stats.stored_bytes},
                         {"dedup_ratio", stats.dedup_ratio},
                         {"compression_ratio", stats.compression_ratio},
                         {"total_ratio", stats.total_ratio},
                         {"chunks", stats.chunks},
                         {"packs", stats.packs},
                         {"garbage_bytes", stats.garbage_bytes},
                         {"reserve_bytes", stats.reserve_bytes},
                         {"index_bytes", stats.index_bytes}});
  }

  static std::string Text(const ckpt_stats& stats) {
    return "checkpoints  " + HumanCount(stats.checkpoints) + " in " + HumanCount(stats.series) +
           " series\n" +                                                               //
           "logical      " + HumanBytes(stats.logical_bytes) + "  as full copies\n" +  //
           "unique       " + HumanBytes(stats.unique_bytes) + "  in " +                //
           Plural(stats.chunks, "chunk", "chunks") + "\n" +                            //
           "stored       " + HumanBytes(stats.stored_bytes) + "  in " +                //
           Plural(stats.packs, "pack", "packs") + ", of which garbage " +              //
           HumanBytes(stats.garbage_bytes) + ", reserve " +                            //
           HumanBytes(stats.reserve_bytes) + "\n" +                                    //
           "index        " + HumanBytes(stats.index_bytes) + "\n" +                    //
           "ratios       dedup " + HumanRatio(stats.dedup_ratio) + ", compression " +  //
           HumanRatio(stats.compression_ratio) + ", total " + HumanRatio(stats.total_ratio) + "\n";
  }
};

}  // namespace

const CommandInfo kStatsCommand = {"stats", "Show sizes and ratios of the store",
                                   "ckpt-store stats\n"
                                   "ckpt-store stats -s run.ckpt --json\n",
                                   [] { return std::unique_ptr<Command>(new StatsCommand); }};

}  // namespace ckpt
