// Writers beside a collector, step by step: the collector's transitions are called one by one, with
// saves of other processes begun, half done or committed between any two of them.

#include <gtest/gtest.h>

#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT
using Kind = Collector::Kind;

// A store with steps 1 ... 4 in packs of several writers, 1 and 2 removed: garbage in every pack.
struct Yard {
  explicit Yard(std::uint64_t seed = 3) : world(seed) {
    store = *OpenAt(&world);
    // Held open, so that the next save must begin a pack of its own.
    for (std::int64_t step : {1, 2, 3, 4}) {
      EXPECT_TRUE(Save(store.get(), step, true).ok());
      told.tried.insert(step);
      told.acknowledged.insert(step);
      held.push_back(*ChunkWriter::Open(store.get()));
      EXPECT_TRUE(held.back()->Commit(false).ok());
    }
    held.clear();
    for (std::int64_t step : {1, 2}) {
      EXPECT_TRUE(Remove(store.get(), step).ok());
      told.removing.insert(step);
      told.removed.insert(step);
    }
  }
  std::unique_ptr<Collector> NewCollector(std::int64_t wait_ms = 0) {
    CollectOptions options;
    options.wait_ms = wait_ms;
    options.live_share = 1.0;
    auto collector = Collector::Open(store.get(), options);
    EXPECT_TRUE(collector.ok()) << collector.status().ToString();
    return *std::move(collector);
  }
  void Acknowledge(std::int64_t step) {
    told.tried.insert(step);
    told.acknowledged.insert(step);
  }

  SimWorld world;
  std::unique_ptr<Store> store;
  std::vector<std::unique_ptr<ChunkWriter>> held;
  Told told;
};

// The phases between which a writer acts; the collector is at phase k after k calls.
constexpr int kPhases = 8;
Status Advance(Collector* collector, int phase, bool* worth) {
  switch (phase) {
    case 0: {
      CKPT_RETURN_IF_ERROR(collector->Resume());
      return collector->Survey({});
    }
    case 1: {
      CKPT_ASSIGN_OR_RETURN(*worth, collector->Choose(Kind::kSparse));
      if (!*worth) return Status();
      return collector->Condemn();
    }
    case 2: {
      CKPT_ASSIGN_OR_RETURN(bool acknowledged, collector->AwaitAcks());
      return acknowledged ? Status() : Busy("a writer did not acknowledge");
    }
    case 3:
      return collector->SecondLook();
    case 4:
      return collector->Copy();
    case 5:
      return collector->Decide();
    case 6:
      return collector->Unlink();
    default:
      return collector->Finish();
  }
}

// A save begun before phase `begin`, its second half put before `middle`, ended before `end`.
void Interleave(std::uint64_t seed, int begin, int middle, int end, bool look_up,
                bool remove_parent) {
  std::string when = "begun " + std::to_string(begin) + ", went on " + std::to_string(middle) +
                     ", ended " + std::to_string(end) + (look_up ? ", looking up" : "") +
                     (remove_parent ? ", parent removed" : "");
  Yard yard(seed);  // which pack is whose depends on random ids
  auto process = yard.world.NewProcess();
  auto store = OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  ASSERT_TRUE(store.ok()) << when;
  auto collector = yard.NewCollector();
  std::unique_ptr<Saving> saving;
  bool worth = true;
  for (int phase = 0; phase <= kPhases && worth; ++phase) {
    if (phase == begin) {
      auto begun = Saving::Begin(store->get(), 9);
      ASSERT_TRUE(begun.ok()) << when << ": " << begun.status().ToString();
      saving = *std::move(begun);
      ASSERT_TRUE(saving->Put(0, 4, look_up).ok()) << when;
      if (remove_parent) {
        ASSERT_TRUE(Remove(yard.store.get(), 4, true).ok()) << when;
        yard.told.removing.insert(4);
        yard.told.removed.insert(4);
      }
    }
    if (phase == middle) {
      Status put = saving->Put(4, kBlocks, look_up);
      ASSERT_TRUE(put.ok()) << when << ": " << put.ToString();
    }
    if (phase == end) {
      auto saved = saving->End();
      ASSERT_TRUE(saved.ok()) << when << ": " << saved.status().ToString();  // I7
      yard.Acknowledge(9);
      saving.reset();
    }
    if (saving != nullptr) {
      ASSERT_TRUE(saving->writer()->chunks()->PollEpoch().ok()) << when;
    }
    if (phase == kPhases) break;
    Status s = Advance(collector.get(), phase, &worth);
    if (s.code() == Code::kBusy) {
      // Condemn, then no acknowledgement yet: the writer polls, the collector looks again.
      ASSERT_EQ(phase, 2) << when;
      if (saving != nullptr) {
        ASSERT_TRUE(saving->writer()->chunks()->PollEpoch().ok()) << when;
      }
      s = Advance(collector.get(), phase, &worth);
    }
    ASSERT_TRUE(s.ok()) << when << ", phase " << phase << ": " << s.ToString();
  }
  if (!worth && saving != nullptr) {
    ASSERT_TRUE(middle > 1 ? saving->Put(4, kBlocks, look_up).ok() : true) << when;
    ASSERT_TRUE(saving->End().ok()) << when;
    yard.Acknowledge(9);
  }
  collector.reset();
  auto fresh = OpenAt(process.get(), OpenStoreOptions::Mode::kRead);
  ASSERT_TRUE(fresh.ok()) << when;
  ExpectHolds(fresh->get(), yard.told, when);
  // And everything again after a further collection.
  auto again = Collect(yard.store.get());
  ASSERT_TRUE(again.ok()) << when << ": " << again.status().ToString();
  fresh = OpenAt(process.get(), OpenStoreOptions::Mode::kRead);
  ExpectHolds(fresh->get(), yard.told, when + ", collected again");
  fresh->reset();
  auto after = yard.world.Crash(NothingKept());
  fresh = OpenAt(after.get(), OpenStoreOptions::Mode::kWrite);
  ASSERT_TRUE(fresh.ok()) << when;
  ExpectHolds(fresh->get(), yard.told, when + ", power lost");
}

TEST(WriterProtocol, SaveBesideEveryPhaseCommitsAndHolds) {
  SampledSweep sweep;
  for (int begin = 0; begin <= kPhases; ++begin) {
    for (int middle = begin; middle <= kPhases; ++middle) {
      for (int end = middle; end <= kPhases; ++end) {
        for (bool look_up : {false, true}) {
          for (bool remove_parent : {false, true}) {
            for (std::uint64_t seed = 1; seed <= (kSanitized ? 1 : 3); ++seed) {
              if (sweep.Takes()) Interleave(seed, begin, middle, end, look_up, remove_parent);
              if (HasFailure()) return;
            }
          }
        }
      }
    }
  }
}

// The collector does reach its end beside such writers, and takes something away.
TEST(WriterProtocol, CollectorEndsBesideIdleWriterThatAcknowledges) {
  Yard yard;
  auto process = yard.world.NewProcess();
  auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  auto saving = *Saving::Begin(store.get(), 9);
  auto collector = yard.NewCollector();
  bool worth = false;
  ASSERT_TRUE(Advance(collector.get(), 0, &worth).ok());
  ASSERT_TRUE(Advance(collector.get(), 1, &worth).ok());
  ASSERT_TRUE(worth);
  EXPECT_EQ(Advance(collector.get(), 2, &worth).code(), Code::kBusy);
  ASSERT_TRUE(saving->writer()->chunks()->PollEpoch().ok());
  for (int phase = 2; phase < kPhases; ++phase) {
    Status s = Advance(collector.get(), phase, &worth);
    ASSERT_TRUE(s.ok()) << phase << ": " << s.ToString();
  }
  EXPECT_GT(collector->collected().packs_removed, 0u);
}

// What it inherited is moved in the first epoch, its parent removed, and the place it was moved to
// condemned in the second.
TEST(WriterProtocol, SaveThatOutlivesTwoEpochsHolds) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    std::string when = "seed " + std::to_string(seed);
    Yard yard(seed);
    auto process = yard.world.NewProcess();
    auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
    auto saving = *Saving::Begin(store.get(), 9);
    ASSERT_TRUE(saving->Put(0, 4).ok()) << when;
    for (int epoch = 0; epoch < 2; ++epoch) {
      auto collector = yard.NewCollector();
      bool worth = false;
      for (int phase = 0; phase < kPhases && (phase < 2 || worth); ++phase) {
        Status s = Advance(collector.get(), phase, &worth);
        ASSERT_TRUE(s.ok()) << when << ": " << s.ToString();
        ASSERT_TRUE(saving->writer()->chunks()->PollEpoch().ok()) << when;
      }
      collector.reset();
      if (epoch == 1) break;
      ASSERT_TRUE(Remove(yard.store.get(), 4, true).ok()) << when;
      yard.told.removing.insert(4);
      yard.told.removed.insert(4);
    }
    ASSERT_TRUE(saving->Put(4, kBlocks).ok()) << when;
    ASSERT_TRUE(saving->End().ok()) << when;
    yard.Acknowledge(9);
    saving.reset();
    ASSERT_TRUE(Collect(yard.store.get()).ok()) << when;
    auto fresh = *OpenAt(process.get(), OpenStoreOptions::Mode::kRead);
    ExpectHolds(fresh.get(), yard.told, when);
  }
}

TEST(WriterProtocol, WriterThatDoesNotAnswerIsWaitedFor) {
  Yard yard;
  auto process = yard.world.NewProcess();
  auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  auto saving = *Saving::Begin(store.get(), 9);
  ASSERT_TRUE(saving->Put(0, kBlocks, true).ok());
  CollectOptions options;
  options.wait_ms = 100;
  options.live_share = 1.0;
  auto collector = *Collector::Open(yard.store.get(), options);
  Collected collected;
  ASSERT_TRUE(collector->Run({}, &collected).ok());
  EXPECT_GT(collected.packs_waiting, 0u);
  EXPECT_EQ(collected.packs_removed, 0u);
  collector.reset();
  EXPECT_EQ(ReadCollectState(yard.store.get())->phase, CollectPhase::kCondemned);
  ASSERT_TRUE(saving->End().ok());
  yard.Acknowledge(9);
  saving.reset();
  auto again = Collect(yard.store.get());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->packs_waiting, 0u);
  EXPECT_EQ(ReadCollectState(yard.store.get())->phase, CollectPhase::kIdle);
  ExpectHolds(yard.store.get(), yard.told, "after the second collection");
}

// The collector dies after each phase; the next one finishes what was decided, or begins anew.
TEST(WriterProtocol, CollectorThatDiesInAnyPhaseIsResumed) {
  for (int last = 0; last < kPhases; ++last) {
    Yard yard;
    {
      auto process = yard.world.NewProcess();
      auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
      CollectOptions options;
      options.live_share = 1.0;
      options.wait_ms = 0;
      auto collector = *Collector::Open(store.get(), options);
      bool worth = true;
      for (int phase = 0; phase <= last; ++phase) {
        ASSERT_TRUE(Advance(collector.get(), phase, &worth).ok()) << phase;
      }
      process->Kill();
    }
    auto collected = Collect(yard.store.get());
    ASSERT_TRUE(collected.ok()) << last << ": " << collected.status().ToString();
    EXPECT_EQ(ReadCollectState(yard.store.get())->phase, CollectPhase::kIdle) << last;
    ExpectHolds(yard.store.get(), yard.told, "collector died in phase " + std::to_string(last));
  }
}

// A writer of another host whose locks are not seen: waited for until a person breaks it; then its
// commit fails, and nothing of it is seen.
TEST(WriterProtocol, BrokenWriterOfAnotherHostCannotCommit) {
  Yard yard;
  yard.world.set_network_file_system(true);
  yard.world.set_locks(SimLocks::kPerHost);
  auto process = yard.world.NewProcess();
  Id128 host;
  host.bytes[3] = 7;
  process->set_host(host, "node7");
  auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  auto saving = *Saving::Begin(store.get(), 9);
  ASSERT_TRUE(saving->Put(0, kBlocks, true).ok());
  CollectOptions options;
  options.wait_ms = 50;
  options.live_share = 1.0;
  Collected collected;
  {
    auto collector = *Collector::Open(yard.store.get(), options);
    ASSERT_TRUE(collector->Run({}, &collected).ok());
    EXPECT_GT(collected.packs_waiting, 0u);
  }
  options.break_host_name = "nobody";
  {
    auto collector = *Collector::Open(yard.store.get(), options);
    EXPECT_EQ(collector->Run({}, &collected).code(), Code::kNotFound);
  }
  options.break_host_name = host.ToHex();
  {
    auto collector = *Collector::Open(yard.store.get(), options);
    Status run = collector->Run({}, &collected);
    ASSERT_TRUE(run.ok()) << run.ToString();
    EXPECT_EQ(collected.packs_waiting, 0u);
    EXPECT_GT(collected.packs_removed, 0u);
  }
  auto saved = saving->End();
  EXPECT_FALSE(saved.ok());
  saving.reset();
  ExpectHolds(yard.store.get(), yard.told, "after breaking");
  EXPECT_EQ(Restore(yard.store.get(), 9).code(), Code::kNotFound);
  // The host comes back with a new process.
  auto next = OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  ASSERT_TRUE(next.ok());
  EXPECT_TRUE(Save(next->get(), 10, true).ok());
}

TEST(WriterProtocol, WithoutLocksCollectionRefuses) {
  Yard yard;
  yard.world.set_locks(SimLocks::kUnsupported);
  auto collector = Collector::Open(yard.store.get(), {});
  ASSERT_FALSE(collector.ok());
  EXPECT_EQ(collector.status().code(), Code::kUnsupported);
}

TEST(WriterProtocol, SecondCollectorIsBusy) {
  Yard yard;
  auto first = yard.NewCollector();
  auto process = yard.world.NewProcess();
  auto store = *OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  CollectOptions options;
  options.wait_ms = 0;
  EXPECT_EQ(Collector::Open(store.get(), options).status().code(), Code::kBusy);
}

}  // namespace
}  // namespace ckpt
