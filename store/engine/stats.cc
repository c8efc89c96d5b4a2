#include "store/engine/stats.h"

#include <algorithm>
#include <utility>

#include "store/engine/fetcher.h"
#include "store/engine/hollow.h"
#include "store/engine/id_table.h"
#include "store/engine/series.h"

namespace ckpt {
namespace {

class Counter {
 public:
  explicit Counter(Store* store) : store_(store) {}

  Result<StoreStats> Run() {
    CKPT_ASSIGN_OR_RETURN(auto names, ListSeries(store_));
    for (const std::string& name : names) CKPT_RETURN_IF_ERROR(Series(name));
    stats_.chunks = live_.size();
    CKPT_ASSIGN_OR_RETURN(auto files, store_->packs_dir()->List());
    for (const bool bases : {false, true}) {
      if (bases && bases_.size() == 0) break;
      for (const DirEntry& file : files) {
        Id128 id;
        if (ParsePackFileName(file.name, &id)) CKPT_RETURN_IF_ERROR(bases ? Bases(id) : Pack(id));
      }
    }
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
    if (root.how == NodeRef::How::kChunk && live_.Contains(root.id)) return Status();
    CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store_, manifest.packs));
    return VisitEntryTable(manifest.entry_table, fetcher.get(),
                           [&](const Id128& id, std::uint64_t raw_bytes, bool) -> Result<bool> {
                             bool fresh = live_.Insert(id).second;
                             if (fresh) stats_.unique_bytes += raw_bytes;
                             return fresh;
                           });
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
      if (CountLive(entry)) continue;
      stats_.garbage_bytes += GarbageOf(entry, hollow);
    }
    for (const ChunkEntry& entry : contents.tail_chunks) CountLive(entry);
    return Status();
  }

  // Chunks that are needed as the bases of deltas alone were taken for garbage.
  Status Bases(const Id128& id) {
    auto reader = PackReader::Open(store_->packs_dir(), id, store_->format().uuid,
                                   PackReader::BadHeader::kSalvage);
    if (!reader.ok()) return Status();
    CKPT_ASSIGN_OR_RETURN(PackContents contents, (*reader)->ReadFrom(0));
    for (const ChunkEntry& entry : contents.chunks) {
      Live* base = IsDeltaCodec(entry.codec) ? nullptr : bases_.Find(entry.id);
      if (base == nullptr || std::exchange(base->counted, true)) continue;
      stats_.garbage_bytes -= GarbageOf(entry, store_->IsHollow(id));
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

  // False when nothing needs the chunk, or another copy was counted.
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
  IdTable<Live> live_;
  IdTable<Live> bases_;  // needed for deltas alone
  Progress progress_{"counting", 0, 0, 0, 0};
};

}  // namespace

Result<StoreStats> GetStats(Store* store) {
  CKPT_RETURN_IF_ERROR(store->Refresh());
  return Counter(store).Run();
}

}  // namespace ckpt
