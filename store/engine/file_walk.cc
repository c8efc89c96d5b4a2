#include "store/engine/file_walk.h"

#include <algorithm>
#include <map>
#include <utility>

#include "store/engine/glob.h"
#include "store/engine/temporary.h"

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
  std::shared_ptr<Dir> dir;
  std::string component;
};

// The folders that hold what was named, each open once however many paths it holds.
class Parents {
 public:
  explicit Parents(Env* env) : env_(env) {}
  Result<std::shared_ptr<Dir>> Open(const std::string& path) {
    std::shared_ptr<Dir>& dir = open_[path];
    if (dir == nullptr) {
      CKPT_ASSIGN_OR_RETURN(dir, env_->OpenDir(path));
    }
    return dir;
  }

 private:
  Env* const env_;
  std::map<std::string, std::shared_ptr<Dir>> open_;
};

// Names in a folder, without what an interrupted restore left there; says once that there is some.
class Listing {
 public:
  explicit Listing(const WalkOptions& options) : options_(options) {}
  Result<std::vector<DirEntry>> Of(Dir* dir) {
    CKPT_ASSIGN_OR_RETURN(auto entries, dir->List());
    std::size_t before = entries.size();
    std::erase_if(entries, [](const DirEntry& entry) {
      return entry.kind != FileKind::kDirectory && IsTemporaryName(entry.name);
    });
    if (entries.size() < before && !std::exchange(told_, true) && options_.notice) {
      options_.notice("leaving out temporary files of a restore (.ckpt-*) in " + dir->path() +
                      " and wherever else there are some");
    }
    return entries;
  }

 private:
  const WalkOptions& options_;
  bool told_ = false;
};

class Walker {
 public:
  Walker(const WalkOptions& options, Listing* listing,
         const std::function<Status(const FoundFile&)>& fn)
      : options_(options), listing_(listing), fn_(fn) {}

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
    CKPT_ASSIGN_OR_RETURN(auto entries, listing_->Of(dir->get()));
    std::vector<Item> items;
    for (const DirEntry& entry : entries) {
      Add(item.name + entry.name, entry.name, dir->get(), entry.kind, false, &items);
    }
    return Items(std::move(items));
  }

  const WalkOptions& options_;
  Listing* const listing_;
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

// The parts of a path whose last one names a file or folder in its parent.
std::pair<std::string, std::string> SplitPath(const std::string& path) {
  std::size_t end = path.find_last_not_of('/') + 1;
  std::size_t slash = path.find_last_of('/', end - 1);
  if (slash == std::string::npos) return {".", path.substr(0, end)};
  return {path.substr(0, slash + 1), path.substr(slash + 1, end - slash - 1)};
}

// "link/" names what the link leads to: the path without links in its last part, which ends in no
// '/' then, or which names contents.
Result<std::string> FollowLastLink(Parents* parents, std::string path) {
  constexpr int kLinksMax = 40;  // as the kernel's
  for (int i = 0; i < kLinksMax && !NamesContents(path); ++i) {
    auto [parent, component] = SplitPath(path);
    CKPT_ASSIGN_OR_RETURN(auto dir, parents->Open(parent));
    CKPT_ASSIGN_OR_RETURN(FileInfo info, dir->StatEntry(component));
    if (info.kind != FileKind::kSymlink) return path;
    CKPT_ASSIGN_OR_RETURN(std::string target, dir->ReadLink(component));
    path = target.starts_with('/') ? target : std::string(parent).append("/").append(target);
  }
  return path;
}

Status AddContents(const std::string& path, const std::string& name, Parents* parents,
                   Listing* listing, std::vector<Root>* roots) {
  CKPT_ASSIGN_OR_RETURN(auto dir, parents->Open(path));
  CKPT_ASSIGN_OR_RETURN(auto entries, listing->Of(dir.get()));
  for (const DirEntry& entry : entries) {
    std::string full = name.empty() ? entry.name : name + "/" + entry.name;
    roots->push_back({std::move(full), dir, entry.name});
  }
  return Status();
}

Status AddRoots(Parents* parents, Listing* listing, const std::string& given,
                const WalkOptions& options, std::vector<Root>* roots) {
  if (given.empty()) return InvalidArgument("an empty path names no file");
  std::string name = EntryNameOfPath(given);
  std::string path = given;
  if (given.ends_with('/')) {
    CKPT_ASSIGN_OR_RETURN(path, FollowLastLink(parents, given));
  }
  if (NamesContents(path)) return AddContents(path, name, parents, listing, roots);
  auto [parent, component] = SplitPath(path);
  CKPT_ASSIGN_OR_RETURN(auto dir, parents->Open(parent));
  bool shortened = given[0] == '/' || given.starts_with("../") || given.find("/../") != given.npos;
  if (shortened && options.notice) {
    options.notice("'" + given + "' is called '" + name + "' in the checkpoint");
  }
  roots->push_back({std::move(name), std::move(dir), std::move(component)});
  return Status();
}

Result<FileInfo> StatRoot(const Root& root) { return root.dir->StatEntry(root.component); }

bool SameObject(const FileInfo& a, const FileInfo& b) {
  return a.device == b.device && a.inode == b.inode;
}

Status Twins(const std::string& name) {
  return InvalidArgument("two of the paths would both be called '" + name + "' in the checkpoint");
}

bool IsUnder(const std::string& name, const std::string& folder) {
  return name.size() > folder.size() && name[folder.size()] == '/' && name.starts_with(folder);
}

// Whether the walk of `folder` comes to the very file that is named `root` as well. A name that
// begins with the folder's may be of a file elsewhere: names do not tell where a path began.
Result<bool> WalkReaches(const Root& folder, const Root& root, const FileInfo& info) {
  CKPT_ASSIGN_OR_RETURN(std::unique_ptr<Dir> dir, folder.dir->OpenDir(folder.component));
  for (std::size_t begin = folder.name.size() + 1;;) {
    std::size_t slash = root.name.find('/', begin);
    std::string component = root.name.substr(begin, slash - begin);
    if (slash == std::string::npos) {
      CKPT_ASSIGN_OR_RETURN(FileInfo there, dir->StatEntry(component));
      return SameObject(there, info);
    }
    CKPT_ASSIGN_OR_RETURN(dir, dir->OpenDir(component));
    begin = slash + 1;
  }
}

// True when the walk of one of the folders finds `root` anyway; InvalidArgument when it finds, or
// might find later, something else of that name.
Result<bool> IsFoundAnyway(const std::vector<const Root*>& folders, const Root& root,
                           const FileInfo& info) {
  auto above = std::find_if(folders.begin(), folders.end(),
                            [&](const Root* f) { return IsUnder(root.name, f->name); });
  if (above == folders.end()) return false;
  auto reached = WalkReaches(**above, root, info);
  if (!reached.ok() && reached.status().code() != Code::kNotFound) return reached.status();
  if (reached.ok() && *reached) return true;
  return InvalidArgument("'" + root.name + "' would lie in '" + (*above)->name +
                         "' in the checkpoint, but it is not in the folder that is saved as '" +
                         (*above)->name + "'");
}

}  // namespace

std::string EntryNameOfPath(const std::string& path) {
  std::string name;
  for (const std::string& part : Components(path)) name += (name.empty() ? "" : "/") + part;
  return name;
}

Status WalkFiles(Env* env, const std::vector<std::string>& paths, const WalkOptions& options,
                 const std::function<Status(const FoundFile&)>& fn) {
  Parents parents(env);
  Listing listing(options);
  std::vector<Root> roots;
  for (const std::string& path : paths) {
    CKPT_RETURN_IF_ERROR(AddRoots(&parents, &listing, path, options, &roots));
  }
  std::sort(roots.begin(), roots.end(),
            [](const Root& a, const Root& b) { return a.name < b.name; });
  Walker walker(options, &listing, fn);
  std::vector<Item> items;
  std::vector<const Root*> folders;  // of those before: a folder comes before what is in it
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const Root& root = roots[i];
    CKPT_ASSIGN_OR_RETURN(FileInfo info, StatRoot(root));
    if (i > 0 && roots[i - 1].name == root.name) {
      CKPT_ASSIGN_OR_RETURN(FileInfo other, StatRoot(roots[i - 1]));
      if (SameObject(info, other)) continue;
      return Twins(root.name);
    }
    CKPT_ASSIGN_OR_RETURN(bool found_anyway, IsFoundAnyway(folders, root, info));
    if (found_anyway) continue;
    if (info.kind == FileKind::kDirectory) folders.push_back(&root);
    walker.Add(root.name, root.component, root.dir.get(), info.kind, true, &items);
  }
  return walker.Items(std::move(items));
}

}  // namespace ckpt
