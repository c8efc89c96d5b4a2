// The command while one of its system calls fails, once or for good: files, folders, pipes,
// watches, processes. It ends with an exit code that docs/cli.md knows and says why, or it
// succeeds, and then all it printed and made is right; what was saved before is there; the next
// save, restore and check work. What the library does is met there too (tests/faults has all of
// that): what is looked for here is what the command and `run` do themselves.
//
// In the short form every seventeenth call fails, in one way; CKPT_COMMAND_CALLS=each: each, in one
// way, or all: in every way.

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/cli/cli_fixture.h"
#include "tests/support/sweep.h"
#include "tests/support/traced.h"

namespace ckpt {
namespace {

struct Way {
  int error;
  bool for_good;
};
constexpr Way kWays[] = {{EIO, false},    {ENOSPC, true}, {EMFILE, false}, {EAGAIN, false},
                         {EINTR, false},  {EIO, true},    {ENOMEM, false}, {ENOSPC, false},
                         {EACCES, false}, {EMFILE, true}};

struct CommandLine {
  const char* name;
  std::vector<std::string> arguments;
  const char* right_after;  // in the shell, when it answered success
};

void PrintTo(const CommandLine& line, std::ostream* out) { *out << line.name; }

class FailedCommand : public CliTest, public ::testing::WithParamInterface<CommandLine> {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    if (IsSkipped()) return;
    Write("d/data", Noise(150'000, 1));
    Do("ckpt-store save melt d -q --step 1 && cp d/data first");
    Write("d/data", Noise(150'000, 2));
    Do("ckpt-store save melt d -q --step 2 --reread && mkdir ../base && cp -a . ../base");
  }
  void Reset() const { Do("rm -rf ./* .ckpt && cp -a ../base/. ."); }

  Traced Fail(const Way& way, std::int64_t at) const {
    return FailCall(way.error, way.for_good, at, [&] {
      if (chdir(Path(".").c_str()) != 0) return 99;
      const int input = open(Path("d/data").c_str(), O_RDONLY);
      if (input < 0 || dup2(input, 0) < 0) return 99;
      close(input);
      for (const auto& [name, descriptor] : {std::pair("said", 1), std::pair("complained", 2)}) {
        const int file = open(Path(name).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
        if (file < 0 || dup2(file, descriptor) < 0) return 99;
        close(file);
      }
      for (const char* name : {"CKPT_STORE", "CKPT_INDEX_DIR", "SLURM_JOB_ID"}) unsetenv(name);
      setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // it cannot look while it is traced
      std::vector<std::string> words = GetParam().arguments;
      words.insert(words.begin(), "ckpt-store");
      std::vector<char*> argv;
      for (std::string& word : words) argv.push_back(word.data());
      argv.push_back(nullptr);
      execv(std::getenv("CKPT_STORE_BIN"), argv.data());
      return 99;
    });
  }

  void ExpectAClearEnd(const Traced& traced) const {
    ASSERT_TRUE(WIFEXITED(traced.status)) << "status " << traced.status;
    const int code = WEXITSTATUS(traced.status);
    EXPECT_TRUE(code <= 5 || code == 126 || code == 127) << code;
    if (code != 0) {
      EXPECT_TRUE(!Read("complained").empty() || traced.killed_in == SYS_write) << "code " << code;
      return;
    }
    if (GetParam().right_after != nullptr) Do(GetParam().right_after);
    EXPECT_TRUE(right_.empty() || Read("said") == right_) << "printed " << Read("said");
  }
  void ExpectLifeGoesOn() const {
    Do("rm -rf out && ckpt-store restore melt@2 --to out -q && cmp out/d/data ../base/d/data");
    Do("ckpt-store save melt d --step 9 -q --reread && ckpt-store restore melt@9 --to out9 -q && "
       "cmp out9/d/data d/data && ckpt-store check -q");
    Do("ckpt-store list --all >with; ckpt-store --index-dir /dev/null list --all >without; "
       "cmp with without");
  }

  std::string right_;  // what it prints; empty: that varies
};

TEST_P(FailedCommand, EndsClearlyAndLosesNothing) {
  const char* form = std::getenv("CKPT_COMMAND_CALLS");
  const bool all = form != nullptr && std::string(form) == "all";
  const Traced whole = Fail(kWays[0], 0);
  if (!whole.possible) GTEST_SKIP() << "failing the calls of a process is not possible here";
  ASSERT_EQ(whole.status, 0) << Read("complained");
  ASSERT_GT(whole.calls, 50);
  ExpectAClearEnd(whole);
  if (std::string(GetParam().name).starts_with("Print")) right_ = Read("said");
  const std::int64_t stride = form != nullptr ? 1 : 17 * static_cast<std::int64_t>(kSweepStride);
  std::int64_t failed = 0;
  for (std::int64_t at = 1; at <= whole.calls && !HasFailure(); at += stride) {
    for (std::size_t w = 0; w < std::size(kWays) && !HasFailure(); ++w) {
      const std::size_t chosen = static_cast<std::size_t>(at / stride) % std::size(kWays);
      if (!all && w != chosen) continue;
      const Way& way = kWays[w];
      Reset();
      const Traced traced = Fail(way, at);
      if (!traced.killed) continue;  // another order this time
      SCOPED_TRACE("call " + std::to_string(at) + ", number " + std::to_string(traced.killed_in) +
                   ", error " + std::to_string(way.error) + (way.for_good ? " for good" : "") +
                   ": " + Read("complained"));
      ExpectAClearEnd(traced);
      ExpectLifeGoesOn();
      ++failed;
    }
  }
  EXPECT_GT(failed,
            (whole.calls / stride) * static_cast<std::int64_t>(all ? std::size(kWays) : 1) / 2);
  std::printf("proof: command %s: %lld failed calls, of %lld\n", GetParam().name,
              static_cast<long long>(failed), static_cast<long long>(whole.calls));
}

INSTANTIATE_TEST_SUITE_P(
    Commands, FailedCommand,
    ::testing::Values(
        CommandLine{"PrintList", {"list", "--json"}, nullptr},
        CommandLine{"PrintInspect", {"inspect", "melt@1", "--json"}, nullptr},
        CommandLine{"PrintCat", {"cat", "melt@1", "d/data"}, nullptr},
        CommandLine{"PrintDiff", {"diff", "melt@1", "melt@2"}, nullptr},
        CommandLine{"Save",
                    {"save", "melt", "d", "--step", "5", "--reread", "--tag", "a=b"},
                    "ckpt-store restore melt@5 --to out5 -q && cmp out5/d/data d/data"},
        CommandLine{"SaveOfAStream",
                    {"save", "other", "-", "--as", "x"},
                    "ckpt-store restore other --to outx -q && cmp outx/x d/data"},
        CommandLine{"Restore", {"restore", "melt@1", "--to", "target"}, "cmp target/d/data first"},
        CommandLine{"Run",
                    {"run", "--series", "s", "--save", "r.bin", "--", "sh", "-c",
                     "echo x >>ran; echo three >r.bin"},
                    // The exit code is the program's: that the last set could not be saved is said.
                    "test $(cat ran) = x && if ckpt-store restore s --to outr -q; then "
                    "test $(cat outr/r.bin) = three; else ! grep 'saved s@' complained; fi"}),
    [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace ckpt
