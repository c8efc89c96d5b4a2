// Applies an IndexUpdate in bounded write transactions. A pack's coverage advances in the
// transaction that carries the last of its entries and all of its records; entries that come before
// lie above the coverage and do not count yet, so an update that ends half-way leads nobody (I4).
// Thread rule: one thread, publish.lock held.

#ifndef CKPT_STORE_INDEX_LMDB_PUBLISH_H_
#define CKPT_STORE_INDEX_LMDB_PUBLISH_H_

#include <optional>
#include <unordered_set>
#include <vector>

#include "store/index/lmdb_env.h"
#include "store/index/record_chain.h"

namespace ckpt::index_internal {

class Publisher {
 public:
  explicit Publisher(const IndexUpdate& update);

  // Fills one transaction from where the last committed one ended. May be called again after a
  // transaction that failed.
  int Fill(LmdbEnv* env, MDB_txn* txn);
  // The transaction was committed: go on behind it.
  void Committed() { at_ = next_; }
  // An update did not fit upon what is there (Index::Publish).
  bool left_out() const { return left_out_; }
  bool done() const { return at_.pack == update_.packs.size() && at_.dropped; }

 private:
  struct Position {
    bool dropped = false;                 // packs dropped or replaced are gone
    std::size_t dropped_chunk = 0;        // of update.dropped_chunks
    std::size_t pack = 0;                 // of update.packs
    std::size_t chunk = 0;                // of that pack's chunks, in order_
    std::optional<std::uint32_t> number;  // of that pack, once begun
  };
  int DropPacks();
  int DropChunks();
  int FindCovered(const Id128& pack_id, std::uint64_t* covered);
  int BeginPack(const PackUpdate& pack, bool* skip);
  int PutChunks(const PackUpdate& pack);
  int FinishPack(const PackUpdate& pack);

  int FindNumber(const Id128& pack_id, std::optional<std::uint32_t>* number);
  int ErasePack(const Id128& pack_id, std::uint32_t number);
  int NewNumber(std::uint32_t* number);
  int CountDrop();
  int PutPack(std::uint32_t number, const PackCoverage& coverage);
  int PutChunk(const ChunkEntry& entry);
  int Replaces(const ChunkEntry& entry, ByteSpan present, bool* replaces);
  bool IsDropped(const Id128& pack_id) const { return dropped_packs_.contains(pack_id); }
  void SortChunks(const PackUpdate& pack);

  const IndexUpdate& update_;
  std::unordered_set<Id128, Id128Hash> dropped_packs_;
  bool left_out_ = false;
  Position at_;    // committed up to here
  Position next_;  // filled up to here
  LmdbEnv* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  std::size_t budget_ = 0;
  std::vector<std::uint32_t> order_;  // of order_pack_'s chunks by id
  const PackUpdate* order_pack_ = nullptr;
};

}  // namespace ckpt::index_internal

#endif  // CKPT_STORE_INDEX_LMDB_PUBLISH_H_
