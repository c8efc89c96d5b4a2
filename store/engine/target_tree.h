// TargetTree: the folder a checkpoint is restored into. Opens the folders on the way to a name, one
// component at a time and never through a link, and keeps those of the latest name open.
// Thread rule: one thread; the Dirs handed out may be used by any.

#ifndef CKPT_STORE_ENGINE_TARGET_TREE_H_
#define CKPT_STORE_ENGINE_TARGET_TREE_H_

#include <memory>
#include <string>
#include <vector>

#include "store/io/env.h"

namespace ckpt {

// What is missing of the target is no missing checkpoint: a job would begin from scratch. NotFound
// becomes an I/O error.
Status OfTheTarget(Status status);

// The folder at `path`; null when it is not there but may be made. Io: there is no folder to make
// it in.
Result<std::shared_ptr<Dir>> FindTarget(Env* env, const std::string& path);
// Makes it, with its name durable if `sync`.
Result<std::shared_ptr<Dir>> MakeTarget(Env* env, const std::string& path, bool sync);

class TargetTree {
 public:
  TargetTree(std::shared_ptr<Dir> root) { stack_.push_back({"", std::move(root)}); }  // NOLINT

  struct Place {
    std::shared_ptr<Dir> dir;
    std::string component;
  };
  // The folder that holds `name`. NotFound when it is not there and `create` is not set;
  // InvalidArgument when something on the way is no folder.
  Result<Place> Find(const std::string& name, bool create);

 private:
  struct Level {
    std::string prefix;  // "" or "a/b/"
    std::shared_ptr<Dir> dir;
  };
  std::vector<Level> stack_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_TARGET_TREE_H_
