#include "store/index/record_chain.h"

#include <algorithm>

namespace ckpt::index_internal {
namespace {

constexpr std::size_t kBatchBytes = 4u << 20;

// A row under a cursor, decoded. NOTFOUND stays what it is; a bad row is damage.
int Decode(const LmdbEnv& env, const Cursor& cursor, RecordRow* row) {
  return DecodeRecordRow(env.sealer(), Span(cursor.key), Span(cursor.value), row) ? 0
                                                                                  : MDB_CORRUPTED;
}

bool IsBelow(const Cursor& cursor, ByteSpan key) {
  return std::ranges::lexicographical_compare(Span(cursor.key), key);
}

// To the first row at or above `key`; *found: there is one. A bad key in a branch page leads to
// another leaf, whose rows are linked as they should be: so keys are compared here and in StepBack.
int Seek(Cursor* cursor, ByteSpan key, bool* found) {
  int rc = cursor->Seek(key);
  *found = rc == 0;
  if (rc == MDB_NOTFOUND) return 0;
  return rc == 0 && IsBelow(*cursor, key) ? MDB_CORRUPTED : rc;
}

// Moves to the row before where the cursor stands (`found`), or to the last: the one below `key`.
// There always is one before a record, the chain's head, and it must link to `next_link`.
int StepBack(const LmdbEnv& env, Cursor* cursor, ByteSpan key, bool found, std::uint64_t next_link,
             RecordRow* row) {
  int rc = cursor->Get(found ? MDB_PREV : MDB_LAST);
  if (rc == MDB_NOTFOUND || (rc == 0 && !IsBelow(*cursor, key))) return MDB_CORRUPTED;
  if (rc == 0) rc = Decode(env, *cursor, row);
  if (rc != 0) return rc;
  return row->link == next_link ? 0 : MDB_CORRUPTED;
}

int PutRow(LmdbEnv* env, MDB_txn* txn, ByteSpan key, const RecordRow& row) {
  Bytes encoded;
  EncodeRecordRow(env->sealer(), key, row, &encoded);
  MDB_val k = Val(key);
  MDB_val v = Val(encoded);
  return mdb_put(txn, env->table(kRecords), &k, &v, 0);
}

// Rewrites the row under the cursor with another link. Copies first: a put moves what it points to.
int Relink(LmdbEnv* env, MDB_txn* txn, const Cursor& cursor, RecordRow row, std::uint64_t link) {
  Bytes key(Span(cursor.key).begin(), Span(cursor.key).end());
  Bytes value(row.value.begin(), row.value.end());
  row.link = link;
  row.value = value;
  return PutRow(env, txn, key, row);
}

bool Is(const Cursor& cursor, ByteSpan key) { return std::ranges::equal(Span(cursor.key), key); }

int DeleteRecord(LmdbEnv* env, MDB_txn* txn, ByteSpan full_key) {
  Cursor cursor;
  bool found = false;
  int rc = cursor.Open(env, txn, kRecords);
  if (rc == 0) rc = Seek(&cursor, full_key, &found);
  if (rc != 0 || !found) return rc == 0 ? MDB_NOTFOUND : rc;
  RecordRow row;
  rc = Decode(*env, cursor, &row);
  if (rc != 0) return rc;
  std::uint64_t link = row.link;
  rc = StepBack(*env, &cursor, full_key, true, env->sealer().Link(full_key), &row);
  if (rc == 0) rc = Relink(env, txn, cursor, row, link);
  if (rc != 0) return rc;
  cursor.Close();
  MDB_val key = Val(full_key);
  return mdb_del(txn, env->table(kRecords), &key, nullptr);
}

int ReadNumber(LmdbEnv* env, MDB_txn* txn, ByteSpan name, std::uint32_t* number) {
  *number = 0;
  MDB_val key = Val(name);
  MDB_val value{};
  int rc = mdb_get(txn, env->table(kMeta), &key, &value);
  if (rc == MDB_NOTFOUND) return 0;
  if (rc != 0) return rc;
  return DecodeNumberRow(env->sealer(), kMeta, name, Span(value), number) ? 0 : MDB_CORRUPTED;
}

// The head of the chain, and the number of changes, which must be in both tables.
int ReadHead(LmdbEnv* env, MDB_txn* txn, RecordRow* head, std::uint32_t* changes) {
  int rc = ReadNumber(env, txn, ChangesKey(), changes);
  if (rc != 0) return rc;
  const Bytes name = ChainHeadKey();
  MDB_val key = Val(name);
  MDB_val value{};
  rc = mdb_get(txn, env->table(kRecords), &key, &value);
  if (rc != 0) return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
  if (!DecodeRecordRow(env->sealer(), name, Span(value), head)) return MDB_CORRUPTED;
  const std::uint32_t there = head->value.size() < 4 ? 0 : LoadU32(head->value.data());
  return there == *changes ? 0 : MDB_CORRUPTED;
}

}  // namespace

int CountChange(LmdbEnv* env, MDB_txn* txn) {
  RecordRow head;
  std::uint32_t changes = 0;
  int rc = ReadHead(env, txn, &head, &changes);
  if (rc != 0) return rc;
  ++changes;
  Bytes count;
  ByteWriter(&count).U32(changes);
  head.value = count;
  rc = PutRow(env, txn, ChainHeadKey(), head);
  if (rc != 0) return rc;
  const Bytes row = EncodeNumberRow(env->sealer(), kMeta, ChangesKey(), changes);
  MDB_val key = Val(ChangesKey());
  MDB_val value = Val(row);
  return mdb_put(txn, env->table(kMeta), &key, &value, 0);
}

int PutRecord(LmdbEnv* env, MDB_txn* txn, ByteSpan key, std::uint32_t pack, ByteSpan value) {
  Bytes full = RecordKey(key);
  Cursor cursor;
  bool found = false;
  int rc = cursor.Open(env, txn, kRecords);
  if (rc == 0) rc = Seek(&cursor, full, &found);
  if (rc != 0) return rc;
  RecordRow row;
  std::uint64_t link = found ? env->sealer().Link(Span(cursor.key)) : 0;
  if (found && Is(cursor, full)) {
    rc = Decode(*env, cursor, &row);
    link = row.link;
  } else {
    rc = StepBack(*env, &cursor, full, found, link, &row);
    if (rc == 0) rc = Relink(env, txn, cursor, row, env->sealer().Link(full));
  }
  if (rc != 0) return rc;
  cursor.Close();
  return PutRow(env, txn, full, {.link = link, .pack = pack, .value = value});
}

int ReadDrops(LmdbEnv* env, MDB_txn* txn, std::uint32_t* drops) {
  return ReadNumber(env, txn, DropsKey(), drops);
}

int DeleteRecordsOf(LmdbEnv* env, MDB_txn* txn, const std::unordered_set<std::uint32_t>& packs) {
  if (packs.empty()) return 0;
  std::vector<Bytes> keys;
  {
    Cursor cursor;
    int rc = cursor.Open(env, txn, kRecords);
    if (rc == 0) rc = cursor.Get(MDB_FIRST);
    for (; rc == 0; rc = cursor.Get(MDB_NEXT)) {
      RecordRow row;
      rc = Decode(*env, cursor, &row);
      if (rc != 0) return rc;
      ByteSpan key = Span(cursor.key);
      if (packs.contains(row.pack)) keys.emplace_back(key.begin(), key.end());
    }
    if (rc != MDB_NOTFOUND) return rc;
  }
  for (const Bytes& key : keys) {
    int rc = DeleteRecord(env, txn, key);
    if (rc != 0) return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
  }
  return keys.empty() ? 0 : CountChange(env, txn);
}

int FindPack(LmdbEnv* env, MDB_txn* txn, std::uint32_t number,
             std::optional<PackCoverage>* coverage) {
  coverage->reset();
  PackKey number_key = EncodePackKey(number);
  MDB_val key = Val(number_key);
  MDB_val value{};
  int rc = mdb_get(txn, env->table(kPacks), &key, &value);
  if (rc == MDB_NOTFOUND) return 0;
  if (rc != 0) return rc;
  if (!DecodePackRow(env->sealer(), number_key, Span(value), &coverage->emplace())) {
    return MDB_CORRUPTED;
  }
  return 0;
}

RecordBatch::RecordBatch(ByteSpan prefix, bool reverse)
    : prefix_(RecordKey(prefix)), reverse_(reverse), resume_(prefix_) {
  if (reverse_) PrefixEnd(&resume_);  // begins with 0x01, so there is such a key
}

int RecordBatch::Read(LmdbEnv* env, MDB_txn* txn, std::size_t limit) {
  arena_.clear();
  items_.clear();
  packs_.clear();  // true for one snapshot only
  RecordRow head;
  std::uint32_t changes = 0;
  int rc = ReadHead(env, txn, &head, &changes);
  Cursor cursor;
  if (rc == 0) rc = cursor.Open(env, txn, kRecords);
  if (rc != 0) return rc;
  return reverse_ ? ReadDown(env, &cursor, txn, limit) : ReadUp(env, &cursor, txn, limit);
}

int RecordBatch::ReadUp(LmdbEnv* env, Cursor* cursor, MDB_txn* txn, std::size_t limit) {
  const RowSealer& sealer = env->sealer();
  bool found = false;
  int rc = Seek(cursor, resume_, &found);
  if (rc != 0) return rc;
  std::uint64_t link = found ? sealer.Link(Span(cursor->key)) : 0;
  RecordRow row;
  rc = StepBack(*env, cursor, resume_, found, link, &row);
  while (rc == 0) {
    rc = cursor->Get(MDB_NEXT);
    if (rc != 0 && rc != MDB_NOTFOUND) return rc;
    std::uint64_t here = rc == 0 ? sealer.Link(Span(cursor->key)) : 0;
    if (here != row.link) return MDB_CORRUPTED;
    if (rc == MDB_NOTFOUND || !InPrefix(Span(cursor->key))) {
      done_ = true;
      return 0;
    }
    ByteSpan key = Span(cursor->key);
    if (items_.size() >= limit || arena_.size() >= kBatchBytes) {
      resume_.assign(key.begin(), key.end());
      return 0;
    }
    rc = Decode(*env, *cursor, &row);
    if (rc == 0) rc = Take(env, txn, key, row);
  }
  return rc;
}

int RecordBatch::ReadDown(LmdbEnv* env, Cursor* cursor, MDB_txn* txn, std::size_t limit) {
  const RowSealer& sealer = env->sealer();
  bool found = false;
  int rc = Seek(cursor, resume_, &found);
  if (rc != 0) return rc;
  for (;;) {
    RecordRow row;
    rc = StepBack(*env, cursor, resume_, found, found ? sealer.Link(Span(cursor->key)) : 0, &row);
    if (rc != 0) return rc;
    found = true;
    ByteSpan key = Span(cursor->key);
    if (!InPrefix(key)) {
      done_ = true;
      return 0;
    }
    rc = Take(env, txn, key, row);
    if (rc != 0) return rc;
    if (items_.size() >= limit || arena_.size() >= kBatchBytes) {
      resume_.assign(key.begin(), key.end());
      return 0;
    }
  }
}

int RecordBatch::Take(LmdbEnv* env, MDB_txn* txn, ByteSpan key, const RecordRow& row) {
  auto [at, fresh] = packs_.try_emplace(row.pack);
  if (fresh) {
    int rc = FindPack(env, txn, row.pack, &at->second);
    if (rc != 0) return rc;
  }
  if (!at->second) return MDB_CORRUPTED;  // records go with their pack
  if (at->second->covered_bytes == 0) return 0;
  ByteSpan bare = key.subspan(1);
  items_.push_back({arena_.size(), bare.size(), row.value.size(), at->second->pack_id});
  arena_.insert(arena_.end(), bare.begin(), bare.end());
  arena_.insert(arena_.end(), row.value.begin(), row.value.end());
  return 0;
}

bool RecordBatch::Visit(const Index::RecordVisitor& fn) const {
  for (const Item& item : items_) {
    ByteSpan key = ByteSpan(arena_).subspan(item.key_at, item.key_bytes);
    ByteSpan value = ByteSpan(arena_).subspan(item.key_at + item.key_bytes, item.value_bytes);
    if (!fn(key, value, item.pack)) return false;
  }
  return true;
}

bool RecordBatch::InPrefix(ByteSpan key) const {
  return key.size() >= prefix_.size() && std::ranges::equal(key.first(prefix_.size()), prefix_);
}

}  // namespace ckpt::index_internal
