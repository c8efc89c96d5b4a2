#include "store/engine/check.h"

#include <algorithm>
#include <tuple>

#include "store/engine/check_packs.h"
#include "store/engine/check_passes.h"
#include "store/engine/check_trees.h"
#include "store/engine/collect_state.h"

namespace ckpt {
namespace {

// Damage of the store's own files, not of a pack.
void AddOwn(std::string what, CheckFindings* findings) {
  FoundDamage lost;
  lost.pack_missing = true;
  lost.what = std::move(what);
  findings->Add(std::move(lost));
}

// A power loss in the middle of writing a slot is no damage: the other one is whole.
Status CheckCollect(Store* store, CheckFindings* findings) {
  if (store->format().uuid.IsZero()) return Status();  // without `format` and packs
  auto flaws = FindCollectFlaws(store);
  if (flaws.status().code() == Code::kCorruption) {  // something else has its name
    AddOwn("the file 'collect': " + flaws.status().message(), findings);
    return Status();
  }
  if (!flaws.ok()) return flaws.status();
  std::string where;
  for (std::uint64_t at : flaws->slots)
    where += (where.empty() ? "" : " and ") + std::to_string(at);
  if (flaws->lost) {
    AddOwn("the file 'collect' is not what was written at " + where +
               ": it names what a collection was doing and which hosts were given up. Checkpoints"
               " do not need it. The next gc writes it anew; give a lost host up once more with gc"
               " --break-host",
           findings);
  } else if (!where.empty()) {
    store->Notice("the file 'collect' at " + where +
                  " is not whole: a collection was cut off there, or it is damaged. The other half"
                  " counts; the next gc writes it anew");
  }
  return Status();
}

// What is amiss with the store itself.
Result<CheckFindings> CheckOwn(Store* store, const CheckOptions& options) {
  CheckFindings findings;
  if (!(options.part_percent > 0.0) || options.part_percent > 100.0) {
    return InvalidArgument("the part to check must be above 0 and at most 100 percent");
  }
  CKPT_RETURN_IF_ERROR(store->Refresh());
  if (store->format_lost()) {
    AddOwn("the file 'format' is missing or damaged: the store can only be read", &findings);
  }
  CKPT_RETURN_IF_ERROR(CheckCollect(store, &findings));
  std::uint64_t random = 0;
  store->env()->Random(std::as_writable_bytes(std::span(&random, 1)));
  findings.phase = static_cast<double>(random >> 11) * 0x1p-53;
  return findings;
}

// Fills findings and report. False: something is amiss, or may be, and there are more chunks than
// findings->ids_most: what it hurts takes a table of all of them.
Result<bool> CheckRest(Store* store, const CheckOptions& options, CheckFindings* findings,
                       CheckReport* report) {
  TreeChecker trees(store, findings);
  CKPT_RETURN_IF_ERROR(trees.LoadSeries());
  const std::uint64_t expected = store->ChunksExpected();
  if (expected > findings->ids_most) {
    findings->TooMany();
  } else {
    findings->chunks.Bound(findings->ids_most);
    findings->chunks.Reset(std::min(expected + expected / 8, findings->ids_most));
  }
  CKPT_RETURN_IF_ERROR(PackChecker(store, options, findings).Run());
  for (FoundDamage& found : findings->damage) found.in_pack = !found.pack_missing;
  if (findings->too_many) {
    CKPT_ASSIGN_OR_RETURN(bool sound, NothingIsAmiss(store, &trees, findings, &report->chunks));
    if (!sound) return false;
  }
  CKPT_RETURN_IF_ERROR(trees.Run(report));
  if (findings->too_many) return findings->damage.empty();
  report->chunks = findings->CountSound();
  return true;
}

// Records what was found, and reports it.
Result<CheckReport> Finish(Store* store, const CheckOptions& options, CheckFindings* findings,
                           CheckReport report) {
  if (options.record && (store->writable() || options.record_when_reading)) {
    Status recorded = RecordDamage(store, *findings, &report.recorded);
    if (recorded.code() == Code::kCancelled) return recorded;
    if (!recorded.ok()) {
      store->Notice("what was found could not be recorded in the store: " + recorded.message());
    }
  }
  report.packs = findings->packs;
  report.verified_bytes = findings->verified_bytes;
  report.damage = std::move(findings->damage);
  std::sort(report.damage.begin(), report.damage.end(),
            [](const FoundDamage& a, const FoundDamage& b) {
              return std::tie(a.pack_id, a.offset) < std::tie(b.pack_id, b.offset);
            });
  return report;
}

}  // namespace

Result<CheckReport> CheckStore(Store* store, const CheckOptions& options) {
  CKPT_ASSIGN_OR_RETURN(const CheckFindings own, CheckOwn(store, options));
  CheckFindings findings = own;
  // Where something is amiss already, all chunks have to be known.
  if (own.damage.empty()) {
    findings.ids_most = IdTable<std::uint8_t>::IdsIn(store->options().table_bytes);
  }
  CheckReport report;
  CKPT_ASSIGN_OR_RETURN(bool all, CheckRest(store, options, &findings, &report));
  if (!all) {
    findings = own;
    report = CheckReport();
    CKPT_RETURN_IF_ERROR(store->Refresh());
    CKPT_RETURN_IF_ERROR(CheckRest(store, options, &findings, &report).status());
  }
  return Finish(store, options, &findings, std::move(report));
}

Result<CheckReport> CheckStore(Store* store, const CheckOptions& options, CheckFindings* findings) {
  CKPT_ASSIGN_OR_RETURN(*findings, CheckOwn(store, options));
  CheckReport report;
  CKPT_RETURN_IF_ERROR(CheckRest(store, options, findings, &report).status());
  return Finish(store, options, findings, std::move(report));
}

}  // namespace ckpt
