// Every state of the disk that a power loss may leave, for scripted lives of a store: what was
// acknowledged is there, nothing else passes for whole, and the store goes on: with saves, beside a
// collection, on a full disk. sync_mutants_test.cc is its test.
//
// $CKPT_PROOF_STATES sets how many states of each point are tried (short form 150; 1500 makes
// a million in all); up to 12 unsynced effects, all of their subsets when there are no more of them
// than that. The counts are printed.

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/lives.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

constexpr std::size_t kEffectsMax = 12;

constexpr std::uint64_t kStatesShort = kAddressSanitizer ? 8 : 150;

std::uint64_t StatesOfAPoint() {
  const char* text = std::getenv("CKPT_PROOF_STATES");
  return text == nullptr ? kStatesShort : std::strtoull(text, nullptr, 10);
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

GoOn GoesOn(std::uint64_t k, std::size_t effects) {
  if (k % 32 == 9) return GoOn::kFullDisk;
  return k % 32 == 5 || effects == 0 ? GoOn::kSaves : GoOn::kNot;
}

// Tries `states` states after each operation. "" or what is broken, and where.
std::string TryStates(const Life& life, std::uint64_t operations, std::uint64_t states,
                      std::uint64_t* tried) {
  for (std::uint64_t n = 0; n <= operations; ++n) {
    Told told;
    auto world = LiveUntil(life, n, {}, &told);
    const std::size_t effects = world->effect_count();
    const std::uint64_t here = effects == 0 ? 1 : states;
    for (std::uint64_t k = 0; k < here; ++k, ++*tried) {
      auto after = world->Crash(StateOf(k, effects, states));
      std::string broken = WhatBreaks(after.get(), told, GoesOn(k, effects));
      if (broken.empty()) continue;
      return "after operation " + std::to_string(n) + ", state " + std::to_string(k) + " of " +
             std::to_string(effects) + " effects: " + broken;
    }
  }
  return "";
}

class PowerLoss : public ::testing::TestWithParam<Life> {
 protected:
  PowerLoss() { block_bytes = GetParam().block_bytes; }
  ~PowerLoss() override { block_bytes = 3000; }
};
INSTANTIATE_TEST_SUITE_P(Lives, PowerLoss, ::testing::ValuesIn(AllLives()), [](const auto& life) {
  std::string name = life.param.name;
  std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
  return name;
});

TEST_P(PowerLoss, WhatWasAcknowledgedIsThereInEveryState) {
  std::uint64_t changes = 0, tried = 0;
  SyncsOf(GetParam(), &changes);
  EXPECT_EQ(TryStates(GetParam(), changes, StatesOfAPoint() / GetParam().slower, &tried), "");
  std::printf("proof: %s: %llu states after %llu changes\n", GetParam().name,
              static_cast<unsigned long long>(tried), static_cast<unsigned long long>(changes));
}

}  // namespace
}  // namespace ckpt
