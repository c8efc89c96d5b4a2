// An LMDB index that is lost, damaged, replaced, too small, or whose peers stop and die: never a
// wrong answer, never a wait, and the next opening is sound.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <string_view>
#include <thread>

#include "tests/index/index_fixture.h"

namespace ckpt {
namespace {

using namespace index_test;  // NOLINT
namespace fs = std::filesystem;

class LmdbFaults : public ::testing::Test {
 protected:
  std::string path() const { return dir_.path() + "/index"; }
  LmdbIndexOptions options() const { return OptionsFor(path()); }

  // The data file of the newest generation.
  std::string DataFile() const {
    std::string newest;
    for (const auto& entry : fs::directory_iterator(path())) {
      std::string name = entry.path();
      if (name.ends_with(".mdb")) newest = std::max(newest, name);
    }
    return newest;
  }
  void Fill(std::uint64_t chunks) {
    std::shared_ptr<Index> index = MustOpen(options());
    PackUpdate update = Grow(1, 0, 0, chunks);
    for (std::uint64_t i = 0; i < chunks / 10; ++i) {
      update.records.push_back(Record("m/" + std::to_string(i), std::string(100, 'v')));
    }
    MustPublish(index.get(), One(update));
  }
  void ExpectEmptyAndUsable() {
    std::shared_ptr<Index> index = MustOpen(options());
    EXPECT_TRUE(PacksOf(index.get()).empty());
    EXPECT_EQ(CountFound(index.get(), 0, 50), 0u);
    MustPublish(index.get(), One(Grow(9, 1000, 0, 50)));
    EXPECT_EQ(CountFound(index.get(), 1000, 50), 50u);
  }
  TempDir dir_;
};

// Runs `body` in a child; answers what waitpid says.
template <typename F>
int InChild(F&& body) {
  pid_t pid = ::fork();
  if (pid == 0) {
    // A crash is to be seen as one, whatever a sanitizer would make of it.
    for (int number : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(number, SIG_DFL);
    body();
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status;
}

// A child that says when it got somewhere and then goes on until it is killed.
class Peer {
 public:
  template <typename F>
  explicit Peer(F&& body) {
    EXPECT_EQ(::pipe(pipe_), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      body([this] { EXPECT_EQ(::write(pipe_[1], "x", 1), 1); });
      for (;;) ::pause();
    }
  }
  ~Peer() {
    Signal(SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  void Await() {
    char c;
    EXPECT_EQ(::read(pipe_[0], &c, 1), 1);
  }
  void Signal(int number) { ::kill(pid_, number); }
  void Stop() {
    Signal(SIGSTOP);
    int status = 0;
    ::waitpid(pid_, &status, WUNTRACED);
  }

 private:
  int pipe_[2];
  pid_t pid_ = 0;
};

TEST_F(LmdbFaults, ReopenedIndexKnowsWhatWasPublished) {
  Fill(1000);
  std::shared_ptr<Index> index = MustOpen(options());
  EXPECT_EQ(CountFound(index.get(), 0, 1000), 1000u);
  EXPECT_EQ(Scan(index.get(), "m/").size(), 100u);
}

TEST_F(LmdbFaults, OpenTwiceIsOneIndex) { EXPECT_EQ(MustOpen(options()), MustOpen(options())); }

TEST_F(LmdbFaults, LostIndexIsEmpty) {
  Fill(1000);
  fs::remove_all(path());
  ExpectEmptyAndUsable();
}

TEST_F(LmdbFaults, DirectoryRemovedUnderAProcessIsNoIndex) {
  Fill(100);
  std::shared_ptr<Index> index = MustOpen(options());
  fs::remove_all(path());
  EXPECT_TRUE(PacksOf(index.get()).empty());
  Result<bool> published = index->Publish(One(Grow(2, 500, 0, 10)));
  EXPECT_FALSE(published.ok() && *published);
  ExpectEmptyAndUsable();
}

TEST_F(LmdbFaults, LostLockFileLosesNothing) {
  Fill(1000);
  fs::remove(DataFile() + "-lock");
  std::shared_ptr<Index> index = MustOpen(options());
  EXPECT_EQ(CountFound(index.get(), 0, 1000), 1000u);
}

// $CKPT_PROOF_FLIPS=0: at every 512 bytes, and one before and after.
TEST_F(LmdbFaults, TruncatedAnywhereIsEmpty) {
  Fill(3000);
  const std::string data = DataFile(), whole = dir_.path() + "/whole";
  fs::copy(path(), whole, fs::copy_options::recursive);
  const std::uint64_t size = fs::file_size(data);
  std::set<std::uint64_t> cuts = {0, 1, 4096, 8192, size / 2, size - 4096, size - 1};
  const char* flips = std::getenv("CKPT_PROOF_FLIPS");
  const bool all = flips != nullptr && std::string_view(flips) == "0";
  for (std::uint64_t at = 512; all && at < size; at += 512) cuts.insert({at - 1, at, at + 1});
  for (std::uint64_t cut : cuts) {
    fs::remove_all(path());
    fs::copy(whole, path(), fs::copy_options::recursive);
    fs::resize_file(data, cut);
    std::shared_ptr<Index> index = MustOpen(options());
    EXPECT_TRUE(PacksOf(index.get()).empty()) << cut;
  }
  std::cout << "proof: index cut: " << cuts.size() << " lengths\n";
}

TEST_F(LmdbFaults, OtherStoresIndexIsEmpty) {
  Fill(1000);
  for (int which = 0; which < 2; ++which) {
    LmdbIndexOptions other = options();
    (which == 0 ? other.store_uuid : other.host) = IdOf('x', 2);
    std::shared_ptr<Index> index = MustOpen(other);
    EXPECT_TRUE(PacksOf(index.get()).empty());
    EXPECT_EQ(CountFound(index.get(), 0, 100), 0u);
    index.reset();
    fs::remove_all(path());
    Fill(1000);
  }
}

TEST_F(LmdbFaults, OneThatThisProcessUsesForAnotherStoreIsRefused) {
  std::shared_ptr<Index> index = MustOpen(options());
  for (int which = 0; which < 2; ++which) {
    LmdbIndexOptions other = options();
    (which == 0 ? other.store_uuid : other.host) = IdOf('x', 2);
    EXPECT_EQ(OpenLmdbIndex(PosixEnv(), other).status().code(), Code::kUnsupported) << which;
  }
  EXPECT_EQ(MustOpen(options()), index);
}

TEST_F(LmdbFaults, OlderCopyOnlyLags) {
  Fill(100);
  fs::copy(DataFile(), dir_.path() + "/older");
  {
    std::shared_ptr<Index> index = MustOpen(options());
    MustPublish(index.get(), One(Grow(1, 0, 100, 500)));
  }
  fs::copy(dir_.path() + "/older", DataFile(), fs::copy_options::overwrite_existing);
  std::shared_ptr<Index> index = MustOpen(options());
  EXPECT_EQ(PacksOf(index.get())[0].covered_bytes, 101 * kChunkStride);
  EXPECT_EQ(CountFound(index.get(), 0, 500), 100u);
  MustPublish(index.get(), One(Grow(1, 0, 100, 500)));
  EXPECT_EQ(CountFound(index.get(), 0, 500), 500u);
}

TEST_F(LmdbFaults, WorldWritableDirectoryIsRefused) {
  fs::create_directory(path());
  fs::permissions(path(), fs::perms::all);
  EXPECT_EQ(OpenLmdbIndex(PosixEnv(), options()).status().code(), Code::kPermission);
}

// Flips one bit of the file and uses the index in a child, which may crash inside LMDB; whatever
// happens, no answer is wrong, and what opens after a crash does not crash again.
TEST_F(LmdbFaults, FlippedBitsGiveNoWrongAnswer) {
  const std::uint64_t chunks = 1000;
  Fill(chunks);
  KeysAndValues records = Scan(MustOpen(options()).get(), "");
  std::string data = DataFile();
  std::string whole = dir_.path() + "/whole";
  fs::copy(data, whole);
  std::uint64_t bits = fs::file_size(whole) * 8;
  auto use = [&] {
    std::shared_ptr<Index> index = MustOpen(options());
    bool covered = !PacksOf(index.get()).empty();
    CountFound(index.get(), 0, chunks);  // checks what it finds
    KeysAndValues found;
    Status status = index->ScanRecords({}, false, [&](ByteSpan key, ByteSpan value, const Id128&) {
      found.emplace_back(AsText(key), AsText(value));
      return true;
    });
    // Complete, or known not to be.
    if (covered && status.ok()) {
      EXPECT_EQ(found, records);
    }
  };
  int flips = 0;
  int crashes = 0;
  std::uint64_t random = 12345;
  for (; flips < 200; ++flips) {
    fs::remove_all(path());
    fs::create_directory(path());
    fs::permissions(path(), fs::perms::owner_all);
    fs::copy(whole, data);
    random = random * 6364136223846793005u + 1442695040888963407u;
    // Half of the flips near page headers and node pointers, where they hurt LMDB most.
    std::uint64_t bit = (random >> 16) % bits;
    if (flips % 2 == 0) bit = bit / 32768 * 32768 + (random >> 8) % 1024;
    {
      std::fstream file(data, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(bit / 8));
      int byte = file.get();
      file.seekp(static_cast<std::streamoff>(bit / 8));
      file.put(static_cast<char>(byte ^ (1 << bit % 8)));
    }
    int status = InChild(use);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "bit " << bit;
    if (!WIFSIGNALED(status)) continue;
    ++crashes;
    status = InChild([&] {
      use();
      EXPECT_TRUE(PacksOf(MustOpen(options()).get()).empty());
    });
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "again, bit " << bit;
  }
  std::cout << flips << " flips, " << crashes << " crashes inside LMDB\n";
}

// What leads to the table of records leads to an older one instead, whose pages are still there:
// all of it is sealed and linked.
TEST_F(LmdbFaults, ARecordsTableOfBeforeIsFoundOut) {
  for (std::uint64_t pack = 1; pack <= 3; ++pack) {
    std::shared_ptr<Index> index = MustOpen(options());
    PackUpdate update = Grow(pack, pack * 10, 0, 5);
    update.records.push_back(Record("m/" + std::to_string(pack), "v"));
    MustPublish(index.get(), One(update));
  }
  const std::string name = "records";
  std::string bytes = ReadWholeFile(DataFile());
  const auto entries_at = [&](std::size_t node) {  // of LMDB's MDB_db, behind the name
    return LoadU64(AsBytes(bytes).data() + node + name.size() + 32);
  };
  std::size_t newest = std::string::npos, older = std::string::npos;
  for (std::size_t at = 0; (at = bytes.find(name, at)) != std::string::npos; ++at) {
    if (newest == std::string::npos || entries_at(at) > entries_at(newest)) newest = at;
  }
  for (std::size_t at = 0; (at = bytes.find(name, at)) != std::string::npos; ++at) {
    if (entries_at(at) + 1 == entries_at(newest)) older = at;
  }
  ASSERT_NE(older, std::string::npos);
  bytes.replace(newest, name.size() + 48, bytes.substr(older, name.size() + 48));
  {
    std::fstream file(DataFile(), std::ios::in | std::ios::out | std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::shared_ptr<Index> index = MustOpen(options());
  ASSERT_FALSE(PacksOf(index.get()).empty());
  const auto all = [](ByteSpan, ByteSpan, const Id128&) { return true; };
  EXPECT_FALSE(index->ScanRecords({}, false, all).ok());
}

TEST_F(LmdbFaults, MapGrowsFromTiny) {
  LmdbIndexOptions tiny = options();
  tiny.map_bytes_start = 64 * 1024;
  std::shared_ptr<Index> index = MustOpen(tiny);
  for (std::uint64_t pack = 1; pack <= 4; ++pack) {
    MustPublish(index.get(), One(Grow(pack, pack * 100000, 0, 20000)));
  }
  for (std::uint64_t pack = 1; pack <= 4; ++pack) {
    EXPECT_EQ(CountFound(index.get(), pack * 100000, 20000), 20000u);
  }
}

TEST_F(LmdbFaults, AnotherProcessGrowthIsAdopted) {
  LmdbIndexOptions tiny = options();
  tiny.map_bytes_start = 64 * 1024;
  MustOpen(tiny).reset();
  Peer peer([&](auto said) {
    std::shared_ptr<Index> index = MustOpen(tiny);
    MustPublish(index.get(), One(Grow(1, 0, 0, 1)));
    said();
    while (::access((dir_.path() + "/go").c_str(), F_OK) != 0) ::usleep(1000);
    MustPublish(index.get(), One(Grow(2, 0, 0, 30000)));
    said();
  });
  peer.Await();
  std::shared_ptr<Index> index = MustOpen(tiny);
  EXPECT_EQ(CountFound(index.get(), 0, 1), 1u);
  std::ofstream(dir_.path() + "/go");
  peer.Await();
  EXPECT_EQ(CountFound(index.get(), 0, 30000), 30000u);
  MustPublish(index.get(), One(Grow(3, 50000, 0, 100)));
}

TEST_F(LmdbFaults, TwoProcessesPublishAndReadAtOnce) {
  constexpr std::uint64_t kRounds = 40;
  auto work = [&](std::uint64_t self) {
    std::shared_ptr<Index> index = MustOpen(options());
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      IndexUpdate update = One(Grow(self, self * 100000, round * 50, round * 50 + 50));
      for (;;) {
        Result<bool> published = index->Publish(update);
        ASSERT_TRUE(published.ok()) << published.status().ToString();
        if (*published) break;
        std::this_thread::yield();
      }
      ASSERT_EQ(CountFound(index.get(), self * 100000, (round + 1) * 50), (round + 1) * 50);
    }
  };
  pid_t child = ::fork();
  if (child == 0) {
    work(1);
    ::_exit(HasFailure() ? 1 : 0);
  }
  work(2);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  std::shared_ptr<Index> index = MustOpen(options());
  EXPECT_EQ(CountFound(index.get(), 100000, kRounds * 50), kRounds * 50);
  EXPECT_EQ(CountFound(index.get(), 200000, kRounds * 50), kRounds * 50);
}

TEST_F(LmdbFaults, ThreadsFindWhileAnotherPublishesAndTheMapGrows) {
  LmdbIndexOptions tiny = options();
  tiny.map_bytes_start = 64 * 1024;
  std::shared_ptr<Index> index = MustOpen(tiny);
  MustPublish(index.get(), One(Grow(1, 0, 0, 200)));
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 20; ++i) {  // more than there are reader slots in a process
    readers.emplace_back([&] {
      while (!done) EXPECT_EQ(CountFound(index.get(), 0, 200), 200u);
    });
  }
  for (std::uint64_t pack = 2; pack < 10; ++pack) {
    MustPublish(index.get(), One(Grow(pack, pack * 100000, 0, 2000)));
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
}

// A rebuilding process holds publish.lock for long; a stopped one for ever.
TEST_F(LmdbFaults, StoppedPublisherDelaysNobody) {
  Fill(100);
  Peer peer([&](auto said) {
    std::shared_ptr<Index> index = MustOpen(options());
    auto builder = StartRebuild(index);
    EXPECT_TRUE(builder.ok());
    said();
    for (;;) ::pause();
  });
  peer.Await();
  peer.Stop();
  auto begin = std::chrono::steady_clock::now();
  std::shared_ptr<Index> index = MustOpen(options());
  EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
  EXPECT_EQ(Scan(index.get(), "m/").size(), 10u);
  EXPECT_FALSE(*index->Publish(One(Grow(2, 500, 0, 10))));
  EXPECT_EQ(StartRebuild(index).status().code(), Code::kBusy);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  peer.Signal(SIGKILL);
  for (;;) {
    Result<bool> published = index->Publish(One(Grow(2, 500, 0, 10)));
    ASSERT_TRUE(published.ok());
    if (*published) break;
    std::this_thread::yield();
  }
  EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
}

// The same with open.lock: others go without an index.
TEST_F(LmdbFaults, HolderOfOpenLockDelaysNobodyForLong) {
  Fill(100);
  Result<std::unique_ptr<Dir>> dir = PosixEnv()->OpenDir(path());
  auto lock = (*dir)->OpenFile("open.lock", {.mode = OpenMode::kReadOrCreate});
  ASSERT_TRUE(*(*lock)->TryLock());
  std::shared_ptr<Index> index = MustOpen(options());
  EXPECT_TRUE(PacksOf(index.get()).empty());
  EXPECT_EQ(CountFound(index.get(), 0, 100), 0u);
  EXPECT_FALSE(*index->Publish(One(Grow(2, 500, 0, 10))));
  lock->reset();
  EXPECT_EQ(PacksOf(index.get()).size(), 1u);
  EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
}

// What the lock file of a process that died says: filling, or so many commits in a row.
TEST_F(LmdbFaults, DeathInsideLmdbDiscardsTheFile) {
  for (const char* name : {"publish.lock", "open.lock"}) {
    for (std::uint64_t commits : {0, 1, 2}) {
      fs::remove_all(path());
      Fill(100);
      Bytes died;
      ByteWriter writer(&died);
      writer.Raw(AsBytes("CKPTLOCK"));
      writer.U64(1);
      writer.U64(commits);
      std::ofstream(path() + "/" + name, std::ios::binary) << AsText(died);
      std::shared_ptr<Index> index = MustOpen(options());
      EXPECT_EQ(PacksOf(index.get()).size(), commits == 1 ? 1u : 0u) << name << commits;
      MustPublish(index.get(), One(Grow(3, 500, 0, 10)));
      index.reset();
      EXPECT_EQ(PacksOf(MustOpen(options()).get()).size(), commits == 1 ? 2u : 1u);
    }
  }
}

TEST_F(LmdbFaults, DeathInAReadTransactionDiscardsTheFile) {
  Fill(100);
  std::string lock = DataFile() + "-lock";
  {
    Peer peer([&](auto said) {
      std::shared_ptr<Index> index = MustOpen(options());
      EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
      said();
      for (;;) ::pause();
    });
    peer.Await();
  }
  // The slot of the dead: between calls, so this costs nothing ...
  EXPECT_EQ(PacksOf(MustOpen(options()).get()).size(), 1u);
  // ... but inside one.
  Bytes slot;
  ByteWriter writer(&slot);
  writer.U64(1);
  writer.U32(999999999);
  std::fstream file(lock, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(128);
  file << AsText(slot);
  file.close();
  EXPECT_TRUE(PacksOf(MustOpen(options()).get()).empty());
}

TEST_F(LmdbFaults, PublishersKilledAtAnyMomentLeaveASoundIndex) {
  std::uint64_t random = 99;
  int kept = 0;
  for (int round = 0; round < 25; ++round) {
    {
      Peer peer([&](auto said) {
        std::shared_ptr<Index> index = MustOpen(options());
        said();
        for (std::uint64_t i = 0;; ++i) {
          PackUpdate update = Grow(i % 5, i * 1000, 0, 500);
          update.records.push_back(Record("r" + std::to_string(i % 50), "v"));
          Result<bool> ignored = index->Publish(One(update));
        }
      });
      peer.Await();
      random = random * 6364136223846793005u + 1442695040888963407u;
      ::usleep(static_cast<useconds_t>((random >> 33) % 30000));
    }
    std::shared_ptr<Index> index = MustOpen(options());
    kept += PacksOf(index.get()).empty() ? 0 : 1;
    CountFound(index.get(), 0, 3000);
    Scan(index.get(), "");
    MustPublish(index.get(), One(Grow(77, 5000000, 0, 10)));
    EXPECT_EQ(CountFound(index.get(), 5000000, 10), 10u);
  }
  std::cout << kept << " of 25 still had packs\n";
}

TEST_F(LmdbFaults, KilledReadersSlotsAreFreed) {
  LmdbIndexOptions few = options();
  few.readers_max = 4;
  Fill(100);
  fs::remove(DataFile() + "-lock");
  for (int i = 0; i < 10; ++i) {
    Peer peer([&](auto said) {
      std::shared_ptr<Index> index = MustOpen(few);
      EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
      said();
      for (;;) ::pause();
    });
    peer.Await();
  }
  std::shared_ptr<Index> index = MustOpen(few);
  EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
}

TEST_F(LmdbFaults, FullReaderTableIsAnIndexThatLags) {
  LmdbIndexOptions few = options();
  few.readers_max = 1;
  Fill(100);
  fs::remove(DataFile() + "-lock");
  Peer peer([&](auto said) {
    std::shared_ptr<Index> index = MustOpen(few);
    EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
    said();
    for (;;) ::pause();
  });
  peer.Await();
  Result<std::shared_ptr<Index>> index = OpenLmdbIndex(PosixEnv(), few);
  ASSERT_TRUE(index.ok()) << index.status().ToString();
  EXPECT_TRUE(PacksOf(index->get()).empty());
  EXPECT_EQ(CountFound(index->get(), 0, 100), 0u);
}

TEST_F(LmdbFaults, ForkedChildLeavesTheParentsIndexAlone) {
  Fill(100);
  std::shared_ptr<Index> index = MustOpen(options());
  EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
  int status = InChild([&] {
    EXPECT_EQ(CountFound(index.get(), 0, 100), 0u);
    EXPECT_TRUE(PacksOf(index.get()).empty());
    EXPECT_FALSE(*index->Publish(One(Grow(2, 500, 0, 10))));
    std::shared_ptr<Index> own = MustOpen(options());
    EXPECT_NE(own, index);
    EXPECT_EQ(CountFound(own.get(), 0, 100), 100u);
    index.reset();
    own.reset();
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
  MustPublish(index.get(), One(Grow(2, 500, 0, 10)));
}

TEST_F(LmdbFaults, RebuildReplacesAtOnceAndOthersNotice) {
  Fill(1000);
  Peer peer([&](auto said) {
    std::shared_ptr<Index> index = MustOpen(options());
    EXPECT_EQ(CountFound(index.get(), 0, 1000), 1000u);
    said();
    while (::access((dir_.path() + "/go").c_str(), F_OK) != 0) ::usleep(1000);
    EXPECT_EQ(PacksOf(index.get()).size(), 2u);
    EXPECT_EQ(CountFound(index.get(), 0, 6000), 5000u);
    EXPECT_EQ(Scan(index.get(), "").size(), 3u);
    if (!HasFailure()) said();
    ::_exit(1);
  });
  peer.Await();
  std::shared_ptr<Index> index = MustOpen(options());
  auto builder = StartRebuild(index);
  ASSERT_TRUE(builder.ok()) << builder.status().ToString();
  std::vector<std::uint64_t> numbers(5000);
  for (std::uint64_t i = 0; i < 5000; ++i) numbers[i] = i;
  std::ranges::sort(numbers, {}, ChunkId);
  for (std::uint64_t i : numbers) {
    ASSERT_TRUE((*builder)->AddChunk(PackId(i % 2), Chunk(i, i + 1)).ok());
    ASSERT_TRUE((*builder)->AddChunk(PackId(9), Chunk(i, i + 1)).ok());  // the first counts
  }
  EXPECT_FALSE((*builder)->AddChunk(PackId(0), Chunk(numbers[0], 1)).ok());
  for (const char* key : {"b", "a", "c", "b"}) {
    ASSERT_TRUE((*builder)->AddRecord(PackId(1), Record(key, key)).ok());
  }
  EXPECT_EQ(CountFound(index.get(), 0, 1000), 1000u);  // the old one, until Finish
  std::vector<PackCoverage> packs = {{PackId(0), 9000, 1, 2}, {PackId(1), 9000, 3, 4}};
  ASSERT_TRUE((*builder)->Finish(packs).ok());
  builder->reset();
  EXPECT_EQ(CountFound(index.get(), 0, 6000), 5000u);
  EXPECT_EQ(Scan(index.get(), "").size(), 3u);
  PackUpdate more = Grow(2, 70000, 0, 10);
  more.records = {Record("aa", "x"), Record("d", "y")};
  MustPublish(index.get(), One(more));
  EXPECT_EQ(Scan(index.get(), "", true).size(), 5u);
  IndexUpdate drop;
  drop.dropped_packs = {PackId(2)};
  MustPublish(index.get(), drop);
  std::ofstream(dir_.path() + "/go");
  peer.Await();
}

TEST_F(LmdbFaults, AbandonedRebuildChangesNothing) {
  Fill(100);
  std::shared_ptr<Index> index = MustOpen(options());
  {
    auto builder = StartRebuild(index);
    ASSERT_TRUE(builder.ok());
    ASSERT_TRUE((*builder)->AddChunk(PackId(1), Chunk(5, 1)).ok());
  }
  EXPECT_EQ(CountFound(index.get(), 0, 100), 100u);
  MustPublish(index.get(), One(Grow(2, 500, 0, 10)));
}

}  // namespace
}  // namespace ckpt
