// The simulated world itself: what a crash may keep and must keep, faults, processes, space.

#include "tests/support/sim_world.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>
#include <thread>

namespace ckpt {
namespace {

constexpr OpenOptions kCreate = {.mode = OpenMode::kCreate};

std::unique_ptr<Dir> Root(Env& env) { return *env.OpenDir("/"); }

std::unique_ptr<File> Make(Env& env, const std::string& name, std::string_view text) {
  auto file = *Root(env)->OpenFile(name, kCreate);
  EXPECT_TRUE(file->WriteAt(0, AsBytes(text)).ok());
  return file;
}

std::string Read(Env& env, const std::string& name) {
  auto file = Root(env)->OpenFile(name, {});
  if (!file.ok()) return "(none)";
  std::string text((*file)->Stat()->size_bytes, '?');
  EXPECT_TRUE((*file)->ReadExactAt(0, std::as_writable_bytes(std::span(text))).ok());
  return text;
}

std::set<std::string> Names(Env& env) {
  std::vector<DirEntry> entries = *Root(env)->List();
  std::set<std::string> names;
  for (const DirEntry& entry : entries) names.insert(entry.name);
  return names;
}

CrashChoice Mask(std::vector<bool> mask) {
  CrashChoice choice = CrashChoice::Keeping(CrashChoice::Keep::kMask);
  choice.mask = std::move(mask);
  return choice;
}

TEST(SimCrash, SyncedFileWithoutSyncedNameIsLost) {
  SimWorld world;
  auto file = Make(world, "a", "text");
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(Names(*world.Crash(CrashChoice::None())), std::set<std::string>{});
  ASSERT_TRUE(Root(world)->Sync().ok());
  EXPECT_EQ(Read(*world.Crash(CrashChoice::None()), "a"), "text");
}

TEST(SimCrash, SyncedNameWithoutSyncedFileIsEmpty) {
  SimWorld world;
  Make(world, "a", "text");
  ASSERT_TRUE(Root(world)->Sync().ok());
  EXPECT_EQ(Read(*world.Crash(CrashChoice::None()), "a"), "");
  EXPECT_EQ(Read(*world.Crash(CrashChoice::All()), "a"), "text");
}

TEST(SimCrash, SizeMayOutliveItsData) {
  SimWorld world;
  auto file = Make(world, "a", "");
  ASSERT_TRUE(Root(world)->Sync().ok());
  ASSERT_TRUE(file->WriteAt(0, AsBytes("text")).ok());
  EXPECT_EQ(world.effect_count(), 2u) << "the bytes, and apart from them the size";
  EXPECT_EQ(Read(*world.Crash(Mask({true, false})), "a"), "");
  CrashChoice size_only = Mask({false, true});
  EXPECT_EQ(Read(*world.Crash(size_only), "a"), std::string(4, '\0'));
  size_only.fill = CrashChoice::Fill::kGarbage;
  std::string garbage = Read(*world.Crash(size_only), "a");
  EXPECT_EQ(garbage.size(), 4u);
  EXPECT_NE(garbage, "text");
  EXPECT_NE(garbage, std::string(4, '\0'));
}

TEST(SimCrash, LostOverwriteShowsOldBytes) {
  SimWorld world;
  auto file = Make(world, "a", "old!");
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(Root(world)->Sync().ok());
  ASSERT_TRUE(file->WriteAt(0, AsBytes("NEW")).ok());
  for (auto fill : {CrashChoice::Fill::kZeros, CrashChoice::Fill::kGarbage}) {
    CrashChoice choice = CrashChoice::None();
    choice.fill = fill;
    EXPECT_EQ(Read(*world.Crash(choice), "a"), "old!");
  }
  EXPECT_EQ(Read(*world.Crash(CrashChoice::All()), "a"), "NEW!");
}

TEST(SimCrash, TornWriteKeepsUnitsWhole) {
  SimWorld world;
  std::string old(16384, 'o');
  std::string fresh(16384, 'n');
  auto file = Make(world, "a", old);
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(Root(world)->Sync().ok());
  ASSERT_TRUE(file->WriteAt(0, AsBytes(fresh)).ok());
  for (auto [tear, unit] :
       {std::pair(CrashChoice::Tear::kSector, 512u), std::pair(CrashChoice::Tear::kPage, 4096u)}) {
    int mixed = 0;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      CrashChoice choice = CrashChoice::All();
      choice.tear = tear;
      choice.seed = seed;
      std::string text = Read(*world.Crash(choice), "a");
      for (std::size_t at = 0; at < text.size(); at += unit) {
        ASSERT_EQ(text.substr(at, unit), std::string(unit, text[at]));
      }
      mixed += text.find('o') != text.npos && text.find('n') != text.npos;
    }
    EXPECT_GT(mixed, 5) << "units of " << unit;
  }
}

TEST(SimCrash, TornAtByteKeepsAPrefix) {
  SimWorld world;
  auto file = Make(world, "a", std::string(100, 'o'));
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(Root(world)->Sync().ok());
  ASSERT_TRUE(file->WriteAt(0, AsBytes(std::string(100, 'n'))).ok());
  std::set<std::size_t> lengths;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CrashChoice choice = CrashChoice::All();
    choice.tear = CrashChoice::Tear::kByte;
    choice.seed = seed;
    std::string text = Read(*world.Crash(choice), "a");
    std::size_t kept = std::min(text.find('o'), text.size());
    ASSERT_EQ(text, std::string(kept, 'n') + std::string(100 - kept, 'o'));
    lengths.insert(kept);
  }
  EXPECT_GT(lengths.size(), 20u);
}

TEST(SimCrash, RenameIsWholeOrAbsent) {
  SimWorld world;
  auto old = Make(world, "a", "old");
  auto fresh = Make(world, "tmp", "new");
  ASSERT_TRUE(old->Sync().ok() && fresh->Sync().ok());
  auto root = Root(world);
  ASSERT_TRUE(root->Sync().ok());
  ASSERT_TRUE(root->Rename("tmp", root.get(), "a").ok());
  auto lost = world.Crash(CrashChoice::None());
  EXPECT_EQ(Read(*lost, "a"), "old");
  EXPECT_EQ(Read(*lost, "tmp"), "new");
  auto kept = world.Crash(CrashChoice::All());
  EXPECT_EQ(Names(*kept), std::set<std::string>{"a"});
  EXPECT_EQ(Read(*kept, "a"), "new");
}

TEST(SimCrash, MovedNameNeedsSyncOfItsNewDirectory) {
  SimWorld world;
  auto root = Root(world);
  ASSERT_TRUE(root->MakeDir("d", 0700).ok());
  auto sub = *root->OpenDir("d");
  ASSERT_TRUE(Make(world, "a", "text")->Sync().ok());
  ASSERT_TRUE(root->Sync().ok());
  ASSERT_TRUE(root->Rename("a", sub.get(), "b").ok());
  ASSERT_TRUE(root->Sync().ok());
  EXPECT_EQ(Read(*world.Crash(CrashChoice::None()), "a"), "text") << "only the old one was synced";
  ASSERT_TRUE(sub->Sync().ok());
  auto after = world.Crash(CrashChoice::None());
  EXPECT_EQ(Names(*after), std::set<std::string>{"d"});
  EXPECT_EQ((*(*Root(*after)->OpenDir("d"))->StatEntry("b")).size_bytes, 4u);
}

TEST(SimCrash, NameNeedsItsDirectory) {
  SimWorld world;
  auto root = Root(world);
  ASSERT_TRUE(root->MakeDir("d", 0700).ok());
  auto sub = *root->OpenDir("d");
  ASSERT_TRUE((*sub->OpenFile("a", kCreate))->Sync().ok());
  ASSERT_TRUE(sub->Sync().ok());
  EXPECT_TRUE(Names(*world.Crash(CrashChoice::None())).empty());
}

TEST(SimCrash, RemovalMayBeLostUntilSynced) {
  SimWorld world;
  auto root = Root(world);
  ASSERT_TRUE(Make(world, "a", "text")->Sync().ok());
  ASSERT_TRUE(root->Sync().ok());
  ASSERT_TRUE(root->RemoveFile("a").ok());
  EXPECT_EQ(Read(world, "a"), "(none)");
  EXPECT_EQ(Read(*world.Crash(CrashChoice::None()), "a"), "text");
  EXPECT_EQ(Read(*world.Crash(CrashChoice::All()), "a"), "(none)");
  EXPECT_EQ(Read(*world.KillProcess()->Crash(CrashChoice::None()), "a"), "text");
  ASSERT_TRUE(root->Sync().ok());
  EXPECT_EQ(Read(*world.Crash(CrashChoice::None()), "a"), "(none)");
}

TEST(SimCrash, EffectsOnOneNameSurviveInOrder) {
  SimWorld world;
  auto root = Root(world);
  ASSERT_TRUE(Make(world, "tmp", "text")->Sync().ok());
  ASSERT_TRUE(root->Rename("tmp", root.get(), "a").ok());
  ASSERT_TRUE(root->RemoveFile("a").ok());
  ASSERT_EQ(world.effect_count(), 3u);
  EXPECT_EQ(Names(*world.Crash(Mask({false, true, false}))), std::set<std::string>{"a"});
  EXPECT_TRUE(Names(*world.Crash(Mask({false, false, true}))).empty()) << "takes the rename along";
}

TEST(SimCrash, CrashedWorldIsIndependentAndDrawsNewIds) {
  SimWorld world;
  ASSERT_TRUE(Make(world, "a", "text")->Sync().ok());
  ASSERT_TRUE(Root(world)->Sync().ok());
  Id128 before = world.RandomId();
  auto one = world.Crash(CrashChoice::Random(1));
  auto two = world.Crash(CrashChoice::Random(2));
  EXPECT_NE(one->RandomId(), before);
  EXPECT_NE(one->RandomId(), two->RandomId());
  auto file = *Root(*one)->OpenFile("a", {.mode = OpenMode::kReadWrite});
  ASSERT_TRUE(file->WriteAt(0, AsBytes("TEXT")).ok());
  EXPECT_EQ(Read(world, "a"), "text");
  EXPECT_EQ(Read(*two, "a"), "text");
  EXPECT_EQ(one->HostId(), world.HostId());
}

// After any script and any choice: what was synced is there, and nothing appears that was not made.
TEST(SimCrash, ChangeKeptBackIsSyncedOnlyAfterTheOther) {
  SimWorld world;
  auto file = Make(world, "a", "........");  // changes 1 and 2
  ASSERT_TRUE(Root(world)->Sync().ok() && file->Sync().ok());
  world.KeepBack(5, 8);
  auto survives = [&] { return Read(*world.Crash(CrashChoice::None()), "a"); };
  ASSERT_TRUE(file->WriteAt(0, AsBytes("A")).ok() && file->WriteAt(1, AsBytes("B")).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(Read(world, "a"), "AB......");
  EXPECT_EQ(survives(), ".B......");
  EXPECT_EQ(Read(*world.Crash(CrashChoice::All()), "a"), "AB......");
  ASSERT_TRUE(file->WriteAt(2, AsBytes("C")).ok());  // change 8
  EXPECT_EQ(survives(), ".B......");
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(survives(), "ABC.....");
}

TEST(SimCrash, NameKeptBackIsSyncedOnlyAfterTheOther) {
  SimWorld world;
  world.KeepBack(1, 4);
  ASSERT_TRUE(Root(world)->MakeDir("a", 0700).ok() && Root(world)->MakeDir("b", 0700).ok());
  ASSERT_TRUE(Root(world)->Sync().ok());
  EXPECT_EQ(Names(*world.Crash(CrashChoice::None())), std::set<std::string>{"b"});
  ASSERT_TRUE(Root(world)->MakeDir("c", 0700).ok() && Root(world)->Sync().ok());
  EXPECT_EQ(Names(*world.Crash(CrashChoice::None())), (std::set<std::string>{"a", "b", "c"}));
}

TEST(SimProcess, WithCachesOfTheirOwnHostsSeeWhatWasSyncedOrClosed) {
  SimWorld world;
  world.set_separate_caches(true);
  auto far = world.NewProcess();
  far->set_host(Id128{}, "far");
  auto file = Make(world, "a", "one");
  EXPECT_EQ(Read(world, "a"), "one");
  EXPECT_EQ(Read(*far, "a"), "");
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(Read(*far, "a"), "one");
  ASSERT_TRUE(file->WriteAt(3, AsBytes("two")).ok());
  ASSERT_TRUE((*Root(*far)->OpenFile("a", {}))->Sync().ok());  // its own, which is nothing
  EXPECT_EQ(Read(*far, "a"), "one");
  file.reset();
  EXPECT_EQ(Read(*far, "a"), "onetwo");
  EXPECT_EQ(Read(*world.Crash(CrashChoice::None()), "a"), "(none)");
}

TEST(SimCrash, SyncedPrefixAlwaysSurvives) {
  bool held = rc::check("log", [] {
    SimWorld world(*rc::gen::arbitrary<std::uint64_t>());
    auto file = *Root(world)->OpenFile("log", kCreate);
    RC_ASSERT(Root(world)->Sync().ok());
    std::string model;
    std::size_t synced = 0;
    auto steps = *rc::gen::inRange(1, 20);
    for (int i = 0; i < steps; ++i) {
      std::string text(*rc::gen::inRange<std::size_t>(1, 10000), static_cast<char>('a' + i));
      RC_ASSERT(file->WriteAt(model.size(), AsBytes(text)).ok());
      model += text;
      if (*rc::gen::inRange(0, 3) == 0) {
        RC_ASSERT(file->Sync().ok());
        synced = model.size();
      }
    }
    auto after = world.Crash(CrashChoice::Random(*rc::gen::arbitrary<std::uint64_t>()));
    std::string text = Read(*after, "log");
    RC_ASSERT(text.size() >= synced && text.size() <= model.size());
    RC_ASSERT(text.substr(0, synced) == model.substr(0, synced));
    RC_ASSERT(after->effect_count() == 0u);
    RC_ASSERT(Read(*after->Crash(CrashChoice::None()), "log") == text);
  });
  EXPECT_TRUE(held);
}

TEST(SimProcess, StopAfterKillsAtEveryOperation) {
  auto script = [](Env& env) {
    auto root = env.OpenDir("/");
    if (!root.ok()) return root.status();
    CKPT_ASSIGN_OR_RETURN(auto file, (*root)->OpenFile("a", kCreate));
    CKPT_RETURN_IF_ERROR(file->WriteAt(0, AsBytes("text")));
    CKPT_RETURN_IF_ERROR(file->Sync());
    CKPT_RETURN_IF_ERROR((*root)->Rename("a", root->get(), "b"));
    return (*root)->Sync();
  };
  SimWorld whole;
  ASSERT_TRUE(script(whole).ok());
  ASSERT_EQ(whole.op_count(), 5u);
  for (std::uint64_t n = 0; n < 5; ++n) {
    SimWorld world;
    world.set_stop_after(n, 2);
    Status status = script(world);
    EXPECT_EQ(status.code(), Code::kIo);
    EXPECT_NE(status.message().find("simulated: process is dead"), std::string::npos);
    EXPECT_TRUE(world.dead());
    EXPECT_FALSE(world.OpenDir("/").ok()) << "reads fail too";
    auto killed = world.KillProcess();
    if (n == 0) {
      EXPECT_TRUE(Names(*killed).empty());
    }
    if (n == 1) {
      EXPECT_EQ(Read(*killed, "a"), "te") << "the write it died in was torn";
    }
    if (n == 2 || n == 3) {
      EXPECT_EQ(Read(*killed, "a"), "text");
    }
    if (n == 4) {
      EXPECT_EQ(Read(*killed, "b"), "text");
    }
    EXPECT_EQ(killed->op_count(), 0u);
  }
}

TEST(SimProcess, ChosenOperationFailsOnceOrForGood) {
  SimWorld world;
  auto file = Make(world, "a", "text");
  world.FailOp(world.op_count() + 2, ENOSPC);
  EXPECT_TRUE(file->Truncate(3).ok());
  EXPECT_EQ(file->Truncate(2).code(), Code::kNoSpace);
  EXPECT_EQ(file->Stat()->size_bytes, 3u) << "a failed operation does nothing";
  EXPECT_TRUE(file->Truncate(2).ok());
  world.FailOp(1, EIO, /*sticky=*/true, SimOp::kRename);
  auto root = Root(world);
  EXPECT_TRUE(file->WriteAt(0, AsBytes("x")).ok());
  EXPECT_EQ(root->Rename("a", root.get(), "b").code(), Code::kIo);
  EXPECT_EQ(root->Rename("a", root.get(), "b").code(), Code::kIo);
  world.ClearFaults();
  EXPECT_TRUE(root->Rename("a", root.get(), "b").ok());
}

TEST(SimProcess, FailedWriteLeavesAPrefix) {
  SimWorld world(7);
  auto file = Make(world, "a", "");
  world.FailOp(world.op_count() + 1, EIO);
  EXPECT_EQ(file->WriteAt(0, AsBytes(std::string(1000, 'x'))).code(), Code::kIo);
  std::string text = Read(world, "a");
  EXPECT_LT(text.size(), 1000u);
  EXPECT_EQ(text, std::string(text.size(), 'x'));
}

TEST(SimProcess, FailedSyncLosesWritesAndTheNextSucceeds) {
  SimWorld world;
  auto file = Make(world, "a", "");
  ASSERT_TRUE(Root(world)->Sync().ok());
  std::string text;
  for (int i = 0; i < 32; ++i) {
    std::string block(4096, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(file->WriteAt(text.size(), AsBytes(block)).ok());
    text += block;
  }
  world.FailOp(1, EIO, false, SimOp::kSync);
  EXPECT_EQ(file->Sync().code(), Code::kIo);
  EXPECT_TRUE(file->Sync().ok()) << "as Linux answers";
  EXPECT_EQ(Read(world, "a"), text) << "the page cache still shows it";
  std::string after = Read(*world.Crash(CrashChoice::All()), "a");
  EXPECT_EQ(after.size(), text.size());
  EXPECT_NE(after, text);
  world.DropCaches();
  EXPECT_EQ(Read(world, "a"), after);
}

TEST(SimProcess, LocksGoWithTheProcess) {
  SimWorld world;
  auto other = world.NewProcess();
  auto mine = *Root(world)->OpenFile("lock", {.mode = OpenMode::kReadOrCreate});
  auto theirs = *Root(*other)->OpenFile("lock", {.mode = OpenMode::kReadOrCreate});
  ASSERT_TRUE(*theirs->TryLock());
  EXPECT_FALSE(*mine->TryLock());
  auto killed = world.KillProcess();
  EXPECT_TRUE(*(*Root(*killed)->OpenFile("lock", {.mode = OpenMode::kReadWrite}))->TryLock());
  EXPECT_FALSE(*mine->TryLock()) << "the first world goes on";
  other->Kill();
  EXPECT_FALSE(theirs->WriteAt(0, AsBytes("x")).ok());
  EXPECT_TRUE(*mine->TryLock());
  theirs.reset();
  EXPECT_FALSE(world.dead());
}

TEST(SimProcess, LocksMayStopAtTheHostOrBeMissing) {
  SimWorld world;
  auto other = world.NewProcess();
  EXPECT_EQ(other->HostId(), world.HostId());
  Id128 host;
  host.bytes.fill(9);
  other->set_host(host, "other");
  EXPECT_EQ(other->HostId(), host);
  auto mine = *Root(world)->OpenFile("lock", {.mode = OpenMode::kReadOrCreate});
  auto theirs = *Root(*other)->OpenFile("lock", {.mode = OpenMode::kReadOrCreate});
  ASSERT_TRUE(*mine->TryLock());
  EXPECT_TRUE(*theirs->LockedByOther());
  world.set_locks(SimLocks::kPerHost);
  EXPECT_FALSE(*theirs->LockedByOther());
  EXPECT_TRUE(*theirs->TryLock());
  world.set_locks(SimLocks::kUnsupported);
  EXPECT_EQ(mine->TryLock().status().code(), Code::kUnsupported);
}

TEST(SimProcess, ReadOnlyRefusesChanges) {
  SimWorld world;
  Make(world, "a", "text");
  auto reader = world.NewProcess();
  reader->set_read_only(EROFS);
  EXPECT_EQ(Read(*reader, "a"), "text");
  auto root = Root(*reader);
  EXPECT_EQ(root->OpenFile("b", kCreate).status().code(), Code::kPermission);
  EXPECT_EQ(root->OpenFile("a", {.mode = OpenMode::kReadWrite}).status().code(), Code::kPermission);
  EXPECT_EQ(root->RemoveFile("a").code(), Code::kPermission);
}

TEST(SimWorldSpace, FullDiskWritesWhatFits) {
  SimWorld world;
  auto file = Make(world, "a", "");
  world.set_capacity_bytes(world.used_bytes() + 2 * 4096);
  EXPECT_EQ(file->WriteAt(100, AsBytes(std::string(20000, 'x'))).code(), Code::kNoSpace);
  EXPECT_EQ(file->Stat()->size_bytes, 2 * 4096u);
  EXPECT_EQ(*Root(world)->FreeBytes(), 0u);
  EXPECT_TRUE(file->WriteAt(0, AsBytes("old blocks need no space")).ok());
  EXPECT_EQ(Root(world)->OpenFile("b", kCreate).status().code(), Code::kNoSpace);
  ASSERT_TRUE(file->Truncate(4096).ok());
  EXPECT_TRUE(file->WriteAt(4096, AsBytes(std::string(4096, 'y'))).ok());
}

TEST(SimWorldSpace, ReservedBlocksTakeWritesOnAFullDisk) {
  SimWorld world;
  auto file = Make(world, "a", "");
  world.set_capacity_bytes(world.used_bytes() + 4 * 4096);
  EXPECT_EQ(file->Allocate(0, 5 * 4096).code(), Code::kNoSpace);
  ASSERT_TRUE(file->Allocate(0, 4 * 4096).ok());
  EXPECT_EQ(*Root(world)->FreeBytes(), 0u);
  EXPECT_TRUE(file->WriteAt(0, AsBytes(std::string(4 * 4096, 'x'))).ok());
  EXPECT_EQ(file->WriteAt(4 * 4096, AsBytes("x")).code(), Code::kNoSpace);
}

TEST(SimWorldSpace, RemovedFileGivesSpaceBackWhenClosed) {
  SimWorld world;
  std::uint64_t before = world.used_bytes();
  auto file = Make(world, "a", std::string(100000, 'x'));
  ASSERT_TRUE(Root(world)->RemoveFile("a").ok());
  EXPECT_GT(world.used_bytes(), before + 100000);
  file.reset();
  EXPECT_EQ(world.used_bytes(), before);
}

TEST(SimWorld, SameSeedSameWorld) {
  SimWorld one(5), two(5), three(6);
  Id128 id = one.RandomId();
  EXPECT_EQ(two.RandomId(), id);
  EXPECT_NE(three.RandomId(), id);
  EXPECT_EQ(one.RealtimeNs(), two.RealtimeNs());
  one.AdvanceClock(1'000'000'000);
  EXPECT_GE(one.MonotonicNs() - two.MonotonicNs(), 1'000'000'000);
}

TEST(SimWorld, NumberingCanBeChosen) {
  SimWorld world;
  world.set_device(77);
  world.set_next_inode(5000);
  auto file = Make(world, "a", "");
  EXPECT_EQ(file->Stat()->device, 77u);
  EXPECT_EQ(file->Stat()->inode, 5000u);
  world.set_network_file_system(true);
  EXPECT_TRUE(*Root(world)->OnNetworkFileSystem());
}

TEST(SimWorld, ThreadsMayShareIt) {
  SimWorld world;
  auto file = Make(world, "a", "");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::string text(1000, static_cast<char>('a' + t));
      for (int i = 0; i < 50; ++i) {
        EXPECT_TRUE(file->WriteAt(t * 50000 + i * 1000, AsBytes(text)).ok());
        if (i % 10 == 0) {
          EXPECT_NE(world.Crash(CrashChoice::Random(i)), nullptr);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Read(world, "a").size(), 200000u);
}

}  // namespace
}  // namespace ckpt
