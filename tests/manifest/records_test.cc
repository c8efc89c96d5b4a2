#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <limits>

#include "store/manifest/manifest.h"
#include "tests/manifest/hostile_bytes.h"

namespace ckpt {
namespace {

Id128 AnyId() {
  Id128 id;
  for (auto& byte : id.bytes) byte = *rc::gen::arbitrary<std::uint8_t>();
  return id;
}
std::string AnyString(std::size_t least, std::size_t most) {
  auto size = *rc::gen::inRange<std::size_t>(least, most + 1);
  return *rc::gen::container<std::string>(size, rc::gen::arbitrary<char>());
}
std::string AnySeries() {
  auto size = *rc::gen::inRange<std::size_t>(0, 127);
  return "s" + *rc::gen::container<std::string>(size, rc::gen::suchThat<char>([](char c) {
                                                  auto u = static_cast<unsigned char>(c);
                                                  return u > 0x20 && u != 0x7f && c != '/' &&
                                                         c != '@';
                                                }));
}
std::uint64_t AnyU64() { return *rc::gen::arbitrary<std::uint64_t>(); }
std::int64_t AnyI64() { return *rc::gen::arbitrary<std::int64_t>(); }
std::int64_t AnyStep() { return *rc::gen::inRange<std::int64_t>(0, (std::int64_t{1} << 62) + 1); }
std::uint32_t AnyRanks() { return *rc::gen::inRange<std::uint32_t>(1, (1u << 24) + 1); }
AttemptRef AnyAttempt() { return {AnyId(), AnyU64() | 1}; }

TreeRef AnyTree() {
  TreeRef tree;
  int how = *rc::gen::inRange(0, 3);
  tree.root.how = static_cast<NodeRef::How>(how);
  if (how > 0) tree.level = *rc::gen::inRange<std::uint8_t>(0, 8);
  if (how == 1) {
    std::string here = AnyString(1, 240);
    tree.root.here.assign(AsBytes(here).begin(), AsBytes(here).end());
  }
  if (how == 2) {
    tree.root.id = AnyId();
    tree.root.raw_bytes = *rc::gen::inRange<std::uint32_t>(241, kNodeBytesMax + 1);
  }
  return tree;
}

void AddLists(Manifest* m) {
  auto count = [] { return *rc::gen::inRange(0, 5); };
  for (int i = count(); i > 0; --i) m->tags.emplace_back(AnyString(1, 255), AnyString(0, 300));
  for (int i = count(); i > 0; --i) m->packs.push_back({AnyId(), AnyU64()});
  for (int i = count(); i > 0; --i) {
    std::string blob = AnyString(0, 300);
    m->extensions.emplace_back(*rc::gen::arbitrary<std::uint16_t>(),
                               Bytes(AsBytes(blob).begin(), AsBytes(blob).end()));
  }
}

Manifest AnyManifest() {
  Manifest m;
  m.series = AnySeries();
  m.attempt = AnyAttempt();
  m.has_parent = *rc::gen::arbitrary<bool>();
  if (m.has_parent) {
    m.parent_attempt = AnyId();
    m.parent_step = AnyStep();
  }
  m.step = AnyStep();
  m.ranks = AnyRanks();
  m.rank = *rc::gen::inRange<std::uint32_t>(0, m.ranks);
  m.created_ns = AnyI64();
  m.host = AnyId();
  m.host_name = AnyString(0, 255);
  m.job_id = AnyString(0, 255);
  for (std::uint64_t* size : {&m.logical_bytes, &m.read_bytes, &m.new_bytes, &m.stored_bytes,
                              &m.chunks, &m.new_chunks, &m.entries, &m.files}) {
    *size = AnyU64();
  }
  m.entry_table = AnyTree();
  AddLists(&m);
  return m;
}

AttemptRecord AnyAttemptRecord() {
  AttemptRecord a;
  a.attempt = AnyAttempt();
  a.has_parent = *rc::gen::arbitrary<bool>();
  if (a.has_parent) {
    a.parent_attempt = AnyId();
    a.parent_step = AnyStep();
  }
  a.series = AnySeries();
  a.time_ns = AnyI64();
  a.host = AnyId();
  a.job_id = AnyString(0, 255);
  a.ranks = AnyRanks();
  return a;
}

// A small manifest that has one of everything.
Manifest FullManifest() {
  Manifest m;
  m.series = "melt";
  m.attempt = {Id128{{1}}, 3};
  m.has_parent = true;
  m.parent_attempt = Id128{{2}};
  m.parent_step = 10;
  m.step = 12;
  m.rank = 1;
  m.ranks = 4;
  m.host_name = "node7";
  m.job_id = "4711";
  m.tags = {{"a", "b"}, {"c", ""}};
  m.entry_table.level = 1;
  m.entry_table.root = {NodeRef::How::kChunk, {}, Id128{{3}}, 300};
  m.packs = {{Id128{{4}}, 4096}, {Id128{{5}}, 8192}};
  m.extensions = {{7, Bytes(5)}};
  return m;
}

template <typename Record, typename Encode, typename Decode>
void ExpectHostileBytesAreBounded(const Record& record, Encode encode, Decode decode) {
  Result<Bytes> payload = encode(record);
  ASSERT_TRUE(payload.ok()) << payload.status().ToString();
  Result<Record> back = decode(*payload);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(*back, record);
  ForEveryCut(*payload, [&](const Bytes& cut) {
    EXPECT_EQ(decode(cut).status().code(), Code::kCorruption) << "cut at " << cut.size();
  });
  Bytes longer = *payload;
  longer.push_back(std::byte{0});
  EXPECT_EQ(decode(longer).status().code(), Code::kCorruption);
  ForEveryFlip(*payload, [&](const Bytes& flipped) {
    Result<Record> other = decode(flipped);
    if (other.ok()) {
      Result<Bytes> again = encode(*other);  // within bounds, and no bit is ignored
      ASSERT_TRUE(again.ok()) << again.status().ToString();
      EXPECT_EQ(*again, flipped);
    } else {
      EXPECT_TRUE(other.status().code() == Code::kCorruption ||
                  other.status().code() == Code::kUnsupported);
    }
  });
}

TEST(Manifest, RoundTrips) {
  EXPECT_TRUE(rc::check([] {
    Manifest m = AnyManifest();
    Result<Bytes> payload = EncodeManifest(m);
    RC_ASSERT(payload.ok());
    Result<Manifest> back = DecodeManifest(*payload);
    RC_ASSERT(back.ok());
    RC_ASSERT(*back == m);
  }));
}

TEST(Manifest, HasTheLayoutOfTheFormatPage) {
  Manifest m = FullManifest();
  Bytes wanted;
  ByteWriter out(&wanted);
  out.U16(1);
  out.U16(1);
  out.Id(Id128{{1}});
  out.U64(3);
  out.Id(Id128{{2}});
  out.I64(10);
  out.String("melt");
  out.I64(12);
  out.U32(1);
  out.U32(4);
  out.I64(0);
  out.Id(Id128{});
  out.String("node7");
  out.String("4711");
  out.Zeros(64);
  out.U32(2);
  for (const char* text : {"a", "b", "c", ""}) out.String(text);
  out.U8(1);
  out.U8(2);
  out.Id(Id128{{3}});
  out.U32(300);
  out.U32(2);
  out.Id(Id128{{4}});
  out.U64(4096);
  out.Id(Id128{{5}});
  out.U64(8192);
  out.U32(1);
  out.U16(7);
  out.Blob(Bytes(5));
  Result<Bytes> payload = EncodeManifest(m);
  ASSERT_TRUE(payload.ok());
  EXPECT_EQ(*payload, wanted);
}

TEST(Manifest, HostileBytesAreBounded) {
  ExpectHostileBytesAreBounded(FullManifest(), EncodeManifest, DecodeManifest);
}

TEST(Manifest, UnknownVersionIsNamed) {
  Result<Bytes> payload = EncodeManifest(FullManifest());
  ASSERT_TRUE(payload.ok());
  (*payload)[0] = std::byte{2};
  Status status = DecodeManifest(*payload).status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("version 2"), std::string::npos) << status.message();
}

TEST(Manifest, HugeCountsAreRefusedBeforeAnythingIsAllocated) {
  Manifest m = FullManifest();
  m.extensions.clear();
  m.packs.clear();
  Result<Bytes> payload = EncodeManifest(m);
  ASSERT_TRUE(payload.ok());
  for (std::size_t from_end : {8u, 4u}) {  // packs, extensions
    Bytes huge = *payload;
    for (std::size_t i = 0; i < 4; ++i) huge[huge.size() - from_end + i] = std::byte{0xff};
    EXPECT_EQ(DecodeManifest(huge).status().code(), Code::kCorruption);
  }
}

TEST(Manifest, FieldsOutsideTheLimitsAreRefused) {
  const std::vector<void (*)(Manifest*)> mistakes = {
      [](Manifest* m) { m->series = "a/b"; },
      [](Manifest* m) { m->attempt.ordinal = 0; },
      [](Manifest* m) { m->has_parent = false; },
      [](Manifest* m) { m->parent_step = -1; },
      [](Manifest* m) { m->step = -1; },
      [](Manifest* m) { m->step = (std::int64_t{1} << 62) + 1; },
      [](Manifest* m) { m->rank = m->ranks; },
      [](Manifest* m) { m->ranks = 0; },
      [](Manifest* m) { m->ranks = (1u << 24) + 1; },
      [](Manifest* m) { m->host_name.assign(256, 'x'); },
      [](Manifest* m) { m->job_id.assign(256, 'x'); },
      [](Manifest* m) { m->tags[0].first = ""; },
      [](Manifest* m) { m->tags[0].first.assign(256, 'x'); },
      [](Manifest* m) { m->tags[0].second.assign(4097, 'x'); },
      [](Manifest* m) {
        m->tags.resize(1025, {"k", "v"});
      },
      [](Manifest* m) { m->packs.resize((1u << 20) + 1); },
      [](Manifest* m) { m->extensions[0].second.resize((1u << 20) + 1); },
      [](Manifest* m) { m->extensions.resize(1025); },
      [](Manifest* m) {
        m->extensions.assign(65, {1, Bytes(1u << 20)});
      },  // 64 MiB in all
      [](Manifest* m) { m->entry_table.level = 8; },
      [](Manifest* m) { m->entry_table.root.raw_bytes = 240; },
      [](Manifest* m) { m->entry_table.root.raw_bytes = kNodeBytesMax + 1; },
      [](Manifest* m) {
        m->entry_table.root = {NodeRef::How::kHere, Bytes(241), {}, 0};
      },
      [](Manifest* m) { m->entry_table.root = {}; },  // empty, but of level 1
  };
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    Manifest m = FullManifest();
    mistakes[i](&m);
    EXPECT_EQ(EncodeManifest(m).status().code(), Code::kInvalidArgument) << "mistake " << i;
  }
}

TEST(Tombstone, RoundTripsAndHostileBytesAreBounded) {
  EXPECT_TRUE(rc::check([] {
    Tombstone t{AnyAttempt(), AnySeries(), AnyStep(), AnyI64(),
                *rc::gen::inRange<std::uint8_t>(0, 2)};
    Result<Bytes> payload = EncodeTombstone(t);
    RC_ASSERT(payload.ok());
    RC_ASSERT(*DecodeTombstone(*payload) == t);
  }));
  ExpectHostileBytesAreBounded(Tombstone{{Id128{{9}}, 1}, "melt", 5, 6, 1}, EncodeTombstone,
                               DecodeTombstone);
  EXPECT_EQ(EncodeTombstone({{Id128{{9}}, 1}, "melt", 5, 6, 2}).status().code(),
            Code::kInvalidArgument);
}

TEST(AttemptRecord, RoundTripsAndHostileBytesAreBounded) {
  EXPECT_TRUE(rc::check([] {
    AttemptRecord a = AnyAttemptRecord();
    Result<Bytes> payload = EncodeAttempt(a);
    RC_ASSERT(payload.ok());
    RC_ASSERT(*DecodeAttempt(*payload) == a);
  }));
  AttemptRecord a;
  a.attempt = {Id128{{9}}, 2};
  a.has_parent = true;
  a.parent_attempt = Id128{{8}};
  a.series = "melt";
  a.job_id = "1";
  ExpectHostileBytesAreBounded(a, EncodeAttempt, DecodeAttempt);
  a.ranks = 0;
  EXPECT_EQ(EncodeAttempt(a).status().code(), Code::kInvalidArgument);
}

template <typename Record>
auto AsResult(Bytes (*encode)(const Record&)) {
  return [encode](const Record& record) -> Result<Bytes> { return encode(record); };
}

TEST(DamageRecord, RoundTripsAndHostileBytesAreBounded) {
  ExpectHostileBytesAreBounded(DamageRecord{1, Id128{{1}}, 4096, Id128{{2}}, -5},
                               AsResult(EncodeDamage), DecodeDamage);
  ExpectHostileBytesAreBounded(DamageRecord{DamageRecord::kHollow, Id128{{1}}, 0, Id128(), -5},
                               AsResult(EncodeDamage), DecodeDamage);
  Bytes unknown = EncodeDamage(DamageRecord{});
  unknown[2] = std::byte{DamageRecord::kHollow + 1};
  EXPECT_EQ(DecodeDamage(unknown).status().code(), Code::kCorruption);
}

TEST(WriterRecord, RoundTripsAndHostileBytesAreBounded) {
  ExpectHostileBytesAreBounded(WriterRecord{"4711", 3}, EncodeWriter, DecodeWriter);
  EXPECT_EQ(EncodeWriter(WriterRecord{std::string(256, 'j'), 0}).status().code(),
            Code::kInvalidArgument);
}

TEST(AckRecord, RoundTripsAndHostileBytesAreBounded) {
  ExpectHostileBytesAreBounded(AckRecord{7, {Id128{{1}}, Id128{{2}}}}, AsResult(EncodeAck),
                               DecodeAck);
  ExpectHostileBytesAreBounded(AckRecord{}, AsResult(EncodeAck), DecodeAck);
  AckRecord most{1, std::vector<Id128>(kAckClaimsMax)};
  EXPECT_LE(EncodeAck(most).size(), 1u << 20);
  EXPECT_EQ(*DecodeAck(EncodeAck(most)), most);
}

TEST(MovedRecord, RoundTripsAndHostileBytesAreBounded) {
  ExpectHostileBytesAreBounded(MovedRecord{7, Id128{{3}}, {{Id128{{1}}, 1}, {Id128{{2}}, 2}}},
                               AsResult(EncodeMoved), DecodeMoved);
  MovedRecord most{1, Id128{{3}}, std::vector<PackReliance>(kMovedTargetsMax)};
  EXPECT_LE(EncodeMoved(most).size(), 1u << 20);
  EXPECT_EQ(*DecodeMoved(EncodeMoved(most)), most);
}

}  // namespace
}  // namespace ckpt
