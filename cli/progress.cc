#include "cli/progress.h"

#include <algorithm>
#include <cmath>

#include "cli/text.h"

namespace ckpt {
namespace {

constexpr std::int64_t kRedrawNs = kSecondNs / 10;
constexpr std::int64_t kLineNs = 10 * kSecondNs;
constexpr std::int64_t kSampleNs = kSecondNs / 2;

double SecondsLeft(const ProgressState& state) {
  const std::uint64_t left = state.total_bytes - std::min(state.total_bytes, state.done_bytes);
  return static_cast<double>(left) / state.bytes_per_second;
}

bool TimeLeftIsKnown(const ProgressState& state) {
  return state.total_bytes > 0 && state.bytes_per_second >= 1;
}

// "1.3 GiB of 2.9 GiB", "12 of 40", "12".
std::string Amount(const ProgressState& state) {
  if (state.total_bytes > 0) {
    return HumanBytes(state.done_bytes) + " of " + HumanBytes(state.total_bytes);
  }
  if (state.done_bytes > 0) return HumanBytes(state.done_bytes);
  std::string items = HumanCount(state.done_items);
  if (state.total_items > 0) items += " of " + HumanCount(state.total_items);
  return items;
}

// 0 to 1; below 0 when not known.
double Share(const ProgressState& state) {
  if (state.total_bytes > 0) return std::min(1.0, Ratio(state.done_bytes, state.total_bytes));
  if (state.total_items > 0) return std::min(1.0, Ratio(state.done_items, state.total_items));
  return -1;
}

std::string ClockText(double seconds) {
  const auto whole = static_cast<long>(std::lround(std::min(seconds, 359999.0)));
  std::string minutes = std::to_string(whole / 60 % 60);
  std::string out;
  if (whole >= 3600) {
    out = std::to_string(whole / 3600) + ":";
    minutes.insert(0, 2 - minutes.size(), '0');
  }
  std::string rest = std::to_string(whole % 60);
  rest.insert(0, 2 - rest.size(), '0');
  return out + minutes + ":" + rest;
}

std::string Percent(double share) {
  return HumanPercent(static_cast<std::uint64_t>(share * 1000), 1000);
}

}  // namespace

std::string ProgressBar(const ProgressState& state, std::size_t columns) {
  std::string tail = "  " + Amount(state);
  const double share = Share(state);
  if (share >= 0) tail = "  " + Percent(share) + tail;
  if (state.bytes_per_second >= 1) tail += "  " + HumanRate(state.bytes_per_second);
  if (TimeLeftIsKnown(state)) tail += "  " + ClockText(SecondsLeft(state)) + " left";
  const std::string head = PrintableMessage(state.phase);
  const std::size_t used = DisplayWidth(head) + tail.size() + 4;
  std::string line = head;
  if (share >= 0 && used + 5 <= columns) {
    const std::size_t width = std::min<std::size_t>(columns - used, 30);
    const auto full = static_cast<std::size_t>(share * static_cast<double>(width));
    line += "  [" + std::string(full, '#') + std::string(width - full, '.') + "]";
  }
  line += tail;
  return line.substr(0, columns);
}

std::string ProgressLine(const ProgressState& state) {
  std::string line = PrintableMessage(state.phase) + ": " + Amount(state);
  const double share = Share(state);
  if (share >= 0) line += " (" + Percent(share) + ")";
  if (state.bytes_per_second >= 1) line += ", " + HumanRate(state.bytes_per_second);
  if (TimeLeftIsKnown(state) && share < 1)
    line += ", " + HumanSeconds(SecondsLeft(state)) + " left";
  return line;
}

void ProgressMeter::Update(const ckpt_progress& progress, std::int64_t now_ns) {
  if (options_.mode == ProgressMode::kNever) return;
  if (!begun_) {
    begun_ = true;
    begin_ns_ = now_ns;
  }
  const std::string_view phase = progress.phase == nullptr ? "working" : progress.phase;
  if (phase != state_.phase) BeginPhase(phase, now_ns);
  state_.done_bytes = progress.done_bytes;
  state_.total_bytes = progress.total_bytes;
  state_.done_items = progress.done_items;
  state_.total_items = progress.total_items;
  state_.elapsed_seconds = static_cast<double>(now_ns - phase_begin_ns_) / 1e9;
  MeasureRate(now_ns);
  shown_last_ = false;
  if (!IsDue(now_ns)) return;
  shown_ns_ = std::max<std::int64_t>(now_ns, 1);
  Show();
}

void ProgressMeter::BeginPhase(std::string_view phase, std::int64_t now_ns) {
  state_ = ProgressState();
  state_.phase = phase;
  phase_begin_ns_ = now_ns;
  sample_ns_ = now_ns;
  sample_bytes_ = 0;
}

// A moving average that forgets by half in about two seconds: steady, yet it follows a change.
void ProgressMeter::MeasureRate(std::int64_t now_ns) {
  const std::int64_t passed_ns = now_ns - sample_ns_;
  if (passed_ns < kSampleNs) return;
  const double seconds = static_cast<double>(passed_ns) / 1e9;
  const std::uint64_t bytes = state_.done_bytes - std::min(state_.done_bytes, sample_bytes_);
  const double rate = static_cast<double>(bytes) / seconds;
  const double weight = state_.bytes_per_second > 0 ? 1 - std::exp2(-seconds / 2) : 1;
  state_.bytes_per_second += weight * (rate - state_.bytes_per_second);
  sample_ns_ = now_ns;
  sample_bytes_ = state_.done_bytes;
}

bool ProgressMeter::IsDue(std::int64_t now_ns) const {
  const bool always = options_.mode == ProgressMode::kAlways;
  const std::int64_t period_ns = options_.terminal ? kRedrawNs : kLineNs;
  if (shown_ns_ != 0) return now_ns - shown_ns_ >= period_ns;
  if (always) return true;
  return now_ns - begin_ns_ >= (options_.terminal ? kSecondNs : kLineNs);
}

void ProgressMeter::Show() {
  shown_last_ = true;
  if (options_.terminal) {
    // One column stays free: a terminal that wraps at the edge would keep old bars.
    const std::size_t columns = std::max<std::size_t>(options_.columns(), 20) - 1;
    options_.write("\r\x1b[K" + ProgressBar(state_, columns));
    bar_shown_ = true;
  } else {
    options_.write(ProgressLine(state_) + "\n");
  }
}

void ProgressMeter::Clear() {
  if (bar_shown_) options_.write("\r\x1b[K");
  bar_shown_ = false;
}

void ProgressMeter::Finish() {
  const bool last_line = options_.mode == ProgressMode::kAlways && !options_.terminal;
  if (last_line && begun_ && !shown_last_) Show();
  Clear();
}

}  // namespace ckpt
