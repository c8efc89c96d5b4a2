// A regular file of the real world. Opening refuses everything else without blocking and without
// following links (I8); locks are open-file-description locks of the whole file (I5).
//
// A file opened with `direct` has two descriptors: the buffered one it was opened with, for reads
// of any alignment, locks and attributes, and one for direct writes. Where the file system cannot
// do direct writes, the second is missing or given up at its first EINVAL, and writes are buffered.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstring>

#include "store/base/check.h"
#include "store/io/forked_locks.h"
#include "store/io/posix_internal.h"

namespace ckpt::posix {
namespace {

constexpr std::uint64_t kDirectAlignmentBytes = 4096;
// O_NONBLOCK: opening a FIFO or a device must not wait for its other end.
constexpr int kOpenFlags = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

bool IsDirectAligned(std::uint64_t offset, ByteSpan data) {
  std::uint64_t bits = offset | data.size() | reinterpret_cast<std::uintptr_t>(data.data());
  return bits % kDirectAlignmentBytes == 0;
}

struct flock WholeFile(short type) {
  struct flock lock {};  // l_start = l_len = 0: all of it, now and later; l_pid must be 0
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

class PosixFile final : public File {
 public:
  PosixFile(UniqueFd fd, UniqueFd direct_fd, std::string path)
      : File(std::move(path)),
        fd_(std::move(fd)),
        direct_fd_(std::move(direct_fd)),
        direct_(direct_fd_.valid()) {}
  ~PosixFile() override { posix::RemoveLockedDescriptor(fd_.get()); }

  Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) override;
  Status WriteAt(std::uint64_t offset, ByteSpan data) override;
  Status Sync() override;
  Result<FileInfo> Stat() override { return StatFd(fd_.get(), path()); }
  Status Allocate(std::uint64_t offset, std::uint64_t length_bytes) override;
  Status PunchHole(std::uint64_t offset, std::uint64_t length_bytes) override;
  Status Truncate(std::uint64_t size_bytes) override;
  Status Settle() override;
  Result<std::vector<Extent>> Extents() override;
  Status SetAttributes(const FileInfo& info, bool owner) override {
    return SetFdAttributes(fd_.get(), info, owner, path());
  }
  Result<XattrList> ExtendedAttributes() override { return ListFdXattrs(fd_.get(), path()); }
  Status SetExtendedAttribute(std::string_view name, std::string_view value) override {
    return SetFdXattr(fd_.get(), name, value, path());
  }
  Result<bool> TryLock() override;
  Status Unlock() override;
  Result<bool> LockedByOther() override;

 private:
  Status AtOffset(std::string_view operation, std::uint64_t offset) const {
    int error = errno;
    return ErrnoStatus(error,
                       std::string(operation) + " " + path() + " at " + std::to_string(offset));
  }
  Status LockError(std::string_view operation) const;

  UniqueFd fd_;
  UniqueFd direct_fd_;
  std::atomic<bool> direct_;  // cleared once the file system refuses direct writes
};

Result<std::size_t> PosixFile::ReadAt(std::uint64_t offset, MutableByteSpan out) {
  std::size_t done = 0;
  while (done < out.size()) {
    off_t at = static_cast<off_t>(offset + done);
    ssize_t got =
        RetryEintr([&] { return ::pread(fd_.get(), out.data() + done, out.size() - done, at); });
    if (got < 0) return AtOffset("read", offset + done);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Status PosixFile::WriteAt(std::uint64_t offset, ByteSpan data) {
  if (direct_.load(std::memory_order_relaxed) && !IsDirectAligned(offset, data)) {
    return InvalidArgument("write " + path() + " at " + std::to_string(offset) +
                           ": a direct write needs multiples of 4 KiB");
  }
  while (!data.empty()) {
    // What a short direct write leaves may be unaligned: the buffered descriptor takes the rest.
    bool direct = direct_.load(std::memory_order_relaxed) && IsDirectAligned(offset, data);
    int fd = direct ? direct_fd_.get() : fd_.get();
    ssize_t put = RetryEintr(
        [&] { return ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
    if (put < 0 && errno == EINVAL && direct) {
      direct_.store(false, std::memory_order_relaxed);
      continue;
    }
    if (put == 0) errno = EIO;  // never for a regular file; not to loop for ever
    if (put <= 0) return AtOffset("write", offset);
    offset += static_cast<std::uint64_t>(put);
    data = data.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

Status PosixFile::Sync() {
  if (RetryEintr([&] { return ::fdatasync(fd_.get()); }) == 0) return {};
  return LastError("sync", path());
}

// btrfs writes elsewhere what is written over, which needs space although the blocks are allocated,
// unless the file was told not to while it was empty. Elsewhere this changes nothing.
void WriteInPlace(int fd) {
  struct stat st;
  int flags = 0;
  if (::fstat(fd, &st) != 0 || st.st_size != 0) return;
  if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return;
  flags |= FS_NOCOW_FL;
  static_cast<void>(::ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

Status PosixFile::Allocate(std::uint64_t offset, std::uint64_t length_bytes) {
  if (length_bytes == 0) return {};
  WriteInPlace(fd_.get());
  // Not posix_fallocate: its fallback writes zeros, which is slow and races with our writers.
  int result = RetryEintr([&] {
    return ::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length_bytes));
  });
  return result == 0 ? Status() : AtOffset("allocate", offset);
}

Status PosixFile::PunchHole(std::uint64_t offset, std::uint64_t length_bytes) {
  if (length_bytes == 0) return {};
  int result = RetryEintr([&] {
    return ::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(offset), static_cast<off_t>(length_bytes));
  });
  return result == 0 ? Status() : AtOffset("punch a hole into", offset);
}

Status PosixFile::Truncate(std::uint64_t size_bytes) {
  int result = RetryEintr([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)); });
  return result == 0 ? Status() : LastError("truncate", path());
}

// Closing any descriptor of the file tells, and locks go with the last. Never repeated: Linux has
// freed the number even when it answers EINTR.
Status PosixFile::Settle() {
  UniqueFd copy(RetryOpen([&] { return ::fcntl(fd_.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1); }));
  if (!copy.valid()) return LastError("open once more", path());
  return ::close(copy.Release()) == 0 || errno == EINTR ? Status() : LastError("close", path());
}

Result<std::vector<Extent>> PosixFile::Extents() {
  CKPT_ASSIGN_OR_RETURN(FileInfo info, Stat());
  std::vector<Extent> extents;
  std::uint64_t at = 0;
  while (at < info.size_bytes) {
    // `at` begins a hole, or data when `start` equals it. The file may change meanwhile, so every
    // answer is clamped to the size seen first.
    off_t start = RetryEintr([&] { return ::lseek(fd_.get(), static_cast<off_t>(at), SEEK_DATA); });
    if (start < 0 && errno == EINVAL) return std::vector<Extent>{{0, info.size_bytes, false}};
    if (start < 0 && errno != ENXIO) return AtOffset("find data in", at);
    std::uint64_t data = start < 0 ? info.size_bytes : static_cast<std::uint64_t>(start);
    data = std::min(data, info.size_bytes);
    if (data > at) extents.push_back({at, data - at, true});
    if (data == info.size_bytes) break;
    off_t stop =
        RetryEintr([&] { return ::lseek(fd_.get(), static_cast<off_t>(data), SEEK_HOLE); });
    std::uint64_t end = stop < 0 ? info.size_bytes : static_cast<std::uint64_t>(stop);
    end = std::min(end, info.size_bytes);
    if (end <= data) end = info.size_bytes;  // changed under us: call the rest data
    extents.push_back({data, end - data, false});
    at = end;
  }
  return extents;
}

Status PosixFile::LockError(std::string_view operation) const {
  int error = errno;
  Status status = ErrnoStatus(error, std::string(operation) + " " + path());
  if (error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS || error == EINVAL) {
    return Unsupported(status.message() + "; this file system has no working locks");
  }
  if (error == EBADF) return InvalidArgument(status.message() + "; it is open only for reading");
  return status;
}

Result<bool> PosixFile::TryLock() {
  struct flock lock = WholeFile(F_WRLCK);
  posix::AddLockedDescriptor(fd_.get());
  if (RetryEintr([&] { return ::fcntl(fd_.get(), F_OFD_SETLK, &lock); }) == 0) return true;
  const int error = errno;
  posix::RemoveLockedDescriptor(fd_.get());
  errno = error;
  if (errno == EAGAIN || errno == EACCES) return false;
  return LockError("lock");
}

Status PosixFile::Unlock() {
  struct flock lock = WholeFile(F_UNLCK);
  if (RetryEintr([&] { return ::fcntl(fd_.get(), F_OFD_SETLK, &lock); }) == 0) {
    posix::RemoveLockedDescriptor(fd_.get());
    return {};
  }
  return LockError("unlock");
}

Result<bool> PosixFile::LockedByOther() {
  struct flock lock = WholeFile(F_WRLCK);
  if (RetryEintr([&] { return ::fcntl(fd_.get(), F_OFD_GETLK, &lock); }) == 0) {
    return lock.l_type != F_UNLCK;
  }
  return LockError("ask for the lock of");
}

Status NotRegular(const std::string& path, mode_t mode) {
  return InvalidArgument("open " + path + ": it is " + KindName(mode) + ", not a regular file");
}

// The status for a failed open; names the kind where that is the reason.
Status OpenError(int dir_fd, const std::string& name, const std::string& path) {
  int error = errno;
  struct stat st;
  if ((error == ELOOP || error == ENXIO || error == EISDIR || error == ENODEV) &&
      ::fstatat(dir_fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)) {
    return NotRegular(path, st.st_mode);
  }
  return ErrnoStatus(error, "open " + path);
}

UniqueFd OpenAt(int dir_fd, const std::string& name, int flags, mode_t mode = 0) {
  return UniqueFd(RetryOpen([&] { return ::openat(dir_fd, name.c_str(), flags, mode); }));
}

// Opens or creates as `options.mode` says; *created tells which. Invalid, with errno, on failure.
UniqueFd OpenByMode(int dir_fd, const std::string& name, const OpenOptions& options,
                    bool* created) {
  mode_t mode = options.permissions & 0777;
  constexpr int kCreateFlags = kOpenFlags | O_RDWR | O_CREAT | O_EXCL;
  *created = false;
  switch (options.mode) {
    case OpenMode::kRead:
      return OpenAt(dir_fd, name, kOpenFlags | O_RDONLY);
    case OpenMode::kReadWrite:
      return OpenAt(dir_fd, name, kOpenFlags | O_RDWR);
    case OpenMode::kCreate:
      *created = true;
      return OpenAt(dir_fd, name, kCreateFlags, mode);
    case OpenMode::kReadOrCreate:
      break;
  }
  // O_CREAT without O_EXCL would not tell who made it, and with it whose permissions hold.
  for (int attempt = 0;; ++attempt) {
    UniqueFd fd = OpenAt(dir_fd, name, kOpenFlags | O_RDWR);
    if (fd.valid() || errno != ENOENT) return fd;
    fd = OpenAt(dir_fd, name, kCreateFlags, mode);
    *created = fd.valid();
    if (fd.valid() || errno != EEXIST || attempt == 100) return fd;
  }
}

// A second descriptor, for direct writes, of the file behind `fd`. Invalid where that is not
// possible, also when another file has the name by now.
UniqueFd OpenDirect(int dir_fd, const std::string& name, int fd) {
  UniqueFd direct = OpenAt(dir_fd, name, O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  struct stat a, b;
  bool same = direct.valid() && ::fstat(fd, &a) == 0 && ::fstat(direct.get(), &b) == 0 &&
              a.st_dev == b.st_dev && a.st_ino == b.st_ino;
  return same ? std::move(direct) : UniqueFd();
}

}  // namespace

Result<std::unique_ptr<File>> OpenFileAt(int dir_fd, const std::string& name,
                                         const OpenOptions& options, std::string path) {
  bool created = false;
  UniqueFd fd = OpenByMode(dir_fd, name, options, &created);
  if (!fd.valid()) return OpenError(dir_fd, name, path);
  struct stat st;
  if (RetryEintr([&] { return ::fstat(fd.get(), &st); }) != 0) return LastError("stat", path);
  if (!S_ISREG(st.st_mode)) return NotRegular(path, st.st_mode);
  if (created) {
    std::uint32_t permissions = JoinFolder(dir_fd, fd.get(), options.permissions);
    Status status = SetPermissions(fd.get(), permissions, path);
    if (!status.ok()) {
      ::unlinkat(dir_fd, name.c_str(), 0);
      return status;
    }
  }
  // O_NONBLOCK has done its work; some FUSE file systems would heed it in reads.
  int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags >= 0) ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK);
  bool direct = options.direct && options.mode != OpenMode::kRead;
  UniqueFd direct_fd = direct ? OpenDirect(dir_fd, name, fd.get()) : UniqueFd();
  return std::unique_ptr<File>(
      std::make_unique<PosixFile>(std::move(fd), std::move(direct_fd), std::move(path)));
}

}  // namespace ckpt::posix
