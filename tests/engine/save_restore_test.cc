// Saving and restoring trees of files, on the real file system.

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "store/engine/restore_files.h"
#include "store/engine/save_files.h"
#include "store/engine/store.h"
#include "store/engine/temporary.h"
#include "tests/support/temp_dir.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

class SaveRestore : public ::testing::Test {
 protected:
  SaveRestore() {
    fs::create_directory(tmp_ / "d");
    fs::current_path(tmp_.path());
  }
  ~SaveRestore() override { fs::current_path("/"); }

  std::unique_ptr<Store> Open(OpenStoreOptions options = {}) {
    options.mode = OpenStoreOptions::Mode::kCreate;
    auto store = Store::Open(PosixEnv(), tmp_ / "store", std::move(options));
    EXPECT_TRUE(store.ok()) << store.status().ToString();
    return store.ok() ? *std::move(store) : nullptr;
  }

  Result<Saved> Save(Store* store, const std::vector<std::string>& paths,
                     std::optional<std::int64_t> step = std::nullopt) {
    SaveFilesOptions options = options_;
    options.save.series = "melt";
    options.save.step = step;
    return SaveFiles(store, paths, options);
  }

  Result<Restored> Restore(Store* store, const std::string& name, const std::string& to,
                           bool force = false) {
    RestoreFilesOptions options;
    options.checkpoint = name;
    options.to = to;
    options.force = force;
    return RestoreFiles(store, options);
  }

  TempDir tmp_;
  SaveFilesOptions options_;
};

TEST_F(SaveRestore, TreeOfEveryKindComesBackAsItWas) {
  std::string odd = "d/odd \xff\n name";
  WriteFile(tmp_ / "d/plain", RandomText(300000, 1));
  WriteFile(tmp_ / "d/empty", "");
  WriteFile(tmp_ / "d/small", "a few bytes");
  WriteFile(tmp_ / odd, "x");
  fs::create_directory(tmp_ / "d/a");
  WriteFile(tmp_ / "d/a.b", "sorts between d/a and d/a/x");
  WriteFile(tmp_ / "d/a/x", RandomText(70000, 2));
  fs::create_hard_link(tmp_ / "d/plain", tmp_ / "d/zlink");
  fs::create_symlink("../outside/nothing", tmp_ / "d/dangling");
  WriteFile(tmp_ / "d/holes", "");
  fs::resize_file(tmp_ / "d/holes", 8 << 20);
  {
    FILE* f = std::fopen((tmp_ / "d/holes").c_str(), "r+");
    std::fseek(f, 4 << 20, SEEK_SET);
    std::fputs("island", f);
    std::fclose(f);
  }
  fs::permissions(tmp_ / "d/small", fs::perms(0640));
  fs::permissions(tmp_ / "d/a", fs::perms(0500));
  MakeOld(tmp_ / "d/small");
  MakeOld(tmp_ / "d/a");
  bool xattrs = setxattr((tmp_ / "d/small").c_str(), "user.note", "hi", 2, 0) == 0;

  auto store = Open();
  auto saved = Save(store.get(), {"d"});
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  fs::create_directory(tmp_ / "out");
  auto restored = Restore(store.get(), "melt", tmp_ / "out");
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();

  for (const char* name : {"d/plain", "d/empty", "d/small", "d/a.b", "d/a/x", "d/holes"}) {
    EXPECT_EQ(ReadWholeFile(tmp_ / "out" + "/" + name), ReadWholeFile(tmp_ / name)) << name;
  }
  EXPECT_EQ(ReadWholeFile(tmp_ / "out" + "/" + odd), "x");
  EXPECT_EQ(fs::read_symlink(tmp_ / "out/d/dangling"), "../outside/nothing");
  EXPECT_TRUE(fs::equivalent(tmp_ / "out/d/plain", tmp_ / "out/d/zlink"));
  struct stat before, after;
  ASSERT_EQ(stat((tmp_ / "d/small").c_str(), &before), 0);
  ASSERT_EQ(stat((tmp_ / "out/d/small").c_str(), &after), 0);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_mtim.tv_sec, 1000000000);
  ASSERT_EQ(stat((tmp_ / "out/d/a").c_str(), &after), 0);
  EXPECT_EQ(after.st_mode & 07777, 0500u);
  EXPECT_EQ(after.st_mtim.tv_sec, 1000000000);
  ASSERT_EQ(stat((tmp_ / "out/d/holes").c_str(), &after), 0);
  EXPECT_LT(after.st_blocks * 512, 1 << 20) << "holes were filled";
  if (xattrs) {
    char value[8];
    EXPECT_EQ(getxattr((tmp_ / "out/d/small").c_str(), "user.note", value, sizeof(value)), 2);
  }
  fs::permissions(tmp_ / "d/a", fs::perms(0700));
  fs::permissions(tmp_ / "out/d/a", fs::perms(0700));
}

TEST_F(SaveRestore, UnchangedOldFilesAreNotReadAgain) {
  WriteFile(tmp_ / "d/f", RandomText(200000, 3));
  auto store = Open();
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  // Written within two seconds of the save: its times prove nothing.
  auto second = Save(store.get(), {"d"});
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->read_bytes, 200000u);
  EXPECT_EQ(second->new_bytes, 0u);
}

TEST_F(SaveRestore, FileThatChangesOnceWhileItIsReadIsReadAgain) {
  WriteFile(tmp_ / "d/f", RandomText(3 << 20, 4));
  OpenStoreOptions options;
  bool changed = false;
  options.progress = [&](const Progress& p) {
    if (std::string(p.phase) == "saving" && !std::exchange(changed, true)) {
      WriteFile(tmp_ / "d/f", RandomText((3 << 20) + 1, 5));
    }
    return true;
  };
  auto store = Open(std::move(options));
  Result<Saved> saved = Save(store.get(), {"d"});
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  ASSERT_TRUE(changed);
  EXPECT_EQ(saved->logical_bytes, (3u << 20) + 1);
  fs::create_directory(tmp_ / "out");
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_ / "out").ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/f"), RandomText((3 << 20) + 1, 5));
}

TEST_F(SaveRestore, FileThatKeepsChangingIsAnErrorAndNoCheckpoint) {
  WriteFile(tmp_ / "d/f", RandomText(3 << 20, 4));
  OpenStoreOptions options;
  int changes = 0;
  options.progress = [&](const Progress& p) {
    if (std::string(p.phase) == "saving") {
      WriteFile(tmp_ / "d/f", RandomText(static_cast<std::size_t>((3 << 20) + ++changes), 5));
      PosixEnv()->SleepMs(120);  // the next report is due at once
    }
    return true;
  };
  auto store = Open(std::move(options));
  Result<Saved> saved = Save(store.get(), {"d"});
  EXPECT_GE(changes, 3);
  EXPECT_EQ(saved.status().code(), Code::kIo) << saved.status().ToString();
  EXPECT_NE(saved.status().message().find("d/f"), std::string::npos);
  EXPECT_EQ(SeriesView::Load(store.get(), "melt").status().code(), Code::kNotFound);
}

TEST_F(SaveRestore, DifferingFileIsNeverOverwrittenWithoutForce) {
  WriteFile(tmp_ / "d/f", "saved");
  WriteFile(tmp_ / "d/g", "saved too");
  auto store = Open();
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  WriteFile(tmp_ / "d/g", "precious");
  fs::remove(tmp_ / "d/f");
  auto refused = Restore(store.get(), "melt", tmp_.path());
  EXPECT_EQ(refused.status().code(), Code::kExists);
  EXPECT_FALSE(fs::exists(tmp_ / "d/f")) << "a refusal must change nothing";
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/g"), "precious");
  auto forced = Restore(store.get(), "melt", tmp_.path(), true);
  ASSERT_TRUE(forced.ok()) << forced.status().ToString();
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/g"), "saved too");
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), "saved");
}

TEST_F(SaveRestore, HardLinkOfARewrittenFileIsMadeAnew) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", "one");
  fs::create_hard_link(tmp_ / "d/f", tmp_ / "d/link");
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  WriteFile(tmp_ / "d/f", "two");
  auto restored = Restore(store.get(), "melt", tmp_.path(), true);
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), "one");
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/link"), "one");
  EXPECT_TRUE(fs::equivalent(tmp_ / "d/f", tmp_ / "d/link"));
}

TEST_F(SaveRestore, HardLinksKeepTheirContentWhenTheirFirstNameVanishes) {
  std::string content = RandomText(300000, 3);
  WriteFile(tmp_ / "d/a_first", content);
  fs::create_hard_link(tmp_ / "d/a_first", tmp_ / "d/b_second");
  fs::create_hard_link(tmp_ / "d/a_first", tmp_ / "d/c_third");
  OpenStoreOptions options;
  int reports = 0;
  options.progress = [&](const Progress& p) {
    if (std::string(p.phase) != "saving") return true;
    if (++reports == 1) PosixEnv()->SleepMs(120);  // the folder's; the file's is due at once
    if (reports == 2) fs::remove(tmp_ / "d/a_first");
    return true;
  };
  auto store = Open(std::move(options));
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  ASSERT_GE(reports, 2);
  Result<Restored> restored = Restore(store.get(), "melt", tmp_ / "out");
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_FALSE(fs::exists(tmp_ / "out/d/a_first"));
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/b_second"), content);
  EXPECT_TRUE(fs::equivalent(tmp_ / "out/d/b_second", tmp_ / "out/d/c_third"));
}

TEST_F(SaveRestore, LinkPlantedInTheTargetIsNotFollowed) {
  WriteFile(tmp_ / "d/f", "saved");
  auto store = Open();
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  fs::create_directory(tmp_ / "out");
  fs::create_directory(tmp_ / "elsewhere");
  fs::create_symlink(tmp_ / "elsewhere", tmp_ / "out/d");
  for (bool force : {false, true}) {
    auto restored = Restore(store.get(), "melt", tmp_ / "out", force);
    EXPECT_FALSE(restored.ok());
    EXPECT_TRUE(fs::is_empty(tmp_ / "elsewhere"));
  }
}

TEST_F(SaveRestore, PathsLoseTheirWayOut) {
  WriteFile(tmp_ / "d/f", "saved");
  fs::current_path(tmp_ / "d");
  auto store = Open();
  ASSERT_TRUE(Save(store.get(), {"../d/f", tmp_ / "d/f"}).ok());
  fs::create_directory(tmp_ / "out");
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_ / "out").ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/f"), "saved");
  EXPECT_EQ(ReadWholeFile(tmp_ / "out" + tmp_.path() + "/d/f"), "saved");
}

TEST_F(SaveRestore, PathOfAnotherFolderIsNeverTakenForOneInside) {
  fs::create_directories(tmp_ / "w/a/deep");
  WriteFile(tmp_ / "w/a/x", "in");
  WriteFile(tmp_ / "w/a/deep/y", "in, too");
  fs::create_directories(tmp_ / "a/deep");
  WriteFile(tmp_ / "a/g", "out");  // not in the other a
  WriteFile(tmp_ / "a/x", "out");  // another of this name is
  fs::create_directory_symlink("deep", tmp_ / "w/a/link");
  auto store = Open();
  fs::current_path(tmp_ / "w");
  for (const char* other : {"../a/g", "../a/x", "../a/deep", "a/link/y"}) {
    Result<Saved> saved = Save(store.get(), {"a", other});
    EXPECT_EQ(saved.status().code(), Code::kInvalidArgument) << other;
  }
  Result<Saved> saved = Save(store.get(), {"a", "a/x", "a/deep/y", "a/deep", "./a/../a/x", "."});
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_ / "out").ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/a/x"), "in");
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/a/deep/y"), "in, too");
}

TEST_F(SaveRestore, SlashAfterALinkMeansTheFolderItLeadsTo) {
  WriteFile(tmp_ / "d/f", "behind links");
  fs::permissions(tmp_ / "d", fs::perms(0750));
  fs::create_directory_symlink(tmp_ / "d", tmp_ / "one");
  fs::create_directory_symlink("one", tmp_ / "two");
  auto store = Open();
  ASSERT_TRUE(Save(store.get(), {"two/", "d/"}).ok());
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_ / "out").ok());
  EXPECT_FALSE(fs::is_symlink(tmp_ / "out/two"));
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/two/f"), "behind links");
  EXPECT_EQ(fs::status(tmp_ / "out/two").permissions(), fs::perms(0750));
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/f"), "behind links");
  ASSERT_TRUE(Save(store.get(), {"two"}).ok());
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_ / "out2").ok());
  EXPECT_TRUE(fs::is_symlink(tmp_ / "out2/two"));
}

TEST_F(SaveRestore, ManyPathsOfOneFolderNeedFewDescriptors) {
  std::vector<std::string> paths;
  for (int i = 0; i < 200; ++i) {
    paths.push_back("d/f" + std::to_string(i));
    WriteFile(tmp_ / paths.back(), "x");
  }
  auto store = Open();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 100;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  Result<Saved> named = Save(store.get(), paths);
  Result<Saved> contents = Save(store.get(), {"d/."});
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(named.ok()) << named.status().ToString();
  ASSERT_TRUE(contents.ok()) << contents.status().ToString();
  EXPECT_EQ(contents->files, 200u);
}

TEST_F(SaveRestore, BranchIsFollowedAndTheAbandonedOneStaysAside) {
  auto store = Open();
  for (int step = 1; step <= 4; ++step) {
    WriteFile(tmp_ / "d/f", "first run, step " + std::to_string(step));
    ASSERT_TRUE(Save(store.get(), {"d"}, step).ok());
  }
  WriteFile(tmp_ / "d/f", "second run, step 3");
  auto branched = Save(store.get(), {"d"}, 3);
  ASSERT_TRUE(branched.ok());
  EXPECT_TRUE(branched->new_attempt);
  EXPECT_EQ(branched->attempt.ordinal, 2u);
  auto view = SeriesView::Load(store.get(), "melt");
  ASSERT_TRUE(view.ok());
  std::vector<std::int64_t> line;
  for (const CheckpointRow* row : view->Line()) line.push_back(row->step);
  EXPECT_EQ(line, (std::vector<std::int64_t>{3, 2, 1}));
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_.path(), true).ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), "second run, step 3");
  ASSERT_TRUE(Restore(store.get(), "melt@4", tmp_.path(), true).ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), "first run, step 4");
  ASSERT_TRUE(Restore(store.get(), "melt@1:3", tmp_.path(), true).ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), "first run, step 3");
  auto next = Save(store.get(), {"d"});
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->attempt.ordinal, 2u);
  EXPECT_EQ(next->step, 4);
}

TEST_F(SaveRestore, NewestPartOfTheLineIsTheLinesBeginning) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", "x");
  // Attempts of 40 steps, each going back to step 20 of the one before; the newest has 3.
  for (int attempt = 0; attempt < 4; ++attempt) {
    int first = attempt == 0 ? 1 : 21;
    for (int step = first; step <= (attempt == 3 ? 23 : 60); ++step) {
      ASSERT_TRUE(Save(store.get(), {"d"}, step).ok());
    }
  }
  auto whole = SeriesView::Load(store.get(), "melt");
  ASSERT_TRUE(whole.ok());
  std::vector<const CheckpointRow*> line = whole->Line();
  ASSERT_EQ(line.size(), 23u);
  for (std::size_t most : {1u, 3u, 4u, 10u, 23u, 100u}) {
    auto part = SeriesView::LoadNewest(store.get(), "melt", most);
    ASSERT_TRUE(part.ok());
    std::vector<const CheckpointRow*> newest = part->Line(most);
    ASSERT_EQ(newest.size(), std::min(most, line.size()));
    for (std::size_t i = 0; i < newest.size(); ++i) {
      EXPECT_EQ(newest[i]->step, line[i]->step);
      EXPECT_EQ(newest[i]->attempt, line[i]->attempt);
    }
    EXPECT_EQ(part->newest_attempt()->last_step, 23);
  }
}

TEST_F(SaveRestore, DeliberateReturnBeginsAnAttemptFromThatStep) {
  auto store = Open();
  for (int step = 1; step <= 3; ++step) {
    WriteFile(tmp_ / "d/f", std::to_string(step));
    ASSERT_TRUE(Save(store.get(), {"d"}, step).ok());
  }
  options_.save.from_step = 1;
  auto saved = Save(store.get(), {"d"}, 7);
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  auto view = SeriesView::Load(store.get(), "melt");
  ASSERT_TRUE(view.ok());
  std::vector<std::int64_t> line;
  for (const CheckpointRow* row : view->Line()) line.push_back(row->step);
  EXPECT_EQ(line, (std::vector<std::int64_t>{7, 1}));
}

TEST_F(SaveRestore, SecondSaveIntoASeriesIsBusyAndOthersAreNot) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", "x");
  SaveOptions mine;
  mine.series = "melt";
  auto running = CheckpointWriter::Begin(store.get(), mine);
  ASSERT_TRUE(running.ok());
  auto other = Open();
  EXPECT_EQ(Save(other.get(), {"d"}).status().code(), Code::kBusy);
  SaveFilesOptions elsewhere;
  elsewhere.save.series = "another";
  EXPECT_TRUE(SaveFiles(other.get(), {"d"}, elsewhere).ok());
}

TEST_F(SaveRestore, StoreSavedInsideAStoreIsJustFiles) {
  WriteFile(tmp_ / "d/f", RandomText(100000, 6));
  {
    auto inner = Open();
    ASSERT_TRUE(Save(inner.get(), {"d"}).ok());
  }
  fs::rename(tmp_ / "store", tmp_ / "d/inner");
  auto outer = Open();
  ASSERT_TRUE(Save(outer.get(), {"d"}).ok());
  auto series = ListSeries(outer.get());
  ASSERT_TRUE(series.ok());
  EXPECT_EQ(*series, std::vector<std::string>{"melt"});
  auto view = SeriesView::Load(outer.get(), "melt");
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->rows().size(), 1u) << "the inner store's manifest must not parse";
  fs::create_directory(tmp_ / "out");
  ASSERT_TRUE(Restore(outer.get(), "melt", tmp_ / "out").ok());
  OpenStoreOptions read;
  auto again = Store::Open(PosixEnv(), tmp_ / "out/d/inner", read);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  fs::create_directory(tmp_ / "out2");
  ASSERT_TRUE(Restore(again->get(), "melt", tmp_ / "out2").ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "out2/d/f"), ReadWholeFile(tmp_ / "d/f"));
}

TEST_F(SaveRestore, CopyOfAStoreAndTheOriginalGoTheirOwnWays) {
  WriteFile(tmp_ / "d/f", RandomText(100000, 7));
  {
    auto store = Open();
    ASSERT_TRUE(Save(store.get(), {"d"}, 1).ok());
  }
  fs::copy(tmp_ / "store", tmp_ / "copy", fs::copy_options::recursive);
  fs::permissions(tmp_ / "copy", fs::perms(0700));
  WriteFile(tmp_ / "d/f", RandomText(100000, 8));
  std::string original = ReadWholeFile(tmp_ / "d/f");
  {
    auto store = Open();
    ASSERT_TRUE(Save(store.get(), {"d"}, 2).ok());
  }
  WriteFile(tmp_ / "d/f", RandomText(100000, 9));
  std::string copied = ReadWholeFile(tmp_ / "d/f");
  OpenStoreOptions write;
  write.mode = OpenStoreOptions::Mode::kWrite;
  {
    auto copy = Store::Open(PosixEnv(), tmp_ / "copy", write);
    ASSERT_TRUE(copy.ok()) << copy.status().ToString();
    auto saved = Save(copy->get(), {"d"}, 2);
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  }
  // And the index of one beside the packs of the other.
  fs::remove_all(tmp_ / "copy/index");
  fs::copy(tmp_ / "store/index", tmp_ / "copy/index", fs::copy_options::recursive);
  for (auto [path, want] : {std::pair(tmp_ / "store", original), {tmp_ / "copy", copied}}) {
    auto store = Store::Open(PosixEnv(), path, write);
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE(Restore(store->get(), "melt", tmp_.path(), true).ok());
    EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), want) << path;
    ASSERT_TRUE(Save(store->get(), {"d"}, 3).ok());
    WriteFile(tmp_ / "d/f", "");
    ASSERT_TRUE(Restore(store->get(), "melt", tmp_.path(), true).ok());
    EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), want) << path;
  }
}

TEST_F(SaveRestore, OtherHostGoesOnWithTheIndexOfNeither) {
  std::string bytes = RandomText(500000, 10);
  WriteFile(tmp_ / "d/f", bytes);
  for (int step = 1; step <= 3; ++step) {
    setenv("CKPT_HOST_ID", ("host-" + std::to_string(step)).c_str(), 1);
    OpenStoreOptions options;
    options.index_dir = tmp_ / ("index-" + std::to_string(step));
    auto store = Open(std::move(options));
    if (step > 1) {
      ASSERT_TRUE(Restore(store.get(), "melt", tmp_.path(), true).ok());
    }
    auto saved = Save(store.get(), {"d"}, step);
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
    EXPECT_EQ(saved->read_bytes, bytes.size()) << "another host's stat proves nothing here";
    if (step > 1) {
      EXPECT_EQ(saved->new_bytes, 0u);
    }
  }
  unsetenv("CKPT_HOST_ID");
}

TEST_F(SaveRestore, IndexLostDamagedOrOlderCostsNothingButTime) {
  std::string first = RandomText(300000, 11);
  std::string second = RandomText(300000, 12);
  WriteFile(tmp_ / "d/f", first);
  ASSERT_TRUE(Save(Open().get(), {"d"}, 1).ok());
  fs::copy(tmp_ / "store/index", tmp_ / "old-index", fs::copy_options::recursive);
  WriteFile(tmp_ / "d/f", second);
  ASSERT_TRUE(Save(Open().get(), {"d"}, 2).ok());

  for (int what = 0; what < 3; ++what) {
    if (what == 0) fs::remove_all(tmp_ / "store/index");
    if (what == 1) {
      for (const auto& file : fs::recursive_directory_iterator(tmp_ / "store/index")) {
        if (file.is_regular_file()) WriteFile(file.path().string(), RandomText(40000, 13));
      }
    }
    if (what == 2) {
      fs::remove_all(tmp_ / "store/index");
      fs::copy(tmp_ / "old-index", tmp_ / "store/index", fs::copy_options::recursive);
    }
    auto store = Open();
    ASSERT_TRUE(Restore(store.get(), "melt@1", tmp_.path(), true).ok()) << what;
    EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), first);
    auto saved = Save(store.get(), {"d"});
    ASSERT_TRUE(saved.ok()) << what << saved.status().ToString();
    EXPECT_EQ(saved->new_bytes, 0u) << what;
    ASSERT_TRUE(Restore(store.get(), "melt@2", tmp_.path(), true).ok());
    EXPECT_EQ(ReadWholeFile(tmp_ / "d/f"), second);
  }
}

TEST_F(SaveRestore, StoreThatEverybodyMayWriteIsRefused) {
  WriteFile(tmp_ / "d/f", "x");
  ASSERT_TRUE(Save(Open().get(), {"d"}).ok());
  fs::permissions(tmp_ / "store", fs::perms(0777));
  OpenStoreOptions read;
  auto refused = Store::Open(PosixEnv(), tmp_ / "store", read);
  EXPECT_EQ(refused.status().code(), Code::kPermission);
  read.trust_owner = true;
  EXPECT_TRUE(Store::Open(PosixEnv(), tmp_ / "store", read).ok());
}

TEST_F(SaveRestore, StoreOfAnotherUserIsReadButNotWritten) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to give a store away";
  WriteFile(tmp_ / "d/f", "x");
  ASSERT_TRUE(Save(Open().get(), {"d"}).ok());
  ASSERT_EQ(chown((tmp_ / "store").c_str(), 12345, 12345), 0);
  OpenStoreOptions options;
  auto reading = Store::Open(PosixEnv(), tmp_ / "store", options);
  ASSERT_TRUE(reading.ok()) << reading.status().ToString();
  options.mode = OpenStoreOptions::Mode::kWrite;
  EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "store", options).status().code(), Code::kPermission);
}

// In a child: groups and user cannot be taken back.
int AsUser(uid_t uid, gid_t gid, gid_t other_gid, const std::function<bool()>& fn) {
  pid_t child = fork();
  if (child == 0) {
    bool became = setgroups(1, &other_gid) == 0 && setgid(gid) == 0 && setuid(uid) == 0;
    _exit(!became ? 2 : fn() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(SaveRestore, SharedStoreIsWrittenByItsGroupOnly) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become others";
  WriteFile(tmp_ / "d/f", "x");
  OpenStoreOptions shared;
  shared.group_shared = true;
  ASSERT_TRUE(Save(Open(std::move(shared)).get(), {"d"}).ok());
  for (const auto& item : fs::recursive_directory_iterator(tmp_ / "store")) {
    ASSERT_EQ(chown(item.path().c_str(), 12345, 54321), 0);
    if (item.is_directory()) fs::permissions(item.path(), fs::perms(02770));
  }
  ASSERT_EQ(chown((tmp_ / "store").c_str(), 12345, 54321), 0);
  fs::permissions(tmp_ / "store", fs::perms(02770));
  fs::permissions(tmp_.path(), fs::perms(0755));
  auto opens = [&] {
    OpenStoreOptions options;
    options.mode = OpenStoreOptions::Mode::kWrite;
    options.use_index = false;
    return Store::Open(PosixEnv(), tmp_ / "store", options).ok();
  };
  EXPECT_EQ(AsUser(777, 54321, 778, opens), 0);
  EXPECT_EQ(AsUser(777, 778, 54321, opens), 0);
  EXPECT_EQ(AsUser(12345, 778, 778, opens), 0);
  EXPECT_EQ(AsUser(0, 54321, 54321, opens), 1);  // root is asked to trust, not tricked into it
  ASSERT_EQ(chown((tmp_ / "store").c_str(), 12345, 55555), 0);
  fs::permissions(tmp_ / "store", fs::perms(02777));
  EXPECT_EQ(AsUser(777, 54321, 778, opens), 1);
}

TEST_F(SaveRestore, FolderWithOtherThingsIsNotMadeAStore) {
  WriteFile(tmp_ / "d/f", "x");
  OpenStoreOptions options;
  options.mode = OpenStoreOptions::Mode::kCreate;
  EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "d", options).status().code(), Code::kExists);
  options.mode = OpenStoreOptions::Mode::kWrite;
  EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "d", options).status().code(), Code::kNotFound);
  EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "none", options).status().code(), Code::kNotFound);
}

TEST_F(SaveRestore, FolderCalledPacksWithOtherThingsIsLeftAlone) {
  OpenStoreOptions options;
  options.mode = OpenStoreOptions::Mode::kCreate;
  const std::string pack = std::string(32, 'a') + ".pack";
  for (const std::string& name : {std::string("notes.txt"), "x" + pack}) {
    fs::create_directories(tmp_ / "project/packs");
    WriteFile(tmp_ / ("project/packs/" + name), "precious");
    EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "project", options).status().code(), Code::kExists);
    EXPECT_EQ(ReadWholeFile(tmp_ / ("project/packs/" + name)), "precious");
    fs::remove_all(tmp_ / "project");
  }
  fs::create_directories(tmp_ / ("project/packs/" + pack));
  EXPECT_EQ(Store::Open(PosixEnv(), tmp_ / "project", options).status().code(), Code::kExists);
  EXPECT_TRUE(fs::is_directory(tmp_ / ("project/packs/" + pack)));
  fs::remove(tmp_ / ("project/packs/" + pack));
  WriteFile(tmp_ / ("project/packs/" + pack), "torn");  // an interrupted creation
  EXPECT_TRUE(Store::Open(PosixEnv(), tmp_ / "project", options).ok());
}

TEST_F(SaveRestore, LostFormatFileDoesNotMakeAnEmptyStoreOfAFullOne) {
  WriteFile(tmp_ / "d/f", "x");
  ASSERT_TRUE(Save(Open().get(), {"d"}).ok());
  fs::remove(tmp_ / "store/format");
  OpenStoreOptions options;
  options.mode = OpenStoreOptions::Mode::kCreate;
  EXPECT_FALSE(Store::Open(PosixEnv(), tmp_ / "store", options).ok());
}

TEST_F(SaveRestore, RightsOfAnOwnerWhoIsNotRestoredAreNotLent) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become others";
  WriteFile(tmp_ / "d/tool", "x");
  WriteFile(tmp_ / "d/own", "x");
  fs::permissions(tmp_ / "d/tool", fs::perms(06755));
  ASSERT_EQ(chown((tmp_ / "d/own").c_str(), 777, 778), 0);
  fs::permissions(tmp_ / "d/own", fs::perms(06755));
  ASSERT_TRUE(Save(Open().get(), {"d"}).ok());
  ASSERT_TRUE(Restore(Open().get(), "melt", tmp_ / "root").ok());
  EXPECT_EQ(fs::status(tmp_ / "root/d/tool").permissions(), fs::perms(06755));
  for (const char* below : {"store", "store/packs", "store/locks"}) {
    fs::permissions(tmp_ / below, fs::perms(0755));
  }
  for (const auto& item : fs::recursive_directory_iterator(tmp_ / "store")) {
    if (item.is_regular_file()) fs::permissions(item.path(), fs::perms(0644));
  }
  fs::permissions(tmp_.path(), fs::perms(0755));
  fs::create_directory(tmp_ / "out");
  ASSERT_EQ(chown((tmp_ / "out").c_str(), 777, 778), 0);
  EXPECT_EQ(AsUser(777, 778, 778,
                   [&] {
                     OpenStoreOptions options;
                     options.use_index = false;
                     auto store = Store::Open(PosixEnv(), tmp_ / "store", options);
                     return store.ok() && Restore(store->get(), "melt", tmp_ / "out").ok();
                   }),
            0);
  EXPECT_EQ(fs::status(tmp_ / "out/d/tool").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(tmp_ / "out/d/own").permissions(), fs::perms(06755));
}

TEST_F(SaveRestore, TemporariesOfAKilledRestoreAreNotSavedAndGo) {
  const std::string left = ".ckpt-" + std::string(32, 'a');
  const std::string busy = ".ckpt-" + std::string(32, 'b');
  fs::create_directory(tmp_ / "d/sub");
  WriteFile(tmp_ / "d/sub/f", "x");
  ASSERT_TRUE(Save(Open().get(), {"d"}).ok());
  for (const char* folder : {"d/", "d/sub/"}) WriteFile(tmp_ / (folder + left), "half");
  WriteFile(tmp_ / ("d/sub/" + busy), "half");
  WriteFile(tmp_ / "d/sub/.ckpt-mine", "kept");
  fs::create_hard_link(tmp_ / "d/sub/f", tmp_ / ("d/sub/.ckpt-" + std::string(32, 'c')));
  std::vector<std::string> notices;
  OpenStoreOptions options;
  options.notice = [&](const std::string& message) { notices.push_back(message); };
  auto store = Open(std::move(options));
  Result<Saved> saved = Save(store.get(), {"d"});
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_EQ(saved->files, 2u);
  EXPECT_EQ(notices.size(), 1u);
  notices.clear();

  auto dir = PosixEnv()->OpenDir(tmp_ / "d/sub");
  ASSERT_TRUE(dir.ok());
  OpenOptions open;
  open.mode = OpenMode::kReadWrite;
  auto file = (*dir)->OpenFile(busy, open);
  ASSERT_TRUE(file.ok() && *(*file)->TryLock());  // another restore, at work
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_.path()).ok());
  EXPECT_FALSE(fs::exists(tmp_ / ("d/" + left)));
  EXPECT_FALSE(fs::exists(tmp_ / ("d/sub/" + left)));
  EXPECT_TRUE(fs::exists(tmp_ / ("d/sub/" + busy)));
  EXPECT_TRUE(fs::exists(tmp_ / ("d/sub/.ckpt-" + std::string(32, 'c'))));  // a moment old
  EXPECT_EQ(ReadWholeFile(tmp_ / "d/sub/.ckpt-mine"), "kept");
  EXPECT_EQ(notices.size(), 1u);
}

TEST_F(SaveRestore, FileIsLockedForAsLongAsItsNameIsTemporary) {
  WriteFile(tmp_ / "d/f", RandomText(4 << 20, 1));
  ASSERT_TRUE(Save(Open().get(), {"d"}).ok());
  fs::create_directory(tmp_ / "out");
  OpenStoreOptions options;
  options.progress = [&](const Progress& p) {
    if (std::string(p.phase) != "restoring") return true;
    auto dir = PosixEnv()->OpenDir(tmp_ / "out/d");
    if (!dir.ok()) return true;
    for (const DirEntry& entry : *(*dir)->List()) {
      if (!IsTemporaryName(entry.name)) continue;
      auto file = (*dir)->OpenFile(entry.name, OpenOptions{});
      if (!file.ok()) continue;
      auto locked = (*file)->LockedByOther();
      bool still = (*dir)->StatEntry(entry.name).ok();
      if (!still) continue;
      EXPECT_TRUE(locked.ok() && *locked);
    }
    return true;
  };
  auto store = Open(std::move(options));
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_ / "out").ok());
  for (const auto& item : fs::recursive_directory_iterator(tmp_ / "out")) {
    EXPECT_FALSE(IsTemporaryName(item.path().filename().string()));
  }
}

TEST_F(SaveRestore, DryRunIntoANewFolderNamesEverythingAndMakesNothing) {
  WriteFile(tmp_ / "d/f", "x");
  auto store = Open();
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  RestoreFilesOptions options;
  options.checkpoint = "melt";
  options.to = tmp_ / "new/";
  options.dry_run = true;
  std::vector<std::string> names;
  options.entry = [&](const std::string& name, std::uint64_t) {
    names.push_back(name);
    return true;
  };
  Result<Restored> restored = RestoreFiles(store.get(), options);
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(names, (std::vector<std::string>{"d", "d/f"}));
  EXPECT_FALSE(fs::exists(tmp_ / "new"));
  options.to = tmp_ / "none/new";
  EXPECT_EQ(RestoreFiles(store.get(), options).status().code(), Code::kIo);
  options.to = tmp_ / "d/f";
  EXPECT_EQ(RestoreFiles(store.get(), options).status().code(), Code::kInvalidArgument);
}

TEST_F(SaveRestore, HolesAreComparedWithoutReadingThem) {
  constexpr std::uint64_t kBytes = std::uint64_t{1} << 40;  // an hour, if it were read
  WriteFile(tmp_ / "d/holes", "");
  fs::resize_file(tmp_ / "d/holes", kBytes);
  auto put = [&](const std::string& path, std::uint64_t at, char byte) {
    FILE* f = std::fopen(path.c_str(), "r+");
    ASSERT_NE(f, nullptr);
    fseeko(f, static_cast<off_t>(at), SEEK_SET);
    std::fputc(byte, f);
    std::fclose(f);
  };
  put(tmp_ / "d/holes", 1 << 20, 'x');
  std::uint64_t compared = 0;
  OpenStoreOptions options;
  options.progress = [&](const Progress& p) {
    if (std::string(p.phase) == "comparing") compared = p.done_bytes;
    return true;
  };
  auto store = Open(std::move(options));
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  Result<Restored> same = Restore(store.get(), "melt", tmp_.path());
  ASSERT_TRUE(same.ok()) << same.status().ToString();
  EXPECT_EQ(same->files, 0u);
  EXPECT_GT(compared, 0u);
  EXPECT_LT(compared, 16u << 20);
  put(tmp_ / "d/holes", kBytes / 2, '\0');  // no hole there any more, but zeros
  EXPECT_TRUE(Restore(store.get(), "melt", tmp_.path()).ok());
  put(tmp_ / "d/holes", kBytes / 2, '!');
  EXPECT_EQ(Restore(store.get(), "melt", tmp_.path()).status().code(), Code::kExists);
}

TEST_F(SaveRestore, StreamComesBackAsAFile) {
  std::string bytes = RandomText(1000000, 14);
  auto store = Open();
  std::size_t at = 0;
  options_.stream = [&](MutableByteSpan out) -> Result<std::size_t> {
    std::size_t n = std::min({out.size(), bytes.size() - at, std::size_t{777}});
    std::memcpy(out.data(), bytes.data() + at, n);
    at += n;
    return n;
  };
  options_.stream_name = "dump.sql";
  auto saved = Save(store.get(), {});
  ASSERT_TRUE(saved.ok()) << saved.status().ToString();
  EXPECT_EQ(saved->logical_bytes, bytes.size());
  fs::create_directory(tmp_ / "out");
  ASSERT_TRUE(Restore(store.get(), "melt", tmp_ / "out").ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/dump.sql"), bytes);
}

TEST_F(SaveRestore, FullPacksAreSealedAndGoneOnFrom) {
  OpenStoreOptions options;
  options.format.pack_bytes_max = 1 << 20;
  auto store = Open(std::move(options));
  WriteFile(tmp_ / "d/f", RandomText(7 << 20, 15));
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  auto again = Save(store.get(), {"d"});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->new_bytes, 0u) << "what earlier packs hold must be found";
  EXPECT_GE(store->PackStates().size(), 7u);
  fs::remove_all(tmp_ / "store/index");
  auto fresh = Open();
  fs::create_directory(tmp_ / "out");
  ASSERT_TRUE(Restore(fresh.get(), "melt", tmp_ / "out").ok());
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/f"), ReadWholeFile(tmp_ / "d/f"));
}

TEST_F(SaveRestore, DamagedChunkIsNamedAndFallbackTakesTheOneBefore) {
  auto store = Open();
  WriteFile(tmp_ / "d/f", "sound");
  ASSERT_TRUE(Save(store.get(), {"d"}, 1).ok());
  WriteFile(tmp_ / "d/f", RandomText(200000, 16));
  ASSERT_TRUE(Save(store.get(), {"d"}, 2).ok());
  std::string pack;
  for (const auto& file : fs::directory_iterator(tmp_ / "store/packs")) {
    if (file.file_size() > 200000 && file.file_size() < 1000000) pack = file.path().string();
  }
  std::string bytes = ReadWholeFile(pack);
  bytes[150000] = static_cast<char>(bytes[150000] ^ 1);
  WriteFile(pack, bytes);
  fs::create_directory(tmp_ / "out");
  auto fresh = Open();
  auto damaged = Restore(fresh.get(), "melt", tmp_ / "out");
  ASSERT_EQ(damaged.status().code(), Code::kCorruption) << damaged.status().ToString();
  EXPECT_NE(damaged.status().message().find("packs/"), std::string::npos);
  EXPECT_FALSE(fs::exists(tmp_ / "out/d/f"));
  RestoreFilesOptions options;
  options.checkpoint = "melt";
  options.to = tmp_ / "out";
  options.fallback = true;
  auto fallback = RestoreFiles(fresh.get(), options);
  ASSERT_TRUE(fallback.ok()) << fallback.status().ToString();
  EXPECT_TRUE(fallback->fell_back);
  EXPECT_EQ(fallback->step, 1);
  EXPECT_EQ(ReadWholeFile(tmp_ / "out/d/f"), "sound");
}

// What a stuck or slow index costs, a save does not wait for (LMDB is a cache, I4).
TEST_F(SaveRestore, IndexLearnsOfASaveOnlyAfterItsAcknowledgement) {
  auto covered = [](Store* store) {
    std::uint64_t bytes = 0;
    auto packs = store->index()->Packs();
    if (!packs.ok()) return bytes;
    for (const PackCoverage& pack : *packs) bytes += pack.covered_bytes;
    return bytes;
  };
  WriteFile(tmp_ / "d/a", RandomText(300000, 1));
  auto store = Open();
  ASSERT_NE(store->index(), nullptr);
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  const std::uint64_t at_acknowledgement = covered(store.get());
  {
    auto other = Store::Open(PosixEnv(), tmp_ / "store", {});  // finds it all the same
    ASSERT_TRUE(other.ok());
    fs::create_directory(tmp_ / "out");
    EXPECT_TRUE(Restore(other->get(), "melt", tmp_ / "out").ok());
  }
  WriteFile(tmp_ / "d/b", RandomText(300000, 2));
  ASSERT_TRUE(Save(store.get(), {"d"}).ok());
  const std::uint64_t after_second = covered(store.get());
  EXPECT_GE(after_second, at_acknowledgement + 300000) << "the first save was never published";
  store.reset();
  auto reader = Store::Open(PosixEnv(), tmp_ / "store", {});  // publishes nothing itself
  ASSERT_TRUE(reader.ok() && (*reader)->index() != nullptr);
  EXPECT_GE(covered(reader->get()), after_second + 300000) << "closing did not publish";
}

}  // namespace
}  // namespace ckpt
