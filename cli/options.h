// The options every command has, and how commands declare their own.
//
// Options are read as text and turned into values here, so that "--level x" is refused in one
// manner. A value that is refused throws CLI::ValidationError, which main.cc turns into exit 2.
// Thread rule: one thread.

#ifndef CKPT_CLI_OPTIONS_H_
#define CKPT_CLI_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/progress.h"

namespace ckpt {

struct GlobalOptions {
  std::string store;  // "": $CKPT_STORE, else ./.ckpt
  bool json = false;
  bool quiet = false;
  ProgressMode progress = ProgressMode::kAuto;
  std::uint64_t threads = 0;  // 0: as many as cores
  bool trust_owner = false;
  std::string index_dir;  // "": the library's choice
};

void AddGlobalOptions(CLI::App& app, GlobalOptions* options);

// An option or a positional (no dashes in `names`) with one value, called `type` in the help.
// An empty one is refused: it mostly is a variable that was not set.
CLI::Option* AddText(CLI::App& app, const std::string& names, std::string* value,
                     const std::string& type, const std::string& help);
// An option that may be given several times.
CLI::Option* AddRepeated(CLI::App& app, const std::string& names, std::vector<std::string>* values,
                         const std::string& type, const std::string& help);
// The last positional, which takes all that are left.
CLI::Option* AddRest(CLI::App& app, const std::string& name, std::vector<std::string>* values,
                     const std::string& help);

// An option whose text `parse` turns into a T for `value` (T or std::optional<T>). "expected"
// completes "--step: expected ...".
template <typename T, typename Target>
CLI::Option* AddParsed(CLI::App& app, const std::string& names, Target* value,
                       const std::string& type, std::optional<T> (*parse)(std::string_view),
                       const std::string& expected, const std::string& help) {
  const auto set = [=](const std::string& text) {
    const std::optional<T> parsed = parse(text);
    if (!parsed) throw CLI::ValidationError(names, "'" + text + "' is not " + expected);
    *value = *parsed;
  };
  return app.add_option_function<std::string>(names, set, help)->type_name(type);
}

// --wait[=DURATION]: milliseconds; 0 when not given, -1 (for ever) without a duration.
CLI::Option* AddWait(CLI::App& app, std::int64_t* wait_ms, const std::string& help);

CLI::Option* AddStep(CLI::App& app, const std::string& names, std::int64_t* step,
                     const std::string& help);

// CLI11 takes "[a,b]", "{}" and "%%" for lists. Arguments are marked before it sees them and
// unmarked when they are used.
std::string MarkArgument(const std::string& argument);
std::string UnmarkArgument(const std::string& argument);

}  // namespace ckpt

#endif  // CKPT_CLI_OPTIONS_H_
