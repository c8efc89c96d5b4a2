// A simulated world's File.

#include <algorithm>
#include <cerrno>

#include "store/io/entry_name.h"
#include "tests/support/sim_shared.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kDirectAlignmentBytes = 4096;

class SimFile final : public File {
 public:
  SimFile(std::shared_ptr<SimShared> shared, std::uint64_t process, SimDisk::InodePtr inode,
          const OpenOptions& options, std::string path)
      : File(std::move(path)),
        shared_(std::move(shared)),
        inode_(std::move(inode)),
        process_(process),
        handle_(shared_->next_handle++),
        writable_(options.mode != OpenMode::kRead),
        direct_(options.direct && writable_) {
    ++inode_->open_files;
  }

  ~SimFile() override {
    SimTurn turn(shared_.get());
    --inode_->open_files;
    if (writable_) shared_->disk->CloseFile(inode_.get(), shared_->Process(process_).host);
    SimProcessState& state = shared_->Process(process_);
    DropLock();
    std::erase_if(state.late_locks, [&](const auto& late) { return late.second == handle_; });
    if (state.lies.locks_dropped_by_close) {
      std::erase_if(inode_->locks, [&](const auto& held) { return held.process == process_; });
    }
  }

  Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kRead, At("read", offset)));
    std::size_t got = shared_->disk->Seen(*inode_).Read(offset, out);
    const auto& lie = shared_->Process(process_).lies.reads;
    if (lie) lie(path(), offset, out.first(got));
    return got;
  }

  Status WriteAt(std::uint64_t offset, ByteSpan data) override;
  Status Sync() override;

  Result<FileInfo> Stat() override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kOpen, "stat " + path()));
    return shared_->disk->Info(*inode_);
  }

  Status Allocate(std::uint64_t offset, std::uint64_t length_bytes) override {
    if (length_bytes == 0) return {};
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(BeginChange(SimOp::kAllocate, At("allocate", offset)));
    return SimStatus(shared_->disk->Allocate(inode_.get(), offset, length_bytes),
                     At("allocate", offset));
  }

  Status PunchHole(std::uint64_t offset, std::uint64_t length_bytes) override {
    if (length_bytes == 0) return {};
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(BeginChange(SimOp::kPunch, At("punch a hole into", offset)));
    shared_->disk->Punch(inode_.get(), offset, length_bytes);
    return {};
  }

  Status Truncate(std::uint64_t size_bytes) override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(BeginChange(SimOp::kTruncate, "truncate " + path()));
    shared_->disk->Truncate(inode_.get(), size_bytes);
    return {};
  }

  Result<std::vector<Extent>> Extents() override {
    SimTurn turn(shared_.get());
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kRead, "find data in " + path()));
    return inode_->current.Extents();
  }

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

  Result<bool> TryLock() override;
  Status Unlock() override;
  Result<bool> LockedByOther() override;

 private:
  std::string At(std::string_view operation, std::uint64_t offset) const {
    return std::string(operation) + " " + path() + " at " + std::to_string(offset);
  }
  // REQUIRES of all below: mutex held.
  Status BeginChange(SimOp kind, const std::string& what) {
    if (!writable_) return ErrnoStatus(EBADF, what);
    return shared_->Gate(process_, kind, what);
  }
  Status BeginLock(std::string_view operation) {
    std::string what = std::string(operation) + " " + path();
    CKPT_RETURN_IF_ERROR(shared_->Gate(process_, SimOp::kLock, what));
    if (shared_->locks != SimLocks::kUnsupported) return {};
    return Unsupported(what + ": simulated: this file system has no working locks");
  }
  bool IsPack() const { return path().find("/packs/") != std::string::npos; }
  bool HeldByOther() const {
    if (IsPack() && shared_->Process(process_).lies.others_locks_unseen) return false;
    const Id128& host = shared_->Process(process_).host;
    return std::ranges::any_of(inode_->locks, [&](const SimInode::Lock& held) {
      bool seen = shared_->locks != SimLocks::kPerHost || held.host == host;
      return held.handle != handle_ && seen;
    });
  }
  void DropLock() {
    std::erase_if(inode_->locks, [&](const auto& held) { return held.handle == handle_; });
  }

  const std::shared_ptr<SimShared> shared_;
  const SimDisk::InodePtr inode_;
  const std::uint64_t process_;
  const std::uint64_t handle_;
  const bool writable_;
  const bool direct_;
};

Status SimFile::WriteAt(std::uint64_t offset, ByteSpan data) {
  SimTurn turn(shared_.get());
  std::string what = At("write", offset);
  if (!writable_) return ErrnoStatus(EBADF, what);
  std::uint64_t bits = offset | data.size() | reinterpret_cast<std::uintptr_t>(data.data());
  if (direct_ && bits % kDirectAlignmentBytes != 0) {
    return InvalidArgument(what + ": a direct write needs multiples of 4 KiB");
  }
  if (data.empty()) return {};
  std::erase_if(shared_->Process(process_).late_locks, [&](const auto& late) {
    SimDisk::InodePtr inode = late.first.lock();
    if (inode == nullptr) return true;
    inode->locks.push_back({late.second, process_, shared_->Process(process_).host});
    shared_->locked.push_back(inode);
    return true;
  });
  SimGate gate = shared_->Begin(process_, SimOp::kWrite, what);
  if (!gate.status.ok()) {
    std::uint64_t part = 0;
    if (gate.fault) part = shared_->rng.Below(data.size());
    if (gate.died_now) part = shared_->Process(process_).torn_bytes;
    part = std::min<std::uint64_t>(part, data.size());
    shared_->disk->Write(inode_.get(), offset, data.first(part));
    return gate.status;
  }
  return SimStatus(shared_->disk->Write(inode_.get(), offset, data), what);
}

Status SimFile::Sync() {
  SimTurn turn(shared_.get());
  SimGate gate = shared_->Begin(process_, SimOp::kSync, "sync " + path());
  if (gate.fault) shared_->disk->FailSyncFile(inode_.get(), &shared_->rng);
  if (gate.status.ok()) shared_->Sync(inode_);
  return gate.status;
}

Result<bool> SimFile::TryLock() {
  SimTurn turn(shared_.get());
  CKPT_RETURN_IF_ERROR(BeginLock("lock"));
  if (!writable_) return InvalidArgument("lock " + path() + ": it is open only for reading");
  if (HeldByOther()) return false;
  DropLock();
  SimProcessState& state = shared_->Process(process_);
  if (IsPack() && state.lies.locks_taken_late) {
    state.late_locks.emplace_back(inode_, handle_);
  } else {
    inode_->locks.push_back({handle_, process_, state.host});
    shared_->locked.push_back(inode_);
  }
  return true;
}

Status SimFile::Unlock() {
  SimTurn turn(shared_.get());
  CKPT_RETURN_IF_ERROR(BeginLock("unlock"));
  DropLock();
  return {};
}

Result<bool> SimFile::LockedByOther() {
  SimTurn turn(shared_.get());
  CKPT_RETURN_IF_ERROR(BeginLock("ask for the lock of"));
  return HeldByOther();
}

}  // namespace

std::unique_ptr<File> MakeSimFile(std::shared_ptr<SimShared> shared, std::uint64_t process,
                                  SimDisk::InodePtr inode, const OpenOptions& options,
                                  std::string path) {
  return std::make_unique<SimFile>(std::move(shared), process, std::move(inode), options,
                                   std::move(path));
}

void SetSimAttributes(SimInode* inode, const FileInfo& info, bool owner, std::int64_t now_ns) {
  if (owner) {
    inode->info.uid = info.uid;
    inode->info.gid = info.gid;
  }
  if (inode->info.kind != FileKind::kSymlink) inode->info.mode = info.mode & 07777;
  inode->info.mtime_ns = info.mtime_ns;
  inode->info.ctime_ns = now_ns;
}

Status SetSimXattr(SimInode* inode, std::string_view name, std::string_view value) {
  CKPT_RETURN_IF_ERROR(CheckCString(name, "extended attribute name"));
  if (!name.starts_with("user.")) {
    return Unsupported("set extended attribute " + std::string(name) + ": simulated");
  }
  inode->attributes[std::string(name)] = value;
  return {};
}

}  // namespace ckpt
