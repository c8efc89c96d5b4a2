// A writer's life, stopped after every operation, its process killed or the power lost with
// unsynced effects kept, dropped and torn: what was committed is found again, what was staged
// survives the process, and nothing ever reads as other bytes.

#include <gtest/gtest.h>

#include "tests/support/pack_fixture.h"
#include "tests/support/sim_world.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

struct Life {
  std::vector<Id128> packs;
  std::vector<std::pair<std::size_t, Written>> written;  // with its pack's place
  std::size_t staged = 0, committed = 0;                 // of written
};

// Continues the last pack where that is allowed, else makes a new one.
Status Begin(SimWorld* world, Dir* dir, Life* life, std::unique_ptr<PackWriter>* writer) {
  PackWriterOptions options = TestWriterOptions();
  options.buffer_bytes = 2 * kBlockBytes;
  writer->reset();
  if (!life->packs.empty()) {
    CKPT_ASSIGN_OR_RETURN(*writer, PackWriter::Continue(world, dir, life->packs.back(), options));
    if (*writer != nullptr) return {};
  }
  CKPT_ASSIGN_OR_RETURN(*writer, PackWriter::Create(world, dir, options));
  life->packs.push_back((*writer)->pack_id());
  return {};
}

// A = small chunk, B = large chunk, M = manifest, s = stage, c = commit, x = end in order and go
// on, k = end without a word and go on, S = seal and go on.
Status RunScript(SimWorld* world, Dir* dir, std::string_view script, Life* life) {
  std::unique_ptr<PackWriter> writer;
  CKPT_RETURN_IF_ERROR(Begin(world, dir, life, &writer));
  for (char step : script) {
    std::uint64_t seed = life->written.size() + 1;
    if (step == 'A' || step == 'B' || step == 'M') {
      Written record = step == 'A'   ? MakeChunk(200, seed)
                       : step == 'B' ? MakeChunk(20000, seed)
                                     : MakeRecord(RecordType::kManifest, 500, seed);
      CKPT_RETURN_IF_ERROR(AppendTo(writer.get(), &record));
      life->written.emplace_back(life->packs.size() - 1, std::move(record));
    } else if (step == 's') {
      CKPT_RETURN_IF_ERROR(writer->Stage());
      life->staged = life->written.size();
    } else if (step == 'k') {
      CKPT_RETURN_IF_ERROR(Begin(world, dir, life, &writer));
    } else {
      CKPT_RETURN_IF_ERROR(step == 'S' ? writer->Seal() : writer->Commit(step == 'x'));
      life->committed = life->staged = life->written.size();
      if (step != 'c') CKPT_RETURN_IF_ERROR(Begin(world, dir, life, &writer));
    }
  }
  return {};
}

// The first `must` records are found, below a mark or behind it; nothing else than what was written
// reads.
void Check(Dir* dir, const Life& life, std::size_t must) {
  for (std::size_t p = 0; p < life.packs.size(); ++p) {
    auto reader = PackReader::Open(dir, life.packs[p], TestStoreUuid());
    Found found;
    if (reader.ok()) {
      PackContents contents = Must((*reader)->ReadFrom(0));
      EXPECT_TRUE(contents.damage.empty());
      found = AllFound(contents);
    } else {
      EXPECT_EQ(reader.status().code(), Code::kNotFound) << reader.status().ToString();
    }
    for (std::size_t i = 0; i < life.written.size(); ++i) {
      const auto& [pack, record] = life.written[i];
      if (pack != p) continue;
      bool reads = reader.ok() && ReadsBack(**reader, found, record);
      EXPECT_TRUE(reads || i >= must) << "record " << i << " in pack " << p;
      found.chunks.erase(record.offset);
      found.records.erase(record.offset);
    }
    for (const auto& [offset, entry] : found.chunks) {
      Bytes payload(entry.first.stored_bytes);
      EXPECT_FALSE((*reader)->ReadChunkPayload(entry.first, true, payload).ok()) << offset;
    }
    for (const auto& [offset, entry] : found.records) {
      Bytes payload;
      EXPECT_FALSE((*reader)->ReadRecord(offset, &payload).ok()) << offset;
    }
  }
}

// After the crash the next process goes on, and all is found after that, too.
void GoOnAndCheck(SimWorld* world, Life life, std::size_t must) {
  auto dir = PacksDir(world);
  Check(dir.get(), life, must);
  std::size_t before = life.written.size();
  ExpectOk(RunScript(world, dir.get(), "AMcBMx", &life));
  Check(dir.get(), life, must);
  Life after = life;
  after.written.erase(after.written.begin(),
                      after.written.begin() + static_cast<std::ptrdiff_t>(before));
  auto reader_check = [&](SimWorld* w) {
    auto packs = PacksDir(w);
    for (const auto& [pack, record] : after.written) {
      auto reader = OpenReader(packs.get(), life.packs[pack]);
      EXPECT_TRUE(ReadsBack(*reader, AllFound(Must(reader->ReadFrom(0))), record));
    }
  };
  reader_check(world);
  reader_check(world->Crash(CrashChoice::None()).get());
}

constexpr std::string_view kScript = "AMcBAsMcxAMsBckAcMAxBBsAMSAMcAs";

TEST(PackCrash, StoppedAnywhereEverythingPromisedIsFound) {
  std::uint64_t operations = 0;
  for (std::uint64_t stop = 0;; ++stop) {
    SimWorld world(5);
    auto dir = PacksDir(&world);
    ExpectOk(Must(world.OpenDir("/"))->Sync());
    std::uint64_t setup = world.op_count();
    world.set_stop_after(setup + stop, stop * 1237 % 9000);
    Life life;
    bool ended = RunScript(&world, dir.get(), kScript, &life).ok();
    auto killed = world.KillProcess();
    GoOnAndCheck(killed.get(), life, life.staged);
    for (const CrashChoice& choice : {CrashChoice::All(), CrashChoice::None()}) {
      GoOnAndCheck(world.Crash(choice).get(), life, life.committed);
    }
    for (std::uint64_t seed = 0; seed < 60; seed += kSweepStride) {
      GoOnAndCheck(world.Crash(CrashChoice::Random(seed * 1000 + stop)).get(), life,
                   life.committed);
      ASSERT_FALSE(::testing::Test::HasFailure()) << "stopped after " << stop << ", seed " << seed;
    }
    if (ended) {
      operations = stop;
      break;
    }
  }
  EXPECT_GT(operations, 35u);
}

}  // namespace
}  // namespace ckpt
