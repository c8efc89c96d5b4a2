#include "store/engine/check.h"

#include <algorithm>
#include <tuple>

#include "store/engine/check_packs.h"
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

}  // namespace

Result<CheckReport> CheckStore(Store* store, const CheckOptions& options) {
  CheckFindings findings;
  return CheckStore(store, options, &findings);
}

Result<CheckReport> CheckStore(Store* store, const CheckOptions& options, CheckFindings* out) {
  CheckFindings& findings = *out;
  if (!(options.part_percent > 0.0) || options.part_percent > 100.0) {
    return InvalidArgument("the part to check must be above 0 and at most 100 percent");
  }
  CKPT_RETURN_IF_ERROR(store->Refresh());
  if (store->format_lost()) {
    AddOwn("the file 'format' is missing or damaged: the store can only be read", &findings);
  }
  CKPT_RETURN_IF_ERROR(CheckCollect(store, &findings));
  TreeChecker trees(store, &findings);
  CKPT_RETURN_IF_ERROR(trees.LoadSeries());
  CKPT_RETURN_IF_ERROR(PackChecker(store, options, &findings).Run());
  for (FoundDamage& found : findings.damage) found.in_pack = !found.pack_missing;
  CheckReport report;
  CKPT_RETURN_IF_ERROR(trees.Run(&report));
  if (options.record && (store->writable() || options.record_when_reading)) {
    Status recorded = RecordDamage(store, findings, &report.recorded);
    if (recorded.code() == Code::kCancelled) return recorded;
    if (!recorded.ok()) {
      store->Notice("what was found could not be recorded in the store: " + recorded.message());
    }
  }
  report.packs = findings.packs;
  findings.chunks.ForEach([&](const Id128&, std::uint8_t bits) {
    if ((bits & CheckFindings::kSound) != 0) ++report.chunks;
  });
  report.verified_bytes = findings.verified_bytes;
  report.damage = std::move(findings.damage);
  std::sort(report.damage.begin(), report.damage.end(),
            [](const FoundDamage& a, const FoundDamage& b) {
              return std::tie(a.pack_id, a.offset) < std::tie(b.pack_id, b.offset);
            });
  return report;
}

}  // namespace ckpt
