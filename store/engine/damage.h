// What check found, and its memory in the store: damage records, which bar a place from
// deduplication until it reads true again. Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_DAMAGE_H_
#define CKPT_STORE_ENGINE_DAMAGE_H_

#include <limits>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/engine/id_passes.h"
#include "store/engine/id_table.h"
#include "store/engine/store.h"

namespace ckpt {

struct ChunkAt {
  Id128 id;
  std::uint64_t offset = 0;
};

struct FoundDamage {
  Id128 pack_id;
  bool pack_missing = false;  // pack_id is zeros when a chunk is in no pack at all
  std::uint64_t offset = 0;
  std::string what;
  std::vector<ChunkAt> chunks;           // that cannot be read from here
  std::vector<std::string> checkpoints;  // that are hurt; empty when other copies serve
  bool in_pack = false;                  // the pack is not what was written: `repair` sets it aside
  bool for_its_base = false;  // a delta that is as it was written; remembered is its base, not this
};

// What is known while a check goes on. More chunks than `ids_most` are not known one by one: while
// nothing is amiss, the trees are then compared with the directories in passes (check_passes.h).
struct CheckFindings {
  static constexpr std::uint8_t kSound = 1;    // a copy was read, or is listed and not chosen
  static constexpr std::uint8_t kVisited = 2;  // reached from a checkpoint
  static constexpr std::uint8_t kInFull = 4;   // kSound, and not as a delta
  static constexpr std::uint8_t kIsBase = 8;   // of a delta that is listed; in passes

  IdTable<std::uint8_t> chunks;  // all of them, or those of `range`: 23 to 46 bytes each
  std::uint64_t ids_most = std::numeric_limits<std::uint64_t>::max();
  bool too_many = false;  // chunks were met: the table is empty, or has those of a pass
  bool unread = false;    // something is not sound that is no damage: given back, in a tail
  IdRange range;          // of the pass
  double phase = 0;       // of the choice of what is read in part, 0 to 1
  std::map<Id128, std::uint64_t> looked_at;  // packs, up to where
  std::vector<FoundDamage> damage;
  std::unordered_map<Id128, std::vector<std::size_t>, Id128Hash> damage_of;  // by chunk
  std::vector<std::pair<Id128, ChunkAt>> healed;  // barred places that read true
  // Deltas, whole in themselves, whose base is not there: damage only where somebody needs them.
  std::unordered_map<Id128, FoundDamage, Id128Hash> without_base;
  std::uint64_t packs = 0;
  std::uint64_t verified_bytes = 0;

  bool IsSound(const Id128& id) {
    std::uint8_t* bits = chunks.Find(id);
    return bits != nullptr && (*bits & kSound) != 0;
  }
  void MarkSound(const Id128& id, std::uint8_t bits) {
    if (too_many) return;
    if (chunks.size() >= ids_most && !chunks.Contains(id)) return TooMany();
    *chunks.Insert(id).first |= bits;
  }
  void TooMany() {
    too_many = true;
    chunks.Reset(0);
  }
  std::uint64_t CountSound() {
    std::uint64_t count = 0;
    chunks.ForEach([&](const Id128&, std::uint8_t bits) { count += (bits & kSound) != 0 ? 1 : 0; });
    return count;
  }
  void Add(FoundDamage found) {
    for (const ChunkAt& chunk : found.chunks) damage_of[chunk.id].push_back(damage.size());
    damage.push_back(std::move(found));
  }
};

// The time of a new damage record of this place: now, and after every record that is there, as the
// latest counts. A clock that was set back, or stands still, must not make an older one the latest.
std::int64_t DamageTime(Store* store, const Id128& pack_id, std::uint64_t offset);

// Makes damage records for places that are not barred yet, and takes back those that read true;
// *recorded: how many. A store opened for reading is opened once more, for writing, when there is
// something to record.
Status RecordDamage(Store* store, const CheckFindings& findings, std::uint64_t* recorded);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_DAMAGE_H_
