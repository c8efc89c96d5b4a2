// The Index in LMDB: one environment per host and store, in a directory on a local file system.
//
// Publishing is done under a try-lock of our own (an open-file-description lock on `publish.lock`),
// so that a stopped process that holds LMDB's writer mutex delays nobody. Every value carries a
// checksum over key and value, and the environment a generation tied to the store (LMDB has no page
// checksums: FIELD measurements gave 35 % silently wrong answers to bit flips). Map growth by this
// or another process, stale readers, a truncated file and schema changes are handled inside. One
// environment per process and directory (LMDB's rule): Open hands out shared ownership.

#ifndef CKPT_STORE_INDEX_LMDB_INDEX_H_
#define CKPT_STORE_INDEX_LMDB_INDEX_H_

#include <functional>
#include <memory>
#include <string>

#include "store/index/index.h"
#include "store/io/env.h"

namespace ckpt {

struct LmdbIndexOptions {
  std::string path;  // a directory, made when missing (its parent must exist); 0700
  Id128 store_uuid;
  Id128 host;
  // Address space to begin with; it doubles as needed. And slots for readers of all processes. Both
  // are for tests.
  std::uint64_t map_bytes_start = 64u << 20;
  unsigned readers_max = 1022;
};

// Opens or creates. An environment of another store or schema, a damaged or truncated one, is
// emptied (that is never an error: it is a cache). Unsupported or PermissionDenied when it cannot
// be used at all: the caller falls back to a MemoryIndex.
Result<std::shared_ptr<Index>> OpenLmdbIndex(Env* env, const LmdbIndexOptions& options);

// Bulk building, for `reindex` and for a host's first save: appends chunks in ascending id order
// (millions a second, bench/index_bench.cc), in memory bounded but for the records, beside the
// index as it is, which others go on reading. Finish replaces the index at once by what was added;
// without it nothing changes. Nobody can publish meanwhile. By one thread, and Finish or the
// destructor by the thread that started it.
class IndexBuilder {
 public:
  virtual ~IndexBuilder() = default;
  // REQUIRES: ids ascending; of several places of one id the first counts.
  virtual Status AddChunk(const Id128& pack_id, const ChunkEntry& entry) = 0;
  virtual Status AddRecord(const Id128& pack_id, const IndexRecord& record) = 0;
  virtual Status Finish(const std::vector<PackCoverage>& packs) = 0;
};
// Busy: somebody else is publishing.
Result<std::unique_ptr<IndexBuilder>> StartRebuild(const std::shared_ptr<Index>& lmdb_index);

}  // namespace ckpt

#endif  // CKPT_STORE_INDEX_LMDB_INDEX_H_
