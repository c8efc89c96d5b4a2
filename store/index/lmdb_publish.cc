#include "store/index/lmdb_publish.h"

#include <algorithm>
#include <numeric>

namespace ckpt::index_internal {
namespace {

// Rows of one transaction. In random order each may touch a page of its own: 64 MiB at most.
constexpr std::size_t kRowsPerTransaction = 16384;

}  // namespace

Publisher::Publisher(const IndexUpdate& update)
    : update_(update), dropped_packs_(update.dropped_packs.begin(), update.dropped_packs.end()) {}

int Publisher::Fill(LmdbEnv* env, MDB_txn* txn) {
  env_ = env;
  txn_ = txn;
  next_ = at_;
  budget_ = kRowsPerTransaction;
  if (!next_.dropped) {
    int rc = DropPacks();
    if (rc != 0) return rc;
    next_.dropped = true;
  }
  int rc = DropChunks();
  while (rc == 0 && budget_ > 0 && next_.pack < update_.packs.size()) {
    const PackUpdate& pack = update_.packs[next_.pack];
    bool skip = false;
    if (!next_.number) rc = BeginPack(pack, &skip);
    if (rc == 0 && !skip) rc = PutChunks(pack);
    if (rc != 0) return rc;
    if (!skip && next_.chunk < pack.chunks.size()) break;  // the transaction is full
    if (!skip) rc = FinishPack(pack);
    next_.pack += 1;
    next_.chunk = 0;
    next_.number.reset();
  }
  return rc;
}

int Publisher::DropPacks() {
  std::unordered_set<std::uint32_t> numbers;
  auto drop = [&](const Id128& pack_id) {
    std::optional<std::uint32_t> number;
    int rc = FindNumber(pack_id, &number);
    if (rc != 0 || !number) return rc;
    numbers.insert(*number);
    return ErasePack(pack_id, *number);
  };
  for (const Id128& pack_id : update_.dropped_packs) {
    int rc = drop(pack_id);
    if (rc != 0) return rc;
  }
  for (const PackUpdate& pack : update_.packs) {
    if (pack.covered_before != 0) continue;
    std::uint64_t covered = 0;
    int rc = pack.replaces_bytes ? FindCovered(pack.coverage.pack_id, &covered) : 0;
    if (rc == 0 && (!pack.replaces_bytes || covered == *pack.replaces_bytes)) {
      rc = drop(pack.coverage.pack_id);
    }
    if (rc != 0) return rc;
  }
  int rc = numbers.empty() ? 0 : CountDrop();
  return rc == 0 ? DeleteRecordsOf(env_, txn_, numbers) : rc;
}

int Publisher::CountDrop() {
  std::uint32_t drops = 0;
  int rc = ReadDrops(env_, txn_, &drops);
  if (rc != 0) return rc;
  Bytes row = EncodeNumberRow(env_->sealer(), kMeta, DropsKey(), drops + 1);
  MDB_val key = Val(DropsKey());
  MDB_val value = Val(row);
  return mdb_put(txn_, env_->table(kMeta), &key, &value, 0);
}

int Publisher::DropChunks() {
  for (; budget_ > 0 && next_.dropped_chunk < update_.dropped_chunks.size();
       ++next_.dropped_chunk, --budget_) {
    const Id128& id = update_.dropped_chunks[next_.dropped_chunk];
    MDB_val key = Val(IdSpan(id));
    MDB_val value{};
    int rc = mdb_get(txn_, env_->table(kChunks), &key, &value);
    if (rc == MDB_NOTFOUND) continue;
    if (rc != 0) return rc;
    ChunkRow row;
    if (!DecodeChunkRow(env_->sealer(), id, Span(value), &row)) return MDB_CORRUPTED;
    std::optional<PackCoverage> pack;
    rc = FindPack(env_, txn_, row.pack, &pack);
    if (rc == 0 && !pack) rc = mdb_del(txn_, env_->table(kChunks), &key, nullptr);
    if (rc != 0) return rc;
  }
  return 0;
}

// 0 when the index has nothing of the pack.
int Publisher::FindCovered(const Id128& pack_id, std::uint64_t* covered) {
  *covered = 0;
  std::optional<std::uint32_t> number;
  int rc = FindNumber(pack_id, &number);
  if (rc != 0 || !number) return rc;
  std::optional<PackCoverage> present;
  rc = FindPack(env_, txn_, *number, &present);
  if (rc != 0) return rc;
  if (!present || present->pack_id != pack_id) return MDB_CORRUPTED;
  *covered = present->covered_bytes;
  return 0;
}

int Publisher::BeginPack(const PackUpdate& pack, bool* skip) {
  std::optional<std::uint32_t> number;
  std::uint64_t covered = 0;
  int rc = FindNumber(pack.coverage.pack_id, &number);
  if (rc == 0) rc = FindCovered(pack.coverage.pack_id, &covered);
  if (rc != 0) return rc;
  const bool dropped = IsDropped(pack.coverage.pack_id);
  *skip = dropped || DoesNotFit(pack, covered);
  left_out_ = left_out_ || (!dropped && IsLeftOut(pack, covered));
  if (*skip) return 0;
  if (!number) {
    rc = NewNumber(&number.emplace());
    PackCoverage nothing_yet{.pack_id = pack.coverage.pack_id};
    if (rc == 0) rc = PutPack(*number, nothing_yet);
  }
  next_.number = number;
  return rc;
}

void Publisher::SortChunks(const PackUpdate& pack) {
  if (order_pack_ == &pack) return;
  order_pack_ = &pack;
  order_.resize(pack.chunks.size());
  std::iota(order_.begin(), order_.end(), 0u);
  std::ranges::stable_sort(order_, {},
                           [&](std::uint32_t i) -> const Id128& { return pack.chunks[i].id; });
}

int Publisher::PutChunks(const PackUpdate& pack) {
  SortChunks(pack);
  for (; budget_ > 0 && next_.chunk < pack.chunks.size(); ++next_.chunk, --budget_) {
    int rc = PutChunk(pack.chunks[order_[next_.chunk]]);
    if (rc != 0) return rc;
  }
  return 0;
}

int Publisher::FinishPack(const PackUpdate& pack) {
  for (const IndexRecord& record : pack.records) {
    int rc = PutRecord(env_, txn_, record.key, *next_.number, record.value);
    if (rc != 0) return rc;
  }
  int counted = pack.records.empty() ? 0 : CountChange(env_, txn_);
  if (counted != 0) return counted;
  budget_ -= std::min(budget_, pack.records.size());
  return PutPack(*next_.number, pack.coverage);
}

int Publisher::FindNumber(const Id128& pack_id, std::optional<std::uint32_t>* number) {
  number->reset();
  MDB_val key = Val(IdSpan(pack_id));
  MDB_val value{};
  int rc = mdb_get(txn_, env_->table(kPackIds), &key, &value);
  if (rc == MDB_NOTFOUND) return 0;
  if (rc != 0) return rc;
  bool good =
      DecodeNumberRow(env_->sealer(), kPackIds, IdSpan(pack_id), Span(value), &number->emplace());
  return good ? 0 : MDB_CORRUPTED;
}

int Publisher::ErasePack(const Id128& pack_id, std::uint32_t number) {
  PackKey number_key = EncodePackKey(number);
  MDB_val key = Val(number_key);
  int rc = mdb_del(txn_, env_->table(kPacks), &key, nullptr);
  if (rc != 0) return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
  key = Val(IdSpan(pack_id));
  return mdb_del(txn_, env_->table(kPackIds), &key, nullptr);
}

int Publisher::NewNumber(std::uint32_t* number) {
  MDB_val key = Val(NextPackKey());
  MDB_val value{};
  *number = 1;
  int rc = mdb_get(txn_, env_->table(kMeta), &key, &value);
  if (rc != 0 && rc != MDB_NOTFOUND) return rc;
  if (rc == 0 && !DecodeNumberRow(env_->sealer(), kMeta, NextPackKey(), Span(value), number)) {
    return MDB_CORRUPTED;
  }
  if (*number == kNoPack) return MDB_CORRUPTED;  // used up: start anew
  Bytes row = EncodeNumberRow(env_->sealer(), kMeta, NextPackKey(), *number + 1);
  value = Val(row);
  return mdb_put(txn_, env_->table(kMeta), &key, &value, 0);
}

int Publisher::PutPack(std::uint32_t number, const PackCoverage& coverage) {
  PackKey number_key = EncodePackKey(number);
  Bytes row = EncodePackRow(env_->sealer(), number, coverage);
  MDB_val key = Val(number_key);
  MDB_val value = Val(row);
  int rc = mdb_put(txn_, env_->table(kPacks), &key, &value, 0);
  if (rc != 0) return rc;
  ByteSpan id = IdSpan(coverage.pack_id);
  row = EncodeNumberRow(env_->sealer(), kPackIds, id, number);
  key = Val(id);
  value = Val(row);
  return mdb_put(txn_, env_->table(kPackIds), &key, &value, 0);
}

int Publisher::PutChunk(const ChunkEntry& entry) {
  ChunkValue encoded = EncodeChunkRow(env_->sealer(), {.pack = *next_.number, .entry = entry});
  ByteSpan row(encoded.bytes.data(), encoded.size);
  MDB_val key = Val(IdSpan(entry.id));
  MDB_val value = Val(row);
  int rc = mdb_put(txn_, env_->table(kChunks), &key, &value, MDB_NOOVERWRITE);
  if (rc != MDB_KEYEXIST) return rc;
  bool replaces = false;  // `value` is now what is there
  rc = Replaces(entry, Span(value), &replaces);
  if (rc != 0 || !replaces) return rc;
  key = Val(IdSpan(entry.id));
  value = Val(row);
  return mdb_put(txn_, env_->table(kChunks), &key, &value, 0);
}

// The newer place counts, but a delta does not replace a full record that is still there (I12).
int Publisher::Replaces(const ChunkEntry& entry, ByteSpan present, bool* replaces) {
  *replaces = true;
  ChunkRow row;
  if (!DecodeChunkRow(env_->sealer(), entry.id, present, &row)) return MDB_CORRUPTED;
  if (entry.base.IsZero() || !row.entry.base.IsZero()) return 0;
  std::optional<PackCoverage> pack;
  int rc = FindPack(env_, txn_, row.pack, &pack);
  bool counts = pack && (row.entry.offset < pack->covered_bytes || row.pack == *next_.number);
  *replaces = !counts;
  return rc;
}

}  // namespace ckpt::index_internal
