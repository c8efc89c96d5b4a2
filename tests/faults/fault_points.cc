#include "tests/faults/fault_points.h"

#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string_view>

namespace ckpt::faults {
namespace {

constexpr int kFramesMax = 128;
constexpr int kNearFrames = 7;  // of this program: about four of them are of this file
constexpr off_t kDyingFileBytes = 100 << 10;

Plan plan;  // as of Arm
std::atomic<Site> armed{Site::kNone};
std::atomic<std::uint64_t> count{0};
std::atomic<const char*> first_failed{nullptr};
std::atomic<bool> disk_full{false};
std::atomic<void (*)(const Done&)> observer{nullptr};

thread_local bool tests_own = false;
thread_local bool observing = false;  // what an observer does is not told
thread_local const char* interrupted = nullptr;
thread_local int tests_frames = 0;  // of this thread's stack, when it went into the library

std::mutex noting;
std::vector<Noted> noted;

// No signal interrupts these.
bool NeverWaits(std::string_view name) {
  constexpr std::string_view kNever[] = {"lseek", "pthread_create", "pipe2", "getgroups"};
  return std::ranges::find(kNever, name) != std::end(kNever) || name.starts_with("posix_spawn");
}
// Who holds a descriptor may read and write by it.
bool NamesSomething(std::string_view name) {
  constexpr std::string_view kDo[] = {
      "open",   "openat",   "mkdir",  "mkdirat",  "unlinkat", "renameat",  "linkat",   "symlinkat",
      "fchmod", "fchmodat", "fchown", "fchownat", "futimens", "utimensat", "fsetxattr"};
  return std::ranges::find(kDo, name) != std::end(kDo);
}
// What some file systems have not.
bool MayBeMissing(std::string_view name) {
  constexpr std::string_view kMay[] = {"fallocate",  "fcntl",     "linkat",    "symlinkat",
                                       "flistxattr", "fgetxattr", "fsetxattr", "ioctl",
                                       "fchownat",   "msync"};
  return std::ranges::find(kMay, name) != std::end(kMay);
}
bool HasHalves(std::string_view name) {
  constexpr std::string_view kHave[] = {"read",   "write",   "pread",    "pwrite",
                                        "writev", "pwritev", "getrandom"};
  return std::ranges::find(kHave, name) != std::end(kHave);
}

extern "C" const char __executable_start, etext;
bool IsOurs(const void* code) { return code >= &__executable_start && code < &etext; }

// FNV-1a of the addresses of who called, without the test's own: Noted::stack and near.
void StackNow(Noted* call) {
  void* frames[kFramesMax];
  const int depth = backtrace(frames, kFramesMax) - (tests_frames == 0 ? 0 : tests_frames - 1);
  int ours = 0;
  call->stack = 0xCBF29CE484222325;
  for (int i = 0; i < depth; ++i) {
    const auto address = reinterpret_cast<std::uintptr_t>(frames[i]);
    call->stack = (call->stack ^ address) * 0x100000001B3;
    if (IsOurs(frames[i]) && ++ours == kNearFrames) call->near = call->stack;
  }
  if (ours < kNearFrames) call->near = call->stack;
}

void Note(const Noted& call) {
  const TestsOwn own;
  const std::lock_guard<std::mutex> lock(noting);
  noted.push_back(call);
}

bool Fails(const char* name) {
  if (!Hit(Site::kCalls, name)) return false;
  errno = plan.error;
  return true;
}

// The bytes to ask for; 0 where the call fails.
std::size_t Asked(const char* name, std::size_t bytes) {
  if (!Fails(name)) return bytes;
  if (!plan.halves) return 0;
  return bytes > 1 ? bytes / 2 : bytes;
}

// Answers `answer`, for the caller to return.
template <typename Answer>
Answer Tell(Answer answer, const Done& done) {
  auto* const look = observer.load(std::memory_order_acquire);
  if (look == nullptr || observing || answer < 0) return answer;
  const int error = errno;
  observing = true;
  look(done);
  observing = false;
  errno = error;
  return answer;
}

ssize_t TellWritten(ssize_t written, int fd, const void* data, off_t at) {
  return Tell(written, {Done::What::kWrite, fd, data, static_cast<std::size_t>(written), at});
}
int TellNames(int answer) { return Tell(answer, {Done::What::kNames, -1, nullptr, 0, 0}); }
int TellSync(int answer, int fd) { return Tell(answer, {Done::What::kSync, fd, nullptr, 0, 0}); }

// The function of the same name that the next library has.
template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// Of a file; INT64_MAX for anything else. Not counted.
off_t FileBytes(int fd) {
  static auto* const next = Next<int(int, struct stat*)>("fstat");
  struct stat info;
  return next(fd, &info) == 0 && S_ISREG(info.st_mode) ? info.st_size : INT64_MAX;
}

bool Dies(int fd) {
  if (armed.load() == Site::kNone || !plan.dies_in_sync) return false;
  const off_t bytes = FileBytes(fd);
  return bytes > kDyingFileBytes && bytes != INT64_MAX;
}

bool IsFull() { return disk_full && !tests_own; }

// Whether the disk has no room for what would be there.
bool NoRoom(int fd, off_t at, std::size_t bytes) {
  if (!IsFull() || at + static_cast<off_t>(bytes) <= FileBytes(fd)) return false;
  errno = ENOSPC;
  return true;
}

bool NoRoomHere(int fd, std::size_t bytes) {
  return IsFull() && NoRoom(fd, syscall(SYS_lseek, fd, 0, SEEK_CUR), bytes);
}

}  // namespace

TestsOwn::TestsOwn(bool own) : before_(tests_own), frames_before_(tests_frames) {
  void* frames[kFramesMax];
  tests_frames = own ? 0 : backtrace(frames, kFramesMax);
  tests_own = own;
}
TestsOwn::~TestsOwn() {
  tests_own = before_;
  tests_frames = frames_before_;
}

bool CanFail(const Plan& what, std::string_view name) {
  if (what.site != Site::kCalls) return true;
  if (what.halves) return HasHalves(name);
  if (what.error == EPERM) return NamesSomething(name);
  if (what.error == EOPNOTSUPP) return MayBeMissing(name);
  return !(what.interrupts && NeverWaits(name));
}

bool Hit(Site site, const char* name) {
  if (armed.load(std::memory_order_acquire) != site || tests_own) return false;
  const std::uint64_t n = ++count;
  const bool may_be_first = n >= plan.first && first_failed.load() == nullptr;
  // In one place: ours is among the addresses.
  Noted call = {name, 0, 0};
  if (plan.notes || (may_be_first && plan.stack != 0)) StackNow(&call);
  if (plan.notes) Note(call);
  if (n < plan.first || !CanFail(plan, name)) return false;
  if (may_be_first && call.stack != plan.stack) return false;
  const char* none = nullptr;
  const bool is_first = may_be_first && first_failed.compare_exchange_strong(none, name);
  if (!is_first && !plan.for_good) return false;
  const bool again = !is_first && interrupted == name;
  interrupted = again ? nullptr : name;
  return !(plan.interrupts && again);
}

const Plan& Armed() { return plan; }

void Arm(const Plan& p) {
  Noted ignored;
  StackNow(&ignored);  // allocates, the first time
  plan = p;
  count = 0;
  interrupted = nullptr;
  first_failed = nullptr;
  noted.clear();
  armed.store(plan.site, std::memory_order_release);
}

std::uint64_t Disarm() {
  armed = Site::kNone;
  return count;
}

void Observe(void (*look)(const Done&)) { observer.store(look, std::memory_order_release); }

const std::vector<Noted>& NotedCalls() { return noted; }

DiskFull::DiskFull() { disk_full = true; }
DiskFull::~DiskFull() { disk_full = false; }

std::string FirstFailed() {
  const char* name = first_failed;
  return name == nullptr ? "" : name;
}

}  // namespace ckpt::faults

#define CKPT_REPLACES extern "C" __attribute__((visibility("default")))

// A function of fixed arguments that answers `failure` when it fails.
#define CKPT_FAILING(type, name, failure, parameters, arguments) \
  CKPT_REPLACES type name parameters {                           \
    static auto* const next = Next<type parameters>(#name);      \
    return Fails(#name) ? failure : next arguments;              \
  }

using namespace ckpt::faults;  // NOLINT: so that the table below can be read

// clang-format off
CKPT_FAILING(int, fstat, -1, (int fd, struct stat* st) noexcept, (fd, st))
CKPT_FAILING(int, fstatat, -1, (int fd, const char* name, struct stat* st, int flags) noexcept, (fd, name, st, flags))
CKPT_FAILING(int, fstatfs, -1, (int fd, struct statfs* fs) noexcept, (fd, fs))
CKPT_FAILING(int, stat, -1, (const char* path, struct stat* st) noexcept, (path, st))
CKPT_FAILING(int, lstat, -1, (const char* path, struct stat* st) noexcept, (path, st))
CKPT_FAILING(char*, getcwd, nullptr, (char* out, size_t size) noexcept, (out, size))
CKPT_FAILING(int, mkdir, -1, (const char* path, mode_t mode) noexcept, (path, mode))
CKPT_FAILING(int, mkdirat, -1, (int fd, const char* name, mode_t mode) noexcept, (fd, name, mode))
CKPT_FAILING(int, linkat, -1, (int fd, const char* from, int to_fd, const char* to, int flags) noexcept, (fd, from, to_fd, to, flags))
CKPT_FAILING(int, symlinkat, -1, (const char* target, int fd, const char* name) noexcept, (target, fd, name))
CKPT_FAILING(ssize_t, readlinkat, -1, (int fd, const char* name, char* out, size_t size) noexcept, (fd, name, out, size))
CKPT_FAILING(int, fchmod, -1, (int fd, mode_t mode) noexcept, (fd, mode))
CKPT_FAILING(int, fchmodat, -1, (int fd, const char* name, mode_t mode, int flags) noexcept, (fd, name, mode, flags))
CKPT_FAILING(int, fchown, -1, (int fd, uid_t uid, gid_t gid) noexcept, (fd, uid, gid))
CKPT_FAILING(int, fchownat, -1, (int fd, const char* name, uid_t uid, gid_t gid, int flags) noexcept, (fd, name, uid, gid, flags))
CKPT_FAILING(int, futimens, -1, (int fd, const struct timespec* times) noexcept, (fd, times))
CKPT_FAILING(int, utimensat, -1, (int fd, const char* name, const struct timespec* times, int flags) noexcept, (fd, name, times, flags))
CKPT_FAILING(ssize_t, flistxattr, -1, (int fd, char* list, size_t size) noexcept, (fd, list, size))
CKPT_FAILING(ssize_t, fgetxattr, -1, (int fd, const char* name, void* value, size_t size) noexcept, (fd, name, value, size))
CKPT_FAILING(int, fsetxattr, -1, (int fd, const char* name, const void* value, size_t size, int flags) noexcept, (fd, name, value, size, flags))
CKPT_FAILING(off_t, lseek, -1, (int fd, off_t at, int whence) noexcept, (fd, at, whence))
CKPT_FAILING(int, msync, -1, (void* address, size_t size, int flags), (address, size, flags))
CKPT_FAILING(DIR*, fdopendir, nullptr, (int fd), (fd))
CKPT_FAILING(struct dirent*, readdir, nullptr, (DIR* dir), (dir))
CKPT_FAILING(DIR*, opendir, nullptr, (const char* path), (path))
CKPT_FAILING(FILE*, fopen, nullptr, (const char* path, const char* mode), (path, mode))
CKPT_FAILING(FILE*, fopen64, nullptr, (const char* path, const char* mode), (path, mode))
CKPT_FAILING(int, getgroups, -1, (int size, gid_t* groups) noexcept, (size, groups))
CKPT_FAILING(int, pipe2, -1, (int* ends, int flags) noexcept, (ends, flags))
CKPT_FAILING(int, poll, -1, (struct pollfd* fds, nfds_t count, int timeout_ms), (fds, count, timeout_ms))
CKPT_FAILING(int, eventfd, -1, (unsigned value, int flags) noexcept, (value, flags))
// clang-format on

// The same, and an observer is told.
#define CKPT_FAILING_TOLD(name, parameters, arguments, tell) \
  CKPT_REPLACES int name parameters {                        \
    static auto* const next = Next<int parameters>(#name);   \
    if (Fails(#name)) return -1;                             \
    const int answer = next arguments;                       \
    return tell;                                             \
  }
// clang-format off
CKPT_FAILING_TOLD(ftruncate, (int fd, off_t size) noexcept, (fd, size), Tell(answer, {Done::What::kSize, fd, nullptr, static_cast<std::size_t>(size), 0}))
CKPT_FAILING_TOLD(fsync, (int fd), (fd), TellSync(answer, fd))
CKPT_FAILING_TOLD(unlinkat, (int fd, const char* name, int flags) noexcept, (fd, name, flags), TellNames(answer))
CKPT_FAILING_TOLD(renameat, (int fd, const char* from, int to_fd, const char* to) noexcept, (fd, from, to_fd, to), TellNames(answer))
// clang-format on

CKPT_REPLACES int fallocate(int fd, int mode, off_t at, off_t size) {
  static auto* const next = Next<int(int, int, off_t, off_t)>("fallocate");
  if (Fails("fallocate")) return -1;
  const bool gives_back = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
  if (!gives_back && NoRoom(fd, at, static_cast<std::size_t>(size))) return -1;
  return next(fd, mode, at, size);
}

CKPT_REPLACES int fstatvfs(int fd, struct statvfs* fs) noexcept {
  static auto* const next = Next<int(int, struct statvfs*)>("fstatvfs");
  if (Fails("fstatvfs")) return -1;
  const int answer = next(fd, fs);
  if (answer == 0 && IsFull()) fs->f_bavail = fs->f_bfree = 0;
  return answer;
}

// The number is free whatever it answers.
CKPT_REPLACES int close(int fd) {
  const int answer = static_cast<int>(syscall(SYS_close, fd));
  return Fails("close") ? -1 : answer;
}

CKPT_REPLACES int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list more;
  va_start(more, request);
  void* argument = va_arg(more, void*);
  va_end(more);
  return Fails("ioctl") ? -1 : static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
}

CKPT_REPLACES int fdatasync(int fd) {
  static auto* const next = Next<int(int)>("fdatasync");
  if (Dies(fd)) raise(SIGKILL);
  return Fails("fdatasync") ? -1 : TellSync(next(fd), fd);
}

// These answer the error itself.
#define CKPT_FAILING_SPAWN(name, parameters, arguments)    \
  CKPT_REPLACES int name parameters {                      \
    static auto* const next = Next<int parameters>(#name); \
    return Fails(#name) ? Armed().error : next arguments;  \
  }
// clang-format off
CKPT_FAILING_SPAWN(posix_spawn_file_actions_init, (posix_spawn_file_actions_t* files) noexcept, (files))
CKPT_FAILING_SPAWN(posix_spawn_file_actions_addopen, (posix_spawn_file_actions_t* files, int fd, const char* path, int flags, mode_t mode) noexcept, (files, fd, path, flags, mode))
CKPT_FAILING_SPAWN(posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t* files, int from, int to) noexcept, (files, from, to))
CKPT_FAILING_SPAWN(posix_spawnattr_init, (posix_spawnattr_t* attributes) noexcept, (attributes))
CKPT_FAILING_SPAWN(posix_spawnattr_setsigmask, (posix_spawnattr_t* attributes, const sigset_t* signals) noexcept, (attributes, signals))
CKPT_FAILING_SPAWN(posix_spawnattr_setsigdefault, (posix_spawnattr_t* attributes, const sigset_t* signals) noexcept, (attributes, signals))
CKPT_FAILING_SPAWN(posix_spawnattr_setflags, (posix_spawnattr_t* attributes, short flags) noexcept, (attributes, flags))
CKPT_FAILING_SPAWN(posix_spawnp, (pid_t* child, const char* file, const posix_spawn_file_actions_t* files, const posix_spawnattr_t* attributes, char* const argv[], char* const envp[]), (child, file, files, attributes, argv, envp))
// clang-format on

// A thread that cannot be made has one reason.
CKPT_REPLACES int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                                 void* (*main)(void*), void* argument) noexcept {
  using Function = int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static auto* const next = Next<Function>("pthread_create");
  return Fails("pthread_create") ? EAGAIN : next(thread, attributes, main, argument);
}

// Used before anything else is there.
CKPT_REPLACES void* mmap(void* address, size_t size, int protection, int flags, int fd,
                         off_t offset) noexcept {
  if (fd >= 0 && Fails("mmap")) return MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, size, protection, flags, fd, offset));
}

CKPT_REPLACES int openat(int dir, const char* name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (Fails("openat")) return -1;
  const int fd = static_cast<int>(syscall(SYS_openat, dir, name, flags, mode));
  return (flags & O_CREAT) != 0 ? TellNames(fd) : fd;
}

CKPT_REPLACES int open(const char* name, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (Fails("open")) return -1;
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, name, flags, mode));
  return (flags & O_CREAT) != 0 ? TellNames(fd) : fd;
}

// Locks only.
CKPT_REPLACES int fcntl(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  void* argument = va_arg(more, void*);
  va_end(more);
  const bool locks = command == F_OFD_SETLK || command == F_OFD_GETLK || command == F_SETLK ||
                     command == F_SETLKW || command == F_GETLK;
  if (locks && Fails("fcntl")) return -1;
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}

CKPT_REPLACES ssize_t read(int fd, void* out, size_t size) {
  const std::size_t asked = Asked("read", size);
  return size > 0 && asked == 0 ? -1 : syscall(SYS_read, fd, out, asked);
}

CKPT_REPLACES ssize_t getrandom(void* out, size_t size, unsigned flags) {
  const std::size_t asked = Asked("getrandom", size);
  return size > 0 && asked == 0 ? -1 : syscall(SYS_getrandom, out, asked, flags);
}

CKPT_REPLACES ssize_t write(int fd, const void* data, size_t size) {
  const std::size_t asked = Asked("write", size);
  if (NoRoomHere(fd, asked)) return -1;
  if (size > 0 && asked == 0) return -1;
  const off_t at = observer == nullptr ? 0 : syscall(SYS_lseek, fd, 0, SEEK_CUR);
  return TellWritten(syscall(SYS_write, fd, data, asked), fd, data, at);
}

CKPT_REPLACES ssize_t pread(int fd, void* out, size_t size, off_t at) {
  const std::size_t asked = Asked("pread", size);
  return size > 0 && asked == 0 ? -1 : syscall(SYS_pread64, fd, out, asked, at);
}

CKPT_REPLACES ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  const std::size_t asked = Asked("pwrite", size);
  if (NoRoom(fd, at, asked)) return -1;
  if (size > 0 && asked == 0) return -1;
  return TellWritten(syscall(SYS_pwrite64, fd, data, asked, at), fd, data, at);
}

// LMDB's, of pages that lie together. Told one after the other: whole where all were written.
CKPT_REPLACES ssize_t pwritev(int fd, const struct iovec* parts, int part_count, off_t at) {
  static auto* const next = Next<ssize_t(int, const struct iovec*, int, off_t)>("pwritev");
  const std::size_t asked = Asked("pwritev", static_cast<std::size_t>(part_count));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < asked; ++i) bytes += parts[i].iov_len;
  if (NoRoom(fd, at, bytes)) return -1;
  if (part_count > 0 && asked == 0) return -1;
  const ssize_t written = next(fd, parts, static_cast<int>(asked), at);
  if (written != static_cast<ssize_t>(bytes)) return written;
  for (std::size_t i = 0; i < asked; at += static_cast<off_t>(parts[i].iov_len), ++i) {
    TellWritten(static_cast<ssize_t>(parts[i].iov_len), fd, parts[i].iov_base, at);
  }
  return written;
}

CKPT_REPLACES ssize_t writev(int fd, const struct iovec* parts, int part_count) {
  static auto* const next = Next<ssize_t(int, const struct iovec*, int)>("writev");
  const std::size_t asked = Asked("writev", static_cast<std::size_t>(part_count));
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < asked; ++i) bytes += parts[i].iov_len;
  if (NoRoomHere(fd, bytes)) return -1;
  return asked == 0 ? -1 : next(fd, parts, static_cast<int>(asked));
}

// ---- memory ----------------------------------------------------------------------------------

#if defined(__SANITIZE_ADDRESS__)

void* operator new(std::size_t bytes) {
  void* memory = Hit(Site::kAllocations, "operator new") ? nullptr : std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return Hit(Site::kAllocations, "operator new") ? nullptr : std::malloc(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

#else

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {
bool NoMemory(const char* name) {
  if (!Hit(Site::kAllocations, name)) return false;
  errno = ENOMEM;
  return true;
}
}  // namespace

CKPT_REPLACES void* malloc(std::size_t bytes) noexcept {
  return NoMemory("malloc") ? nullptr : __libc_malloc(bytes);
}
CKPT_REPLACES void* calloc(std::size_t count, std::size_t bytes) noexcept {
  return NoMemory("calloc") ? nullptr : __libc_calloc(count, bytes);
}
CKPT_REPLACES void* realloc(void* memory, std::size_t bytes) noexcept {
  return NoMemory("realloc") ? nullptr : __libc_realloc(memory, bytes);
}
CKPT_REPLACES void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return NoMemory("aligned_alloc") ? nullptr : __libc_memalign(alignment, bytes);
}
CKPT_REPLACES int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  if (NoMemory("posix_memalign")) return ENOMEM;
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

#endif
