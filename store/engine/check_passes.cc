#include "store/engine/check_passes.h"

namespace ckpt {
namespace {

bool FoundNothing(const CheckFindings& findings) {
  return findings.damage.empty() && findings.without_base.empty() && !findings.unread;
}

void Take(const ChunkEntry& entry, CheckFindings* findings) {
  const bool delta = IsDeltaCodec(entry.codec);
  if (findings->range.Contains(entry.id)) {
    *findings->chunks.Insert(entry.id).first |=
        delta ? CheckFindings::kSound : CheckFindings::kSound | CheckFindings::kInFull;
  }
  if (delta && findings->range.Contains(entry.base)) {
    *findings->chunks.Insert(entry.base).first |= CheckFindings::kIsBase;
  }
}

// What nobody looked at when the packs were checked is not listed: whoever needs it reads it.
// False: there is damage.
Result<bool> ListPack(Store* store, const Id128& id, IdPasses* passes, CheckFindings* findings) {
  const auto looked_at = findings->looked_at.find(id);
  if (looked_at == findings->looked_at.end()) return true;
  auto reader = PackReader::Open(store->packs_dir(), id, store->format().uuid,
                                 PackReader::BadHeader::kSalvage);
  if (reader.status().code() == Code::kNotFound) return true;  // never began, or collected
  if (reader.status().code() == Code::kCorruption) return false;
  if (!reader.ok()) return reader.status();
  CKPT_ASSIGN_OR_RETURN(PackContents contents, (*reader)->ReadFrom(0));
  if (!contents.damage.empty()) return false;
  for (const auto* entries : {&contents.chunks, &contents.tail_chunks}) {
    for (const ChunkEntry& entry : *entries) {
      if (entry.offset < looked_at->second) Take(entry, findings);
    }
  }
  CKPT_RETURN_IF_ERROR(passes->Met(findings->chunks.size()));
  return true;
}

Result<bool> ListPacks(Store* store, IdPasses* passes, CheckFindings* findings) {
  CKPT_ASSIGN_OR_RETURN(auto files, store->packs_dir()->List());
  for (const DirEntry& file : files) {
    Id128 id;
    if (!ParsePackFileName(file.name, &id)) continue;
    CKPT_ASSIGN_OR_RETURN(bool whole, ListPack(store, id, passes, findings));
    if (!whole) return false;
    CKPT_RETURN_IF_ERROR(store->Report({"checking directories", 0, 0, 0, 0}));
  }
  return true;
}

Result<bool> ListRange(Store* store, IdPasses* passes, CheckFindings* findings) {
  for (;;) {
    findings->range = passes->range();
    findings->chunks.Bound(passes->ids_most());
    findings->chunks.Reset(passes->Room());
    auto listed = ListPacks(store, passes, findings);
    if (listed.ok() || !passes->BeginAgain()) return listed;
  }
}

bool HasAllBases(CheckFindings* findings) {
  bool all = true;
  findings->chunks.ForEach([&](const Id128&, std::uint8_t bits) {
    all = all && ((bits & CheckFindings::kIsBase) == 0 || (bits & CheckFindings::kInFull) != 0);
  });
  return all;
}

}  // namespace

Result<bool> NothingIsAmiss(Store* store, TreeChecker* trees, CheckFindings* findings,
                            std::uint64_t* chunks) {
  IdPasses passes(findings->ids_most, store->ChunksExpected());
  do {
    if (!FoundNothing(*findings)) return false;
    CKPT_ASSIGN_OR_RETURN(bool whole, ListRange(store, &passes, findings));
    if (!whole || !HasAllBases(findings)) return false;
    *chunks += findings->CountSound();
    CKPT_RETURN_IF_ERROR(trees->WalkRange());
  } while (passes.Next());
  findings->chunks.Reset(0);
  return FoundNothing(*findings);
}

}  // namespace ckpt
