#include "store/engine/target_tree.h"

namespace ckpt {

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
      if (there.ok()) {
        return InvalidArgument("'" + name.substr(0, slash) + "' is in the way: it is " +
                               (there->kind == FileKind::kSymlink ? "a link" : "no folder") +
                               ", and '" + name + "' belongs into a folder of that name");
      }
      if (!create) return next.status();
      CKPT_RETURN_IF_ERROR(top.dir->MakeDir(component, kByUmask));
      next = top.dir->OpenDir(component);
    }
    if (!next.ok()) return next.status();
    stack_.push_back({name.substr(0, slash + 1), *std::move(next)});
  }
}

}  // namespace ckpt
