// ckpt-store rm: drops checkpoints; gc returns their space.

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/removed_list.h"
#include "cli/store_handle.h"

namespace ckpt {
namespace {

class RmCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddRest(app, "CHECKPOINT", &checkpoints_,
            "SERIES@STEP or SERIES@ATTEMPT:STEP; all are dropped "
            "or none")
        ->required();
    app.add_flag("--force", force_, "Also the newest sound checkpoint of a series");
  }

  int Run(Console& console) override {
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_WRITE); status != kExitDone) return status;
    const std::vector<const char*> names = Pointers(checkpoints_);
    RemovedList removed;
    const ckpt_code code = ckpt_remove(store.get(), names.data(), names.size(), force_ ? 1 : 0,
                                       RemovedList::Add, &removed);
    if (code != CKPT_OK) return store.Fail(code, checkpoints_);
    if (console.json()) {
      console.Print(removed.DocumentIn(Json::object()));
    } else {
      console.Say(removed.Lines("removed") + "'ckpt-store gc' returns the space\n");
    }
    return kExitDone;
  }

 private:
  std::vector<std::string> checkpoints_;
  bool force_ = false;
};

}  // namespace

const CommandInfo kRmCommand = {"rm", "Drop checkpoints (gc returns their space)",
                                "ckpt-store rm melt@5000 melt@1:10000\n",
                                [] { return std::unique_ptr<Command>(new RmCommand); }};

}  // namespace ckpt
