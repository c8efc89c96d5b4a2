#include "store/engine/save_files.h"

#include <algorithm>
#include <map>
#include <set>

#include "store/engine/chunk_pipeline.h"
#include "store/engine/file_walk.h"
#include "store/engine/places_before.h"
#include "store/engine/stream_cutter.h"
#include "store/engine/unchanged_chunks.h"

namespace ckpt {
namespace {

constexpr std::int64_t kTrustAgeNs = 2'000'000'000;
constexpr int kReadAttempts = 3;
// In a smaller file there is little to be spared.
constexpr std::uint64_t kCompareBytesLeast = 1u << 20;
constexpr std::int64_t kReportEveryNs = 100'000'000;
constexpr std::int64_t kCountAfterNs = 500'000'000;

bool SameFile(const FileInfo& a, const FileInfo& b) {
  return a.size_bytes == b.size_bytes && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns &&
         a.device == b.device && a.inode == b.inode;
}

// The entry of the checkpoint before with a given name, asked for in ascending order of names.
class PreviousEntries {
 public:
  explicit PreviousEntries(CheckpointWriter* writer) {
    if (writer->previous() == nullptr) return;
    reader_.emplace(writer->previous()->entry_table, writer->previous_source());
  }

  const Entry* Find(const std::string& name) {
    while (reader_.has_value() && (!entry_.has_value() || entry_->name < name)) {
      auto next = reader_->Next();
      if (!next.ok() || !next->has_value()) {
        reader_.reset();  // the end, or damage: then what follows is read in full
        entry_.reset();
        break;
      }
      entry_ = **std::move(next);
    }
    return entry_.has_value() && entry_->name == name ? &*entry_ : nullptr;
  }

 private:
  std::optional<EntryTableReader> reader_;
  std::optional<Entry> entry_;
};

class FileSaver {
 public:
  FileSaver(Store* store, const SaveFilesOptions& options, CheckpointWriter* writer,
            const Chunker& chunker)
      : store_(store),
        options_(options),
        writer_(writer),
        previous_(writer),
        pipeline_(writer->chunks(), store->threads(), chunker.params().max_bytes),
        cutter_(&pipeline_, chunker) {
    same_host_ =
        writer->previous() != nullptr && writer->previous()->host == store->env()->HostId();
    begin_ns_ = store->env()->MonotonicNs();
  }

  Status Paths(const std::vector<std::string>& paths);
  Status Stream();
  // NotFound when there was nothing: an empty checkpoint would be the series' newest, and could be
  // all that a collection keeps.
  Status Finish() {
    CKPT_RETURN_IF_ERROR(pipeline_.Drain());
    if (pipeline_.known_used()) writer_->InheritPrevious();
    if (entries_ > 0) return ReportAll();
    return NotFound("nothing to save: what was named is empty, excluded or left out");
  }

 private:
  Status Visit(const FoundFile& found);
  Status AddPlain(const FoundFile& found, EntryKind kind, std::string target);
  Status AddFile(const FoundFile& found);
  enum class Read : std::uint8_t { kDone, kChanged, kVanished };
  Result<Read> ReadFile(const FoundFile& found, const Entry* before);
  void RememberName(const FileInfo& info, const std::string& name);
  // What the checkpoint before says of a file.
  struct FileBefore {
    std::optional<UnchangedChunks> unchanged;
    std::optional<PlacesBefore> places;
  };
  void LookBefore(const Entry& entry, const FileInfo& now, FileBefore* before);
  Status ReadExtents(File* file, const FileInfo& info, FileBefore* before, ChunkListBuilder* list,
                     std::uint64_t* read);
  Result<std::uint64_t> AddUnchanged(File* file, std::uint64_t offset, std::uint64_t end,
                                     FileBefore* before, ChunkListBuilder* list);
  Result<std::uint64_t> CutData(File* file, std::uint64_t offset, std::uint64_t end,
                                FileBefore* before, ChunkListBuilder* list);
  Status AddWhenDone(Entry entry, std::shared_ptr<ChunkListBuilder> list, std::uint64_t read);
  Status Submit(Entry entry);
  void FillStat(const FileInfo& info, Entry* entry) const;
  bool Unchanged(const Entry& before, const FileInfo& now) const;
  Status Report(bool now);
  Status ReportAll();
  Status CountWhatThereIs();

  Store* const store_;
  const SaveFilesOptions& options_;
  CheckpointWriter* const writer_;
  PreviousEntries previous_;
  ChunkPipeline pipeline_;
  StreamCutter cutter_;
  bool same_host_ = false;
  std::uint64_t entries_ = 0;
  // Files with several names, by device and inode: the first whose content is in the checkpoint.
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> linked_;
  Progress progress_{"saving", 0, 0, 0, 0};
  std::int64_t reported_ns_ = 0;
  std::int64_t begin_ns_ = 0;
  const std::vector<std::string>* paths_ = nullptr;  // to be counted once more, if need be
  WalkOptions walk_;
};

Status FileSaver::Report(bool now) {
  std::int64_t time = store_->env()->MonotonicNs();
  if (!now && time - reported_ns_ < kReportEveryNs) return Status();
  reported_ns_ = time;
  bool guess_holds = progress_.total_bytes != 0 && progress_.done_bytes <= progress_.total_bytes;
  if (paths_ != nullptr && !guess_holds && time - begin_ns_ >= kCountAfterNs) {
    CKPT_RETURN_IF_ERROR(CountWhatThereIs());
  }
  return store_->Report(progress_);
}

// At the end, when no guess of the total is needed any more.
Status FileSaver::ReportAll() {
  paths_ = nullptr;
  progress_.total_bytes = progress_.done_bytes;
  progress_.total_items = progress_.done_items;
  return Report(true);
}

// For work that lasts, so that somebody may want to know how long: a walk that only asks for sizes.
Status FileSaver::CountWhatThereIs() {
  const std::vector<std::string>& paths = *std::exchange(paths_, nullptr);
  std::uint64_t bytes = 0, items = 0;
  std::set<std::pair<std::uint64_t, std::uint64_t>> linked;
  Status status = WalkFiles(store_->env(), paths, walk_, [&](const FoundFile& found) {
    const FileInfo& info = found.info;
    bool first = info.links <= 1 || linked.emplace(info.device, info.inode).second;
    if (info.kind == FileKind::kRegular && first) bytes += info.size_bytes;
    return ++items % 1000 == 0 ? store_->Report(progress_) : Status();
  });
  if (status.code() == Code::kCancelled) return status;
  if (!status.ok()) bytes = items = 0;  // not known, then; the walk that saves tells why
  progress_.total_bytes = bytes;
  progress_.total_items = items;
  return Status();
}

void FileSaver::FillStat(const FileInfo& info, Entry* entry) const {
  entry->mode = info.mode;
  entry->uid = info.uid;
  entry->gid = info.gid;
  entry->mtime_ns = info.mtime_ns;
  entry->ctime_ns = info.ctime_ns;
  entry->device = info.device;
  entry->inode = info.inode;
  std::int64_t old_enough = writer_->start_ns() - kTrustAgeNs;
  entry->trusted_stat = info.mtime_ns <= old_enough && info.ctime_ns <= old_enough;
}

bool FileSaver::Unchanged(const Entry& before, const FileInfo& now) const {
  return !options_.reread && same_host_ && before.kind == EntryKind::kFile && before.trusted_stat &&
         before.logical_bytes == now.size_bytes && before.mtime_ns == now.mtime_ns &&
         before.ctime_ns == now.ctime_ns && before.device == now.device &&
         before.inode == now.inode;
}

// Entries pass through the pipeline, so that they come into the table in order.
Status FileSaver::Submit(Entry entry) {
  ++entries_;
  return pipeline_.AddAction(
      [this, entry = std::move(entry)] { return writer_->AddEntry(entry, 0); });
}

Status FileSaver::AddPlain(const FoundFile& found, EntryKind kind, std::string target) {
  Entry entry;
  entry.kind = kind;
  entry.name = found.name;
  entry.target = std::move(target);
  FillStat(found.info, &entry);
  if (kind == EntryKind::kDirectory) {
    auto dir = found.dir->OpenDir(found.component);
    if (!dir.ok()) return dir.status();
    CKPT_ASSIGN_OR_RETURN(entry.xattrs, (*dir)->ExtendedAttributes());
  }
  return Submit(std::move(entry));
}

Status FileSaver::Visit(const FoundFile& found) {
  ++progress_.done_items;
  CKPT_RETURN_IF_ERROR(Report(false));
  switch (found.info.kind) {
    case FileKind::kRegular:
      return AddFile(found);
    case FileKind::kDirectory:
      return AddPlain(found, EntryKind::kDirectory, "");
    case FileKind::kSymlink: {
      CKPT_ASSIGN_OR_RETURN(std::string target, found.dir->ReadLink(found.component));
      return AddPlain(found, EntryKind::kSymlink, std::move(target));
    }
    case FileKind::kOther:
      break;
  }
  std::string name = "'" + found.name + "'";
  constexpr std::string_view kWhy = "a device, pipe or socket, which cannot be saved";
  if (found.named) {
    return InvalidArgument(name + " is " + std::string(kWhy) +
                           " (a stream can: ckpt-store save SERIES -)");
  }
  store_->Notice("leaving out " + name + ": " + std::string(kWhy));
  return Status();
}

// Only for names that are entries by now: a file may vanish between the walk and its reading, and a
// link to a name that is not in the checkpoint has no content.
void FileSaver::RememberName(const FileInfo& info, const std::string& name) {
  if (info.links > 1) linked_.emplace(std::pair(info.device, info.inode), name);
}

Status FileSaver::AddFile(const FoundFile& found) {
  if (found.info.links > 1) {
    auto first = linked_.find(std::pair(found.info.device, found.info.inode));
    if (first != linked_.end()) return AddPlain(found, EntryKind::kHardLink, first->second);
  }
  const Entry* before = previous_.Find(found.name);
  if (before != nullptr && Unchanged(*before, found.info)) {
    writer_->InheritPrevious();
    Entry entry = *before;
    FillStat(found.info, &entry);
    progress_.done_bytes += entry.logical_bytes;
    CKPT_RETURN_IF_ERROR(Submit(std::move(entry)));
    RememberName(found.info, found.name);
    return Status();
  }
  for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
    CKPT_ASSIGN_OR_RETURN(Read read, ReadFile(found, before));
    if (read != Read::kChanged) return Status();
  }
  return IoError("'" + found.name + "' kept changing while it was read (" +
                 std::to_string(kReadAttempts) + " times): save it when its writer is done");
}

// What was read of a file that changed meanwhile is dropped.
Result<FileSaver::Read> FileSaver::ReadFile(const FoundFile& found, const Entry* before) {
  auto file = found.dir->OpenFile(found.component, OpenOptions{});
  if (!file.ok()) {
    bool vanished = file.status().code() == Code::kNotFound && !found.named;
    if (vanished) return Read::kVanished;
    return file.status();
  }
  CKPT_ASSIGN_OR_RETURN(FileInfo info, (*file)->Stat());
  auto list = std::make_shared<ChunkListBuilder>(FanOut::kContentDefined, writer_->chunks());
  Entry entry;
  entry.name = found.name;
  FillStat(info, &entry);
  CKPT_ASSIGN_OR_RETURN(entry.xattrs, (*file)->ExtendedAttributes());
  std::uint64_t read = 0;
  std::uint64_t done_before = progress_.done_bytes;
  FileBefore known;
  if (before != nullptr) LookBefore(*before, info, &known);
  CKPT_RETURN_IF_ERROR(ReadExtents(file->get(), info, &known, list.get(), &read));
  CKPT_ASSIGN_OR_RETURN(FileInfo after, (*file)->Stat());
  if (!SameFile(info, after)) {
    progress_.done_bytes = done_before;
    CKPT_RETURN_IF_ERROR(pipeline_.AddAction([list] { return Status(); }));
    return Read::kChanged;
  }
  CKPT_RETURN_IF_ERROR(AddWhenDone(std::move(entry), std::move(list), read));
  RememberName(info, found.name);
  return Read::kDone;
}

void FileSaver::LookBefore(const Entry& entry, const FileInfo& now, FileBefore* before) {
  if (entry.kind != EntryKind::kFile) return;
  if (std::min(entry.logical_bytes, now.size_bytes) < kCompareBytesLeast) return;
  before->unchanged.emplace(entry.content, writer_->previous_source(),
                            store_->format().chunker.max_bytes, store_->threads());
  if (!store_->options().deltas) return;
  before->places.emplace(entry.content, writer_->previous_source());
}

Status FileSaver::ReadExtents(File* file, const FileInfo& info, FileBefore* before,
                              ChunkListBuilder* list, std::uint64_t* read) {
  std::vector<Extent> extents{{0, info.size_bytes, false}};
  if (info.allocated_bytes < info.size_bytes) {
    CKPT_ASSIGN_OR_RETURN(extents, file->Extents());
  }
  for (const Extent& extent : extents) {
    if (extent.length_bytes == 0) continue;
    if (extent.hole) {
      CKPT_RETURN_IF_ERROR(pipeline_.AddHole(list, extent.length_bytes));
      progress_.done_bytes += extent.length_bytes;
      continue;
    }
    const std::uint64_t end = extent.offset + extent.length_bytes;
    std::uint64_t offset = extent.offset;
    for (bool ended = false; offset < end && !ended;) {
      CKPT_ASSIGN_OR_RETURN(offset, AddUnchanged(file, offset, end, before, list));
      if (offset == end) break;
      CKPT_ASSIGN_OR_RETURN(const std::uint64_t cut, CutData(file, offset, end, before, list));
      ended = cut == offset;  // a file that became shorter
      offset = cut;
    }
    *read += offset - extent.offset;
  }
  return Status();
}

// Both answer the offset they came to.
Result<std::uint64_t> FileSaver::AddUnchanged(File* file, std::uint64_t offset, std::uint64_t end,
                                              FileBefore* before, ChunkListBuilder* list) {
  while (before->unchanged.has_value() && offset < end) {
    CKPT_ASSIGN_OR_RETURN(std::vector<ChunkItem> run, before->unchanged->From(file, offset, end));
    if (run.empty()) break;
    for (ChunkItem& item : run) {
      offset += item.raw_bytes;
      progress_.done_bytes += item.raw_bytes;
      CKPT_RETURN_IF_ERROR(pipeline_.AddKnown(list, std::move(item)));
    }
    CKPT_RETURN_IF_ERROR(Report(false));
  }
  return offset;
}

// Until what comes may be as before again, the data ends, or the file does.
Result<std::uint64_t> FileSaver::CutData(File* file, std::uint64_t offset, std::uint64_t end,
                                         FileBefore* before, ChunkListBuilder* list) {
  std::uint64_t reading = offset;
  const std::uint64_t done_before = progress_.done_bytes;
  auto next = [&](MutableByteSpan out) -> Result<std::size_t> {
    CKPT_ASSIGN_OR_RETURN(std::size_t got, file->ReadAt(reading, out));
    reading += got;
    progress_.done_bytes += got;
    CKPT_RETURN_IF_ERROR(Report(false));
    return got;
  };
  StreamCutter::StopFn stop;
  if (before->unchanged.has_value()) {
    stop = [&](std::uint64_t cut) { return before->unchanged->MayGoOn(offset + cut); };
  }
  StreamCutter::KnownFn known;
  if (before->places.has_value()) {
    known = [&](std::uint64_t cut, std::size_t length) {
      return before->places->At(offset + cut, length);
    };
  }
  CKPT_ASSIGN_OR_RETURN(std::uint64_t cut, cutter_.Cut(next, end - offset, list, known, stop));
  progress_.done_bytes = done_before + cut;
  return offset + cut;
}

Status FileSaver::AddWhenDone(Entry entry, std::shared_ptr<ChunkListBuilder> list,
                              std::uint64_t read) {
  ++entries_;
  return pipeline_.AddAction(
      [this, entry = std::move(entry), list = std::move(list), read]() mutable {
        CKPT_ASSIGN_OR_RETURN(entry.content, list->Finish());
        entry.chunks = list->chunks();
        entry.logical_bytes = list->logical_bytes();
        return writer_->AddEntry(entry, read);
      });
}

Status FileSaver::Paths(const std::vector<std::string>& paths) {
  walk_.excludes = options_.excludes;
  CKPT_ASSIGN_OR_RETURN(FileInfo root, store_->root()->Stat());
  walk_.skip_device = root.device;
  walk_.skip_inode = root.inode;
  paths_ = &paths;
  WalkOptions walk = walk_;
  walk.notice = [this](const std::string& message) { store_->Notice(message); };
  // How much there is to do: what there was the last time is the best guess that costs nothing.
  if (const Manifest* previous = writer_->previous()) {
    progress_.total_bytes = previous->logical_bytes;
    progress_.total_items = previous->entries;
  }
  return WalkFiles(store_->env(), paths, walk, [this](const FoundFile& f) { return Visit(f); });
}

Status FileSaver::Stream() {
  auto list = std::make_shared<ChunkListBuilder>(FanOut::kContentDefined, writer_->chunks());
  auto next = [&](MutableByteSpan out) -> Result<std::size_t> {
    while (options_.stream_ready) {
      CKPT_ASSIGN_OR_RETURN(bool ready, options_.stream_ready());
      if (ready) break;
      CKPT_RETURN_IF_ERROR(Report(true));
    }
    CKPT_ASSIGN_OR_RETURN(std::size_t got, options_.stream(out));
    progress_.done_bytes += got;
    CKPT_RETURN_IF_ERROR(Report(false));
    return got;
  };
  CKPT_ASSIGN_OR_RETURN(std::uint64_t read, cutter_.Cut(next, UINT64_MAX, list.get()));
  Entry entry;
  entry.kind = EntryKind::kStream;
  entry.name = options_.stream_name;
  entry.mode = 0600;
  entry.uid = store_->env()->UserId();
  entry.mtime_ns = entry.ctime_ns = writer_->start_ns();
  return AddWhenDone(std::move(entry), std::move(list), read);
}

}  // namespace

Result<Saved> SaveFiles(Store* store, const std::vector<std::string>& paths,
                        const SaveFilesOptions& options) {
  if (paths.empty() && !options.stream) return InvalidArgument("nothing to save: name some files");
  if (options.stream) {
    if (!paths.empty()) return InvalidArgument("a stream is saved alone, without paths");
    CKPT_RETURN_IF_ERROR(ValidateEntryName(options.stream_name));
  }
  CKPT_ASSIGN_OR_RETURN(Chunker chunker, Chunker::Create(store->format().chunker));
  CKPT_ASSIGN_OR_RETURN(auto writer, CheckpointWriter::Begin(store, options.save));
  {
    FileSaver saver(store, options, writer.get(), chunker);
    CKPT_RETURN_IF_ERROR(options.stream ? saver.Stream() : saver.Paths(paths));
    CKPT_RETURN_IF_ERROR(saver.Finish());
  }
  if (options.confirm && !options.confirm()) return Cancelled("the caller refused what was read");
  return writer->End();
}

}  // namespace ckpt
