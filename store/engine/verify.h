// Reads a checkpoint and verifies every byte, without keeping any.
// Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_VERIFY_H_
#define CKPT_STORE_ENGINE_VERIFY_H_

#include <vector>

#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt {

// Ok when every rank's manifest, trees and chunks are there and have the ids they are named by.
// Corruption names the first damage.
Status VerifyCheckpoint(Store* store, const std::vector<CheckpointRow>& ranks);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_VERIFY_H_
