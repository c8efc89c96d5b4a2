// What the index says is there, compared with what the packs say, when several processes' news
// reach the index late, out of order or not at all.

#include <gtest/gtest.h>

#include <random>

#include "store/index/lmdb_index.h"
#include "tests/engine/collect_fixture.h"
#include "tests/engine/look_fixture.h"

namespace ckpt {
namespace {

class IndexGap : public LookTest {
 protected:
  IndexGap() { options_.format.pack_bytes_max = 1u << 20; }

  // A process of its own, as it were.
  std::unique_ptr<Store> Another(bool use_index = true) {
    options_.use_index = use_index;
    return Open();
  }
  static std::set<std::string> Listed(Store* store) {
    std::set<std::string> names;
    EXPECT_TRUE(store->Refresh().ok());
    for (const char* series : {"a", "b", "c"}) {
      auto view = SeriesView::Load(store, series);
      if (!view.ok()) continue;
      for (const CheckpointRow& row : view->rows()) {
        names.insert(FormatCheckpointName(series, row.attempt, row.step));
      }
    }
    return names;
  }
  void ExpectIndexIsRight(const std::string& when) {
    const std::set<std::string> want = Listed(Another(false).get());
    EXPECT_EQ(Listed(Another().get()), want) << when;
  }
  // Holds what everybody who tells the index of something needs.
  std::unique_ptr<File> HoldPublishing() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(tmp_ / "store/index")) {
      if (entry.path().filename() != "publish.lock") continue;
      auto dir = PosixEnv()->OpenDir(entry.path().parent_path());
      auto lock = *(*dir)->OpenFile("publish.lock", {.mode = OpenMode::kReadWrite});
      EXPECT_TRUE(*lock->TryLock());
      return lock;
    }
    ADD_FAILURE() << "no publish.lock";
    return nullptr;
  }
};

TEST_F(IndexGap, NewsThatCameWhileTheIndexWasBusyAreMadeUpFor) {
  ASSERT_TRUE(collect_test::Save(Another().get(), 1, false, "a").ok());
  auto held = HoldPublishing();
  ASSERT_TRUE(collect_test::Save(Another().get(), 2, false, "a").ok());  // nobody is told
  auto store = Another();
  auto saving = collect_test::Saving::Begin(store.get(), 1, "b");
  ASSERT_TRUE(saving.ok());
  ASSERT_TRUE((*saving)->Put(0, collect_test::kBlocks).ok());
  held.reset();
  ASSERT_TRUE((*saving)->End().ok());
  saving->reset();
  store.reset();
  ExpectIndexIsRight("told after the gap");
}

TEST_F(IndexGap, WhatIsDroppedBetweenALookAndAScanIsNotMissed) {
  for (int step = 1; step <= 3; ++step) {
    ASSERT_TRUE(collect_test::Save(Another().get(), step, false, "a").ok());
  }
  auto store = Another();
  ASSERT_TRUE(store->Refresh().ok());
  std::string path;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tmp_ / "store/index")) {
    if (entry.path().filename() == "publish.lock") path = entry.path().parent_path().string();
  }
  auto index = OpenLmdbIndex(PosixEnv(), {path, store->format().uuid, PosixEnv()->HostId()});
  ASSERT_TRUE(index.ok()) << index.status().message();
  IndexUpdate drop;
  for (const PackCoverage& pack : *(*index)->Packs()) drop.dropped_packs.push_back(pack.pack_id);
  ASSERT_FALSE(drop.dropped_packs.empty());
  ASSERT_TRUE(*(*index)->Publish(drop));
  std::set<std::string> rows;  // without a look before
  ASSERT_TRUE(store
                  ->ScanRecords(AsBytes("M"), false,
                                [&](ByteSpan key, ByteSpan, const Id128&) {
                                  rows.emplace(AsText(key));
                                  return true;
                                })
                  .ok());
  EXPECT_EQ(rows.size(), 3u);
}

TEST_F(IndexGap, AnyOrderOfProcessesLeavesTheIndexRight) {
  for (std::uint64_t seed = 1; seed <= 12 && !HasFailure(); ++seed) {
    std::mt19937_64 random(seed);
    std::vector<std::unique_ptr<Store>> processes(3);
    std::unique_ptr<File> held;
    for (int i = 0; i < 25 && !HasFailure(); ++i) {
      auto& store = processes[random() % processes.size()];
      if (store == nullptr) store = Another();
      const std::string series(1, static_cast<char>('a' + random() % 3));
      switch (random() % 8) {
        case 0:
          store.reset();
          break;
        case 1: {
          auto newest = PlanRemoval(store.get(), {series}, true);
          if (newest.ok()) {
            EXPECT_TRUE(CommitRemovals(store.get(), *newest, 0).ok());
          }
          break;
        }
        case 2: {
          // Busy: a pack of another of these processes is at work, or nothing is.
          auto collected = collect_test::Collect(store.get());
          if (!collected.ok()) {
            EXPECT_EQ(collected.status().code(), Code::kBusy);
          }
          break;
        }
        case 3:
          if (held == nullptr) {
            held = HoldPublishing();
          } else {
            held.reset();
          }
          break;
        default: {
          SaveOptions options;
          options.series = series;
          options.step = 1000 * static_cast<std::int64_t>(seed) + i;
          Status saved = [&]() -> Status {
            CKPT_ASSIGN_OR_RETURN(auto saving,
                                  collect_test::Saving::Begin(store.get(), std::move(options)));
            CKPT_RETURN_IF_ERROR(saving->Put(0, collect_test::kBlocks));
            return saving->End().status();
          }();
          EXPECT_TRUE(saved.ok()) << saved.ToString();
        }
      }
    }
    processes.clear();
    held.reset();
    ExpectIndexIsRight("seed " + std::to_string(seed));
  }
}

}  // namespace
}  // namespace ckpt
