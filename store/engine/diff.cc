#include "store/engine/diff.h"

#include <algorithm>
#include <memory>

#include "store/engine/fetcher.h"
#include "store/engine/series.h"

namespace ckpt {
namespace {

bool SameMetadata(const Entry& a, const Entry& b) {
  return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && a.mtime_ns == b.mtime_ns &&
         a.xattrs == b.xattrs && a.array == b.array;
}

void AddRange(std::uint64_t offset, std::uint64_t length_bytes, DiffedEntry* out) {
  out->changed_bytes += length_bytes;
  std::vector<ChangedRange>& ranges = out->ranges;
  if (!ranges.empty() && ranges.back().offset + ranges.back().length_bytes == offset) {
    ranges.back().length_bytes += length_bytes;
  } else if (ranges.size() < kDiffRangesMax) {
    ranges.push_back({offset, length_bytes});
  }
}

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
  bool by_place = after->kind == EntryKind::kArray;
  CKPT_RETURN_IF_ERROR(DiffChunkLists(
      before->content, before_source, after->content, after_source, by_place,
      [&](std::uint64_t offset, std::uint64_t length) { AddRange(offset, length, out); }));
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
