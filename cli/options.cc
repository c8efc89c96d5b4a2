#include "cli/options.h"

#include "ckpt/ckpt.h"
#include "cli/parse.h"

namespace ckpt {
namespace {

constexpr char kMark = '\x01';

ProgressMode ParseProgressMode(const std::string& text) {
  if (text == "auto") return ProgressMode::kAuto;
  if (text == "always") return ProgressMode::kAlways;
  if (text == "never") return ProgressMode::kNever;
  throw CLI::ValidationError("--progress", "'" + text + "' is not one of auto, always, never");
}

}  // namespace

std::string MarkArgument(const std::string& argument) {
  constexpr std::string_view kSpecial = "[{%\x01";
  const bool special = !argument.empty() && kSpecial.find(argument[0]) != std::string_view::npos;
  return special ? kMark + argument : argument;
}

std::string UnmarkArgument(const std::string& argument) {
  return !argument.empty() && argument[0] == kMark ? argument.substr(1) : argument;
}

CLI::Option* AddText(CLI::App& app, const std::string& names, std::string* value,
                     const std::string& type, const std::string& help) {
  const auto set = [value, names](const std::string& text) {
    if (text.empty()) throw CLI::ValidationError(names, "must not be empty");
    *value = UnmarkArgument(text);
  };
  return app.add_option_function<std::string>(names, set, help)->type_name(type);
}

CLI::Option* AddRepeated(CLI::App& app, const std::string& names, std::vector<std::string>* values,
                         const std::string& type, const std::string& help) {
  return AddRest(app, names, values, help)
      ->allow_extra_args(false)
      ->type_name(type)
      ->check([](const std::string& text) {
        return text.empty() ? std::string("must not be empty") : std::string();
      });
}

CLI::Option* AddRest(CLI::App& app, const std::string& name, std::vector<std::string>* values,
                     const std::string& help) {
  const auto set = [values](const std::vector<std::string>& texts) {
    values->clear();
    for (const std::string& text : texts) values->push_back(UnmarkArgument(text));
  };
  return app.add_option_function<std::vector<std::string>>(name, set, help)->type_name("");
}

CLI::Option* AddWait(CLI::App& app, std::int64_t* wait_ms, const std::string& help) {
  const auto set = [wait_ms](const std::string& text) {
    if (text == "forever") {
      *wait_ms = -1;
      return;
    }
    const auto duration = ParseDuration(text);
    if (!duration) throw CLI::ValidationError("'" + text + "' is not a time like 30s, 10m");
    *wait_ms = *duration / 1'000'000;
  };
  // "{forever}" is the value that a bare --wait has; the help shows it as [=TIME].
  auto* option = app.add_flag("--wait{forever}", help);
  option->each([set](const std::string& text) { set(text); });
  return option;
}

CLI::Option* AddStep(CLI::App& app, const std::string& names, std::int64_t* step,
                     const std::string& help) {
  return AddParsed<std::int64_t>(app, names, step, "N", ParseStep,
                                 "a step (a whole number, 0 or above)", help);
}

void AddGlobalOptions(CLI::App& app, GlobalOptions* options) {
  AddText(app, "-s,--store", &options->store, "DIR", "The store; else $CKPT_STORE, else ./.ckpt")
      ->group("Everywhere");
  app.add_flag("--json", options->json, "One JSON document on standard output, errors as JSON")
      ->group("Everywhere");
  app.add_flag("-q,--quiet", options->quiet, "No progress, notices or 'saved ...' lines")
      ->group("Everywhere");
  app.add_option_function<std::string>(
         "--progress",
         [options](const std::string& text) { options->progress = ParseProgressMode(text); },
         "auto, always or never")
      ->type_name("WHEN")
      ->group("Everywhere");
  AddParsed<std::uint64_t>(app, "--threads", &options->threads, "N", ParseCount, "a number",
                           "Threads for hashing and compression (default: one a core)")
      ->group("Everywhere");
  app.add_flag("--trust-owner", options->trust_owner,
               "Open a store that another user owns or everybody may write to")
      ->group("Everywhere");
  AddText(app, "--index-dir", &options->index_dir, "DIR",
          "Where the index lives; else "
          "$CKPT_INDEX_DIR, else in the store or a node-local folder")
      ->group("Everywhere");
}

}  // namespace ckpt
