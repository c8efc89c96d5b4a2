// The only door to files, directories, locks, clocks and randomness. Everything the store and its
// users' files need goes through Env, Dir and File, so that a test can replace the whole world
// (tests/support/sim_world.h records and replays it; the real one is PosixEnv()).
//
// There are no paths below Env::OpenDir: a Dir is an open directory, and every name given to it is
// one component ("", ".", "..", and anything with '/' or NUL are refused). Symbolic links are never
// followed. So nothing can leave its directory (I8), also when somebody plants a link between a
// check and the use.
//
// EINTR, short reads and writes, and fsync's rules are handled here and nowhere else. A failed Sync
// is final for the file: the kernel may answer "success" to the next one although the data is gone,
// so the caller gives the file up (I6).
//
// Thread rule: Env and Dir may be used by any thread at once; a File by several threads when they
// touch different ranges.

#ifndef CKPT_STORE_IO_ENV_H_
#define CKPT_STORE_IO_ENV_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;

enum class FileKind : std::uint8_t { kRegular, kDirectory, kSymlink, kOther };

// What stat tells. Times in nanoseconds since 1970.
struct FileInfo {
  FileKind kind = FileKind::kRegular;
  std::uint32_t mode = 0;  // permission bits only (07777)
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t allocated_bytes = 0;  // less than the size where there are holes
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t links = 1;
};

enum class OpenMode : std::uint8_t {
  kRead,          // must exist
  kReadWrite,     // must exist
  kCreate,        // must not exist; read and write
  kReadOrCreate,  // lock files: made when missing; read and write
};

struct OpenOptions {
  OpenMode mode = OpenMode::kRead;
  // Writes bypass the page cache where the file system can. Every WriteAt must then have offset,
  // length and address in multiples of 4 KiB (see AlignedBuffer). A hint: falls back silently.
  bool direct = false;
  std::uint32_t permissions = 0600;  // of a file made here, whatever the umask; kAsItsFolder
};

// For MakeDir: as the user's umask says. For folders of the user's, never for the store's own.
inline constexpr std::uint32_t kByUmask = 0x80000000;
// Added to permissions, for the store's own: what is made is for those whom its folder is for. It
// belongs to the folder's owner and group where we may give it away (root may; a member may to the
// group), and a file may be read by whom the folder lets read. Else one collection by an
// administrator would take a store from its owner.
inline constexpr std::uint32_t kAsItsFolder = 0x40000000;

// A run of data or a hole in a sparse file.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length_bytes = 0;
  bool hole = false;
};

class File {
 public:
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Reads until `out` is full or the file ends; answers the bytes read.
  virtual Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) = 0;
  // Writes all of `data`. On failure any part may have been written.
  virtual Status WriteAt(std::uint64_t offset, ByteSpan data) = 0;
  // fdatasync: data and size are durable when this is ok. After a failure: give the file up (I6).
  virtual Status Sync() = 0;
  virtual Result<FileInfo> Stat() = 0;
  // Reserves blocks so that writes inside [offset, offset + length) need no new space. The file
  // grows to cover the range and reads zeros there.
  virtual Status Allocate(std::uint64_t offset, std::uint64_t length_bytes) = 0;
  // Gives the blocks that lie wholly inside [offset, offset + length) back to the file system; the
  // range reads zeros from now on, the size stays. Unsupported: this file system cannot.
  virtual Status PunchHole(std::uint64_t offset, std::uint64_t length_bytes) = 0;
  virtual Status Truncate(std::uint64_t size_bytes) = 0;
  // Data and holes in order, covering [0, size); one data extent where holes cannot be told.
  virtual Result<std::vector<Extent>> Extents() = 0;
  // Mode, owner (only where `owner`), mtime.
  virtual Status SetAttributes(const FileInfo& info, bool owner) = 0;
  virtual Result<std::vector<std::pair<std::string, std::string>>> ExtendedAttributes() = 0;
  // Unsupported: not on this file system, or only for a privileged user (security.*, trusted.*).
  virtual Status SetExtendedAttribute(std::string_view name, std::string_view value) = 0;

  // Open-file-description lock on the whole file, released with this File however the process
  // ends (I5). False: somebody else holds it. Unsupported: this file system has no locks.
  virtual Result<bool> TryLock() = 0;
  virtual Status Unlock() = 0;
  // True when another open file description holds the lock. Takes nothing.
  virtual Result<bool> LockedByOther() = 0;

  // What was written and not synced may fail only here, on network file systems and with quotas: as
  // by closing, but the file stays open, and locked.
  virtual Status Settle() { return Status(); }

  // Reads exactly out.size() bytes; Corruption when the file ends before.
  Status ReadExactAt(std::uint64_t offset, MutableByteSpan out);
  // For messages: the path as the user would type it.
  const std::string& path() const { return path_; }

 protected:
  explicit File(std::string path) : path_(std::move(path)) {}

 private:
  std::string path_;
};

struct DirEntry {
  std::string name;
  FileKind kind = FileKind::kOther;
};

class Dir {
 public:
  virtual ~Dir() = default;
  Dir(const Dir&) = delete;
  Dir& operator=(const Dir&) = delete;

  virtual Result<std::unique_ptr<Dir>> OpenDir(std::string_view name) = 0;
  // Regular files only: anything else is an InvalidArgument naming its kind, and never blocks.
  virtual Result<std::unique_ptr<File>> OpenFile(std::string_view name,
                                                 const OpenOptions& options) = 0;
  // lstat.
  virtual Result<FileInfo> StatEntry(std::string_view name) = 0;
  virtual Result<FileInfo> Stat() = 0;
  // Names in no order, without "." and "..".
  virtual Result<std::vector<DirEntry>> List() = 0;
  virtual Status MakeDir(std::string_view name, std::uint32_t permissions) = 0;
  virtual Status RemoveFile(std::string_view name) = 0;
  virtual Status RemoveDir(std::string_view name) = 0;
  // Replaces `to`. Atomic, not durable until `to_dir`.Sync().
  virtual Status Rename(std::string_view from, Dir* to_dir, std::string_view to) = 0;
  virtual Result<std::string> ReadLink(std::string_view name) = 0;
  virtual Status MakeSymlink(std::string_view target, std::string_view name) = 0;
  virtual Status MakeHardLink(std::string_view existing, Dir* to_dir, std::string_view name) = 0;
  // As of File, for an entry that may be a symbolic link (mode is then left alone).
  virtual Status SetEntryAttributes(std::string_view name, const FileInfo& info, bool owner) = 0;
  virtual Status SetAttributes(const FileInfo& info, bool owner) = 0;
  virtual Result<std::vector<std::pair<std::string, std::string>>> ExtendedAttributes() = 0;
  virtual Status SetExtendedAttribute(std::string_view name, std::string_view value) = 0;
  // Names made, renamed and removed in this directory are durable when this is ok.
  virtual Status Sync() = 0;
  // True on NFS, Lustre, GPFS, CIFS, FUSE network mounts and the like: no LMDB there.
  virtual Result<bool> OnNetworkFileSystem() = 0;
  virtual Result<std::uint64_t> FreeBytes() = 0;
  // True on btrfs, ZFS, bcachefs: what is written over needs new space, so that a store to a mapped
  // file can fail (SIGBUS) although its blocks are allocated.
  virtual Result<bool> CopiesOnWrite() = 0;

  const std::string& path() const { return path_; }

 protected:
  explicit Dir(std::string path) : path_(std::move(path)) {}

 private:
  std::string path_;
};

// Opens a file of the store's own. One that is no regular file is damage, and not, as where a user
// chose the name, the caller's mistake.
Result<std::unique_ptr<File>> OpenOwnFile(Dir* dir, std::string_view name,
                                          const OpenOptions& options);

class Env {
 public:
  virtual ~Env() = default;

  // The only call that takes a path. Follows links (the user named it), never creates.
  virtual Result<std::unique_ptr<Dir>> OpenDir(const std::string& path) = 0;
  // mkdir of the last component; the rest must exist.
  virtual Status MakeDir(const std::string& path, std::uint32_t permissions) = 0;
  virtual void Random(MutableByteSpan out) = 0;
  virtual std::int64_t RealtimeNs() = 0;  // for people and for files' times; never for decisions
  virtual std::int64_t MonotonicNs() = 0;
  virtual void SleepMs(std::int64_t ms) = 0;
  // Who this host is: from /etc/machine-id and the host's name (nodes booted from one image may
  // share the former), or from $CKPT_HOST_ID (any string) where that is set.
  virtual Id128 HostId() = 0;
  virtual std::string HostName() = 0;
  virtual std::uint32_t UserId() = 0;

  Id128 RandomId();
};

// The operating system. One for the process, never destroyed.
Env* PosixEnv();

// Memory aligned to 4 KiB, for direct I/O. Move-only.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Not zeroed. Empty (size 0) when there is no memory.
  explicit AlignedBuffer(std::size_t size_bytes);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_IO_ENV_H_
