// What a command is. Each lives in its own cmd_NAME.cc; commands.cc has the table.
// Thread rule: one thread; one command a process.

#ifndef CKPT_CLI_COMMAND_H_
#define CKPT_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <string_view>
#include <vector>

#include "cli/console.h"

namespace ckpt {

class Command {
 public:
  virtual ~Command() = default;
  // Declares options and positionals.
  virtual void Define(CLI::App& app) = 0;
  // Does it and answers the exit code; an error has been printed by then.
  virtual int Run(Console& console) = 0;
};

struct CommandInfo {
  const char* name;
  const char* summary;   // one line, as in "ckpt-store --help"
  const char* examples;  // lines as typed, each ends with a newline
  std::unique_ptr<Command> (*make)();
};

extern const CommandInfo kInitCommand;
extern const CommandInfo kSaveCommand;
extern const CommandInfo kRestoreCommand;
extern const CommandInfo kListCommand;
extern const CommandInfo kInspectCommand;
extern const CommandInfo kDiffCommand;
extern const CommandInfo kCatCommand;
extern const CommandInfo kStatsCommand;
extern const CommandInfo kRmCommand;
extern const CommandInfo kGcCommand;
extern const CommandInfo kRunCommand;
extern const CommandInfo kRequestCommand;
extern const CommandInfo kFreezeCommand;
extern const CommandInfo kCheckCommand;
extern const CommandInfo kRepairCommand;
extern const CommandInfo kReindexCommand;
extern const CommandInfo kAnalyzeCommand;

// In the order of the help.
const std::vector<const CommandInfo*>& AllCommands();
// nullptr: there is none of this name.
const CommandInfo* FindCommand(std::string_view name);

}  // namespace ckpt

#endif  // CKPT_CLI_COMMAND_H_
