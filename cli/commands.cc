#include "cli/command.h"

namespace ckpt {

const std::vector<const CommandInfo*>& AllCommands() {
  static const std::vector<const CommandInfo*> commands = {
      &kInitCommand,    &kSaveCommand,    &kRestoreCommand, &kListCommand,  &kInspectCommand,
      &kDiffCommand,    &kCatCommand,     &kStatsCommand,   &kRmCommand,    &kGcCommand,
      &kRunCommand,     &kRequestCommand, &kFreezeCommand,  &kCheckCommand, &kRepairCommand,
      &kReindexCommand, &kAnalyzeCommand};
  return commands;
}

const CommandInfo* FindCommand(std::string_view name) {
  for (const CommandInfo* command : AllCommands()) {
    if (name == command->name) return command;
  }
  return nullptr;
}

}  // namespace ckpt
