// Which pages of this process's memory were written since they were looked at last, as the kernel
// tells: userfaultfd's asynchronous write protection and the PAGEMAP_SCAN ioctl, of Linux 6.7 and
// later, for any user (Documentation/admin-guide/mm/pagemap.rst and userfaultfd.rst of the kernel).
//
// A look write-protects what it finds written, in one step with finding it; the first write to such
// a page then costs a fault, which the kernel resolves by itself. Seen is what goes through this
// process's page tables: stores of any thread, and what the kernel writes for it (read, recv). Not
// seen: devices that write to memory pinned before (RDMA, GPUs, io_uring's registered buffers).
// Only private anonymous memory is told of: another process may write to shared memory by tables of
// its own. Whatever is unmapped, mapped over or moved in between counts as written. Thread rule:
// one thread; other threads may write meanwhile, and are seen by this look or the next.

#ifndef CKPT_STORE_IO_WRITTEN_PAGES_H_
#define CKPT_STORE_IO_WRITTEN_PAGES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/io/unique_fd.h"

namespace ckpt {

class WrittenPages {
 public:
  // Unsupported, with why: the kernel is too old or does not let this process.
  static Result<std::unique_ptr<WrittenPages>> Open();

  // The whole pages within.
  static ByteSpan WholePages(ByteSpan memory);

  struct Looked {
    // False: all of it may have been written (looked at for the first time, mapped anew, or memory
    // that cannot be told of).
    bool known = false;
    // Begin and end in `memory`, in order: what was written of its whole pages.
    std::vector<std::pair<std::size_t, std::size_t>> written;
  };
  // Since the last look at the same memory, to the byte.
  Looked Look(ByteSpan memory);
  // From here on writes to it cost nothing, and the next look knows nothing.
  void Forget(ByteSpan memory);

 private:
  WrittenPages() = default;
  bool Register(std::uintptr_t begin, std::uintptr_t end);
  bool Scan(std::uintptr_t begin, std::uintptr_t end, Looked* looked);

  UniqueFd faults_;
  UniqueFd pagemap_;
  std::map<std::uintptr_t, std::uintptr_t> known_;  // begin and end of what was looked at
};

}  // namespace ckpt

#endif  // CKPT_STORE_IO_WRITTEN_PAGES_H_
