#include "tests/support/snapshot_env.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace ckpt {
namespace {

constexpr std::string_view kRoot = "/store";

Status ReadOnly() { return Status(Code::kPermission, "a snapshot is read-only"); }

}  // namespace

class SnapshotFile final : public File {
 public:
  SnapshotFile(SnapshotEnv* env, std::string name, SnapshotEnv::Content* content)
      : File(std::string(kRoot) + "/" + name),
        env_(env),
        name_(std::move(name)),
        content_(content) {}

  Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) override {
    if (offset >= content_->size) return std::size_t{0};
    std::size_t length = std::min<std::uint64_t>(out.size(), content_->size - offset);
    std::memcpy(out.data(), content_->bytes.data() + offset, length);
    if (env_->reads_ != nullptr) {
      std::lock_guard lock(env_->reads_mutex_);
      std::vector<bool>& reads = (*env_->reads_)[name_];
      reads.resize(content_->bytes.size());
      std::fill_n(reads.begin() + static_cast<std::ptrdiff_t>(offset), length, true);
    }
    return length;
  }
  Status WriteAt(std::uint64_t, ByteSpan) override { return ReadOnly(); }
  Status Sync() override { return Status(); }
  Result<FileInfo> Stat() override {
    FileInfo info;
    info.size_bytes = info.allocated_bytes = content_->size;
    info.inode = content_->inode;
    info.mode = 0600;
    return info;
  }
  Status Allocate(std::uint64_t, std::uint64_t) override { return ReadOnly(); }
  Status PunchHole(std::uint64_t, std::uint64_t) override { return ReadOnly(); }
  Status Truncate(std::uint64_t) override { return ReadOnly(); }
  Result<std::vector<Extent>> Extents() override {
    return std::vector<Extent>{{0, content_->size, false}};
  }
  Status SetAttributes(const FileInfo&, bool) override { return ReadOnly(); }
  Result<std::vector<std::pair<std::string, std::string>>> ExtendedAttributes() override {
    return std::vector<std::pair<std::string, std::string>>();
  }
  Status SetExtendedAttribute(std::string_view, std::string_view) override { return ReadOnly(); }
  Result<bool> TryLock() override { return true; }
  Status Unlock() override { return Status(); }
  Result<bool> LockedByOther() override { return false; }

 private:
  SnapshotEnv* const env_;
  const std::string name_;
  SnapshotEnv::Content* const content_;
};

class SnapshotDir final : public Dir {
 public:
  // `prefix`: "" or ends with a slash.
  SnapshotDir(SnapshotEnv* env, std::string prefix)
      : Dir(std::string(kRoot) + "/" + prefix), env_(env), prefix_(std::move(prefix)) {}

  Result<std::unique_ptr<Dir>> OpenDir(std::string_view name) override {
    std::string prefix = prefix_ + std::string(name) + "/";
    auto it = env_->files_.lower_bound(prefix);
    if (it == env_->files_.end() || !it->first.starts_with(prefix)) return NotFound(prefix);
    return std::unique_ptr<Dir>(new SnapshotDir(env_, prefix));
  }
  Result<std::unique_ptr<File>> OpenFile(std::string_view name,
                                         const OpenOptions& options) override {
    if (options.mode != OpenMode::kRead) return ReadOnly();
    auto it = env_->files_.find(prefix_ + std::string(name));
    if (it == env_->files_.end()) return NotFound(prefix_ + std::string(name));
    return std::unique_ptr<File>(new SnapshotFile(env_, it->first, &it->second));
  }
  Result<FileInfo> StatEntry(std::string_view name) override {
    if (OpenDir(name).ok()) return Folder();
    CKPT_ASSIGN_OR_RETURN(auto file, OpenFile(name, OpenOptions{}));
    return file->Stat();
  }
  Result<FileInfo> Stat() override { return Folder(); }
  Result<std::vector<DirEntry>> List() override {
    std::vector<DirEntry> names;
    for (const auto& [path, content] : env_->files_) {
      if (!path.starts_with(prefix_)) continue;
      std::string rest = path.substr(prefix_.size());
      std::size_t slash = rest.find('/');
      bool folder = slash != std::string::npos;
      rest.resize(std::min(slash, rest.size()));
      if (!names.empty() && names.back().name == rest) continue;
      names.push_back({rest, folder ? FileKind::kDirectory : FileKind::kRegular});
    }
    return names;
  }
  Status MakeDir(std::string_view, std::uint32_t) override { return ReadOnly(); }
  Status RemoveFile(std::string_view) override { return ReadOnly(); }
  Status RemoveDir(std::string_view) override { return ReadOnly(); }
  Status Rename(std::string_view, Dir*, std::string_view) override { return ReadOnly(); }
  Result<std::string> ReadLink(std::string_view) override { return ReadOnly(); }
  Status MakeSymlink(std::string_view, std::string_view) override { return ReadOnly(); }
  Status MakeHardLink(std::string_view, Dir*, std::string_view) override { return ReadOnly(); }
  Status SetEntryAttributes(std::string_view, const FileInfo&, bool) override { return ReadOnly(); }
  Status SetAttributes(const FileInfo&, bool) override { return ReadOnly(); }
  Result<std::vector<std::pair<std::string, std::string>>> ExtendedAttributes() override {
    return std::vector<std::pair<std::string, std::string>>();
  }
  Status SetExtendedAttribute(std::string_view, std::string_view) override { return ReadOnly(); }
  Status Sync() override { return Status(); }
  Result<bool> OnNetworkFileSystem() override { return false; }
  Result<std::uint64_t> FreeBytes() override { return std::uint64_t{0}; }
  Result<bool> CopiesOnWrite() override { return false; }

 private:
  static FileInfo Folder() {
    FileInfo info;
    info.kind = FileKind::kDirectory;
    info.mode = 0700;
    return info;
  }

  SnapshotEnv* const env_;
  const std::string prefix_;
};

SnapshotEnv::SnapshotEnv(const std::string& path) {
  namespace fs = std::filesystem;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    Content content;
    content.bytes.assign(AsBytes(text).begin(), AsBytes(text).end());
    content.size = text.size();
    content.inode = files_.size() + 1;
    files_[fs::relative(entry.path(), path).string()] = std::move(content);
  }
}

void SnapshotEnv::Flip(const std::string& name, std::uint64_t offset, int bit) {
  files_.at(name).bytes.at(offset) ^= static_cast<std::byte>(1 << bit);
}

Result<std::unique_ptr<Dir>> SnapshotEnv::OpenDir(const std::string& path) {
  if (path != kRoot) return NotFound(path);
  return std::unique_ptr<Dir>(new SnapshotDir(this, ""));
}

Status SnapshotEnv::MakeDir(const std::string&, std::uint32_t) { return ReadOnly(); }

void SnapshotEnv::Random(MutableByteSpan out) {
  std::fill(out.begin(), out.end(), std::byte{0x42});
}

}  // namespace ckpt
