// ckpt-store check: reads and verifies the store; exit 3 names damage.

#include <set>

#include "cli/command.h"
#include "cli/damage_text.h"
#include "cli/exit_codes.h"
#include "cli/json.h"
#include "cli/parse.h"
#include "cli/store_handle.h"
#include "cli/text.h"

namespace ckpt {
namespace {

class CheckCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    auto* quick = app.add_flag("--quick", quick_, "The structure only, not every byte");
    AddParsed<double>(app, "--part", &part_percent_, "P%", ParsePercent,
                      "a share above 0% and up to 100%", "Only so much of the bytes, at random")
        ->excludes(quick);
    app.add_flag("--no-record", no_record_, "Do not record in the store what is found damaged");
  }

  int Run(Console& console) override {
    json_ = console.json();
    StoreHandle store(console);
    if (const int status = store.Open(CKPT_OPEN_READ); status != kExitDone) return status;
    ckpt_check_options options = CKPT_CHECK_OPTIONS_INIT;
    options.quick = quick_ ? 1 : 0;
    options.part_percent = part_percent_;
    options.record = no_record_ ? 0 : 1;
    ckpt_check_result result = CKPT_CHECK_RESULT_INIT;
    const ckpt_code code =
        ckpt_check(store.get(), &options, OnDamage, OnNewestSound, this, &result);
    if (code != CKPT_OK) return store.Fail(code);
    if (json_) {
      PrintJson(console, result);
    } else {
      PrintText(console, result);
    }
    return result.damaged == 0 ? kExitDone : kExitDamage;
  }

 private:
  static int OnDamage(const ckpt_damage* damage, void* user) {
    auto* self = static_cast<CheckCommand*>(user);
    if (self->json_) {
      self->damaged_.Add(DamageJson(*damage));
      return Interrupted();
    }
    self->text_ += DamageText(*damage);
    for (std::size_t i = 0; i < damage->checkpoint_count; ++i) {
      const std::string_view name = damage->checkpoints[i];
      self->hurt_.emplace(name.substr(0, name.rfind('@')));
    }
    return Interrupted();
  }

  static int OnNewestSound(const ckpt_checkpoint* checkpoint, void* user) {
    auto* self = static_cast<CheckCommand*>(user);
    self->newest_sound_.push_back(CheckpointJson(*checkpoint));
    self->hurt_.erase(checkpoint->series);
    self->newest_text_ += "newest sound: " + PrintableName(FullName(*checkpoint)) + "  " +
                          LocalTime(checkpoint->created_ns) + "\n";
    return Interrupted();
  }

  void PrintJson(Console& console, const ckpt_check_result& result) const {
    Json json = {{"packs", result.packs},
                 {"checkpoints", result.checkpoints},
                 {"chunks", result.chunks},
                 {"verified_bytes", result.verified_bytes},
                 {"quick", quick_},
                 {"part_percent", part_percent_},
                 {"recorded", result.recorded},
                 {"seconds", result.seconds},
                 {"newest_sound", newest_sound_}};
    console.Print(damaged_.DocumentIn(json, "damaged"));
  }

  void PrintText(Console& console, const ckpt_check_result& result) const {
    console.Print(text_);
    const std::string checked = Plural(result.packs, "pack", "packs") + ", " +
                                Plural(result.checkpoints, "checkpoint", "checkpoints") + ", " +
                                HumanBytes(result.verified_bytes) + " verified, " +
                                HumanSeconds(result.seconds) + "\n";
    if (result.damaged == 0) {
      if (result.recorded > 0) {
        console.Say(Plural(result.recorded, "place reads", "places read") +
                    " true again and may be relied on: recorded\n");
      }
      console.Say((quick_ ? "no damage to the structure: " : "no damage: ") + checked);
      return;
    }
    std::string none_left;
    for (const std::string& series : hurt_) {
      none_left += "newest sound: none of series '" + PrintableName(series) + "'\n";
    }
    console.Print(newest_text_ + none_left + Plural(result.damaged, "place", "places") +
                  " damaged: " + checked);
    if (result.recorded > 0) {
      console.Say(Plural(result.recorded, "place", "places") +
                  " recorded: nothing new relies on them, and a save that has their bytes stores "
                  "them anew\n");
    }
  }

  bool quick_ = false;
  bool no_record_ = false;
  double part_percent_ = 100;
  bool json_ = false;
  std::string text_;
  std::string newest_text_;
  std::set<std::string, std::less<>>
      hurt_;  // series with damage, without those that are told sound
  JsonList damaged_;
  Json newest_sound_ = Json::array();
};

}  // namespace

const CommandInfo kCheckCommand = {"check", "Read and verify every byte of the store",
                                   "ckpt-store check\n"
                                   "ckpt-store check --quick\n"
                                   "ckpt-store check --part 10%\n",
                                   [] { return std::unique_ptr<Command>(new CheckCommand); }};

}  // namespace ckpt
