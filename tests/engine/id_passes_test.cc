// Tables of ids in bounded memory: the same answers whether they hold everything at once or not.

#include "store/engine/id_passes.h"

#include <cstring>
#include <random>
#include <set>

#include "store/engine/check.h"
#include "store/engine/collect.h"
#include "store/engine/effort_trial.h"
#include "store/engine/fetcher.h"
#include "store/engine/inspect.h"
#include "store/engine/remove.h"
#include "store/engine/stats.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

Id128 IdAt(std::uint64_t first_32_bits, std::uint8_t last = 1) {
  Id128 id;
  for (std::size_t i = 0; i < 4; ++i) {
    id.bytes[i] = static_cast<std::uint8_t>(first_32_bits >> (24 - 8 * i));
  }
  id.bytes[15] = last;
  return id;
}

// Goes through all passes; each range that is begun with more than `fits` of `total` even ids is
// begun again.
std::vector<IdRange> RangesOf(std::uint64_t fits, std::uint64_t expected, std::uint64_t total) {
  IdPasses passes(fits, expected);
  std::vector<IdRange> ranges;
  do {
    const auto ids = [&] {
      return (passes.range().end - passes.range().begin) * total / IdRange::kEnd;
    };
    while (!passes.Met(ids()).ok()) EXPECT_TRUE(passes.BeginAgain());
    EXPECT_FALSE(passes.BeginAgain());
    ranges.push_back(passes.range());
  } while (passes.Next());
  return ranges;
}

TEST(IdPasses, RangesFollowEachOtherAndHoldEveryId) {
  for (const std::uint64_t expected : {0u, 50u, 1000u, 70000u}) {
    const std::vector<IdRange> ranges = RangesOf(100, expected, 1000);
    EXPECT_EQ(ranges.front().begin, 0u);
    EXPECT_EQ(ranges.back().end, IdRange::kEnd);
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      EXPECT_EQ(ranges[i].begin, ranges[i - 1].end);
      EXPECT_TRUE(ranges[i].Contains(IdAt(ranges[i].begin)));
      EXPECT_FALSE(ranges[i - 1].Contains(IdAt(ranges[i].begin)));
      EXPECT_TRUE(ranges[i - 1].Contains(IdAt(ranges[i].begin - 1)));
    }
    EXPECT_TRUE(ranges.back().Contains(IdAt(0xffffffff)));
  }
}

TEST(IdPasses, WhatFitsIsOnePass) {
  EXPECT_EQ(RangesOf(1000, 0, 1000).size(), 1u);
  EXPECT_TRUE(RangesOf(1000, 900, 1000).front().Whole());
}

TEST(IdPasses, AsManyAsTheExpectedIdsTake) {
  EXPECT_EQ(RangesOf(100, 1000, 1000).size(), 11u);  // 98 each
  EXPECT_EQ(RangesOf(100, 0, 1000).size(), 16u);     // halved four times
}

TEST(IdPasses, OnePartIn4096IsTakenHoweverManyItHas) {
  EXPECT_EQ(RangesOf(1, 0, 1u << 30).size(), 4096u);
  EXPECT_EQ(RangesOf(1, 1u << 30, 1u << 30).size(), 4096u);
}

TEST(IdTable, HoldsWhatASetHoldsWhateverRoomItWasGiven) {
  std::mt19937_64 random(1);
  for (const std::size_t room : {0u, 1u, 7u, 1000u, 5000u}) {
    IdTable<std::uint32_t> table;
    table.Insert(IdAt(5));
    table.Reset(room);
    EXPECT_EQ(table.size(), 0u);
    EXPECT_FALSE(table.Contains(IdAt(5)));
    std::set<Id128> set;
    for (int i = 0; i < 3000; ++i) {
      Id128 id;  // some of them zeros
      const std::uint64_t word = random() % 2000;
      std::memcpy(id.bytes.data() + 4, &word, sizeof(word));
      EXPECT_EQ(table.Insert(id).second, set.insert(id).second);
    }
    EXPECT_EQ(table.size(), set.size());
    std::size_t seen = 0;
    table.ForEach([&](const Id128& id, std::uint32_t) { seen += set.count(id); });
    EXPECT_EQ(seen, set.size());
  }
}

// ---- whole stores ------------------------------------------------------------------------------

constexpr std::uint64_t kLittle = 1000;  // bytes: some forty ids

class Passes : public LookTest {
 protected:
  Passes() { options_.format.array_chunk_bytes = 4096; }

  std::unique_ptr<Store> OpenWith(std::uint64_t table_bytes) {
    options_.table_bytes = table_bytes;
    auto store = OpenToRead();
    options_.table_bytes = OpenStoreOptions().table_bytes;
    EXPECT_TRUE(store->Refresh().ok());
    return store;
  }
  // Chunks of several series: shared ones, of which two packs have copies, and garbage.
  void SaveMany() {
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(60000, 1)}}, "garbage");
    SaveArrays(store.get(), {{"x", Numbers(60000, 2)}}, "a");
    auto beside = Open();
    SaveOptions one, other;
    one.series = "b";
    other.series = "c";
    auto first = ArrayWriter::Begin(store.get(), one);
    auto second = ArrayWriter::Begin(beside.get(), other);
    ASSERT_TRUE(first.ok() && second.ok());
    const std::vector<double> both = Numbers(50000, 3);
    ArrayShape shape;
    shape.dtype = Dtype::kFloat64;
    shape.shape = {both.size()};
    ASSERT_OK((*first)->Put("x", std::as_bytes(std::span(both)), shape));
    ASSERT_OK((*second)->Put("x", std::as_bytes(std::span(both)), shape));
    ASSERT_OK((*first)->End().status());
    ASSERT_OK((*second)->End().status());
    WriteFile(tmp_ / "d/f", RandomText(3 << 20, 4));
    SaveDir(store.get(), "files");
    Remove(store.get(), "garbage");
  }
  // Steps of which each is a small difference from the one before.
  void SaveDeltas() {
    auto store = Open();
    std::vector<double> state = Numbers(60000, 5);
    for (int step = 0; step < 4; ++step) {
      for (std::size_t i = static_cast<std::size_t>(step); i < state.size(); i += 500) ++state[i];
      SaveArrays(store.get(), {{"x", state}}, "deltas");
    }
    auto removals = PlanRemoval(store.get(), {"deltas@1"}, true);  // the bases' own checkpoint
    ASSERT_TRUE(removals.ok()) << removals.status().ToString();
    ASSERT_OK(CommitRemovals(store.get(), *removals, 0));
  }
  static void Remove(Store* store, const std::string& series) {
    ASSERT_OK(store->Refresh());
    auto removals = PlanRemoval(store, {series}, true);
    ASSERT_TRUE(removals.ok()) << removals.status().ToString();
    ASSERT_OK(CommitRemovals(store, *removals, 0));
  }

  static std::string StatsOf(Store* store) {
    auto s = GetStats(store);
    if (!s.ok()) return s.status().ToString();
    std::string text;
    for (std::uint64_t n :
         {s->series, s->checkpoints, s->logical_bytes, s->unique_bytes, s->live_bytes,
          s->stored_bytes, s->chunks, s->packs, s->garbage_bytes, s->reserve_bytes}) {
      text += std::to_string(n) + " ";
    }
    return text;
  }
  static std::string CheckOf(Store* store, const CheckOptions& options) {
    auto report = CheckStore(store, options);
    if (!report.ok()) return report.status().ToString();
    std::string text = std::to_string(report->packs) + " packs " +
                       std::to_string(report->checkpoints) + " checkpoints " +
                       std::to_string(report->chunks) + " chunks " +
                       std::to_string(report->newest_sound.size()) + " sound\n";
    if (options.part_percent == 100.0) text += std::to_string(report->verified_bytes) + "\n";
    for (const FoundDamage& found : report->damage) {
      text += found.pack_id.ToHex() + " " + std::to_string(found.offset) + " " + found.what + " " +
              std::to_string(found.chunks.size());
      for (const std::string& hurt : found.checkpoints) text += " " + hurt;
      text += "\n";
    }
    return text;
  }
  static std::string DryRunOf(Store* store) {
    CollectOptions options;
    options.dry_run = true;
    auto collector = Collector::Open(store, options);
    Collected c;
    Status run = collector.ok() ? (*collector)->Run({}, &c) : collector.status();
    if (!run.ok()) return run.ToString();
    return std::to_string(c.freed_bytes) + " freed " + std::to_string(c.rewritten_bytes) +
           " rewritten " + std::to_string(c.packs_removed) + " packs";
  }
  void ExpectTheSame() {
    auto at_once = OpenWith(OpenStoreOptions().table_bytes);
    for (const std::uint64_t bytes : {kLittle, 3 * kLittle}) {
      auto in_passes = OpenWith(bytes);
      EXPECT_EQ(StatsOf(in_passes.get()), StatsOf(at_once.get()));
      EXPECT_EQ(DryRunOf(in_passes.get()), DryRunOf(at_once.get()));
      for (CheckOptions options :
           {CheckOptions{.quick = true}, CheckOptions{}, CheckOptions{.part_percent = 99.999}}) {
        EXPECT_EQ(CheckOf(in_passes.get(), options), CheckOf(at_once.get(), options));
      }
    }
  }
};

TEST_F(Passes, SoundStoreLooksTheSame) {
  SaveMany();
  auto store = OpenWith(kLittle);
  EXPECT_GT(GetStats(store.get())->chunks, IdTable<bool>::IdsIn(3 * kLittle));
  EXPECT_NE(DryRunOf(store.get()), "0 freed 0 rewritten 0 packs");
  ExpectTheSame();
}

TEST_F(Passes, DeltasAndTheirBasesLookTheSame) {
  SaveMany();
  SaveDeltas();
  ExpectTheSame();
}

TEST_F(Passes, DamageLooksTheSame) {
  SaveMany();
  {
    auto store = Open();
    std::size_t n = 0;
    for (const std::string& pack : Packs()) {
      for (const auto& [id, place] : PayloadPlaces(store.get(), pack)) {
        if (++n % 20 == 0) FlipByte(pack, place);
      }
    }
  }
  auto found = CheckStore(OpenWith(kLittle).get(), {});
  ASSERT_TRUE(found.ok());
  EXPECT_GT(found->damage.size(), 3u);
  ExpectTheSame();
}

TEST_F(Passes, DamagedDeltasLookTheSame) {
  SaveDeltas();
  {
    auto store = Open();
    auto places = PayloadPlaces(store.get(), BigPack());
    FlipByte(BigPack(), places.begin()->second);
    FlipByte(BigPack(), places.rbegin()->second);
  }
  ExpectTheSame();
}

TEST_F(Passes, AMissingPackLooksTheSame) {
  SaveMany();
  ASSERT_GT(Packs().size(), 1u);
  std::filesystem::remove(Packs().front());
  ExpectTheSame();
}

TEST_F(Passes, AStoreCutShortLooksTheSame) {
  SaveMany();
  std::filesystem::resize_file(BigPack(), std::filesystem::file_size(BigPack()) * 2 / 3);
  ExpectTheSame();
}

// ---- content that has the bytes of a node ------------------------------------------------------

// A series "content" whose data are the root of the list of "melt"'s, and that is looked at first.
class NodeAsContent : public Passes {
 protected:
  NodeAsContent() : state_(Numbers(60000, 1)) {
    Bytes node;
    {
      auto store = Open();
      SaveArrays(store.get(), {{"x", state_}});
      auto reader = CheckpointReader::Open(store.get(), "melt");
      auto found = (*reader)->Find("x");
      const NodeRef& root = found->entry->content.root;
      EXPECT_EQ(root.how, NodeRef::How::kChunk);
      node = *found->fetcher->GetNode(root.id, root.raw_bytes);
    }
    std::filesystem::remove_all(tmp_ / "store");
    EXPECT_LE(node.size(), 4096u);
    auto store = Open();
    SaveArrays(store.get(), {{"x", Numbers(300000, 2)}}, "garbage");
    auto writer = Begin(store.get(), "content");
    Put(writer.get(), "x", Dtype::kUint8, node);
    EXPECT_TRUE(writer->End().ok());
    SaveArrays(store.get(), {{"x", state_}});
    Remove(store.get(), "garbage");
  }
  static std::unique_ptr<ArrayWriter> Begin(Store* store, const std::string& series) {
    SaveOptions options;
    options.series = series;
    auto writer = ArrayWriter::Begin(store, options);
    EXPECT_TRUE(writer.ok()) << writer.status().ToString();
    return *std::move(writer);
  }
  static void Put(ArrayWriter* writer, const std::string& name, Dtype dtype, ByteSpan bytes) {
    ArrayShape shape;
    shape.dtype = dtype;
    shape.shape = {bytes.size() / *ElementBytesOf(dtype)};
    EXPECT_TRUE(writer->Put(name, bytes, shape).ok());
  }
  const std::vector<double> state_;
};

TEST_F(NodeAsContent, IsEnteredByACollection) {
  {
    auto store = Open();
    auto collector = Collector::Open(store.get(), {});
    Collected collected;
    ASSERT_OK((*collector)->Run({}, &collected));
    EXPECT_GE(collected.packs_removed, 1u);
  }
  auto store = OpenToRead();
  auto reader = CheckpointReader::Open(store.get(), "melt");
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  std::vector<double> back(state_.size());
  ASSERT_OK((*reader)->Get("x", std::as_writable_bytes(std::span(back))));
  EXPECT_EQ(back, state_);
}

// In one checkpoint, the content by an earlier name.
TEST_F(NodeAsContent, IsEnteredByInspect) {
  auto store = Open();
  Bytes node;
  {
    auto reader = CheckpointReader::Open(store.get(), "content");
    node.resize((*(*reader)->Find("x")).entry->logical_bytes);
    ASSERT_OK((*reader)->Get("x", node));
  }
  auto writer = Begin(store.get(), "both");
  Put(writer.get(), "a", Dtype::kUint8, node);
  Put(writer.get(), "x", Dtype::kFloat64, std::as_bytes(std::span(state_)));
  ASSERT_TRUE(writer->End().ok());
  const auto stored = [&](const char* name) {
    std::uint64_t sum = 0;
    InspectVisitor visitor;
    visitor.pack = [&](const Id128&, std::uint64_t bytes) {
      sum += bytes;
      return Status();
    };
    EXPECT_TRUE(InspectCheckpoint(store.get(), name, visitor).ok());
    return sum;
  };
  EXPECT_GE(stored("both"), stored("melt"));
  auto estimates = EstimateEfforts(store.get(), "both");
  ASSERT_TRUE(estimates.ok());
  EXPECT_GE((*estimates)[0].sampled_bytes, state_.size() * sizeof(double));
}

TEST_F(NodeAsContent, IsEnteredByStats) {
  auto store = OpenToRead();
  EXPECT_GT(GetStats(store.get())->unique_bytes, state_.size() * sizeof(double));
  ExpectTheSame();
}

}  // namespace
}  // namespace ckpt
