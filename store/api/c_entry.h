// An entry as the C interface shows it. Thread rule: pure functions.

#ifndef CKPT_STORE_API_C_ENTRY_H_
#define CKPT_STORE_API_C_ENTRY_H_

#include "ckpt/ckpt.h"
#include "store/manifest/tree.h"

namespace ckpt::c_api {

// Pointers into `entry`; stored_bytes and new_* are 0, codec is "".
void FillEntry(const Entry& entry, ckpt_entry* out);

}  // namespace ckpt::c_api

#endif  // CKPT_STORE_API_C_ENTRY_H_
