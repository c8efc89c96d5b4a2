// How much of a sweep a build takes: one that tries every operation, byte, call or interleaving of
// something. Built without sanitizers, all of it. Sanitizers are ten times slower and look for
// other mistakes, which show at one point as at its neighbour: with them it is every thirteenth
// point, always the same ones. Thirteen shares no factor with the two to six ways in which sweeps
// vary from one point to the next, so all of these are met. Where branches are counted
// (scripts/coverage) it is the same: neighbours take the same ones.

#ifndef CKPT_TESTS_SUPPORT_SWEEP_H_
#define CKPT_TESTS_SUPPORT_SWEEP_H_

#include <cstdint>

namespace ckpt {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(CKPT_SAMPLED_SWEEPS)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

inline constexpr std::uint64_t kSweepStride = kSanitized ? 13 : 1;

// For sweeps that are no simple count: whether the next point is among those taken.
class SampledSweep {
 public:
  bool Takes() { return seen_++ % kSweepStride == 0; }

 private:
  std::uint64_t seen_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_SWEEP_H_
