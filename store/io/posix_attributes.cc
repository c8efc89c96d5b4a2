// stat, modes, owners, times and extended attributes of open descriptors.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstring>
#include <limits>

#include "store/io/entry_name.h"
#include "store/io/posix_internal.h"

namespace ckpt::posix {
namespace {

constexpr std::uint64_t kStatBlockBytes = 512;  // of st_blocks, whatever the file system's own
constexpr std::uint32_t kPermissionBits = 07777;

// Times that nanoseconds cannot hold (before 1677, from 2262 on) are the nearest that they can.
std::int64_t ToNs(const timespec& t) {
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(t.tv_sec, kNsPerSecond, &ns) ||
      __builtin_add_overflow(ns, t.tv_nsec, &ns)) {
    return t.tv_sec < 0 ? kMin : kMax;
  }
  return ns;
}

bool NotSupported(int error) { return error == EOPNOTSUPP || error == ENOSYS; }

// Calls a listxattr-like function until its answer fits: somebody may add to it in between.
template <typename Call>
ssize_t ReadGrowing(std::string* out, Call call) {
  for (;;) {
    ssize_t size = RetryEintr([&] { return call(nullptr, std::size_t{0}); });
    if (size < 0) return size;
    out->resize(static_cast<std::size_t>(size));
    if (size == 0) return 0;
    ssize_t got = RetryEintr([&] { return call(out->data(), out->size()); });
    if (got >= 0) {
      out->resize(static_cast<std::size_t>(got));
      return got;
    }
    if (errno != ERANGE) return got;
  }
}

}  // namespace

FileKind KindOf(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::kRegular;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  if (S_ISLNK(mode)) return FileKind::kSymlink;
  return FileKind::kOther;
}

const char* KindName(mode_t mode) {
  if (S_ISREG(mode)) return "a regular file";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "of unknown kind";
}

FileInfo ToFileInfo(const struct stat& st) {
  FileInfo info;
  info.kind = KindOf(st.st_mode);
  info.mode = st.st_mode & kPermissionBits;
  info.uid = st.st_uid;
  info.gid = st.st_gid;
  info.size_bytes = static_cast<std::uint64_t>(st.st_size);
  info.allocated_bytes = static_cast<std::uint64_t>(st.st_blocks) * kStatBlockBytes;
  info.mtime_ns = ToNs(st.st_mtim);
  info.ctime_ns = ToNs(st.st_ctim);
  info.device = st.st_dev;
  info.inode = st.st_ino;
  info.links = st.st_nlink;
  return info;
}

timespec ToTimespec(std::int64_t ns) {
  std::int64_t seconds = ns / kNsPerSecond;
  std::int64_t rest = ns % kNsPerSecond;
  if (rest < 0) {  // before 1970: the kernel wants nanoseconds counted upwards
    rest += kNsPerSecond;
    --seconds;
  }
  timespec t{};
  t.tv_sec = seconds;
  t.tv_nsec = rest;
  return t;
}

Status LastError(std::string_view operation, std::string_view path) {
  int error = errno;
  return ErrnoStatus(error, std::string(operation).append(" ").append(path));
}

Result<FileInfo> StatFd(int fd, std::string_view path) {
  struct stat st;
  if (RetryEintr([&] { return ::fstat(fd, &st); }) != 0) return LastError("stat", path);
  return ToFileInfo(st);
}

Status SetFdAttributes(int fd, const FileInfo& info, bool owner, std::string_view path) {
  if (owner && RetryEintr([&] { return ::fchown(fd, info.uid, info.gid); }) != 0)
    return LastError("set owner of", path);
  if (RetryEintr([&] { return ::fchmod(fd, info.mode & kPermissionBits); }) != 0)
    return LastError("set mode of", path);
  timespec times[2] = {{}, ToTimespec(info.mtime_ns)};
  times[0].tv_nsec = UTIME_OMIT;
  if (RetryEintr([&] { return ::futimens(fd, times); }) != 0)
    return LastError("set times of", path);
  return {};
}

std::uint32_t JoinFolder(int dir_fd, int fd, std::uint32_t permissions) {
  struct stat dir, own;
  if ((permissions & kAsItsFolder) == 0) return permissions;
  if (::fstat(dir_fd, &dir) != 0 || ::fstat(fd, &own) != 0) return permissions;
  bool theirs = dir.st_uid == own.st_uid && dir.st_gid == own.st_gid;
  // As good as it goes: NFS makes root nobody, and a stranger can give nothing away.
  theirs = theirs || ::fchown(fd, dir.st_uid, dir.st_gid) == 0;
  bool of_the_group =
      theirs || dir.st_gid == own.st_gid || ::fchown(fd, own.st_uid, dir.st_gid) == 0;
  if (S_ISDIR(own.st_mode)) return permissions;
  return permissions | (dir.st_mode & (of_the_group ? 0044 : 0004));
}

Status SetPermissions(int fd, std::uint32_t permissions, std::string_view path) {
  struct stat st;
  if (RetryEintr([&] { return ::fstat(fd, &st); }) != 0) return LastError("stat", path);
  mode_t wanted = permissions & kPermissionBits;
  if (S_ISDIR(st.st_mode)) wanted |= st.st_mode & S_ISGID;
  if ((st.st_mode & kPermissionBits) == wanted) return {};
  if (RetryEintr([&] { return ::fchmod(fd, wanted); }) == 0) return {};
  // It is ours and new, so EPERM can only mean a file system without modes of its own.
  if (errno == EPERM || NotSupported(errno)) return {};
  return LastError("set mode of", path);
}

Result<XattrList> ListFdXattrs(int fd, std::string_view path) {
  std::string names;
  if (ReadGrowing(&names, [&](char* p, std::size_t n) { return ::flistxattr(fd, p, n); }) < 0) {
    if (NotSupported(errno)) return XattrList{};
    return LastError("list extended attributes of", path);
  }
  XattrList list;
  for (const char* name = names.c_str(); name < names.c_str() + names.size();
       name += std::strlen(name) + 1) {
    std::string value;
    auto get = [&](char* p, std::size_t n) { return ::fgetxattr(fd, name, p, n); };
    if (ReadGrowing(&value, get) >= 0) {
      list.emplace_back(name, std::move(value));
    } else if (errno != ENODATA && errno != EPERM && errno != EACCES && !NotSupported(errno)) {
      return LastError("read extended attribute " + std::string(name) + " of", path);
    }  // else it is gone again, or not for us to see
  }
  return list;
}

Status SetFdXattr(int fd, std::string_view name, std::string_view value, std::string_view path) {
  CKPT_RETURN_IF_ERROR(CheckCString(name, "extended attribute name"));
  std::string name_text(name);
  if (RetryEintr(
          [&] { return ::fsetxattr(fd, name_text.c_str(), value.data(), value.size(), 0); }) == 0)
    return {};
  int error = errno;
  Status status =
      ErrnoStatus(error, "set extended attribute " + name_text + " of " + std::string(path));
  // security.*, trusted.* and system.* need rights a restore rarely has.
  bool refused = (error == EPERM || error == EACCES) && !name.starts_with("user.");
  return refused ? Unsupported(status.message()) : status;
}

}  // namespace ckpt::posix
