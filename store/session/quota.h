// Quota: how much a store may take, as its sessions are told, and what it takes now.
//
// Bytes are what the files in packs/ have allocated on disk (the index is a cache and not counted);
// files are all files and folders of the store, as a file system's quota of inodes counts them.
// Thread rule: values; MeasureUse by any thread.

#ifndef CKPT_STORE_SESSION_QUOTA_H_
#define CKPT_STORE_SESSION_QUOTA_H_

#include <cstdint>
#include <string>

#include "store/base/status.h"
#include "store/engine/store.h"

namespace ckpt {

struct StoreUse {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  bool none() const { return bytes == 0 && files == 0; }
};

struct Quota {
  std::uint64_t bytes = 0;  // 0: no limit
  std::uint64_t files = 0;  // 0: no limit
  bool any() const { return bytes > 0 || files > 0; }
  // What would have to go so that `need` more fits; none() when it does.
  StoreUse Excess(const StoreUse& use, const StoreUse& need) const;
};

// Looks at the names and sizes of everything in the store's folder: a stat a file.
Result<StoreUse> MeasureUse(Store* store);

// The NoSpace that names the quota, what is in use, and what can be done.
Status OverQuota(const Store& store, const std::string& series, const Quota& quota,
                 const StoreUse& use);

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_QUOTA_H_
