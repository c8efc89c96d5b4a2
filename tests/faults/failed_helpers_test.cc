// What the operations of operations.h do not come by in one process again and again: a program that
// is asked (scontrol), who holds a lock, names from random bytes. Each call and each allocation of
// theirs fails, in every way; they answer so, or rightly, and leave nothing open and no child.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <new>
#include <set>

#include "store/io/command.h"
#include "store/io/env.h"
#include "store/io/lock_holder.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/operations.h"
#include "tests/support/temp_dir.h"

namespace ckpt::faults {
namespace {

constexpr std::uint64_t kCallsMax = 60;  // of a machine with many processes

// `wrong` does the work with one failure after the other, until none is left to fail, and says what
// is wrong with the answer. Answers how many failed.
std::uint64_t FailEach(Plan plan, const std::function<std::string()>& wrong) {
  for (plan.first = 1; plan.first <= kCallsMax; ++plan.first) {
    TestsOwn own;
    const Held held = HeldNow();
    Arm(plan);
    const std::string found = wrong();
    Disarm();
    if (FirstFailed().empty()) return plan.first - 1;
    EXPECT_EQ(found, "") << FirstFailed() << ", call " << plan.first << ", error " << plan.error;
    EXPECT_EQ(StillHeld(held), "") << FirstFailed() << ", call " << plan.first;
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child stays after " << FirstFailed();
  }
  return kCallsMax;
}

std::uint64_t FailEachWay(const std::function<std::string()>& wrong) {
  std::uint64_t failed = 0;
  for (const bool for_good : {false, true}) {
    Plan plan;
    plan.for_good = for_good;
    plan.site = Site::kCalls;
    for (const int error : {EIO, ENOMEM, EAGAIN, EMFILE, EINTR}) {
      if (error == EINTR && for_good) continue;  // that is waiting until the time is up
      plan.error = error;
      plan.interrupts = error == EINTR;
      failed += FailEach(plan, wrong);
    }
    plan.halves = true;
    failed += FailEach(plan, wrong);
    plan = Plan{};
    plan.for_good = for_good;
    plan.site = Site::kAllocations;
    failed += FailEach(plan, wrong);
  }
  return failed;
}

template <typename Work>
auto OfTheLibrary(const Work& work) {
  TestsOwn library(false);
  return work();
}

TEST(FailedHelpers, AProgramThatIsAskedAnswersWhollyOrNot) {
  const std::vector<std::string> ask = {"/bin/sh", "-c", "echo hello"};
  const std::uint64_t failed = FailEachWay([&]() -> std::string {
    try {
      auto text = OfTheLibrary([&] { return CommandOutput(ask, 5000); });
      if (text.ok()) return *text == "hello\n" ? "" : "other text: " + *text;
      return Armed().interrupts || Armed().halves ? text.status().message() : "";
    } catch (const std::bad_alloc&) {
      return Armed().site == Site::kAllocations ? "" : "out of memory";
    }
  });
  EXPECT_GT(failed, 100u);
}

TEST(FailedHelpers, WhoHoldsALockIsSaidRightlyOrNot) {
  TempDir tmp;
  OpenOptions create;
  create.mode = OpenMode::kCreate;
  auto dir = PosixEnv()->OpenDir(tmp.path());
  ASSERT_TRUE(dir.ok());
  auto file = (*dir)->OpenFile("lock", create);
  ASSERT_TRUE(file.ok());
  auto locked = (*file)->TryLock();
  ASSERT_TRUE(locked.ok() && *locked);
  auto stat = (*file)->Stat();
  ASSERT_TRUE(stat.ok());
  const FileInfo info = *stat;
  const std::uint64_t failed = FailEachWay([&]() -> std::string {
    try {
      const auto pid = OfTheLibrary([&] { return LockHolder(info.device, info.inode); });
      return pid == 0 || pid == getpid() ? "" : "another process: " + std::to_string(pid);
    } catch (const std::bad_alloc&) {
      return Armed().site == Site::kAllocations ? "" : "out of memory";
    }
  });
  EXPECT_GT(failed, 50u);
}

TEST(FailedHelpers, WithoutRandomBytesNamesAreStillOnesOwn) {
  std::set<std::string> names;
  std::size_t asked = 0;
  for (const int error : {EIO, EINTR, ENOSYS}) {
    Plan plan;
    plan.site = Site::kCalls;
    plan.first = 1;
    plan.error = error;
    plan.for_good = true;
    plan.interrupts = error == EINTR;
    Arm(plan);
    for (int i = 0; i < 100; ++i, ++asked) names.insert(PosixEnv()->RandomId().ToHex());
    Disarm();
    EXPECT_EQ(FirstFailed(), "getrandom");
  }
  EXPECT_EQ(names.size(), asked);
}

}  // namespace
}  // namespace ckpt::faults
