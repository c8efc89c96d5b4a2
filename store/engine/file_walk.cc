#include "store/engine/file_walk.h"

#include <algorithm>
#include <map>

#include "store/engine/glob.h"

namespace ckpt {
namespace {

// A folder counts twice in its parent's order: as itself, and with '/' for what is in it ("a",
// "a.b", "a/x" is the order of bytes).
struct Item {
  std::string name;  // ends with '/' when it stands for a folder's contents
  std::string component;
  Dir* dir = nullptr;
  bool named = false;

  bool contents() const { return name.ends_with('/'); }
};

struct Root {
  std::string name;
  std::unique_ptr<Dir> dir;
  std::string component;
};

class Walker {
 public:
  Walker(const WalkOptions& options, const std::function<Status(const FoundFile&)>& fn)
      : options_(options), fn_(fn) {}

  Status Items(std::vector<Item> items) {
    std::sort(items.begin(), items.end(),
              [](const Item& a, const Item& b) { return a.name < b.name; });
    for (const Item& item : items) {
      CKPT_RETURN_IF_ERROR(item.contents() ? Contents(item) : One(item));
    }
    return Status();
  }

  // An item for the entry, and one for its contents when it is a folder to be entered.
  void Add(const std::string& name, const std::string& component, Dir* dir, FileKind kind,
           bool named, std::vector<Item>* items) {
    if (AnyGlobCovers(options_.excludes, name)) return;
    items->push_back({name, component, dir, named});
    if (kind == FileKind::kDirectory) items->push_back({name + "/", component, dir, named});
  }

 private:
  bool IsSkipped(const FileInfo& info) const {
    return info.kind == FileKind::kDirectory && options_.skip_inode != 0 &&
           info.device == options_.skip_device && info.inode == options_.skip_inode;
  }

  Status One(const Item& item) {
    auto info = item.dir->StatEntry(item.component);
    if (!info.ok()) {
      bool vanished = info.status().code() == Code::kNotFound && !item.named;
      return vanished ? Status() : info.status();
    }
    if (IsSkipped(*info)) {
      if (options_.notice) options_.notice("leaving out " + item.name + ": it is the store itself");
      return Status();
    }
    return fn_(FoundFile{item.name, item.dir, item.component, *info, item.named});
  }

  Status Contents(const Item& item) {
    auto dir = item.dir->OpenDir(item.component);
    if (!dir.ok()) {
      if (dir.status().code() == Code::kNotFound) return Status();
      return dir.status();
    }
    CKPT_ASSIGN_OR_RETURN(FileInfo info, (*dir)->Stat());
    if (IsSkipped(info)) return Status();
    CKPT_ASSIGN_OR_RETURN(auto entries, (*dir)->List());
    std::vector<Item> items;
    for (const DirEntry& entry : entries) {
      Add(item.name + entry.name, entry.name, dir->get(), entry.kind, false, &items);
    }
    return Items(std::move(items));
  }

  const WalkOptions& options_;
  const std::function<Status(const FoundFile&)>& fn_;
};

std::vector<std::string> Components(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= path.size();) {
    std::size_t end = std::min(path.find('/', begin), path.size());
    std::string part = path.substr(begin, end - begin);
    if (part == "..") {
      parts.clear();
    } else if (!part.empty() && part != ".") {
      parts.push_back(std::move(part));
    }
    begin = end + 1;
  }
  return parts;
}

// "", ".", ".." and the like name a folder whose contents are meant.
bool NamesContents(const std::string& path) {
  std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return true;
  std::size_t begin = path.find_last_of('/', end);
  std::string last = path.substr(begin == std::string::npos ? 0 : begin + 1,
                                 end - (begin == std::string::npos ? -1 : begin));
  return last == "." || last == "..";
}

Status AddRoots(Env* env, const std::string& path, const WalkOptions& options,
                std::vector<Root>* roots) {
  if (path.empty()) return InvalidArgument("an empty path names no file");
  std::string name = EntryNameOfPath(path);
  if (NamesContents(path)) {
    CKPT_ASSIGN_OR_RETURN(auto dir, env->OpenDir(path));
    CKPT_ASSIGN_OR_RETURN(auto entries, dir->List());
    for (const DirEntry& entry : entries) {
      CKPT_ASSIGN_OR_RETURN(auto again, env->OpenDir(path));
      std::string full = name.empty() ? entry.name : name + "/" + entry.name;
      roots->push_back({std::move(full), std::move(again), entry.name});
    }
    return Status();
  }
  std::size_t end = path.find_last_not_of('/') + 1;
  std::size_t slash = path.find_last_of('/', end - 1);
  std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  CKPT_ASSIGN_OR_RETURN(auto dir, env->OpenDir(parent));
  std::string component = path.substr(slash == std::string::npos ? 0 : slash + 1,
                                      end - (slash == std::string::npos ? 0 : slash + 1));
  bool shortened = path[0] == '/' || path.starts_with("../") || path.find("/../") != path.npos;
  if (shortened && options.notice) {
    options.notice("'" + path + "' is called '" + name + "' in the checkpoint");
  }
  roots->push_back({std::move(name), std::move(dir), std::move(component)});
  return Status();
}

bool IsUnder(const std::string& name, const std::string& folder) {
  return name.size() > folder.size() && name[folder.size()] == '/' && name.starts_with(folder);
}

}  // namespace

std::string EntryNameOfPath(const std::string& path) {
  std::string name;
  for (const std::string& part : Components(path)) name += (name.empty() ? "" : "/") + part;
  return name;
}

Status WalkFiles(Env* env, const std::vector<std::string>& paths, const WalkOptions& options,
                 const std::function<Status(const FoundFile&)>& fn) {
  std::vector<Root> roots;
  for (const std::string& path : paths) CKPT_RETURN_IF_ERROR(AddRoots(env, path, options, &roots));
  std::sort(roots.begin(), roots.end(),
            [](const Root& a, const Root& b) { return a.name < b.name; });
  Walker walker(options, fn);
  std::vector<Item> items;
  std::vector<std::string> folders;  // of those before: a folder comes before what is in it
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const Root& root = roots[i];
    CKPT_ASSIGN_OR_RETURN(FileInfo info, root.dir->StatEntry(root.component));
    if (i > 0 && roots[i - 1].name == root.name) {
      CKPT_ASSIGN_OR_RETURN(FileInfo other, roots[i - 1].dir->StatEntry(roots[i - 1].component));
      if (other.device == info.device && other.inode == info.inode) continue;
      return InvalidArgument("two of the paths would both be called '" + root.name +
                             "' in the checkpoint");
    }
    bool inside = std::any_of(folders.begin(), folders.end(),
                              [&](const std::string& f) { return IsUnder(root.name, f); });
    if (inside) continue;
    if (info.kind == FileKind::kDirectory) folders.push_back(root.name);
    walker.Add(root.name, root.component, root.dir.get(), info.kind, true, &items);
  }
  return walker.Items(std::move(items));
}

}  // namespace ckpt
