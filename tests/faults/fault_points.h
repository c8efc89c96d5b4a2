// Calls into the system that fail on demand: linking this replaces, in the test program and in the
// libraries it uses (LMDB, zstd, libstdc++), the functions that open, read, write, sync, name and
// lock files, that map memory and make threads, and those that allocate. Nothing changes until Arm.
//
//   Arm({Site::kCalls});                  // counts them
//   Save();
//   const std::uint64_t calls = Disarm();
//   Arm({Site::kCalls, 3, EIO});          // the third fails
//
// Where a call comes from is a number of its stack, up to the test's own frames: the same for all
// operations that get there by the same functions. Another is of the innermost of these functions
// alone.
//
// A call that fails has done nothing, but for close, which closes; a short count has done half.
// With AddressSanitizer only operator new allocates through here: malloc is that sanitizer's.
// Thread rule: Arm and Disarm while no other thread makes calls; the replaced functions anywhere.

#ifndef CKPT_TESTS_FAULTS_FAULT_POINTS_H_
#define CKPT_TESTS_FAULTS_FAULT_POINTS_H_

#include <sys/types.h>

#include <climits>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ckpt::faults {

// kIndexCalls: of our code into LMDB, and kIndexRows: those that read a row (index_points.cc).
// kReports: of the library to who asked for progress, who may say that it is to stop.
enum class Site : std::uint8_t { kNone, kCalls, kAllocations, kIndexCalls, kIndexRows, kReports };

// A call that was counted.
struct Noted {
  const char* name;
  std::uint64_t stack;
  std::uint64_t near;
};

// A Plan's error of kIndexCalls: an assertion inside LMDB fails.
inline constexpr int kAssertion = INT_MIN;

struct Plan {
  Site site = Site::kNone;
  // The call that fails is the first that can, counted from 1, from this one on ...
  std::uint64_t first = UINT64_MAX;
  int error = 0;
  // ... and, if this is not 0, that comes from there; ...
  std::uint64_t stack = 0;
  // ... then all that follow do, too.
  bool for_good = false;
  // A call that is repeated at once succeeds then.
  bool interrupts = false;
  // Instead: reads and writes do half of what is asked for, at least a byte.
  bool halves = false;
  // The process dies when it is about to sync a file of more than 100 KiB.
  bool dies_in_sync = false;
  bool notes = false;  // what is counted
};
// Whether a call of that name can fail in this way at all.
bool CanFail(const Plan& plan, std::string_view name);

void Arm(const Plan& plan);
// Answers how many calls of that site there were.
std::uint64_t Disarm();
// Since Arm, in the order in which they came.
const std::vector<Noted>& NotedCalls();
// While one lives, what this thread does is a test's own (or, by false, is not) and does not count.
class TestsOwn {
 public:
  explicit TestsOwn(bool own = true);
  ~TestsOwn();
  TestsOwn(const TestsOwn&) = delete;
  TestsOwn& operator=(const TestsOwn&) = delete;

 private:
  const bool before_;
  const int frames_before_;
};

// As long as one lives no file gets longer, the system says that no byte is free, and so does
// whoever asks for blocks. (Blocks that were given back stay writable.)
class DiskFull {
 public:
  DiskFull();
  ~DiskFull();
  DiskFull(const DiskFull&) = delete;
  DiskFull& operator=(const DiskFull&) = delete;
};

// The first call that failed ("pwrite"), or had half done; "" if none.
std::string FirstFailed();

// What a call did to a file or a folder, told to an observer after it succeeded (tape.h).
struct Done {
  enum class What : std::uint8_t { kWrite, kSize, kSync, kNames };
  What what;
  int fd;  // -1 for kNames: something was made, renamed or removed
  const void* data;
  std::size_t size;  // of data; for kSize, the file's
  off_t at;
};
// Null: nobody looks. Called on whichever thread made the call.
void Observe(void (*observer)(const Done&));

// For the functions that are put in the place of others: counts one, and whether it is to fail.
bool Hit(Site site, const char* name);
const Plan& Armed();

}  // namespace ckpt::faults

#endif  // CKPT_TESTS_FAULTS_FAULT_POINTS_H_
