// What only the real world has: links planted on the way, FIFOs, the umask, file kinds, kernel
// locks across processes.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>

#include "store/io/entry_name.h"
#include "store/io/env.h"
#include "store/io/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace ckpt {
namespace {

class PosixEnvTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return tmp_ / name; }

  TempDir tmp_;
  std::string path_ = tmp_.path();
  std::unique_ptr<Dir> dir_ = *PosixEnv()->OpenDir(path_);
};

TEST_F(PosixEnvTest, FifoIsRefusedWithoutBlocking) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  alarm(20);  // a blocked open would hang for ever
  for (OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite, OpenMode::kReadOrCreate}) {
    Status status = dir_->OpenFile("pipe", {.mode = mode}).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_NE(status.message().find("a FIFO"), std::string::npos) << status.message();
  }
  alarm(0);
  EXPECT_EQ(dir_->StatEntry("pipe")->kind, FileKind::kOther);
}

TEST_F(PosixEnvTest, SocketIsRefusedByName) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(Path("sock").size(), sizeof(address.sun_path));
  std::strcpy(address.sun_path, Path("sock").c_str());
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  Status status = dir_->OpenFile("sock", {}).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("a socket"), std::string::npos) << status.message();
}

TEST_F(PosixEnvTest, DeviceIsRefusedByName) {
  auto dev = PosixEnv()->OpenDir("/dev");
  ASSERT_TRUE(dev.ok());
  Status status = (*dev)->OpenFile("null", {}).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("a character device"), std::string::npos) << status.message();
}

TEST_F(PosixEnvTest, TimeBeyondNanosecondsIsTheLatestNotALongGoneOne) {
  ASSERT_TRUE(dir_->OpenFile("f", {.mode = OpenMode::kCreate}).ok());
  constexpr std::int64_t kYear2400 = 13'569'465'600;
  timespec times[2] = {{kYear2400, 0}, {kYear2400, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, Path("f").c_str(), times, 0), 0);
  struct stat st {};
  ASSERT_EQ(stat(Path("f").c_str(), &st), 0);
  if (st.st_mtim.tv_sec != kYear2400) GTEST_SKIP() << "this file system knows no such time";
  FileInfo info = *dir_->StatEntry("f");
  EXPECT_EQ(info.mtime_ns, std::numeric_limits<std::int64_t>::max());
  ASSERT_TRUE(dir_->SetEntryAttributes("f", info, false).ok());
  EXPECT_EQ(dir_->StatEntry("f")->mtime_ns, info.mtime_ns);
}

TEST_F(PosixEnvTest, OpenDirectoryStaysTheSameWhenItsPathIsReplaced) {
  ASSERT_TRUE(dir_->MakeDir("d", 0700).ok());
  auto sub = *dir_->OpenDir("d");
  ASSERT_TRUE(dir_->Rename("d", dir_.get(), "moved").ok());
  ASSERT_TRUE(dir_->MakeDir("elsewhere", 0700).ok());
  ASSERT_TRUE(dir_->MakeSymlink("elsewhere", "d").ok());
  ASSERT_TRUE(sub->OpenFile("a", {.mode = OpenMode::kCreate}).ok());
  EXPECT_TRUE(std::filesystem::exists(Path("moved/a")));
  EXPECT_FALSE(std::filesystem::exists(Path("elsewhere/a")));
}

TEST_F(PosixEnvTest, PermissionsIgnoreTheUmask) {
  for (mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
    mode_t old = umask(mask);
    auto file = dir_->OpenFile("f", {.mode = OpenMode::kCreate, .permissions = 0664});
    Status made = dir_->MakeDir("d", 0775);
    Status by_path = PosixEnv()->MakeDir(Path("p"), 0750);
    umask(old);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    ASSERT_TRUE(by_path.ok()) << by_path.ToString();
    EXPECT_EQ(dir_->StatEntry("f")->mode, 0664u);
    ASSERT_TRUE(made.ok()) << made.ToString();
    EXPECT_EQ(dir_->StatEntry("d")->mode, 0775u);
    EXPECT_EQ(dir_->StatEntry("p")->mode, 0750u);
    ASSERT_TRUE(dir_->RemoveFile("f").ok());
    ASSERT_TRUE(dir_->RemoveDir("d").ok());
    ASSERT_TRUE(dir_->RemoveDir("p").ok());
  }
}

TEST_F(PosixEnvTest, WhatIsMadeForAFolderIsForThoseTheFolderIsFor) {
  const OpenOptions create{.mode = OpenMode::kCreate, .permissions = 0600 | kAsItsFolder};
  for (std::uint32_t mode : {0700u, 0750u, 0755u, 0711u}) {
    ASSERT_TRUE(dir_->MakeDir("d", mode).ok());
    auto dir = *dir_->OpenDir("d");
    ASSERT_TRUE(dir->OpenFile("f", create).ok());
    EXPECT_EQ(dir->StatEntry("f")->mode, 0600u | (mode & 0044u));
    ASSERT_TRUE(dir->MakeDir("sub", 0700 | kAsItsFolder).ok());
    EXPECT_EQ(dir->StatEntry("sub")->mode, 0700u) << "folders are opened by their owner";
    std::filesystem::remove_all(Path("d"));
  }
  if (geteuid() != 0) return;
  ASSERT_EQ(chown(path_.c_str(), 42001, 42002), 0);
  ASSERT_TRUE(dir_->OpenFile("f", create).ok());
  ASSERT_TRUE(dir_->MakeDir("d", 0700 | kAsItsFolder).ok());
  ASSERT_TRUE(dir_->OpenFile("ours", {.mode = OpenMode::kCreate}).ok());
  for (const char* name : {"f", "d"}) {
    EXPECT_EQ(dir_->StatEntry(name)->uid, 42001u) << name;
    EXPECT_EQ(dir_->StatEntry(name)->gid, 42002u) << name;
  }
  EXPECT_EQ(dir_->StatEntry("ours")->uid, 0u) << "only where it is asked for";
  // A file that is there already may be anybody's: it is never given away.
  ASSERT_TRUE(
      dir_->OpenFile("ours", {.mode = OpenMode::kReadOrCreate, .permissions = 0600 | kAsItsFolder})
          .ok());
  EXPECT_EQ(dir_->StatEntry("ours")->uid, 0u);
}

TEST_F(PosixEnvTest, LockIsReleasedByTheKernelWhenTheProcessIsKilled) {
  ASSERT_TRUE(dir_->OpenFile("lock", {.mode = OpenMode::kCreate}).ok());
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    auto file = *dir_->OpenFile("lock", {.mode = OpenMode::kReadWrite});
    char held = *file->TryLock() ? 'y' : 'n';
    if (write(ready[1], &held, 1) != 1) _exit(1);
    for (;;) pause();
  }
  char held = '?';
  ASSERT_EQ(read(ready[0], &held, 1), 1);
  EXPECT_EQ(held, 'y');
  auto file = *dir_->OpenFile("lock", {.mode = OpenMode::kReadWrite});
  EXPECT_FALSE(*file->TryLock());
  EXPECT_TRUE(*file->LockedByOther());
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(*file->TryLock());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(PosixEnvTest, DescriptorsAreCloseOnExec) {
  auto file = *dir_->OpenFile("a", {.mode = OpenMode::kCreate, .direct = true});
  auto sub = *PosixEnv()->OpenDir(path_);
  int open = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    auto target = std::filesystem::read_symlink(entry.path(), error);
    if (error || !target.string().starts_with(path_)) continue;
    ++open;
    int flags = fcntl(std::stoi(entry.path().filename().string()), F_GETFD);
    EXPECT_TRUE(flags & FD_CLOEXEC) << target;
  }
  EXPECT_GE(open, 3);
}

TEST_F(PosixEnvTest, FullDiskIsNoSpace) {
  auto dev = *PosixEnv()->OpenDir(path_);
  auto file = *dev->OpenFile("a", {.mode = OpenMode::kCreate});
  Status status = file->Allocate(0, *dev->FreeBytes() + (std::uint64_t{1} << 44));
  EXPECT_TRUE(status.code() == Code::kNoSpace || status.code() == Code::kUnsupported ||
              status.code() == Code::kIo)
      << status.ToString();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path_), std::string::npos) << "names the file";
}

TEST_F(PosixEnvTest, HostIdFollowsTheVariable) {
  Id128 own = PosixEnv()->HostId();
  setenv("CKPT_HOST_ID", "node one", 1);
  Id128 one = PosixEnv()->HostId();
  setenv("CKPT_HOST_ID", "node two", 1);
  Id128 two = PosixEnv()->HostId();
  setenv("CKPT_HOST_ID", "", 1);
  EXPECT_EQ(PosixEnv()->HostId(), own) << "empty is not set";
  unsetenv("CKPT_HOST_ID");
  EXPECT_NE(one, own);
  EXPECT_NE(one, two);
  EXPECT_EQ(PosixEnv()->HostId(), own);
}

TEST_F(PosixEnvTest, PrivilegedAttributeIsUnsupportedNotAnError) {
  auto file = *dir_->OpenFile("a", {.mode = OpenMode::kCreate});
  Status status = file->SetExtendedAttribute("nonsense.name", "x");
  EXPECT_EQ(status.code(), Code::kUnsupported) << status.ToString();
}

// A checkpoint of a terabyte lies in more packs than the usual 1024 open files.
TEST_F(PosixEnvTest, OpenFilesGoUpToTheHardLimit) {
  ASSERT_TRUE(dir_->OpenFile("pack", {.mode = OpenMode::kCreate}).ok());
  struct rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_GE(before.rlim_max, 300u);
  pid_t child = fork();
  if (child == 0) {
    struct rlimit few = {32, 200};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) _exit(1);
    std::vector<std::unique_ptr<File>> files;
    for (;;) {
      auto file = dir_->OpenFile("pack", {.mode = OpenMode::kRead});
      if (!file.ok()) {
        bool told = file.status().message().find("ulimit -n") != std::string::npos;
        _exit(!told ? 2 : files.size() < 150 ? 3 : 0);
      }
      files.push_back(*std::move(file));
    }
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(EntryName, OneRuleForAllWorlds) {
  EXPECT_TRUE(CheckEntryName("a", "/x").ok());
  EXPECT_TRUE(CheckEntryName("..a", "/x").ok());
  for (std::string_view bad : {"", ".", "..", "a/b", "/"}) {
    Status status = CheckEntryName(bad, "/x");
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << bad;
    EXPECT_NE(status.message().find("/x"), std::string::npos);
  }
  EXPECT_FALSE(CheckEntryName(std::string_view("a\0", 2), "/x").ok());
  EXPECT_EQ(JoinPath("/x", "a"), "/x/a");
  EXPECT_EQ(JoinPath("/", "a"), "/a");
  for (std::string_view path : {"x/a", "x/a/", "x//a//"}) {
    EXPECT_EQ(JoinPath(ParentPath(path), ""), ParentPath(path)) << path;
    EXPECT_EQ(ParentPath(path).substr(0, 2), "x/") << path;
  }
  EXPECT_EQ(ParentPath("a/"), ".");
  EXPECT_EQ(ParentPath("/a"), "/");
}

TEST(AlignedBuffer, IsAlignedAndMoves) {
  AlignedBuffer buffer(5000);
  ASSERT_EQ(buffer.size(), 5000u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 4096, 0u);
  std::byte* data = buffer.data();
  AlignedBuffer moved(std::move(buffer));
  EXPECT_EQ(moved.data(), data);
  AlignedBuffer other(10);
  other = std::move(moved);
  EXPECT_EQ(other.data(), data);
  EXPECT_EQ(other.size(), 5000u);
  EXPECT_EQ(AlignedBuffer(0).size(), 0u);
  EXPECT_EQ(AlignedBuffer(SIZE_MAX).size(), 0u);
}

}  // namespace
}  // namespace ckpt
