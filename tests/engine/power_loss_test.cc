// Every state of the disk that a power loss may leave, for scripted lives of a store: what was
// acknowledged is there, nothing else passes for whole, and the store goes on: with saves, beside a
// collection, on a full disk. sync_mutants_test.cc is its test.
//
// $CKPT_PROOF_STATES sets how many states of each point are tried (short form 130; 1500 makes
// a million in all). With it, up to 12 unsynced effects, all of their subsets are tried whatever
// the number; without it only where there are no more of them than that. The counts are printed.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/support/lives.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

constexpr std::size_t kEffectsMax = 12;

constexpr std::uint64_t kStatesShort = kSanitized ? 8 : 130;
constexpr std::uint64_t kStatesMin = 4;

// How many states of a point of a life are tried, and how much of a second loss of power.
struct Extent {
  std::uint64_t states = kStatesShort;
  bool all_subsets = false;
  std::uint64_t again_stride = 40;  // changes of a recovery between two moments

  std::uint64_t StatesWith(std::size_t effects) const {
    if (effects == 0) return 1;
    if (!all_subsets || effects > kEffectsMax) return states;
    return std::max(states, std::uint64_t{1} << effects);
  }
};

Extent ExtentOf(const Life& life) {
  Extent extent;
  if (const char* text = std::getenv("CKPT_PROOF_STATES"); text != nullptr) {
    extent.states = std::strtoull(text, nullptr, 10);
    extent.all_subsets = true;
    extent.again_stride = 8;
  }
  extent.states = std::max(extent.states / life.slower, kStatesMin);
  return extent;
}

CrashChoice StateOf(std::uint64_t k, std::size_t effects, std::uint64_t states) {
  CrashChoice choice;
  if (effects <= kEffectsMax && (1ull << effects) <= states && k < (1ull << effects)) {
    choice.keep = CrashChoice::Keep::kMask;  // all subsets, then random ones with tears
    for (std::size_t i = 0; i < effects; ++i) choice.mask.push_back((k >> i & 1) != 0);
    choice.fill = static_cast<CrashChoice::Fill>(k % 3);
    choice.seed = k;
    return choice;
  }
  if (k == 0) return CrashChoice::None();
  if (k == 1) return CrashChoice::All();
  return CrashChoice::Random(k * 7919 + effects);
}

// Which of the states of point n go on, and how; and which lose the power again.
GoOn GoesOn(std::uint64_t n, std::uint64_t k, std::size_t effects) {
  if ((n + k) % 32 == 9) return GoOn::kFullDisk;
  return (n + k) % 32 == 5 || effects == 0 ? GoOn::kSaves : GoOn::kNot;
}
bool IsLostAgain(std::uint64_t n, std::uint64_t k, std::size_t effects) {
  return (n + k) % 32 == 13 || (effects == 0 && n % 4 == 1);
}

// Tries states after each operation. "" or what is broken, and where.
std::string TryStates(const Life& life, std::uint64_t operations, const Extent& extent,
                      std::uint64_t* tried, std::uint64_t* again) {
  for (std::uint64_t n = 0; n <= operations; n += kSweepStride) {
    Told told;
    auto world = LiveUntil(life, n, {}, &told);
    const std::size_t effects = world->effect_count();
    const std::uint64_t here = extent.StatesWith(effects);
    for (std::uint64_t k = 0; k < here; ++k, ++*tried) {
      auto after = world->Crash(StateOf(k, effects, here));
      std::string broken;
      if (IsLostAgain(n, k, effects)) {
        broken = WhatBreaksAgain(*after, told, n + k, extent.again_stride, again);
      }
      if (broken.empty()) broken = WhatBreaks(after.get(), told, GoesOn(n, k, effects));
      if (broken.empty()) continue;
      return "after operation " + std::to_string(n) + ", state " + std::to_string(k) + " of " +
             std::to_string(effects) + " effects: " + broken;
    }
  }
  return "";
}

class PowerLoss : public LifeTest {};
INSTANTIATE_TEST_SUITE_P(Lives, PowerLoss, ::testing::ValuesIn(AllLives()), [](const auto& life) {
  std::string name = life.param.name;
  std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
  return name;
});

TEST_P(PowerLoss, WhatWasAcknowledgedIsThereInEveryState) {
  const std::uint64_t changes = StoryOf(GetParam()).size();
  std::uint64_t tried = 0, again = 0;
  EXPECT_EQ(TryStates(GetParam(), changes, ExtentOf(GetParam()), &tried, &again), "");
  EXPECT_GT(tried, 2 * changes / kSweepStride);
  EXPECT_GT(again, 0);
  std::printf("proof: %s: %llu states after %llu changes, %llu of them after a second loss\n",
              GetParam().name, static_cast<unsigned long long>(tried + again),
              static_cast<unsigned long long>(changes), static_cast<unsigned long long>(again));
}

}  // namespace
}  // namespace ckpt
