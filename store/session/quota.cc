#include "store/session/quota.h"

namespace ckpt {
namespace {

constexpr int kDepthMax = 8;  // a store has three levels

// What vanishes while it is looked at was somebody else's collection.
Status CountIn(Dir* dir, int depth, std::uint64_t* files) {
  CKPT_ASSIGN_OR_RETURN(auto entries, dir->List());
  *files += entries.size();
  if (depth >= kDepthMax) return Status();
  for (const DirEntry& entry : entries) {
    if (entry.kind != FileKind::kDirectory) continue;
    auto inner = dir->OpenDir(entry.name);
    if (!inner.ok() && inner.status().code() == Code::kNotFound) continue;
    if (!inner.ok()) return inner.status();
    CKPT_RETURN_IF_ERROR(CountIn(inner->get(), depth + 1, files));
  }
  return Status();
}

std::uint64_t Over(std::uint64_t limit, std::uint64_t use, std::uint64_t need) {
  if (limit == 0) return 0;
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(use, need, &sum)) sum = UINT64_MAX;
  return sum > limit ? sum - limit : 0;
}

}  // namespace

StoreUse Quota::Excess(const StoreUse& use, const StoreUse& need) const {
  return {Over(bytes, use.bytes, need.bytes), Over(files, use.files, need.files)};
}

Result<StoreUse> MeasureUse(Store* store) {
  StoreUse use;
  use.files = 1;  // the store's folder itself
  CKPT_RETURN_IF_ERROR(CountIn(store->root(), 0, &use.files));
  CKPT_ASSIGN_OR_RETURN(auto packs, store->packs_dir()->List());
  for (const DirEntry& entry : packs) {
    auto info = store->packs_dir()->StatEntry(entry.name);
    if (!info.ok() && info.status().code() == Code::kNotFound) continue;
    if (!info.ok()) return info.status();
    use.bytes += info->allocated_bytes;
  }
  return use;
}

Status OverQuota(const Store& store, const std::string& series, const Quota& quota,
                 const StoreUse& use) {
  std::string limits;
  if (quota.bytes > 0) {
    limits = std::to_string(quota.bytes) + " bytes (" + std::to_string(use.bytes) + " in use)";
  }
  if (quota.files > 0) {
    limits += (limits.empty() ? "" : " and ") + std::to_string(quota.files) + " files (" +
              std::to_string(use.files) + " in use)";
  }
  return NoSpace("the quota of " + store.path() + ", " + limits +
                 ", has no room for another checkpoint of '" + series +
                 "', and nothing more may be given up now: raise the quota, remove checkpoints of"
                 " other series (ckpt-store rm, then gc), or use another store");
}

}  // namespace ckpt
