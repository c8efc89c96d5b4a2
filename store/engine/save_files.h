// Saving files, folders, links and streams as one checkpoint.
//
// Files whose size, times, device and inode are as at the checkpoint before, on the same host, and
// were at least 2 s old then (a file written to within its time stamp's grain looks unchanged), are
// not read again. What is read is compared with the checkpoint before (unchanged_chunks.h), the
// rest is cut and stored in one pass by many threads (chunk_pipeline.h); a file that changes
// meanwhile is read again, and is an error when it does not come to rest. Thread rule: one thread a
// call.

#ifndef CKPT_STORE_ENGINE_SAVE_FILES_H_
#define CKPT_STORE_ENGINE_SAVE_FILES_H_

#include <string>
#include <vector>

#include "store/engine/checkpoint_writer.h"

namespace ckpt {

struct SaveFilesOptions {
  SaveOptions save;
  std::vector<std::string> excludes;
  bool reread = false;
  // A stream to read to its end as one entry; paths are then empty.
  std::function<Result<std::size_t>(MutableByteSpan)> stream;
  // Asked before each read: whether it will not block. May take a little time; in between the
  // caller's progress callback may cancel.
  std::function<Result<bool>()> stream_ready;
  std::string stream_name;
  // Asked when all is read and nothing committed; false: there is no checkpoint (Cancelled).
  std::function<bool()> confirm;
};

Result<Saved> SaveFiles(Store* store, const std::vector<std::string>& paths,
                        const SaveFilesOptions& options);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_SAVE_FILES_H_
