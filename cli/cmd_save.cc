// ckpt-store save: files, folders, links or standard input become one durable checkpoint.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/command.h"
#include "cli/effort_table.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

// "K=V" pairs, split; the pointers live as long as this.
class Tags {
 public:
  // "" or what is wrong with it.
  std::string Add(const std::string& text) {
    const std::size_t at = text.find('=');
    if (at == 0 || at == std::string::npos) return "'" + text + "' is not KEY=VALUE";
    const std::string key = text.substr(0, at);
    for (const auto& [other, value] : pairs_) {
      if (other == key) return "'" + key + "' is given twice";
    }
    pairs_.emplace_back(key, text.substr(at + 1));
    return "";
  }
  std::vector<ckpt_tag> View() const {
    std::vector<ckpt_tag> view;
    for (const auto& [key, value] : pairs_) view.push_back({key.c_str(), value.c_str()});
    return view;
  }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

class SaveCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddText(app, "SERIES", &series_, "", "The series' name, say of the simulation")->required();
    AddRest(app, "PATH", &paths_, "Files, folders, links; - reads standard input")->required();
    AddStep(app, "--step", &step_,
            "The step (default: the last + 1); not above the last: begins "
            "an attempt");
    AddStep(app, "--from", &from_step_, "Go back on purpose: a new attempt from this step");
    AddRepeated(app, "--tag", &tags_, "K=V", "Something to remember it by; may be repeated");
    AddRepeated(app, "--exclude", &excludes_, "GLOB", "Leave out what matches; may be repeated");
    AddText(app, "--as", &stream_name_, "NAME", "The name of what - reads (default: stdin)");
    AddEffort(app, &effort_, "fast, balanced or small (default: the store's)");
    app.add_flag("--reread", reread_, "Read files again although size and times are unchanged");
    AddWait(app, &wait_ms_, "Wait for another save into the series, instead of exit 5");
  }

  int Run(Console& console) override {
    Tags tags;
    for (const std::string& tag : tags_) {
      const std::string wrong = tags.Add(tag);
      if (!wrong.empty()) return console.FailUsage("--tag: " + wrong);
    }
    const auto dashes = std::count(paths_.begin(), paths_.end(), "-");
    if (dashes > 1) return console.FailUsage("standard input (-) can be read only once");
    if (dashes == 0 && !stream_name_.empty()) return console.FailUsage("--as goes with the path -");
    paths_.erase(std::remove(paths_.begin(), paths_.end(), "-"), paths_.end());
    if (stream_name_.empty()) stream_name_ = "stdin";

    if (const int status = CheckInput(console, dashes > 0); status != kExitDone) return status;
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_CREATE); status != kExitDone) return status;
    SayWhetherCreated(console, store);
    const std::vector<ckpt_tag> tag_view = tags.View();
    const std::vector<const char*> excludes = Pointers(excludes_);
    ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
    options.series = series_.c_str();
    options.step = step_;
    options.from_step = from_step_;
    options.tags = tag_view.data();
    options.tag_count = tag_view.size();
    options.excludes = excludes.data();
    options.exclude_count = excludes.size();
    options.reread = reread_ ? 1 : 0;
    options.stream_fd = dashes > 0 ? STDIN_FILENO : -1;
    options.stream_name = dashes > 0 ? stream_name_.c_str() : nullptr;
    options.wait_ms = wait_ms_;
    options.effort = effort_;
    const std::vector<const char*> paths = Pointers(paths_);
    ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
    const ckpt_code code =
        ckpt_save_files(store.get(), &options, paths.data(), paths.size(), &result);
    if (code != CKPT_OK) {
      // Of names only a series to go back in can be unknown; else it is a file.
      if (from_step_ == CKPT_STEP_NONE) return store.Fail(code);
      return store.Fail(code, {series_});
    }
    Report(console, result);
    return kExitDone;
  }

 private:
  // What can be told before a store is made: a mistyped path shall not leave one behind.
  int CheckInput(Console& console, bool stream) const {
    if (!IsSeriesName(series_)) {
      return console.Fail(CKPT_INVALID_ARGUMENT,
                          "series name '" + series_ + "' is not allowed: use letters, digits, '-'" +
                              ", '_', '.' (at most 128, the first a letter or digit)");
    }
    const int flags = fcntl(STDIN_FILENO, F_GETFL);
    if (stream && (flags < 0 || (flags & O_ACCMODE) == O_WRONLY)) {
      return console.Fail(CKPT_INVALID_ARGUMENT, "standard input is closed, - has nothing to read");
    }
    if (stream && !IsEntryName(stream_name_)) {
      return console.Fail(CKPT_INVALID_ARGUMENT,
                          "--as: '" + stream_name_ + "' is not a relative path without . and ..");
    }
    for (const std::string& path : paths_) {
      struct stat info {};
      if (path.empty()) {
        return console.Fail(CKPT_INVALID_ARGUMENT, "an empty path names no file");
      }
      if (lstat(path.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        return console.Fail(CKPT_NOT_FOUND, path + ": " + strerror(errno));
      }
    }
    return kExitDone;
  }

  static void SayWhetherCreated(Console& console, const StoreHandle& store) {
    ckpt_store_info info = CKPT_STORE_INFO_INIT;
    if (ckpt_store_get_info(store.get(), &info) != CKPT_OK || info.created == 0) return;
    console.Notice(std::string("created store ") + info.path);
  }

  void Report(Console& console, const ckpt_save_result& result) const {
    if (console.json()) {
      Json json = Json::object();
      SetText(json, "series", series_);
      json["attempt"] = result.attempt;
      json["step"] = result.step;
      json["new_attempt"] = result.new_attempt != 0;
      json["logical_bytes"] = result.logical_bytes;
      json["read_bytes"] = result.read_bytes;
      json["new_bytes"] = result.new_bytes;
      json["stored_bytes"] = result.stored_bytes;
      json["files"] = result.files;
      json["entries"] = result.entries;
      json["chunks"] = result.chunks;
      json["new_chunks"] = result.new_chunks;
      json["seconds"] = result.seconds;
      console.Print(JsonDocument(json));
      return;
    }
    console.Say("saved " + PrintableName(series_) + "@" + std::to_string(result.step) + ": " +
                HumanBytes(result.logical_bytes) + " in " +
                Plural(result.entries, "entry", "entries") + ", " + HumanBytes(result.new_bytes) +
                " new, store grew by " + HumanBytes(result.stored_bytes) + " (" +
                HumanRatio(Ratio(result.logical_bytes, result.stored_bytes)) + "), " +
                HumanSeconds(result.seconds) + "\n");
  }

  std::string series_;
  std::vector<std::string> paths_;
  std::int64_t step_ = CKPT_STEP_NEXT;
  std::int64_t from_step_ = CKPT_STEP_NONE;
  std::vector<std::string> tags_;
  std::vector<std::string> excludes_;
  std::string stream_name_;
  bool reread_ = false;
  std::int32_t effort_ = CKPT_EFFORT_DEFAULT;
  std::int64_t wait_ms_ = 0;
};

}  // namespace

const CommandInfo kSaveCommand = {
    "save", "Save files as one checkpoint; creates the store if need be",
    "ckpt-store save melt restart.5000 log.lammps\n"
    "ckpt-store save melt --step 5000 --tag input=in.melt restart.5000\n"
    "tar c state | ckpt-store save melt - --as state.tar\n",
    [] { return std::unique_ptr<Command>(new SaveCommand); }};

}  // namespace ckpt
