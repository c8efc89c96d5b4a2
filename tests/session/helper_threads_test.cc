// What a session's helper threads are to the computation beside them: on the cores the process had,
// with all signals blocked, and asleep when there is nothing to do.

#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

// The cores this process had when it was loaded.
const cpu_set_t cores_of_the_process = [] {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof(cores), &cores);
  return cores;
}();

class HelperThreads : public SessionTest {
 protected:
  HelperThreads() { before_ = Threads(); }
  ~HelperThreads() override {
    sched_setaffinity(0, sizeof(cores_of_the_process), &cores_of_the_process);
  }

  static std::vector<pid_t> Threads() {
    std::vector<pid_t> threads;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      threads.push_back(std::stoi(task.path().filename().string()));
    }
    std::sort(threads.begin(), threads.end());
    return threads;
  }
  // Those that came since this test began.
  std::vector<pid_t> Helpers() const {
    std::vector<pid_t> helpers;
    for (const pid_t thread : Threads()) {
      if (!std::binary_search(before_.begin(), before_.end(), thread)) helpers.push_back(thread);
    }
    return helpers;
  }
  // A field of /proc/self/task/THREAD/status.
  static std::string StatusOf(pid_t thread, const std::string& field) {
    std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with(field + ":"))
        return line.substr(line.find_first_not_of(": \t", field.size()));
    }
    return "";
  }
  // Of all helpers: how often they went to sleep, and how long they ran.
  struct Work {
    std::int64_t sleeps = 0;
    std::int64_t run_ns = 0;
  };
  Work WorkOfHelpers() const {
    Work work;
    for (const pid_t thread : Helpers()) {
      work.sleeps += std::stoll(StatusOf(thread, "voluntary_ctxt_switches"));
      std::int64_t run_ns = 0;
      std::ifstream("/proc/self/task/" + std::to_string(thread) + "/schedstat") >> run_ns;
      work.run_ns += run_ns;
    }
    return work;
  }
  std::unique_ptr<Session> OpenAndSave(std::vector<double>* x) {
    auto s = Open();
    EXPECT_OK(s->Protect(VectorItem("x", x)));
    EXPECT_OK(s->Step(1).error);
    EXPECT_OK(s->Commit());
    return s;
  }

  std::vector<pid_t> before_;
};

TEST_F(HelperThreads, RunOnTheCoresOfTheProcessWithAllSignalsBlocked) {
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int core = 0; CPU_COUNT(&one) == 0; ++core) {
    if (CPU_ISSET(core, &cores_of_the_process)) CPU_SET(core, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  std::vector<double> x = Numbers(500000, 1);  // large enough for a thread that writes
  auto s = OpenAndSave(&x);
  std::uint64_t all = ~std::uint64_t{0};
  // Those that nobody can block: KILL, STOP, and the C library's own two.
  for (const int signal : {SIGKILL, SIGSTOP, 32, 33}) all &= ~(std::uint64_t{1} << (signal - 1));
  const std::vector<pid_t> helpers = Helpers();
  EXPECT_GE(helpers.size(), 1u);
  EXPECT_LE(helpers.size(), 2u);
  for (const pid_t helper : helpers) {
    EXPECT_EQ(std::stoull(StatusOf(helper, "SigBlk"), nullptr, 16) & all, all);
    cpu_set_t cores;
    ASSERT_EQ(sched_getaffinity(helper, sizeof(cores), &cores), 0);
    EXPECT_TRUE(CPU_EQUAL(&cores, &cores_of_the_process)) << StatusOf(helper, "Cpus_allowed_list");
  }
}

TEST_F(HelperThreads, WakeOnceASecondWhenIdle) {
  std::vector<double> x = Numbers(1000, 1);
  auto s = OpenAndSave(&x);
  usleep(100000);  // whatever follows a commit
  const Work before = WorkOfHelpers();
  const std::int64_t begin = PosixEnv()->MonotonicNs();
  usleep(2'100'000);
  const Work after = WorkOfHelpers();
  const std::int64_t passed = PosixEnv()->MonotonicNs() - begin;
  ASSERT_GE(Helpers().size(), 1u);
  EXPECT_LE(after.sleeps - before.sleeps, passed / kNsPerSecond + 1);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LE(after.run_ns - before.run_ns, passed / 1000);
#endif
}

}  // namespace
}  // namespace ckpt
