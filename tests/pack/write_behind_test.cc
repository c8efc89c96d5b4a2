#include "store/pack/write_behind.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace ckpt {
namespace {

constexpr std::size_t kBuffer = 64u << 10;

Bytes Numbered(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / kBuffer);
  return bytes;
}

// Remembers what was written where; writes at held offsets wait for Release, those at `fails` fail.
class HeldFile final : public File {
 public:
  HeldFile() : File("held") {}

  Status WriteAt(std::uint64_t offset, ByteSpan data) override {
    std::unique_lock lock(mutex_);
    begun_.insert(offset);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_.contains(offset); });
    if (offset == fails_) return IoError("made to fail");
    written_[offset] = Bytes(data.begin(), data.end());
    return Status();
  }
  void Hold(std::uint64_t offset) {
    std::lock_guard lock(mutex_);
    held_.insert(offset);
  }
  void Release(std::uint64_t offset) {
    std::lock_guard lock(mutex_);
    held_.erase(offset);
    changed_.notify_all();
  }
  void Fail(std::uint64_t offset) { fails_ = offset; }
  void WaitUntilBegun(std::uint64_t offset) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return begun_.contains(offset); });
  }
  std::set<std::uint64_t> begun() {
    std::lock_guard lock(mutex_);
    return begun_;
  }
  Bytes Contents() {
    std::lock_guard lock(mutex_);
    Bytes all;
    for (const auto& [offset, bytes] : written_) {
      EXPECT_EQ(offset, all.size());
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
    return all;
  }

  Result<std::size_t> ReadAt(std::uint64_t, MutableByteSpan) override { return No(); }
  Status Sync() override { return No(); }
  Result<FileInfo> Stat() override { return No(); }
  Status Allocate(std::uint64_t, std::uint64_t) override { return No(); }
  Status PunchHole(std::uint64_t, std::uint64_t) override { return No(); }
  Status Truncate(std::uint64_t) override { return No(); }
  Result<std::vector<Extent>> Extents() override { return No(); }
  Status SetAttributes(const FileInfo&, bool) override { return No(); }
  Result<std::vector<std::pair<std::string, std::string>>> ExtendedAttributes() override {
    return No();
  }
  Status SetExtendedAttribute(std::string_view, std::string_view) override { return No(); }
  Result<bool> TryLock() override { return No(); }
  Status Unlock() override { return No(); }
  Result<bool> LockedByOther() override { return No(); }

 private:
  static Status No() { return Unsupported("not here"); }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::uint64_t> begun_, held_;
  std::uint64_t fails_ = ~std::uint64_t{0};
  std::map<std::uint64_t, Bytes> written_;
};

TEST(WriteBehind, WhatWasAppendedInAnyPiecesIsWritten) {
  const Bytes all = Numbered(11 * kBuffer + 2 * kBlockBytes);
  for (std::size_t piece : {std::size_t{4093}, kBuffer, 3 * kBuffer + 1, all.size()}) {
    HeldFile file;
    WriteBehind out(&file, 0, kBuffer);
    for (std::size_t at = 0; at < all.size(); at += piece) {
      ASSERT_TRUE(out.Append(ByteSpan(all).subspan(at, std::min(piece, all.size() - at))).ok());
    }
    EXPECT_EQ(out.offset(), all.size());
    ASSERT_TRUE(out.Flush().ok());
    EXPECT_EQ(file.Contents(), all) << piece;
  }
}

// The caller does not wait for a write before there are three full buffers.
TEST(WriteBehind, BuffersAreFilledWhileAWriteIsUnderWay) {
  const Bytes all = Numbered(4 * kBuffer);
  HeldFile file;
  file.Hold(0);
  WriteBehind out(&file, 0, kBuffer);
  ASSERT_TRUE(out.Append(all).ok());
  file.WaitUntilBegun(0);
  EXPECT_EQ(file.begun(), (std::set<std::uint64_t>{0}));  // in order, one at a time
  file.Release(0);
  ASSERT_TRUE(out.Flush().ok());
  EXPECT_EQ(file.Contents(), all);
}

TEST(WriteBehind, NothingIsWrittenAfterAFailure) {
  for (bool by_flush : {true, false}) {
    HeldFile file;
    file.Fail(kBuffer);
    file.Hold(kBuffer);
    WriteBehind out(&file, 0, kBuffer);
    ASSERT_TRUE(out.Append(Numbered(4 * kBuffer)).ok());
    file.WaitUntilBegun(kBuffer);
    file.Release(kBuffer);
    const Status told = by_flush ? out.Flush() : out.Append(Numbered(9 * kBuffer));
    EXPECT_EQ(told.code(), Code::kIo);
    EXPECT_EQ(out.Append(Numbered(2 * kBuffer)).code(), Code::kIo);
    EXPECT_EQ(out.Flush().code(), Code::kIo);
    EXPECT_EQ(file.begun(), (std::set<std::uint64_t>{0, kBuffer}));
  }
}

TEST(WriteBehind, WhatWasNotFlushedIsDropped) {
  HeldFile file;
  { EXPECT_TRUE(WriteBehind(&file, 0, kBuffer).Append(Numbered(kBuffer)).ok()); }
  EXPECT_TRUE(file.begun().empty());
}

}  // namespace
}  // namespace ckpt
