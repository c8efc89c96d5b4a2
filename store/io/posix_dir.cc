// A directory of the real world: every call is relative to its descriptor and follows no link (I8).

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>

#include "store/base/check.h"
#include "store/io/entry_name.h"
#include "store/io/posix_internal.h"

namespace ckpt::posix {
namespace {

// statfs(2) f_type of file systems whose files another host may have open. Numbers from the man
// page and from GNU coreutils' list of file systems.
constexpr std::uint32_t kNetworkFileSystems[] = {
    0x6969,      // NFS
    0x517B,      // SMB
    0xFF534D42,  // CIFS
    0xFE534D42,  // SMB2
    0x0BD00BD0,  // Lustre
    0x47504653,  // GPFS
    0x19830326,  // BeeGFS (fhgfs)
    0x00C36400,  // Ceph
    0x5346414F,  // AFS
    0x6B414653,  // kAFS
    0x73757245,  // Coda
    0x564C,      // NCP
    0x01021997,  // 9p
    0x20030528,  // OrangeFS (PVFS2)
    0xAAD7AAEA,  // PanFS
    0x7461636F,  // OCFS2
    0x01161970,  // GFS2
    0xBEEFDEAD,  // StorNext
    0x786F4256,  // VirtualBox shared folder
    0x7C7C6673,  // Parallels shared folder
};
constexpr std::uint32_t kCopyOnWriteFileSystems[] = {
    0x9123683E,  // btrfs
    0x2FC12FC1,  // ZFS
    0xCA451A4E,  // bcachefs
};
constexpr std::uint32_t kFuse = 0x65735546;  // fuse and fuseblk alike

class PosixDir final : public Dir {
 public:
  PosixDir(UniqueFd fd, std::string path) : Dir(std::move(path)), fd_(std::move(fd)) {}

  Result<std::unique_ptr<Dir>> OpenDir(std::string_view name) override;
  Result<std::unique_ptr<File>> OpenFile(std::string_view name,
                                         const OpenOptions& options) override;
  Result<FileInfo> StatEntry(std::string_view name) override;
  Result<FileInfo> Stat() override { return StatFd(fd_.get(), path()); }
  Result<std::vector<DirEntry>> List() override;
  Status MakeDir(std::string_view name, std::uint32_t permissions) override;
  Status RemoveFile(std::string_view name) override { return Unlink(name, 0); }
  Status RemoveDir(std::string_view name) override { return Unlink(name, AT_REMOVEDIR); }
  Status Rename(std::string_view from, Dir* to_dir, std::string_view to) override;
  Result<std::string> ReadLink(std::string_view name) override;
  Status MakeSymlink(std::string_view target, std::string_view name) override;
  Status MakeHardLink(std::string_view existing, Dir* to_dir, std::string_view name) override;
  Status SetEntryAttributes(std::string_view name, const FileInfo& info, bool owner) override;
  Status SetAttributes(const FileInfo& info, bool owner) override {
    return SetFdAttributes(fd_.get(), info, owner, path());
  }
  Result<XattrList> ExtendedAttributes() override { return ListFdXattrs(fd_.get(), path()); }
  Status SetExtendedAttribute(std::string_view name, std::string_view value) override {
    return SetFdXattr(fd_.get(), name, value, path());
  }
  Status Sync() override;
  Result<bool> OnNetworkFileSystem() override;
  Result<std::uint64_t> FreeBytes() override;
  Result<bool> CopiesOnWrite() override;

 private:
  std::string PathOf(std::string_view name) const { return JoinPath(path(), name); }
  // The status of the errno just set, for "<operation> <path of name>".
  Status Failed(std::string_view operation, std::string_view name) const {
    int error = errno;  // before anything that might allocate
    return ErrnoStatus(error, std::string(operation) + " " + PathOf(name));
  }
  // A descriptor of the subdirectory; links are refused as "not a directory".
  Result<UniqueFd> OpenDirFd(const std::string& name);
  Status Unlink(std::string_view name, int flags);

  UniqueFd fd_;
};

PosixDir& AsPosix(Dir* dir) {
  auto* posix_dir = dynamic_cast<PosixDir*>(dir);
  CKPT_CHECK(posix_dir != nullptr, "directories of two worlds cannot be mixed");
  return *posix_dir;
}

Result<UniqueFd> PosixDir::OpenDirFd(const std::string& name) {
  UniqueFd fd(RetryOpen([&] {
    return ::openat(fd_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }));
  if (!fd.valid()) return Failed("open directory", name);
  return fd;
}

Result<std::unique_ptr<Dir>> PosixDir::OpenDir(std::string_view name) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  CKPT_ASSIGN_OR_RETURN(UniqueFd fd, OpenDirFd(std::string(name)));
  return std::unique_ptr<Dir>(std::make_unique<PosixDir>(std::move(fd), PathOf(name)));
}

Result<std::unique_ptr<File>> PosixDir::OpenFile(std::string_view name,
                                                 const OpenOptions& options) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  return OpenFileAt(fd_.get(), std::string(name), options, PathOf(name));
}

Result<FileInfo> PosixDir::StatEntry(std::string_view name) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  struct stat st;
  if (RetryEintr([&] {
        return ::fstatat(fd_.get(), std::string(name).c_str(), &st, AT_SYMLINK_NOFOLLOW);
      }) != 0) {
    return Failed("stat", name);
  }
  return ToFileInfo(st);
}

Result<std::vector<DirEntry>> PosixDir::List() {
  // A descriptor of its own: a directory's read position belongs to the open file description.
  UniqueFd fd(
      RetryOpen([&] { return ::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd.valid()) return LastError("list", path());
  struct CloseDir {
    void operator()(DIR* d) const { ::closedir(d); }
  };
  DIR* opened = ::fdopendir(fd.get());
  while (opened == nullptr && errno == EINTR) opened = ::fdopendir(fd.get());
  std::unique_ptr<DIR, CloseDir> stream(opened);
  if (stream == nullptr) return LastError("list", path());
  fd.Release();
  std::vector<DirEntry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr && errno == EINTR) continue;
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    FileKind kind = KindOf(DTTOIF(entry->d_type));
    if (entry->d_type == DT_UNKNOWN) {  // file systems without types in their directories
      struct stat st;
      if (RetryEintr(
              [&] { return ::fstatat(fd_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW); }) != 0) {
        if (errno == ENOENT) continue;
        return Failed("stat", name);
      }
      kind = KindOf(st.st_mode);
    }
    entries.push_back({std::move(name), kind});
  }
  if (errno != 0) return LastError("list", path());
  return entries;
}

Status PosixDir::MakeDir(std::string_view name, std::uint32_t permissions) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  std::string text(name);
  // Owner only until the descriptor is held; then exactly what was asked for.
  const mode_t mode = permissions == kByUmask ? 0777 : 0700;
  if (RetryEintr([&] { return ::mkdirat(fd_.get(), text.c_str(), mode); }) != 0) {
    return Failed("make directory", name);
  }
  if (permissions == kByUmask) return {};
  CKPT_ASSIGN_OR_RETURN(UniqueFd fd, OpenDirFd(text));
  return SetPermissions(fd.get(), JoinFolder(fd_.get(), fd.get(), permissions), PathOf(name));
}

Status PosixDir::Unlink(std::string_view name, int flags) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  if (RetryEintr([&] { return ::unlinkat(fd_.get(), std::string(name).c_str(), flags); }) == 0)
    return {};
  return Failed("remove", name);
}

Status PosixDir::Rename(std::string_view from, Dir* to_dir, std::string_view to) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(from, path()));
  CKPT_RETURN_IF_ERROR(CheckEntryName(to, to_dir->path()));
  PosixDir& target = AsPosix(to_dir);
  int result = RetryEintr([&] {
    return ::renameat(fd_.get(), std::string(from).c_str(), target.fd_.get(),
                      std::string(to).c_str());
  });
  return result == 0 ? Status() : target.Failed("rename " + std::string(from) + " to", to);
}

Result<std::string> PosixDir::ReadLink(std::string_view name) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  std::string text(name);
  for (std::string target(256, '\0');; target.resize(2 * target.size())) {
    ssize_t got = RetryEintr(
        [&] { return ::readlinkat(fd_.get(), text.c_str(), target.data(), target.size()); });
    if (got < 0) return Failed("read link", name);
    if (static_cast<std::size_t>(got) == target.size()) continue;  // may have been cut
    target.resize(static_cast<std::size_t>(got));
    return target;
  }
}

Status PosixDir::MakeSymlink(std::string_view target, std::string_view name) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  CKPT_RETURN_IF_ERROR(CheckCString(target, "link target"));
  int result = RetryEintr([&] {
    return ::symlinkat(std::string(target).c_str(), fd_.get(), std::string(name).c_str());
  });
  return result == 0 ? Status() : Failed("make link", name);
}

Status PosixDir::MakeHardLink(std::string_view existing, Dir* to_dir, std::string_view name) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(existing, path()));
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, to_dir->path()));
  PosixDir& target = AsPosix(to_dir);
  int result = RetryEintr([&] {
    return ::linkat(fd_.get(), std::string(existing).c_str(), target.fd_.get(),
                    std::string(name).c_str(), 0);
  });
  return result == 0 ? Status() : target.Failed("link " + std::string(existing) + " as", name);
}

Status PosixDir::SetEntryAttributes(std::string_view name, const FileInfo& info, bool owner) {
  CKPT_RETURN_IF_ERROR(CheckEntryName(name, path()));
  std::string text(name);
  struct stat st;
  if (RetryEintr([&] { return ::fstatat(fd_.get(), text.c_str(), &st, AT_SYMLINK_NOFOLLOW); }) !=
      0) {
    return Failed("stat", name);
  }
  if (owner && RetryEintr([&] {
                 return ::fchownat(fd_.get(), text.c_str(), info.uid, info.gid,
                                   AT_SYMLINK_NOFOLLOW);
               }) != 0) {
    return Failed("set owner of", name);
  }
  if (!S_ISLNK(st.st_mode) && RetryEintr([&] {
                                return ::fchmodat(fd_.get(), text.c_str(), info.mode & 07777,
                                                  AT_SYMLINK_NOFOLLOW);
                              }) != 0) {
    return Failed("set mode of", name);
  }
  timespec times[2] = {{}, ToTimespec(info.mtime_ns)};
  times[0].tv_nsec = UTIME_OMIT;
  if (RetryEintr(
          [&] { return ::utimensat(fd_.get(), text.c_str(), times, AT_SYMLINK_NOFOLLOW); }) != 0) {
    return Failed("set times of", name);
  }
  return {};
}

Status PosixDir::Sync() {
  if (RetryEintr([&] { return ::fsync(fd_.get()); }) == 0) return {};
  // CIFS and some FUSE file systems cannot sync a directory: their server orders names itself.
  if (errno == EINVAL) return {};
  return LastError("sync directory", path());
}

Result<bool> PosixDir::OnNetworkFileSystem() {
  struct statfs fs;
  if (RetryEintr([&] { return ::fstatfs(fd_.get(), &fs); }) != 0) {
    return LastError("ask for the file system of", path());
  }
  auto type = static_cast<std::uint32_t>(fs.f_type);
  if (type == kFuse) {
    // fuseblk (ntfs-3g and the like) sits on a block device; a FUSE without one may be a network.
    struct stat st;
    if (RetryEintr([&] { return ::fstat(fd_.get(), &st); }) != 0) return LastError("stat", path());
    return major(st.st_dev) == 0;
  }
  return std::ranges::find(kNetworkFileSystems, type) != std::end(kNetworkFileSystems);
}

Result<std::uint64_t> PosixDir::FreeBytes() {
  struct statvfs fs;
  if (RetryEintr([&] { return ::fstatvfs(fd_.get(), &fs); }) != 0) {
    return LastError("ask for free space of", path());
  }
  return std::uint64_t{fs.f_bavail} * fs.f_frsize;
}

Result<bool> PosixDir::CopiesOnWrite() {
  struct statfs fs;
  if (RetryEintr([&] { return ::fstatfs(fd_.get(), &fs); }) != 0) {
    return LastError("ask for the file system of", path());
  }
  const auto type = static_cast<std::uint32_t>(fs.f_type);
  return std::ranges::find(kCopyOnWriteFileSystems, type) != std::end(kCopyOnWriteFileSystems);
}

}  // namespace

std::unique_ptr<Dir> WrapDir(UniqueFd fd, std::string path) {
  return std::make_unique<PosixDir>(std::move(fd), std::move(path));
}

}  // namespace ckpt::posix
