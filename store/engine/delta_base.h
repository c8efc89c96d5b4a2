// Which chunk a new one is stored as the difference from, and whether that pays.
//
// A base is always a full chunk (I12), so a read needs at most one chunk more. The base of a chunk
// is what its predecessor at the same place is the difference from, else the predecessor itself.
// As the data move away from a base its deltas grow; a new base, which is the chunk stored in full,
// is made when that is cheaper in the long run (NewBaseIsDue).
// Thread rule: FindDeltaBase by any thread, each with its own scratch; DeltaGate any thread.

#ifndef CKPT_STORE_ENGINE_DELTA_BASE_H_
#define CKPT_STORE_ENGINE_DELTA_BASE_H_

#include <atomic>
#include <optional>

#include "store/codec/compress.h"
#include "store/codec/effort.h"
#include "store/engine/store.h"

namespace ckpt {

// The buffers below are of this size; larger chunks are always stored in full.
constexpr std::size_t kDeltaBytesMost = 1u << 20;

struct DeltaBase {
  ChunkPlace place;                  // in full
  std::optional<ChunkPlace> before;  // the predecessor, where it is a delta from there
  std::uint64_t delta_bytes() const { return before.has_value() ? before->entry.stored_bytes : 0; }
};

// What a thread that puts chunks has of its own.
struct ChunkEncoder {
  Encoder encoder;
  Decoder decoder;
  Bytes base;    // the raw bytes of a delta's base
  Bytes before;  // and of the delta before
  Bytes stored;
  Bytes kept;  // the encoded delta, while another is tried
};

// What is stored of a chunk, with all that it needs to be read: a delta's base, too.
struct WholeChunk {
  ChunkPlace place;
  std::optional<ChunkPlace> base;
  bool reads = true;  // false: a delta whose base is not there
};
// Below a mark, and in no place that is known to be damaged; in a pack that is partly given back
// when its payload has its checksum. *known: there is a place of it at least that counts for
// nothing, so that another one must be in full to count in its stead (I12).
std::optional<WholeChunk> FindWhole(Store* store, const Id128& id, bool* known = nullptr);

// Nullopt when there is no base of so many bytes that may be relied upon: of chunks that are not
// durable, damaged, or in packs that are partly given back. What cannot be read is none, either.
std::optional<DeltaBase> FindDeltaBase(Store* store, const Id128& before, std::size_t raw_bytes);
// Its raw bytes, verified, into scratch->base. False when they cannot be read.
bool ReadDeltaBase(Store* store, const ChunkPlace& place, ChunkEncoder* scratch);
// Those of the delta before, from scratch->base, into scratch->before. The same.
bool ReadDeltaBefore(Store* store, const ChunkPlace& place, ChunkEncoder* scratch);

// The bytes of the largest delta that is better than the chunk in full, of which `full_bytes` would
// be stored. By default half of them, so that a store of two checkpoints and a base that only they
// need takes no more than it would.
std::uint64_t DeltaBytesThatPay(const EffortRule& rule, std::uint64_t full_bytes);
// Whether the chunk in full is better nevertheless, because of the deltas to come. When these grow
// by a = bytes - before each, n of them and one base take (full + a n²/2) / n a checkpoint, which
// is least where a delta has sqrt(2 a full) bytes. That deltas grow little can also mean that all
// of them are large, also from a new base: so the difference from the chunk before is to be asked,
// too.
bool NewBaseIsDue(std::uint64_t bytes, std::uint64_t before_bytes, std::uint64_t full_bytes);

// Where deltas do not pay, few are tried.
class DeltaGate {
 public:
  bool WorthTrying();
  void Tried(bool paid);

 private:
  std::atomic<unsigned> in_vain_{0};  // one after the other
  std::atomic<unsigned> passed_over_{0};
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_DELTA_BASE_H_
