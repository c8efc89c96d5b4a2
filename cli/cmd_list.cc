// ckpt-store list: the checkpoints of a store, one line each.

#include <map>
#include <optional>

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

class ListCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddText(app, "SERIES", &series_, "", "Only this series");
    AddParsed<std::uint64_t>(app, "--last", &last_, "N", ParseCount, "a number",
                             "The newest N of a series only");
    app.add_flag("--all", all_, "Those on abandoned branches too");
  }

  int Run(Console& console) override {
    json_ = console.json();
    if (last_.has_value() && *last_ == 0) return console.FailUsage("--last is 1 or above");
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
    options.series = series_.empty() ? nullptr : series_.c_str();
    options.all = all_ ? 1 : 0;
    options.last = last_.value_or(0);
    const ckpt_code code = ckpt_list(store.get(), &options, OnCheckpoint, this);
    if (code != CKPT_OK) return store.Fail(code, {series_});
    if (json_) {
      console.Print(elements_.Document());
    } else if (table_.empty()) {
      console.Notice("no checkpoints in " + StorePath(console.options()));
    } else {
      console.Print(table_.Text());
    }
    return kExitDone;
  }

 private:
  static int OnCheckpoint(const ckpt_checkpoint* checkpoint, void* user) {
    auto* self = static_cast<ListCommand*>(user);
    if (self->json_) {
      self->elements_.Add(CheckpointJson(*checkpoint));
    } else {
      self->AddRow(*checkpoint);
    }
    return Interrupted();
  }

  void AddRow(const ckpt_checkpoint& checkpoint) {
    std::string state = checkpoint.state;
    if (checkpoint.abandoned != 0) state += ", abandoned";
    table_.AddRow({PrintableName(ShortName(checkpoint)), LocalTime(checkpoint.created_ns),
                   HumanBytes(checkpoint.logical_bytes), HumanBytes(checkpoint.stored_bytes), state,
                   Rank(checkpoint) + TagText(checkpoint)});
  }

  // SERIES@STEP where that means this checkpoint: the newest attempt that has the step comes first.
  std::string ShortName(const ckpt_checkpoint& checkpoint) {
    const std::string name = std::string(checkpoint.series) + "@" + std::to_string(checkpoint.step);
    const auto [at, added] = attempt_of_.emplace(name, checkpoint.attempt);
    const bool first = added || at->second == checkpoint.attempt;
    return checkpoint.abandoned != 0 || !first ? FullName(checkpoint) : name;
  }

  static std::string Rank(const ckpt_checkpoint& checkpoint) {
    if (checkpoint.ranks <= 1) return "";
    return "rank " + std::to_string(checkpoint.rank) + "/" + std::to_string(checkpoint.ranks) + " ";
  }

  static std::string TagText(const ckpt_checkpoint& checkpoint) {
    std::string text;
    for (std::size_t i = 0; i < checkpoint.tag_count; ++i) {
      const ckpt_tag& tag = checkpoint.tags[i];
      text += (i > 0 ? " " : "") + PrintableName(tag.key) + "=" + PrintableName(tag.value);
    }
    return text;
  }

  std::string series_;
  std::optional<std::uint64_t> last_;
  bool all_ = false;
  bool json_ = false;
  JsonList elements_;
  std::map<std::string, std::uint64_t> attempt_of_;
  Table table_{{{"CHECKPOINT"},
                {"TIME"},
                {"SIZE", Table::Align::kRight},
                {"ADDED", Table::Align::kRight},
                {"STATE"},
                {"TAGS"}}};
};

}  // namespace

const CommandInfo kListCommand = {"list", "List checkpoints, the newest first",
                                  "ckpt-store list\n"
                                  "ckpt-store list melt --last 10\n",
                                  [] { return std::unique_ptr<Command>(new ListCommand); }};

}  // namespace ckpt
