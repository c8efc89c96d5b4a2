#include "cli/run_restore.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "cli/exit_codes.h"
#include "cli/text.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

// A checkpoint's entries: name -> kind.
using Kinds = std::map<std::string, std::int32_t>;

int OnEntry(const ckpt_entry* entry, void* user) {
  (*static_cast<Kinds*>(user))[entry->name] = entry->kind;
  return Interrupted();
}

int OnName(const char* name, std::uint64_t /*bytes*/, void* user) {
  static_cast<std::set<std::string>*>(user)->insert(name);
  return Interrupted();
}

std::string NewFolderName() {
  char time_text[32] = {};
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::strftime(time_text, sizeof time_text, "%Y%m%d-%H%M%S", localtime_r(&now, &parts));
  return std::string(kDisplacedFolder) + "/" + time_text + "-" + std::to_string(getpid());
}

std::string FullCheckpointName(const ckpt_restore_result& result) {
  return std::string(result.series) + "@" + std::to_string(result.attempt) + ":" +
         std::to_string(result.step);
}

int CountCheckpoint(const ckpt_checkpoint* /*checkpoint*/, void* user) {
  ++*static_cast<int*>(user);
  return 0;
}

// Nothing was saved yet, as opposed to: nothing of what was saved can be restored.
bool IsFresh(const StoreHandle& store, const std::string& series) {
  ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
  options.series = series.c_str();
  options.last = 1;
  int count = 0;
  const ckpt_code code = ckpt_list(store.get(), &options, CountCheckpoint, &count);
  return code == CKPT_NOT_FOUND || (code == CKPT_OK && count == 0);
}

// Of what would be written, and of what matches and is not in the checkpoint, what is there.
std::vector<std::string> InTheWay(const FileSet& present, const Kinds& kinds,
                                  const std::set<std::string>& written) {
  std::set<std::string> names;
  for (const std::string& name : written) {
    FileState state;
    const auto kind = kinds.find(name);
    const bool folder = kind != kinds.end() && kind->second == CKPT_ENTRY_DIRECTORY;
    if (LookAtFile(name, &state) && !(folder && S_ISDIR(state.mode))) names.insert(name);
  }
  for (const auto& [name, state] : present.files) {
    // Folders stay: what is in them is looked at by itself.
    if (!kinds.contains(name) && !S_ISDIR(state.mode)) names.insert(name);
  }
  return {names.begin(), names.end()};
}

std::string ListOf(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) {
    text += (i > 0 ? ", " : "") + PrintableName(names[i]);
  }
  if (names.size() > kMost) text += " and " + std::to_string(names.size() - kMost) + " more";
  return text;
}

// Folders where the checkpoint has something else, and the other way round.
std::vector<std::string> OfAnotherKind(const Kinds& kinds) {
  std::vector<std::string> names;
  for (const auto& [name, kind] : kinds) {
    FileState state;
    if (!LookAtFile(name, &state)) continue;
    if (S_ISDIR(state.mode) != (kind == CKPT_ENTRY_DIRECTORY)) names.push_back(name);
  }
  return names;
}

// `from` becomes `name` in the folder, with the folders on the way to it.
std::error_code MoveFile(const fs::path& from, const fs::path& folder, const fs::path& name,
                         std::set<std::string>* folders) {
  std::error_code error;
  fs::create_directories((folder / name).parent_path(), error);
  if (!error) fs::rename(from, folder / name, error);
  if (!error) folders->insert(folder.string() + "/");
  return error;
}

class Restorer {
 public:
  Restorer(Console& console, StoreHandle& store) : console_(console), store_(store) {}

  // Finds the newest sound checkpoint and what it would write. *error: what could not be moved.
  ckpt_code Plan(const std::string& series, std::string* error) {
    ckpt_code code = Plan(series, ".", &planned_);
    if (code != CKPT_EXISTS) return code;
    // A file is where a folder is to go, or a folder where a file is: what would be written into a
    // folder that is not there tells which.
    code = Plan(series, kDisplacedFolder + ("-" + std::to_string(getpid())), &planned_);
    if (code != CKPT_OK) return code;
    *error = MoveAway(OfAnotherKind(kinds_));
    if (!error->empty()) return CKPT_IO;
    ckpt_restore_result again = CKPT_RESTORE_RESULT_INIT;
    return Plan(std::string(checkpoint_), ".", &again);
  }

  // "" or what went wrong.
  std::string MakeWay(const FileSet& present) {
    return MoveAway(InTheWay(present, kinds_, written_));
  }

  ckpt_code Restore(RunStart* start) {
    // The very checkpoint that was planned for: a newer one may come up meanwhile.
    ckpt_restore_options options = Options(checkpoint_);
    options.fallback = 0;
    ckpt_restore_result result = CKPT_RESTORE_RESULT_INIT;
    const ckpt_code code = ckpt_restore_files(store_.get(), &options, nullptr, nullptr, &result);
    if (code != CKPT_OK) return code;
    start->restored = true;
    start->step = result.step;
    console_.Notice("restored " + PrintableName(result.series) + "@" + std::to_string(result.step) +
                    ": " + HumanBytes(result.bytes) + " in " +
                    Plural(result.files, "entry", "entries") + ", " + HumanCount(result.skipped) +
                    " there already" +
                    (planned_.fell_back != 0 ? ", an older one because of damage" : ""));
    return CKPT_OK;
  }

 private:
  ckpt_code Plan(const std::string& checkpoint, const std::string& to,
                 ckpt_restore_result* planned) {
    written_.clear();
    kinds_.clear();
    ckpt_restore_options options = Options(checkpoint);
    options.dry_run = 1;
    options.to = to.c_str();
    ckpt_code code = ckpt_restore_files(store_.get(), &options, OnName, &written_, planned);
    if (code != CKPT_OK) return code;
    checkpoint_ = FullCheckpointName(*planned);
    return ckpt_inspect(store_.get(), checkpoint_.c_str(), nullptr, OnEntry, nullptr, &kinds_);
  }

  std::string MoveAway(const std::vector<std::string>& names) {
    if (names.empty()) return "";
    std::set<std::string> folders;
    if (std::string error = Displace(names, &folders); !error.empty()) return error;
    console_.Notice("moved to " + ListOf({folders.begin(), folders.end()}) + ": " + ListOf(names));
    return "";
  }

  static ckpt_restore_options Options(const std::string& checkpoint) {
    ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
    options.checkpoint = checkpoint.c_str();
    options.to = ".";
    options.fallback = 1;
    options.force = 1;  // what differs is moved away first; folders keep what else is in them
    return options;
  }

  Console& console_;
  StoreHandle& store_;
  std::string checkpoint_;
  std::set<std::string> written_;
  Kinds kinds_;
  ckpt_restore_result planned_ = CKPT_RESTORE_RESULT_INIT;
};

}  // namespace

std::string Displace(const std::vector<std::string>& names, std::set<std::string>* folders) {
  const fs::path folder = NewFolderName();
  for (const std::string& name : names) {
    std::error_code error = MoveFile(name, folder, name, folders);
    // What is mounted below has a folder of its own for it, where the file is.
    if (error == std::errc::cross_device_link) {
      const fs::path path(name);
      error = MoveFile(path, path.parent_path() / folder, path.filename(), folders);
    }
    if (!error) continue;
    return std::string("cannot move '")
        .append(name)
        .append("' to '")
        .append(folder)
        .append("': " + error.message());
  }
  return "";
}

int RestoreForRun(Console& console, StoreHandle& store, const std::string& series,
                  const SetScanner& scanner, RunStart* start) {
  Restorer restorer(console, store);
  std::string error;
  ckpt_code code = restorer.Plan(series, &error);
  if (!error.empty()) return console.Fail(code, error);
  if (code == CKPT_NOT_FOUND) {
    const std::string message = ckpt_error_message();
    return IsFresh(store, series) ? kExitDone : console.Fail(code, message);
  }
  if (code == CKPT_OK) {
    error = restorer.MakeWay(scanner.Scan());
    if (!error.empty()) return console.Fail(CKPT_IO, error);
    code = restorer.Restore(start);
  }
  return code == CKPT_OK ? kExitDone : console.Fail(code);
}

}  // namespace ckpt
