// The promises of env.h, held by every world: the real file system and the simulated one. A crash
// test against the simulated world proves something about the real one only as far as these agree.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <memory>
#include <string>

#include "store/io/env.h"
#include "tests/support/sim_world.h"
#include "tests/support/temp_dir.h"

namespace ckpt {
namespace {

class PosixWorld {
 public:
  Env* env() { return PosixEnv(); }
  const std::string& path() const { return tmp_.path(); }

 private:
  TempDir tmp_;
};

class SimulatedWorld {
 public:
  Env* env() { return &world_; }
  std::string path() const { return "/"; }

 private:
  SimWorld world_{1};
};

template <typename World>
class EnvContract : public ::testing::Test {
 protected:
  EnvContract() : dir_(Open()) {}

  std::unique_ptr<Dir> Open() { return *this->world_.env()->OpenDir(this->world_.path()); }
  std::unique_ptr<File> Make(std::string_view name, std::string_view text = "") {
    auto file = dir_->OpenFile(name, {.mode = OpenMode::kCreate});
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_TRUE((*file)->WriteAt(0, AsBytes(text)).ok());
    return *std::move(file);
  }
  static std::string Read(File& file) {
    std::string text(file.Stat()->size_bytes, '?');
    EXPECT_TRUE(file.ReadExactAt(0, std::as_writable_bytes(std::span(text))).ok());
    return text;
  }
  std::string ReadName(std::string_view name) {
    auto file = dir_->OpenFile(name, {});
    return file.ok() ? Read(**file) : file.status().ToString();
  }
  std::vector<std::string> Names(Dir& dir) {
    std::vector<std::string> names;
    std::vector<DirEntry> entries = *dir.List();
    for (DirEntry& entry : entries) names.push_back(entry.name);
    std::ranges::sort(names);
    return names;
  }

  World world_;
  std::unique_ptr<Dir> dir_;
};

using Worlds = ::testing::Types<PosixWorld, SimulatedWorld>;
TYPED_TEST_SUITE(EnvContract, Worlds);

TYPED_TEST(EnvContract, WrittenBytesReadBack) {
  auto file = this->Make("a", "hello");
  EXPECT_EQ(this->Read(*file), "hello");
  EXPECT_EQ(this->ReadName("a"), "hello");
  ASSERT_TRUE(file->WriteAt(3, AsBytes("LOW")).ok());
  EXPECT_EQ(this->ReadName("a"), "helLOW");
}

TYPED_TEST(EnvContract, WriteBeyondEndLeavesZeros) {
  auto file = this->Make("a", "x");
  ASSERT_TRUE(file->WriteAt(5000, AsBytes("y")).ok());
  std::string text = this->Read(*file);
  ASSERT_EQ(text.size(), 5001u);
  EXPECT_EQ(text, "x" + std::string(4999, '\0') + "y");
}

TYPED_TEST(EnvContract, EmptyWriteBeyondEndChangesNothing) {
  auto file = this->Make("a", "x");
  ASSERT_TRUE(file->WriteAt(100, {}).ok());
  EXPECT_EQ(file->Stat()->size_bytes, 1u);
}

TYPED_TEST(EnvContract, ReadPastEndAnswersWhatIsThere) {
  auto file = this->Make("a", "hello");
  std::byte buffer[16];
  EXPECT_EQ(*file->ReadAt(3, buffer), 2u);
  EXPECT_EQ(*file->ReadAt(5, buffer), 0u);
  EXPECT_EQ(*file->ReadAt(99, buffer), 0u);
  EXPECT_EQ(file->ReadExactAt(3, buffer).code(), Code::kCorruption);
}

TYPED_TEST(EnvContract, ForbiddenNamesRefusedByEveryCall) {
  this->Make("a");
  Dir& dir = *this->dir_;
  for (std::string_view name : {std::string_view(""), std::string_view("."), std::string_view(".."),
                                std::string_view("a/b"), std::string_view("/"),
                                std::string_view("a\0b", 3), std::string_view("a/")}) {
    SCOPED_TRACE(name);
    constexpr Code kBad = Code::kInvalidArgument;
    EXPECT_EQ(dir.OpenDir(name).status().code(), kBad);
    EXPECT_EQ(dir.OpenFile(name, {.mode = OpenMode::kCreate}).status().code(), kBad);
    EXPECT_EQ(dir.StatEntry(name).status().code(), kBad);
    EXPECT_EQ(dir.MakeDir(name, 0700).code(), kBad);
    EXPECT_EQ(dir.RemoveFile(name).code(), kBad);
    EXPECT_EQ(dir.RemoveDir(name).code(), kBad);
    EXPECT_EQ(dir.Rename("a", &dir, name).code(), kBad);
    EXPECT_EQ(dir.Rename(name, &dir, "b").code(), kBad);
    EXPECT_EQ(dir.ReadLink(name).status().code(), kBad);
    EXPECT_EQ(dir.MakeSymlink("a", name).code(), kBad);
    EXPECT_EQ(dir.MakeHardLink(name, &dir, "b").code(), kBad);
    EXPECT_EQ(dir.MakeHardLink("a", &dir, name).code(), kBad);
    EXPECT_EQ(dir.SetEntryAttributes(name, FileInfo{}, false).code(), kBad);
  }
  EXPECT_EQ(this->Names(dir), std::vector<std::string>{"a"});
}

TYPED_TEST(EnvContract, OddNamesAllowed) {
  for (std::string name : {std::string("..."), std::string("\xff\xfe"), std::string("a\nb"),
                           std::string(" "), std::string(255, 'n')}) {
    this->Make(name, name);
    EXPECT_EQ(this->ReadName(name), name);
  }
  EXPECT_EQ(
      this->dir_->OpenFile(std::string(256, 'n'), {.mode = OpenMode::kCreate}).status().code(),
      Code::kInvalidArgument);
}

TYPED_TEST(EnvContract, OpenModesHeedWhatExists) {
  Dir& dir = *this->dir_;
  EXPECT_EQ(dir.OpenFile("a", {.mode = OpenMode::kRead}).status().code(), Code::kNotFound);
  EXPECT_EQ(dir.OpenFile("a", {.mode = OpenMode::kReadWrite}).status().code(), Code::kNotFound);
  EXPECT_TRUE(dir.OpenFile("a", {.mode = OpenMode::kReadOrCreate}).ok());
  EXPECT_EQ(dir.OpenFile("a", {.mode = OpenMode::kCreate}).status().code(), Code::kExists);
  EXPECT_TRUE(dir.OpenFile("a", {.mode = OpenMode::kReadOrCreate}).ok());
  auto reader = dir.OpenFile("a", {.mode = OpenMode::kRead});
  ASSERT_TRUE(reader.ok());
  EXPECT_FALSE((*reader)->WriteAt(0, AsBytes("x")).ok());
}

TYPED_TEST(EnvContract, OnlyRegularFilesOpen) {
  Dir& dir = *this->dir_;
  this->Make("a", "secret");
  ASSERT_TRUE(dir.MakeDir("d", 0700).ok());
  ASSERT_TRUE(dir.MakeSymlink("a", "link").ok());
  ASSERT_TRUE(dir.MakeSymlink("d", "dirlink").ok());
  for (OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite, OpenMode::kReadOrCreate}) {
    Status link = dir.OpenFile("link", {.mode = mode}).status();
    EXPECT_EQ(link.code(), Code::kInvalidArgument);
    EXPECT_NE(link.message().find("a symbolic link"), std::string::npos) << link.message();
    Status folder = dir.OpenFile("d", {.mode = mode}).status();
    EXPECT_EQ(folder.code(), Code::kInvalidArgument);
    EXPECT_NE(folder.message().find("a directory"), std::string::npos) << folder.message();
  }
  EXPECT_EQ(dir.OpenDir("dirlink").status().code(), Code::kNotFound);
  EXPECT_EQ(dir.OpenDir("a").status().code(), Code::kNotFound);
  EXPECT_EQ(dir.OpenDir("none").status().code(), Code::kNotFound);
}

TYPED_TEST(EnvContract, PermissionsAreThoseAsked) {
  Dir& dir = *this->dir_;
  ASSERT_TRUE(dir.OpenFile("a", {.mode = OpenMode::kCreate, .permissions = 0666}).ok());
  ASSERT_TRUE(dir.OpenFile("b", {.mode = OpenMode::kReadOrCreate, .permissions = 0640}).ok());
  ASSERT_TRUE(dir.OpenFile("b", {.mode = OpenMode::kReadOrCreate, .permissions = 0600}).ok());
  ASSERT_TRUE(dir.MakeDir("d", 0777).ok());
  EXPECT_EQ(dir.StatEntry("a")->mode, 0666u);
  EXPECT_EQ(dir.StatEntry("b")->mode, 0640u) << "an existing file keeps its mode";
  EXPECT_EQ(dir.StatEntry("d")->mode, 0777u);
  EXPECT_EQ(dir.MakeDir("d", 0700).code(), Code::kExists);
}

TYPED_TEST(EnvContract, StatTellsKindSizeAndIdentity) {
  Dir& dir = *this->dir_;
  auto file = this->Make("a", "12345");
  ASSERT_TRUE(dir.MakeDir("d", 0700).ok());
  ASSERT_TRUE(dir.MakeSymlink("target", "l").ok());
  ASSERT_TRUE(dir.MakeHardLink("a", &dir, "a2").ok());
  FileInfo info = *dir.StatEntry("a");
  EXPECT_EQ(info.kind, FileKind::kRegular);
  EXPECT_EQ(info.size_bytes, 5u);
  EXPECT_EQ(info.links, 2u);
  EXPECT_EQ(info.uid, this->world_.env()->UserId());
  EXPECT_EQ(file->Stat()->inode, info.inode);
  EXPECT_EQ(file->Stat()->device, info.device);
  EXPECT_EQ(dir.StatEntry("a2")->inode, info.inode);
  EXPECT_EQ(dir.StatEntry("d")->kind, FileKind::kDirectory);
  EXPECT_EQ(dir.StatEntry("l")->kind, FileKind::kSymlink);
  EXPECT_EQ(*dir.ReadLink("l"), "target");
  EXPECT_EQ(dir.ReadLink("a").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(dir.StatEntry("none").status().code(), Code::kNotFound);
  EXPECT_EQ(dir.Stat()->kind, FileKind::kDirectory);
}

TYPED_TEST(EnvContract, ListNamesEveryEntryOnce) {
  Dir& dir = *this->dir_;
  EXPECT_TRUE(dir.List()->empty());
  this->Make("b");
  ASSERT_TRUE(dir.MakeDir("a", 0700).ok());
  ASSERT_TRUE(dir.MakeSymlink("x", "c").ok());
  EXPECT_EQ(this->Names(dir), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(this->Names(dir).size(), 3u) << "a second listing begins anew";
  std::vector<DirEntry> entries = *dir.List();
  for (const DirEntry& entry : entries) {
    EXPECT_EQ(entry.kind, dir.StatEntry(entry.name)->kind) << entry.name;
  }
}

TYPED_TEST(EnvContract, RenameReplacesAtomically) {
  Dir& dir = *this->dir_;
  this->Make("new", "new");
  auto old = this->Make("old", "old");
  ASSERT_TRUE(dir.Rename("new", &dir, "old").ok());
  EXPECT_EQ(this->Names(dir), std::vector<std::string>{"old"});
  EXPECT_EQ(this->ReadName("old"), "new");
  EXPECT_EQ(this->Read(*old), "old") << "an open file outlives its name";
  EXPECT_EQ(old->Stat()->links, 0u);
  EXPECT_EQ(dir.Rename("none", &dir, "x").code(), Code::kNotFound);
}

TYPED_TEST(EnvContract, RenameMovesBetweenDirectories) {
  Dir& dir = *this->dir_;
  ASSERT_TRUE(dir.MakeDir("d", 0700).ok());
  auto sub = *dir.OpenDir("d");
  this->Make("a", "text");
  ASSERT_TRUE(dir.Rename("a", sub.get(), "b").ok());
  EXPECT_EQ(this->Names(*sub), std::vector<std::string>{"b"});
  EXPECT_EQ(this->Names(dir), std::vector<std::string>{"d"});
}

TYPED_TEST(EnvContract, RenameHeedsKinds) {
  Dir& dir = *this->dir_;
  this->Make("file");
  ASSERT_TRUE(dir.MakeDir("d", 0700).ok());
  ASSERT_TRUE(dir.MakeDir("full", 0700).ok());
  auto full = *dir.OpenDir("full");
  ASSERT_TRUE(full->MakeDir("x", 0700).ok());
  EXPECT_FALSE(dir.Rename("file", &dir, "d").ok());
  EXPECT_EQ(dir.Rename("d", &dir, "file").code(), Code::kNotFound);
  EXPECT_EQ(dir.Rename("d", &dir, "full").code(), Code::kExists);
  auto x = *full->OpenDir("x");
  EXPECT_EQ(dir.Rename("full", x.get(), "y").code(), Code::kInvalidArgument);
  EXPECT_EQ(this->Names(dir), (std::vector<std::string>{"d", "file", "full"}));
}

TYPED_TEST(EnvContract, RemoveHeedsKinds) {
  Dir& dir = *this->dir_;
  this->Make("a");
  ASSERT_TRUE(dir.MakeDir("d", 0700).ok());
  auto sub = *dir.OpenDir("d");
  ASSERT_TRUE(sub->MakeDir("x", 0700).ok());
  EXPECT_FALSE(dir.RemoveFile("d").ok());
  EXPECT_EQ(dir.RemoveDir("a").code(), Code::kNotFound);
  EXPECT_EQ(dir.RemoveDir("d").code(), Code::kExists);
  EXPECT_EQ(dir.RemoveFile("none").code(), Code::kNotFound);
  EXPECT_TRUE(sub->RemoveDir("x").ok());
  EXPECT_TRUE(dir.RemoveDir("d").ok());
  EXPECT_TRUE(dir.RemoveFile("a").ok());
  EXPECT_TRUE(this->Names(dir).empty());
  EXPECT_FALSE(sub->OpenFile("late", {.mode = OpenMode::kCreate}).ok());
}

TYPED_TEST(EnvContract, HardLinkSharesContent) {
  Dir& dir = *this->dir_;
  auto file = this->Make("a", "one");
  ASSERT_TRUE(dir.MakeHardLink("a", &dir, "b").ok());
  EXPECT_EQ(dir.MakeHardLink("a", &dir, "b").code(), Code::kExists);
  ASSERT_TRUE(file->WriteAt(0, AsBytes("two")).ok());
  EXPECT_EQ(this->ReadName("b"), "two");
  ASSERT_TRUE(dir.MakeSymlink("a", "l").ok());
  ASSERT_TRUE(dir.MakeHardLink("l", &dir, "l2").ok());
  EXPECT_EQ(dir.StatEntry("l2")->kind, FileKind::kSymlink) << "links are not followed";
}

TYPED_TEST(EnvContract, TruncateCutsAndGrowsWithZeros) {
  auto file = this->Make("a", "hello");
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(this->Read(*file), "he");
  ASSERT_TRUE(file->Truncate(4).ok());
  EXPECT_EQ(this->Read(*file), std::string("he\0\0", 4)) << "what was cut is gone";
}

TYPED_TEST(EnvContract, AllocateGrowsWithZerosAndKeepsData) {
  auto file = this->Make("a", "hello");
  Status status = file->Allocate(0, 10000);
  if (status.code() == Code::kUnsupported) GTEST_SKIP() << status.ToString();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(this->Read(*file), "hello" + std::string(9995, '\0'));
  EXPECT_GE(file->Stat()->allocated_bytes, 8192u);
  ASSERT_TRUE(file->Allocate(0, 0).ok());
  ASSERT_TRUE(file->Allocate(0, 10).ok());
  EXPECT_EQ(file->Stat()->size_bytes, 10000u) << "never shrinks";
}

TYPED_TEST(EnvContract, PunchHoleZeroesTheRangeAndFreesWholeBlocks) {
  auto file = this->Make("a");
  std::string bytes(64 << 10, 'x');
  ASSERT_TRUE(file->WriteAt(0, AsBytes(bytes)).ok());
  ASSERT_TRUE(file->Sync().ok());
  std::uint64_t before = file->Stat()->allocated_bytes;
  Status status = file->PunchHole(8192, 32768);
  if (status.code() == Code::kUnsupported) GTEST_SKIP() << status.ToString();
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_TRUE(file->PunchHole(60000, 10).ok());
  ASSERT_TRUE(file->PunchHole(0, 0).ok());
  std::fill_n(bytes.begin() + 8192, 32768, '\0');
  std::fill_n(bytes.begin() + 60000, 10, '\0');
  EXPECT_EQ(this->Read(*file), bytes);
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(file->Stat()->size_bytes, bytes.size());
  EXPECT_LE(file->Stat()->allocated_bytes + 32768, before);
  ASSERT_TRUE(file->WriteAt(8192, AsBytes("back")).ok());
  EXPECT_EQ(this->Read(*file).substr(8192, 5), std::string("back\0", 5));
  auto reading = this->dir_->OpenFile("a", {});
  ASSERT_TRUE(reading.ok());
  EXPECT_FALSE((*reading)->PunchHole(0, 4096).ok()) << "open only for reading";
}

TYPED_TEST(EnvContract, ExtentsCoverTheFileInOrder) {
  auto file = this->Make("a");
  EXPECT_TRUE(file->Extents()->empty());
  constexpr std::uint64_t kMiB = 1 << 20;
  ASSERT_TRUE(file->WriteAt(kMiB, AsBytes(std::string(kMiB, 'x'))).ok());
  ASSERT_TRUE(file->Truncate(4 * kMiB).ok());
  std::uint64_t at = 0;
  bool covered = false;
  std::vector<Extent> extents = *file->Extents();
  for (const Extent& extent : extents) {
    EXPECT_EQ(extent.offset, at);
    EXPECT_GT(extent.length_bytes, 0u);
    at += extent.length_bytes;
    if (extent.offset <= kMiB && at >= 2 * kMiB) covered = !extent.hole;
  }
  EXPECT_EQ(at, 4 * kMiB);
  EXPECT_TRUE(covered) << "the written range is data";
}

TYPED_TEST(EnvContract, AttributesAreKept) {
  Dir& dir = *this->dir_;
  auto file = this->Make("a", "x");
  ASSERT_TRUE(dir.MakeDir("d", 0700).ok());
  ASSERT_TRUE(dir.MakeSymlink("a", "l").ok());
  FileInfo info;
  info.mode = 0751;
  info.mtime_ns = 1'234'567'890'123'456'789;
  ASSERT_TRUE(file->SetAttributes(info, false).ok());
  EXPECT_EQ(dir.StatEntry("a")->mode, 0751u);
  EXPECT_EQ(dir.StatEntry("a")->mtime_ns, info.mtime_ns);
  info.mtime_ns = -1'500'000'000;
  ASSERT_TRUE(dir.SetEntryAttributes("l", info, false).ok());
  EXPECT_EQ(dir.StatEntry("l")->mtime_ns, info.mtime_ns);
  EXPECT_NE(dir.StatEntry("a")->mtime_ns, info.mtime_ns) << "the link's target is left alone";
  ASSERT_TRUE(dir.SetEntryAttributes("d", info, false).ok());
  EXPECT_EQ(dir.StatEntry("d")->mode, 0751u);
  ASSERT_TRUE(dir.SetAttributes(info, false).ok());
  EXPECT_EQ(dir.Stat()->mtime_ns, info.mtime_ns);
  EXPECT_EQ(dir.SetEntryAttributes("none", info, false).code(), Code::kNotFound);
}

TYPED_TEST(EnvContract, ExtendedAttributesAreKept) {
  auto file = this->Make("a");
  Status status = file->SetExtendedAttribute("user.ckpt", std::string_view("v\0w", 3));
  if (status.code() == Code::kUnsupported) GTEST_SKIP() << status.ToString();
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_TRUE(file->SetExtendedAttribute("user.empty", "").ok());
  auto list = *file->ExtendedAttributes();
  auto find = [&](const std::string& name) {
    return std::ranges::find(list, name, [](const auto& pair) { return pair.first; });
  };
  ASSERT_NE(find("user.ckpt"), list.end());
  EXPECT_EQ(find("user.ckpt")->second, std::string("v\0w", 3));
  ASSERT_NE(find("user.empty"), list.end());
  EXPECT_EQ(file->SetExtendedAttribute("", "x").code(), Code::kInvalidArgument);
  ASSERT_TRUE(this->dir_->SetExtendedAttribute("user.dir", "d").ok());
  auto of_dir = *this->dir_->ExtendedAttributes();
  EXPECT_TRUE(std::ranges::count(of_dir, std::pair<std::string, std::string>("user.dir", "d")));
}

TYPED_TEST(EnvContract, LocksBelongToTheOpenFile) {
  auto first = *this->dir_->OpenFile("lock", {.mode = OpenMode::kReadOrCreate});
  auto second = *this->dir_->OpenFile("lock", {.mode = OpenMode::kReadWrite});
  auto reader = *this->dir_->OpenFile("lock", {.mode = OpenMode::kRead});
  EXPECT_TRUE(*first->TryLock());
  EXPECT_TRUE(*first->TryLock()) << "held by itself";
  EXPECT_FALSE(*second->TryLock());
  EXPECT_TRUE(*second->LockedByOther());
  EXPECT_TRUE(*reader->LockedByOther());
  EXPECT_FALSE(*first->LockedByOther());
  EXPECT_EQ(reader->TryLock().status().code(), Code::kInvalidArgument);
  ASSERT_TRUE(second->Unlock().ok()) << "not its own: no effect";
  EXPECT_FALSE(*second->TryLock());
  ASSERT_TRUE(first->Unlock().ok());
  EXPECT_FALSE(*reader->LockedByOther());
  EXPECT_TRUE(*second->TryLock());
  second.reset();
  EXPECT_TRUE(*first->TryLock()) << "closing releases";
}

TYPED_TEST(EnvContract, DirectFileReadsAndWritesLikeAnother) {
  auto opened = this->dir_->OpenFile("a", {.mode = OpenMode::kCreate, .direct = true});
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  File& file = **opened;
  AlignedBuffer buffer(3 * 4096);
  std::fill_n(buffer.data(), buffer.size(), std::byte{'z'});
  ASSERT_TRUE(file.WriteAt(0, {buffer.data(), buffer.size()}).ok());
  ASSERT_TRUE(file.WriteAt(5 * 4096, {buffer.data(), 4096}).ok());
  ASSERT_TRUE(file.Sync().ok());
  EXPECT_EQ(file.Stat()->size_bytes, 6u * 4096);
  std::byte odd[100];
  ASSERT_TRUE(file.ReadExactAt(3 * 4096 - 50, odd).ok()) << "reads need no alignment";
  EXPECT_EQ(AsText(odd), std::string(50, 'z') + std::string(50, '\0'));
}

TYPED_TEST(EnvContract, EnvOpensAndMakesByPath) {
  Env& env = *this->world_.env();
  std::string base = this->world_.path() + (this->world_.path() == "/" ? "" : "/");
  ASSERT_TRUE(env.MakeDir(base + "made", 0755).ok());
  EXPECT_EQ(env.MakeDir(base + "made", 0755).code(), Code::kExists);
  EXPECT_EQ(env.MakeDir(base + "no/made", 0755).code(), Code::kNotFound);
  EXPECT_EQ(env.OpenDir(base + "none").status().code(), Code::kNotFound);
  EXPECT_EQ(env.OpenDir("").status().code(), Code::kInvalidArgument);
  ASSERT_TRUE(this->dir_->MakeSymlink("made", "way").ok());
  auto by_link = env.OpenDir(base + "way");
  ASSERT_TRUE(by_link.ok()) << by_link.status().ToString();
  EXPECT_EQ((*by_link)->Stat()->inode, this->dir_->StatEntry("made")->inode);
  EXPECT_EQ(this->dir_->StatEntry("made")->mode, 0755u);
}

TYPED_TEST(EnvContract, ClocksRandomnessAndHostAnswer) {
  Env& env = *this->world_.env();
  std::int64_t before = env.MonotonicNs();
  env.SleepMs(2);
  EXPECT_GE(env.MonotonicNs() - before, 2'000'000);
  EXPECT_GT(env.RealtimeNs(), 1'000'000'000'000'000'000);
  EXPECT_NE(env.RandomId(), env.RandomId());
  EXPECT_FALSE(env.HostId().IsZero());
  EXPECT_EQ(env.HostId(), env.HostId());
  EXPECT_FALSE(env.HostName().empty());
}

TYPED_TEST(EnvContract, SyncAndSpaceAnswer) {
  auto file = this->Make("a", "x");
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_TRUE(this->dir_->Sync().ok());
  EXPECT_GT(*this->dir_->FreeBytes(), 0u);
  EXPECT_TRUE(this->dir_->OnNetworkFileSystem().ok());
}

// Any sequence of writes, cuts and growths reads back as it does on a plain string.
TYPED_TEST(EnvContract, AnyEditsMatchAString) {
  bool held = rc::check("edits", [&] {
    this->dir_->RemoveFile("f").ok();
    auto file = *this->dir_->OpenFile("f", {.mode = OpenMode::kCreate});
    std::string model;
    auto count = *rc::gen::inRange(0, 30);
    for (int i = 0; i < count; ++i) {
      auto at = *rc::gen::inRange<std::size_t>(0, 20000);
      auto length = *rc::gen::inRange<std::size_t>(0, 9000);
      if (*rc::gen::inRange(0, 4) == 0) {
        RC_ASSERT(file->Truncate(at).ok());
        model.resize(at);
      } else {
        std::string text(length, static_cast<char>('a' + i));
        RC_ASSERT(file->WriteAt(at, AsBytes(text)).ok());
        if (length > 0 && model.size() < at + length) model.resize(at + length);
        model.replace(length > 0 ? at : 0, length, text);
      }
      RC_ASSERT(this->Read(*file) == model);
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace ckpt
