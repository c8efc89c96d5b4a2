// On a kernel that cannot, each test looks at that being said.

#include "store/io/written_pages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

namespace ckpt {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 64;
using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;

class WrittenPagesTest : public ::testing::Test {
 protected:
  WrittenPagesTest() {
    auto opened = WrittenPages::Open();
    if (opened.ok()) {
      pages_ = *std::move(opened);
    } else {
      EXPECT_EQ(opened.status().code(), Code::kUnsupported);
      EXPECT_FALSE(opened.status().message().empty());
    }
    memory_ = Map(MAP_PRIVATE);
  }
  ~WrittenPagesTest() override { munmap(memory_, kPages * kPage); }

  static char* Map(int flags, void* where = nullptr) {
    void* p = mmap(where, kPages * kPage, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(p, MAP_FAILED);
    return static_cast<char*>(p);
  }
  ByteSpan Memory(std::size_t offset = 0, std::size_t size = kPages * kPage) const {
    return {reinterpret_cast<const std::byte*>(memory_) + offset, size};
  }

  std::unique_ptr<WrittenPages> pages_;
  char* memory_ = nullptr;
};

TEST_F(WrittenPagesTest, WhatWasWrittenIsToldOnce) {
  if (pages_ == nullptr) return;
  memset(memory_, 1, kPages * kPage);
  EXPECT_FALSE(pages_->Look(Memory()).known);
  auto looked = pages_->Look(Memory());
  EXPECT_TRUE(looked.known);
  EXPECT_EQ(looked.written, Ranges());
  memory_[5 * kPage + 17] = 2;
  memory_[6 * kPage] = 2;
  std::thread([&] { memory_[63 * kPage + 4095] = 2; }).join();
  EXPECT_EQ(pages_->Look(Memory()).written,
            (Ranges{{5 * kPage, 7 * kPage}, {63 * kPage, 64 * kPage}}));
  EXPECT_EQ(pages_->Look(Memory()).written, Ranges());
  EXPECT_EQ(memory_[5 * kPage + 17], 2);
}

TEST_F(WrittenPagesTest, WhatTheKernelWritesIsToldToo) {
  if (pages_ == nullptr) return;
  memset(memory_, 1, kPages * kPage);
  pages_->Look(Memory());
  const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(read(fd, memory_ + 9 * kPage, 10), 10);
  close(fd);
  EXPECT_EQ(pages_->Look(Memory()).written, (Ranges{{9 * kPage, 10 * kPage}}));
}

TEST_F(WrittenPagesTest, PagesNobodyTouchedYetAreToldWhenTheyAreWritten) {
  if (pages_ == nullptr) return;
  memory_[0] = 1;
  pages_->Look(Memory());
  EXPECT_EQ(pages_->Look(Memory()).written, Ranges());
  memory_[30 * kPage] = 1;
  EXPECT_EQ(pages_->Look(Memory()).written, (Ranges{{30 * kPage, 31 * kPage}}));
}

// More regions than one call of the kernel's answers.
TEST_F(WrittenPagesTest, EveryOtherPageOfMany) {
  if (pages_ == nullptr) return;
  constexpr std::size_t kMany = 4096;
  auto* many = static_cast<char*>(
      mmap(nullptr, kMany * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  const ByteSpan memory(reinterpret_cast<std::byte*>(many), kMany * kPage);
  memset(many, 1, kMany * kPage);
  pages_->Look(memory);
  Ranges want;
  for (std::size_t i = 0; i < kMany; i += 2) {
    many[i * kPage] = 2;
    want.emplace_back(i * kPage, (i + 1) * kPage);
  }
  EXPECT_EQ(pages_->Look(memory).written, want);
  EXPECT_EQ(pages_->Look(memory).written, Ranges());
  munmap(many, kMany * kPage);
}

TEST_F(WrittenPagesTest, OnlyWholePagesAreLookedAt) {
  if (pages_ == nullptr) return;
  memset(memory_, 1, kPages * kPage);
  EXPECT_EQ(WrittenPages::WholePages(Memory(1, kPage)).size(), 0u);
  EXPECT_EQ(WrittenPages::WholePages(Memory(1, 2 * kPage)).size(), kPage);
  EXPECT_EQ(WrittenPages::WholePages(Memory(kPage, kPage)).data(), Memory(kPage, kPage).data());
  const ByteSpan inside = Memory(100, 10 * kPage);
  pages_->Look(inside);
  memory_[200] = 2;              // before its first whole page
  memory_[10 * kPage + 50] = 2;  // behind its last
  memory_[3 * kPage] = 2;
  EXPECT_EQ(pages_->Look(inside).written, (Ranges{{3 * kPage - 100, 4 * kPage - 100}}));
  EXPECT_FALSE(pages_->Look(Memory(0, 10)).known);
}

TEST_F(WrittenPagesTest, MappedOverGivenBackOrMovedCountsAsWritten) {
  if (pages_ == nullptr) return;
  memset(memory_, 1, kPages * kPage);
  pages_->Look(Memory());
  ASSERT_EQ(madvise(memory_ + 8 * kPage, kPage, MADV_DONTNEED), 0);
  EXPECT_EQ(pages_->Look(Memory()).written, (Ranges{{8 * kPage, 9 * kPage}}));
  Map(MAP_PRIVATE | MAP_FIXED, memory_);
  EXPECT_FALSE(pages_->Look(Memory()).known);
  EXPECT_TRUE(pages_->Look(Memory()).known);
  ASSERT_NE(mmap(memory_ + kPage, kPage, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            MAP_FAILED);
  EXPECT_FALSE(pages_->Look(Memory()).known);
  EXPECT_TRUE(pages_->Look(Memory()).known);
  char* other = Map(MAP_PRIVATE);
  memset(other, 3, kPages * kPage);
  ASSERT_EQ(mremap(other, kPages * kPage, kPages * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, memory_),
            memory_);
  EXPECT_FALSE(pages_->Look(Memory()).known);
}

// Another process, or another mapping, may write to it unseen.
TEST_F(WrittenPagesTest, SharedAndUnmappedMemoryIsNeverKnown) {
  if (pages_ == nullptr) return;
  char* shared = Map(MAP_SHARED);
  const ByteSpan memory(reinterpret_cast<std::byte*>(shared), kPages * kPage);
  EXPECT_FALSE(pages_->Look(memory).known);
  EXPECT_FALSE(pages_->Look(memory).known);
  munmap(shared, kPages * kPage);
  EXPECT_FALSE(pages_->Look(memory).known);
}

TEST_F(WrittenPagesTest, ForgottenMemoryIsLookedAtAnew) {
  if (pages_ == nullptr) return;
  memset(memory_, 1, kPages * kPage);
  pages_->Look(Memory());
  EXPECT_TRUE(pages_->Look(Memory()).known);
  pages_->Forget(Memory());
  EXPECT_FALSE(pages_->Look(Memory()).known);
  memory_[0] = 5;
  EXPECT_EQ(pages_->Look(Memory()).written, (Ranges{{0, kPage}}));
}

// Whoever has the memory already keeps it; the other one looks at bytes.
TEST_F(WrittenPagesTest, TwoLookersDoNotTakeFromOneAnother) {
  if (pages_ == nullptr) return;
  auto second = *WrittenPages::Open();
  memset(memory_, 1, kPages * kPage);
  pages_->Look(Memory());
  EXPECT_FALSE(second->Look(Memory()).known);
  memory_[kPage] = 2;
  EXPECT_FALSE(second->Look(Memory()).known);
  EXPECT_EQ(pages_->Look(Memory()).written, (Ranges{{kPage, 2 * kPage}}));
}

}  // namespace
}  // namespace ckpt
