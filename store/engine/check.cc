#include "store/engine/check.h"

#include <algorithm>
#include <tuple>

#include "store/engine/check_packs.h"
#include "store/engine/check_trees.h"

namespace ckpt {

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
    FoundDamage lost;
    lost.pack_missing = true;
    lost.what = "the file 'format' is missing or damaged: the store can only be read";
    findings.Add(std::move(lost));
  }
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
