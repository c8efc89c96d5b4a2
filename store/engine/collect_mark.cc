#include "store/engine/collect_mark.h"

#include <algorithm>

#include "store/engine/delta_base.h"
#include "store/manifest/tree.h"

namespace ckpt {
namespace {

bool IsUnreadable(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kNotFound ||
         status.code() == Code::kUnsupported;
}

std::string Named(const Manifest& m) {
  return m.series + "@" + std::to_string(m.attempt.ordinal) + ":" + std::to_string(m.step);
}

}  // namespace

bool Marker::IsRoot(const Id128& pack_id, const ScannedRecord& record) const {
  return roots_.contains({pack_id, record.offset});
}

void Marker::BeginPass(IdPasses* passes) {
  passes_ = passes;
  live_.Bound(passes->ids_most());
  live_.Reset(passes->Room());
  nodes_ = IdSet();
  roots_.clear();
  not_whole_.clear();
  suspect_nodes_.clear();
}

Status Marker::MarkRoots(const PackScan& scan, const std::set<Id128>& dead) {
  moves_ = scan.Moves();
  source_.reset();
  std::uint64_t done = 0;
  for (const auto& [id, pack] : scan.packs()) {
    for (const ScannedRecord& record : pack.records) {
      auto* manifest = record.As<Manifest>();
      if (manifest == nullptr || tombstones_.contains(StepOf(*manifest))) continue;
      CKPT_RETURN_IF_ERROR(MarkOne(scan, pack, record, *manifest, dead.contains(id)));
      if (++done % 64 == 0) CKPT_RETURN_IF_ERROR(store_->Report({"collecting", 0, 0, done, 0}));
    }
  }
  source_.reset();
  return Status();
}

Status Marker::MarkOne(const PackScan& scan, const ScannedPack& pack, const ScannedRecord& record,
                       const Manifest& manifest, bool dead) {
  Place place(pack.id, record.offset);
  if (roots_.contains(place) || not_whole_.contains(place)) return Status();
  if (record.staged && dead) {
    CKPT_ASSIGN_OR_RETURN(bool whole, TailIsWhole(manifest));
    if (!whole) {
      not_whole_.insert(place);
      return Status();
    }
  }
  Status walked = Walk(manifest);
  if (!walked.ok() && !IsUnreadable(walked)) return walked;
  // What a living writer staged is protected by its claims, whether it can be read yet or not.
  if (!walked.ok() && record.staged && !dead) return Status();
  roots_.insert(place);
  if (walked.ok()) return Status();
  if (!quiet_ && told_.insert(place).second)
    store_->Notice(Named(manifest) +
                   " is damaged, so the packs it needs stay as they are until it" +
                   " is removed: " + walked.message());
  std::set<Id128> missing;
  for (const Id128& id : scan.Resolve(manifest.packs, moves_, &missing)) barred_.insert(id);
  barred_.insert(pack.id);
  return Status();
}

Result<Fetcher*> Marker::SourceFor(const Manifest& manifest) {
  if (source_ == nullptr || manifest.packs != source_packs_) {
    source_.reset();
    CKPT_ASSIGN_OR_RETURN(source_, Fetcher::Open(store_, manifest.packs));
    source_packs_ = manifest.packs;
  }
  return source_.get();
}

// Everything that is not below a mark is read. What is, is trusted as for any root.
Result<bool> Marker::TailIsWhole(const Manifest& manifest) {
  auto source = SourceFor(manifest);
  if (!source.ok() && IsUnreadable(source.status())) return false;
  if (!source.ok()) return source.status();
  SeenIds seen;
  Decoder decoder;
  Bytes scratch, raw;
  Status walked =
      VisitEntryTable(manifest.entry_table, *source,
                      [&](const Id128& id, std::uint64_t raw_bytes, bool is_node) -> Result<bool> {
                        if (!seen.Insert(id, is_node)) return false;
                        const auto durable = FindWhole(store_, id);
                        if (durable.has_value() && durable->reads) return true;
                        CKPT_ASSIGN_OR_RETURN(ChunkPlace at, (*source)->Locate(id));
                        if (at.entry.raw_bytes != raw_bytes)
                          return Corruption("a chunk of another size");
                        raw.resize(at.entry.raw_bytes);
                        CKPT_RETURN_IF_ERROR((*source)->ReadChunk(at, &decoder, &scratch, raw));
                        return true;
                      });
  if (!walked.ok() && !IsUnreadable(walked)) return walked;
  return walked.ok();
}

// A walk that ends early leaves subtrees unvisited below nodes that count as seen: whoever meets
// one of those later is as damaged as this one.
Status Marker::Walk(const Manifest& manifest) {
  CKPT_ASSIGN_OR_RETURN(Fetcher * source, SourceFor(manifest));
  std::vector<Id128> visited;
  Status walked =
      VisitEntryTable(manifest.entry_table, source,
                      [&](const Id128& id, std::uint64_t, bool is_node) -> Result<bool> {
                        if (InPass(id)) live_.Insert(id);
                        if (passes_ != nullptr) {
                          CKPT_RETURN_IF_ERROR(passes_->Met(live_.size()));
                        }
                        if (!is_node) return false;
                        if (!nodes_.Insert(id)) {
                          if (suspect_nodes_.contains(id)) {
                            return Corruption("node " + id.ToHex() + " cannot be read in full");
                          }
                          return false;
                        }
                        visited.push_back(id);
                        return true;
                      });
  if (!walked.ok()) suspect_nodes_.insert(visited.begin(), visited.end());
  return walked;
}

}  // namespace ckpt
