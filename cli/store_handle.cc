#include "cli/store_handle.h"

#include <algorithm>
#include <cstdlib>

#include "cli/exit_codes.h"
#include "cli/spelling.h"
#include "cli/text.h"

namespace ckpt {
namespace {

int OnProgress(const ckpt_progress* progress, void* user) {
  static_cast<Console*>(user)->Update(*progress);
  return Interrupted();
}

void OnNotice(const char* message, void* user) { static_cast<Console*>(user)->Notice(message); }

int OnSeries(const char* series, void* user) {
  static_cast<std::vector<std::string>*>(user)->emplace_back(series);
  return Interrupted();
}

// What to do about a store that is not there, which depends on who named it.
std::string NoStoreHint(const GlobalOptions& options) {
  if (!options.store.empty()) return "";
  const char* variable = getenv("CKPT_STORE");
  if (variable != nullptr && *variable != '\0') return "the place is from $CKPT_STORE";
  return "neither -s DIR nor $CKPT_STORE names a store, so it is looked for here";
}

}  // namespace

std::string StorePath(const GlobalOptions& options) {
  if (!options.store.empty()) return options.store;
  const char* variable = getenv("CKPT_STORE");
  return variable != nullptr && *variable != '\0' ? variable : ".ckpt";
}

std::vector<const char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> pointers;
  pointers.reserve(strings.size());
  for (const std::string& string : strings) pointers.push_back(string.c_str());
  return pointers;
}

ckpt_open_options StoreHandle::DefaultOptions(ckpt_open_mode mode) const {
  const GlobalOptions& global = console_.options();
  ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
  options.mode = mode;
  options.threads = static_cast<std::int32_t>(std::min<std::uint64_t>(global.threads, 1024));
  options.trust_owner = global.trust_owner ? 1 : 0;
  options.index_dir = global.index_dir.empty() ? nullptr : global.index_dir.c_str();
  options.progress = OnProgress;
  options.notice = OnNotice;
  options.user = &console_;
  return options;
}

int StoreHandle::Open(const ckpt_open_options& options) {
  const ckpt_code code = ckpt_store_open(StorePath(console_.options()).c_str(), &options, &store_);
  if (code == CKPT_OK) return kExitDone;
  const std::string message = ckpt_error_message();
  const std::string hint = code == CKPT_NOT_FOUND ? NoStoreHint(console_.options()) : "";
  return console_.Fail(code, message, {}, hint);
}

std::vector<std::string> StoreHandle::SeriesNames() const {
  std::vector<std::string> names;
  if (ckpt_list_series(store_, OnSeries, &names) != CKPT_OK) names.clear();
  return names;
}

std::string StoreHandle::SeriesSuggestion(const std::vector<std::string>& checkpoints) const {
  const std::vector<std::string> names = SeriesNames();
  for (const std::string& checkpoint : checkpoints) {
    const std::size_t at = std::min(checkpoint.find('@'), checkpoint.size());
    const std::string series = checkpoint.substr(0, at);
    if (std::find(names.begin(), names.end(), series) != names.end()) continue;
    const std::string nearest = Suggestion(series, names);
    return nearest.empty() ? "" : nearest + checkpoint.substr(at);
  }
  return "";
}

int StoreHandle::Fail(ckpt_code code, const std::vector<std::string>& checkpoints) {
  const std::string message = ckpt_error_message();  // before other calls change it
  const bool look = code == CKPT_NOT_FOUND && !checkpoints.empty() && store_ != nullptr;
  return console_.Fail(code, message, look ? SeriesSuggestion(checkpoints) : "");
}

}  // namespace ckpt
