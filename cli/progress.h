// How far a long command has come, on standard error: a bar on a terminal, a line now and then in a
// log file.
//
// When shown: `never` not at all; `auto` on a terminal once work has lasted a second, elsewhere
// every ten seconds; `always` from the first report on, and once more when the work ends.
// Thread rule: one thread (the library reports on the calling one).

#ifndef CKPT_CLI_PROGRESS_H_
#define CKPT_CLI_PROGRESS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "ckpt/ckpt.h"

namespace ckpt {

enum class ProgressMode { kAuto, kAlways, kNever };

struct ProgressState {
  std::string phase;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  // 0: not known
  std::uint64_t done_items = 0;
  std::uint64_t total_items = 0;  // 0: not known
  double elapsed_seconds = 0;     // in this phase
  double bytes_per_second = 0;    // lately; 0: not known
};

// "saving  [#####.....]  45.2 %  1.3 GiB of 2.9 GiB  410.2 MiB/s  0:04 left", at most `columns`
// wide.
std::string ProgressBar(const ProgressState& state, std::size_t columns);
// "saving: 1.3 GiB of 2.9 GiB (45.2 %), 410.2 MiB/s, 4.10 s left"
std::string ProgressLine(const ProgressState& state);

class ProgressMeter {
 public:
  struct Options {
    ProgressMode mode = ProgressMode::kAuto;
    bool terminal = false;
    std::function<void(std::string_view)> write;  // to standard error
    std::function<std::size_t()> columns;         // of the terminal
  };

  explicit ProgressMeter(Options options) : options_(std::move(options)) {}

  void Update(const ckpt_progress& progress, std::int64_t now_ns);
  // Takes the bar away, so that something else can be printed; the next update brings it back.
  void Clear();
  // The work is over: takes the bar away; with `always`, a last line in a log file.
  void Finish();

 private:
  bool IsDue(std::int64_t now_ns) const;
  void BeginPhase(std::string_view phase, std::int64_t now_ns);
  void MeasureRate(std::int64_t now_ns);
  void Show();

  Options options_;
  ProgressState state_;
  bool begun_ = false;
  bool bar_shown_ = false;
  bool shown_last_ = false;    // what is known now has been shown
  std::int64_t begin_ns_ = 0;  // of the first report of all
  std::int64_t phase_begin_ns_ = 0;
  std::int64_t shown_ns_ = 0;   // 0: never
  std::int64_t sample_ns_ = 0;  // of the rate
  std::uint64_t sample_bytes_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_CLI_PROGRESS_H_
