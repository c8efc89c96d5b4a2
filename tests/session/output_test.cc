// What a code printed last is there when a signal ends it.

#include <cstdio>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

class SessionOutput : public SessionTest {
 protected:
  // A code that prints, is stopped, and finishes.
  int PrintAndStop(std::FILE* out) {
    return InChild([&] {
      std::vector<double> x(100, 1);
      auto s = Open();
      if (!s->Protect(VectorItem("x", &x)).ok()) return 4;
      raise(SIGTERM);
      std::fputs("step 1\n", out);
      if (!s->Step(1).stop) return 5;
      return s->Finish(false).exit_code;
    });
  }
};

TEST_F(SessionOutput, IsFlushedBeforeTheSignalEndsTheProcess) {
  std::FILE* out = std::fopen((tmp_ / "out").c_str(), "w");
  EXPECT_TRUE(KilledBy(PrintAndStop(out), SIGTERM));
  EXPECT_EQ(ReadWholeFile(tmp_ / "out"), "step 1\n");
  std::fclose(out);
}

// The scheduler is to see the signal that stopped the job, not that of a pipe.
TEST_F(SessionOutput, ThatNobodyReadsEndsNothing) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  std::FILE* out = ::fdopen(ends[1], "w");
  const int status = PrintAndStop(out);
  EXPECT_TRUE(KilledBy(status, SIGTERM)) << status;
  std::fclose(out);
}

}  // namespace
}  // namespace ckpt
