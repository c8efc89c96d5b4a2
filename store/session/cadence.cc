#include "store/session/cadence.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "store/io/env.h"

namespace ckpt {
namespace {

// Before the first save nothing is measured: a guess on the safe side.
constexpr double kGuessedCost = 1.0;
constexpr double kIntervalMin = 1.0;
// Of the old value that stays when a new one comes.
constexpr double kMemory = 0.5;

double Seconds(std::int64_t ns) { return static_cast<double>(ns) / kNsPerSecond; }

double Blend(double before, double now) {
  return before <= 0 ? now : kMemory * before + (1 - kMemory) * now;
}

}  // namespace

double DalyInterval(double cost_s, double mean_time_between_failures_s) {
  const double c = cost_s;
  const double m = mean_time_between_failures_s;
  if (c >= 2 * m) return m;
  return std::sqrt(2 * c * m) * (1 + std::sqrt(c / (2 * m)) / 3 + c / (18 * m)) - c;
}

double Cadence::interval_s() const {
  if (settings_.every_seconds > 0) return settings_.every_seconds;
  if (settings_.every_steps > 0) return 0;
  const double cost = blocked_s_ > 0 ? blocked_s_ : kGuessedCost;
  return std::max(kIntervalMin, DalyInterval(cost, settings_.mean_time_between_failures_s));
}

void Cadence::Costs(double blocked_s, double durable_s) {
  blocked_s_ = Blend(blocked_s_, blocked_s);
  if (durable_s > 0) durable_s_ = Blend(durable_s_, durable_s);
}

// The next chance comes a step from now, and the save then takes as long as saves take. One slow
// step makes that a long time before the end: so once more when half of it has passed.
bool Cadence::EndIsNear(const Now& now) {
  if (settings_.end_time_ns == 0) return false;
  const double left = Seconds(settings_.end_time_ns - now.realtime_ns);
  const double cost = std::max(durable_s_, kGuessedCost);
  if (left >= 2 * cost + 2 * step_s_) return false;
  if (near_left_s_.has_value() && (left > *near_left_s_ / 2 || left < cost)) return false;
  near_left_s_ = left;
  return true;
}

bool Cadence::StepsAreDue(std::int64_t step) const {
  const std::int64_t every = settings_.every_steps;
  return settings_.at_multiples ? step / every > saved_.step / every : step - saved_.step >= every;
}

bool Cadence::Due(const Now& now) {
  if (last_call_ns_ > 0) {
    step_s_ = std::max(0.9 * step_s_, Seconds(now.monotonic_ns - last_call_ns_));
  }
  last_call_ns_ = now.monotonic_ns;
  if (std::exchange(asked_step_, now.step) == now.step) return false;
  if (EndIsNear(now)) return true;
  if (settings_.every_steps > 0 && StepsAreDue(now.step)) return true;
  const bool by_time = settings_.every_seconds > 0 || settings_.every_steps == 0;
  return by_time && Seconds(now.monotonic_ns - saved_.monotonic_ns) >= interval_s();
}

}  // namespace ckpt
