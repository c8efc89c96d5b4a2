#include "store/engine/damage.h"

#include "store/engine/chunk_writer.h"

namespace ckpt {

namespace {

// What the store's memory of damage does not say yet.
std::vector<DamageRecord> News(Store* store, const CheckFindings& findings) {
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
  return records;
}

Status Write(Store* store, const std::vector<DamageRecord>& records) {
  CKPT_ASSIGN_OR_RETURN(auto writer, ChunkWriter::Open(store));
  for (const DamageRecord& record : records) {
    CKPT_RETURN_IF_ERROR(writer->AppendRecord(RecordType::kDamage, EncodeDamage(record)));
  }
  return writer->Commit(true);
}

}  // namespace

Status RecordDamage(Store* store, const CheckFindings& findings, std::uint64_t* recorded) {
  *recorded = 0;
  std::vector<DamageRecord> records = News(store, findings);
  if (records.empty()) return Status();
  if (store->writable()) {
    CKPT_RETURN_IF_ERROR(Write(store, records));
  } else {
    OpenStoreOptions options = store->options();
    options.mode = OpenStoreOptions::Mode::kWrite;
    CKPT_ASSIGN_OR_RETURN(auto twin, Store::Open(store->env(), store->path(), options));
    CKPT_RETURN_IF_ERROR(Write(twin.get(), records));
  }
  *recorded = records.size();
  return store->Refresh();
}

}  // namespace ckpt
