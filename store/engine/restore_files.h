// Restoring a checkpoint's files into a folder.
//
// First everything that is in the way is looked at, so that a refusal changes nothing; then each
// file is written under a temporary name, verified, given its attributes and renamed: it appears
// whole or not at all. No link is followed below the target folder (I8). Thread rule: one thread a
// call.

#ifndef CKPT_STORE_ENGINE_RESTORE_FILES_H_
#define CKPT_STORE_ENGINE_RESTORE_FILES_H_

#include <functional>
#include <string>
#include <vector>

#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt {

struct RestoreFilesOptions {
  std::string checkpoint;
  std::string to = ".";
  std::vector<std::string> includes;  // globs; empty: all
  bool force = false;
  bool dry_run = false;
  bool sync = false;
  bool fallback = false;
  std::function<bool(const std::string& name, std::uint64_t bytes)> entry;  // false cancels
};

struct Restored {
  std::string series;
  AttemptRef attempt;
  std::int64_t step = 0;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t skipped = 0;
  bool fell_back = false;
};

// AlreadyExists: names the first file in the way. Corruption: names what is damaged.
Result<Restored> RestoreFiles(Store* store, const RestoreFilesOptions& options);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_RESTORE_FILES_H_
