// Changes found by the kernel. On a kernel that cannot, the same holds by hashing, and the tests
// look at that.

#include "store/session/change_tracker.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <random>

#include "tests/session/session_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

constexpr std::size_t kChunk = 64u << 10;
constexpr std::size_t kCount = 512u << 10;  // doubles: 4 MiB, 64 chunks
constexpr std::uint64_t kBytes = kCount * sizeof(double);

// Raw memory of one shape, wherever *where points.
ProtectedItem RawItem(const std::string& name, double* const* where) {
  ProtectedItem item;
  item.name = name;
  item.locate = [where]() -> Result<ArrayView> {
    return ArrayView{std::as_bytes(std::span(*where, kCount)), DoubleShape(kCount)};
  };
  item.accepts = [](const ArrayShape&) { return Status(); };
  item.prepare = [where](const ArrayShape&) -> Result<MutableByteSpan> {
    return std::as_writable_bytes(std::span(*where, kCount));
  };
  return item;
}

// As a device would change it: the kernel is made to take what was written for unwritten.
void HideWrites(ByteSpan memory) {
  struct {
    std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, anyof,
        returned;
  } scan{};
  const ByteSpan pages = WrittenPages::WholePages(memory);
  scan.size = sizeof(scan);
  scan.flags = 1;  // protect what matches
  scan.start = reinterpret_cast<std::uintptr_t>(pages.data());
  scan.end = scan.start + pages.size();
  scan.mask = scan.returned = 2;  // written
  const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(ioctl(fd, _IOWR('f', 16, decltype(scan)), &scan), 0);
  close(fd);
}

class ChangeTrackerTest : public SessionTest {
 protected:
  ChangeTrackerTest() {
    options_.change_detection = ChangeDetection::kKernel;
    options_.audit_saves = 0;
    options_.keep_last = 0;
  }

  // Of the series "run", what `step` has of x.
  std::vector<double> Saved(std::int64_t step, const std::string& name = "x") {
    std::vector<double> x;
    options_.lenient = true;
    auto s = Open();
    EXPECT_OK(s->Protect(VectorItem(name, &x)));
    auto restored = s->Restore(step);
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    return x;
  }

  const bool supported_ = WrittenPages::Open().ok();
};

TEST_F(ChangeTrackerTest, WhatNobodyWroteIsNotRead) {
  std::vector<double> x = Numbers(kCount, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
    EXPECT_EQ(s->Report().last.vouched_bytes, 0u);
    x[100'000] += 1;
    ASSERT_OK(s->Step(2).error);
    const SaveReport last = s->Report().last;
    EXPECT_EQ(last.changed_bytes, kChunk);
    if (supported_) {
      EXPECT_GE(last.vouched_bytes, kBytes - 4 * kChunk);
      EXPECT_LT(last.vouched_bytes, kBytes);
      EXPECT_GT(last.first_write_s, 0);
      EXPECT_LT(last.first_write_s, 0.01);  // of one page
    } else {
      EXPECT_EQ(last.vouched_bytes, 0u);
      EXPECT_TRUE(Noticed("by hashing"));
    }
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(2), x);
}

TEST_F(ChangeTrackerTest, EverySaveHasWhatWasThereThen) {
  std::mt19937 random(7);
  std::vector<double> x = Numbers(kCount + 77, 1);
  std::vector<std::vector<double>> states;
  options_.hash_threads = 2;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    for (std::int64_t step = 0; step < (kSanitized ? 12 : 30); ++step) {
      for (std::size_t n = random() % 40; n > 0; --n) {
        const std::size_t at = random() % x.size();
        const std::size_t count = std::min<std::size_t>(random() % 5000, x.size() - at);
        std::fill_n(&x[at], count, static_cast<double>(random()));
      }
      if (step % 7 == 3) x.resize(x.size() + 9000, 1.5);  // elsewhere, perhaps
      if (step % 11 == 5) x = std::vector<double>(x);     // elsewhere, or the same place again
      ASSERT_OK(s->Step(step + 1).error);
      states.push_back(x);
    }
    ASSERT_OK(s->Commit());
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    ASSERT_EQ(Saved(static_cast<std::int64_t>(i) + 1), states[i]) << "step " << i + 1;
  }
}

TEST_F(ChangeTrackerTest, ArraysThatAreSwapped) {
  std::vector<double> a = Numbers(kCount, 1), b = Numbers(kCount, 2);
  double* now = a.data();
  double* next = b.data();
  std::vector<std::vector<double>> states;
  {
    auto s = Open();
    ASSERT_OK(s->Protect(RawItem("x", &now)));
    for (std::int64_t step = 1; step <= 8; ++step) {
      if (step % 3 != 0) std::swap(now, next);
      now[step * 1000] = static_cast<double>(step);
      ASSERT_OK(s->Step(step).error);
      states.emplace_back(now, now + kCount);
    }
    ASSERT_OK(s->Commit());
  }
  for (std::int64_t step = 1; step <= 8; ++step) {
    ASSERT_EQ(Saved(step), states[static_cast<std::size_t>(step) - 1]) << step;
  }
}

// The first of them learns of the writes, the others are read.
TEST_F(ChangeTrackerTest, TwoNamesOfOneMemory) {
  std::vector<double> x = Numbers(kCount, 1);
  double* whole = x.data();
  {
    auto s = Open();
    ASSERT_OK(s->Protect(RawItem("a", &whole)));
    ASSERT_OK(s->Protect(RawItem("b", &whole)));
    for (std::int64_t step = 1; step <= 4; ++step) {
      x[static_cast<std::size_t>(step) * 50'000] = -1;
      ASSERT_OK(s->Step(step).error);
    }
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(4, "a"), x);
  EXPECT_EQ(Saved(4, "b"), x);
}

// A buffer that is filled for one name, and then for the next.
TEST_F(ChangeTrackerTest, PutOfOneBufferUnderTwoNames) {
  std::vector<double> a = Numbers(kCount, 1), b = Numbers(kCount, 2), buffer(kCount);
  auto fill = [&](const std::vector<double>& from) {  // writes only what differs
    for (std::size_t i = 0; i < kCount; ++i) {
      if (buffer[i] != from[i]) buffer[i] = from[i];
    }
  };
  // All but every 64th page is the same in both: most chunks are.
  for (std::size_t i = 0; i < kCount; ++i) {
    if (i / 512 % 64 != 0) b[i] = a[i];
  }
  const ArrayView view{std::as_bytes(std::span(buffer)), DoubleShape(kCount)};
  {
    auto s = Open();
    for (std::int64_t step = 1; step <= 5; ++step) {
      a[static_cast<std::size_t>(step) * 4096 + 200'000] = static_cast<double>(step);
      b[static_cast<std::size_t>(step) * 4096 + 9000] = static_cast<double>(step);
      // What b had last time: in the buffer already, so nobody writes it for a.
      if (step > 1)
        a[static_cast<std::size_t>(step - 1) * 4096 + 9000] = static_cast<double>(step - 1);
      ASSERT_OK(s->Begin(step));
      const bool b_first = step == 4;
      for (bool is_b : {b_first, !b_first}) {
        fill(is_b ? b : a);
        ASSERT_OK(s->Put(is_b ? "b" : "a", view));
      }
      ASSERT_OK(s->End().error);
    }
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(5, "a"), a);
  EXPECT_EQ(Saved(5, "b"), b);
}

TEST_F(ChangeTrackerTest, WhatASaveThatWasGivenUpHadSeenIsNotLost) {
  std::vector<double> x = Numbers(kCount, 1);
  const ArrayView view{std::as_bytes(std::span(x)), DoubleShape(kCount)};
  {
    auto s = Open();
    ASSERT_OK(s->Begin(1));
    ASSERT_OK(s->Put("x", view));
    ASSERT_OK(s->End().error);
    x[9] = 1e9;
    ASSERT_OK(s->Begin(2));
    ASSERT_OK(s->Put("x", view));
    s->Abort();
    ASSERT_OK(s->Begin(3));
    ASSERT_OK(s->Put("x", view));
    ASSERT_OK(s->End().error);
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(3), x);
}

TEST_F(ChangeTrackerTest, MemoryOfSeveralProcessesIsRead) {
  auto* shared = static_cast<double*>(
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::fill_n(shared, kCount, 1.0);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(RawItem("x", &shared)));
    for (std::int64_t step = 1; step <= 3; ++step) {
      const pid_t child = fork();
      if (child == 0) {
        shared[step * 1000] = static_cast<double>(step);
        _exit(0);
      }
      waitpid(child, nullptr, 0);
      ASSERT_OK(s->Step(step).error);
      EXPECT_EQ(s->Report().last.vouched_bytes, 0u);
    }
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(3), std::vector<double>(shared, shared + kCount));
  munmap(shared, kBytes);
}

TEST_F(ChangeTrackerTest, WhatIsWrittenAfterAForkIsSeen) {
  std::vector<double> x = Numbers(kCount, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
    const pid_t child = fork();
    if (child == 0) {
      std::fill(x.begin(), x.end(), 0.0);
      _exit(0);
    }
    x[5000] = -5;
    waitpid(child, nullptr, 0);
    x[9000] = -9;
    ASSERT_OK(s->Step(2).error);
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(2), x);
}

TEST_F(ChangeTrackerTest, AnAuditFindsWhatChangedUnseenAndSaysSo) {
  if (!supported_) return;
  options_.audit_saves = 3;
  std::vector<double> x = Numbers(kCount, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
    x[200'000] = 77;
    HideWrites(std::as_bytes(std::span(x)));
    ASSERT_OK(s->Step(2).error);  // lacks it
    EXPECT_EQ(s->Report().missed_bytes, 0u);
    EXPECT_FALSE(Noticed("without the kernel's seeing it"));
    ASSERT_OK(s->Step(3).error);
    EXPECT_EQ(s->Report().missed_bytes, kChunk);
    EXPECT_TRUE(Noticed("'x' changed at byte"));
    x[300'000] = 78;
    ASSERT_OK(s->Step(4).error);
    EXPECT_EQ(s->Report().last.vouched_bytes, 0u);
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(4), x);
  x[300'000] = Saved(3)[300'000];
  EXPECT_EQ(Saved(3), x);
}

TEST_F(ChangeTrackerTest, WhatADeviceWroteIsReadWhereThatIsSaid) {
  std::vector<double> x = Numbers(kCount, 1);
  {
    auto s = Open();
    ASSERT_OK(s->Protect(VectorItem("x", &x)));
    ASSERT_OK(s->Step(1).error);
    x[200'000] = 77;
    if (supported_) HideWrites(std::as_bytes(std::span(x)));
    ASSERT_OK(s->Written(std::as_bytes(std::span(x)).subspan(200'000 * 8 - 3, 20)));
    ASSERT_OK(s->Step(2).error);
    EXPECT_EQ(s->Report().last.changed_bytes, kChunk);
    ASSERT_OK(s->Commit());
  }
  EXPECT_EQ(Saved(2), x);
}

TEST_F(ChangeTrackerTest, AutoLeavesWhatIsWrittenEachTimeToHashing) {
  options_.change_detection = ChangeDetection::kAuto;
  std::vector<double> busy = Numbers(kCount, 1), idle = Numbers(kCount, 2);
  auto s = Open();
  ASSERT_OK(s->Protect(VectorItem("busy", &busy)));
  ASSERT_OK(s->Protect(VectorItem("idle", &idle)));
  for (std::int64_t step = 1; step <= 8; ++step) {
    for (double& value : busy) value += 1;
    ASSERT_OK(s->Step(step).error);
  }
  const SaveReport last = s->Report().last;
  EXPECT_EQ(last.first_write_s, 0);
  if (supported_) {
    EXPECT_GE(last.vouched_bytes, kBytes - 4 * kChunk);
  }
  EXPECT_LE(last.vouched_bytes, kBytes);
  EXPECT_FALSE(Noticed("hashing"));  // a choice, not a lack
}

}  // namespace
}  // namespace ckpt
