// The index: a cache of what the packs hold, for deduplication and quick listing. It may lag, never
// lead (I4), may be deleted, damaged or replaced at any time, and is never needed to restart.
//
// Two implementations: LmdbIndex (one directory private to one host, lmdb_index.h) and MemoryIndex
// (memory_index.h: for read-only use, and as the overlay for news that could not be published).
//
// Besides chunks it keeps *records*: opaque key/value pairs made by the engine from manifests,
// tombstones and the like, found by key prefix in byte order. Each belongs to a pack; a key put
// again belongs to the newer pack.
//
// Any doubt (checksum, generation, LMDB error) is answered with "not here" or by rebuilding, never
// with a wrong answer. Thread rule: all calls by any thread at once.

#ifndef CKPT_STORE_INDEX_INDEX_H_
#define CKPT_STORE_INDEX_INDEX_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/pack/format.h"

namespace ckpt {

// How far the index covers a pack, and a record header below that offset with its checksum, which
// proves that it is still the pack the index read (I4).
struct PackCoverage {
  Id128 pack_id;
  std::uint64_t covered_bytes = 0;
  std::uint64_t check_offset = 0;
  std::uint64_t check_checksum = 0;
};

struct ChunkPlace {
  Id128 pack_id;
  ChunkEntry entry;
};

struct IndexRecord {
  Bytes key;    // 1 … 400 bytes
  Bytes value;  // at most 64 KiB
};

// What was read from one pack, all of it durable: published in one transaction.
struct PackUpdate {
  PackCoverage coverage;             // after this update
  std::uint64_t covered_before = 0;  // coverage this update continues; 0 replaces all of the pack
  // With covered_before 0: replaces the pack only where the index covers just so much of it, so
  // that what others published meanwhile does not go. Unset: whatever it covers.
  std::optional<std::uint64_t> replaces_bytes;
  std::vector<ChunkEntry> chunks;
  std::vector<IndexRecord> records;
};

struct IndexUpdate {
  std::vector<PackUpdate> packs;
  std::vector<Id128> dropped_packs;   // unlinked: their entries never count again
  std::vector<Id128> dropped_chunks;  // entries to delete if they point into a dropped pack
};

struct IndexStats {
  std::uint64_t chunks = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;  // on disk, or in memory
};

class Index {
 public:
  virtual ~Index() = default;

  // In order of their ids. Empty also when the index cannot be used just now. Notices that another
  // process made the index anew, so ask before each refresh.
  virtual Result<std::vector<PackCoverage>> Packs() = 0;
  // Another number when the index was made anew, or packs were dropped or put anew (by any
  // process): what it covered and had before says nothing about what it has now.
  virtual std::uint64_t GenerationNumber() { return 0; }
  // Where a chunk is, if a pack that is neither dropped nor uncovered holds it. A full record is
  // preferred to a delta (I12).
  virtual Result<std::optional<ChunkPlace>> FindChunk(const Id128& id) = 0;
  // Calls fn(key, value, pack) for every record whose key begins with `prefix`, in ascending
  // (descending when `reverse`) byte order, until fn answers false. fn sees copies and may take its
  // time or call this index. An answer that is not ok (damage was found just now, or nobody can
  // read at the moment): what fn saw is true but not all; go on as if this index were empty.
  using RecordVisitor = std::function<bool(ByteSpan key, ByteSpan value, const Id128& pack_id)>;
  virtual Status ScanRecords(ByteSpan prefix, bool reverse, const RecordVisitor& fn) = 0;
  // False: somebody else is publishing (or is stopped while doing so); try again later. Or an
  // update was left out because the present coverage is not what it continues or replaces: the
  // index does not have it. (Old news, of what the index covers, count as published.) Where
  // two places of a chunk are published, the later counts (but see FindChunk): publish copies after
  // or together with the drop of what they replace. After a failure the caller goes on without; a
  // part of the update may be published, and is then no lead.
  virtual Result<bool> Publish(const IndexUpdate& update) = 0;
  virtual Result<IndexStats> Stats() = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_INDEX_INDEX_H_
