// ckpt-store inspect: what a checkpoint consists of.

#include "cli/command.h"
#include "cli/entry_text.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

class InspectCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddText(app, "CHECKPOINT", &checkpoint_, "", "SERIES, SERIES@STEP or SERIES@ATTEMPT:STEP")
        ->required();
  }

  int Run(Console& console) override {
    json_ = console.json();
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    const ckpt_code code =
        ckpt_inspect(store.get(), checkpoint_.c_str(), OnCheckpoint, OnEntry, OnPack, this);
    if (code != CKPT_OK) return store.Fail(code, {checkpoint_});
    if (json_) {
      document_["packs"] = packs_json_;
      console.Print(entries_.DocumentIn(document_, "entries"));
      return kExitDone;
    }
    console.Print(head_);
    if (!table_.empty()) console.Print("\n" + table_.Text());
    if (!packs_.empty()) console.Print("\n" + packs_.Text());
    return kExitDone;
  }

 private:
  static int OnCheckpoint(const ckpt_checkpoint* checkpoint, void* user) {
    auto* self = static_cast<InspectCommand*>(user);
    self->head_ = Head(*checkpoint);
    if (self->json_) {
      self->document_ = CheckpointJson(*checkpoint);
      self->document_["entry_count"] = checkpoint->entries;
      self->document_.erase("entries");  // the list of them takes this key
    }
    return Interrupted();
  }

  static int OnEntry(const ckpt_entry* entry, void* user) {
    auto* self = static_cast<InspectCommand*>(user);
    if (self->json_) {
      self->entries_.Add(EntryJson(*entry));
    } else {
      self->AddRow(*entry);
    }
    return Interrupted();
  }

  static int OnPack(const char* pack, std::uint64_t bytes, void* user) {
    auto* self = static_cast<InspectCommand*>(user);
    self->packs_json_.push_back({{"pack", pack}, {"stored_bytes", bytes}});
    self->packs_.AddRow({HumanBytes(bytes), PrintableName(pack)});
    return Interrupted();
  }

  void AddRow(const ckpt_entry& entry) {
    std::string name = PrintableName(entry.name);
    if (*entry.target != '\0') name += " -> " + PrintableName(entry.target);
    const bool has_bytes = entry.chunks > 0;
    table_.AddRow(
        {EntryType(entry), HumanBytes(entry.logical_bytes),
         has_bytes ? HumanBytes(entry.stored_bytes) : "", has_bytes ? HumanCount(entry.chunks) : "",
         has_bytes ? HumanPercent(entry.logical_bytes - entry.new_bytes, entry.logical_bytes) : "",
         entry.codec, name});
  }

  static std::string Head(const ckpt_checkpoint& checkpoint) {
    std::string text = PrintableName(FullName(checkpoint)) + "  " + checkpoint.state + "  " +
                       LocalTime(checkpoint.created_ns);
    if (checkpoint.ranks > 1) {
      text += "  rank " + std::to_string(checkpoint.rank) + "/" + std::to_string(checkpoint.ranks);
    }
    if (*checkpoint.host_name != '\0') text += "  on " + PrintableName(checkpoint.host_name);
    if (*checkpoint.job_id != '\0') text += "  job " + PrintableName(checkpoint.job_id);
    text += "\n" + HumanBytes(checkpoint.logical_bytes) + " in " +
            Plural(checkpoint.entries, "entry", "entries") + ", " +
            Plural(checkpoint.chunks, "chunk", "chunks") + "; " + HumanBytes(checkpoint.new_bytes) +
            " were new (" + HumanPercent(checkpoint.new_bytes, checkpoint.logical_bytes) +
            "), store grew by " + HumanBytes(checkpoint.stored_bytes) + "\n";
    if (checkpoint.has_parent != 0) {
      text += "continues attempt " + std::to_string(checkpoint.parent_attempt) + " from step " +
              std::to_string(checkpoint.parent_step) + "\n";
    }
    for (std::size_t i = 0; i < checkpoint.tag_count; ++i) {
      text += "tag " + PrintableName(checkpoint.tags[i].key) + "=" +
              PrintableName(checkpoint.tags[i].value) + "\n";
    }
    return text;
  }

  std::string checkpoint_;
  bool json_ = false;
  std::string head_;
  Json document_ = Json::object();
  Json packs_json_ = Json::array();
  JsonList entries_;
  Table table_{{{"TYPE"},
                {"SIZE", Table::Align::kRight},
                {"STORED", Table::Align::kRight},
                {"CHUNKS", Table::Align::kRight},
                {"SHARED", Table::Align::kRight},
                {"CODEC"},
                {"NAME"}}};
  Table packs_{{{"STORED", Table::Align::kRight}, {"PACK"}}};
};

}  // namespace

const CommandInfo kInspectCommand = {"inspect",
                                     "Show a checkpoint's entries, their sizes and what they share",
                                     "ckpt-store inspect melt@5000\n"
                                     "ckpt-store inspect melt --json\n",
                                     [] { return std::unique_ptr<Command>(new InspectCommand); }};

}  // namespace ckpt
