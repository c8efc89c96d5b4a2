// One flipped bit in the file of the index, anywhere: whatever a store that is opened with it
// answers is true, or the process dies inside LMDB (which trusts its file); who opens next finds
// everything, with the index made anew. Each flip is tried in a child process.
//
// $CKPT_PROOF_FLIPS as in corruption_test.cc: 0 tries every bit of what LMDB goes by (its two meta
// pages, each page's header and node pointers), one in eight of the rest, and of its lock file
// every bit of the header and one in 512 of the readers' slots; else one in 100 of the number
// (short form 100), half of them near page headers.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "store/codec/hash.h"
#include "store/engine/verify.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

constexpr int kIndexFlipsShort = kSanitized ? 20 : 100;
constexpr int kLockFlipsShort = 8;      // of the header, and as many of the rest
constexpr unsigned kChildSeconds = 60;  // more is a hang

// LMDB's page: 16 bytes, of which at 12 a u16 says where the node pointers end.
constexpr std::uint64_t kPageBytes = 4096, kPageBits = 8 * kPageBytes, kPageHeaderBytes = 16;
constexpr std::uint64_t kPointersEndAt = 12, kMetaPages = 2;
constexpr std::uint64_t kLockHeaderBits = 8 * 128;

// 0: all.
int IndexFlips() {
  const char* text = std::getenv("CKPT_PROOF_FLIPS");
  if (text == nullptr) return kIndexFlipsShort;
  std::uint64_t flips = std::strtoull(text, nullptr, 10);
  return flips == 0 ? 0 : static_cast<int>(std::max<std::uint64_t>(1, flips / 100));
}

enum Answer { kRight = 0, kWrong = 1, kRefused = 2 };

class CorruptionIndexTest : public LookTest {
 protected:
  void SetUp() override {
    options_.use_index = true;
    options_.threads = 1;
    options_.format.array_chunk_bytes = 4096;
    for (std::uint64_t step = 1; step <= 3; ++step) {
      SaveArrays(Open().get(), {{"x", Numbers(20000, step)}, {"y", Numbers(9000, 9)}}, "melt");
    }
    SaveArrays(Open().get(), {{"z", Numbers(9000, 4)}}, "other");
    {
      auto store = Open();
      auto removals = PlanRemoval(store.get(), {"melt@1"}, false);
      ASSERT_TRUE(removals.ok());
      ASSERT_OK(CommitRemovals(store.get(), *removals, 0));
    }
    Open();
    fs::copy(tmp_ / "store/index", tmp_ / "index", fs::copy_options::recursive);
    data_ = Generation();
    ASSERT_FALSE(data_.empty());
  }

  void PutBack() {
    fs::remove_all(tmp_ / "store/index");
    fs::copy(tmp_ / "index", tmp_ / "store/index", fs::copy_options::recursive);
  }

  // Everything that a user asks a store: what there is, its bytes, and whether a chunk is known.
  Answer Use() {
    OpenStoreOptions options = options_;
    options.mode = OpenStoreOptions::Mode::kWrite;
    auto store = Store::Open(PosixEnv(), tmp_ / "store", options);
    if (!store.ok()) return kRefused;
    auto series = ListSeries(store->get());
    if (!series.ok()) return kRefused;
    if (*series != std::vector<std::string>{"melt", "other"}) return kWrong;
    for (const char* name : {"melt@2", "melt@3", "other@1"}) {
      auto resolved = ResolveCheckpoint(store->get(), name);
      if (!resolved.ok()) return kWrong;  // it is there
      if (!VerifyCheckpoint(store->get(), resolved->ranks).ok()) return kWrong;
    }
    if (ResolveCheckpoint(store->get(), "melt@1").ok()) return kWrong;  // it was removed
    if (!(*store)->LostPacks().empty()) return kWrong;
    return TellsTruePlaces(store->get()) ? kRight : kWrong;
  }
  static bool TellsTruePlaces(Store* store) {
    for (const auto& [pack_id, state] : store->PackStates()) {
      auto view = store->packs()->Get(pack_id);
      if (!view.ok()) return false;
      auto contents = (*view)->Contents();
      if (!contents.ok()) return false;
      for (const ChunkEntry& entry : (*contents)->chunks) {
        auto place = store->FindDurable(entry.id);
        if (!place.has_value()) continue;  // it may be stored again
        auto home = store->packs()->Get(place->pack_id);
        Bytes payload(place->entry.stored_bytes);
        if (!home.ok() || !(*home)->reader().ReadChunkPayload(place->entry, true, payload).ok() ||
            place->entry.id != entry.id) {
          return false;
        }
      }
    }
    return true;
  }

  ino_t Inode() const {  // another one when the index was made anew
    struct stat info {};
    EXPECT_EQ(::stat(data_.c_str(), &info), 0);
    return info.st_ino;
  }
  // Pages with anything in them.
  static std::vector<std::uint64_t> UsedPages(const std::string& bytes) {
    std::vector<std::uint64_t> pages;
    for (std::uint64_t at = 0; at < bytes.size(); at += kPageBytes) {
      bool used = bytes.substr(at, kPageBytes).find_first_not_of('\0') != std::string::npos;
      if (used) pages.push_back(at / kPageBytes);
    }
    return pages;
  }
  // The bits to flip.
  static std::vector<std::uint64_t> BitsOfData(const std::string& bytes, int flips) {
    const std::vector<std::uint64_t> pages = UsedPages(bytes);
    std::vector<std::uint64_t> bits;
    for (std::uint64_t page : pages) {
      if (flips != 0) break;
      const std::uint64_t at = page * kPageBytes;
      std::uint64_t dense = page < kMetaPages
                                ? kPageBytes
                                : LoadU32(AsBytes(bytes).data() + at + kPointersEndAt) & 0xffff;
      dense = 8 * std::clamp<std::uint64_t>(dense, kPageHeaderBytes, kPageBytes);
      for (std::uint64_t bit = 0; bit < kPageBits; bit += bit < dense ? 1 : 8) {
        bits.push_back(8 * at + bit + (bit < dense ? 0 : bit / 8 % 8));
      }
    }
    std::uint64_t random = 2026;
    for (int i = 0; i < flips; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const std::uint64_t bit = (random >> 40) % (i % 2 == 0 ? 1024 : kPageBits);
      bits.push_back(bit + pages[(random >> 16) % pages.size()] * kPageBits);
    }
    return bits;
  }
  static std::vector<std::uint64_t> BitsOfLock(std::uint64_t size, int flips) {
    std::vector<std::uint64_t> bits;
    const std::uint64_t stride =
        flips == 0 ? 1 : 1 + kLockHeaderBits / static_cast<unsigned>(flips);
    for (std::uint64_t bit = 0; bit < kLockHeaderBits; bit += stride) bits.push_back(bit);
    for (std::uint64_t bit = kLockHeaderBits; bit < 8 * size; bit += 513 * stride)
      bits.push_back(bit);
    return bits;
  }
  std::string Generation() const {
    std::string newest;
    for (const auto& file : fs::recursive_directory_iterator(tmp_ / "store/index")) {
      if (file.path().extension() == ".mdb") newest = std::max(newest, file.path().string());
    }
    return newest;
  }

  int InAChild() {
    pid_t pid = ::fork();
    if (pid == 0) {
      for (int number : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(number, SIG_DFL);
      ::alarm(kChildSeconds);
      ::_exit(Use());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
  }

  void FlipEach(const char* name, const std::string& path, const std::vector<std::uint64_t>& bits);

  std::string data_;
};

void CorruptionIndexTest::FlipEach(const char* name, const std::string& path,
                                   const std::vector<std::uint64_t>& bits) {
  int crashes = 0, wrong = 0, refused = 0, hangs = 0, rebuilt = 0, again = 0;
  const std::uint64_t size = fs::file_size(path);
  for (const std::uint64_t bit : bits) {
    PutBack();
    const ino_t inode = Inode();
    {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(bit / 8));
      int byte = file.get();
      file.seekp(static_cast<std::streamoff>(bit / 8));
      file.put(static_cast<char>(byte ^ (1 << bit % 8)));
    }
    int status = InAChild();
    bool hang = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    hangs += hang;
    crashes += WIFSIGNALED(status) && !hang;
    wrong += WIFEXITED(status) && WEXITSTATUS(status) == kWrong;
    refused += WIFEXITED(status) && WEXITSTATUS(status) == kRefused;
    if (WIFEXITED(status) && WEXITSTATUS(status) == kWrong) {
      ADD_FAILURE() << "a wrong answer, bit " << bit;
    }
    int next = InAChild();
    rebuilt += !fs::exists(data_) || Inode() != inode;
    bool right = WIFEXITED(next) && WEXITSTATUS(next) == kRight;
    again += !right;
    EXPECT_TRUE(right) << "the next opening, bit " << bit << ", status " << next;
  }
  EXPECT_EQ(hangs, 0);
  EXPECT_EQ(refused, 0);
  std::cout << "proof: " << name << ": " << bits.size() << " flips of " << 8 * size << " bits, "
            << wrong << " silently wrong, " << crashes << " crashes, " << rebuilt << " made anew, "
            << again << " next openings that were not right, " << hangs << " hangs\n";
}

TEST_F(CorruptionIndexTest, AnyBitOfTheIndexGivesTrueAnswersOrACrashAndTheNextOpeningRebuilds) {
  FlipEach("index", data_, BitsOfData(ReadWholeFile(data_), IndexFlips()));
}

TEST_F(CorruptionIndexTest, AnyBitOfItsLockFileToo) {
  const std::string lock = data_ + "-lock";
  ASSERT_TRUE(fs::exists(lock));
  FlipEach("lock", lock, BitsOfLock(fs::file_size(lock), IndexFlips() == 0 ? 0 : kLockFlipsShort));
}

}  // namespace
}  // namespace ckpt
