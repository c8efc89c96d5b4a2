#include "store/engine/repair.h"

#include <algorithm>
#include <optional>

#include "store/engine/fetcher.h"

namespace ckpt {
namespace {

bool IsLoss(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kNotFound ||
         status.code() == Code::kIo;
}

// Which entries of a checkpoint need a chunk that nobody has. The bytes were read by the check, so
// what it did not find sound is not.
class LossFinder {
 public:
  LossFinder(Store* store, CheckFindings* findings) : store_(store), findings_(findings) {}

  Result<LostCheckpoint> Look(const std::string& name) {
    LostCheckpoint lost;
    lost.name = name;
    auto resolved = ResolveCheckpoint(store_, name);
    if (!resolved.ok() && !IsLoss(resolved.status())) return resolved.status();
    lost.all = !resolved.ok();
    if (lost.all) return lost;
    for (const CheckpointRow& row : resolved->ranks) {
      auto manifest = store_->ReadManifest(row);
      if (!manifest.ok() && !IsLoss(manifest.status())) return manifest.status();
      if (!manifest.ok()) lost.all = true;
      if (manifest.ok()) CKPT_RETURN_IF_ERROR(LookAt(*manifest, &lost));
    }
    return lost;
  }

 private:
  Status LookAt(const Manifest& manifest, LostCheckpoint* lost) {
    std::vector<PackReliance> there;
    for (const PackReliance& need : manifest.packs) {
      if (store_->ResolvePacks({need}).ok()) there.push_back(need);
    }
    CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store_, there));
    EntryTableReader table(manifest.entry_table, fetcher.get());
    for (bool first = true;; first = false) {
      auto entry = table.Next();
      if (!entry.ok() && !IsLoss(entry.status())) return entry.status();
      if (!entry.ok()) {
        lost->rest = true;
        lost->all = lost->all || first;
        return Status();
      }
      if (!entry->has_value()) return Status();
      CKPT_ASSIGN_OR_RETURN(bool sound, IsWhole((*entry)->content, fetcher.get()));
      if (!sound) lost->entries.push_back((*entry)->name);
    }
  }

  Result<bool> IsWhole(const TreeRef& content, Fetcher* fetcher) {
    bool whole = true;
    Status visited =
        VisitChunkList(content, fetcher, [&](const Id128& id, std::uint64_t, bool) -> Result<bool> {
          whole = whole && findings_->IsSound(id);
          return whole;
        });
    if (!visited.ok() && !IsLoss(visited)) return visited;
    return whole && visited.ok();
  }

  Store* const store_;
  CheckFindings* const findings_;
};

// In the order in which the damage was found, each once.
std::vector<std::string> HurtCheckpoints(const CheckReport& report) {
  std::vector<std::string> names;
  std::set<std::string> seen;
  for (const FoundDamage& found : report.damage) {
    for (const std::string& name : found.checkpoints) {
      if (seen.insert(name).second) names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<AsidePack>> Planned(Store* store, const std::set<Id128>& damaged) {
  std::vector<AsidePack> packs;
  for (const Id128& id : damaged) {
    CKPT_ASSIGN_OR_RETURN(FileInfo info, store->packs_dir()->StatEntry(PackFileName(id)));
    packs.push_back({id, "", info.size_bytes, 0, 0, 0});
  }
  return packs;
}

}  // namespace

Result<RepairReport> RepairStore(Store* store, const RepairOptions& options) {
  CollectOptions collect;
  collect.dry_run = options.dry_run;
  collect.wait_ms = options.wait_ms;
  collect.break_host_name = options.break_host_name;
  CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store, std::move(collect)));
  RepairReport report;
  CheckFindings findings;
  CheckOptions check;
  check.record = false;  // what is not sound is set aside
  CKPT_ASSIGN_OR_RETURN(report.found, CheckStore(store, check, &findings));
  std::set<Id128> damaged, gone = store->LostPacks();
  for (const FoundDamage& found : report.found.damage) {
    if (found.in_pack) damaged.insert(found.pack_id);
    if (found.pack_missing && !found.pack_id.IsZero()) gone.insert(found.pack_id);
  }
  // A manifest that a copy does not replace would hurt a checkpoint by name, if its name were
  // known.
  report.unnamed = static_cast<std::uint64_t>(
      std::count_if(report.found.damage.begin(), report.found.damage.end(), [](const auto& found) {
        return found.in_pack && found.checkpoints.empty() && found.what.starts_with("manifest");
      }));
  LossFinder finder(store, &findings);
  for (const std::string& name : HurtCheckpoints(report.found)) {
    CKPT_ASSIGN_OR_RETURN(LostCheckpoint lost, finder.Look(name));
    // What it needs of a pack that is gone may have been saved anew since.
    if (lost.all || lost.rest || !lost.entries.empty()) report.lost.push_back(std::move(lost));
  }
  std::erase_if(gone, [&](const Id128& id) { return damaged.contains(id); });
  report.gone = {gone.begin(), gone.end()};
  if (options.dry_run) {
    CKPT_ASSIGN_OR_RETURN(report.packs, Planned(store, damaged));
    return report;
  }
  CKPT_RETURN_IF_ERROR(collector->SetAside(damaged, gone, &report.packs));
  return report;
}

}  // namespace ckpt
