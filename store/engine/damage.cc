#include "store/engine/damage.h"

#include <algorithm>

#include "store/engine/chunk_writer.h"
#include "store/engine/record_index.h"

namespace ckpt {

namespace {

// What the store's memory of damage does not say yet.
std::vector<DamageRecord> News(Store* store, const CheckFindings& findings) {
  std::vector<DamageRecord> records;
  for (const FoundDamage& found : findings.damage) {
    if (found.pack_missing || found.for_its_base) continue;
    for (const ChunkAt& chunk : found.chunks) {
      ChunkPlace place{found.pack_id, {}};
      place.entry.offset = chunk.offset;
      if (store->IsBarred(place)) continue;
      records.push_back({DamageRecord::kFound, found.pack_id, chunk.offset, chunk.id,
                         DamageTime(store, found.pack_id, chunk.offset)});
    }
  }
  for (const auto& [pack_id, chunk] : findings.healed) {
    records.push_back({DamageRecord::kHealed, pack_id, chunk.offset, chunk.id,
                       DamageTime(store, pack_id, chunk.offset)});
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

std::int64_t DamageTime(Store* store, const Id128& pack_id, std::uint64_t offset) {
  std::int64_t time_ns = std::max<std::int64_t>(store->env()->RealtimeNs(), 0);
  Bytes prefix = DamageKey({DamageRecord::kFound, pack_id, offset, Id128(), 0});
  prefix.resize(prefix.size() - sizeof(std::uint64_t));
  Status scanned = store->ScanRecords(prefix, false, [&](ByteSpan, ByteSpan value, const Id128&) {
    auto earlier = DecodeDamage(PayloadOfValue(value));
    if (earlier.ok() && earlier->time_ns < INT64_MAX) {
      time_ns = std::max(time_ns, earlier->time_ns + 1);
    }
    return true;
  });
  (void)scanned;  // what cannot be read is in nobody's way
  return time_ns;
}

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
