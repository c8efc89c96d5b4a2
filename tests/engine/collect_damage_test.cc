// The file `collect` damaged: any byte flipped, cut to any length, gone, while nothing is under
// way, with packs condemned and with them moved; at rest, and beside a collector and a writer that
// go on. Nothing acknowledged is lost, saves and collections go on, and `check` says what is amiss
// until a collection has mended it.

#include <gtest/gtest.h>

#include <cstdlib>

#include "store/engine/check.h"
#include "store/engine/collect_state.h"
#include "tests/engine/collect_fixture.h"

namespace ckpt {
namespace {

using namespace collect_test;  // NOLINT
using Kind = Collector::Kind;

constexpr std::uint64_t kHalfBytes = 65536;

// A store of several packs, with garbage in each, of which `phase` is what `collect` says. An epoch
// ended before: both slots are in use.
struct Heap {
  explicit Heap(CollectPhase phase, std::uint64_t seed = 3) : world(seed) {
    store = *OpenAt(&world);
    for (std::int64_t step : {1, 2, 3, 4, 5}) SaveApart(step);
    Drop(1);
    EXPECT_TRUE(Collect(store.get()).ok());
    for (std::int64_t step : {2, 3}) Drop(step);
    if (phase == CollectPhase::kIdle) return;
    auto collector = NewCollector();
    EXPECT_TRUE(collector->Resume().ok() && collector->Survey({}).ok());
    auto chosen = collector->Choose(Kind::kSparse);
    EXPECT_TRUE(chosen.ok() && *chosen);
    EXPECT_TRUE(collector->Condemn().ok());
    if (phase == CollectPhase::kCondemned) return;
    EXPECT_TRUE(collector->AwaitAcks().ok() && collector->SecondLook().ok());
    EXPECT_TRUE(collector->Copy().ok() && collector->Decide().ok());
  }
  // In a pack of its own.
  void SaveApart(std::int64_t step) {
    held.push_back(*ChunkWriter::Open(store.get()));
    EXPECT_TRUE(held.back()->Commit(false).ok());
    EXPECT_TRUE(Save(store.get(), step, true).ok());
    told.tried.insert(step);
    told.acknowledged.insert(step);
    held.clear();
  }
  void Drop(std::int64_t step) {
    EXPECT_TRUE(Remove(store.get(), step, true).ok());
    told.removing.insert(step);
    told.removed.insert(step);
  }
  std::unique_ptr<Collector> NewCollector() const {
    CollectOptions options;
    options.wait_ms = 0;
    options.live_share = 1.0;
    auto collector = Collector::Open(store.get(), options);
    EXPECT_TRUE(collector.ok()) << collector.status().ToString();
    return *std::move(collector);
  }

  SimWorld world;
  std::unique_ptr<Store> store;
  std::vector<std::unique_ptr<ChunkWriter>> held;
  Told told;
};

constexpr CollectPhase kPhasesAtRest[] = {CollectPhase::kIdle, CollectPhase::kCondemned,
                                          CollectPhase::kMoved};

std::unique_ptr<File> OpenCollect(Env* env) {
  auto dir = env->OpenDir("/store");
  EXPECT_TRUE(dir.ok());
  auto file = (*dir)->OpenFile("collect", OpenOptions{.mode = OpenMode::kReadWrite});
  EXPECT_TRUE(file.ok());
  return *std::move(file);
}

void FlipIn(File* file, std::uint64_t at) {
  std::byte byte{};
  ASSERT_TRUE(file->ReadExactAt(at, MutableByteSpan(&byte, 1)).ok());
  byte ^= std::byte{0x10};
  ASSERT_TRUE(file->WriteAt(at, ByteSpan(&byte, 1)).ok());
}

// Every byte with $CKPT_PROOF_FLIPS, else those that are used, and some of the zeros between.
std::uint64_t NextByte(std::uint64_t at) {
  constexpr std::uint64_t kUsedBytes = 256, kEndBytes = 16, kStride = kSanitized ? 997 : 61;
  if (std::getenv("CKPT_PROOF_FLIPS") != nullptr) return at + 1;
  std::uint64_t in_slot = at % kHalfBytes;
  if (in_slot < kUsedBytes || in_slot >= kHalfBytes - kEndBytes) return at + 1;
  return std::min(at + kStride, at - in_slot + kHalfBytes - kEndBytes);
}

// What the file says with one slot wiped, without the other.
CollectState StateWithout(const SimWorld& world, std::uint64_t slot_at) {
  auto copy = world.KillProcess();
  EXPECT_TRUE(OpenCollect(copy.get())->WriteAt(slot_at, Bytes(kHalfBytes)).ok());
  auto store = OpenAt(copy.get(), OpenStoreOptions::Mode::kRead);
  auto state = ReadCollectState(store->get());
  EXPECT_TRUE(state.ok() && state->known);
  return *state;
}

TEST(CollectDamage, AnyFlippedByteTakesItsSlotAndNoOther) {
  for (CollectPhase phase : kPhasesAtRest) {
    Heap heap(phase);
    ASSERT_EQ(ReadCollectState(heap.store.get())->phase, phase);
    const CollectState left[] = {StateWithout(heap.world, 0), StateWithout(heap.world, kHalfBytes)};
    auto file = OpenCollect(&heap.world);
    std::uint64_t tried = 0;
    for (std::uint64_t at = 0; at < 2 * kHalfBytes && !HasFailure(); at = NextByte(at), ++tried) {
      FlipIn(file.get(), at);
      auto state = ReadCollectState(heap.store.get());
      auto flaws = FindCollectFlaws(heap.store.get());
      ASSERT_TRUE(state.ok() && flaws.ok());
      EXPECT_EQ(*state, left[at / kHalfBytes]) << "byte " << at;
      EXPECT_EQ(flaws->slots, std::vector<std::uint64_t>{at / kHalfBytes * kHalfBytes});
      EXPECT_FALSE(flaws->lost);
      FlipIn(file.get(), at);
    }
    std::printf("proof: collect flipped, phase %u: %llu bytes\n", static_cast<unsigned>(phase),
                static_cast<unsigned long long>(tried));
  }
}

// What the one that was cut off had decided counts as freed by who does it.
TEST(CollectDamage, WhoEndsACollectionCountsWhatItFrees) {
  Heap heap(CollectPhase::kMoved);
  const auto packs = [&] { return (*heap.store->packs_dir()->List()).size(); };
  const std::size_t before = packs();
  auto collector = heap.NewCollector();
  Collected collected;
  ASSERT_TRUE(collector->Run({}, &collected).ok());
  EXPECT_LT(packs(), before);
  EXPECT_GE(collected.packs_removed, before - packs());
  EXPECT_GT(collected.freed_bytes, 0u);
}

TEST(CollectDamage, AnyCutIsSeen) {
  Heap heap(CollectPhase::kMoved);
  const CollectState left = StateWithout(heap.world, kHalfBytes);
  for (std::uint64_t size = 0; size < 2 * kHalfBytes && !HasFailure(); size = NextByte(size)) {
    auto copy = heap.world.KillProcess();
    ASSERT_TRUE(OpenCollect(copy.get())->Truncate(size).ok());
    auto store = OpenAt(copy.get(), OpenStoreOptions::Mode::kRead);
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(*ReadCollectState(store->get()), size < kHalfBytes ? CollectState() : left) << size;
    EXPECT_TRUE(FindCollectFlaws(store->get())->lost) << size;
  }
}

// What `check` says: damage, and a notice.
struct Said {
  std::string damage, notice;
};
Said CheckIt(Env* env) {
  Said said;
  OpenStoreOptions options;
  options.mode = OpenStoreOptions::Mode::kRead;
  options.threads = 1;
  options.use_index = false;
  options.notice = [&](std::string_view text) { said.notice += text; };
  auto store = Store::Open(env, "/store", options);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  if (!store.ok()) return said;
  auto report = CheckStore(store->get(), {});
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  if (!report.ok()) return said;
  for (const FoundDamage& found : report->damage) said.damage += found.what + "\n";
  return said;
}

// Saves and collects, in this order or the other; then all is as it was, and mended.
void ExpectGoesOn(SimWorld* world, Told told, bool save_first, const std::string& when) {
  auto store = OpenAt(world, OpenStoreOptions::Mode::kCreate);
  ASSERT_TRUE(store.ok()) << when << ": " << store.status().ToString();
  ExpectHolds(store->get(), told, when + ", opened");
  for (bool saves : {save_first, !save_first}) {
    Status s = saves ? Save(store->get(), 9, true) : Collect(store->get()).status();
    ASSERT_TRUE(s.ok()) << when << (saves ? ", save: " : ", gc: ") << s.ToString();
    if (saves) told.tried.insert(9);
    if (saves) told.acknowledged.insert(9);
    ExpectHolds(store->get(), told, when + (saves ? ", saved" : ", collected"));
  }
  Said after = CheckIt(world);
  EXPECT_EQ(after.damage + after.notice, "") << when;
}

TEST(CollectDamage, SavesAndCollectionsGoOn) {
  // Magic, version, phase, epoch, uuid, counts, an id, zeros, checksum.
  const std::uint64_t places[] = {0, 8, 12, 16, 24, 40, 44, 50, 40000, kHalfBytes - 3};
  for (CollectPhase phase : kPhasesAtRest) {
    Heap heap(phase);
    EXPECT_EQ(CheckIt(heap.world.KillProcess().get()).damage, "");
    bool save_first = false;
    SampledSweep sweep;
    for (std::uint64_t at : places) {
      for (int slots : {1, 2, 3}) {
        if (!sweep.Takes()) continue;
        auto copy = heap.world.KillProcess();
        if ((slots & 1) != 0) FlipIn(OpenCollect(copy.get()).get(), at);
        if ((slots & 2) != 0) FlipIn(OpenCollect(copy.get()).get(), kHalfBytes + at);
        const std::string when = "phase " + std::to_string(static_cast<int>(phase)) + ", byte " +
                                 std::to_string(at) + " of slots " + std::to_string(slots);
        Said said = CheckIt(copy.get());
        const std::string& told = slots == 3 ? said.damage : said.notice;
        EXPECT_NE(told.find("'collect'"), std::string::npos) << when << said.damage << said.notice;
        EXPECT_EQ(said.damage.empty(), slots != 3) << when << said.damage;
        ExpectGoesOn(copy.get(), heap.told, save_first = !save_first, when);
      }
    }
    for (std::uint64_t size : {0ul, 1ul, 48ul, 65535ul, 65536ul, 65600ul, 131071ul}) {
      auto copy = heap.world.KillProcess();
      ASSERT_TRUE(OpenCollect(copy.get())->Truncate(size).ok());
      EXPECT_NE(CheckIt(copy.get()).damage.find("'collect'"), std::string::npos) << size;
      ExpectGoesOn(copy.get(), heap.told, save_first = !save_first, "cut " + std::to_string(size));
    }
    auto copy = heap.world.KillProcess();
    ASSERT_TRUE((*copy->OpenDir("/store"))->RemoveFile("collect").ok());
    ExpectGoesOn(copy.get(), heap.told, true, "removed");
  }
}

Status OneStep(Collector* collector, int step) {
  switch (step) {
    case 0:
      CKPT_RETURN_IF_ERROR(collector->Resume());
      CKPT_RETURN_IF_ERROR(collector->Survey({}));
      CKPT_RETURN_IF_ERROR(collector->Choose(Kind::kSparse).status());
      return collector->Condemn();
    case 1:
      return collector->AwaitAcks().status();
    case 2:
      CKPT_RETURN_IF_ERROR(collector->SecondLook());
      return collector->Copy();
    case 3:
      return collector->Decide();
    case 4:
      return collector->Unlink();
    default:
      return collector->Finish();
  }
}
constexpr int kSteps = 6;

// Damaged under a collector that has made `steps` steps and a save that has put `before` blocks; it
// puts the others before or after the next collection begins. `slots` 0: as it was before, as when
// the collector's host lost what it wrote.
void DamageBeside(int steps, std::size_t before, int slots, bool put_late) {
  const std::string when = std::to_string(steps) + " steps, " + std::to_string(before) +
                           " blocks, slots " + std::to_string(slots) + (put_late ? ", late" : "");
  Heap heap(CollectPhase::kIdle);
  auto process = heap.world.NewProcess();
  auto own = OpenAt(process.get(), OpenStoreOptions::Mode::kWrite);
  ASSERT_TRUE(own.ok());
  auto saving = Saving::Begin(own->get(), 9);
  ASSERT_TRUE(saving.ok() && (*saving)->Put(0, before, true).ok()) << when;
  auto poll = [&] { return (*saving)->writer()->chunks()->PollEpoch(); };
  Bytes as_before(2 * kHalfBytes);
  ASSERT_TRUE(OpenCollect(&heap.world)->ReadExactAt(0, as_before).ok());
  {
    auto collector = heap.NewCollector();
    for (int step = 0; step < steps; ++step) {
      ASSERT_TRUE(OneStep(collector.get(), step).ok()) << when;
      ASSERT_TRUE(poll().ok()) << when;
    }
    for (std::uint64_t slot : {0, 1}) {
      if ((slots >> slot & 1) == 0) continue;
      FlipIn(OpenCollect(&heap.world).get(), slot * kHalfBytes + 100);
    }
    if (slots == 0) {
      ASSERT_TRUE(OpenCollect(&heap.world)->WriteAt(0, as_before).ok());
    }
    // It may go on, or see that the file is not what it wrote; it must not lose anything.
    bool goes_on = true;
    for (int step = steps; step < kSteps && goes_on; ++step) {
      goes_on = OneStep(collector.get(), step).ok();
      ASSERT_TRUE(poll().ok()) << when;
    }
  }
  if (!put_late) {
    ASSERT_TRUE((*saving)->Put(before, kBlocks, true).ok()) << when;
  }
  CollectOptions options;
  options.wait_ms = 100;
  options.live_share = 1.0;
  options.while_waiting = poll;
  auto collector = Collector::Open(heap.store.get(), options);
  Collected collected;
  Status s = collector.ok() ? (*collector)->Run({}, &collected) : collector.status();
  ASSERT_TRUE(s.ok()) << when << ": " << s.ToString();
  if (put_late) {
    ASSERT_TRUE((*saving)->Put(before, kBlocks, true).ok()) << when;
  }
  auto saved = (*saving)->End();
  ASSERT_TRUE(saved.ok()) << when << ": " << saved.status().ToString();
  heap.told.tried.insert(9);
  heap.told.acknowledged.insert(9);
  ExpectHolds(heap.store.get(), heap.told, when);
}

TEST(CollectDamage, BesideACollectorAndAWriterNothingIsLost) {
  SampledSweep sweep;
  for (int steps = 0; steps < kSteps && !HasFailure(); ++steps) {
    for (std::size_t before : {0, 4, 9}) {
      for (int slots : {0, 1, 2, 3}) {
        for (bool late : {false, true}) {
          if (sweep.Takes()) DamageBeside(steps, before, slots, late);
        }
      }
    }
  }
}

}  // namespace
}  // namespace ckpt
