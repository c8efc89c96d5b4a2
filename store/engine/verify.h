// Verifies checkpoints: every byte, without keeping any, and what entries say of each other.
// Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_VERIFY_H_
#define CKPT_STORE_ENGINE_VERIFY_H_

#include <vector>

#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt {

// The entry whose content a hard link shares, from the table the link is in. Corruption unless
// there is one, which comes before the link and is a file.
Result<Entry> FileOfLink(const Entry& link, EntryTableReader* table);

// Ok when every rank's manifest, trees and chunks are there and have the ids they are named by, and
// every hard link has its file.
// Corruption names the first damage.
Status VerifyCheckpoint(Store* store, const std::vector<CheckpointRow>& ranks);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_VERIFY_H_
