// ckpt-store diff: which entries differ between two checkpoints, by how much, where.

#include <algorithm>

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

class DiffCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddText(app, "A", &a_, "", "The checkpoint to compare with")->required();
    AddText(app, "B", &b_, "", "The checkpoint whose changes are shown")->required();
  }

  int Run(Console& console) override {
    json_ = console.json();
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    const ckpt_code code = ckpt_diff(store.get(), a_.c_str(), b_.c_str(), OnEntry, this);
    if (code != CKPT_OK) return store.Fail(code, {a_, b_});
    if (json_) {
      Json json = Json::object();
      SetText(json, "a", a_);
      SetText(json, "b", b_);
      json["changed_bytes"] = changed_bytes_;
      console.Print(entries_.DocumentIn(json, "entries"));
    } else if (!table_.empty()) {
      console.Print(table_.Text());
    } else {
      console.Say("no differences\n");
    }
    return kExitDone;
  }

 private:
  static int OnEntry(const ckpt_diff_entry* entry, void* user) {
    auto* self = static_cast<DiffCommand*>(user);
    self->changed_bytes_ += entry->changed_bytes;
    if (self->json_) {
      self->AddJson(*entry);
    } else {
      self->table_.AddRow({entry->status, HumanBytes(entry->changed_bytes),
                           HumanBytes(entry->logical_bytes), Where(*entry),
                           PrintableName(entry->name)});
    }
    return Interrupted();
  }

  void AddJson(const ckpt_diff_entry& entry) {
    Json json = Json::object();
    SetText(json, "name", entry.name);
    json["status"] = entry.status;
    json["changed_bytes"] = entry.changed_bytes;
    json["logical_bytes"] = entry.logical_bytes;
    json["ranges"] = Json::array();
    for (std::size_t i = 0; i < entry.range_count; ++i) {
      json["ranges"].push_back(
          {{"offset", entry.ranges[i].offset}, {"length_bytes", entry.ranges[i].length_bytes}});
    }
    entries_.Add(json);
  }

  // "0+65536 131072+812 and 12 more"
  static std::string Where(const ckpt_diff_entry& entry) {
    constexpr std::size_t kShown = 3;
    std::string text;
    for (std::size_t i = 0; i < std::min(kShown, entry.range_count); ++i) {
      text += (i > 0 ? " " : "") + std::to_string(entry.ranges[i].offset) + "+" +
              std::to_string(entry.ranges[i].length_bytes);
    }
    if (entry.range_count > kShown) {
      text += " and " + HumanCount(entry.range_count - kShown) + " more";
    }
    return text;
  }

  std::string a_;
  std::string b_;
  bool json_ = false;
  std::uint64_t changed_bytes_ = 0;
  JsonList entries_;
  Table table_{{{"STATUS"},
                {"CHANGED", Table::Align::kRight},
                {"SIZE", Table::Align::kRight},
                {"WHERE"},
                {"NAME"}}};
};

}  // namespace

const CommandInfo kDiffCommand = {"diff",
                                  "Show which entries changed between two checkpoints, and where",
                                  "ckpt-store diff melt@5000 melt@10000\n",
                                  [] { return std::unique_ptr<Command>(new DiffCommand); }};

}  // namespace ckpt
