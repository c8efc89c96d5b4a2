#include "store/engine/restore_files.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>
#include <utility>

#include "store/base/quietly.h"
#include "store/engine/glob.h"
#include "store/engine/parallel_reader.h"
#include "store/engine/restore_choice.h"
#include "store/engine/same_file.h"
#include "store/engine/target_tree.h"
#include "store/engine/temporary.h"
#include "store/engine/verify.h"

namespace ckpt {
namespace {

FileInfo InfoOf(const Entry& entry) {
  FileInfo info;
  info.mode = entry.mode;
  info.uid = entry.uid;
  info.gid = entry.gid;
  info.mtime_ns = entry.mtime_ns;
  return info;
}

// Where the file is not its owner's, set-user-ID and set-group-ID would lend other rights than the
// owner's, and are dropped.
std::uint32_t RestoredMode(const Entry& entry, const FileInfo& there) {
  const bool same_owner = there.uid == entry.uid && there.gid == entry.gid;
  return same_owner ? entry.mode : entry.mode & 01777u;
}

// As whoever owned it where we may, else as ours.
template <typename Object>
Status SetAttributes(Object* object, const Entry& entry, bool owner) {
  FileInfo info = InfoOf(entry);
  if (owner) {
    Status s = object->SetAttributes(info, true);
    // InvalidArgument: a user that this container does not have.
    if (s.code() != Code::kPermission && s.code() != Code::kInvalidArgument) return s;
  }
  CKPT_ASSIGN_OR_RETURN(FileInfo there, object->Stat());
  info.mode = RestoredMode(entry, there);
  return object->SetAttributes(info, false);
}

// Extended attributes and owners are kept as far as this file system and user may.
template <typename Object>
Status Decorate(Object* object, const Entry& entry, bool owner) {
  for (const auto& [name, value] : entry.xattrs) {
    Status s = object->SetExtendedAttribute(name, value);
    if (!s.ok() && s.code() != Code::kUnsupported && s.code() != Code::kPermission) return s;
  }
  return SetAttributes(object, entry, owner);
}

std::string Restoring(const Entry& entry) { return "restoring '" + entry.name + "'"; }

// A file on its way: written under a temporary name, renamed by Done, removed if that never comes.
class FileTarget : public ReadTarget {
 public:
  FileTarget(TargetTree::Place place, TemporaryFile temporary, Entry entry, bool owner, bool sync,
             std::atomic<std::uint64_t>* written)
      : place_(std::move(place)),
        temporary_(std::move(temporary.name)),
        file_(std::move(temporary.file)),
        entry_(std::move(entry)),
        owner_(owner),
        sync_(sync),
        written_(written) {}

  ~FileTarget() override {
    if (done_) return;
    Quietly([this] {  // after a failure; what stays the next restore removes
      Status removed = place_.dir->RemoveFile(temporary_);
      (void)removed;
    });
  }

  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    *written_ += bytes.size();
    return file_->WriteAt(offset, bytes);
  }

  Status Done() override {
    CKPT_RETURN_IF_ERROR(file_->Truncate(entry_.logical_bytes));  // a hole at the end
    CKPT_RETURN_IF_ERROR(Decorate(file_.get(), entry_, owner_));
    if (sync_) CKPT_RETURN_IF_ERROR(file_->Sync());
    CKPT_RETURN_IF_ERROR(file_->Settle());
    // Locked until it has its name: another restore may be looking for what was left here.
    CKPT_RETURN_IF_ERROR(place_.dir->Rename(temporary_, place_.dir.get(), place_.component));
    done_ = true;
    file_.reset();
    return Status();
  }

  std::string What() const override { return Restoring(entry_); }

 private:
  TargetTree::Place place_;
  std::string temporary_;
  std::unique_ptr<File> file_;
  Entry entry_;
  const bool owner_;
  const bool sync_;
  std::atomic<std::uint64_t>* const written_;
  bool done_ = false;
};

// As it would be after Decorate, as far as can be told; extended attributes that are there besides
// stay.
Result<bool> SameAttributes(File* file, const Entry& entry, bool owner) {
  CKPT_ASSIGN_OR_RETURN(FileInfo there, file->Stat());
  if (owner && (there.uid != entry.uid || there.gid != entry.gid)) return false;
  if (there.mode != RestoredMode(entry, there)) return false;
  if (there.mtime_ns != entry.mtime_ns) return false;
  if (entry.xattrs.empty()) return true;
  CKPT_ASSIGN_OR_RETURN(auto attributes, file->ExtendedAttributes());
  return std::all_of(entry.xattrs.begin(), entry.xattrs.end(), [&](const auto& wanted) {
    return std::find(attributes.begin(), attributes.end(), wanted) != attributes.end();
  });
}

// kDress: its bytes are there, its attributes are not.
enum class Decision : std::uint8_t { kWrite, kDress, kKeep };

// One manifest's files into one folder.
class Restorer {
 public:
  Restorer(Store* store, const RestoreFilesOptions& options, Manifest manifest,
           std::unique_ptr<Fetcher> fetcher)
      : store_(store),
        options_(options),
        manifest_(std::move(manifest)),
        fetcher_(std::move(fetcher)),
        owner_(store->env()->UserId() == 0) {}

  // Decides for each entry; changes nothing. Null: the folder is yet to be made.
  Status Plan(std::shared_ptr<Dir> root, Restored* result);
  Status Write(std::shared_ptr<Dir> root);
  bool HasWork() const { return !decisions_.empty(); }  // or what is wanted is there already
  std::uint64_t arrays() const { return arrays_; }      // left out

 private:
  Result<Decision> Decide(const Entry& entry, TargetTree* tree);
  Result<bool> IsLinked(const Entry& entry, const FileInfo& there);
  Result<std::unique_ptr<File>> OpenIfSame(const Entry& entry, const TargetTree::Place& place,
                                           const FileInfo& there);
  Result<Entry> FirstOf(const Entry& link);
  void Touch(const Entry& entry);
  void RemoveLeftovers();
  Status WriteEntry(const Entry& entry, Decision decision, TargetTree* tree,
                    ParallelReader* reader);
  Status WriteSymlink(const Entry& entry, const TargetTree::Place& place) const;
  Status WriteFile(const Entry& entry, TargetTree::Place place, ParallelReader* reader);
  Status Dress(const Entry& entry, const TargetTree::Place& place) const;
  Status WriteLink(const Entry& entry, const TargetTree::Place& place, ParallelReader* reader);
  Status MakeFolder(const Entry& entry, const TargetTree::Place& place);
  Status FinishFolders();
  Status SyncFolders();
  bool Included(const std::string& name) const {
    return options_.includes.empty() || AnyGlobCovers(options_.includes, name);
  }
  std::string TemporaryName() const { return NewTemporaryName(store_->env()); }
  // After `bytes` more of what is there were compared.
  Status ReportCompared(std::uint64_t bytes) {
    compared_ += bytes;
    return store_->Report({"comparing", compared_, 0, 0, 0});
  }
  Status Report(std::size_t entries) const {
    return store_->Report({"restoring", written_.load(), total_bytes_, entries, decisions_.size()});
  }

  Store* const store_;
  const RestoreFilesOptions& options_;
  const Manifest manifest_;
  std::unique_ptr<Fetcher> fetcher_;
  std::shared_ptr<Dir> root_;
  const bool owner_;
  std::vector<Decision> decisions_;  // of the included entries, in order
  std::uint64_t arrays_ = 0;
  std::vector<Entry> folders_;
  std::vector<Entry> links_;       // hard links, made when their files are there
  std::set<std::string> touched_;  // folders; "" is the target
  std::atomic<std::uint64_t> written_{0};
  std::uint64_t total_bytes_ = 0;
  std::uint64_t compared_ = 0;
};

Status Restorer::Plan(std::shared_ptr<Dir> root, Restored* result) {
  root_ = std::move(root);
  TargetTree tree(root_);
  EntryTableReader table(manifest_.entry_table, fetcher_.get());
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto entry, table.Next());
    if (!entry.has_value()) return Status();
    if (!Included(entry->name)) continue;
    if (entry->kind == EntryKind::kArray) {
      ++arrays_;
      continue;
    }
    if (entry->kind == EntryKind::kHardLink) {
      CKPT_RETURN_IF_ERROR(FileOfLink(*entry, &table).status());
    }
    Touch(*entry);
    CKPT_ASSIGN_OR_RETURN(Decision decision, Decide(*entry, &tree));
    decisions_.push_back(decision);
    if (decision != Decision::kWrite) {
      ++result->skipped;
      continue;
    }
    ++result->files;
    result->bytes += entry->logical_bytes;
    total_bytes_ += entry->logical_bytes;
    if (options_.entry && !options_.entry(entry->name, entry->logical_bytes)) {
      return Cancelled("stopped by the caller");
    }
  }
}

// The folders it changes: itself, and those on the way to it, which may have to be made.
void Restorer::Touch(const Entry& entry) {
  touched_.insert("");
  if (entry.kind == EntryKind::kDirectory) touched_.insert(entry.name);
  for (std::size_t slash = entry.name.rfind('/'); slash != std::string::npos && slash > 0;
       slash = entry.name.rfind('/', slash - 1)) {
    if (!touched_.insert(entry.name.substr(0, slash)).second) return;
  }
}

// Before anything is written: on a full disk, they may be what fills it.
void Restorer::RemoveLeftovers() {
  TargetTree tree(root_);
  std::uint64_t removed = 0;
  for (const std::string& folder : touched_) {
    auto place = tree.Find(folder.empty() ? "x" : folder + "/", false);
    if (place.ok()) removed += RemoveAbandoned(store_->env(), place->dir.get());
  }
  if (removed == 0) return;
  store_->Notice("removed " + std::to_string(removed) + " temporary file" +
                 (removed == 1 ? "" : "s") + " that an interrupted restore left in " +
                 root_->path());
}

Result<Decision> Restorer::Decide(const Entry& entry, TargetTree* tree) {
  if (root_ == nullptr) return Decision::kWrite;
  auto place = tree->Find(entry.name, false);
  if (!place.ok()) {
    if (place.status().code() == Code::kNotFound) return Decision::kWrite;
    return place.status();
  }
  auto there = place->dir->StatEntry(place->component);
  if (!there.ok()) {
    if (there.status().code() == Code::kNotFound) return Decision::kWrite;
    return there.status();
  }
  auto in_the_way = [&](const std::string& what) {
    return AlreadyExists("'" + entry.name + "' is in the way in " + root_->path() + ": " + what);
  };
  bool folder = there->kind == FileKind::kDirectory;
  if (entry.kind == EntryKind::kDirectory) {
    if (folder) return Decision::kKeep;
    return in_the_way("it is no folder; move it away");
  }
  if (folder) return in_the_way("it is a folder; move it away");
  if (entry.kind == EntryKind::kSymlink && there->kind == FileKind::kSymlink) {
    CKPT_ASSIGN_OR_RETURN(std::string target, place->dir->ReadLink(place->component));
    if (target == entry.target) return Decision::kKeep;
  }
  if (entry.kind == EntryKind::kHardLink) {
    CKPT_ASSIGN_OR_RETURN(bool linked, IsLinked(entry, *there));
    if (linked) return Decision::kKeep;
    // A file of its own with the same bytes: nothing is lost when it becomes the link.
    CKPT_ASSIGN_OR_RETURN(Entry first, FirstOf(entry));
    CKPT_ASSIGN_OR_RETURN(auto same, OpenIfSame(first, *place, *there));
    if (same != nullptr) return Decision::kWrite;
  }
  if (entry.kind == EntryKind::kFile || entry.kind == EntryKind::kStream) {
    CKPT_ASSIGN_OR_RETURN(auto same, OpenIfSame(entry, *place, *there));
    if (same != nullptr) {
      CKPT_ASSIGN_OR_RETURN(bool dressed, SameAttributes(same.get(), entry, owner_));
      return dressed ? Decision::kKeep : Decision::kDress;
    }
  }
  if (options_.force) return Decision::kWrite;
  return in_the_way("it differs from the checkpoint's; --force overwrites it");
}

// The file that is there, open, when it has the entry's bytes; else null.
Result<std::unique_ptr<File>> Restorer::OpenIfSame(const Entry& entry,
                                                   const TargetTree::Place& place,
                                                   const FileInfo& there) {
  std::unique_ptr<File> none;
  if (there.kind != FileKind::kRegular || there.size_bytes != entry.logical_bytes) return none;
  auto file = place.dir->OpenFile(place.component, OpenOptions{});
  if (!file.ok()) return none;
  FileComparer comparer(fetcher_.get(),
                        [this](std::uint64_t bytes) { return ReportCompared(bytes); });
  CKPT_ASSIGN_OR_RETURN(bool same, comparer.SameContent(entry, file->get()));
  return same ? *std::move(file) : std::move(none);
}

Result<Entry> Restorer::FirstOf(const Entry& link) {
  EntryTableReader table(manifest_.entry_table, fetcher_.get());
  return FileOfLink(link, &table);
}

// True when `there` is already the file it shall be a link to, and that file stays as it is: one
// that is written anew leaves its old links with the old content.
Result<bool> Restorer::IsLinked(const Entry& entry, const FileInfo& there) {
  TargetTree tree(root_);
  auto place = tree.Find(entry.target, false);
  if (!place.ok()) return false;
  auto info = place->dir->StatEntry(place->component);
  if (!info.ok() || info->inode != there.inode || info->device != there.device) return false;
  CKPT_ASSIGN_OR_RETURN(Entry first, FirstOf(entry));
  auto decision = Decide(first, &tree);
  return decision.ok() && *decision != Decision::kWrite;
}

Status Restorer::Write(std::shared_ptr<Dir> root) {
  root_ = std::move(root);
  RemoveLeftovers();
  TargetTree tree(root_);
  ParallelReader reader(fetcher_.get(), store_->threads());
  EntryTableReader table(manifest_.entry_table, fetcher_.get());
  for (std::size_t i = 0;;) {
    CKPT_ASSIGN_OR_RETURN(auto entry, table.Next());
    if (!entry.has_value()) break;
    if (entry->kind == EntryKind::kArray || !Included(entry->name)) continue;
    Status s = WriteEntry(*entry, decisions_[i++], &tree, &reader);
    if (!s.ok()) {
      Status earlier = reader.error();  // of a file before it, which the threads were at
      return earlier.ok() ? std::move(s).WithContext(Restoring(*entry)) : earlier;
    }
    CKPT_RETURN_IF_ERROR(Report(i));
  }
  CKPT_RETURN_IF_ERROR(reader.Drain());
  for (const Entry& link : links_) {
    CKPT_ASSIGN_OR_RETURN(auto place, tree.Find(link.name, true));
    CKPT_RETURN_IF_ERROR(WriteLink(link, place, &reader));
  }
  CKPT_RETURN_IF_ERROR(reader.Drain());
  written_ = total_bytes_;  // holes too, which nobody wrote
  CKPT_RETURN_IF_ERROR(Report(decisions_.size()));
  if (options_.sync) CKPT_RETURN_IF_ERROR(SyncFolders());
  return FinishFolders();
}

Status Restorer::WriteEntry(const Entry& entry, Decision decision, TargetTree* tree,
                            ParallelReader* reader) {
  CKPT_ASSIGN_OR_RETURN(auto place, tree->Find(entry.name, true));
  if (entry.kind == EntryKind::kDirectory) return MakeFolder(entry, place);
  if (decision == Decision::kKeep) return Status();
  if (decision == Decision::kDress) return Dress(entry, place);
  switch (entry.kind) {
    case EntryKind::kSymlink:
      return WriteSymlink(entry, place);
    case EntryKind::kHardLink:
      links_.push_back(entry);
      return Status();
    default:
      return WriteFile(entry, std::move(place), reader);
  }
}

Status Restorer::WriteSymlink(const Entry& entry, const TargetTree::Place& place) const {
  const std::string temporary = TemporaryName();
  CKPT_RETURN_IF_ERROR(place.dir->MakeSymlink(entry.target, temporary));
  LinkOnItsWay fresh(place.dir.get(), temporary);
  Status s = place.dir->SetEntryAttributes(temporary, InfoOf(entry), owner_);
  if (s.ok() || s.code() == Code::kPermission || s.code() == Code::kUnsupported) {
    s = place.dir->Rename(temporary, place.dir.get(), place.component);
  }
  if (s.ok()) fresh.Arrived();
  return s;
}

Status Restorer::WriteFile(const Entry& entry, TargetTree::Place place, ParallelReader* reader) {
  CKPT_ASSIGN_OR_RETURN(auto temporary, MakeTemporaryFile(store_->env(), place.dir.get()));
  auto target = std::make_shared<FileTarget>(std::move(place), std::move(temporary), entry, owner_,
                                             options_.sync, &written_);
  // Else a file of another length could get its name.
  return reader->Read(entry.content, std::move(target), entry.logical_bytes).status();
}

// Somebody else's file keeps its attributes.
Status Restorer::Dress(const Entry& entry, const TargetTree::Place& place) const {
  CKPT_ASSIGN_OR_RETURN(auto file, place.dir->OpenFile(place.component, OpenOptions{}));
  Status s = Decorate(file.get(), entry, owner_);
  return s.code() == Code::kPermission ? Status() : s;
}

Status Restorer::WriteLink(const Entry& entry, const TargetTree::Place& place,
                           ParallelReader* reader) {
  if (!Included(entry.target)) {  // the file it shares is not wanted: this is a file of its own
    CKPT_ASSIGN_OR_RETURN(Entry first, FirstOf(entry));
    first.name = entry.name;
    return WriteFile(first, place, reader);
  }
  TargetTree tree(root_);
  CKPT_ASSIGN_OR_RETURN(auto first, tree.Find(entry.target, false));
  std::string temporary = TemporaryName();
  CKPT_RETURN_IF_ERROR(first.dir->MakeHardLink(first.component, place.dir.get(), temporary));
  LinkOnItsWay fresh(place.dir.get(), temporary);
  Status s = place.dir->Rename(temporary, place.dir.get(), place.component);
  // Rename does nothing when both are already the same file.
  Status gone = place.dir->RemoveFile(temporary);
  fresh.Arrived();
  return s.ok() && !gone.ok() && gone.code() != Code::kNotFound ? gone : s;
}

Status Restorer::MakeFolder(const Entry& entry, const TargetTree::Place& place) {
  Status s = place.dir->MakeDir(place.component, 0700);
  if (!s.ok() && s.code() != Code::kExists) return s;
  folders_.push_back(entry);
  return Status();
}

// From the innermost out, when nothing is written into them any more: times and modes stay.
Status Restorer::FinishFolders() {
  for (auto entry = folders_.rbegin(); entry != folders_.rend(); ++entry) {
    TargetTree tree(root_);
    CKPT_ASSIGN_OR_RETURN(auto place, tree.Find(entry->name, false));
    CKPT_ASSIGN_OR_RETURN(auto dir, place.dir->OpenDir(place.component));
    CKPT_RETURN_IF_ERROR(Decorate(dir.get(), *entry, owner_));
    if (options_.sync) CKPT_RETURN_IF_ERROR(dir->Sync());
  }
  return Status();
}

// Those that are entries are synced with their attributes.
Status Restorer::SyncFolders() {
  TargetTree tree(root_);
  for (const std::string& folder : touched_) {
    auto entry = std::partition_point(folders_.begin(), folders_.end(),
                                      [&](const Entry& e) { return e.name < folder; });
    bool is_entry = entry != folders_.end() && entry->name == folder;
    if (folder.empty() || is_entry) continue;
    CKPT_ASSIGN_OR_RETURN(auto place, tree.Find(folder + "/", false));  // the folder itself
    CKPT_RETURN_IF_ERROR(place.dir->Sync());
  }
  return root_->Sync();
}

// Says which checkpoint is damaged. And the advice that comes with a full disk is about the
// store's; this is the target's.
Status Explain(Status status, const CheckpointRow& row, const std::string& to) {
  if (status.code() == Code::kCorruption) {
    return std::move(status).WithContext(FormatCheckpointName(row.series, row.attempt, row.step) +
                                         " is damaged");
  }
  if (status.code() != Code::kNoSpace) return status;
  return NoSpace("restoring into " + to +
                 ": no space is left on that file system, or in your quota there: free some, or"
                 " restore to another");
}

}  // namespace

Result<Restored> RestoreFiles(Store* store, const RestoreFilesOptions& options) {
  Restored result;
  CKPT_ASSIGN_OR_RETURN(
      auto ranks, ChooseCheckpoint(store, options.checkpoint, options.fallback, &result.fell_back));
  CKPT_ASSIGN_OR_RETURN(std::shared_ptr<Dir> root, FindTarget(store->env(), options.to));
  result.attempt = ranks.front().attempt;
  result.step = ranks.front().step;
  std::vector<std::unique_ptr<Restorer>> restorers;
  bool matched = false;
  std::uint64_t arrays = 0;
  for (const CheckpointRow& row : ranks) {
    CKPT_ASSIGN_OR_RETURN(Manifest manifest, store->ReadManifest(row));
    result.series = manifest.series;
    auto fetcher = Fetcher::Open(store, manifest.packs);
    if (!fetcher.ok()) return Explain(fetcher.status(), row, options.to);
    restorers.push_back(
        std::make_unique<Restorer>(store, options, std::move(manifest), *std::move(fetcher)));
    Status planned = restorers.back()->Plan(root, &result);
    if (!planned.ok()) return Explain(std::move(planned), row, options.to);
    matched = matched || restorers.back()->HasWork();
    arrays += restorers.back()->arrays();
  }
  const std::string name = FormatCheckpointName(result.series, result.attempt, result.step);
  if (!matched && arrays > 0) {
    return Unsupported(name +
                       " holds arrays and no files: the program that saved it restores it,"
                       " and 'cat' writes one to standard output");
  }
  if (!matched && !options.includes.empty()) {
    return NotFound(name + " has no entry that matches what is to be included");
  }
  if (arrays > 0) {
    store->Notice("left out of " + name + ", for the program that saved them: " +
                  std::to_string(arrays) + (arrays == 1 ? " array" : " arrays"));
  }
  if (options.dry_run) return result;
  if (root == nullptr) {
    auto made = MakeTarget(store->env(), options.to, options.sync);
    if (!made.ok()) return Explain(made.status(), ranks.front(), options.to);
    root = *std::move(made);
  }
  for (std::size_t i = 0; i < restorers.size(); ++i) {
    CKPT_RETURN_IF_ERROR(Explain(OfTheTarget(restorers[i]->Write(root)), ranks[i], options.to));
  }
  return result;
}

}  // namespace ckpt
