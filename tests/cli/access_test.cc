// Who may use a store, and what in it is followed: modes whatever the umask, folders everybody may
// write to, and each file and folder of a store replaced by something else. The rules: "Who may
// read and write" in docs/design.md.

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/cli/cli_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

class Access : public CliTest {
 protected:
  void SaveTwo(const std::string& before = "") const {
    for (int step = 1; step <= 2; ++step) {
      Write("data", Noise(200000, static_cast<std::uint64_t>(step)));
      Do(before + "ckpt-store save melt data -q --reread");
    }
  }
  static unsigned Mode(const fs::path& path) {
    struct stat info {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }
  // Every file and folder has these; the index is one user's in any store.
  void ExpectModes(unsigned folder, unsigned file) const {
    EXPECT_EQ(Mode(Path(".ckpt")), folder);
    for (const auto& item : fs::recursive_directory_iterator(Path(".ckpt"))) {
      const std::string name = fs::relative(item.path(), Path(".ckpt"));
      const bool index = name.starts_with("index");
      // A folder in one with the set-group-id bit inherits that.
      if (item.is_directory()) {
        EXPECT_EQ(Mode(item.path()), index ? 0700u | (folder & 02000u) : folder) << name;
      } else if (index) {
        EXPECT_EQ(Mode(item.path()) & ~0600u, 0u) << name;  // LMDB's, by the umask
      } else {
        EXPECT_EQ(Mode(item.path()), file) << name;
      }
    }
  }
};

TEST_F(Access, StoreIsItsOwnersAloneWhateverTheUmask) {
  for (const char* mask : {"000", "022", "077", "0777"}) {
    Do("rm -rf .ckpt");
    const std::string umask = std::string("umask ") + mask + "; ";
    SaveTwo(umask);
    Do(umask + "ckpt-store rm melt@1 -q; ckpt-store gc -q; ckpt-store reindex -q");
    ExpectModes(0700, 0600);
  }
}

TEST_F(Access, SharedStoreIsItsGroupsWhateverTheUmask) {
  for (const char* mask : {"000", "077", "0777"}) {
    Do("rm -rf .ckpt");
    const std::string umask = std::string("umask ") + mask + "; ";
    Do(umask + "ckpt-store init --shared -q");
    SaveTwo(umask);
    Do(umask + "ckpt-store rm melt@1 -q; ckpt-store gc -q; ckpt-store reindex -q");
    ExpectModes(02770, 0660);
  }
}

TEST_F(Access, WhatEverybodyMayWriteIsRefusedUnlessTold) {
  SaveTwo();
  fs::permissions(Path(".ckpt"), fs::perms(0777));
  for (const char* command :
       {"list", "restore melt --to out", "check", "inspect melt", "save melt data", "gc",
        "rm melt@1", "cat melt data", "stats", "diff melt@1 melt@2", "reindex"}) {
    const Outcome refused = Run(std::string("ckpt-store ") + command);
    EXPECT_EQ(refused.exit, 1) << command;
    EXPECT_NE(refused.err.find("trust-owner"), std::string::npos) << command << refused.err;
  }
  EXPECT_FALSE(fs::exists(Path("out")));
  Do("ckpt-store --trust-owner list && ckpt-store --trust-owner save melt data -q");
}

TEST_F(Access, AnothersFoldersInsideAreRefusedUnlessTold) {
  SaveTwo();
  for (const char* folder : {"packs", "locks"}) {
    fs::permissions(Path(std::string(".ckpt/") + folder), fs::perms(0777));
    for (const char* command : {"list", "restore melt --to out", "save melt data", "gc"}) {
      const Outcome refused = Run(std::string("ckpt-store ") + command);
      EXPECT_EQ(refused.exit, 1) << folder << ": " << command;
      EXPECT_NE(refused.err.find(std::string(".ckpt/") + folder), std::string::npos) << refused.err;
    }
    Do("ckpt-store --trust-owner list");
    fs::permissions(Path(std::string(".ckpt/") + folder), fs::perms(0700));
  }
  Do("ckpt-store list");
}

TEST_F(Access, AnothersStoreIsReadAndNotWritten) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to give a store away";
  SaveTwo();
  Do("chown -R 12345:12345 .ckpt");
  Do("ckpt-store list && ckpt-store restore melt --to out -q && ckpt-store check -q --no-record");
  for (const char* command : {"save melt data", "gc", "rm melt@1"}) {
    const Outcome refused = Run(std::string("ckpt-store ") + command);
    EXPECT_EQ(refused.exit, 1) << command;
    EXPECT_NE(refused.err.find("12345"), std::string::npos) << refused.err;
  }
  Do("ckpt-store --trust-owner save melt data -q --reread");
}

// ---- each file and folder replaced -----------------------------------------------------------

class Replaced : public Access, public ::testing::WithParamInterface<const char*> {
 protected:
  // Puts something else in the place of `name`; false: this user may not make one.
  bool Replace(const std::string& name) const {
    const std::string kind = GetParam();
    const std::string path = Path(name);
    fs::rename(path, Path("outside"));
    if (kind == "link") {
      fs::create_symlink(Path("outside"), path);
    } else if (kind == "dangling") {
      fs::create_symlink(Path("nowhere"), path);
    } else if (kind == "fifo") {
      EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
    } else if (kind == "device") {
      return mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0;  // /dev/zero
    } else if (kind == "socket") {
      MakeSocket(path);
    } else if (fs::is_directory(Path("outside"))) {
      std::ofstream(path) << "a file";
    } else {
      fs::create_directory(path);
    }
    return true;
  }
  static void MakeSocket(const std::string& path) {
    const fs::path before = fs::current_path();
    fs::current_path(fs::path(path).parent_path());  // an address is short
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof(address.sun_path), "%s",
                  fs::path(path).filename().c_str());
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    close(fd);
    fs::current_path(before);
  }
  std::string Outside() const {
    return Do("find outside nowhere -printf '%P %y %s %m %T@\\n' 2>/dev/null | sort; "
              "find outside -type f | sort | xargs cat | cksum")
        .out;
  }
  std::vector<std::string> AllNames() const {
    std::vector<std::string> names;
    for (const auto& item : fs::recursive_directory_iterator(Path(".ckpt"))) {
      names.push_back(fs::relative(item.path(), Path(".")));
    }
    return names;
  }
  // It does what it should without what was replaced, or is refused and names it.
  void ExpectDoneOrRefused(const std::string& command, const std::string& name) const {
    const Outcome done = Run("timeout 30 ckpt-store " + command);
    if (done.exit == 0) {
      if (command.starts_with("restore")) {
        EXPECT_TRUE(Read("out/data") == Noise(200000, 2)) << "wrong bytes";
      }
      return;
    }
    // Never 4: a job would begin from scratch.
    EXPECT_TRUE(done.exit == 1 || done.exit == 3) << done.exit << done.err;
    std::string part = fs::path(name).filename();
    if (part.ends_with(".pack")) part.resize(32);
    EXPECT_NE((done.err + done.out).find(part), std::string::npos)
        << "not named in " << done.err << done.out;
  }
};

TEST_P(Replaced, IsDoneWithoutOrRefusedByNameAndNeverFollowed) {
  SaveTwo();
  Do("cp -a .ckpt base");
  int tried = 0, number = 0;
  const int stride = kSanitized ? 5 : 1;  // prime to the number of commands
  for (const std::string& name : AllNames()) {
    for (const char* command : {"list", "restore melt --to out", "check --no-record",
                                "save melt data --reread", "rm melt@1", "gc --wait=1s"}) {
      if (number++ % stride != 0) continue;
      SCOPED_TRACE(name + ": " + command);
      Do("rm -rf .ckpt out outside nowhere; cp -a base .ckpt");
      if (!Replace(name)) GTEST_SKIP() << "may not make a device here";
      const std::string before = Outside();
      ExpectDoneOrRefused(command, name);
      EXPECT_EQ(Outside(), before) << "what is outside of the store was touched";
      ++tried;
    }
  }
  std::printf("proof: %s: %d commands\n", GetParam(), tried);
}

INSTANTIATE_TEST_SUITE_P(By, Replaced,
                         ::testing::Values("link", "dangling", "fifo", "device", "socket", "other"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace ckpt
