// Whole stores that somebody made to hurt whoever looks at them: every command ends soon, within a
// bounded memory, by an exit code of its own, with nothing outside the folder restored into.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "store/codec/compress.h"
#include "store/codec/hash.h"
#include "store/engine/store.h"
#include "store/io/env.h"
#include "store/manifest/entry_coding.h"
#include "store/manifest/manifest.h"
#include "store/manifest/node.h"
#include "store/pack/writer.h"
#include "tests/cli/cli_fixture.h"
#include "tests/manifest/hostile_bytes.h"
#include "tests/support/pack_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMemoryMaxBytes = 512u << 20;  // what docs/design.md promises
constexpr char kAnswersWithin[] = "timeout -k 5 60 ";

// Appends what no builder would let through.
class HostilePack : public ChunkSink {
 public:
  explicit HostilePack(const std::string& store_path) {
    OpenStoreOptions how;
    auto store = Must(Store::Open(PosixEnv(), store_path, how));
    packs_ = Must(PosixEnv()->OpenDir(store_path + "/packs"));
    PackWriterOptions options;
    options.store_uuid = store->format().uuid;
    writer_ = Must(PackWriter::Create(PosixEnv(), packs_.get(), options));
  }
  Result<Id128> PutNode(ByteSpan raw) override {
    RecordHeader header;
    header.type = RecordType::kChunk;
    header.raw_bytes = raw.size();
    header.id = HashChunk(raw);
    CKPT_RETURN_IF_ERROR(writer_->Append(header, raw).status());
    return header.id;
  }
  // A chunk that says of itself what it likes.
  void PutChunk(const Id128& id, std::uint64_t raw_bytes, std::uint8_t codec, ByteSpan stored) {
    RecordHeader header;
    header.type = RecordType::kChunk;
    header.codec = codec;
    header.raw_bytes = raw_bytes;
    header.id = id;
    ExpectOk(writer_->Append(header, stored).status());
  }
  void Commit(Manifest manifest) {
    manifest.packs.push_back({writer_->pack_id(), writer_->end_offset()});
    RecordHeader header;
    header.type = RecordType::kManifest;
    ExpectOk(writer_->Append(header, Must(EncodeManifest(manifest))).status());
    ExpectOk(writer_->Commit(true));
  }

 private:
  std::unique_ptr<Dir> packs_;
  std::unique_ptr<PackWriter> writer_;
};

Manifest EvilManifest(TreeRef table, std::uint64_t logical_bytes) {
  Manifest manifest;
  manifest.series = "evil";
  manifest.attempt = {HashChunk(AsBytes("attempt")), 1};
  manifest.step = 1;
  manifest.created_ns = 1'700'000'000'000'000'000;
  manifest.entries = 1;
  manifest.files = 1;
  manifest.logical_bytes = logical_bytes;
  manifest.entry_table = std::move(table);
  return manifest;
}

Entry File(const std::string& name, TreeRef content, std::uint64_t bytes, std::uint64_t chunks) {
  Entry entry;
  entry.name = name;
  entry.mode = 0644;
  entry.logical_bytes = bytes;
  entry.chunks = chunks;
  entry.content = std::move(content);
  return entry;
}

Bytes NodeBytes(int kind, int level, std::uint32_t items, const Bytes& body) {
  Bytes node;
  ByteWriter out(&node);
  out.U8(static_cast<std::uint8_t>(kind));
  out.U8(static_cast<std::uint8_t>(level));
  out.U16(0);
  out.U32(items);
  out.Raw(body);
  if (node.size() < kStoredNodeBytesMin) out.Zeros(kStoredNodeBytesMin - node.size());
  return node;
}

// A table of these entries, whatever they are named, in one stored node.
TreeRef Table(const std::vector<Entry>& entries, HostilePack* pack,
              const std::function<void(Bytes*)>& change = nullptr) {
  Bytes body;
  for (const Entry& entry : entries) EncodeEntry(entry, &body);
  if (change) change(&body);
  const Bytes node = NodeBytes(3, 0, static_cast<std::uint32_t>(entries.size()), body);
  TreeRef tree;
  tree.root = {
      NodeRef::How::kChunk, {}, Must(pack->PutNode(node)), static_cast<std::uint32_t>(node.size())};
  return tree;
}

TreeRef ListOf(const ChunkItem& item, std::uint32_t times, HostilePack* pack) {
  Bytes body;
  for (std::uint32_t i = 0; i < times; ++i) EncodeChunkItem(item, &body);
  const Bytes node = NodeBytes(1, 0, times, body);
  TreeRef tree;
  tree.root = {
      NodeRef::How::kChunk, {}, Must(pack->PutNode(node)), static_cast<std::uint32_t>(node.size())};
  return tree;
}

TreeRef Inline(std::string_view text, HostilePack* pack) {
  ChunkItem item;
  item.kind = ChunkItem::Kind::kInline;
  item.raw_bytes = text.size();
  item.inline_bytes.assign(AsBytes(text).begin(), AsBytes(text).end());
  return ListOf(item, 1, pack);
}

class HostileStore : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    if (IsSkipped()) return;
    Write("data", Noise(300000, 1));
    Do("ckpt-store save melt data -q");
    fs::create_directory(Path("outside"));
    Write("outside/file", "untouched");
  }

  std::string Store() const { return Path(".ckpt"); }

  // Runs every command on it. Answers the exit codes.
  std::map<std::string, Outcome> RunAll() const {
    std::map<std::string, Outcome> outcomes;
    for (const char* command :
         {"list --all", "list evil", "inspect evil", "restore evil --to out", "cat evil file",
          "diff melt evil", "diff evil melt", "stats", "check --quick", "check", "reindex",
          "gc --dry-run", "restore melt --to sound", "save evil data --reread --step 2",
          "save other data", "gc", "repair --dry-run", "restore evil@1 --to again",
          "restore melt --to sound_again --force"}) {
      // A file that grows beyond bounds is an error, as on a full disk.
      const std::string line = std::string("trap \"\" XFSZ; ulimit -f 131072; ") + kAnswersWithin +
                               "ckpt-store " + command + " | head -c 100000; exit ${PIPESTATUS[0]}";
      Outcome outcome = Run("bash -c '" + line + "'");
      const bool cut_short = outcome.exit == 128 + SIGPIPE && outcome.out.size() == 100000;
      EXPECT_TRUE(outcome.exit < 124 || cut_short) << command << ": " << outcome.err;
      outcomes[command] = std::move(outcome);
    }
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_CHILDREN, &usage), 0);
    EXPECT_LE(static_cast<std::uint64_t>(usage.ru_maxrss) * 1024, kMemoryMaxBytes);
    EXPECT_EQ(Read("outside/file"), "untouched");
    EXPECT_EQ(std::distance(fs::directory_iterator(Path("outside")), fs::directory_iterator()), 1);
    EXPECT_FALSE(fs::exists(Path("planted")));
    EXPECT_EQ(outcomes["restore melt --to sound"].exit, 0);
    EXPECT_EQ(Read("sound/data"), Read("data"));
    EXPECT_EQ(Read("sound_again/data"), Read("data"));
    EXPECT_EQ(outcomes["save other data"].exit, 0) << outcomes["save other data"].err;
    return outcomes;
  }
  void ExpectNotRestored(const std::map<std::string, Outcome>& outcomes, int exit) const {
    for (const char* command : {"restore evil --to out", "restore evil@1 --to again"}) {
      const Outcome& outcome = outcomes.at(command);
      EXPECT_EQ(outcome.exit, exit) << command << ": " << outcome.err;
      EXPECT_NE(outcome.err, "");
    }
    EXPECT_FALSE(fs::exists(Path("out/file")));
    EXPECT_FALSE(fs::exists(Path("again/file")));
  }
};

// 16 PiB: one chunk again and again, by nodes of which each names one other a thousand times.
TEST_F(HostileStore, FileThatRepeatsItselfWithoutEnd) {
  HostilePack pack(Store());
  const std::string noise = Noise(16u << 20, 3);
  ChunkItem item;
  item.raw_bytes = noise.size();
  item.id = Must(pack.PutNode(AsBytes(noise)));
  TreeRef list = ListOf(item, kNodeItemsMax, &pack);
  std::uint64_t span = item.raw_bytes * kNodeItemsMax;
  std::uint64_t count = kNodeItemsMax;
  for (int level = 1; level <= 2; ++level) {
    Bytes body;
    for (std::uint32_t i = 0; i < kNodeItemsMax; ++i) {
      EncodeChild(TreeKind::kChunkList, {"", list.root.id, list.root.raw_bytes, span, count},
                  &body);
    }
    const Bytes node = NodeBytes(2, level, kNodeItemsMax, body);
    list.level = static_cast<std::uint8_t>(level);
    list.root.id = Must(pack.PutNode(node));
    list.root.raw_bytes = static_cast<std::uint32_t>(node.size());
    span *= kNodeItemsMax;
    count *= kNodeItemsMax;
  }
  pack.Commit(EvilManifest(Table({File("file", list, span, count)}, &pack), span));
  ExpectNotRestored(RunAll(), 1);
}

TEST_F(HostileStore, FileThatIsOneHoleWithoutEnd) {
  HostilePack pack(Store());
  ChunkItem item;
  item.kind = ChunkItem::Kind::kHole;
  item.raw_bytes = std::uint64_t{1} << 62;
  const TreeRef list = ListOf(item, 1, &pack);
  pack.Commit(EvilManifest(Table({File("file", list, item.raw_bytes, 0)}, &pack), item.raw_bytes));
  ExpectNotRestored(RunAll(), 1);
}

// 16 MiB of zeros where 300 bytes are announced; 300 where 16 MiB are.
TEST_F(HostileStore, PayloadsThatAreLargerOrSmallerThanTheySay) {
  const Bytes zeros(16u << 20);
  Encoder encoder;
  EncodeOptions how;
  const Encoded small = Must(encoder.Encode(zeros, how));
  const Bytes bomb(small.bytes.begin(), small.bytes.end());
  const auto codec = static_cast<std::uint8_t>(small.codec);
  for (const std::uint64_t says : {std::uint64_t{300}, std::uint64_t{16} << 20}) {
    Do("rm -rf .ckpt && ckpt-store save melt data -q");
    HostilePack pack(Store());
    ChunkItem item;
    item.raw_bytes = says;
    item.id = HashChunk(AsBytes("file of " + std::to_string(says)));
    pack.PutChunk(item.id, says, codec, bomb);
    const TreeRef list = ListOf(item, 3, &pack);
    pack.Commit(EvilManifest(Table({File("file", list, 3 * says, 3)}, &pack), 3 * says));
    ExpectNotRestored(RunAll(), 3);
  }
}

TEST_F(HostileStore, NamesThatLeaveTheTarget) {
  const std::string away = "../planted";
  const std::string absolute = Path("planted");
  for (const std::string& name : {away, absolute, std::string("xx/../../planted")}) {
    Do("rm -rf .ckpt && ckpt-store save melt data -q");
    HostilePack pack(Store());
    const std::string plain(name.size(), 'f');
    const TreeRef content = Inline("evil", &pack);
    const TreeRef table = Table({File(plain, content, 4, 0)}, &pack, [&](Bytes* body) {
      const ByteSpan from = AsBytes(plain), to = AsBytes(name);
      const auto at = std::search(body->begin(), body->end(), from.begin(), from.end());
      ASSERT_NE(at, body->end());
      std::copy(to.begin(), to.end(), at);
    });
    pack.Commit(EvilManifest(table, 4));
    ExpectNotRestored(RunAll(), 3);
  }
}

TEST_F(HostileStore, FileThroughALinkOfTheSameCheckpoint) {
  HostilePack pack(Store());
  Entry link;
  link.kind = EntryKind::kSymlink;
  link.name = "link";
  link.mode = 0777;
  link.target = Path("outside");
  link.logical_bytes = 0;
  const TreeRef content = Inline("evil", &pack);
  const TreeRef table = Table({link, File("link/file", content, 4, 0)}, &pack);
  pack.Commit(EvilManifest(table, 4));
  const auto outcomes = RunAll();
  EXPECT_NE(outcomes.at("restore evil --to out").exit, 0);
}

TEST_F(HostileStore, HardLinksThatLeadOutOrInACircle) {
  for (const std::string& target :
       {std::string("file"), std::string("missing"), std::string("../outside/file"),
        std::string(Path("outside/file"))}) {
    Do("rm -rf .ckpt out again && ckpt-store save melt data -q");
    HostilePack pack(Store());
    Entry link;
    link.kind = EntryKind::kHardLink;
    link.name = "file";
    link.target = std::string(target.size(), 'g');
    Manifest manifest = EvilManifest(Table({link}, &pack,
                                           [&](Bytes* body) {
                                             const ByteSpan to = AsBytes(target);
                                             const std::string from(target.size(), 'g');
                                             const auto at = std::search(body->begin(), body->end(),
                                                                         AsBytes(from).begin(),
                                                                         AsBytes(from).end());
                                             ASSERT_NE(at, body->end());
                                             std::copy(to.begin(), to.end(), at);
                                           }),
                                     0);
    pack.Commit(std::move(manifest));
    const auto outcomes = RunAll();
    EXPECT_NE(outcomes.at("restore evil --to out").exit, 0) << target;
    EXPECT_FALSE(fs::exists(Path("out/file"))) << target;
  }
}

TEST_F(HostileStore, ManifestThatPromisesWhatItDoesNotHave) {
  HostilePack pack(Store());
  const TreeRef content = Inline("evil", &pack);
  Manifest manifest = EvilManifest(Table({File("file", content, 4, 0)}, &pack), UINT64_MAX);
  manifest.entries = manifest.files = manifest.chunks = manifest.new_chunks = UINT64_MAX;
  manifest.new_bytes = manifest.stored_bytes = manifest.read_bytes = UINT64_MAX;
  manifest.created_ns = std::numeric_limits<std::int64_t>::max();
  for (std::uint32_t i = 0; i < (kSanitized ? 200 : 2000); ++i) {
    manifest.packs.push_back({HashChunk(AsBytes("pack " + std::to_string(i))), UINT64_MAX});
  }
  pack.Commit(std::move(manifest));
  ExpectNotRestored(RunAll(), 3);
}

TEST_F(HostileStore, AnAttemptThatIsItsOwnParent) {
  HostilePack pack(Store());
  const TreeRef content = Inline("evil", &pack);
  const TreeRef table = Table({File("file", content, 4, 0)}, &pack);
  Manifest manifest = EvilManifest(table, 4);
  manifest.has_parent = true;
  manifest.parent_attempt = manifest.attempt.id;
  manifest.parent_step = 1;
  pack.Commit(std::move(manifest));
  const auto outcomes = RunAll();
  EXPECT_EQ(outcomes.at("list evil").exit, 0);
}

}  // namespace
}  // namespace ckpt
