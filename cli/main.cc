// ckpt-store, the command: finds the command named first, lets it read its options, runs it, and
// turns what came of it into an exit code.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/signals.h"
#include "cli/spelling.h"

namespace ckpt {
namespace {

using Arguments = std::vector<std::string>;

// As CLI11's, with less noise: no "TEXT", no "REQUIRED", --wait's value as people write it.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    if (const std::size_t at = name.find("{forever}"); at != std::string::npos) {
      name.replace(at, std::string_view("{forever}").size(), "[=TIME]");
    }
    return name;
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_name().empty() ? "" : " " + option->get_type_name();
  }
};

// After the command's own options, for these come last in the help.
void AddCommonOptions(CLI::App& app, GlobalOptions* options) {
  const auto formatter = std::make_shared<HelpFormatter>();
  formatter->column_width(30);
  app.formatter(formatter);
  AddGlobalOptions(app, options);
  app.set_help_flag("-h,--help", "This help")->group("Everywhere");
}

std::string Examples(const std::string& lines) {
  std::string out = "Examples:\n";
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = lines.find('\n', at) + 1;
    out += "  " + lines.substr(at, end - at);
    at = end;
  }
  out.pop_back();  // CLI11 adds one
  return out;
}

std::string MainHelp() {
  std::string text =
      "ckpt-store: incremental, content-addressed checkpoints.\n\n"
      "Usage: ckpt-store COMMAND [OPTIONS]\n\nCommands:\n";
  for (const CommandInfo* command : AllCommands()) {
    const std::string name = command->name;
    text += "  " + name + std::string(10 - name.size(), ' ') + command->summary + "\n";
  }
  return text +
         "\n'ckpt-store COMMAND --help' shows a command's options and examples.\n"
         "A checkpoint is SERIES (the newest sound one), SERIES@STEP or SERIES@ATTEMPT:STEP.\n"
         "The store is -s DIR, else $CKPT_STORE, else ./.ckpt.\n\n"
         "Exit codes: 0 done, 1 failed, 2 usage, 3 damage found, 4 no such store, checkpoint or\n"
         "entry, 5 busy, 128 + N ended by signal N.\n";
}

std::string Version() {
  const std::int32_t version = ckpt_version();
  return std::to_string(version / 1'000'000) + "." + std::to_string(version / 1000 % 1000) + "." +
         std::to_string(version % 1000);
}

// CLI11 leaves two empty lines between groups.
std::string Help(const CLI::App& app) {
  std::string text = app.help();
  for (std::size_t at; (at = text.find("\n\n\n")) != std::string::npos;) text.erase(at, 1);
  return text;
}

void Parse(CLI::App& app, const Arguments& arguments) {
  std::vector<std::string> reversed;
  for (auto it = arguments.rbegin(); it != arguments.rend(); ++it) {
    reversed.push_back(MarkArgument(*it));
  }
  app.parse(std::move(reversed));
}

// A mistyped option's nearest relative.
std::string OptionSuggestion(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  for (const std::string& unknown : app.remaining()) {
    const std::string name = unknown.substr(0, unknown.find('='));
    if (name.starts_with("--") && name.size() > 2) return Suggestion(name, names);
  }
  return "";
}

// "--to: 1 required DIR missing" is CLI11's way.
std::string PlainWords(std::string message) {
  message.erase(std::remove(message.begin(), message.end(), '\x01'), message.end());
  constexpr std::string_view kBefore = ": 1 required ", kAfter = " missing";
  const std::size_t at = message.find(kBefore);
  if (at == std::string::npos || !message.ends_with(kAfter)) return message;
  message.erase(message.size() - kAfter.size());
  return message.replace(at, kBefore.size(), ": a value is missing, ");
}

int UsageError(Console& console, const CLI::App& app, const CLI::ParseError& error) {
  std::string message = PlainWords(error.what());
  return console.Finish(console.FailUsage(message, OptionSuggestion(app)));
}

// Whether errors are wanted as JSON, for those that come before the options have been read.
bool AsksForJson(const Arguments& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(arguments.begin(), end, "--json") != end;
}

int Perform(const CommandInfo& info, const Arguments& arguments, GlobalOptions options) {
  CLI::App app(info.summary, std::string("ckpt-store ") + info.name);
  const std::unique_ptr<Command> command = info.make();
  command->Define(app);
  AddCommonOptions(app, &options);
  app.footer(Examples(info.examples));
  try {
    Parse(app, arguments);
  } catch (const CLI::CallForHelp&) {
    Console console(info.name, options);
    console.Print(Help(app));
    return console.Finish(kExitDone);
  } catch (const CLI::ParseError& error) {
    options.json = options.json || AsksForJson(arguments);
    Console console(info.name, options);
    return UsageError(console, app, error);
  }
  Console console(info.name, options);
  const int status = command->Run(console);
  return console.Finish(status);
}

int UnknownCommand(const std::string& name, const GlobalOptions& options) {
  Console console("", options);
  if (name.starts_with("-")) return console.Finish(console.FailUsage("no option '" + name + "'"));
  std::vector<std::string> names;
  for (const CommandInfo* command : AllCommands()) names.emplace_back(command->name);
  return console.Finish(console.FailUsage("no command '" + name + "'", Suggestion(name, names)));
}

int PrintVersion(const GlobalOptions& options) {
  Console console("", options);
  console.Print(options.json ? JsonDocument({{"version", Version()}})
                             : "ckpt-store " + Version() + "\n");
  return console.Finish(kExitDone);
}

int PrintHelp(const GlobalOptions& options, bool asked) {
  Console console("", options);
  if (asked) {
    console.Print(MainHelp());
    return console.Finish(kExitDone);
  }
  return console.Finish(console.FailUsage("no command named"));
}

// Global options may stand before the command, too.
int Dispatch(const Arguments& arguments) {
  GlobalOptions options;
  CLI::App app("", "ckpt-store");
  AddCommonOptions(app, &options);
  bool version = false;
  app.add_flag("-V,--version", version);
  app.prefix_command();
  try {
    Parse(app, arguments);
  } catch (const CLI::CallForHelp&) {
    return PrintHelp(options, true);
  } catch (const CLI::ParseError& error) {
    options.json = AsksForJson(arguments);
    Console console("", options);
    return UsageError(console, app, error);
  }
  if (version) return PrintVersion(options);
  Arguments rest;
  for (const std::string& argument : app.remaining()) rest.push_back(UnmarkArgument(argument));
  if (rest.empty()) return PrintHelp(options, false);
  const std::string name = rest[0];
  rest.erase(rest.begin());
  if (name == "help") {
    if (rest.empty()) return PrintHelp(options, true);
    const CommandInfo* topic = FindCommand(rest[0]);
    if (topic != nullptr) return Perform(*topic, {"--help"}, options);
    options.json = options.json || AsksForJson(arguments);
    return UnknownCommand(rest[0], options);
  }
  const CommandInfo* command = FindCommand(name);
  if (command != nullptr) return Perform(*command, rest, options);
  options.json = options.json || AsksForJson(arguments);
  return UnknownCommand(name, options);
}

// Closed standard descriptors would be given to the next files opened, and messages end up in a
// pack. Their use still fails: the stand-in for input cannot be read, those for output not written.
void HoldStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

}  // namespace

int Main(const Arguments& arguments) {
  HoldStandardDescriptors();
  InstallSignalHandlers();
  int status = kExitFailed;
  try {
    status = Dispatch(arguments);
  } catch (const std::bad_alloc&) {
    status = Console("", {}).Fail(CKPT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    status = Console("", {}).Fail(CKPT_INTERNAL, error.what());
  }
  const bool stopped = InterruptSignal() != 0 && status == kExitSignal + InterruptSignal();
  if (stopped) EndBySignal(InterruptSignal());
  if (status == kExitSignal + SIGPIPE && !PipeSignalWasIgnored()) EndBySignal(SIGPIPE);
  return status;
}

}  // namespace ckpt

int main(int argc, char** argv) {
  return ckpt::Main(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}
