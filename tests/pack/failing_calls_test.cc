// One call of the system's after the other fails while packs are read, continued, sealed, announced
// and given up, or the disk answers with other bytes: errors or true answers, never wrong ones, and
// what was committed before can be read.

#include <cerrno>

#include "tests/support/pack_fixture.h"
#include "tests/support/sim_world.h"

namespace ckpt {
namespace {

constexpr std::size_t kSealedChunks = 400;

PackWriterOptions SmallBuffers() {
  PackWriterOptions options = TestWriterOptions();
  options.buffer_bytes = 2 * kBlockBytes;
  return options;
}

class FailingPack : public ::testing::Test {
 protected:
  FailingPack() {
    auto dir = PacksDir(&world_);
    MakeSealed(dir.get());
    MakeOpen(dir.get());
    MakeReserve(dir.get());
  }

  // Chunks, one of them also as a delta, and a delta that has no full record.
  void MakeSealed(Dir* dir) {
    auto writer = Must(PackWriter::Create(&world_, dir, TestWriterOptions()));
    sealed_ = writer->pack_id();
    for (std::size_t i = 0; i < kSealedChunks; ++i) {
      chunks_.push_back(MakeChunk(40, i + 1));
      // Most ids begin alike, so that a place cannot be guessed.
      auto& id = chunks_.back().header.id.bytes;
      if (i >= 40) std::fill(id.begin(), id.begin() + 8, std::uint8_t{0x80});
    }
    chunks_.push_back(MakeDelta(50, 7000, chunks_[0].header.id));
    Written twice = MakeDelta(60, 7001, chunks_[1].header.id);
    twice.header.id = chunks_[5].header.id;
    ExpectOk(AppendTo(writer.get(), &twice));
    for (Written& chunk : chunks_) ExpectOk(AppendTo(writer.get(), &chunk));
    ExpectOk(writer->Seal());
  }
  // Three stages, all below marks.
  void MakeOpen(Dir* dir) {
    auto writer = Must(PackWriter::Create(&world_, dir, SmallBuffers()));
    open_ = writer->pack_id();
    for (std::uint64_t i = 0; i < 3; ++i) {
      Written chunk = MakeChunk(9000, 100 + i), record = MakeRecord(RecordType::kAttempt, 60, i);
      ExpectOk(AppendTo(writer.get(), &chunk));
      ExpectOk(AppendTo(writer.get(), &record));
      ExpectOk(writer->Commit(true));
      kept_.push_back(std::move(chunk));
    }
  }
  // With bytes of a writer that died behind its mark.
  void MakeReserve(Dir* dir) {
    reserve_options_.reserve = true;
    reserve_options_.pack_bytes_max = 64 * kBlockBytes;
    auto writer = Must(PackWriter::Create(&world_, dir, reserve_options_));
    reserve_ = writer->pack_id();
    in_reserve_ = MakeRecord(RecordType::kTombstone, 60, 5);
    ExpectOk(AppendTo(writer.get(), &in_reserve_));
    ExpectOk(writer->Commit(true));
    const std::uint64_t end = writer->durable_end();
    writer.reset();
    auto file = Must(dir->OpenFile(PackFileName(reserve_), {.mode = OpenMode::kReadWrite}));
    ExpectOk(file->WriteAt(end, RandomBytes(3 * kBlockBytes, 6)));
  }

  // Answers how many calls of that kind there are; `work` is told the world that it is done in.
  static std::uint64_t CallsOf(const SimWorld& world, SimOp kind,
                               const std::function<void(SimWorld*)>& work) {
    auto copy = world.KillProcess();
    work(copy.get());
    return copy->op_count(kind);
  }
  void FailEach(const std::function<void(SimWorld*)>& work,
                const std::function<void(SimWorld*)>& check) {
    for (const SimOp kind : {SimOp::kRead, SimOp::kOpen, SimOp::kAny, SimOp::kLock}) {
      const std::uint64_t calls = CallsOf(world_, kind, work);
      for (std::uint64_t n = 1; n <= calls && !HasFailure(); ++n) {
        for (const bool for_good : {false, true}) {
          auto copy = world_.KillProcess();
          copy->FailOp(n, EIO, for_good, kind);
          work(copy.get());
          copy->ClearFaults();
          check(copy.get());
        }
      }
    }
  }
  // What is in the pack that is open is still there.
  void ExpectKept(SimWorld* world) {
    auto dir = PacksDir(world);
    auto reader = OpenReader(dir.get(), open_);
    const Found found = AllFound(Must(reader->ReadFrom(0)));
    for (const Written& chunk : kept_) EXPECT_TRUE(ReadsBack(*reader, found, chunk));
    auto reserve = OpenReader(dir.get(), reserve_);
    EXPECT_TRUE(ReadsBack(*reserve, AllFound(Must(reserve->ReadFrom(0))), in_reserve_));
  }

  SimWorld world_{5};
  PackWriterOptions reserve_options_ = SmallBuffers();
  Id128 sealed_, open_, reserve_;
  std::vector<Written> chunks_, kept_;
  Written in_reserve_;
};

// True: found where it is; false: an error.
bool FindsRightly(const PackReader& reader, const Written& chunk) {
  auto found = reader.FindInSealed(chunk.header.id);
  if (!found.ok()) return false;
  EXPECT_TRUE(found->has_value());
  if (found->has_value()) {
    EXPECT_EQ((*found)->offset, chunk.offset);
    EXPECT_EQ((*found)->base.ToHex(), chunk.base.ToHex());
  }
  return true;
}

TEST_F(FailingPack, ReadsOfASealedTableFail) {
  const auto look = [&](SimWorld* world) {
    auto opened = world->OpenDir("/packs");
    if (!opened.ok()) return;
    Dir* dir = opened->get();
    auto reader = PackReader::Open(dir, sealed_, TestStoreUuid());
    if (!reader.ok()) return;
    for (std::size_t i = 0; i < chunks_.size(); i += 25) FindsRightly(**reader, chunks_[i]);
    auto none = (*reader)->FindInSealed(MakeChunk(1, 99999).header.id);
    EXPECT_FALSE(none.ok() && none->has_value());
  };
  FailEach(look, [&](SimWorld* world) {
    auto reader = OpenReader(PacksDir(world).get(), sealed_);
    for (const Written& chunk : chunks_) EXPECT_TRUE(FindsRightly(*reader, chunk));
  });
}

// Ids that are not in order beside those of other windows, and a table that ends too soon.
TEST_F(FailingPack, ASealedTableThatLiesIsDamage) {
  constexpr std::size_t kWindowBytes = 64 * kChunkEntryBytes;
  auto dir = PacksDir(&world_);
  for (const int what : {0, 1, 2}) {
    std::size_t refused = 0;
    for (std::size_t i = 0; i < chunks_.size(); i += 3) {
      auto reader = OpenReader(dir.get(), sealed_);
      SimLies lies;
      std::size_t reads = 0;
      lies.reads = [&](const std::string&, std::uint64_t, MutableByteSpan read) {
        if (read.size() != kWindowBytes || (what < 2 && ++reads == 1)) return;
        MutableByteSpan first = read.first(sizeof(Id128));
        MutableByteSpan last = read.last(kChunkEntryBytes).first(sizeof(Id128));
        if (what == 0) std::ranges::fill(first, std::byte{0});
        if (what == 1) std::ranges::fill(last, std::byte{0xff});
        if (what == 2) std::ranges::fill(last, std::byte{0});
      };
      world_.set_lies(std::move(lies));
      refused += FindsRightly(*reader, chunks_[i]) ? 0 : 1;
      world_.set_lies({});
    }
    EXPECT_GT(refused, 0u) << what;
  }
  auto reader = OpenReader(dir.get(), sealed_);
  auto file = Must(dir->OpenFile(PackFileName(sealed_), {.mode = OpenMode::kReadWrite}));
  const std::uint64_t size = Must(file->Stat()).size_bytes;
  ExpectOk(file->Truncate(size - 6 * kBlockBytes));
  std::size_t refused = 0;
  for (const Written& chunk : chunks_) refused += FindsRightly(*reader, chunk) ? 0 : 1;
  EXPECT_GT(refused, 0u);
}

TEST_F(FailingPack, ReadingFails) {
  const auto read = [&](SimWorld* world) {
    auto opened = world->OpenDir("/packs");
    if (!opened.ok()) return;
    Dir* dir = opened->get();
    for (const Id128& id : {sealed_, open_, reserve_}) {
      auto reader = PackReader::Open(dir, id, TestStoreUuid());
      if (!reader.ok()) continue;
      (void)(*reader)->ReadFrom(0).ok();
      (void)(*reader)->ReadFrom(2 * kBlockBytes).ok();
    }
  };
  FailEach(read, [&](SimWorld* world) { ExpectKept(world); });
}

// Whoever got a writer all the same can use it.
TEST_F(FailingPack, ContinuingFails) {
  const auto go_on = [&](SimWorld* world) {
    auto opened = world->OpenDir("/packs");
    if (!opened.ok()) return;
    Dir* dir = opened->get();
    for (const bool reserve : {false, true}) {
      auto writer = PackWriter::Continue(world, dir, reserve ? reserve_ : open_,
                                         reserve ? reserve_options_ : SmallBuffers());
      if (!writer.ok() || *writer == nullptr) continue;
      Written more = MakeRecord(RecordType::kAttempt, 70, 9);
      const bool put = AppendTo(writer->get(), &more).ok() && (*writer)->Commit(true).ok();
      EXPECT_EQ(put, !(*writer)->poisoned());
    }
  };
  FailEach(go_on, [&](SimWorld* world) {
    ExpectKept(world);
    auto dir = PacksDir(world);
    auto writer = PackWriter::Continue(world, dir.get(), reserve_, reserve_options_);
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
  });
}

TEST_F(FailingPack, SealingFails) {
  const auto seal = [&](SimWorld* world) {
    auto opened = world->OpenDir("/packs");
    if (!opened.ok()) return;
    Dir* dir = opened->get();
    auto writer = PackWriter::Continue(world, dir, open_, SmallBuffers());
    if (!writer.ok() || *writer == nullptr) return;
    Written more = MakeChunk(700, 9);
    if (!AppendTo(writer->get(), &more).ok() || !(*writer)->Seal().ok()) return;
    auto reader = PackReader::Open(dir, open_, TestStoreUuid());
    auto contents = reader.ok() ? (*reader)->ReadFrom(0) : reader.status();
    if (contents.ok()) {
      EXPECT_EQ(contents->chunks.size(), kept_.size() + 1);
    }
  };
  FailEach(seal, [&](SimWorld* world) { ExpectKept(world); });
}

// What is given up leaves no chunk that anybody takes for durable.
TEST_F(FailingPack, AnnouncingAndGivingUpFails) {
  const auto give_up = [&](SimWorld* world) {
    auto opened = world->OpenDir("/packs");
    if (!opened.ok()) return;
    Dir* dir = opened->get();
    for (const bool anew : {false, true}) {
      auto writer = anew ? PackWriter::Create(world, dir, SmallBuffers())
                         : PackWriter::Continue(world, dir, open_, SmallBuffers());
      if (!writer.ok() || *writer == nullptr || !(*writer)->Announce().ok()) continue;
      Written more = MakeChunk(20000, 9);
      if (AppendTo(writer->get(), &more).ok() && (*writer)->Stage().ok()) {
        (void)(*writer)->FlushMark().ok();
      }
      (*writer)->Abandon();
    }
  };
  FailEach(give_up, [&](SimWorld* world) {
    ExpectKept(world);
    auto contents = Must(OpenReader(PacksDir(world).get(), open_)->ReadFrom(0));
    EXPECT_EQ(contents.chunks.size(), kept_.size());
  });
}

}  // namespace
}  // namespace ckpt
