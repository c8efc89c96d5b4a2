// The stores of world_works.h.

#include "store/engine/collect.h"
#include "store/engine/repair.h"
#include "tests/engine/collect_fixture.h"
#include "tests/support/world_works.h"

namespace ckpt::world_works {
namespace {

using collect_test::Saving;
using Mode = OpenStoreOptions::Mode;

constexpr std::size_t kHoleBytes = 64 << 10;
constexpr std::uint64_t kPackBytes = 512 << 20;

std::uint64_t pack_bytes = kPackBytes;  // of stores that are made

template <typename Value>
Value Must(Result<Value> value) {
  EXPECT_TRUE(value.ok()) << value.status().ToString();
  return *std::move(value);
}
void Must(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }

Bytes RandomBytes(std::uint64_t seed, std::size_t count) {
  Bytes bytes(count);
  SimRng(seed).Fill(bytes);
  return bytes;
}

// Or another in its place.
void PutFile(SimWorld* world, const std::string& name, ByteSpan bytes) {
  auto dir = Must(world->OpenDir("/data"));
  (void)dir->RemoveFile(name).ok();
  OpenOptions create;
  create.mode = OpenMode::kCreate;
  Must(Must(dir->OpenFile(name, create))->WriteAt(0, bytes));
}

void WriteData(SimWorld* world, std::uint64_t step) {
  Bytes large = RandomBytes(1, large_bytes);
  const Bytes own = RandomBytes(100 + step, large_bytes / 4);
  std::ranges::copy(own, large.begin());
  PutFile(world, "large", large);
  PutFile(world, "small", RandomBytes(200 + step, 100));
}

void MakeData(SimWorld* world) {
  Must(world->MakeDir("/data", 0755));
  WriteData(world, 1);
  auto dir = Must(world->OpenDir("/data"));
  Must(dir->MakeDir("sub", 0755));
  OpenOptions create;
  create.mode = OpenMode::kCreate;
  auto sparse = Must(dir->OpenFile("holes", create));
  Must(sparse->WriteAt(kHoleBytes, RandomBytes(3, 5000)));
  Must(sparse->SetExtendedAttribute("user.name", "value"));
  Must(dir->MakeHardLink("holes", dir.get(), "link"));
  Must(dir->MakeSymlink("large", "soft"));
  Must(dir->MakeSymlink("sub", "folder"));
}

// Two packs at once: one has the blocks, the other the rest.
void MakePlain(SimWorld* world) {
  MakeData(world);
  auto store = Must(Open(world, Mode::kCreate));
  auto blocks = Must(Saving::Begin(store.get(), 1));
  Must(blocks->Put(0, collect_test::kBlocks));
  {
    auto beside = Must(Open(world, Mode::kWrite));
    for (const std::int64_t step : {1, 2}) {
      Must(SaveData(beside.get(), "files").status());
      WriteData(world, static_cast<std::uint64_t>(step) + 1);
      SaveOptions arrays;
      arrays.series = "arrays";
      arrays.tags = {{"kind", "test"}};
      Must(PutArrays(beside.get(), arrays, static_cast<std::uint64_t>(step)));
      Must(SaveRanks(beside.get(), step, 2, "first"));
    }
  }
  Must(blocks->End().status());
  blocks.reset();
  OpenOptions create;
  create.mode = OpenMode::kCreate;
  Must(store->packs_dir()->OpenFile("no pack", create).status());
  for (const std::int64_t step : {2, 3}) Must(collect_test::Save(store.get(), step));
}

void MakeGarbage(SimWorld* world) {
  MakePlain(world);
  auto store = Must(Open(world, Mode::kWrite));
  for (const char* name : {"run@1", "files@1", "arrays@1"}) {
    Must(CommitRemovals(store.get(), Must(PlanRemoval(store.get(), {name}, false)), 0));
    Must(store->Refresh());
  }
}

// Whose lists of chunks are trees.
void MakeManyChunks(SimWorld* world) {
  chunk_bytes = 1024;
  MakePlain(world);
  chunk_bytes = 4096;
}

// Of packs that are full at 1 MiB.
void MakeSealed(SimWorld* world) {
  pack_bytes = 1 << 20;
  MakePlain(world);
  pack_bytes = kPackBytes;
}

// Without a free byte: what nobody needs lies between, and the rest has no room in the reserve.
void MakeFullDisk(SimWorld* world) {
  MakePlain(world);
  auto store = Must(Open(world, Mode::kWrite));
  for (std::int64_t step = 4; step <= 8; ++step) Must(collect_test::Save(store.get(), step));
  world->set_capacity_bytes(world->used_bytes());
  for (std::int64_t step = 1; step <= 7; ++step) Must(collect_test::Remove(store.get(), step));
}

void MakeHollow(SimWorld* world) {
  MakeFullDisk(world);
  auto store = Must(Open(world, Mode::kWrite));
  EXPECT_GT(Must(collect_test::Collect(store.get())).freed_bytes, collect_test::block_bytes);
  world->clear_capacity();
}

// ---- mishaps -----------------------------------------------------------------------------------

void FlipByte(SimWorld* world, const std::string& pack, std::uint64_t at) {
  auto dir = Must(world->OpenDir("/store/packs"));
  OpenOptions write;
  write.mode = OpenMode::kReadWrite;
  auto file = Must(dir->OpenFile(pack, write));
  Bytes byte(1);
  Must(file->ReadExactAt(at, byte));
  byte[0] ^= std::byte{0x40};
  Must(file->WriteAt(at, byte));
}

// Of every pack, what it holds.
std::vector<std::pair<std::string, PackContents>> AllContents(SimWorld* world) {
  auto store = Must(Open(world, Mode::kRead));
  std::vector<std::pair<std::string, PackContents>> all;
  for (const DirEntry& file : Must(store->packs_dir()->List())) {
    Id128 id;
    if (!ParsePackFileName(file.name, &id)) continue;
    auto reader = Must(PackReader::Open(store->packs_dir(), id, store->format().uuid));
    all.emplace_back(file.name, Must(reader->ReadFrom(0)));
  }
  return all;
}

// The payload of the newest record of this type in each pack; of the last chunk in each.
void DamageRecords(SimWorld* world, RecordType type) {
  for (const auto& [name, contents] : AllContents(world)) {
    std::uint64_t at = 0;
    for (const RecordEntry& record : contents.records)
      at = record.type == type ? record.offset : at;
    if (type == RecordType::kChunk && !contents.chunks.empty()) at = contents.chunks.back().offset;
    if (at != 0) FlipByte(world, name, at + kRecordHeaderBytes + 1);
  }
}

void MakeDamagedChunks(SimWorld* world) {
  MakePlain(world);
  DamageRecords(world, RecordType::kChunk);
}
void MakeDamagedManifests(SimWorld* world) {
  MakePlain(world);
  DamageRecords(world, RecordType::kManifest);
}
void MakeDamagedHeaders(SimWorld* world) {
  MakePlain(world);
  for (const auto& [name, contents] : AllContents(world)) FlipByte(world, name, 9);
}
// With blocks in it.
void MakeLostPack(SimWorld* world) {
  MakePlain(world);
  std::string gone;
  for (const auto& [name, contents] : AllContents(world)) {
    for (const ChunkEntry& chunk : contents.chunks) {
      if (chunk.raw_bytes == collect_test::block_bytes) gone = name;
    }
  }
  EXPECT_NE(gone, "");
  Must(Must(world->OpenDir("/store/packs"))->RemoveFile(gone));
}

// Records that say what no build writes, with checksums that are right.
void MakeStrangeRecords(SimWorld* world) {
  MakeGarbage(world);
  auto store = Must(Open(world, Mode::kWrite));
  PackWriterOptions options;
  options.store_uuid = store->format().uuid;
  auto pack = Must(PackWriter::Create(world, store->packs_dir(), options));
  for (const RecordType type :
       {RecordType::kManifest, RecordType::kTombstone, RecordType::kDamage, RecordType::kAttempt,
        RecordType::kAck, RecordType::kMoved, RecordType::kWriter}) {
    RecordHeader header;
    header.type = type;
    const Bytes payload = RandomBytes(static_cast<std::uint64_t>(type), 40);
    header.raw_bytes = payload.size();
    Must(pack->Append(header, payload).status());
  }
  Must(pack->Commit(true));
}

// Staged by two that died before they could commit.
void MakeDeadWriters(SimWorld* world) {
  MakePlain(world);
  for (std::uint8_t number = 1; number <= 2; ++number) {
    auto process = world->NewProcess();
    OpenStoreOptions options;
    options.mode = Mode::kWrite;
    options.threads = 1;
    options.use_index = false;
    auto store = Must(Store::Open(process.get(), "/store", options));
    collect_test::RunOfSaves run(process.get(), store.get(), number);
    Must(run.Stage(3 + number));
    process->Kill();
  }
}

// A collection that ends after so many steps.
void MakeCollected(SimWorld* world, int steps) {
  MakeGarbage(world);
  auto store = Must(Open(world, Mode::kWrite));
  CollectOptions options;
  options.live_share = 1.0;
  auto collector = Must(Collector::Open(store.get(), options));
  Must(collector->Resume());
  Must(collector->Survey({}));
  EXPECT_TRUE(Must(collector->Choose(Collector::Kind::kSparse)));
  Must(collector->Condemn());
  EXPECT_TRUE(Must(collector->AwaitAcks()));
  if (steps < 2) return;
  Must(collector->SecondLook());
  Must(collector->Copy());
  if (steps < 3) return;
  Must(collector->Decide());
}
void MakeCondemned(SimWorld* world) { MakeCollected(world, 1); }
void MakeCopied(SimWorld* world) { MakeCollected(world, 2); }
void MakeMoved(SimWorld* world) { MakeCollected(world, 3); }

// A repair that ends when it has copied.
void MakeHalfRepaired(SimWorld* world) {
  MakeDamagedChunks(world);
  auto process = world->NewProcess();
  process->set_stop_after(12);
  auto store = Must(collect_test::OpenAt(process.get(), Mode::kWrite));
  EXPECT_FALSE(RepairStore(store.get(), RepairOptions()).ok()) << process->op_count();
}

void MakeHalfCreated(SimWorld* world) {
  MakeData(world);
  auto process = world->NewProcess();
  process->set_stop_after(9);
  EXPECT_FALSE(collect_test::OpenAt(process.get()).ok());
}

void MakeWithoutFormat(SimWorld* world) {
  MakePlain(world);
  Must(Must(world->OpenDir("/store"))->RemoveFile("format"));
}

}  // namespace

Result<std::unique_ptr<Store>> Open(SimProcess* world, OpenStoreOptions::Mode mode) {
  OpenStoreOptions options;
  options.mode = mode;
  options.threads = 1;
  options.use_index = false;
  if (world->id() == 0) {
    options.index = index_in_use;
    options.progress = [](const Progress&) { return ++reports != enough_at; };
  }
  options.format.array_chunk_bytes = chunk_bytes;
  options.format.pack_bytes_max = pack_bytes;
  options.format.chunker = ChunkerParams::ForAverage(chunk_bytes);
  return Store::Open(world, "/store", options);
}

const std::vector<WorldStore>& WorldStores() {
  const std::vector<std::string> rest = {"files@1",  "files@2", "arrays@1",
                                         "arrays@2", "ranks@1", "ranks@2"};
  const std::vector<std::string> newest = {"run@3", "files@2", "arrays@2", "ranks@2"};
  std::vector<std::string> all = rest;
  all.insert(all.end(), {"run@1", "run@2", "run@3"});
  static const std::vector<WorldStore> stores = {
      {"none", MakeData, {}},
      {"half created", MakeHalfCreated, {}},
      {"plain", MakePlain, all},
      {"garbage", MakeGarbage, newest},
      {"deltas", MakeGarbage, newest, false, 3000, 2, 20000, true},
      {"dead writers", MakeDeadWriters, all},
      {"condemned", MakeCondemned, newest},
      {"copied", MakeCopied, newest},
      {"moved", MakeMoved, newest},
      {"damaged chunks", MakeDamagedChunks, {"files@1", "run@1"}, true},
      {"damaged manifests", MakeDamagedManifests, {"files@1", "run@1"}, true},
      {"damaged headers", MakeDamagedHeaders, all, true},
      {"lost pack", MakeLostPack, rest, true},
      {"strange records", MakeStrangeRecords, newest, true},
      {"half repaired", MakeHalfRepaired, {"files@1", "run@1"}, true},
      {"without format", MakeWithoutFormat, {}, true},
      {"many chunks", MakeManyChunks, all, false, 3000, 5, 300000},
      {"sealed packs", MakeSealed, all, false, 130000, 5},
      {"full disk", MakeFullDisk, {"run@8"}, false, 160000, 5},
      {"hollow", MakeHollow, {"run@8"}, false, 160000, 5},
  };
  return stores;
}

}  // namespace ckpt::world_works
