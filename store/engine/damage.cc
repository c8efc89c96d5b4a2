#include "store/engine/damage.h"

#include "store/engine/chunk_writer.h"

namespace ckpt {

Status RecordDamage(Store* store, const CheckFindings& findings) {
  if (!store->writable()) return Status();
  std::vector<DamageRecord> records;
  std::int64_t now = store->env()->RealtimeNs();
  for (const FoundDamage& found : findings.damage) {
    if (found.pack_missing) continue;
    for (const ChunkAt& chunk : found.chunks) {
      ChunkPlace place{found.pack_id, {}};
      place.entry.offset = chunk.offset;
      if (store->IsBarred(place)) continue;
      records.push_back({0, found.pack_id, chunk.offset, chunk.id, now});
    }
  }
  for (const auto& [pack_id, chunk] : findings.healed) {
    records.push_back({1, pack_id, chunk.offset, chunk.id, now});
  }
  if (records.empty()) return Status();
  CKPT_ASSIGN_OR_RETURN(auto writer, ChunkWriter::Open(store));
  for (const DamageRecord& record : records) {
    CKPT_RETURN_IF_ERROR(writer->AppendRecord(RecordType::kDamage, EncodeDamage(record)));
  }
  CKPT_RETURN_IF_ERROR(writer->Commit(true));
  return store->Refresh();
}

}  // namespace ckpt
