#include "store/engine/target_tree.h"

#include "store/io/entry_name.h"

namespace ckpt {

Status OfTheTarget(Status status) {
  if (status.code() != Code::kNotFound) return status;
  return IoError(status.message());
}

Result<std::shared_ptr<Dir>> FindTarget(Env* env, const std::string& path) {
  auto dir = env->OpenDir(path);
  if (dir.ok()) return std::shared_ptr<Dir>(*std::move(dir));
  if (dir.status().code() != Code::kNotFound || path.empty()) return dir.status();
  auto parent = env->OpenDir(ParentPath(path));
  if (parent.status().code() == Code::kNotFound) {
    return IoError("there is no folder " + ParentPath(path) + " to make " + path + " in");
  }
  if (!parent.ok()) return parent.status();
  std::string name = path.substr(0, path.find_last_not_of('/') + 1);
  name.erase(0, name.rfind('/') + 1);
  if ((*parent)->StatEntry(name).ok()) return InvalidArgument(path + " is no folder");
  return std::shared_ptr<Dir>();
}

Result<std::shared_ptr<Dir>> MakeTarget(Env* env, const std::string& path, bool sync) {
  Status made = env->MakeDir(path, kByUmask);  // or another restore did meanwhile
  if (!made.ok() && made.code() != Code::kExists) return OfTheTarget(std::move(made));
  CKPT_ASSIGN_OR_RETURN(auto dir, env->OpenDir(path));
  if (sync) {
    CKPT_ASSIGN_OR_RETURN(auto parent, env->OpenDir(ParentPath(path)));
    CKPT_RETURN_IF_ERROR(parent->Sync());
  }
  return std::shared_ptr<Dir>(std::move(dir));
}

Result<TargetTree::Place> TargetTree::Find(const std::string& name, bool create) {
  while (!name.starts_with(stack_.back().prefix)) stack_.pop_back();
  for (;;) {
    Level& top = stack_.back();
    std::size_t slash = name.find('/', top.prefix.size());
    std::string component = name.substr(top.prefix.size(), slash - top.prefix.size());
    if (slash == std::string::npos) return Place{top.dir, std::move(component)};
    auto next = top.dir->OpenDir(component);
    if (!next.ok() && next.status().code() == Code::kNotFound) {
      auto there = top.dir->StatEntry(component);
      // Another restore may be making the same folders.
      const bool by_now = there.ok() && there->kind == FileKind::kDirectory;
      if (there.ok() && !by_now) {
        return InvalidArgument("'" + name.substr(0, slash) + "' is in the way: it is " +
                               (there->kind == FileKind::kSymlink ? "a link" : "no folder") +
                               ", and '" + name + "' belongs into a folder of that name");
      }
      if (!create && !by_now) return next.status();
      Status made = by_now ? Status() : top.dir->MakeDir(component, kByUmask);
      if (!made.ok() && made.code() != Code::kExists) return made;
      next = top.dir->OpenDir(component);
    }
    if (!next.ok()) return next.status();
    stack_.push_back({name.substr(0, slash + 1), *std::move(next)});
  }
}

}  // namespace ckpt
