// Which process of this host holds a lock.
//
// Open-file-description locks have no owner that fcntl could name, but /proc shows, for each
// descriptor of each process that we may look at, the file and the locks held through it. The
// kernel knows, so nothing can be stale; other hosts, other users' processes and other pid
// namespaces are not seen. Thread rule: any thread.

#ifndef CKPT_STORE_IO_LOCK_HOLDER_H_
#define CKPT_STORE_IO_LOCK_HOLDER_H_

#include <cstdint>

namespace ckpt {

// The id of a process that holds an open-file-description write lock on that file; 0: none is seen.
std::int64_t LockHolder(std::uint64_t device, std::uint64_t inode);

}  // namespace ckpt

#endif  // CKPT_STORE_IO_LOCK_HOLDER_H_
