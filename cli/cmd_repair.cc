// ckpt-store repair: sets aside what is damaged and says what was lost; exit 3 when something was.

#include <limits>

#include "cli/command.h"
#include "cli/damage_text.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

constexpr std::int64_t kWaitForEverMs = std::numeric_limits<std::int64_t>::max() / 1'000'000;
constexpr std::size_t kEntriesShownMax = 20;  // of one checkpoint; JSON has all

class RepairCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_flag("--dry-run", dry_run_, "Say what is damaged and what is lost, change nothing");
    AddWait(app, &wait_ms_, "Wait for a collector and for running writers (default: 10s)");
    AddText(app, "--break-host", &break_host_, "NAME",
            "My word for it: no writer on this host is alive");
  }

  int Run(Console& console) override {
    json_ = console.json();
    StoreHandle store(console);
    const ckpt_open_mode mode = dry_run_ ? CKPT_OPEN_READ : CKPT_OPEN_WRITE;
    if (const int status = store.Open(mode); status != kExitDone) return status;
    ckpt_repair_options options = CKPT_REPAIR_OPTIONS_INIT;
    options.dry_run = dry_run_ ? 1 : 0;
    options.wait_ms = wait_ms_ < 0 ? kWaitForEverMs : wait_ms_;
    options.break_host_name = break_host_.empty() ? nullptr : break_host_.c_str();
    ckpt_repair_callbacks callbacks = CKPT_REPAIR_CALLBACKS_INIT;
    callbacks.damage = OnDamage;
    callbacks.set_aside = OnAside;
    callbacks.lost = OnLost;
    callbacks.newest_sound = OnNewestSound;
    callbacks.user = this;
    ckpt_repair_result result = CKPT_REPAIR_RESULT_INIT;
    const ckpt_code code = ckpt_repair(store.get(), &options, &callbacks, &result);
    if (code != CKPT_OK) return store.Fail(code);
    if (json_) {
      PrintJson(console, result);
    } else {
      PrintText(console, result);
    }
    const bool lost = result.lost > 0 || result.unnamed > 0 || (dry_run_ && result.damaged > 0);
    return lost ? kExitDamage : kExitDone;
  }

 private:
  static RepairCommand* Self(void* user) { return static_cast<RepairCommand*>(user); }

  static int OnDamage(const ckpt_damage* damage, void* user) {
    RepairCommand* self = Self(user);
    if (self->json_) {
      self->damaged_.Add(DamageJson(*damage));
    } else {
      self->text_ += DamageText(*damage);
    }
    return Interrupted();
  }

  static int OnAside(const ckpt_set_aside* pack, void* user) {
    RepairCommand* self = Self(user);
    self->set_aside_.push_back({{"pack", pack->pack},
                                {"moved_to", pack->moved_to},
                                {"bytes", pack->bytes},
                                {"kept_chunks", pack->kept_chunks},
                                {"kept_records", pack->kept_records},
                                {"lost_chunks", pack->lost_chunks}});
    if (pack->bytes == 0) {
      self->text_ += "gone: " + PrintableName(pack->pack) + "\n";
      return Interrupted();
    }
    if (*pack->moved_to == '\0') {
      self->text_ +=
          "would set aside: " + PrintableName(pack->pack) + ", " + HumanBytes(pack->bytes) + "\n";
      return Interrupted();
    }
    self->text_ += "set aside: " + PrintableName(pack->pack) + " is now " +
                   PrintableName(pack->moved_to) + ", " + HumanBytes(pack->bytes) + "; " +
                   Plural(pack->kept_chunks, "chunk", "chunks") + " and " +
                   Plural(pack->kept_records, "record", "records") + " kept, " +
                   Plural(pack->lost_chunks, "chunk", "chunks") + " lost\n";
    return Interrupted();
  }

  static int OnLost(const ckpt_lost* lost, void* user) {
    RepairCommand* self = Self(user);
    Json json = Json::object();
    SetText(json, "checkpoint", lost->checkpoint);
    json["all"] = lost->all != 0;
    json["rest"] = lost->rest != 0;
    SetNames(json, "entries", lost->entries, lost->entry_count);
    self->lost_.push_back(std::move(json));
    self->text_ += "lost: " + PrintableName(lost->checkpoint);
    if (lost->all != 0) {
      self->text_ += ", all of it\n";
      return Interrupted();
    }
    self->text_ += ":";
    for (std::size_t i = 0; i < lost->entry_count && i < kEntriesShownMax; ++i) {
      self->text_ += " " + PrintableName(lost->entries[i]);
    }
    if (lost->entry_count > kEntriesShownMax) {
      self->text_ += " and " + std::to_string(lost->entry_count - kEntriesShownMax) + " more";
    }
    if (lost->rest != 0) self->text_ += " and whatever comes after them in its table";
    self->text_ += "\n";
    return Interrupted();
  }

  static int OnNewestSound(const ckpt_checkpoint* checkpoint, void* user) {
    RepairCommand* self = Self(user);
    self->newest_sound_.push_back(CheckpointJson(*checkpoint));
    self->newest_text_ += "newest sound: " + PrintableName(FullName(*checkpoint)) + "  " +
                          LocalTime(checkpoint->created_ns) + "\n";
    return Interrupted();
  }

  void PrintJson(Console& console, const ckpt_repair_result& result) const {
    Json json = {{"dry_run", dry_run_},
                 {"set_aside", set_aside_},
                 {"lost", lost_},
                 {"unnamed", result.unnamed},
                 {"kept_chunks", result.kept_chunks},
                 {"lost_chunks", result.lost_chunks},
                 {"seconds", result.seconds},
                 {"newest_sound", newest_sound_}};
    console.Print(damaged_.DocumentIn(json, "damaged"));
  }

  void PrintText(Console& console, const ckpt_repair_result& result) const {
    if (result.damaged == 0 && result.packs_gone == 0) {
      console.Say("nothing is damaged: " + HumanSeconds(result.seconds) + "\n");
      return;
    }
    std::string text = text_;
    if (result.unnamed > 0) {
      text += "lost: " + Plural(result.unnamed, "manifest", "manifests") +
              ", of checkpoints that nobody can name any more\n";
    }
    if (result.lost == 0 && result.unnamed == 0) text += "no checkpoint lost anything\n";
    console.Print(text + newest_text_);
    if (dry_run_ || result.packs_set_aside == 0) return;
    console.Say(
        "what was set aside is not deleted: remove the folder quarantine when you do not "
        "need it any more; saving the same data again brings back what was lost\n");
  }

  bool dry_run_ = false;
  std::int64_t wait_ms_ = 10'000;
  std::string break_host_;
  bool json_ = false;
  std::string text_;
  std::string newest_text_;
  JsonList damaged_;
  Json set_aside_ = Json::array();
  Json lost_ = Json::array();
  Json newest_sound_ = Json::array();
};

}  // namespace

const CommandInfo kRepairCommand = {"repair", "Set aside what is damaged, keep what is sound",
                                    "ckpt-store repair --dry-run\n"
                                    "ckpt-store repair\n",
                                    [] { return std::unique_ptr<Command>(new RepairCommand); }};

}  // namespace ckpt
