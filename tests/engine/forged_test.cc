// What no build writes, under checksums that are right: slots of `collect`, marks in the middle of
// packs, names. It is refused, and what is beside it serves.

#include <algorithm>

#include "store/codec/hash.h"
#include "store/engine/array_io.h"
#include "store/engine/cat.h"
#include "store/engine/check.h"
#include "store/engine/checkpoint_name.h"
#include "store/engine/collect_state.h"
#include "store/engine/restore_files.h"
#include "store/engine/verify.h"
#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using collect_test::OpenAt;
using Mode = OpenStoreOptions::Mode;

constexpr std::size_t kStateSlotBytes = 65536;

Bytes ReadAll(File* file) {
  Bytes bytes(file->Stat()->size_bytes);
  EXPECT_TRUE(file->ReadExactAt(0, bytes).ok());
  return bytes;
}

void PutU32(Bytes* bytes, std::size_t at, std::uint32_t value) {
  Bytes four;
  ByteWriter(&four).U32(value);
  std::ranges::copy(four, bytes->begin() + static_cast<std::ptrdiff_t>(at));
}

TEST(Forged, SlotsOfCollectThatNoBuildWrites) {
  SimWorld world(3);
  auto store = *OpenAt(&world);
  CollectState state;
  state.known = true;
  state.epoch = 5;
  ASSERT_TRUE(WriteCollectState(store.get(), state).ok());
  auto file = *store->root()->OpenFile("collect", {.mode = OpenMode::kReadWrite});
  const Bytes all = ReadAll(file.get());
  const std::size_t at = AsText(ByteSpan(all).first(8)) == "CKPTCOLL" ? 0 : kStateSlotBytes;
  const Bytes slot(all.begin() + static_cast<std::ptrdiff_t>(at),
                   all.begin() + static_cast<std::ptrdiff_t>(at + kStateSlotBytes));
  const auto put = [&](std::size_t field, std::uint32_t value) {
    Bytes forged = slot;
    PutU32(&forged, 16, 9);  // the epoch
    PutU32(&forged, field, value);
    Bytes sum;
    ByteWriter(&sum).U64(Checksum64(ByteSpan(forged).first(kStateSlotBytes - 8)));
    std::ranges::copy(sum, forged.end() - 8);
    EXPECT_TRUE(file->WriteAt(kStateSlotBytes - at, forged).ok());
    return ReadCollectState(store.get())->epoch;
  };
  EXPECT_EQ(put(16, 9), 9u) << "nothing is wrong with it";
  EXPECT_EQ(put(8, 77), 5u) << "the version";
  EXPECT_EQ(put(12, 3), 5u) << "the phase";
  EXPECT_EQ(put(24, 1), 5u) << "another store's";
  EXPECT_EQ(put(40, 1u << 30), 5u) << "too many condemned";
  EXPECT_EQ(put(44, 1u << 30), 5u) << "too many broken";
}

// The first record's header is gone, so that readers look for the next mark; what looks like one is
// none.
class ForgedMark : public ::testing::Test {
 protected:
  ForgedMark() {
    auto store = *OpenAt(&world_);
    for (const std::int64_t step : {1, 2, 3}) {
      EXPECT_TRUE(collect_test::Save(store.get(), step).ok());
    }
    for (const DirEntry& entry : *store->packs_dir()->List()) {
      auto file = *store->packs_dir()->OpenFile(entry.name, {.mode = OpenMode::kReadWrite});
      if (!ParsePackFileName(entry.name, &id_) || ReadAll(file.get()).size() == 1u << 20) continue;
      name_ = entry.name;
      file_ = std::move(file);
      break;
    }
    EXPECT_TRUE(ParsePackFileName(name_, &id_));
    const Bytes bytes = ReadAll(file_.get());
    for (std::uint64_t at = kBlockBytes; at < bytes.size(); at += kBlockBytes) {
      RecordHeader header;
      ByteSpan block = ByteSpan(bytes).subspan(at, kBlockBytes);
      if (!DecodeRecordHeader(block, id_, at, &header)) continue;
      if (header.type == RecordType::kSyncMark) marks_.push_back(at);
    }
    EXPECT_GE(marks_.size(), 3u);
  }

  // With another mark, or another record, in the place of the first one.
  void Put(const RecordHeader& header, ByteSpan payload) {
    Bytes block(kBlockBytes);
    RecordHeader whole = header;
    whole.stored_bytes = whole.raw_bytes = payload.size();
    EncodeRecordHeader(whole, id_, marks_[0], block.data());
    std::ranges::copy(payload, block.begin() + kRecordHeaderBytes);
    EXPECT_TRUE(file_->WriteAt(marks_[0], block).ok());
    EXPECT_TRUE(file_->WriteAt(kPackHeaderBytes, Bytes(kRecordHeaderBytes)).ok());
  }
  // With such a record in the mark's place.
  void ExpectDamageOnly(RecordType type, const Bytes& payload, std::uint64_t checksum) {
    RecordHeader header;
    header.type = type;
    header.payload_checksum = checksum;
    Put(header, payload);
    for (const Mode mode : {Mode::kRead, Mode::kWrite}) {
      auto store = OpenAt(&world_, mode);
      ASSERT_TRUE(store.ok());
      CheckOptions options;
      options.record = false;
      auto report = CheckStore(store->get(), options);
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_FALSE(report->damage.empty());
      EXPECT_TRUE(std::ranges::all_of(report->damage, [&](const FoundDamage& found) {
        return found.offset < marks_[1];
      })) << "damage behind the next mark";
    }
    EXPECT_TRUE(collect_test::Save(OpenAt(&world_, Mode::kWrite)->get(), 4).ok());
  }

  SimWorld world_{3};
  std::string name_;
  Id128 id_;
  std::unique_ptr<File> file_;
  std::vector<std::uint64_t> marks_;
};

TEST_F(ForgedMark, OfAnotherPlace) {
  SyncMark mark;
  mark.durable_offset = marks_[0] + kBlockBytes;
  mark.host = world_.HostId();
  const Bytes payload = EncodeSyncMark(mark);
  ExpectDamageOnly(RecordType::kSyncMark, payload, Checksum64(payload));
}

TEST_F(ForgedMark, WithOtherBytes) {
  SyncMark mark;
  mark.durable_offset = marks_[0];
  Bytes payload = EncodeSyncMark(mark);
  ExpectDamageOnly(RecordType::kSyncMark, payload, Checksum64(payload) + 1);
}

TEST_F(ForgedMark, ThatCannotBeRead) {
  Bytes payload(100, std::byte{7});
  ExpectDamageOnly(RecordType::kSyncMark, payload, Checksum64(payload));
}

TEST_F(ForgedMark, ThatIsAnotherRecord) {
  Bytes payload(100, std::byte{7});
  ExpectDamageOnly(RecordType::kAttempt, payload, Checksum64(payload));
}

// With right checksums, in a pack of its own, below a mark: what the next step needs is saved anew.
TEST(Forged, ChunksThatAreNotWhatTheirHeadersSay) {
  struct Header {
    std::uint8_t codec;
    std::size_t bytes;
    const char* what;
  };
  const std::size_t all = collect_test::block_bytes;
  for (const Header& lie : {Header{16, 5, "without a base"}, Header{0, all, "do not have its id"},
                            Header{1, 50, "chunk: "}, Header{99, 50, "chunk: "}}) {
    SimWorld world(3);
    auto store = *OpenAt(&world);
    ASSERT_TRUE(collect_test::Save(store.get(), 1).ok());
    PackWriterOptions options;
    options.store_uuid = store->format().uuid;
    options.permissions = store->file_permissions();
    auto pack = *PackWriter::Create(&world, store->packs_dir(), options);
    RecordHeader header;
    header.type = RecordType::kChunk;
    header.codec = lie.codec;
    header.raw_bytes = all;
    header.id = HashChunk(collect_test::BlockOf(2, 1));
    const Id128 base = lie.codec == 16 ? HashChunk(collect_test::BlockOf(1, 1)) : Id128();
    ASSERT_TRUE(pack->Append(header, Bytes(lie.bytes), base).ok());
    ASSERT_TRUE(pack->Commit(true).ok());
    const CheckReport report = *CheckStore(store.get(), {});
    ASSERT_EQ(report.damage.size(), 1u) << lie.what;
    EXPECT_EQ(report.damage[0].pack_id, pack->pack_id());
    EXPECT_NE(report.damage[0].what.find(lie.what), std::string::npos) << report.damage[0].what;
    ASSERT_TRUE(collect_test::Save(store.get(), 2).ok());
    EXPECT_TRUE(collect_test::Restore(store.get(), 2).ok()) << lie.what;
  }
}

TEST(Forged, NamesThatAreNoSteps) {
  for (const char* name :
       {"run@", "run@x", "run@5x", "run@-5", "run@99999999999999999999", "run@:5"}) {
    auto parsed = ParseCheckpointName(name);
    EXPECT_FALSE(parsed.ok() && parsed->step.has_value()) << name;
  }
  EXPECT_EQ(ParseCheckpointName("run@5")->step, 5);
}

// A checkpoint whose entries are each what `entries` says, with two chunks of 1001 bytes each where
// the kind has content.
class ForgedEntries : public ::testing::Test {
 protected:
  ForgedEntries() : store_(*OpenAt(&world_)) {}

  void Save(std::vector<Entry> entries) {
    SaveOptions options;
    options.series = "lies";
    auto writer = *CheckpointWriter::Begin(store_.get(), options);
    for (Entry& entry : entries) {
      ChunkListBuilder list(FanOut::kFixed, writer->chunks());
      for (const int i : {1, 2}) {
        ChunkEncoder encoder;
        const Bytes raw(1001, static_cast<std::byte>(i));
        ChunkItem item;
        item.raw_bytes = raw.size();
        item.id = HashChunk(raw);
        EXPECT_TRUE(writer->chunks()->Put(raw, item.id, {}, &encoder).ok());
        EXPECT_TRUE(list.Add(item).ok());
      }
      if (entry.kind != EntryKind::kHardLink) {
        entry.chunks = list.chunks();
        entry.content = *list.Finish();
      }
      const Status added = writer->AddEntry(entry, 0);
      EXPECT_TRUE(added.ok()) << added.ToString();
    }
    EXPECT_TRUE(writer->End().ok());
  }
  Code Restore() {
    RestoreFilesOptions options;
    options.checkpoint = "lies";
    options.to = "/out";
    return RestoreFiles(store_.get(), options).status().code();
  }
  Code Verify() {
    return VerifyCheckpoint(store_.get(), ResolveCheckpoint(store_.get(), "lies")->ranks).code();
  }

  SimWorld world_{3};
  std::unique_ptr<Store> store_;
};

Entry FileOf(const std::string& name, std::uint64_t bytes) {
  Entry entry;
  entry.name = name;
  entry.mode = 0600;
  entry.logical_bytes = bytes;
  return entry;
}

TEST_F(ForgedEntries, FilesOfAnotherLength) {
  for (const std::uint64_t bytes : {2001, 2003}) {
    Save({FileOf("file", bytes)});
    EXPECT_EQ(Verify(), Code::kCorruption) << bytes;
    EXPECT_EQ(Restore(), Code::kCorruption) << bytes;
  }
  Save({FileOf("file", 2002)});
  EXPECT_EQ(Verify(), Code::kOk);
  EXPECT_EQ(Restore(), Code::kOk);
}

// What is left out is said; a checkpoint of nothing is restored.
TEST_F(ForgedEntries, ArraysBesideFilesAreLeftOut) {
  Entry array = FileOf("x", 2002);
  array.kind = EntryKind::kArray;
  array.mode = 0;
  array.array = {Dtype::kUint8, false, 1, {2002}, {}, {}};
  Entry other = array;
  other.name = "y";
  for (const std::vector<Entry>& entries :
       {std::vector<Entry>{}, {FileOf("a", 2002), array}, {FileOf("a", 2002), array, other}}) {
    Save(entries);
    EXPECT_EQ(Restore(), Code::kOk);
    EXPECT_FALSE(world_.OpenDir("/out/x").ok());
  }
}

TEST_F(ForgedEntries, CatOfLessThanIsSaidIsDamage) {
  Save({FileOf("file", 2003)});
  const auto drop = [](ByteSpan) { return Status(); };
  EXPECT_EQ(CatEntry(store_.get(), "lies", "file", 0, UINT64_MAX, drop).code(), Code::kCorruption);
}

TEST_F(ForgedEntries, LinksToWhatIsNoFile) {
  Entry link = FileOf("b", 0);
  link.kind = EntryKind::kHardLink;
  link.target = "a";
  Entry stream = FileOf("a", 2002);
  stream.kind = EntryKind::kStream;
  for (const std::vector<Entry>& entries :
       {std::vector<Entry>{link, FileOf("z", 2002)}, std::vector<Entry>{stream, link}}) {
    Save(entries);
    EXPECT_EQ(Verify(), Code::kCorruption);
    EXPECT_EQ(Restore(), Code::kCorruption);
    auto reader = CheckpointReader::Open(store_.get(), "lies");
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ((*reader)->FindContent("b").status().code(), Code::kCorruption);
    Bytes out(2002);
    EXPECT_EQ((*reader)->Get("none", out).code(), Code::kNotFound);
  }
}

TEST_F(ForgedEntries, ChunksThatEndWithinAnElement) {
  Entry array = FileOf("x", 2000);
  array.kind = EntryKind::kArray;
  array.mode = 0;
  array.array = {Dtype::kFloat64, false, 8, {250}, {}, {}};
  Save({array});
  auto reader = CheckpointReader::Open(store_.get(), "lies");
  ASSERT_TRUE(reader.ok());
  std::vector<float> floats(250);
  const Status read =
      (*reader)->GetAs("x", Dtype::kFloat32, std::as_writable_bytes(std::span(floats)));
  EXPECT_EQ(read.code(), Code::kCorruption) << read.ToString();
  EXPECT_EQ(Verify(), Code::kCorruption);
}

// A manifest that is compressed, as docs/format.md allows and this build does not write: step 2 has
// what step 1 has.
class CompressedManifest : public ::testing::Test {
 protected:
  CompressedManifest() : store_(*OpenAt(&world_)) {
    EXPECT_TRUE(collect_test::Save(store_.get(), 1).ok());
    manifest_ = *store_->ReadManifest(ResolveCheckpoint(store_.get(), "run@1")->ranks.front());
    manifest_.step = 2;
    manifest_.tags = {{"why", std::string(2000, 'x')}};
  }

  enum class How : std::uint8_t { kCommitted, kStaged };
  // In a pack of its own, all but the last `missing` bytes of what was compressed.
  void Put(How how, std::size_t missing = 0) {
    const Bytes raw = *EncodeManifest(manifest_);
    Encoder encoder;
    const Encoded encoded = *encoder.Encode(raw, {});
    ASSERT_NE(encoded.codec, Codec::kRaw);
    PackWriterOptions options;
    options.store_uuid = store_->format().uuid;
    options.permissions = store_->file_permissions();
    auto pack = *PackWriter::Create(&world_, store_->packs_dir(), options);
    RecordHeader header;
    header.type = RecordType::kManifest;
    header.codec = static_cast<std::uint8_t>(encoded.codec);
    header.codec_param = encoded.param;
    header.raw_bytes = raw.size();
    ASSERT_TRUE(pack->Append(header, encoded.bytes.first(encoded.bytes.size() - missing)).ok());
    ASSERT_TRUE((how == How::kStaged ? pack->Stage() : pack->Commit(true)).ok());
  }
  void Collect() {
    CollectOptions options;
    options.live_share = 1.0;
    Collected collected;
    const Status run = (*Collector::Open(store_.get(), options))->Run({}, &collected);
    ASSERT_TRUE(run.ok()) << run.ToString();
  }
  // Answers whether it is staged.
  bool ExpectThere() {
    store_ = *OpenAt(&world_, Mode::kWrite);
    auto found = ResolveCheckpoint(store_.get(), "run@2");
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    if (!found.ok()) return false;
    EXPECT_EQ(store_->ReadManifest(found->ranks.front())->tags, manifest_.tags);
    EXPECT_TRUE(VerifyCheckpoint(store_.get(), found->ranks).ok());
    return found->ranks.front().staged;
  }

  SimWorld world_{3};
  std::unique_ptr<Store> store_;
  Manifest manifest_;
};

TEST_F(CompressedManifest, IsReadAndCarried) {
  Put(How::kCommitted);
  EXPECT_FALSE(ExpectThere());
  ASSERT_TRUE(collect_test::Remove(store_.get(), 1, true).ok());
  Collect();
  EXPECT_FALSE(ExpectThere());
  EXPECT_TRUE(CheckStore(store_.get(), {})->damage.empty());
}

TEST_F(CompressedManifest, IsAdoptedFromATail) {
  Put(How::kStaged);
  EXPECT_TRUE(ExpectThere());
  Collect();
  EXPECT_FALSE(ExpectThere());
}

TEST_F(CompressedManifest, ThatDoesNotDecodeIsDamage) {
  Put(How::kCommitted, 3);
  store_ = *OpenAt(&world_, Mode::kWrite);
  EXPECT_EQ(store_->UnreadPlaces().size(), 1u);
  EXPECT_EQ(ResolveCheckpoint(store_.get(), "run@2").status().code(), Code::kCorruption);
  manifest_.step = 3;
  Put(How::kCommitted, 3);
  const Status missing = ResolveCheckpoint(store_.get(), "run@3").status();
  EXPECT_EQ(missing.code(), Code::kCorruption);
  for (const std::string& place : store_->UnreadPlaces()) {
    EXPECT_NE(missing.message().find(place), std::string::npos) << missing.message();
  }
  Collect();
  EXPECT_EQ(store_->UnreadPlaces().size(), 2u) << "their packs stay as they are";
  EXPECT_TRUE(collect_test::Restore(store_.get(), 1).ok());
}

TEST_F(CompressedManifest, ThatDoesNotDecodeInATailIsNone) {
  Put(How::kStaged, 3);
  store_ = *OpenAt(&world_, Mode::kWrite);
  EXPECT_EQ(ResolveCheckpoint(store_.get(), "run@2").status().code(), Code::kNotFound);
  Collect();
  EXPECT_TRUE(collect_test::Restore(store_.get(), 1).ok());
}

}  // namespace
}  // namespace ckpt
