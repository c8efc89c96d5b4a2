// Fetcher: finds and reads the chunks of one checkpoint, verified. The ChunkSource of its trees.
//
// A chunk is looked for in the index first (where there is one), then in the tables of the packs
// the manifest relies on; a copy that reads wrong is passed over for another one, so that a chunk
// saved anew heals every checkpoint that needs it. The index is never needed. One rule for every
// read: a table says where the payload is and how it is coded, and what is handed out has the id it
// was asked for by (I1); record headers are not read.
//
// Packs of the manifest are held open, so that collection may unlink them meanwhile; a pack that
// can no longer be read (also ESTALE) is resolved again through moved records, which were durable
// before it went. Thread rule: Locate and the reads by any thread, each with its own Decoder;
// GetNode by one.

#ifndef CKPT_STORE_ENGINE_FETCHER_H_
#define CKPT_STORE_ENGINE_FETCHER_H_

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "store/codec/compress.h"
#include "store/engine/store.h"
#include "store/manifest/tree.h"

namespace ckpt {

class Fetcher : public ChunkSource {
 public:
  // Corruption when a pack is missing for good.
  static Result<std::unique_ptr<Fetcher>> Open(Store* store,
                                               const std::vector<PackReliance>& packs);

  // Corruption, naming the id, when no pack has it.
  Result<ChunkPlace> Locate(const Id128& id);
  // Decodes and verifies the chunk at `place` into `raw` (exactly its size). When its pack is gone,
  // it is located again; on damage, every other copy is tried before giving up. `scratch` is reused
  // between calls.
  Status ReadChunk(const ChunkPlace& place, Decoder* decoder, Bytes* scratch, MutableByteSpan raw);
  // The same from payload bytes that were read already; no other copies are tried. (A delta's base
  // is read, from wherever it is.)
  Status DecodeChunk(const ChunkPlace& place, ByteSpan stored, Decoder* decoder,
                     MutableByteSpan raw);
  // Bytes of a pack's file, not verified: for reads that are coalesced, then DecodeChunk.
  Status ReadSpan(const Id128& pack_id, std::uint64_t offset, MutableByteSpan out);

  Result<Bytes> GetNode(const Id128& id, std::uint32_t raw_bytes) override;

 private:
  using HeldPacks = std::vector<std::pair<Id128, std::shared_ptr<PackView>>>;

  Fetcher(Store* store, std::vector<PackReliance> packs)
      : store_(store), wanted_(std::move(packs)) {}
  Status Resolve();
  Status ResolveAnew();
  std::shared_ptr<const HeldPacks> held() const;
  Result<std::shared_ptr<PackView>> View(const Id128& pack_id);
  Result<ChunkPlace> LocateIn(const HeldPacks& packs, const Id128& id, bool* unreadable);
  std::string WhatIsAmiss(const HeldPacks& packs) const;
  std::optional<ChunkPlace> LocateAnywhere(const Id128& id);
  Result<ChunkPlace> LocateElsewhere(const ChunkPlace& gone);
  enum class Copies : std::uint8_t { kAll, kInFull };
  Status ReadCopies(const ChunkPlace& place, Decoder* decoder, Bytes* scratch, MutableByteSpan raw,
                    Copies copies);
  Status ReadAt(const ChunkPlace& place, Decoder* decoder, Bytes* scratch, MutableByteSpan raw,
                Copies copies);
  Result<Bytes> ReadBase(const ChunkPlace& place, ByteSpan stored, Decoder* decoder);
  Result<std::vector<ChunkPlace>> AllPlaces(const Id128& id);

  Store* const store_;
  const std::vector<PackReliance> wanted_;  // as the manifest names them
  mutable std::mutex mutex_;                // guards held_
  std::shared_ptr<const HeldPacks> held_;
  Decoder decoder_;  // GetNode's
  Bytes scratch_;
};

// True unless something that a checkpoint needs is known to be missing or damaged: packs that are
// gone or cut short, or a damage record that one of its chunks falls under. Reads no payloads, but
// walks the trees when there are damage records in packs it relies on.
Result<bool> IsSound(Store* store, const Manifest& manifest);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_FETCHER_H_
