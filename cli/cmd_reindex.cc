// ckpt-store reindex: rebuilds the index from the packs. Nothing needs it; it is for the curious
// and for an index that a person no longer trusts.

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

class ReindexCommand : public Command {
 public:
  void Define(CLI::App& /*app*/) override {}

  int Run(Console& console) override {
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_WRITE); status != kExitDone) return status;
    ckpt_reindex_result result = CKPT_REINDEX_RESULT_INIT;
    const ckpt_code code = ckpt_reindex(store.get(), &result);
    if (code != CKPT_OK) return store.Fail(code);
    if (console.json()) {
      console.Print(JsonDocument({{"packs", result.packs},
                                  {"chunks", result.chunks},
                                  {"checkpoints", result.checkpoints},
                                  {"index_bytes", result.index_bytes},
                                  {"seconds", result.seconds}}));
    } else {
      console.Say("indexed " + Plural(result.chunks, "chunk", "chunks") + " and " +
                  Plural(result.checkpoints, "checkpoint", "checkpoints") + " of " +
                  Plural(result.packs, "pack", "packs") + ": " + HumanBytes(result.index_bytes) +
                  ", " + HumanSeconds(result.seconds) + "\n");
    }
    return kExitDone;
  }
};

}  // namespace

const CommandInfo kReindexCommand = {"reindex", "Rebuild the index from the packs",
                                     "ckpt-store reindex\n",
                                     [] { return std::unique_ptr<Command>(new ReindexCommand); }};

}  // namespace ckpt
