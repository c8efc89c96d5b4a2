// ckpt-store restore: a checkpoint's files, back where they are needed.

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

class RestoreCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddText(app, "CHECKPOINT", &checkpoint_, "",
            "SERIES (newest sound), SERIES@STEP or "
            "SERIES@ATTEMPT:STEP")
        ->required();
    AddText(app, "--to", &to_, "DIR", "The folder to restore into, which may be new")->required();
    AddRepeated(app, "--include", &includes_, "GLOB", "Only what matches; may be repeated");
    app.add_flag("--force", force_, "Overwrite files that differ");
    app.add_flag("--fallback", fallback_, "Damaged: take the newest sound one before it");
    app.add_flag("--dry-run", dry_run_, "Say what would be restored, write nothing");
    app.add_flag("--sync", sync_, "Return only when what was restored is durable");
  }

  int Run(Console& console) override {
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    const std::vector<const char*> includes = Pointers(includes_);
    ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
    options.checkpoint = checkpoint_.c_str();
    options.to = to_.c_str();
    options.includes = includes.data();
    options.include_count = includes.size();
    options.force = force_ ? 1 : 0;
    options.dry_run = dry_run_ ? 1 : 0;
    options.sync = sync_ ? 1 : 0;
    options.fallback = fallback_ ? 1 : 0;
    ckpt_restore_result result = CKPT_RESTORE_RESULT_INIT;
    const ckpt_code code = ckpt_restore_files(store.get(), &options, OnEntry, this, &result);
    if (code == CKPT_CORRUPTION && !fallback_) {
      const std::string message = ckpt_error_message();
      return console.Fail(code, message, {}, FallbackHint(store));
    }
    if (code != CKPT_OK) return store.Fail(code, {checkpoint_});
    Report(console, result);
    return kExitDone;
  }

 private:
  struct Older {
    std::optional<std::int64_t> than;
    std::size_t sound = 0;
  };
  // Only where there is something to fall back to, as far as is known.
  std::string FallbackHint(const StoreHandle& store) const {
    const std::string series = checkpoint_.substr(0, checkpoint_.find('@'));
    ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
    options.series = series.c_str();
    // The damaged one itself may not be known as such.
    const std::size_t step_at = checkpoint_.find_last_of("@:");
    Older older;
    if (series.size() < checkpoint_.size()) older.than = ParseStep(checkpoint_.substr(step_at + 1));
    const auto count = [](const ckpt_checkpoint* checkpoint, void* user) {
      auto* found = static_cast<Older*>(user);
      if (std::string_view(checkpoint->state) != "committed") return Interrupted();
      if (!found->than) {
        found->than = checkpoint->step;  // the newest: what was asked for
      } else if (checkpoint->step < *found->than) {
        ++found->sound;
      }
      return Interrupted();
    };
    if (ckpt_list(store.get(), &options, count, &older) != CKPT_OK || older.sound == 0) return "";
    return "--fallback takes the newest sound checkpoint before it";
  }

  static int OnEntry(const char* name, std::uint64_t bytes, void* user) {
    auto* self = static_cast<RestoreCommand*>(user);
    if (self->dry_run_) self->AddName(name, bytes);
    return Interrupted();
  }

  void AddName(const char* name, std::uint64_t bytes) {
    Json entry = Json::object();
    SetText(entry, "name", name);
    entry["bytes"] = bytes;
    entries_.Add(entry);
    names_.AddRow({HumanBytes(bytes), PrintableName(name)});
  }

  void Report(Console& console, const ckpt_restore_result& result) const {
    if (console.json()) {
      Json json = Json::object();
      SetText(json, "series", result.series);
      json["attempt"] = result.attempt;
      json["step"] = result.step;
      json["files"] = result.files;
      json["bytes"] = result.bytes;
      json["skipped"] = result.skipped;
      json["fell_back"] = result.fell_back != 0;
      json["dry_run"] = dry_run_;
      json["seconds"] = result.seconds;
      console.Print(dry_run_ ? entries_.DocumentIn(json, "entries") : JsonDocument(json));
      return;
    }
    if (dry_run_ && !names_.empty()) console.Print(names_.Text());
    std::string text = std::string(dry_run_ ? "would restore " : "restored ") +
                       PrintableName(result.series) + "@" + std::to_string(result.step) + " to " +
                       PrintableName(to_) + ": " + HumanBytes(result.bytes) + " in " +
                       Plural(result.files, "entry", "entries");
    if (result.skipped > 0) text += ", " + HumanCount(result.skipped) + " there already";
    if (result.fell_back != 0) text += ", older than what was asked for";
    console.Say(text + ", " + HumanSeconds(result.seconds) + "\n");
  }

  std::string checkpoint_;
  std::string to_;
  std::vector<std::string> includes_;
  bool force_ = false;
  bool dry_run_ = false;
  bool sync_ = false;
  bool fallback_ = false;
  JsonList entries_;
  Table names_{{{"SIZE", Table::Align::kRight}, {"NAME"}}};
};

}  // namespace

const CommandInfo kRestoreCommand = {"restore", "Restore a checkpoint's files",
                                     "ckpt-store restore melt --to .\n"
                                     "ckpt-store restore melt@5000 --to old --include 'restart.*'\n"
                                     "ckpt-store restore melt --to . --fallback --force\n",
                                     [] { return std::unique_ptr<Command>(new RestoreCommand); }};

}  // namespace ckpt
