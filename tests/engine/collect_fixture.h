// What the tests of saving beside collection share: small stores in a simulated world, checkpoints
// whose bytes follow from their step, and the question whether a store holds what it must.

#ifndef CKPT_TESTS_ENGINE_COLLECT_FIXTURE_H_
#define CKPT_TESTS_ENGINE_COLLECT_FIXTURE_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "store/codec/hash.h"
#include "store/engine/checkpoint_writer.h"
#include "store/engine/collect.h"
#include "store/engine/retention.h"
#include "tests/support/kept_index.h"
#include "tests/support/sim_world.h"
#include "tests/support/sweep.h"

namespace ckpt::collect_test {

inline constexpr std::size_t kBlocks = 9;
inline std::size_t block_bytes = 3000;  // a test that wants full packs makes it larger
inline bool similar_blocks = false;     // and one that wants deltas makes it true

// Block i of step s is new where (s + i) is a multiple of three: two thirds are the step's before.
// Step 9 goes back: it has blocks of step 2, some of step 4, and some of its own. Of every other
// similar block all but an eighth is as it was when it was made before.
inline const Bytes& BlockOf(std::int64_t step, std::size_t i) {
  if (step == 9 && i % 3 != 1) return BlockOf(i % 3 == 0 ? 2 : 4, i);
  std::int64_t made = step;
  while (made > 0 && (made + static_cast<std::int64_t>(i)) % 3 != 0) --made;
  const bool similar = similar_blocks && i % 2 == 1;
  static std::map<std::tuple<std::size_t, bool, std::int64_t, std::size_t>, Bytes> made_before;
  Bytes& block = made_before[{block_bytes, similar, made, i}];
  if (!block.empty()) return block;
  std::mt19937_64 random(static_cast<std::uint64_t>(made) * 1000 + i), first(i);
  block.resize(block_bytes);
  for (std::size_t at = 0; at < block.size(); ++at) {
    const bool as_before = similar && at >= block_bytes / 8;
    block[at] = static_cast<std::byte>(as_before ? first() : random());
  }
  return block;
}

// Block `i`, as a save of arrays puts it: taken over from the step before where it is as it was
// there (`look_up`: the store is asked for it all the same).
inline Status PutBlock(CheckpointWriter* writer, const Bytes& block, const Id128& id, std::size_t i,
                       bool look_up, ChunkEncoder* encoder) {
  if (writer->previous() == nullptr) return writer->chunks()->Put(block, id, {}, encoder);
  const Id128 before = HashChunk(BlockOf(writer->previous()->step, i));
  if (look_up || before != id) return writer->chunks()->Put(block, id, {}, encoder, &before);
  writer->InheritPrevious();
  return Status();
}

inline Result<std::unique_ptr<Store>> OpenAt(
    Env* env, OpenStoreOptions::Mode mode = OpenStoreOptions::Mode::kCreate,
    std::uint64_t pack_bytes = 512u << 20) {
  OpenStoreOptions options;
  options.mode = mode;
  options.threads = 1;
  options.use_index = false;
  options.deltas = similar_blocks;
  if (kept_indexes != nullptr) options.index = kept_indexes->Open(static_cast<SimWorld*>(env));
  options.format.pack_bytes_max = pack_bytes;
  return Store::Open(env, "/store", options);
}

// One save, in steps that a test may stop between.
class Saving {
 public:
  static Result<std::unique_ptr<Saving>> Begin(Store* store, std::int64_t step,
                                               const std::string& series = "run") {
    SaveOptions options;
    options.series = series;
    options.step = step;
    return Begin(store, std::move(options));
  }
  static Result<std::unique_ptr<Saving>> Begin(Store* store, SaveOptions options) {
    std::int64_t step = *options.step;
    auto writer = CheckpointWriter::Begin(store, std::move(options));
    if (!writer.ok()) return writer.status();
    return std::unique_ptr<Saving>(new Saving(*std::move(writer), step));
  }
  // Blocks the step before has are taken over with its packs; `look_up` asks the store for each.
  Status Put(std::size_t from, std::size_t to, bool look_up = false) {
    for (std::size_t i = from; i < to; ++i) {
      const Bytes& block = BlockOf(step_, i);
      Id128 id = HashChunk(block);
      CKPT_RETURN_IF_ERROR(PutBlock(writer_.get(), block, id, i, look_up, &encoder_));
      ChunkItem item;
      item.raw_bytes = block.size();
      item.id = id;
      CKPT_RETURN_IF_ERROR(list_.Add(item));
    }
    return Status();
  }
  Result<Saved> End() {
    Entry entry;
    entry.kind = EntryKind::kArray;
    entry.name = "state";
    entry.array.shape = {kBlocks * block_bytes};
    entry.logical_bytes = list_.logical_bytes();
    entry.chunks = list_.chunks();
    CKPT_ASSIGN_OR_RETURN(entry.content, list_.Finish());
    CKPT_RETURN_IF_ERROR(writer_->AddEntry(entry, 0));
    return writer_->End();
  }
  CheckpointWriter* writer() { return writer_.get(); }

 private:
  Saving(std::unique_ptr<CheckpointWriter> writer, std::int64_t step)
      : writer_(std::move(writer)), step_(step), list_(FanOut::kFixed, writer_->chunks()) {}

  std::unique_ptr<CheckpointWriter> writer_;
  std::int64_t step_;
  ChunkEncoder encoder_;
  ChunkListBuilder list_;
};

inline Status Save(Store* store, std::int64_t step, bool look_up = false,
                   const std::string& series = "run") {
  CKPT_ASSIGN_OR_RETURN(auto saving, Saving::Begin(store, step, series));
  CKPT_RETURN_IF_ERROR(saving->Put(0, kBlocks, look_up));
  return saving->End().status();
}

inline Status Remove(Store* store, std::int64_t step, bool force = false,
                     const std::string& series = "run") {
  CKPT_RETURN_IF_ERROR(store->Refresh());
  CKPT_ASSIGN_OR_RETURN(auto removals,
                        PlanRemoval(store, {series + "@" + std::to_string(step)}, force));
  return CommitRemovals(store, removals, 0);
}

// Saves step 8 in two series at once, so that neither finds what the other stores. They come from
// steps 5 and 2, whose blocks changed at the same places: similar blocks of step 8 are then stored
// twice, as differences from different bases.
inline Status SaveTwins(Env* env, const std::string& one, const std::string& other) {
  CKPT_ASSIGN_OR_RETURN(auto first, OpenAt(env, OpenStoreOptions::Mode::kWrite));
  CKPT_ASSIGN_OR_RETURN(auto second, OpenAt(env, OpenStoreOptions::Mode::kWrite));
  CKPT_RETURN_IF_ERROR(Save(first.get(), 5, true, one));
  CKPT_RETURN_IF_ERROR(second->Refresh());
  CKPT_RETURN_IF_ERROR(Save(second.get(), 2, true, other));
  CKPT_RETURN_IF_ERROR(first->Refresh());
  CKPT_ASSIGN_OR_RETURN(auto a, Saving::Begin(first.get(), 8, one));
  CKPT_ASSIGN_OR_RETURN(auto b, Saving::Begin(second.get(), 8, other));
  CKPT_RETURN_IF_ERROR(a->Put(0, kBlocks));
  CKPT_RETURN_IF_ERROR(b->Put(0, kBlocks));
  CKPT_RETURN_IF_ERROR(a->End().status());
  return b->End().status();
}

inline Result<Collected> Collect(Store* store, std::int64_t wait_ms = 0) {
  CollectOptions options;
  options.wait_ms = wait_ms;
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store, options));
  Collected collected;
  CKPT_RETURN_IF_ERROR(collector->Run({}, &collected));
  return collected;
}

// Every byte of run@step, compared with what was saved.
inline Status Restore(Store* store, std::int64_t step, const std::string& series = "run") {
  CKPT_ASSIGN_OR_RETURN(auto found, ResolveCheckpoint(store, series + "@" + std::to_string(step)));
  CKPT_ASSIGN_OR_RETURN(Manifest manifest, store->ReadManifest(found.ranks.front()));
  CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store, manifest.packs));
  EntryTableReader table(manifest.entry_table, fetcher.get());
  CKPT_ASSIGN_OR_RETURN(auto entry, table.Find("state"));
  if (!entry.has_value()) return Corruption("no entry");
  ChunkListReader list(entry->content, fetcher.get());
  Decoder decoder;
  Bytes scratch;
  for (std::size_t i = 0; i < kBlocks; ++i) {
    CKPT_ASSIGN_OR_RETURN(auto item, list.Next());
    if (!item.has_value()) return Corruption("too few blocks");
    CKPT_ASSIGN_OR_RETURN(ChunkPlace place, fetcher->Locate(item->id));
    Bytes raw(place.entry.raw_bytes);
    CKPT_RETURN_IF_ERROR(fetcher->ReadChunk(place, &decoder, &scratch, raw));
    if (AsText(raw) != AsText(BlockOf(step, i)))
      return Internal("WRONG BYTES in block " + std::to_string(i));
  }
  return Status();
}

inline std::size_t CountDeltas(Store* store) {
  std::size_t deltas = 0;
  for (const auto& [id, state] : store->PackStates()) {
    auto reader = PackReader::Open(store->packs_dir(), id, store->format().uuid);
    if (!reader.ok()) continue;
    auto contents = (*reader)->ReadFrom(0);
    if (!contents.ok()) continue;
    for (const ChunkEntry& entry : contents->chunks) deltas += IsDeltaCodec(entry.codec) ? 1 : 0;
  }
  return deltas;
}

inline CrashChoice NothingKept() {
  CrashChoice choice;
  choice.keep = CrashChoice::Keep::kNone;
  return choice;
}

// What the outside world was told, and asked for.
struct Told {
  std::set<std::int64_t> acknowledged;
  std::set<std::int64_t> tried;
  std::set<std::int64_t> removing;  // asked for
  std::set<std::int64_t> removed;   // and told that it is done
  std::set<std::int64_t> damaged;   // on the disk: errors until they are healed
};

// What of I1 and I2 does not hold, or that what is removed stays removed; "" when all does.
inline std::string Violation(Store* store, const Told& told) {
  Status refreshed = store->Refresh();
  if (!refreshed.ok()) return refreshed.ToString();
  for (std::int64_t step : told.tried) {
    Status s = Restore(store, step);
    const std::string what = "step " + std::to_string(step) + ": " + s.ToString();
    if (told.acknowledged.contains(step) && !told.removing.contains(step)) {
      bool damaged = told.damaged.contains(step) && s.code() == Code::kCorruption;
      if (!s.ok() && !damaged) return what;
    } else if (told.removed.contains(step)) {
      if (s.code() != Code::kNotFound) return "removed " + what;
    } else if (!s.ok() && s.code() != Code::kNotFound) {
      // A record of it may be there; then it must not pass for whole.
      if (s.code() != Code::kCorruption) return what;
      auto found = ResolveCheckpoint(store, "run@" + std::to_string(step));
      if (found.ok() && !found->ranks.front().staged) {
        return "committed and cannot be read: " + what;
      }
    }
  }
  return "";
}

inline void ExpectHolds(Store* store, const Told& told, const std::string& when) {
  EXPECT_EQ(Violation(store, told), "") << when;
}

inline Id128 RunId(std::uint8_t n) {
  Id128 id;
  id.bytes.fill(n);
  return id;
}

// A run: one writer, one attempt.
class RunOfSaves {
 public:
  RunOfSaves(Env* env, Store* store, std::uint8_t number)
      : env_(env), store_(store), number_(number) {}

  // Step `step`, staged; two thirds of it are inherited from the step before.
  Status Stage(std::int64_t step) {
    if (writer_ == nullptr) {
      SaveOptions options;
      options.series = "run";
      options.step = step;
      RunAttempt run;
      run.id = RunId(number_);
      options.run = run;
      CKPT_ASSIGN_OR_RETURN(writer_, CheckpointWriter::Begin(store_, std::move(options)));
    } else {
      CKPT_RETURN_IF_ERROR(writer_->Next(step));
    }
    ChunkListBuilder list(FanOut::kFixed, writer_->chunks());
    for (std::size_t i = 0; i < kBlocks; ++i) {
      const Bytes& block = BlockOf(step, i);
      Id128 id = HashChunk(block);
      CKPT_RETURN_IF_ERROR(PutBlock(writer_.get(), block, id, i, false, &encoder_));
      ChunkItem item;
      item.raw_bytes = block.size();
      item.id = id;
      CKPT_RETURN_IF_ERROR(list.Add(item));
    }
    Entry entry;
    entry.kind = EntryKind::kArray;
    entry.name = "state";
    entry.array.shape = {kBlocks * block_bytes};
    entry.logical_bytes = list.logical_bytes();
    entry.chunks = list.chunks();
    CKPT_ASSIGN_OR_RETURN(entry.content, list.Finish());
    CKPT_RETURN_IF_ERROR(writer_->AddEntry(entry, 0));
    return writer_->Stage().status();
  }
  Status Commit(bool closed = false) { return writer_->Commit(closed); }
  // Another process removes a step and collects; this one answers.
  Status RemoveAndCollect(std::int64_t step, Told* told) {
    CKPT_ASSIGN_OR_RETURN(auto other, OpenAt(env_, OpenStoreOptions::Mode::kWrite));
    told->removing.insert(step);
    CKPT_RETURN_IF_ERROR(Remove(other.get(), step));
    told->removed.insert(step);
    CollectOptions options;
    options.wait_ms = 100;
    options.while_waiting = [this] { return writer_->chunks()->PollEpoch(); };
    CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(other.get(), options));
    Collected collected;
    return collector->Run({}, &collected);
  }
  CheckpointWriter* writer() { return writer_.get(); }

 private:
  Env* const env_;
  Store* const store_;
  const std::uint8_t number_;
  std::unique_ptr<CheckpointWriter> writer_;
  ChunkEncoder encoder_;
};

}  // namespace ckpt::collect_test

#endif  // CKPT_TESTS_ENGINE_COLLECT_FIXTURE_H_
