// FileComparer: whether a file that is there has an entry's bytes. By the chunk list: what is there
// is read and hashed, the store's chunks are not; holes on both sides are not read at all. Thread
// rule: one thread.

#ifndef CKPT_STORE_ENGINE_SAME_FILE_H_
#define CKPT_STORE_ENGINE_SAME_FILE_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "store/engine/fetcher.h"
#include "store/io/env.h"
#include "store/manifest/tree.h"

namespace ckpt {

class FileComparer {
 public:
  // Told how many more bytes were read; an error ends the comparison.
  using ReadFn = std::function<Status(std::uint64_t bytes)>;

  FileComparer(Fetcher* fetcher, ReadFn read) : fetcher_(fetcher), read_(std::move(read)) {}

  // REQUIRES: the file is as long as the entry.
  Result<bool> SameContent(const Entry& entry, File* file);

 private:
  Result<bool> SameHole(File* file, const std::vector<Extent>& extents, std::uint64_t begin,
                        std::uint64_t end);

  Fetcher* const fetcher_;
  const ReadFn read_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_SAME_FILE_H_
