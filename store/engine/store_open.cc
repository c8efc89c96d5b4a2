// Opening a store: directories, access rules, the format file, the choice of an index.

#include <algorithm>
#include <map>

#include "store/codec/hash.h"
#include "store/engine/format_file.h"
#include "store/engine/reindex.h"
#include "store/engine/store.h"
#include "store/index/lmdb_index.h"
#include "store/io/entry_name.h"
#include "store/io/lock_holder.h"
#include "store/io/process.h"

namespace ckpt {
namespace {

constexpr std::uint32_t kGroupWrite = 0020;
constexpr std::uint32_t kWorldWrite = 0002;
constexpr std::uint32_t kSetGid = 02000;

// Where indexes are that may not be in their store.
std::string NodeLocalFolder(Env* env) {
  return "/var/tmp/ckpt-store-" + std::to_string(env->UserId());
}

// In locks/; docs/format.md.
std::string SeriesLockName(const std::string& series, std::uint32_t rank) {
  Bytes key;
  ByteWriter w(&key);
  w.Raw(AsBytes(series));
  w.U8(0);
  w.U32(rank);
  return HashChunk(key).ToHex();
}

// A folder that every store has: without it this one is damaged, not absent.
Result<std::unique_ptr<Dir>> OpenOwnDir(Dir* root, std::string_view name) {
  auto dir = root->OpenDir(name);
  if (dir.status().code() != Code::kNotFound) return dir;
  return Corruption(dir.status().message());
}

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(Env* env, const std::string& path,
                                           OpenStoreOptions options) {
  using Mode = OpenStoreOptions::Mode;
  bool create = options.mode == Mode::kCreate || options.mode == Mode::kCreateNew;
  std::unique_ptr<Store> store(new Store(env, path, std::move(options)));
  // Refused before anything is made.
  if (create) CKPT_RETURN_IF_ERROR(EncodeFormatFile(store->options_.format).status());
  auto root = env->OpenDir(path);
  if (!root.ok() && root.status().code() == Code::kNotFound && create) {
    std::uint32_t permissions = store->options_.group_shared ? kSetGid | 0770u : 0700u;
    Status made = env->MakeDir(path, permissions);
    bool taken = made.code() == Code::kExists;  // by now; or it is something else
    if (made.code() == Code::kNotFound) {
      return IoError("there is no folder " + ParentPath(path) + " to make " + path + " in");
    }
    if (!made.ok() && !taken) return made;
    root = env->OpenDir(path);
    if (!root.ok() && taken) return AlreadyExists(path + " is no folder: name another place");
  }
  if (!root.ok()) {
    if (root.status().code() != Code::kNotFound) return root.status();
    return NotFound("there is no store at " + path +
                    ": 'save' or 'init' makes one; name another with --store or CKPT_STORE");
  }
  store->root_ = *std::move(root);
  CKPT_ASSIGN_OR_RETURN(const bool exists, store->HasFormat());
  auto there_is_one = [&] { return AlreadyExists("there is a store at " + path + " already"); };
  if (exists && store->options_.mode == Mode::kCreateNew) return there_is_one();
  CKPT_RETURN_IF_ERROR(store->CheckAccess());
  if (!exists && create) {
    CKPT_RETURN_IF_ERROR(store->CreateUnlessThere());
    if (!store->created_ && store->options_.mode == Mode::kCreateNew) return there_is_one();
  }
  CKPT_RETURN_IF_ERROR(store->ReadFormat());
  CKPT_ASSIGN_OR_RETURN(store->packs_dir_, OpenOwnDir(store->root_.get(), "packs"));
  CKPT_RETURN_IF_ERROR(store->CheckAccessBelow());
  store->pack_set_.Init(store->packs_dir_.get(), store->format_.uuid);
  if (store->options_.use_index) {
    store->OpenIndex();
  } else {
    store->index_ = store->options_.index;
  }
  if (WorthReindexing(store.get())) {
    auto built = store->Reindex();  // only a help: Refresh does the same, more slowly
    if (!built.ok() && built.status().code() == Code::kCancelled) return built.status();
  }
  CKPT_RETURN_IF_ERROR(store->Refresh());
  CKPT_RETURN_IF_ERROR(store->SyncIfYoung());
  return store;
}

// A store nobody saved into yet may be one whose maker died before its name was durable.
Status Store::SyncIfYoung() {
  if (!writable() || created_) return Status();
  for (const auto& [id, state] : PackStates()) {
    if (!state.reserve) return Status();
  }
  CKPT_RETURN_IF_ERROR(root_->Sync());
  auto parent = env_->OpenDir(ParentPath(path_));
  return parent.ok() ? (*parent)->Sync() : Status();
}

Status Store::CheckAccess() {
  CKPT_ASSIGN_OR_RETURN(FileInfo info, root_->Stat());
  bool shared = (info.mode & kGroupWrite) != 0 && (info.mode & kSetGid) != 0;
  options_.group_shared = options_.group_shared || shared;
  if (options_.trust_owner) return Status();
  if ((info.mode & kWorldWrite) != 0) {
    return PermissionDenied(path_ +
                            " may be written by everybody, so nothing in it can be trusted:"
                            " chmod o-w it, or say --trust-owner");
  }
  // Anybody may share a folder of theirs with some group. It is shared with us when that is one of
  // our groups; root is in all of them, and follows nobody's word.
  bool with_us = shared && env_->UserId() != 0 && ProcessIsInGroup(info.gid);
  if (writable() && !with_us && info.uid != env_->UserId()) {
    return PermissionDenied(
        path_ + " belongs to user " + std::to_string(info.uid) +
        ": writing into another's store needs --trust-owner (reading does not)");
  }
  return Status();
}

// Who may write to a folder can put other files in the place of those in it.
Status Store::CheckAccessBelow() {
  if (options_.trust_owner) return Status();
  for (const char* name : {"packs", "locks"}) {
    auto info = root_->StatEntry(name);
    if (!info.ok() || (info->mode & kWorldWrite) == 0 || info->kind != FileKind::kDirectory)
      continue;
    return PermissionDenied(path_ + "/" + name +
                            " may be written by everybody, so nothing in it can be trusted:"
                            " chmod o-w it, or say --trust-owner");
  }
  return Status();
}

Result<StoreFormat> Store::ReadFormatFile() {
  auto file = OpenOwnFile(root_.get(), kFormatName, OpenOptions{});
  if (!file.ok() && file.status().code() == Code::kNotFound) {
    return NotFound(path_ + " is not a ckpt-store (it has no file 'format')");
  }
  if (!file.ok()) return file.status();
  Bytes bytes(kFormatFileBytes);
  CKPT_ASSIGN_OR_RETURN(std::size_t got, (*file)->ReadAt(0, bytes));
  bytes.resize(got);
  auto format = DecodeFormatFile(bytes);
  if (!format.ok()) return std::move(format).status().WithContext(path_ + "/format");
  return format;
}

// Whose the packs say they are; most of them, should some be strays.
Result<Id128> Store::UuidOfPacks() const {
  CKPT_ASSIGN_OR_RETURN(auto packs, root_->OpenDir("packs"));
  CKPT_ASSIGN_OR_RETURN(auto files, packs->List());
  std::map<Id128, std::size_t> seen;
  for (const DirEntry& entry : files) {
    Id128 id;
    if (entry.kind != FileKind::kRegular || !ParsePackFileName(entry.name, &id)) continue;
    auto file = packs->OpenFile(entry.name, OpenOptions{});
    Bytes bytes(kPackHeaderBytes);
    if (!file.ok() || !(*file)->ReadExactAt(0, bytes).ok()) continue;
    auto header = DecodePackHeader(bytes);
    // A reserve alone is what an interrupted creation leaves.
    if (header.ok() && header->pack_id == id && !header->reserve) ++seen[header->store_uuid];
  }
  auto most = std::max_element(seen.begin(), seen.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == seen.end()) return NotFound("no pack says which store it is of");
  return most->first;
}

Status Store::WithoutFormat() const {
  return Corruption(path_ +
                    " has lost its file 'format', so nothing can be added to it or dropped; what is"
                    " in it can be listed and restored");
}

// Reading needs nothing of the file but whose the packs are, which they say themselves: 4 KiB that
// are lost shall not take all checkpoints with them. Writing would need what it was made with.
Status Store::ReadFormat() {
  auto format = ReadFormatFile();
  Code code = format.status().code();
  if (code == Code::kNotFound || code == Code::kCorruption) {
    auto uuid = UuidOfPacks();
    if (!uuid.ok()) return format.status();
    if (writable()) return WithoutFormat();
    format_.uuid = *uuid;
    format_lost_ = true;
    Notice(WithoutFormat().message());
    return Status();
  }
  if (!format.ok()) return format.status();
  format_ = *format;
  if (format_.read_only && writable()) {
    return Unsupported(path_ +
                       " has features this build may read but not write: use a newer"
                       " ckpt-store to save into it");
  }
  return Status();
}

Result<std::string> Store::IndexPath() {
  std::string host = env_->HostId().ToHex();
  if (!options_.index_dir.empty()) {
    return options_.index_dir + "/" + format_.uuid.ToHex() + "-" + host;
  }
  CKPT_ASSIGN_OR_RETURN(bool network, root_->OnNetworkFileSystem());
  CKPT_ASSIGN_OR_RETURN(FileInfo root, root_->Stat());
  // Nobody uses another user's index, and the one in the store is its owner's.
  if (!network && root.uid == env_->UserId()) return path_ + "/index/" + host;
  return NodeLocalFolder(env_) + "/" + format_.uuid.ToHex() + "-" + host;
}

Status Store::CheckOurs(const std::string& folder) {
  CKPT_ASSIGN_OR_RETURN(auto dir, env_->OpenDir(folder));
  CKPT_ASSIGN_OR_RETURN(FileInfo info, dir->Stat());
  if (info.uid == env_->UserId()) return Status();
  return PermissionDenied("the index in " + folder + " is another user's");
}

// LMDB takes a path, and follows links on it: what leads to the index must be folders, and those of
// nobody else. `path`: as IndexPath() says. Where the user said --index-dir, it is theirs to know.
Status Store::CheckWayToIndex(const std::string& path) {
  if (!options_.index_dir.empty()) return Status();
  const std::string folder = path.substr(0, path.rfind('/'));
  auto above = env_->OpenDir(ParentPath(folder));
  if (!above.ok()) return above.status();
  auto way = (*above)->StatEntry(folder.substr(folder.rfind('/') + 1));
  if (!way.ok()) return way.status();
  const bool in_store = folder == path_ + "/index";  // whose owner was looked at
  if (way->kind != FileKind::kDirectory ||
      (!in_store &&
       (way->uid != env_->UserId() || (way->mode & (kGroupWrite | kWorldWrite)) != 0))) {
    return PermissionDenied(folder + " is no folder, or not yours alone");
  }
  CKPT_ASSIGN_OR_RETURN(auto parent, env_->OpenDir(folder));
  auto last = parent->StatEntry(path.substr(path.rfind('/') + 1));
  if (!last.ok() || last->kind == FileKind::kDirectory) return Status();
  return PermissionDenied(path + " is no folder");
}

void Store::WithoutIndex(const Status& why) {
  no_index_because_ = why.message();
  if (writable()) Notice("working without an index on disk: " + no_index_because_);
}

// Any failure here means: an index in memory. Nothing is lost but time.
void Store::OpenIndex() {
  auto path = IndexPath();
  if (!path.ok()) return WithoutIndex(path.status());
  Status way = CheckWayToIndex(*path);
  if (way.code() == Code::kNotFound) {
    if (!writable()) return;
    Status made = env_->MakeDir(ParentPath(*path), 0700);
    if (!made.ok() && made.code() != Code::kExists) return WithoutIndex(made);
    way = CheckWayToIndex(*path);  // somebody else may have been first
  }
  if (!way.ok()) return WithoutIndex(way);
  auto here = env_->OpenDir(*path);
  if (!writable() && !here.ok()) return;  // reading makes nothing
  if (writable() && !here.ok()) {
    Status made = env_->MakeDir(ParentPath(*path), 0700);
    if (!made.ok() && made.code() != Code::kExists) return WithoutIndex(made);
  }
  if (here.ok()) {
    if (Status ours = CheckOurs(*path); !ours.ok()) return WithoutIndex(ours);
  }
  auto index = OpenLmdbIndex(env_, LmdbIndexOptions{*path, format_.uuid, env_->HostId()});
  if (!index.ok()) return WithoutIndex(index.status());
  std::unique_lock lock(mutex_);
  index_ = *std::move(index);
}

Result<std::unique_ptr<File>> Store::LockFile(const std::string& name, std::int64_t wait_ms,
                                              const std::string& what) {
  CKPT_ASSIGN_OR_RETURN(auto locks, OpenOwnDir(root_.get(), "locks"));
  OpenOptions open;
  open.mode = OpenMode::kReadOrCreate;
  open.permissions = file_permissions();
  CKPT_ASSIGN_OR_RETURN(auto file, OpenOwnFile(locks.get(), name, open));
  std::int64_t deadline = wait_ms < 0 ? -1 : env_->MonotonicNs() + wait_ms * 1000000;
  for (bool first = true;; first = false) {
    CKPT_ASSIGN_OR_RETURN(bool locked, file->TryLock());
    if (locked) return file;
    if (deadline >= 0 && env_->MonotonicNs() >= deadline) return Busy(what);
    if (first) Notice("waiting: " + what);
    CKPT_RETURN_IF_ERROR(Report(Progress{"waiting", 0, 0, 0, 0}));
    env_->SleepMs(20);
  }
}

Result<std::unique_ptr<File>> Store::LockSeries(const std::string& series, std::uint32_t rank,
                                                std::int64_t wait_ms) {
  return LockFile(SeriesLockName(series, rank), wait_ms,
                  "another save into series '" + series + "' is running");
}

Result<std::unique_ptr<File>> Store::ClaimSeries(const std::string& series, std::int64_t wait_ms) {
  return LockFile(SeriesLockName(series, kClaimRank), wait_ms,
                  "another 'run' of series '" + series + "' is running");
}

Result<LockState> Store::LookAtSeriesLock(const std::string& series, std::uint32_t rank) {
  CKPT_ASSIGN_OR_RETURN(auto locks, OpenOwnDir(root_.get(), "locks"));
  auto file = OpenOwnFile(locks.get(), SeriesLockName(series, rank), OpenOptions{});
  if (!file.ok() && file.status().code() == Code::kNotFound) return LockState{};
  if (!file.ok()) return file.status();
  LockState state;
  CKPT_ASSIGN_OR_RETURN(state.held, (*file)->LockedByOther());
  if (!state.held) return state;
  CKPT_ASSIGN_OR_RETURN(FileInfo info, (*file)->Stat());
  state.pid = LockHolder(info.device, info.inode);
  return state;
}

Result<std::unique_ptr<File>> Store::LockCollector(std::int64_t wait_ms) {
  return LockFile("collect", wait_ms, "another collection, or a freeze, is running");
}

}  // namespace ckpt
