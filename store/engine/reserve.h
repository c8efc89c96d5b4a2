// Small records that must get through on a full disk: tombstones of rm, what collection carries
// over. They go into an ordinary pack; where there is no room, into the reserve, a pack whose
// blocks were allocated when it was made (docs/format.md, flag 1). A new reserve is made when there
// is room again. Thread rule: one thread a call; other processes as any writers.

#ifndef CKPT_STORE_ENGINE_RESERVE_H_
#define CKPT_STORE_ENGINE_RESERVE_H_

#include <memory>
#include <optional>
#include <vector>

#include "store/engine/store.h"

namespace ckpt {

inline constexpr std::uint64_t kReserveBytes = 1u << 20;

struct PlainRecord {
  RecordType type = RecordType::kTombstone;
  Bytes payload;
};

// All of them durable, or an error (then none is certain). NoSpace: the reserve is full, too.
Status WriteRecords(Store* store, const std::vector<PlainRecord>& records);

// The reserve that is written at present: of those there are, the one with the most room (then the
// least id). Collection leaves it alone.
std::optional<Id128> CurrentReserve(Store* store);
// Bytes that still fit into it; 0 without one.
std::uint64_t ReserveRoom(Store* store);
// Locked, and where it ended. NoSpace: there is none that may be continued. Busy: somebody writes
// into it and does not end.
Result<std::unique_ptr<PackWriter>> ContinueReserve(Store* store);
// Makes another reserve when the present one is half full and the disk has room. Best effort.
void RenewReserve(Store* store);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_RESERVE_H_
