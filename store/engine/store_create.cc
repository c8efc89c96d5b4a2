// Creating a store where nothing is, or what an interrupted creation left (docs/format.md,
// "Files").
//
// Many processes may want to at once: the first saves of a job array. One makes it, under the lock
// that collectors take later; the others wait and use it. Where locks do not cross hosts, or are
// not to be had, the name `format` decides: it is given by a hard link, which replaces nothing, and
// who finds it taken uses the store of whoever was first.

#include <algorithm>

#include "store/engine/collect_state.h"
#include "store/engine/format_file.h"
#include "store/engine/reserve.h"
#include "store/engine/store.h"
#include "store/io/entry_name.h"

namespace ckpt {
namespace {

constexpr std::int64_t kCreationWaitMs = 60'000;  // a creation takes some flushes

bool IsScaffolding(std::string_view name) {
  return name == "packs" || name == "locks" || name == "index" || name == "collect" ||
         name.starts_with("format.");
}

// The reserve pack of an interrupted creation, or a pack that never got its header. What is not
// named as we name packs is somebody's, and is left alone.
Result<bool> NeverHeldAnything(Dir* packs, const DirEntry& entry) {
  Id128 id;
  if (entry.kind != FileKind::kRegular || !ParsePackFileName(entry.name, &id)) return false;
  auto file = packs->OpenFile(entry.name, OpenOptions{});
  if (file.status().code() == Code::kNotFound) return true;  // by now
  if (!file.ok()) return file.status();
  Bytes header(kPackHeaderBytes);
  CKPT_ASSIGN_OR_RETURN(std::size_t got, (*file)->ReadAt(0, header));
  if (got < header.size()) return true;
  auto decoded = DecodePackHeader(header);
  if (decoded.ok()) return decoded->reserve;
  // Torn while it was made (a reserve has its size from the start), or a pack somebody damaged?
  auto reader = PackReader::Open(packs, id, Id128());
  return !reader.ok() && reader.status().code() == Code::kNotFound;
}

// The packs, when they are only what an interrupted creation leaves.
Result<std::optional<std::vector<DirEntry>>> OnlyLeftovers(Dir* packs) {
  CKPT_ASSIGN_OR_RETURN(auto files, packs->List());
  for (const DirEntry& file : files) {
    CKPT_ASSIGN_OR_RETURN(bool leftover, NeverHeldAnything(packs, file));
    if (!leftover) return std::optional<std::vector<DirEntry>>();
  }
  return std::optional(std::move(files));
}

// True when all names are such as an interrupted creation leaves. What is in the packs is not
// looked at: somebody may just be making them.
Result<bool> MayBecomeStore(Dir* dir) {
  CKPT_ASSIGN_OR_RETURN(auto names, dir->List());
  if (!std::all_of(names.begin(), names.end(),
                   [](const DirEntry& e) { return IsScaffolding(e.name); })) {
    return false;
  }
  auto packs = dir->OpenDir("packs");
  if (packs.status().code() == Code::kNotFound) return true;
  if (!packs.ok()) return packs.status();
  CKPT_ASSIGN_OR_RETURN(auto files, (*packs)->List());
  return std::all_of(files.begin(), files.end(), [](const DirEntry& e) {
    Id128 id;
    return ParsePackFileName(e.name, &id);
  });
}

// REQUIRES: nobody else makes a store here.
Result<bool> IsEmptyPlace(Dir* dir) {
  CKPT_ASSIGN_OR_RETURN(bool may, MayBecomeStore(dir));
  auto packs = dir->OpenDir("packs");
  if (!may || packs.status().code() == Code::kNotFound) return may;
  if (!packs.ok()) return packs.status();
  CKPT_ASSIGN_OR_RETURN(auto leftovers, OnlyLeftovers(packs->get()));
  return leftovers.has_value();
}

Status RemoveLeftovers(Dir* packs) {
  CKPT_ASSIGN_OR_RETURN(auto leftovers, OnlyLeftovers(packs));
  if (!leftovers.has_value()) return Status();
  for (const DirEntry& file : *leftovers) {
    Status removed = packs->RemoveFile(file.name);
    if (!removed.ok() && removed.code() != Code::kNotFound) return removed;
  }
  return Status();
}

Status MakeDirIfMissing(Dir* dir, std::string_view name, std::uint32_t permissions) {
  Status s = dir->MakeDir(name, permissions);
  return s.code() == Code::kExists ? Status() : s;
}

Status WriteFileOnce(Dir* dir, const std::string& name, ByteSpan bytes, std::uint32_t permissions) {
  OpenOptions open;
  open.mode = OpenMode::kCreate;
  open.permissions = permissions;
  CKPT_ASSIGN_OR_RETURN(auto file, dir->OpenFile(name, open));
  // What is written over in place later is to need no space then.
  Status allocated = file->Allocate(0, bytes.size());
  if (!allocated.ok() && allocated.code() != Code::kUnsupported) return allocated;
  CKPT_RETURN_IF_ERROR(file->WriteAt(0, bytes));
  return file->Sync();
}

// A pack whose blocks are allocated, for rm and gc on a full disk; its id, if there is one. Where a
// file system cannot allocate there is none, and they need free space.
Result<std::optional<Id128>> CreateReserve(Env* env, Dir* packs, const Id128& uuid,
                                           std::uint32_t permissions) {
  PackWriterOptions options;
  options.store_uuid = uuid;
  options.reserve = true;
  options.pack_bytes_max = kReserveBytes;
  options.permissions = permissions;
  auto writer = PackWriter::Create(env, packs, options);
  if (!writer.ok()) {
    if (writer.status().code() != Code::kUnsupported) return writer.status();
    CKPT_RETURN_IF_ERROR(RemoveLeftovers(packs));
    return std::optional<Id128>();
  }
  CKPT_RETURN_IF_ERROR((*writer)->Commit(true));
  return std::optional((*writer)->pack_id());
}

// Exists: somebody else's is there. Where there are no hard links the last one stays.
Status NameForGood(Dir* root, const std::string& temporary) {
  Status linked = root->MakeHardLink(temporary, root, kFormatName);
  if (linked.code() == Code::kUnsupported || linked.code() == Code::kPermission) {
    return root->Rename(temporary, root, kFormatName);
  }
  return linked;
}

}  // namespace

Result<bool> Store::HasFormat() const {
  auto format = root_->StatEntry(kFormatName);
  if (format.ok()) return true;
  if (format.status().code() == Code::kNotFound) return false;
  return format.status();  // what cannot be looked at is not taken for missing
}

// Null where there are no locks.
Result<std::unique_ptr<File>> Store::LockCreation() {
  OpenOptions open;
  open.mode = OpenMode::kReadOrCreate;
  open.permissions = file_permissions();
  CKPT_RETURN_IF_ERROR(MakeDirIfMissing(root_.get(), "locks", folder_permissions()));
  CKPT_ASSIGN_OR_RETURN(auto locks, root_->OpenDir("locks"));
  // Made now, so that collection can lock it on a full disk.
  CKPT_ASSIGN_OR_RETURN(auto file, OpenOwnFile(locks.get(), "collect", open));
  CKPT_RETURN_IF_ERROR(locks->Sync());
  const std::int64_t deadline = env_->MonotonicNs() + kCreationWaitMs * 1'000'000;
  for (;;) {
    auto locked = file->TryLock();
    if (locked.status().code() == Code::kUnsupported) return std::unique_ptr<File>();
    if (!locked.ok()) return locked.status();
    if (*locked) return file;
    if (env_->MonotonicNs() >= deadline) return Busy("another process is making " + path_);
    CKPT_RETURN_IF_ERROR(Report(Progress{"waiting", 0, 0, 0, 0}));
    env_->SleepMs(5);
  }
}

Status Store::CreateUnlessThere() {
  CKPT_ASSIGN_OR_RETURN(bool empty, MayBecomeStore(root_.get()));
  std::unique_ptr<File> lock;
  if (empty) {
    CKPT_ASSIGN_OR_RETURN(lock, LockCreation());
    CKPT_ASSIGN_OR_RETURN(empty, IsEmptyPlace(root_.get()));
  }
  CKPT_ASSIGN_OR_RETURN(bool made_meanwhile, HasFormat());
  if (made_meanwhile) return Status();
  if (empty) return Create();
  if (UuidOfPacks().ok()) return WithoutFormat();
  return AlreadyExists(path_ +
                       " is not empty and not a ckpt-store, so none is made there: name"
                       " another folder");
}

std::uint32_t Store::folder_permissions() const {
  return kAsItsFolder | (options_.group_shared ? 02770u : 0700u);
}

Status Store::Create() {
  CKPT_RETURN_IF_ERROR(MakeDirIfMissing(root_.get(), "packs", folder_permissions()));
  format_ = options_.format;
  format_.uuid = env_->RandomId();
  CKPT_ASSIGN_OR_RETURN(Bytes bytes, EncodeFormatFile(format_));
  CKPT_ASSIGN_OR_RETURN(auto packs, root_->OpenDir("packs"));
  CKPT_RETURN_IF_ERROR(RemoveLeftovers(packs.get()));
  CKPT_ASSIGN_OR_RETURN(auto reserve,
                        CreateReserve(env_, packs.get(), format_.uuid, file_permissions()));
  CKPT_RETURN_IF_ERROR(MakeCollectFile(root_.get(), file_permissions()));
  std::string temporary = "format." + env_->RandomId().ToHex();
  CKPT_RETURN_IF_ERROR(WriteFileOnce(root_.get(), temporary, bytes, file_permissions()));
  CKPT_RETURN_IF_ERROR(root_->Sync());  // what is in packs/ was synced with the reserve
  // Whoever made the store's folder, its name may not have reached the disk.
  auto parent = env_->OpenDir(ParentPath(path_));
  if (parent.ok()) CKPT_RETURN_IF_ERROR((*parent)->Sync());
  Status named = NameForGood(root_.get(), temporary);
  if (named.ok()) named = root_->Sync();
  if (named.ok() || named.code() == Code::kExists) {
    Status removed = root_->RemoveFile(temporary);
    (void)removed;  // no part of the store
  }
  created_ = named.ok();
  if (named.code() != Code::kExists) return named;
  // Made on another host meanwhile.
  Status removed = reserve ? packs->RemoveFile(PackFileName(*reserve)) : Status();
  if (!removed.ok() && removed.code() != Code::kNotFound) return removed;
  return packs->Sync();
}

}  // namespace ckpt
