// The lives of power_loss_test.cc with an index, which a power loss may leave as it was after any
// of its transactions: older than the packs, or newer than what is left of them. It is believed
// only as far as the packs are what it read (I4), so all that holds without an index holds with it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "tests/support/kept_index.h"
#include "tests/support/lives.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

class IndexAfterPowerLoss : public LifeTest {
 protected:
  ~IndexAfterPowerLoss() override { kept_indexes = nullptr; }
};
std::vector<Life> LivesWithAnIndex() {
  std::vector<Life> lives;
  for (const Life& life : AllLives()) {
    if (life.block_bytes <= 3000) lives.push_back(life);
  }
  return lives;
}
INSTANTIATE_TEST_SUITE_P(Lives, IndexAfterPowerLoss, ::testing::ValuesIn(LivesWithAnIndex()),
                         [](const auto& life) {
                           std::string name = life.param.name;
                           std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
                           return name;
                         });

// How many of its updates the index still has: all, all but a few, and older and older ones.
std::set<std::size_t> AgesOf(std::size_t updates) {
  std::set<std::size_t> ages;
  for (std::size_t missing : {0u, 1u, 2u, 3u, 5u, 8u, 13u, 21u}) {
    ages.insert(updates - std::min(missing, updates));
  }
  return ages;
}

// "" or what is broken, and where. Every `stride`-th change.
std::string TryAges(const Life& life, std::uint64_t changes, std::uint64_t stride,
                    std::uint64_t* tried, std::uint64_t lead = 0) {
  for (std::uint64_t n = 0; n <= changes; n += stride) {
    KeptIndexes indexes;
    indexes.set_lead(lead);
    kept_indexes = &indexes;
    Told told;
    auto world = LiveUntil(life, n, {}, &told);
    for (std::size_t age : AgesOf(indexes.updates())) {
      for (const CrashChoice& choice :
           {CrashChoice::None(), CrashChoice::All(), CrashChoice::Random(n * 7919 + age)}) {
        KeptIndexes then = indexes.Until(age);
        kept_indexes = &then;
        const GoOn go_on = ++*tried % 4 == 0 ? GoOn::kSaves : GoOn::kNot;
        std::string broken = WhatBreaks(world->Crash(choice).get(), told, go_on);
        kept_indexes = &indexes;
        if (broken.empty()) continue;
        return "after operation " + std::to_string(n) + ", with " + std::to_string(age) + " of " +
               std::to_string(indexes.updates()) + " updates: " + broken;
      }
    }
  }
  return "";
}

TEST_P(IndexAfterPowerLoss, AnIndexOfAnyAgeMisleadsNobody) {
  const std::uint64_t changes = StoryOf(GetParam()).size();
  const char* text = std::getenv("CKPT_PROOF_STATES");
  const std::uint64_t usual = (kSanitized ? 21 : 3) * GetParam().slower;
  const std::uint64_t stride = text != nullptr ? 1 : usual;
  std::uint64_t tried = 0;
  EXPECT_EQ(TryAges(GetParam(), changes, stride, &tried), "");
  EXPECT_GT(tried, changes / stride);
  std::printf("proof: %s: %llu states with an index\n", GetParam().name,
              static_cast<unsigned long long>(tried));
}

// The test's test: an index that says more than it has is found out.
TEST(IndexThatLeads, IsFound) {
  const Life& life = AllLives().front();
  std::uint64_t tried = 0;
  EXPECT_NE(TryAges(life, StoryOf(life).size(), 3, &tried, 512), "");
  kept_indexes = nullptr;
}

}  // namespace
}  // namespace ckpt
