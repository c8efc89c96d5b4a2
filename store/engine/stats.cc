#include "store/engine/stats.h"

#include <algorithm>
#include <utility>

#include "store/engine/fetcher.h"
#include "store/engine/hollow.h"
#include "store/engine/id_passes.h"
#include "store/engine/id_table.h"
#include "store/engine/series.h"

namespace ckpt {
namespace {

class Counter {
 public:
  explicit Counter(Store* store) : store_(store) {}

  Result<StoreStats> Run() {
    CKPT_ASSIGN_OR_RETURN(names_, ListSeries(store_));
    IdPasses passes(IdTable<Live>::IdsIn(store_->options().table_bytes), store_->ChunksExpected());
    StoreStats sums;
    do {
      CKPT_RETURN_IF_ERROR(Pass(&passes));
      sums.unique_bytes += stats_.unique_bytes;
      sums.chunks += stats_.chunks;
      sums.live_bytes += stats_.live_bytes;
      sums.garbage_bytes += stats_.garbage_bytes;
    } while (passes.Next());
    stats_.unique_bytes = sums.unique_bytes;
    stats_.chunks = sums.chunks;
    stats_.live_bytes = sums.live_bytes;
    stats_.garbage_bytes = sums.garbage_bytes;
    CKPT_RETURN_IF_ERROR(CountBases());
    if (store_->index() != nullptr) {
      auto index = store_->index()->Stats();
      if (index.ok()) stats_.index_bytes = index->bytes;
    }
    return stats_;
  }

 private:
  struct Live {
    bool counted = false;  // a stored copy was met
  };

  // Counts the chunks of one range; everything else in each pass anew.
  Status Pass(IdPasses* passes) {
    Status walked;
    do {
      stats_ = StoreStats();
      passes_ = passes;
      live_.Bound(passes->ids_most());
      live_.Reset(passes->Room());
      walked = Walk();
    } while (!walked.ok() && passes->BeginAgain());
    CKPT_RETURN_IF_ERROR(std::move(walked));
    return EachPack([this](const Id128& id) { return Pack(id); });
  }

  // Chunks that are needed as the bases of deltas alone were taken for garbage. Whether one is
  // needed by itself, a pass of another range knows.
  Status CountBases() {
    if (bases_.size() == 0) return Status();
    if (!passes_->range().Whole()) {
      passes_ = nullptr;
      const StoreStats counted = stats_;
      CKPT_RETURN_IF_ERROR(Walk());
      stats_ = counted;
    }
    return EachPack([this](const Id128& id) { return Bases(id); });
  }

  template <typename Function>
  Status EachPack(const Function& fn) {
    CKPT_ASSIGN_OR_RETURN(auto files, store_->packs_dir()->List());
    for (const DirEntry& file : files) {
      Id128 id;
      if (ParsePackFileName(file.name, &id)) CKPT_RETURN_IF_ERROR(fn(id));
    }
    return Status();
  }

  Status Walk() {
    nodes_ = IdSet();
    for (const std::string& name : names_) CKPT_RETURN_IF_ERROR(Series(name));
    return Status();
  }

  Status Series(const std::string& name) {
    CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store_, name));
    if (view.rows().empty()) return Status();
    ++stats_.series;
    for (const AttemptInfo& attempt : view.attempts()) stats_.checkpoints += attempt.steps.size();
    for (const CheckpointRow& row : view.rows()) {
      Status s = Checkpoint(row);
      if (s.code() != Code::kCorruption && s.code() != Code::kNotFound) {
        CKPT_RETURN_IF_ERROR(std::move(s));
      }
      ++progress_.done_items;
      CKPT_RETURN_IF_ERROR(store_->Report(progress_));
    }
    return Status();
  }

  Status Checkpoint(const CheckpointRow& row) {
    CKPT_ASSIGN_OR_RETURN(Manifest manifest, store_->ReadManifest(row));
    stats_.logical_bytes += manifest.logical_bytes;
    const NodeRef& root = manifest.entry_table.root;
    if (root.how == NodeRef::How::kChunk && nodes_.Contains(root.id)) return Status();
    CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store_, manifest.packs));
    return VisitEntryTable(
        manifest.entry_table, fetcher.get(),
        [&](const Id128& id, std::uint64_t raw_bytes, bool is_node) -> Result<bool> {
          CKPT_RETURN_IF_ERROR(Met(id, raw_bytes));
          return is_node && nodes_.Insert(id);
        });
  }

  Status Met(const Id128& id, std::uint64_t raw_bytes) {
    if (passes_ == nullptr) {
      if (Live* base = bases_.Find(id)) base->counted = true;
      return Status();
    }
    if (!passes_->range().Contains(id) || !live_.Insert(id).second) return Status();
    stats_.unique_bytes += raw_bytes;
    return passes_->Met(++stats_.chunks);
  }

  // Through a reader of its own: the tables are not kept.
  Status Pack(const Id128& id) {
    auto info = store_->packs_dir()->StatEntry(PackFileName(id));
    if (!info.ok()) return info.status().code() == Code::kNotFound ? Status() : info.status();
    ++stats_.packs;
    bool hollow = store_->IsHollow(id);
    stats_.stored_bytes +=
        hollow ? std::min(info->size_bytes, info->allocated_bytes) : info->size_bytes;
    auto reader = PackReader::Open(store_->packs_dir(), id, store_->format().uuid,
                                   PackReader::BadHeader::kSalvage);
    if (!reader.ok()) return Status();  // never began, collected, or damaged
    if ((*reader)->header().reserve) stats_.reserve_bytes += info->size_bytes;
    CKPT_ASSIGN_OR_RETURN(PackContents contents, (*reader)->ReadFrom(0));
    for (const ChunkEntry& entry : contents.chunks) {
      if (!passes_->range().Contains(entry.id) || CountLive(entry)) continue;
      stats_.garbage_bytes += GarbageOf(entry, hollow);
    }
    for (const ChunkEntry& entry : contents.tail_chunks) CountLive(entry);
    return Status();
  }

  Status Bases(const Id128& id) {
    auto reader = PackReader::Open(store_->packs_dir(), id, store_->format().uuid,
                                   PackReader::BadHeader::kSalvage);
    if (!reader.ok()) return Status();
    CKPT_ASSIGN_OR_RETURN(PackContents contents, (*reader)->ReadFrom(0));
    for (const ChunkEntry& entry : contents.chunks) {
      Live* base = IsDeltaCodec(entry.codec) ? nullptr : bases_.Find(entry.id);
      if (base == nullptr || std::exchange(base->counted, true)) continue;
      // It may have come since garbage was counted.
      stats_.garbage_bytes -=
          std::min(stats_.garbage_bytes, GarbageOf(entry, store_->IsHollow(id)));
      stats_.live_bytes += Extent(entry);
    }
    return Status();
  }

  static std::uint64_t GarbageOf(const ChunkEntry& entry, bool hollow) {
    return Extent(entry) - (hollow ? PayloadBlocks(entry.offset, entry.stored_bytes).bytes() : 0);
  }

  static std::uint64_t Extent(const ChunkEntry& entry) {
    return RoundUp(kRecordHeaderBytes + entry.stored_bytes, kRecordAlignBytes);
  }

  // False when nothing of this pass needs the chunk, or another copy was counted.
  bool CountLive(const ChunkEntry& entry) {
    Live* live = live_.Find(entry.id);
    if (live == nullptr || live->counted) return false;
    live->counted = true;
    stats_.live_bytes += Extent(entry);
    if (IsDeltaCodec(entry.codec) && !live_.Contains(entry.base)) bases_.Insert(entry.base);
    return true;
  }

  Store* const store_;
  StoreStats stats_;
  std::vector<std::string> names_;
  IdPasses* passes_ = nullptr;
  IdTable<Live> live_;   // of the pass's range
  IdSet nodes_;          // that were entered
  IdTable<Live> bases_;  // of deltas; in one pass: needed for these alone
  Progress progress_{"counting", 0, 0, 0, 0};
};

}  // namespace

Result<StoreStats> GetStats(Store* store) {
  CKPT_RETURN_IF_ERROR(store->Refresh());
  return Counter(store).Run();
}

}  // namespace ckpt
