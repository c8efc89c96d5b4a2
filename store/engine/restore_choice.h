// Which checkpoint is restored: the one that was named, or with fallback the newest sound one from
// there back. Thread rule: one thread a call.

#ifndef CKPT_STORE_ENGINE_RESTORE_CHOICE_H_
#define CKPT_STORE_ENGINE_RESTORE_CHOICE_H_

#include <string>
#include <vector>

#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt {

// All its ranks; notices say what was passed over, and *fell_back that something was. NotFound:
// there is none, or ranks of it are missing. With `fallback` it was read in full before this
// answers; Corruption: none is sound.
Result<std::vector<CheckpointRow>> ChooseCheckpoint(Store* store, const std::string& name,
                                                    bool fallback, bool* fell_back);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_RESTORE_CHOICE_H_
