// The command killed at each of its system calls: what was acknowledged before restores exactly,
// what was not is whole or absent, and the next save, restore, gc and check work.
//
// Between two calls that change something on disk a kill leaves the same state, so these are enough
// for a short run; CKPT_KILL_SWEEP=all takes every system call.

#include <unistd.h>

#include <set>

#include "ckpt/ckpt.h"
#include "tests/cli/cli_fixture.h"
#include "tests/support/sweep.h"
#include "tests/support/traced.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

struct Scenario {
  const char* name;
  const char* command;          // killed somewhere
  std::set<int> may_appear;     // steps of "melt", when it had not answered
  std::set<int> may_disappear;  // likewise
};

class KillSweep : public CliTest, public ::testing::WithParamInterface<Scenario> {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    if (IsSkipped()) return;
    which_ = std::getenv("CKPT_KILL_SWEEP") == nullptr ? Calls::kChanging : Calls::kEach;
    Write("d/data", "");
    Do("ln -s data d/link; ln d/data d/hard; mkdir d/sub");
    if (std::string(GetParam().name) != "FirstSave") {
      for (int step = 1; step <= 4; ++step) {
        Fill(step);
        Do("ckpt-store save melt d --reread -q --step " + std::to_string(step));
      }
      Do("ckpt-store save other d -q --reread && ckpt-store rm melt@1 -q && "
         "ckpt-store rm melt@3 -q");
      before_ = {2, 4};
    }
    Fill(5);
    Do("if [ -e .ckpt ]; then cp -a .ckpt base; fi");
  }

  // The files of a step; half of the bytes are as in every step.
  void Fill(int step) const {
    Rewrite("d/data", Noise(60000, 7) + Noise(90000, static_cast<std::uint64_t>(step)));
    Rewrite("d/sub/text", "step " + std::to_string(step) + "\n");
  }
  void Rewrite(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary | std::ios::trunc) << bytes;
  }

  Traced Kill(std::int64_t fatal) const {
    const char* binary = std::getenv("CKPT_STORE_BIN");
    return KillAtCall(which_, fatal, true, [&] {
      if (chdir(Path(".").c_str()) != 0) return 99;
      const std::string line =
          "exec '" + std::string(binary) + "' " + GetParam().command + " >/dev/null 2>&1 ";
      for (const char* name : {"CKPT_STORE", "CKPT_INDEX_DIR", "SLURM_JOB_ID"}) unsetenv(name);
      setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // it cannot look while it is traced
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      return 99;
    });
  }

  // The steps of "melt" that are listed; each must restore to exactly its bytes.
  std::set<int> WhatIsThere() const {
    std::set<int> steps;
    const ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
    ckpt_store* store = nullptr;
    const ckpt_code code = ckpt_store_open(Path(".ckpt").c_str(), &open, &store);
    if (code != CKPT_OK) {
      EXPECT_EQ(code, CKPT_NOT_FOUND) << ckpt_error_message();
      return steps;
    }
    std::set<std::pair<std::string, int>> all;
    const ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
    const auto note = [](const ckpt_checkpoint* one, void* user) {
      static_cast<decltype(all)*>(user)->emplace(one->series, static_cast<int>(one->step));
      return 0;
    };
    EXPECT_EQ(ckpt_list(store, &options, note, &all), CKPT_OK) << ckpt_error_message();
    EXPECT_TRUE(before_.empty() || all.contains({"other", 1}));
    for (const auto& [series, step] : all) {
      if (series == "melt") steps.insert(step);
      ExpectRestores(store, series + "@" + std::to_string(step), series == "melt" ? step : 4);
    }
    ckpt_store_close(store);
    return steps;
  }
  void ExpectRestores(ckpt_store* store, const std::string& name, int step) const {
    fs::remove_all(Path("out"));
    const std::string to = Path("out");
    ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
    options.checkpoint = name.c_str();
    options.to = to.c_str();
    ckpt_restore_result result = CKPT_RESTORE_RESULT_INIT;
    EXPECT_EQ(ckpt_restore_files(store, &options, nullptr, nullptr, &result), CKPT_OK)
        << name << ": " << ckpt_error_message();
    ExpectStep("out/d", step == 9 ? 5 : step);
  }
  void ExpectStep(const std::string& folder, int step) const {
    EXPECT_TRUE(Read(folder + "/data") ==
                Noise(60000, 7) + Noise(90000, static_cast<std::uint64_t>(step)))
        << folder << ", step " << step;
    EXPECT_EQ(Read(folder + "/sub/text"), "step " + std::to_string(step) + "\n");
    EXPECT_TRUE(fs::equivalent(Path(folder + "/hard"), Path(folder + "/data")));
    EXPECT_EQ(fs::read_symlink(Path(folder + "/link")), "data");
  }

  // Whatever has a final name in the target of a restore is whole.
  void ExpectNothingHalfRestored() const {
    if (!fs::exists(Path("target"))) return;
    for (const auto& one : fs::recursive_directory_iterator(Path("target"))) {
      const std::string name = one.path().filename();
      if (name == "data" || name == "hard") {
        EXPECT_EQ(one.file_size(), 150000u) << one.path();
      } else if (name == "text") {
        EXPECT_EQ(one.file_size(), 7u);
      }
    }
    Do("ckpt-store restore melt@4 --to target -q");
    ExpectStep("target/d", 4);
    // Links cannot be locked: what is left of them goes when it is an hour old.
    // Links cannot be locked: what is left of them goes when it is an hour old.
    EXPECT_EQ(Do("find target -name '.ckpt-*' -type f -links 1").out, "");
  }

  void ExpectSteps(const std::set<int>& steps, bool answered) const {
    const Scenario& scenario = GetParam();
    for (int step : before_) {
      const bool going = scenario.may_disappear.contains(step);
      if (going ? answered : !steps.contains(step)) {
        EXPECT_EQ(steps.contains(step), !going) << "step " << step;
      }
    }
    for (int step : steps) {
      EXPECT_TRUE(before_.contains(step) || scenario.may_appear.contains(step)) << "step " << step;
    }
    for (int step : scenario.may_appear) {
      EXPECT_TRUE(!answered || steps.contains(step)) << "step " << step << " was acknowledged";
    }
  }

  // Life goes on, and what was there stays.
  void ExpectLifeGoesOn(std::set<int> steps) const {
    Do("ckpt-store save melt d --step 9 -q --reread && ckpt-store gc -q && ckpt-store check -q");
    steps.insert(9);
    EXPECT_EQ(WhatIsThere(), steps);
    Do("ckpt-store list --all >with; ckpt-store --index-dir /dev/null list --all >without; "
       "cmp with without");
  }
  void Reset() const { Do("rm -rf .ckpt target; if [ -e base ]; then cp -a base .ckpt; fi"); }

  Calls which_ = Calls::kChanging;
  std::set<int> before_;
};

TEST_P(KillSweep, AtEachCallNothingAcknowledgedIsLost) {
  const Traced whole = Kill(0);
  if (!whole.possible) GTEST_SKIP() << "tracing a process is not allowed here";
  ASSERT_TRUE(WIFEXITED(whole.status) && WEXITSTATUS(whole.status) == 0) << whole.status;
  ASSERT_GT(whole.calls, 8);
  std::int64_t kills = 0;
  for (std::int64_t fatal = 1; !HasFailure(); fatal += std::int64_t{kSweepStride}) {
    SCOPED_TRACE("call " + std::to_string(fatal));
    Reset();
    const Traced traced = Kill(fatal);
    SCOPED_TRACE("killed before system call " + std::to_string(traced.killed_in));
    const bool answered = WIFEXITED(traced.status) && WEXITSTATUS(traced.status) == 0;
    ASSERT_TRUE(answered || traced.killed) << traced.status;
    const std::set<int> steps = WhatIsThere();
    ExpectSteps(steps, answered);
    ExpectNothingHalfRestored();
    ExpectLifeGoesOn(steps);
    if (!traced.killed) break;
    ++kills;
  }
  std::printf("proof: %s: %lld kills\n", GetParam().name, static_cast<long long>(kills));
}

INSTANTIATE_TEST_SUITE_P(
    Commands, KillSweep,
    ::testing::Values(Scenario{"FirstSave", "save melt d --step 5", {5}, {}},
                      Scenario{"Save", "save melt d --step 5 --reread", {5}, {}},
                      Scenario{"Rm", "rm melt@2", {}, {2}}, Scenario{"Gc", "gc", {}, {}},
                      Scenario{"GcKeeping", "gc --keep-last 1", {}, {2}},
                      Scenario{"Restore", "restore melt@4 --to target", {}, {}},
                      Scenario{"Reindex", "reindex", {}, {}}),
    [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace ckpt
