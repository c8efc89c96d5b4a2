// How much memory this process may still take: the memory cgroup's limit less what is in use, or
// what the system has left.
// Thread rule: any thread.

#ifndef CKPT_STORE_SESSION_MEMORY_ROOM_H_
#define CKPT_STORE_SESSION_MEMORY_ROOM_H_

#include <cstdint>

#include "store/io/env.h"

namespace ckpt {

// UINT64_MAX: nothing is known.
std::uint64_t MemoryRoom(Env* env);

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_MEMORY_ROOM_H_
