#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "store/manifest/entry_coding.h"
#include "store/manifest/tree_writer.h"
#include "tests/manifest/entry_samples.h"

namespace ckpt {
namespace {

using Flat = std::map<std::string, Entry>;
using Changes = std::vector<std::pair<std::optional<Entry>, std::optional<Entry>>>;

std::vector<Entry> Values(const Flat& flat) {
  std::vector<Entry> entries;
  for (const auto& [name, entry] : flat) entries.push_back(entry);
  return entries;
}

Changes NaiveDiff(const Flat& before, const Flat& after) {
  std::set<std::string> names;
  for (const auto& [name, entry] : before) names.insert(name);
  for (const auto& [name, entry] : after) names.insert(name);
  Changes changes;
  for (const std::string& name : names) {
    std::optional<Entry> b, a;
    if (before.contains(name)) b = before.at(name);
    if (after.contains(name)) a = after.at(name);
    if (b != a) changes.emplace_back(b, a);
  }
  return changes;
}

Result<Changes> TreeDiff(const TreeRef& before, const TreeRef& after, MemoryChunks* store) {
  Changes changes;
  Status status = DiffEntryTables(before, store, after, store, [&](const Entry* b, const Entry* a) {
    changes.emplace_back(b ? std::optional(*b) : std::nullopt,
                         a ? std::optional(*a) : std::nullopt);
    return Status();
  });
  if (!status.ok()) return status;
  return changes;
}

void Mutate(std::size_t changes, std::mt19937* random, Flat* flat) {
  for (std::size_t i = 0; i < changes; ++i) {
    auto at = flat->empty() ? flat->end() : std::next(flat->begin(), (*random)() % flat->size());
    switch ((*random)() % 3) {
      case 0: {
        std::string name = OddName(random);
        (*flat)[name] = FileEntry(name, "new");
        break;
      }
      case 1:
        if (at != flat->end()) flat->erase(at);
        break;
      default:
        if (at != flat->end()) at->second.mtime_ns += 1;
    }
  }
}

// A table with nodes of another division: `fan_out` items each.
TreeRef BuildDivided(const std::vector<Entry>& entries, std::uint32_t fan_out, ChunkSink* sink) {
  TreeWriter writer({TreeKind::kEntryTable, fan_out, fan_out, kNodeFullBytes, 8}, sink);
  for (const Entry& entry : entries) {
    Bytes encoded;
    EncodeEntry(entry, &encoded);
    EXPECT_TRUE(writer.Add({encoded, entry.name, nullptr, entry.logical_bytes, 1}).ok());
  }
  Result<TreeRef> tree = writer.Finish();
  EXPECT_TRUE(tree.ok()) << tree.status().ToString();
  return tree.ok() ? *tree : TreeRef{};
}

TEST(EntryTableDiff, AgreesWithFlatMaps) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed) {
    std::mt19937 random(seed);
    Flat before;
    Mutate(*rc::gen::inRange(0, 600), &random, &before);
    Flat after = before;
    Mutate(*rc::gen::inRange(0, 40), &random, &after);
    MemoryChunks store;
    Result<Changes> changes =
        TreeDiff(BuildTable(Values(before), &store), BuildTable(Values(after), &store), &store);
    RC_ASSERT(changes.ok());
    RC_ASSERT(*changes == NaiveDiff(before, after));
  }));
}

TEST(EntryTableDiff, AgreesForTablesOfDifferentDivisionsAndHeights) {
  std::mt19937 random(8);
  for (std::uint32_t fan_out : {4u, 7u, 50u, 1000u}) {
    Flat before;
    Mutate(1500, &random, &before);
    Flat after = before;
    Mutate(20, &random, &after);
    MemoryChunks store;
    TreeRef one = BuildTable(Values(before), &store);
    TreeRef other = BuildDivided(Values(after), fan_out, &store);
    for (bool swapped : {false, true}) {
      Result<Changes> changes =
          swapped ? TreeDiff(other, one, &store) : TreeDiff(one, other, &store);
      ASSERT_TRUE(changes.ok()) << changes.status().ToString();
      EXPECT_EQ(*changes, swapped ? NaiveDiff(after, before) : NaiveDiff(before, after));
    }
  }
}

TEST(EntryTableDiff, EqualTablesFetchNothing) {
  MemoryChunks store;
  TreeRef tree = BuildTable(ManyFiles(1000), &store);
  store.gets = 0;
  EXPECT_TRUE(TreeDiff(tree, tree, &store)->empty());
  EXPECT_EQ(store.gets, 0u);
}

TEST(EntryTableDiff, OneChangeInManyFetchesFewNodes) {
  std::vector<Entry> entries = ManyFiles(50000);
  MemoryChunks store;
  TreeRef before = BuildTable(entries, &store);
  for (std::size_t at : {0u, 20000u, 49999u}) {
    std::vector<Entry> other = entries;
    other[at].mtime_ns = 1;
    other.insert(other.begin() + 30000, FileEntry(other[29999].name + "+"));
    TreeRef after = BuildTable(other, &store);
    store.gets = 0;
    EXPECT_EQ(TreeDiff(before, after, &store)->size(), 2u);
    EXPECT_LE(store.gets, 24u);
  }
}

TEST(EntryTableDiff, TableThatGrewALevelSharesItsSubtrees) {
  MemoryChunks store;
  std::vector<Entry> entries = ManyFiles(60000);
  std::vector<Entry> fewer(entries.begin(), entries.begin() + 2500);
  TreeRef small = BuildTable(fewer, &store);
  TreeRef large = BuildTable(entries, &store);
  ASSERT_LT(small.level, large.level);
  // Only where the small table ends are nodes of it read again.
  std::size_t shared_leaves = 0;
  for (const auto& [id, raw] : store.chunks) shared_leaves += raw[0] == std::byte{3} ? 1 : 0;
  store.gets = 0;
  EXPECT_EQ(TreeDiff(small, large, &store)->size(), 57500u);
  EXPECT_LT(store.gets, shared_leaves);
}

TEST(EntryTableDiff, EmptySidesReportEverything) {
  MemoryChunks store;
  TreeRef tree = BuildTable(ManyFiles(100), &store);
  EXPECT_EQ(TreeDiff(TreeRef{}, tree, &store)->size(), 100u);
  EXPECT_EQ(TreeDiff(tree, TreeRef{}, &store)->size(), 100u);
  EXPECT_TRUE(TreeDiff(TreeRef{}, TreeRef{}, &store)->empty());
}

TEST(EntryTableDiff, VisitorsErrorEndsIt) {
  MemoryChunks store;
  TreeRef tree = BuildTable(ManyFiles(100), &store);
  int calls = 0;
  Status status = DiffEntryTables(TreeRef{}, &store, tree, &store, [&](const Entry*, const Entry*) {
    return ++calls == 3 ? Cancelled("enough") : Status();
  });
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace ckpt
