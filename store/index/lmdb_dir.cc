#include "store/index/lmdb_dir.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <utility>

#include "store/base/quietly.h"

namespace ckpt::index_internal {
namespace {

constexpr std::string_view kDataSuffix = ".mdb";
constexpr std::size_t kNumberDigits = 8;
constexpr std::uint64_t kLockMagic = 0x4b434f4c54504b43;  // "CKPTLOCK"

// LMDB's file: two meta pages, each a page header, then MDB_meta. See lmdb's mdb.c,
// MDB_DATA_VERSION.
constexpr std::uint32_t kLmdbMagic = 0xBEEFC0DE;
constexpr std::uint32_t kLmdbDataVersion = 1;
constexpr std::size_t kMetaMagicAt = 16;
constexpr std::size_t kMetaVersionAt = 20;
constexpr std::size_t kMetaPageSizeAt = 40;
constexpr std::size_t kMetaLastPageAt = 136;
constexpr std::size_t kMetaTxnAt = 144;
constexpr std::size_t kMetaBytes = 152;

// LMDB's lock file on 64-bit Linux: two cache lines, then one a reader slot: u64 transaction
// (all ones: none), i32 process. The format number covers these sizes.
constexpr std::size_t kLockHeaderBytes = 128;
constexpr std::size_t kReaderSlotBytes = 64;
constexpr std::size_t kLockFileBytesMax = 1u << 20;
constexpr std::uint64_t kMappedFreeBytesMin = 16u << 20;

bool ParseNumber(std::string_view name, std::uint64_t* number) {
  if (name.size() != kNumberDigits + kDataSuffix.size() || !name.ends_with(kDataSuffix))
    return false;
  const char* end = name.data() + kNumberDigits;
  auto parsed = std::from_chars(name.data(), end, *number, 16);
  return parsed.ec == std::errc() && parsed.ptr == end && *number > 0;
}

struct Meta {
  bool valid = false;
  std::uint64_t page_bytes = 0;
  std::uint64_t last_page = 0;
  std::uint64_t txn = 0;
};

Meta ReadMeta(File* file, std::uint64_t offset) {
  std::byte bytes[kMetaBytes];
  Meta meta;
  if (!file->ReadExactAt(offset, bytes).ok()) return meta;
  meta.page_bytes = LoadU32(bytes + kMetaPageSizeAt);
  meta.last_page = LoadU64(bytes + kMetaLastPageAt);
  meta.txn = LoadU64(bytes + kMetaTxnAt);
  meta.valid = LoadU32(bytes + kMetaMagicAt) == kLmdbMagic &&
               LoadU32(bytes + kMetaVersionAt) == kLmdbDataVersion;
  return meta;
}

}  // namespace

HeldLock::~HeldLock() {
  Quietly([this] {
    Status ignored =
        file_->Unlock();  // closing would do it too, unless a forked child holds a copy
  });
}

HeldLock::Work HeldLock::LastWork() {
  std::byte bytes[24] = {};
  Result<std::size_t> got = file_->ReadAt(0, bytes);
  if (!got.ok() || *got != sizeof(bytes) || LoadU64(bytes) != kLockMagic) return {};
  return {.number = LoadU64(bytes + 8), .commits = LoadU64(bytes + 16)};
}

void HeldLock::WorkingOn(const Work& work) {
  Bytes bytes;
  ByteWriter writer(&bytes);
  writer.U64(kLockMagic);
  writer.U64(work.number);
  writer.U64(work.commits);
  Status ignored = file_->WriteAt(0, bytes);
}

Result<std::unique_ptr<LmdbDir>> LmdbDir::Open(Env* env, const std::string& path) {
  std::unique_ptr<LmdbDir> made(new LmdbDir(env, path));
  Result<std::unique_ptr<Dir>> dir = env->OpenDir(path);
  if (!dir.ok() && dir.status().code() == Code::kNotFound) {
    Status status = env->MakeDir(path, 0700);
    if (!status.ok() && status.code() != Code::kExists) return status;
    dir = env->OpenDir(path);
  }
  if (!dir.ok()) return dir.status();
  made->dir_ = *std::move(dir);
  CKPT_ASSIGN_OR_RETURN(made->info_, made->dir_->Stat());
  if (made->info_.uid != env->UserId() || (made->info_.mode & 022) != 0) {
    return PermissionDenied("open index " + path + ": others may write to it; remove it");
  }
  CKPT_ASSIGN_OR_RETURN(bool network, made->dir_->OnNetworkFileSystem());
  if (network) return Unsupported("open index " + path + ": it is on a network file system");
  CKPT_ASSIGN_OR_RETURN(made->copies_on_write_, made->dir_->CopiesOnWrite());
  return made;
}

bool LmdbDir::StillThere() {
  Result<std::unique_ptr<Dir>> dir = env_->OpenDir(path_);
  if (!dir.ok()) return false;
  Result<FileInfo> info = (*dir)->Stat();
  return info.ok() && info->device == info_.device && info->inode == info_.inode;
}

Result<std::unique_ptr<HeldLock>> LmdbDir::TryLock(const char* name, std::int64_t wait_ms) {
  CKPT_ASSIGN_OR_RETURN(auto file, dir_->OpenFile(name, {.mode = OpenMode::kReadOrCreate}));
  if (stuck_) wait_ms = 0;
  std::int64_t until = env_->MonotonicNs() + wait_ms * 1'000'000;
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(bool locked, file->TryLock());
    if (locked) break;
    if (wait_ms == 0) return std::unique_ptr<HeldLock>();
    if (env_->MonotonicNs() >= until) {
      stuck_ = true;
      return std::unique_ptr<HeldLock>();
    }
    env_->SleepMs(1);
  }
  if (name == std::string_view(kOpenLock)) stuck_ = false;
  return std::make_unique<HeldLock>(std::move(file));
}

std::vector<std::uint64_t> LmdbDir::Numbers() {
  std::vector<std::uint64_t> numbers;
  Result<std::vector<DirEntry>> entries = dir_->List();
  if (!entries.ok()) return numbers;
  for (const DirEntry& entry : *entries) {
    std::uint64_t number = 0;
    if (ParseNumber(entry.name, &number)) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<std::optional<Generation>> LmdbDir::Current() {
  std::vector<std::uint64_t> numbers = Numbers();
  if (numbers.empty()) return std::optional<Generation>();
  CKPT_ASSIGN_OR_RETURN(FileInfo info, dir_->StatEntry(FileName(numbers.back())));
  return std::optional<Generation>(
      Generation{.number = numbers.back(), .device = info.device, .inode = info.inode});
}

std::string LmdbDir::FileName(std::uint64_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "%08llx.mdb", static_cast<unsigned long long>(number));
  return name;
}

void LmdbDir::RemoveGeneration(std::uint64_t number) {
  Status ignored = dir_->RemoveFile(FileName(number));
  ignored = dir_->RemoveFile(FileName(number) + "-lock");
}

void LmdbDir::RemoveAllBut(std::uint64_t keep) {
  for (std::uint64_t number : Numbers()) {
    if (number != keep) RemoveGeneration(number);
  }
}

Status LmdbDir::PromoteBuild(std::uint64_t number) {
  // A lock file of that name would be of an environment that is gone.
  Status ignored = dir_->RemoveFile(FileName(number) + "-lock");
  return dir_->Rename(kBuildFile, dir_.get(), FileName(number));
}

void LmdbDir::RemoveBuild() { Status ignored = dir_->RemoveFile(kBuildFile); }

LmdbDir::Check LmdbDir::CheckFile(std::uint64_t number) {
  Result<std::unique_ptr<File>> file = dir_->OpenFile(FileName(number), {});
  if (!file.ok()) return Check::kDamaged;
  // LMDB would follow a link in its place, and wait for the other end of a FIFO.
  Result<FileInfo> lock = dir_->StatEntry(FileName(number) + "-lock");
  if (lock.ok() && lock->kind != FileKind::kRegular) return Check::kDamaged;
  Result<FileInfo> info = (*file)->Stat();
  if (!info.ok() || info->size_bytes < kMetaBytes) return Check::kDamaged;
  Meta first = ReadMeta(file->get(), 0);
  std::uint64_t page = first.page_bytes;
  if (!first.valid || page < 512 || page > 65536 || (page & (page - 1)) != 0)
    return Check::kDamaged;
  Meta second = ReadMeta(file->get(), page);
  if (!second.valid || second.page_bytes != page) return Check::kDamaged;
  const Meta& newest = first.txn > second.txn ? first : second;
  bool neighbours = first.txn + 1 == second.txn || second.txn + 1 == first.txn;
  if (!neighbours || info->size_bytes % page != 0 || info->size_bytes / page <= newest.last_page) {
    return Check::kShort;
  }
  return Check::kSound;
}

void LmdbDir::ExtendTo(std::uint64_t number, std::uint64_t bytes) {
  Result<std::unique_ptr<File>> file =
      dir_->OpenFile(FileName(number), {.mode = OpenMode::kReadWrite});
  if (!file.ok()) return;
  Result<FileInfo> info = (*file)->Stat();
  if (!info.ok() || info->size_bytes >= bytes) return;
  Status ignored = (*file)->Truncate(bytes);  // if it fails, the next opening starts anew
}

std::set<long> LmdbDir::ActiveReaders(std::uint64_t number) {
  std::set<long> active;
  Result<std::unique_ptr<File>> file = dir_->OpenFile(FileName(number) + "-lock", {});
  if (!file.ok()) return active;
  Result<FileInfo> info = (*file)->Stat();
  if (!info.ok() || info->size_bytes < kLockHeaderBytes) return active;
  Bytes bytes(std::min<std::size_t>(info->size_bytes, kLockFileBytesMax));
  if (!(*file)->ReadExactAt(0, bytes).ok() || LoadU32(bytes.data()) != kLmdbMagic) return active;
  for (std::size_t at = kLockHeaderBytes; at + kReaderSlotBytes <= bytes.size();
       at += kReaderSlotBytes) {
    long pid = static_cast<long>(LoadU32(bytes.data() + at + 8));
    if (pid != 0 && LoadU64(bytes.data() + at) != ~std::uint64_t{0}) active.insert(pid);
  }
  return active;
}

Status LmdbDir::AllocateLockFile(std::uint64_t number, std::uint64_t readers_max) {
  if (TooFullToMap()) {
    return NoSpace("open index " + path_ +
                   ": the file system is nearly full, and it copies on write");
  }
  CKPT_ASSIGN_OR_RETURN(
      auto file, dir_->OpenFile(FileName(number) + "-lock", {.mode = OpenMode::kReadOrCreate}));
  Status s = file->Allocate(0, kLockHeaderBytes + readers_max * kReaderSlotBytes);
  return s.code() == Code::kUnsupported ? Status() : s;
}

bool LmdbDir::TooFullToMap() {
  if (!copies_on_write_) return false;
  Result<std::uint64_t> free = dir_->FreeBytes();
  return !free.ok() || *free < kMappedFreeBytesMin;
}

Result<std::uint64_t> LmdbDir::FileBytes(std::uint64_t number) {
  CKPT_ASSIGN_OR_RETURN(FileInfo info, dir_->StatEntry(FileName(number)));
  return info.size_bytes;
}

}  // namespace ckpt::index_internal
