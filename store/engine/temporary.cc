#include "store/engine/temporary.h"

#include "store/base/quietly.h"

namespace ckpt {
namespace {

constexpr std::string_view kPrefix = ".ckpt-";
constexpr std::int64_t kOldNs = 3600 * kNsPerSecond;

// Answers whether it was. Only a file that is ours alone can be told by its lock: a link made of a
// restored file is not locked while it waits for its name.
Result<bool> RemoveIfAbandoned(Env* env, Dir* dir, const std::string& name) {
  CKPT_ASSIGN_OR_RETURN(FileInfo info, dir->StatEntry(name));
  if (info.kind == FileKind::kRegular && info.links == 1) {
    OpenOptions open;
    open.mode = OpenMode::kReadWrite;
    auto file = dir->OpenFile(name, open);
    auto locked = file.ok() ? (*file)->TryLock() : Result<bool>(file.status());
    if (locked.ok() && !*locked) return false;
    // While we hold the lock, a restore that just made this file sees that and makes another.
    if (locked.ok()) {
      Status removed = dir->RemoveFile(name);
      return removed.ok();
    }
  }
  bool old = env->RealtimeNs() - info.ctime_ns > kOldNs;
  if (!old || info.kind == FileKind::kDirectory) return false;
  return dir->RemoveFile(name).ok();
}

}  // namespace

std::string NewTemporaryName(Env* env) { return std::string(kPrefix) + env->RandomId().ToHex(); }

bool IsTemporaryName(std::string_view name) {
  Id128 id;
  return name.starts_with(kPrefix) && Id128::FromHex(name.substr(kPrefix.size()), &id);
}

Result<TemporaryFile> MakeTemporaryFile(Env* env, Dir* dir) {
  OpenOptions open;
  open.mode = OpenMode::kCreate;
  for (;;) {
    TemporaryFile made{NewTemporaryName(env), nullptr};
    CKPT_ASSIGN_OR_RETURN(made.file, dir->OpenFile(made.name, open));
    auto locked = made.file->TryLock();
    if (!locked.ok()) return made;  // without locks it goes by its age
    if (!*locked) continue;
    CKPT_ASSIGN_OR_RETURN(FileInfo info, made.file->Stat());
    if (info.links > 0) return made;  // else it was taken for abandoned before it was locked
  }
}

LinkOnItsWay::~LinkOnItsWay() {
  if (dir_ == nullptr) return;
  Quietly([this] {  // after a failure, which says what is the matter
    Status removed = dir_->RemoveFile(temporary_);
    (void)removed;
  });
}

std::uint64_t RemoveAbandoned(Env* env, Dir* dir) {
  std::uint64_t removed = 0;
  auto entries = dir->List();
  if (!entries.ok()) return 0;
  for (const DirEntry& entry : *entries) {
    if (!IsTemporaryName(entry.name)) continue;
    auto gone = RemoveIfAbandoned(env, dir, entry.name);
    removed += gone.ok() && *gone ? 1 : 0;
  }
  return removed;
}

}  // namespace ckpt
