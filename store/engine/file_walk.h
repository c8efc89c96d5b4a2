// Walks the files and folders a user named, in ascending order of their entry names as bytes, which
// is the order of entry tables. Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_FILE_WALK_H_
#define CKPT_STORE_ENGINE_FILE_WALK_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/io/env.h"

namespace ckpt {

struct FoundFile {
  std::string name;       // the entry's: relative, no ".."
  Dir* dir = nullptr;     // that holds it
  std::string component;  // its name there
  FileInfo info;
  bool named = false;  // by the user, not found in a folder
};

struct WalkOptions {
  std::vector<std::string> excludes;
  // A folder to leave out: the store itself.
  std::uint64_t skip_device = 0;
  std::uint64_t skip_inode = 0;
  std::function<void(const std::string&)> notice;
};

// What a path is called in a checkpoint: without "/", "." and, as tar does, without everything up
// to the last "..".
std::string EntryNameOfPath(const std::string& path);

// Calls fn for each file, folder and link. NotFound names a path that does not exist;
// InvalidArgument two that would have one name. Files that vanish while walking are passed over.
Status WalkFiles(Env* env, const std::vector<std::string>& paths, const WalkOptions& options,
                 const std::function<Status(const FoundFile&)>& fn);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_FILE_WALK_H_
