// A simulated world's Dir.

#include <cerrno>

#include "store/base/check.h"
#include "store/io/entry_name.h"
#include "tests/support/sim_shared.h"

namespace ckpt {
namespace {

constexpr std::size_t kNameBytesMax = 255;

const char* KindName(FileKind kind) {
  switch (kind) {
    case FileKind::kRegular:
      return "a regular file";
    case FileKind::kDirectory:
      return "a directory";
    case FileKind::kSymlink:
      return "a symbolic link";
    case FileKind::kOther:
      break;
  }
  return "of unknown kind";
}

class SimDir final : public Dir {
 public:
  SimDir(std::shared_ptr<SimShared> shared, std::uint64_t process, SimDisk::InodePtr inode,
         std::string path)
      : Dir(std::move(path)),
        shared_(std::move(shared)),
        inode_(std::move(inode)),
        process_(process) {}

  Result<std::unique_ptr<Dir>> OpenDir(std::string_view name) override;
  Result<std::unique_ptr<File>> OpenFile(std::string_view name,
                                         const OpenOptions& options) override;
  Result<FileInfo> StatEntry(std::string_view name) override;
  Result<FileInfo> Stat() override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kOpen, "stat " + path()));
    return shared_->disk->Info(*inode_);
  }
  Result<std::vector<DirEntry>> List() override;
  Status MakeDir(std::string_view name, std::uint32_t permissions) override;
  Status RemoveFile(std::string_view name) override { return Remove(name, false); }
  Status RemoveDir(std::string_view name) override { return Remove(name, true); }
  Status Rename(std::string_view from, Dir* to_dir, std::string_view to) override;
  Result<std::string> ReadLink(std::string_view name) override;
  Status MakeSymlink(std::string_view target, std::string_view name) override;
  Status MakeHardLink(std::string_view existing, Dir* to_dir, std::string_view name) override;
  Status SetEntryAttributes(std::string_view name, const FileInfo& info, bool owner) override;
  Status SetAttributes(const FileInfo& info, bool owner) override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kAttributes, "set mode of " + path()));
    SetSimAttributes(inode_.get(), info, owner, shared_->disk->now_ns);
    return {};
  }
  Result<SimXattrs> ExtendedAttributes() override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kRead, "read attributes of " + path()));
    return SimXattrs(inode_->attributes.begin(), inode_->attributes.end());
  }
  Status SetExtendedAttribute(std::string_view name, std::string_view value) override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kAttributes, "set attribute " + path()));
    return SetSimXattr(inode_.get(), name, value);
  }
  Status Sync() override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kSyncDir, "sync directory " + path()));
    shared_->Sync(inode_);
    return {};
  }
  Result<bool> CopiesOnWrite() override { return false; }
  Result<bool> OnNetworkFileSystem() override {
    SimTurn turn(shared_.get());
    return shared_->network;
  }
  Result<std::uint64_t> FreeBytes() override;

 private:
  // The checks every named call begins with. REQUIRES: mutex held.
  Status Begin(SimOp kind, std::string_view name, const std::string& what) {
    CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
    if (name.size() > kNameBytesMax) return ErrnoStatus(ENAMETOOLONG, what);
    return kind == SimOp::kCount ? Status() : shared_->Gate(process_, kind, what);
  }
  std::string What(std::string_view operation, std::string_view name) const {
    return std::string(operation) + " " + JoinPath(path(), name);
  }
  Status Remove(std::string_view name, bool directory);
  Result<SimDisk::InodePtr> CreateEntry(std::string_view name, FileKind kind, std::uint32_t mode,
                                        std::string_view target, const std::string& what);
  SimDir& Same(Dir* dir) const {
    auto* other = dynamic_cast<SimDir*>(dir);
    CKPT_CHECK(other != nullptr && other->shared_ == shared_,
               "directories of two worlds cannot be mixed");
    return *other;
  }

  const std::shared_ptr<SimShared> shared_;
  const SimDisk::InodePtr inode_;
  const std::uint64_t process_;
};

Result<std::unique_ptr<Dir>> SimDir::OpenDir(std::string_view name) {
  SimTurn turn(shared_.get());
  std::string what = What("open directory", name);
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kOpen, name, what));
  SimDisk::InodePtr inode = shared_->disk->Lookup(*inode_, name);
  if (inode == nullptr) return SimStatus(ENOENT, what);
  if (inode->info.kind != FileKind::kDirectory) return SimStatus(ENOTDIR, what);
  return MakeSimDir(shared_, process_, std::move(inode), JoinPath(path(), name));
}

Result<SimDisk::InodePtr> SimDir::CreateEntry(std::string_view name, FileKind kind,
                                              std::uint32_t mode, std::string_view target,
                                              const std::string& what) {
  FileInfo info;
  info.kind = kind;
  info.mode = mode;
  info.uid = info.gid = shared_->Process(process_).uid;
  SimDisk::InodePtr made;
  CKPT_RETURN_IF_ERROR(
      SimStatus(shared_->disk->Create(inode_.get(), name, info, target, &made), what));
  return made;
}

Result<std::unique_ptr<File>> SimDir::OpenFile(std::string_view name, const OpenOptions& options) {
  SimTurn turn(shared_.get());
  std::string what = What("open", name);
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kCount, name, what));
  SimDisk::InodePtr inode = shared_->disk->Lookup(*inode_, name);
  bool may_create = options.mode == OpenMode::kCreate || options.mode == OpenMode::kReadOrCreate;
  if (options.mode == OpenMode::kCreate || (inode == nullptr && may_create)) {
    CKPT_RETURN_IF_ERROR(Begin(SimOp::kCreate, name, what));
    CKPT_ASSIGN_OR_RETURN(
        inode, CreateEntry(name, FileKind::kRegular, options.permissions & 07777, "", what));
  } else {
    CKPT_RETURN_IF_ERROR(Begin(SimOp::kOpen, name, what));
    int read_only = shared_->Process(process_).read_only_error;
    if (inode == nullptr) return SimStatus(ENOENT, what);
    if (inode->info.kind != FileKind::kRegular) {
      return InvalidArgument(what + ": it is " + KindName(inode->info.kind) +
                             ", not a regular file");
    }
    if (options.mode != OpenMode::kRead && read_only != 0) return SimStatus(read_only, what);
  }
  return MakeSimFile(shared_, process_, std::move(inode), options, JoinPath(path(), name));
}

Result<FileInfo> SimDir::StatEntry(std::string_view name) {
  SimTurn turn(shared_.get());
  std::string what = What("stat", name);
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kOpen, name, what));
  SimDisk::InodePtr inode = shared_->disk->Lookup(*inode_, name);
  if (inode == nullptr) return SimStatus(ENOENT, what);
  return shared_->disk->Info(*inode);
}

Result<std::vector<DirEntry>> SimDir::List() {
  SimTurn turn(shared_.get());
  CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kOpen, "list " + path()));
  std::vector<DirEntry> entries;
  for (const auto& [name, number] : inode_->names) {
    entries.push_back({name, shared_->disk->Lookup(*inode_, name)->info.kind});
  }
  return entries;
}

Status SimDir::MakeDir(std::string_view name, std::uint32_t permissions) {
  SimTurn turn(shared_.get());
  std::string what = What("make directory", name);
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kMakeDir, name, what));
  std::uint32_t mode = permissions == kByUmask ? 0755 : permissions & 07777;
  return CreateEntry(name, FileKind::kDirectory, mode, "", what).status();
}

Status SimDir::Remove(std::string_view name, bool directory) {
  SimTurn turn(shared_.get());
  std::string what = What("remove", name);
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kRemove, name, what));
  return SimStatus(shared_->disk->Remove(inode_.get(), name, directory), what);
}

Status SimDir::Rename(std::string_view from, Dir* to_dir, std::string_view to) {
  SimTurn turn(shared_.get());
  SimDir& target = Same(to_dir);
  std::string what = What("rename", from) + " to " + JoinPath(target.path(), to);
  CKPT_RETURN_IF_ERROR(target.Begin(SimOp::kCount, to, what));
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kRename, from, what));
  return SimStatus(shared_->disk->Rename(inode_.get(), from, target.inode_.get(), to), what);
}

Result<std::string> SimDir::ReadLink(std::string_view name) {
  SimTurn turn(shared_.get());
  std::string what = What("read link", name);
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kOpen, name, what));
  SimDisk::InodePtr inode = shared_->disk->Lookup(*inode_, name);
  if (inode == nullptr) return SimStatus(ENOENT, what);
  if (inode->info.kind != FileKind::kSymlink) return SimStatus(EINVAL, what);
  return inode->link_target;
}

Status SimDir::MakeSymlink(std::string_view target, std::string_view name) {
  SimTurn turn(shared_.get());
  std::string what = What("make link", name);
  CKPT_RETURN_IF_ERROR(CheckCString(target, "link target"));
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kLink, name, what));
  return CreateEntry(name, FileKind::kSymlink, 0777, target, what).status();
}

Status SimDir::MakeHardLink(std::string_view existing, Dir* to_dir, std::string_view name) {
  SimTurn turn(shared_.get());
  SimDir& target = Same(to_dir);
  std::string what = What("link", existing) + " as " + JoinPath(target.path(), name);
  CKPT_RETURN_IF_ERROR(target.Begin(SimOp::kCount, name, what));
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kLink, existing, what));
  SimDisk::InodePtr inode = shared_->disk->Lookup(*inode_, existing);
  if (inode == nullptr) return SimStatus(ENOENT, what);
  return SimStatus(shared_->disk->Link(inode, target.inode_.get(), name), what);
}

Status SimDir::SetEntryAttributes(std::string_view name, const FileInfo& info, bool owner) {
  SimTurn turn(shared_.get());
  std::string what = What("set mode of", name);
  CKPT_RETURN_IF_ERROR(Begin(SimOp::kAttributes, name, what));
  SimDisk::InodePtr inode = shared_->disk->Lookup(*inode_, name);
  if (inode == nullptr) return SimStatus(ENOENT, what);
  SetSimAttributes(inode.get(), info, owner, shared_->disk->now_ns);
  return {};
}

Result<std::uint64_t> SimDir::FreeBytes() {
  SimTurn turn(shared_.get());
  constexpr std::uint64_t kPlenty = std::uint64_t{1} << 50;
  const auto& capacity = shared_->disk->capacity_bytes;
  if (!capacity.has_value()) return kPlenty;
  std::uint64_t used = shared_->disk->used_bytes();
  return used < *capacity ? *capacity - used : 0;
}

}  // namespace

std::unique_ptr<Dir> MakeSimDir(std::shared_ptr<SimShared> shared, std::uint64_t process,
                                SimDisk::InodePtr inode, std::string path) {
  return std::make_unique<SimDir>(std::move(shared), process, std::move(inode), std::move(path));
}

}  // namespace ckpt
