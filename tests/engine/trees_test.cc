// Trees of files by property: whatever names, kinds, holes, links and modes there are, what is
// restored is what was saved. And what --sync promises.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "store/engine/restore_files.h"
#include "store/engine/save_files.h"
#include "tests/support/sim_world.h"
#include "tests/support/sweep.h"
#include "tests/support/temp_dir.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

class TreeMaker {
 public:
  explicit TreeMaker(std::uint64_t seed) : random_(seed) {}

  void Fill(const fs::path& folder, int depth) {
    for (std::uint64_t n = random_() % 7; n > 0; --n) {
      fs::path path = folder / Name();
      if (fs::symlink_status(path).type() != fs::file_type::not_found) continue;
      std::uint64_t kind = random_() % 10;
      if (kind < 2 && depth > 0) {
        fs::create_directory(path);
        Fill(path, depth - 1);
        fs::permissions(path, fs::perms(0700 | random_() % 01000 | random_() % 2 << 9));
      } else if (kind == 2) {
        fs::create_symlink(Name() + (random_() % 2 == 0 ? "" : "/../" + Name()), path);
      } else if (kind == 3 && !files_.empty()) {
        fs::create_hard_link(files_[random_() % files_.size()], path);
      } else {
        MakeFile(path);
      }
    }
    TouchPast(folder);
  }

 private:
  std::string Name() {
    bool is_long = random_() % 20 == 0;
    std::string name(is_long ? 255 : 1 + random_() % 12, '\0');
    for (char& c : name) {
      do {
        c = static_cast<char>(random_() % 3 == 0 ? random_() : "ab-. \n*"[random_() % 7]);
      } while (c == '\0' || c == '/');
    }
    return name == "." || name == ".." ? "x" : name;
  }

  void MakeFile(const fs::path& path) {
    std::ofstream file(path, std::ios::binary);
    for (std::uint64_t pieces = random_() % 4; pieces > 0; --pieces) {
      if (random_() % 3 == 0)
        file.seekp(static_cast<std::streamoff>(random_() % (1 << 20)), std::ios::cur);
      // Of few seeds, so that pieces occur again.
      file << RandomText(random_() % 2 == 0 ? random_() % 500 : random_() % 100000, random_() % 4);
    }
    file.close();
    if (random_() % 4 == 0) fs::resize_file(path, fs::file_size(path) + random_() % (1 << 20));
    fs::permissions(path, fs::perms(0600 | random_() % 010000));
    TouchPast(path);
    files_.push_back(path);
  }

  void TouchPast(const fs::path& path) {
    timespec time = {static_cast<time_t>(random_() % 2000000000),
                     static_cast<long>(random_() % 1000000000)};
    timespec both[2] = {time, time};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), both, AT_SYMLINK_NOFOLLOW), 0);
  }

  std::mt19937_64 random_;
  std::vector<fs::path> files_;
};

// Everything that can be seen of a tree, by name.
std::map<std::string, std::string> Seen(const fs::path& root) {
  std::map<std::string, std::string> seen;
  std::map<ino_t, std::string> first_names;
  std::map<std::string, struct stat> entries;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    struct stat info = {};
    EXPECT_EQ(lstat(entry.path().c_str(), &info), 0);
    entries[entry.path().string().substr(root.string().size())] = info;
  }
  for (const auto& [name, info] : entries) {
    std::ostringstream text;
    text << std::oct << info.st_mode << std::dec << " " << info.st_uid << " ";
    if (!S_ISLNK(info.st_mode)) {
      text << info.st_mtim.tv_sec << "." << info.st_mtim.tv_nsec << " ";
    } else {
      text << fs::read_symlink(root.string() + name).string();
    }
    if (S_ISREG(info.st_mode)) {
      std::string same = first_names.emplace(info.st_ino, name).first->second;
      text << info.st_nlink << " " << (same == name ? "" : "is " + same) << "\n"
           << ReadWholeFile(root.string() + name);
    }
    seen[name] = text.str();
  }
  return seen;
}

TEST(Trees, AnyTreeComesBackAsItWas) {
  SampledSweep sweep;
  RC_ASSERT(rc::check("any tree", [&sweep] {
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    if (!sweep.Takes()) return;
    TempDir tmp;
    fs::create_directories(tmp / "from/t");
    TreeMaker(seed).Fill(tmp / "from/t", 2);
    auto before = Seen(tmp / "from");
    OpenStoreOptions options;
    options.mode = OpenStoreOptions::Mode::kCreate;
    auto store = Store::Open(PosixEnv(), tmp / "store", options);
    RC_ASSERT(store.ok());
    fs::current_path(tmp / "from");
    SaveFilesOptions save;
    save.save.series = "tree";
    for (int step = 1; step <= 2; ++step) {  // all new, then all known
      auto saved = SaveFiles(store->get(), {"t"}, save);
      RC_ASSERT(saved.ok());
      RC_ASSERT(saved->entries == before.size());
      RestoreFilesOptions restore;
      restore.checkpoint = "tree";
      restore.to = tmp / ("to" + std::to_string(step));
      auto restored = RestoreFiles(store->get(), restore);
      fs::current_path("/");
      RC_ASSERT(restored.ok());
      RC_ASSERT(Seen(restore.to) == before);
      fs::current_path(tmp / "from");
    }
    fs::current_path("/");
  }));
}

// ---- --sync ----------------------------------------------------------------------------------

class SyncedRestore : public ::testing::Test {
 protected:
  static Status MakeTree(Env* env) {
    CKPT_RETURN_IF_ERROR(env->MakeDir("/src", 0700));
    CKPT_ASSIGN_OR_RETURN(auto src, env->OpenDir("/src"));
    CKPT_RETURN_IF_ERROR(src->MakeDir("deep", 0700));
    CKPT_ASSIGN_OR_RETURN(auto deep, src->OpenDir("deep"));
    CKPT_RETURN_IF_ERROR(deep->MakeDir("empty", 0700));
    OpenOptions create;
    create.mode = OpenMode::kCreate;
    for (Dir* dir : {src.get(), deep.get()}) {
      CKPT_ASSIGN_OR_RETURN(auto file, dir->OpenFile("file", create));
      CKPT_RETURN_IF_ERROR(file->WriteAt(0, AsBytes(kContent)));
    }
    CKPT_ASSIGN_OR_RETURN(auto root, env->OpenDir("/"));
    return root->Sync();
  }

  // Saves, restores into a new folder, and loses power: nothing that was not synced is kept.
  std::unique_ptr<SimWorld> AfterPowerLoss(bool sync, const std::string& path = "/src") {
    SimWorld world(1);
    Status made = MakeTree(&world);
    EXPECT_TRUE(made.ok()) << made.ToString();
    OpenStoreOptions open;
    open.mode = OpenStoreOptions::Mode::kCreate;
    open.use_index = false;
    auto store = *Store::Open(&world, "/store", open);
    SaveFilesOptions save;
    save.save.series = "melt";
    auto saved = SaveFiles(store.get(), {path}, save);
    EXPECT_TRUE(saved.ok()) << saved.status().ToString();
    RestoreFilesOptions restore;
    restore.checkpoint = "melt";
    restore.to = "/out";
    restore.sync = sync;
    auto restored = RestoreFiles(store.get(), restore);
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    CrashChoice nothing;
    nothing.keep = CrashChoice::Keep::kNone;
    return world.Crash(nothing);
  }

  static bool IsThere(Env* env, const std::string& folder) {
    auto dir = env->OpenDir(folder);
    if (!dir.ok()) return false;
    auto file = (*dir)->OpenFile("file", OpenOptions{});
    if (!file.ok()) return false;
    Bytes bytes(100);
    auto got = (*file)->ReadAt(0, bytes);
    return got.ok() && AsText(ByteSpan(bytes).first(*got)) == kContent;
  }

  static constexpr std::string_view kContent = "what was saved";
};

TEST_F(SyncedRestore, IsThereAfterPowerLoss) {
  auto world = AfterPowerLoss(true);
  EXPECT_TRUE(IsThere(world.get(), "/out/src"));
  EXPECT_TRUE(IsThere(world.get(), "/out/src/deep"));
}

TEST_F(SyncedRestore, EmptyFoldersAndFoldersThatAreNoEntriesAreThereAfterPowerLoss) {
  auto world = AfterPowerLoss(true);
  EXPECT_TRUE(world->OpenDir("/out/src/deep/empty").ok());
  world = AfterPowerLoss(true, "/src/deep/file");
  EXPECT_TRUE(IsThere(world.get(), "/out/src/deep"));
  world = AfterPowerLoss(true, "/src/deep/empty");
  EXPECT_TRUE(world->OpenDir("/out/src/deep/empty").ok());
}

TEST_F(SyncedRestore, OtherwiseNothingIsPromised) {
  auto world = AfterPowerLoss(false);
  EXPECT_FALSE(IsThere(world.get(), "/out/src")) << "then the test above proves nothing";
}

// ---- how much there is to do -------------------------------------------------------------------

// Each look at the progress takes a second of the world's time.
std::vector<Progress> ProgressOfSave(SimWorld* world, const std::vector<std::string>& paths) {
  std::vector<Progress> seen;
  OpenStoreOptions open;
  open.mode = OpenStoreOptions::Mode::kCreate;
  open.use_index = false;
  open.progress = [&](const Progress& p) {
    seen.push_back(p);
    world->SleepMs(1000);
    return true;
  };
  auto store = *Store::Open(world, "/store", open);
  SaveFilesOptions save;
  save.save.series = "melt";
  auto saved = SaveFiles(store.get(), paths, save);
  EXPECT_TRUE(saved.ok()) << saved.status().ToString();
  return seen;
}

TEST(SaveProgress, LongWorkKnowsItsTotalWhateverWasSavedBefore) {
  SimWorld world(1);
  world.SleepMs(1000);
  ASSERT_TRUE(world.MakeDir("/src", 0700).ok());
  auto src = *world.OpenDir("/src");
  OpenOptions create;
  create.mode = OpenMode::kCreate;
  constexpr std::uint64_t kHoleBytes = 5u << 20;
  for (const char* name : {"a", "b", "c", "d"}) {
    auto file = *src->OpenFile(name, create);
    ASSERT_TRUE(file->WriteAt(kHoleBytes, Bytes(1000, std::byte{7})).ok());
  }
  const std::uint64_t each = kHoleBytes + 1000;
  const std::vector<Progress> first = ProgressOfSave(&world, {"/src/a"});
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first.front().total_bytes, 0u) << "short work is not counted";
  // The checkpoint before had a quarter of it: a guess that is given up when it is outdone.
  const std::vector<Progress> more = ProgressOfSave(&world, {"/src"});
  ASSERT_GE(more.size(), 4u);
  for (const Progress& p : more) EXPECT_LE(p.done_bytes, p.total_bytes);
  EXPECT_EQ(more.back().total_bytes, 4 * each);
  EXPECT_EQ(more.back().done_bytes, 4 * each) << "holes are done, too";
}

}  // namespace
}  // namespace ckpt
