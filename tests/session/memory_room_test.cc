// How much memory the cgroups leave, and what a session makes of it; in a simulated world, whose
// /proc and /sys are the test's.

#include "store/session/memory_room.h"

#include <fstream>

#include "tests/session/session_fixture.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kRoomMiB = 1u << 20;

class MemoryRoomTest : public SessionTest {
 protected:
  // With the folders above it.
  void Put(const std::string& path, const std::string& text) {
    const std::size_t slash = path.rfind('/');
    for (std::size_t at = 1; at != std::string::npos && at <= slash;) {
      at = path.find('/', at);
      (void)world_.MakeDir(path.substr(0, at), 0700);  // it may be there
      if (at != std::string::npos) ++at;
    }
    auto dir = world_.OpenDir(path.substr(0, slash));
    ASSERT_OK(dir.status());
    OpenOptions options;
    options.mode = OpenMode::kReadOrCreate;
    auto file = (*dir)->OpenFile(path.substr(slash + 1), options);
    ASSERT_OK(file.status());
    ASSERT_OK((*file)->WriteAt(0, AsBytes(text)));
  }
  void PutGroup(const std::string& dir, const std::string& limit, const std::string& usage) {
    Put(dir + "/memory.max", limit + "\n");
    Put(dir + "/memory.current", usage + "\n");
  }

  SimWorld world_{3};
};

TEST_F(MemoryRoomTest, IsUnknownWithoutGroupsOrLimits) {
  EXPECT_EQ(MemoryRoom(&world_), UINT64_MAX);
  Put("/proc/self/cgroup", "0::/job\n");
  EXPECT_EQ(MemoryRoom(&world_), UINT64_MAX);
  PutGroup("/sys/fs/cgroup/job", "max", "17");
  EXPECT_EQ(MemoryRoom(&world_), UINT64_MAX);
}

TEST_F(MemoryRoomTest, IsTheLimitLessWhatIsInUse) {
  Put("/proc/self/cgroup", "0::/job/step\n");
  PutGroup("/sys/fs/cgroup/job/step", "1000", "400");
  EXPECT_EQ(MemoryRoom(&world_), 600u);
}

TEST_F(MemoryRoomTest, IsNoneBeyondTheLimit) {
  Put("/proc/self/cgroup", "0::/job\n");
  PutGroup("/sys/fs/cgroup/job", "1000", "1400");
  EXPECT_EQ(MemoryRoom(&world_), 0u);
}

TEST_F(MemoryRoomTest, IsTheLeastOfAllGroupsAbove) {
  Put("/proc/self/cgroup", "0::/a/b/c\n");
  PutGroup("/sys/fs/cgroup/a/b/c", "5000", "0");
  PutGroup("/sys/fs/cgroup/a/b", "max", "0");
  PutGroup("/sys/fs/cgroup/a", "3000", "2900");
  EXPECT_EQ(MemoryRoom(&world_), 100u);
}

TEST_F(MemoryRoomTest, IsReadFromTheFirstVersionsFilesToo) {
  Put("/proc/self/cgroup", "12:cpu,cpuacct:/x\n4:hugetlb,memory:/job\n0::/\n");
  PutGroup("/sys/fs/cgroup/x", "1", "1");  // of no memory controller
  Put("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000\n");
  Put("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "300\n");
  EXPECT_EQ(MemoryRoom(&world_), 700u);
}

TEST_F(MemoryRoomTest, ASessionTakesAQuarterAtMostAndSaysSo) {
  Put("/proc/self/cgroup", "0::/job\n");
  options_.store.use_index = false;
  options_.buffer_bytes = 8 * kRoomMiB;
  for (const std::uint64_t room : {40 * kRoomMiB, 20 * kRoomMiB, std::uint64_t{0}}) {
    PutGroup("/sys/fs/cgroup/job", std::to_string((100u << 20) + room), std::to_string(100u << 20));
    auto s = Session::Open(&world_, "/store", "run", options_);
    ASSERT_OK(s.status());
    const std::uint64_t expected = room == 0 ? kRoomMiB : std::min(8 * kRoomMiB, room / 4);
    EXPECT_EQ((*s)->Report().buffer_bytes, expected);
    EXPECT_EQ(Noticed("the session's buffer is " + std::to_string(expected) + " bytes"),
              expected < 8 * kRoomMiB);
  }
}

std::uint64_t ResidentBytes() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// So that no save waits for the system to find memory.
TEST_F(MemoryRoomTest, TheBufferIsTouchedAtOnce) {
  options_.buffer_bytes = 64 * kRoomMiB;
  const std::uint64_t before = ResidentBytes();
  auto s = Open();
  if (s->Report().buffer_bytes < options_.buffer_bytes) GTEST_SKIP() << "little memory here";
  EXPECT_GE(ResidentBytes(), before + 60 * kRoomMiB);
}

}  // namespace
}  // namespace ckpt
