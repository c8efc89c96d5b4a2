#include "store/engine/diff.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "store/engine/fetcher.h"
#include "store/engine/id_table.h"
#include "store/engine/series.h"

namespace ckpt {
namespace {

bool SameItem(const ChunkItem& a, const ChunkItem& b) {
  return a.kind == b.kind && a.raw_bytes == b.raw_bytes && a.id == b.id &&
         a.inline_bytes == b.inline_bytes;
}

bool SameMetadata(const Entry& a, const Entry& b) {
  return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.mtime_ns == b.mtime_ns &&
         a.xattrs == b.xattrs && a.array == b.array;
}

// Walks B's chunk list beside A's and collects what differs.
class ListDiff {
 public:
  ListDiff(const Entry& before, ChunkSource* before_source, const Entry& after,
           ChunkSource* after_source, DiffedEntry* out)
      : before_(before),
        before_source_(before_source),
        by_place_(after.kind == EntryKind::kArray),
        a_(before.content, before_source),
        b_(after.content, after_source),
        out_(out) {}

  Status Run() {
    CKPT_RETURN_IF_ERROR(NextOfA());
    std::uint64_t offset = 0;
    for (;;) {
      CKPT_ASSIGN_OR_RETURN(auto item, b_.Next());
      if (!item.has_value()) return Status();
      CKPT_ASSIGN_OR_RETURN(bool same, IsInA(*item, offset));
      if (!same) AddRange(offset, item->raw_bytes);
      offset += item->raw_bytes;
    }
  }

 private:
  Status NextOfA() {
    if (a_item_.has_value()) a_offset_ += a_item_->raw_bytes;
    CKPT_ASSIGN_OR_RETURN(a_item_, a_.Next());
    return Status();
  }

  Result<bool> IsInA(const ChunkItem& item, std::uint64_t offset) {
    while (a_item_.has_value() && a_offset_ < offset) CKPT_RETURN_IF_ERROR(NextOfA());
    if (a_item_.has_value() && a_offset_ == offset && SameItem(*a_item_, item)) return true;
    if (by_place_ || item.kind != ChunkItem::Kind::kChunk) return false;
    if (!all_of_a_.has_value()) CKPT_RETURN_IF_ERROR(LoadAllOfA());
    return all_of_a_->Contains(item.id);
  }

  Status LoadAllOfA() {
    all_of_a_.emplace();
    return VisitChunkList(before_.content, before_source_,
                          [&](const Id128& id, std::uint64_t, bool) -> Result<bool> {
                            return all_of_a_->Insert(id);
                          });
  }

  void AddRange(std::uint64_t offset, std::uint64_t length_bytes) {
    out_->changed_bytes += length_bytes;
    std::vector<ChangedRange>& ranges = out_->ranges;
    if (!ranges.empty() && ranges.back().offset + ranges.back().length_bytes == offset) {
      ranges.back().length_bytes += length_bytes;
    } else if (ranges.size() < kDiffRangesMax) {
      ranges.push_back({offset, length_bytes});
    }
  }

  const Entry& before_;
  ChunkSource* const before_source_;
  const bool by_place_;
  ChunkListReader a_;
  ChunkListReader b_;
  DiffedEntry* const out_;
  std::optional<ChunkItem> a_item_;
  std::uint64_t a_offset_ = 0;
  std::optional<IdSet> all_of_a_;
};

struct Side {
  Manifest manifest;
  std::unique_ptr<Fetcher> fetcher;
};

Result<std::vector<Side>> OpenSides(Store* store, const std::string& name) {
  CKPT_ASSIGN_OR_RETURN(ResolvedCheckpoint resolved, ResolveCheckpoint(store, name));
  std::vector<Side> sides;
  for (const CheckpointRow& row : resolved.ranks) {
    CKPT_ASSIGN_OR_RETURN(Manifest manifest, store->ReadManifest(row));
    CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store, manifest.packs));
    sides.push_back({std::move(manifest), std::move(fetcher)});
  }
  return sides;
}

void WholeEntry(DiffStatus status, const Entry& entry, DiffedEntry* out) {
  out->status = status;
  out->changed_bytes = out->logical_bytes = entry.logical_bytes;
  if (status != DiffStatus::kRemoved && entry.logical_bytes > 0) {
    out->ranges.push_back({0, entry.logical_bytes});
  }
}

// False: nothing that counts is different.
Result<bool> Compare(const Entry* before, ChunkSource* before_source, const Entry* after,
                     ChunkSource* after_source, DiffedEntry* out) {
  out->name = (after != nullptr ? after : before)->name;
  if (before == nullptr || after == nullptr) {
    DiffStatus status = before == nullptr ? DiffStatus::kAdded : DiffStatus::kRemoved;
    WholeEntry(status, before == nullptr ? *after : *before, out);
    return true;
  }
  if (before->kind != after->kind || before->target != after->target) {
    WholeEntry(DiffStatus::kChanged, *after, out);
    return true;
  }
  out->logical_bytes = after->logical_bytes;
  if (before->content == after->content) {
    out->status = DiffStatus::kMetadata;
    return !SameMetadata(*before, *after);
  }
  out->status = DiffStatus::kChanged;
  CKPT_RETURN_IF_ERROR(ListDiff(*before, before_source, *after, after_source, out).Run());
  return true;
}

Status DiffRank(const Side* a, const Side* b, const std::function<Status(const DiffedEntry&)>& fn) {
  ChunkSource* a_source = (a != nullptr ? a : b)->fetcher.get();
  ChunkSource* b_source = (b != nullptr ? b : a)->fetcher.get();
  return DiffEntryTables(a != nullptr ? a->manifest.entry_table : TreeRef(), a_source,
                         b != nullptr ? b->manifest.entry_table : TreeRef(), b_source,
                         [&](const Entry* before, const Entry* after) -> Status {
                           DiffedEntry out;
                           out.rank = (b != nullptr ? b : a)->manifest.rank;
                           CKPT_ASSIGN_OR_RETURN(bool differs,
                                                 Compare(before, a_source, after, b_source, &out));
                           return differs ? fn(out) : Status();
                         });
}

}  // namespace

std::string_view DiffStatusName(DiffStatus status) {
  switch (status) {
    case DiffStatus::kAdded:
      return "added";
    case DiffStatus::kRemoved:
      return "removed";
    case DiffStatus::kChanged:
      return "changed";
    case DiffStatus::kMetadata:
      return "metadata";
  }
  return "unknown";
}

Status DiffCheckpoints(Store* store, const std::string& a, const std::string& b,
                       const std::function<Status(const DiffedEntry&)>& fn) {
  CKPT_RETURN_IF_ERROR(store->Refresh());
  CKPT_ASSIGN_OR_RETURN(std::vector<Side> before, OpenSides(store, a));
  CKPT_ASSIGN_OR_RETURN(std::vector<Side> after, OpenSides(store, b));
  for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
    CKPT_RETURN_IF_ERROR(DiffRank(i < before.size() ? &before[i] : nullptr,
                                  i < after.size() ? &after[i] : nullptr, fn));
  }
  return Status();
}

}  // namespace ckpt
