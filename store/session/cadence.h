// Cadence: when the next save is due.
//
// Every so many steps or seconds, whichever is due first; with neither, by Daly's higher-order
// estimate of the optimum interval (J. T. Daly, "A higher order estimate of the optimum checkpoint
// interval for restart dumps", Future Generation Computer Systems 22, 2006, equation 37), which
// refines Young's sqrt(2 c M) (CACM 17, 1974): with c the time a save costs the application and M
// the mean time between failures,
//
//   interval = sqrt(2 c M) (1 + sqrt(c / (2 M)) / 3 + c / (18 M)) - c     for c < 2 M, else M.
//
// And once more when the allocation ends so soon that a save begun later might not be complete.
// Time counts from the beginning, also that of the first step.
// Thread rule: one thread.

#ifndef CKPT_STORE_SESSION_CADENCE_H_
#define CKPT_STORE_SESSION_CADENCE_H_

#include <cstdint>
#include <optional>

namespace ckpt {

double DalyInterval(double cost_s, double mean_time_between_failures_s);

class Cadence {
 public:
  struct Settings {
    std::int64_t every_steps = 0;
    // At its multiples, whatever was saved between: ranks that all save then stay together.
    bool at_multiples = false;
    double every_seconds = 0;
    double mean_time_between_failures_s = 0;
    std::int64_t end_time_ns = 0;  // by the wall clock; 0: not known
  };
  struct Now {
    std::int64_t step = 0;
    std::int64_t monotonic_ns = 0;
    std::int64_t realtime_ns = 0;
  };

  // `start`: when the code began, and with which step done.
  Cadence(const Settings& settings, const Now& start)
      : settings_(settings), saved_(start), last_call_ns_(start.monotonic_ns) {}

  // Asked at each step; asked again for the same one, no.
  bool Due(const Now& now);
  void Saved(const Now& now) { saved_ = now; }
  // A save held the application up so long, and one takes so long until it is durable (0: not
  // known).
  void Costs(double blocked_s, double durable_s);
  double interval_s() const;
  // From the beginning of a save until it is durable, as measured; 0: nothing measured yet.
  double durable_s() const { return durable_s_; }

 private:
  bool EndIsNear(const Now& now);
  bool StepsAreDue(std::int64_t step) const;

  const Settings settings_;
  Now saved_;
  std::int64_t last_call_ns_;
  std::optional<std::int64_t> asked_step_;
  double step_s_ = 0;  // the longest time between two calls of late
  double blocked_s_ = 0;
  double durable_s_ = 0;
  std::optional<double> near_left_s_;  // until the end, when it was near last
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_CADENCE_H_
