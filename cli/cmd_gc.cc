// ckpt-store gc: drops what no rule keeps, then returns the space of what nothing needs.

#include <limits>

#include "cli/command.h"
#include "cli/exit_codes.h"
#include "cli/parse.h"
#include "cli/removed_list.h"
#include "cli/store_handle.h"

namespace ckpt {
namespace {

constexpr std::int64_t kForEverMs = std::numeric_limits<std::int64_t>::max() / 1'000'000;

class GcCommand : public Command {
 public:
  void Define(CLI::App& app) override {
    AddParsed<std::uint64_t>(app, "--keep-last", &keep_last_, "N", ParseCount, "a number",
                             "Keep the newest N of each series");
    AddParsed<std::int64_t>(app, "--keep-every", &keep_every_, "N", ParseStep, "a number",
                            "Keep steps that are multiples of N");
    AddParsed<std::int64_t>(app, "--keep-within", &keep_within_ns_, "TIME", ParseDuration,
                            "a time like 7d, 12h, 30m", "Keep what is younger");
    AddText(app, "--series", &series_, "S", "The rules are for this series only");
    app.add_flag("--dry-run", dry_run_, "Say what would be dropped and freed, change nothing");
    AddWait(app, &wait_ms_, "Wait for another collector and for running writers (default: 10s)");
    AddText(app, "--break-host", &break_host_, "NAME",
            "My word for it: no writer on this host is "
            "alive");
  }

  int Run(Console& console) override {
    if (keep_last_ == 0) return console.FailUsage("--keep-last is 1 or above");
    if (keep_every_ == 0) return console.FailUsage("--keep-every is 1 or above");
    if (keep_within_ns_ == 0) return console.FailUsage("--keep-within is above 0");
    StoreHandle store(console);
    // A dry run works where only reading is allowed.
    const ckpt_open_mode mode = dry_run_ ? CKPT_OPEN_READ : CKPT_OPEN_WRITE;
    if (const int status = store.Open(mode); status != kExitDone) return status;
    ckpt_collect_options options = CKPT_COLLECT_OPTIONS_INIT;
    options.series = series_.empty() ? nullptr : series_.c_str();
    options.keep_last = keep_last_.value_or(0);
    options.keep_every = keep_every_.value_or(0);
    options.keep_within_ns = keep_within_ns_.value_or(0);
    options.dry_run = dry_run_ ? 1 : 0;
    options.wait_ms = wait_ms_ < 0 ? kForEverMs : wait_ms_;
    options.break_host_name = break_host_.empty() ? nullptr : break_host_.c_str();
    RemovedList removed;
    ckpt_collect_result result = CKPT_COLLECT_RESULT_INIT;
    const ckpt_code code = ckpt_collect(store.get(), &options, RemovedList::Add, &removed, &result);
    if (code != CKPT_OK) return store.Fail(code, {series_});
    Report(console, removed, result);
    return kExitDone;
  }

 private:
  void Report(Console& console, const RemovedList& removed,
              const ckpt_collect_result& result) const {
    if (console.json()) {
      console.Print(removed.DocumentIn({{"dry_run", dry_run_},
                                        {"freed_bytes", result.freed_bytes},
                                        {"rewritten_bytes", result.rewritten_bytes},
                                        {"packs_removed", result.packs_removed},
                                        {"packs_waiting", result.packs_waiting},
                                        {"seconds", result.seconds}}));
      return;
    }
    const std::string lines = removed.Lines(dry_run_ ? "would remove" : "removed");
    if (dry_run_) console.Print(lines);
    if (!dry_run_) console.Say(lines);
    std::string text = dry_run_ ? "would free " : "freed ";
    text += HumanBytes(result.freed_bytes) + ": " +
            Plural(result.removed, "checkpoint", "checkpoints") + " and " +
            Plural(result.packs_removed, "pack", "packs") + (dry_run_ ? "" : " removed") + ", " +
            HumanBytes(result.rewritten_bytes) + (dry_run_ ? " to rewrite, " : " rewritten, ") +
            HumanSeconds(result.seconds) + "\n";
    if (result.packs_waiting > 0) {
      text += Plural(result.packs_waiting, "pack waits", "packs wait") +
              " for running writers: run gc again later\n";
    }
    console.Say(text);
  }

  std::optional<std::uint64_t> keep_last_;
  std::optional<std::int64_t> keep_every_;
  std::optional<std::int64_t> keep_within_ns_;
  std::string series_;
  std::string break_host_;
  bool dry_run_ = false;
  std::int64_t wait_ms_ = 10'000;
};

}  // namespace

const CommandInfo kGcCommand = {"gc", "Drop checkpoints by rules and return unused space",
                                "ckpt-store gc\n"
                                "ckpt-store gc --keep-last 3 --keep-every 10000 --keep-within 7d\n"
                                "ckpt-store gc --series melt --keep-last 1 --dry-run\n",
                                [] { return std::unique_ptr<Command>(new GcCommand); }};

}  // namespace ckpt
