// Which index directories this process has open (LMDB: one environment per process and file, not
// even a second one for a moment), and how often it was forked off. Thread rule: any thread.

#ifndef CKPT_STORE_INDEX_PROCESS_REGISTRY_H_
#define CKPT_STORE_INDEX_PROCESS_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "store/base/status.h"

namespace ckpt::index_internal {

class LmdbIndex;

// Device and inode of the directory.
using RegistryKey = std::pair<std::uint64_t, std::uint64_t>;

// Rises in a forked child: what was opened before is the parent's.
std::uint64_t ForkCount();

// The index this process has open for `key`, or a new one. Waits for one that is being closed.
Result<std::shared_ptr<LmdbIndex>> FindOrMake(const RegistryKey& key,
                                              const std::function<LmdbIndex*()>& make);

}  // namespace ckpt::index_internal

#endif  // CKPT_STORE_INDEX_PROCESS_REGISTRY_H_
