// ckpt-store inspect: what a checkpoint consists of.

#include "cli/command.h"
#include "cli/effort_table.h"
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
    app.add_flag("--efforts", estimates_,
                 "What each --effort would give and cost (reads a sample)");
  }

  int Run(Console& console) override {
    json_ = console.json();
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    const ckpt_code code =
        ckpt_inspect(store.get(), checkpoint_.c_str(), OnCheckpoint, OnEntry, OnPack, this);
    if (code != CKPT_OK) return store.Fail(code, {checkpoint_});
    if (estimates_) {
      const ckpt_code estimated =
          ckpt_estimate_efforts(store.get(), checkpoint_.c_str(), OnEffort, this);
      if (estimated != CKPT_OK) return store.Fail(estimated, {checkpoint_});
    }
    if (json_) {
      document_ = Document();
      document_["packs"] = packs_json_;
      if (estimates_) document_["efforts"] = efforts_.json();
      console.Print(entries_.DocumentIn(document_, "entries"));
      return kExitDone;
    }
    console.Print(Head());
    if (!table_.empty()) console.Print("\n" + table_.Text());
    if (!packs_.empty()) console.Print("\n" + packs_.Text());
    if (estimates_) {
      console.Print("\nall of its chunks, by effort; speeds are of one thread:\n" +
                    efforts_.Text());
    }
    return kExitDone;
  }

 private:
  static int OnCheckpoint(const ckpt_checkpoint* checkpoint, void* user) {
    static_cast<InspectCommand*>(user)->AddRank(*checkpoint);
    return Interrupted();
  }

  // The first rank's words, and the sums of all ranks' numbers.
  void AddRank(const ckpt_checkpoint& checkpoint) {
    ranks_.push_back({checkpoint.rank, checkpoint.entries});
    of_a_group_ = checkpoint.ranks > 1;
    if (ranks_.size() == 1) {
      title_ = Title(checkpoint);
      notes_ = Notes(checkpoint);
      document_ = CheckpointJson(checkpoint);
    }
    sum_.entries += checkpoint.entries;
    sum_.files += checkpoint.files;
    sum_.logical_bytes += checkpoint.logical_bytes;
    sum_.new_bytes += checkpoint.new_bytes;
    sum_.stored_bytes += checkpoint.stored_bytes;
    sum_.chunks += checkpoint.chunks;
    sum_.new_chunks += checkpoint.new_chunks;
  }

  Json Document() const {
    Json json = document_;
    json["files"] = sum_.files;
    json["logical_bytes"] = sum_.logical_bytes;
    json["new_bytes"] = sum_.new_bytes;
    json["stored_bytes"] = sum_.stored_bytes;
    json["chunks"] = sum_.chunks;
    json["new_chunks"] = sum_.new_chunks;
    json["entry_count"] = sum_.entries;
    json.erase("entries");  // the list of them takes this key
    if (of_a_group_) json["saved_ranks"] = ranks_.size();
    return json;
  }

  // Entries come rank by rank.
  std::uint32_t RankOfNextEntry() {
    while (at_ + 1 < ranks_.size() && entries_seen_ == ranks_[at_].entries) {
      ++at_;
      entries_seen_ = 0;
    }
    ++entries_seen_;
    return ranks_[at_].rank;
  }

  static int OnEntry(const ckpt_entry* entry, void* user) {
    auto* self = static_cast<InspectCommand*>(user);
    const std::uint32_t rank = self->RankOfNextEntry();
    if (self->json_) {
      Json json = EntryJson(*entry);
      if (self->of_a_group_) json["rank"] = rank;
      self->entries_.Add(json);
    } else {
      self->AddRow(*entry, rank);
    }
    return Interrupted();
  }

  static int OnEffort(const ckpt_effort_estimate* estimate, void* user) {
    auto* self = static_cast<InspectCommand*>(user);
    self->efforts_.Add(*estimate, self->sum_.logical_bytes);
    return Interrupted();
  }

  static int OnPack(const char* pack, std::uint64_t bytes, void* user) {
    auto* self = static_cast<InspectCommand*>(user);
    self->packs_json_.push_back({{"pack", pack}, {"stored_bytes", bytes}});
    self->packs_.AddRow({HumanBytes(bytes), PrintableName(pack)});
    return Interrupted();
  }

  void AddRow(const ckpt_entry& entry, std::uint32_t rank) {
    std::string name = PrintableName(entry.name);
    if (of_a_group_) name = "rank " + std::to_string(rank) + ": " + name;
    if (*entry.target != '\0') name += " -> " + PrintableName(entry.target);
    const bool has_bytes = entry.chunks > 0;
    table_.AddRow({EntryType(entry), HumanBytes(entry.logical_bytes),
                   has_bytes ? HumanBytes(entry.stored_bytes) : "",
                   has_bytes ? HumanCount(entry.chunks) : "",
                   has_bytes ? HumanPercent(entry.chunks - entry.new_chunks, entry.chunks) : "",
                   entry.codec, name});
  }

  static std::string Title(const ckpt_checkpoint& checkpoint) {
    std::string text = PrintableName(FullName(checkpoint)) + "  " + checkpoint.state + "  " +
                       LocalTime(checkpoint.created_ns);
    if (*checkpoint.host_name != '\0') text += "  on " + PrintableName(checkpoint.host_name);
    if (*checkpoint.job_id != '\0') text += "  job " + PrintableName(checkpoint.job_id);
    if (checkpoint.ranks > 1) text += "  of " + std::to_string(checkpoint.ranks) + " ranks";
    return text + "\n";
  }

  static std::string Notes(const ckpt_checkpoint& checkpoint) {
    std::string text;
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

  std::string Head() const {
    std::string text =
        title_ + HumanBytes(sum_.logical_bytes) + " in " + Plural(sum_.entries, "entry", "entries");
    if (of_a_group_) text += " of " + Plural(ranks_.size(), "rank", "ranks");
    return text + ", " + Plural(sum_.chunks, "chunk", "chunks") + "; " +
           HumanBytes(sum_.new_bytes) + " were new (" +
           HumanPercent(sum_.new_bytes, sum_.logical_bytes) + "), store grew by " +
           HumanBytes(sum_.stored_bytes) + "\n" + notes_;
  }

  struct SavedRank {
    std::uint32_t rank;
    std::uint64_t entries;
  };

  std::string checkpoint_;
  bool json_ = false;
  bool estimates_ = false;
  EffortTable efforts_;
  bool of_a_group_ = false;
  std::vector<SavedRank> ranks_;
  std::size_t at_ = 0;  // in ranks_: whose entries come now
  std::uint64_t entries_seen_ = 0;
  std::string title_;
  std::string notes_;
  ckpt_checkpoint sum_{};
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
                                     "ckpt-store inspect melt --efforts --json\n",
                                     [] { return std::unique_ptr<Command>(new InspectCommand); }};

}  // namespace ckpt
