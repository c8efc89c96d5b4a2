// The folder of an index: which of its files are generations, and what is seen of a file before
// LMDB maps it.

#include "store/index/lmdb_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "tests/index/index_fixture.h"

namespace ckpt::index_internal {
namespace {

using namespace index_test;  // NOLINT
using Check = LmdbDir::Check;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kMagicAt = 16, kVersionAt = 20, kPageSizeAt = 40, kTxnAt = 144;

class LmdbDirTest : public ::testing::Test {
 protected:
  LmdbDirTest() {
    MustPublish(MustOpen(OptionsFor(path_)).get(), One(Grow(1, 0, 0, 500)));
    auto dir = LmdbDir::Open(PosixEnv(), path_);
    EXPECT_TRUE(dir.ok()) << dir.status().ToString();
    dir_ = *std::move(dir);
    sound_ = ReadWholeFile(file());
  }
  std::string file() const { return dir_->PathOf(1); }
  // What is said of the sound file with `value` at `at`.
  template <typename T>
  Check CheckWith(std::size_t at, T value) {
    std::string bytes = sound_;
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    WriteFile(file(), bytes);
    return dir_->CheckFile(1);
  }

  TempDir tmp_;
  const std::string path_ = tmp_ / "index";
  std::unique_ptr<LmdbDir> dir_;
  std::string sound_;
};

TEST_F(LmdbDirTest, MetaPagesThatAreNoneAreDamage) {
  ASSERT_EQ(dir_->CheckFile(1), Check::kSound);
  for (const std::size_t page : {std::size_t{0}, kPage}) {
    EXPECT_EQ(CheckWith<std::uint32_t>(page + kMagicAt, 1), Check::kDamaged);
    EXPECT_EQ(CheckWith<std::uint32_t>(page + kVersionAt, 2), Check::kDamaged);
    for (const std::uint32_t bytes : {0u, 256u, 5000u, 131072u}) {
      EXPECT_EQ(CheckWith<std::uint32_t>(page + kPageSizeAt, bytes), Check::kDamaged) << bytes;
    }
  }
  EXPECT_EQ(CheckWith<std::uint32_t>(kPage + kPageSizeAt, 8192), Check::kDamaged);
}

TEST_F(LmdbDirTest, AFileThatLacksPagesIsShort) {
  EXPECT_EQ(CheckWith<std::uint64_t>(kTxnAt, 1000), Check::kShort);
  EXPECT_EQ(CheckWith<std::uint64_t>(kPage + kTxnAt, 1000), Check::kShort);
  WriteFile(file(), sound_.substr(0, 2 * kPage));
  EXPECT_EQ(dir_->CheckFile(1), Check::kShort);
  WriteFile(file(), sound_ + "a part of a page");
  EXPECT_EQ(dir_->CheckFile(1), Check::kShort);
  WriteFile(file(), sound_.substr(0, 100));
  EXPECT_EQ(dir_->CheckFile(1), Check::kDamaged);
  WriteFile(file(), sound_.substr(0, kPage + 10));
  EXPECT_EQ(dir_->CheckFile(1), Check::kDamaged);
  std::filesystem::remove(file());
  EXPECT_EQ(dir_->CheckFile(1), Check::kDamaged);
}

TEST_F(LmdbDirTest, ALockFileThatIsNoFileIsDamage) {
  const std::string lock = file() + "-lock";
  std::filesystem::remove(lock);
  ASSERT_EQ(mkfifo(lock.c_str(), 0600), 0);
  EXPECT_EQ(dir_->CheckFile(1), Check::kDamaged);
  std::filesystem::remove(lock);
  EXPECT_EQ(dir_->CheckFile(1), Check::kSound) << "LMDB makes one";
}

TEST_F(LmdbDirTest, ReadersOfALockFileThatIsNoneAreNobody) {
  const std::string lock = file() + "-lock";
  EXPECT_TRUE(dir_->ActiveReaders(1).empty());
  std::string bytes = ReadWholeFile(lock);
  const std::uint64_t txn = 5;
  const std::uint32_t pid = 4321;
  std::memcpy(bytes.data() + 128, &txn, 8);  // the first slot
  std::memcpy(bytes.data() + 128 + 8, &pid, 4);
  WriteFile(lock, bytes);
  EXPECT_EQ(dir_->ActiveReaders(1), std::set<long>{4321});
  bytes[0] ^= 1;  // the magic
  WriteFile(lock, bytes);
  EXPECT_TRUE(dir_->ActiveReaders(1).empty());
  WriteFile(lock, bytes.substr(0, 127));
  EXPECT_TRUE(dir_->ActiveReaders(1).empty());
  EXPECT_TRUE(dir_->ActiveReaders(2).empty());
}

TEST_F(LmdbDirTest, OnlyNumberedFilesAreGenerations) {
  for (const char* name : {"zzzzzzzz.mdb", "0000001z.mdb", "00000000.mdb", "12.mdb",
                           "00000009.mdbx", "00000009.bak.mdb", "build.mdb"}) {
    WriteFile(path_ + "/" + name, "x");
  }
  auto current = dir_->Current();
  ASSERT_TRUE(current.ok() && current->has_value());
  EXPECT_EQ((*current)->number, 1u);
  WriteFile(path_ + "/0000001a.mdb", "x");
  EXPECT_EQ((*dir_->Current())->number, 0x1au);
  dir_->RemoveAllBut(1);
  EXPECT_EQ((*dir_->Current())->number, 1u);
  EXPECT_TRUE(std::filesystem::exists(path_ + "/12.mdb")) << "not ours";
}

TEST_F(LmdbDirTest, AnotherFolderInItsPlaceIsSeen) {
  EXPECT_TRUE(dir_->StillThere());
  std::filesystem::rename(path_, path_ + "-away");
  EXPECT_FALSE(dir_->StillThere());
  std::filesystem::create_directory(path_);
  EXPECT_FALSE(dir_->StillThere());
}

TEST_F(LmdbDirTest, AFileIsMadeAsLongAsItsPagesAreSaidToBe) {
  dir_->ExtendTo(1, sound_.size() - kPage);
  EXPECT_EQ(std::filesystem::file_size(file()), sound_.size());
  dir_->ExtendTo(1, sound_.size() + kPage);
  EXPECT_EQ(std::filesystem::file_size(file()), sound_.size() + kPage);
  EXPECT_EQ(dir_->CheckFile(1), Check::kSound);
  dir_->ExtendTo(2, kPage);  // there is none
  EXPECT_FALSE(std::filesystem::exists(dir_->PathOf(2)));
}

}  // namespace
}  // namespace ckpt::index_internal
