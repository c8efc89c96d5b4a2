#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/manifest/entry_samples.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

// Entries of all kinds under odd names.
std::vector<Entry> OddEntries(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::set<std::string> names;
  while (names.size() < count) names.insert(OddName(&random));
  std::vector<Entry> entries;
  for (const std::string& name : names) {
    entries.push_back(EntryOfKind(static_cast<EntryKind>(random() % 6), name, random() % 100000));
    if (entries.back().kind != EntryKind::kHardLink) continue;
    entries.back().target = *names.begin();
    if (name == *names.begin()) entries.back() = EntryOfKind(EntryKind::kDirectory, name);
  }
  return entries;
}

TEST(EntryTable, RoundTripsOddNamesAtEverySize) {
  for (std::size_t count : {0, 1, 2, 7, 8, 9, 63, 64, 1000, 5000}) {
    MemoryChunks store;
    std::vector<Entry> entries = OddEntries(count, static_cast<std::uint32_t>(count));
    Result<std::vector<Entry>> back = ReadTable(BuildTable(entries, &store), &store);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_EQ(*back, entries);
  }
}

TEST(EntryTable, RoundTripsByProperty) {
  EXPECT_TRUE(rc::check([](std::uint32_t seed) {
    MemoryChunks store;
    std::vector<Entry> entries = OddEntries(*rc::gen::inRange(0, 200), seed);
    Result<std::vector<Entry>> back = ReadTable(BuildTable(entries, &store), &store);
    RC_ASSERT(back.ok());
    RC_ASSERT(*back == entries);
  }));
}

TEST(EntryTable, EmptyTableIsAnEmptyTree) {
  MemoryChunks store;
  TreeRef tree = BuildTable({}, &store);
  EXPECT_EQ(tree, TreeRef{});
  EntryTableReader reader(tree, &store);
  EXPECT_FALSE((*reader.Find("x")).has_value());
}

TEST(EntryTable, NamesOutOfOrderOrTwiceAreRefused) {
  MemoryChunks store;
  EntryTableBuilder builder(&store);
  ASSERT_TRUE(builder.Add(FileEntry("b")).ok());
  EXPECT_EQ(builder.Add(FileEntry("b")).code(), Code::kInvalidArgument);
  EXPECT_EQ(builder.Add(FileEntry("a")).code(), Code::kInvalidArgument);
  ASSERT_TRUE(builder.Add(FileEntry("\xff")).ok());  // bytes are unsigned
  EXPECT_EQ(builder.entries(), 2u);
}

TEST(EntryTable, LargestEntriesFitInTheirNodes) {
  MemoryChunks store;
  std::vector<Entry> entries;
  for (char c = 'a'; c <= 'z'; ++c) {
    entries.push_back(FileEntry(std::string(1, c)));
    // The first of each pair fills its node to just below 64 KiB, the second is as large as can be.
    entries.back().xattrs = {{"x", std::string(65000, c)}};
    entries.push_back(FileEntry(std::string(2, c)));
    entries.back().xattrs.assign(14, {"x", std::string(65536, c)});
    entries.back().xattrs.push_back({"y", std::string(980992 - 2 - 14 * 65545 - 9, c)});
  }
  Result<std::vector<Entry>> back = ReadTable(BuildTable(entries, &store), &store);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(*back, entries);
  entries[1].xattrs.back().second += 'x';
  EntryTableBuilder builder(&store);
  EXPECT_EQ(builder.Add(entries[1]).code(), Code::kInvalidArgument);
}

TEST(EntryTable, LongNamesKeepNodesBelowTheLimit) {
  MemoryChunks store;
  std::vector<Entry> entries;
  for (int i = 0; i < 3000; ++i) {
    std::string name = std::to_string(100000 + i);
    while (name.size() < 4000) name += "/" + std::string(250, 'x');
    entries.push_back(FileEntry(name));
  }
  Result<std::vector<Entry>> back = ReadTable(BuildTable(entries, &store), &store);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(*back, entries);
  for (const auto& [id, raw] : store.chunks) EXPECT_LT(raw.size(), (64u << 10) + 8192);
}

// The page's rule, applied by hand to the leaves.
TEST(EntryTable, LeavesEndWhereThePageSays) {
  MemoryChunks store;
  std::vector<Entry> entries = ManyFiles(5000);
  TreeRef tree = BuildTable(entries, &store);
  std::multiset<std::size_t> wanted;
  std::size_t size = 0;
  for (const Entry& entry : entries) {
    ++size;
    if (size >= 8 && Checksum64(AsBytes(entry.name)) % 64 == 0) {
      wanted.insert(size);
      size = 0;
    }
  }
  if (size > 0) wanted.insert(size);
  std::multiset<std::size_t> leaves;
  for (const auto& [id, raw] : store.chunks) {
    if (raw[0] == std::byte{3}) leaves.insert(LoadU32(raw.data() + 4));
  }
  EXPECT_EQ(leaves, wanted);
}

TEST(EntryTable, OneChangeInManyCostsFewNodes) {
  const std::size_t kCount = kSanitized ? 20000 : 100000;
  std::vector<Entry> entries = ManyFiles(kCount);
  MemoryChunks store;
  BuildTable(entries, &store);
  EXPECT_GT(store.chunks.size(), kCount / 100);
  for (std::size_t at : {std::size_t{0}, kCount / 3, kCount / 2, kCount - 1}) {
    for (int what = 0; what < 3; ++what) {
      std::vector<Entry> other = entries;
      auto place = other.begin() + static_cast<std::ptrdiff_t>(at);
      if (what == 0) other.insert(place + 1, FileEntry(other[at].name + "+"));
      if (what == 1) other.erase(place);
      if (what == 2) place->mtime_ns = 5;
      store.new_nodes = 0;
      BuildTable(other, &store);
      EXPECT_LE(store.new_nodes, 10u) << "change " << what << " at " << at;
      EXPECT_GE(store.new_nodes, 1u) << "change " << what << " at " << at;
    }
  }
}

TEST(EntryTable, FindAgreesWithAFlatMap) {
  MemoryChunks store;
  std::vector<Entry> entries = OddEntries(3000, 77);
  std::map<std::string, Entry> flat;
  for (const Entry& entry : entries) flat[entry.name] = entry;
  EntryTableReader reader(BuildTable(entries, &store), &store);
  std::mt19937 random(3);
  for (int round = 0; round < 3000; ++round) {
    std::string name = entries[random() % entries.size()].name;
    if (round % 3 == 1) name += static_cast<char>(1 + random() % 255);
    if (round % 3 == 2) name = OddName(&random);
    Result<std::optional<Entry>> found = reader.Find(name);
    ASSERT_TRUE(found.ok()) << found.status().ToString();
    auto wanted = flat.find(name);
    ASSERT_EQ(found->has_value(), wanted != flat.end());
    if (wanted != flat.end()) {
      ASSERT_EQ(**found, wanted->second);
    }
  }
}

TEST(EntryTable, FindDoesNotDisturbNext) {
  MemoryChunks store;
  std::vector<Entry> entries = ManyFiles(500);
  EntryTableReader reader(BuildTable(entries, &store), &store);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    ASSERT_TRUE((*reader.Find(entries[(i * 37) % 500].name)).has_value());
    Result<std::optional<Entry>> next = reader.Next();
    ASSERT_TRUE(next.ok() && next->has_value());
    EXPECT_EQ((*next)->name, entries[i].name);
  }
}

TEST(EntryTable, FindInOrderFetchesEachNodeOnce) {
  MemoryChunks store;
  std::vector<Entry> entries = ManyFiles(5000);
  TreeRef tree = BuildTable(entries, &store);
  EntryTableReader reader(tree, &store);
  store.gets = 0;
  for (const Entry& entry : entries) ASSERT_TRUE((*reader.Find(entry.name)).has_value());
  EXPECT_EQ(store.gets, store.chunks.size());
}

}  // namespace
}  // namespace ckpt
