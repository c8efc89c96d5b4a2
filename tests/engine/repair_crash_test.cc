// A repair that is killed, or loses the power, at every operation: nothing that could be read is
// lost, what was damaged is in packs/ or in quarantine/ as it was, and the next repair ends it.

#include <gtest/gtest.h>

#include "store/engine/repair.h"
#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT

constexpr std::uint64_t kPackBytesMax = 1u << 20;

Result<RepairReport> RepairNow(Env* env) {
  CKPT_ASSIGN_OR_RETURN(auto store, OpenAt(env, OpenStoreOptions::Mode::kWrite, kPackBytesMax));
  RepairOptions options;
  options.wait_ms = 0;
  return RepairStore(store.get(), options);
}

// Four steps; the chunk of step 3's own first block is damaged.
struct DamagedWorld {
  SimWorld world{7};
  Id128 pack;
  Bytes bytes;
};

void MakeDamaged(DamagedWorld* made) {
  for (std::int64_t step : {1, 2, 3, 4}) {
    auto store = OpenAt(&made->world, OpenStoreOptions::Mode::kCreate, kPackBytesMax);
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE(Save(store->get(), step).ok());
  }
  auto store = OpenAt(&made->world, OpenStoreOptions::Mode::kRead);
  ASSERT_TRUE(store.ok());
  Bytes block;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    if (BlockOf(3, i) != BlockOf(2, i) && BlockOf(4, i) == BlockOf(3, i)) block = BlockOf(3, i);
  }
  auto found = ResolveCheckpoint(store->get(), "run@3");
  ASSERT_TRUE(found.ok());
  auto manifest = (*store)->ReadManifest(found->ranks.front());
  auto fetcher = Fetcher::Open(store->get(), manifest->packs);
  auto place = (*fetcher)->Locate(HashChunk(block));
  ASSERT_TRUE(place.ok()) << place.status().ToString();
  made->pack = place->pack_id;
  auto file = (*store)->packs_dir()->OpenFile(PackFileName(made->pack),
                                              OpenOptions{.mode = OpenMode::kReadWrite});
  ASSERT_TRUE(file.ok());
  std::byte bad{0x5a};
  ASSERT_TRUE(
      (*file)->WriteAt(place->entry.offset + kRecordHeaderBytes + 7, ByteSpan(&bad, 1)).ok());
  ASSERT_TRUE((*file)->Sync().ok());
  made->bytes.resize((*file)->Stat()->size_bytes);
  ASSERT_TRUE((*file)->ReadExactAt(0, made->bytes).ok());
}

bool HoldsBytes(Dir* dir, const std::string& name, const Bytes& bytes) {
  auto file = dir->OpenFile(name, OpenOptions{});
  if (!file.ok() || (*file)->Stat()->size_bytes != bytes.size()) return false;
  Bytes there(bytes.size());
  return (*file)->ReadExactAt(0, there).ok() && there == bytes;
}

void ExpectNothingLost(Env* env, const DamagedWorld& made, bool repaired, const std::string& when) {
  auto store = OpenAt(env, OpenStoreOptions::Mode::kRead);
  ASSERT_TRUE(store.ok()) << when << store.status().ToString();
  for (std::int64_t step : {1, 2}) {
    Status s = Restore(store->get(), step);
    EXPECT_TRUE(s.ok()) << when << ", step " << step << ": " << s.ToString();
  }
  for (std::int64_t step : {3, 4}) {
    EXPECT_EQ(Restore(store->get(), step).code(), Code::kCorruption) << when << ", step " << step;
  }
  std::string name = PackFileName(made.pack);
  bool here = HoldsBytes((*store)->packs_dir(), name, made.bytes);
  auto folder = (*store)->root()->OpenDir("quarantine");
  bool aside = folder.ok() && HoldsBytes(folder->get(), name, made.bytes);
  EXPECT_TRUE(here || aside) << when;
  EXPECT_TRUE(!repaired || (aside && !here)) << when;
}

TEST(RepairCrash, KilledOrWithoutPowerAtAnyOperationItLosesNothing) {
  std::uint64_t operations = 0;
  {
    DamagedWorld made;
    MakeDamaged(&made);
    std::uint64_t before = made.world.op_count();
    auto report = RepairNow(&made.world);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    ASSERT_EQ(report->packs.size(), 1u);
    EXPECT_EQ(report->lost.size(), 2u);
    operations = made.world.op_count() - before;
    ExpectNothingLost(&made.world, made, true, "whole");
  }
  ASSERT_GT(operations, 10u);
  for (std::uint64_t n = 0; n < operations; n += kSweepStride) {
    DamagedWorld made;
    MakeDamaged(&made);
    auto process = made.world.NewProcess();
    process->set_stop_after(n);
    (void)RepairNow(process.get()).ok();
    for (int kind = 0; kind < 3; ++kind) {
      auto after = kind == 0   ? made.world.KillProcess()
                   : kind == 1 ? made.world.Crash(NothingKept())
                               : made.world.Crash(CrashChoice::Random(n));
      const std::string when = "operation " + std::to_string(n) + ", kind " + std::to_string(kind);
      ExpectNothingLost(after.get(), made, false, when);
      auto again = RepairNow(after.get());
      ASSERT_TRUE(again.ok()) << when << ": " << again.status().ToString();
      ExpectNothingLost(after.get(), made, true, when + ", repaired again");
    }
  }
}

}  // namespace
}  // namespace ckpt
