// What only shows on a terminal, in the table of threads, or in the system calls made.

#include <unistd.h>

#include "tests/cli/cli_fixture.h"
#include "tests/support/traced.h"

namespace ckpt {
namespace {

using Terminal = CliTest;

// A stream that takes longer than it takes for a bar to appear.
constexpr const char* kSlowSave = "(head -c 300000 /dev/zero; sleep 1.4) | ckpt-store save melt -";

TEST_F(Terminal, WorkThatLastsShowsABarThatGoes) {
  if (Run("command -v script").exit != 0) GTEST_SKIP() << "no script(1) here";
  const std::string bar = "\r\x1b[Ksaving", erased = "\r\x1b[K";
  auto shown = [&](const std::string& options) {
    return Do("TERM=xterm script -qec '" + (kSlowSave + options) + "' /dev/null < /dev/null").out;
  };
  const std::string text = shown("");
  const std::size_t at = text.find(bar);
  ASSERT_NE(at, std::string::npos) << text;
  EXPECT_NE(text.find("293.0 KiB", at), std::string::npos) << text;
  EXPECT_NE(text.find(erased + "saved melt@1"), std::string::npos) << text;
  EXPECT_EQ(shown(" --progress never").find(bar), std::string::npos);
  EXPECT_EQ(shown(" --quiet").find(bar), std::string::npos);
}

TEST_F(Terminal, InALogThereIsNoBar) {
  const Outcome outcome = Do(kSlowSave);
  EXPECT_EQ(outcome.err.find('\r'), std::string::npos) << outcome.err;
}

// The threads besides those that there are without work to share.
TEST_F(Terminal, AsManyThreadsWorkAsAreGiven) {
  auto threads = [&](const std::string& count) {
    Do("rm -f gate fed; mkfifo gate");
    const Outcome outcome =
        Do("(head -c 20000000 /dev/urandom; : > fed; cat gate) |"
           " ckpt-store save melt - --threads " +
           count +
           " -q & p=$!; "
           "while ! [ -e fed ]; do sleep 0.01; done; ls /proc/$p/task | wc -l; : > gate; wait $p");
    return std::stoi(outcome.out);
  };
  Do("ckpt-store init -q");
  const int one = threads("1");
  EXPECT_EQ(threads("4"), one + 3);
}

TEST_F(Terminal, RestoreFlushesWhenAsked) {
  Write("d/a", "one");
  Write("d/b", "two");
  Do("ckpt-store save melt d");
  auto calls = [&](const std::string& options) {
    const Traced traced = KillAtCall(Calls::kChanging, 0, true, [&] {
      if (chdir(Path(".").c_str()) != 0) return 99;
      setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // it cannot look while it is traced
      const std::string line = "exec '" + std::string(getenv("CKPT_STORE_BIN")) +
                               "' -s .ckpt restore melt -q --to to" + options;
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      return 99;
    });
    EXPECT_EQ(traced.status, 0);
    Do("rm -r to");
    return traced.possible ? traced.calls : -1;
  };
  const std::int64_t without = calls("");
  if (without < 0) GTEST_SKIP() << "nobody may trace here";
  EXPECT_GE(calls(" --sync"), without + 4) << "two files and two folders";
}

}  // namespace
}  // namespace ckpt
