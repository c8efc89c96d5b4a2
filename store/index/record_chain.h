// The records table: a chain of rows (see index_rows.h) edited inside one write transaction and
// scanned in batches inside read transactions. Every step checks that the row before links to the
// row after; where it does not, the answer is MDB_CORRUPTED and nothing of the batch is used.
// Thread rule: as of the transaction.

#ifndef CKPT_STORE_INDEX_RECORD_CHAIN_H_
#define CKPT_STORE_INDEX_RECORD_CHAIN_H_

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/index/lmdb_env.h"

namespace ckpt::index_internal {

// `key` is the record's key, without the 0x01. A key put again changes hands.
int PutRecord(LmdbEnv* env, MDB_txn* txn, ByteSpan key, std::uint32_t pack, ByteSpan value);
// Deletes every record of these packs: one pass over all records.
int DeleteRecordsOf(LmdbEnv* env, MDB_txn* txn, const std::unordered_set<std::uint32_t>& packs);
// To be called once after any of PutRecord (DeleteRecordsOf does by itself). A bad byte in LMDB's
// own pages can lead to a table as it was some transactions ago, in which every row is sealed and
// linked: then the numbers of two tables differ, and a scan answers MDB_CORRUPTED.
int CountChange(LmdbEnv* env, MDB_txn* txn);
// How often packs were dropped in this index. Answers as LMDB does, 0 where it was never done.
int ReadDrops(LmdbEnv* env, MDB_txn* txn, std::uint32_t* drops);

// The coverage of a pack number; nothing when it was dropped.
int FindPack(LmdbEnv* env, MDB_txn* txn, std::uint32_t number,
             std::optional<PackCoverage>* coverage);

// Copies of the records of one stretch of a scan.
class RecordBatch {
 public:
  RecordBatch(ByteSpan prefix, bool reverse);

  // The next records, at most `limit`. done() when there are no more.
  int Read(LmdbEnv* env, MDB_txn* txn, std::size_t limit);
  // For each record in order, until fn answers false; then the answer is false too.
  bool Visit(const Index::RecordVisitor& fn) const;
  bool done() const { return done_; }

 private:
  struct Item {
    std::size_t key_at, key_bytes, value_bytes;  // the value follows the key
    Id128 pack;
  };
  int ReadUp(LmdbEnv* env, Cursor* cursor, MDB_txn* txn, std::size_t limit);
  int ReadDown(LmdbEnv* env, Cursor* cursor, MDB_txn* txn, std::size_t limit);
  int Take(LmdbEnv* env, MDB_txn* txn, ByteSpan key, const RecordRow& row);
  bool InPrefix(ByteSpan key) const;

  Bytes prefix_;  // with the 0x01
  bool reverse_;
  bool done_ = false;
  Bytes resume_;  // ascending: the least key not yet read; descending: the last key read
  Bytes arena_;
  std::vector<Item> items_;
  std::unordered_map<std::uint32_t, std::optional<PackCoverage>> packs_;
};

}  // namespace ckpt::index_internal

#endif  // CKPT_STORE_INDEX_RECORD_CHAIN_H_
