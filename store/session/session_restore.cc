// Restoring: finding the newest sound checkpoint that fits, and filling what is protected.

#include <algorithm>
#include <new>

#include "store/engine/convert.h"
#include "store/io/process.h"
#include "store/session/session.h"
#include "store/session/user_file.h"

namespace ckpt {
namespace {

constexpr char kUndefined[] =
    "; memory was overwritten, the contents of what is protected are now undefined";

bool IsConverted(const ArrayShape& saved, const ProtectedItem& item) {
  return item.convert && saved.dtype != item.dtype && CanConvert(saved.dtype, item.dtype);
}

// The shape of what was saved as it is here.
ArrayShape Converted(ArrayShape saved, const ProtectedItem& item) {
  saved.dtype = item.dtype;
  saved.element_bytes = *ElementBytesOf(item.dtype);
  return saved;
}

}  // namespace

std::string DescribeShape(const ArrayShape& shape) {
  std::string text = DtypeName(static_cast<int>(shape.dtype));
  if (shape.dtype == Dtype::kRecord || shape.dtype == Dtype::kString) {
    text += " of " + std::to_string(shape.element_bytes) + " bytes";
  }
  text += "[";
  for (std::size_t i = 0; i < shape.shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape.shape[i]);
  }
  return text + "]";
}

Status RefuseShape(const std::string& name, const ArrayShape& saved, const ArrayShape& here) {
  return InvalidArgument("'" + ShownName(name) + "' was saved as " + DescribeShape(saved) +
                         ", and is protected as " + DescribeShape(here));
}

Status Session::CheckCompatible(const Manifest& manifest) const {
  if (options_.compatibility.empty()) return Status();
  for (const auto& [key, value] : manifest.tags) {
    if (key != kCompatibilityTag || value == options_.compatibility) continue;
    std::string message = "step " + std::to_string(manifest.step) + " of '" + series_ +
                          "' was saved for \"" + value + "\", and this is \"" +
                          options_.compatibility + "\"";
    if (!options_.warn_only) {
      return InvalidArgument(message + ": use another series, or the input it was saved with");
    }
    store_->Notice(message);
  }
  return Status();
}

Status Session::CheckRanks(const Manifest& manifest) const {
  if (manifest.ranks == options_.ranks) return Status();
  return InvalidArgument("step " + std::to_string(manifest.step) + " of '" + series_ +
                         "' was saved by a run of " + std::to_string(manifest.ranks) +
                         " ranks, and this one has " + std::to_string(options_.ranks) +
                         ": each rank restores what it saved itself");
}

Status Session::CheckFits(const ArrayShape& saved, const ProtectedItem& item) const {
  if (!item.accepts) {
    if (saved.dtype == Dtype::kBytes && saved.shape.size() == 1) return Status();
    return InvalidArgument("'" + ShownName(item.name) + "' was saved as " + DescribeShape(saved) +
                           ", and is protected as a stream of bytes");
  }
  if (!IsConverted(saved, item)) return item.accepts(saved);
  Status s = item.accepts(Converted(saved, item));
  if (s.ok() || s.code() != Code::kInvalidArgument) return s;
  return InvalidArgument(s.message() + " (converted from " +
                         DtypeName(static_cast<int>(saved.dtype)) + ")");
}

// Every number is looked at before any memory is touched; arrays that are not converted are not
// read for this.
Status Session::CheckConversions(CheckpointReader* reader) {
  for (const auto& [name, item] : items_) {
    if (!item.convert) continue;
    auto found = reader->Find(name);
    if (!found.ok() && found.status().code() == Code::kNotFound) continue;  // lenient
    if (!found.ok()) return found.status();
    if (!IsConverted(found->entry->array, item)) continue;
    CKPT_RETURN_IF_ERROR(reader->GetAs(name, item.dtype, {}));
  }
  return Status();
}

// One saved without a layout may be of any.
Status Session::CheckLayout(const ProtectedItem& item) const {
  if (item.layout.empty()) return Status();
  auto saved = restored_record_.layouts.find(item.name);
  if (saved == restored_record_.layouts.end()) {
    if (options_.lenient) return Status();
    return InvalidArgument("'" + ShownName(item.name) +
                           "' was saved without a layout, and is protected with \"" + item.layout +
                           "\": ask for a lenient restore if it is that one");
  }
  if (saved->second == item.layout) return Status();
  return InvalidArgument("'" + ShownName(item.name) + "' was saved with the layout \"" +
                         saved->second + "\", and is protected with \"" + item.layout + "\"");
}

// Everything that can be refused is, before any memory is touched.
Status Session::Plan(CheckpointReader* reader, RestoreResult* result) {
  CKPT_RETURN_IF_ERROR(CheckCompatible(reader->manifest()));
  result->missing.clear();
  result->left_over.clear();
  restored_record_ = StateRecord();
  CKPT_ASSIGN_OR_RETURN(std::vector<std::string> names, reader->Names());
  if (std::binary_search(names.begin(), names.end(), kStateRecordName)) {
    const std::string name(kStateRecordName);
    CKPT_ASSIGN_OR_RETURN(auto found, reader->Find(name));
    if (found.entry->logical_bytes > kNodeBytesMax)
      return Corruption("the session's record is too long");
    Bytes bytes(found.entry->logical_bytes);
    CKPT_RETURN_IF_ERROR(reader->Get(name, bytes));
    CKPT_ASSIGN_OR_RETURN(restored_record_, DecodeStateRecord(bytes));
  }
  for (const std::string& name : names) {
    if (!items_.contains(name) && !name.starts_with(kReservedPrefix)) {
      result->left_over.push_back(name);
    }
  }
  for (const auto& [name, item] : items_) {
    auto found = reader->Find(name);
    if (!found.ok() && found.status().code() == Code::kNotFound) {
      result->missing.push_back(name);
      continue;
    }
    if (!found.ok()) return found.status();
    if (found->entry->kind != EntryKind::kArray) {
      return InvalidArgument("'" + ShownName(name) + "' was saved as a file, not from memory");
    }
    CKPT_RETURN_IF_ERROR(CheckFits(found->entry->array, item));
    CKPT_RETURN_IF_ERROR(CheckLayout(item));
  }
  if (result->missing.empty() || options_.lenient) return Status();
  return InvalidArgument("step " + std::to_string(reader->manifest().step) + " of '" + series_ +
                         "' does not have '" + ShownName(result->missing.front()) +
                         "', which is protected: ask for a lenient restore if it need not");
}

Result<Session::Known> Session::ReadIds(const CheckpointReader::Found& found) {
  Known known;
  known.shape = found.entry->array;
  known.logical_bytes = found.entry->logical_bytes;
  known.chunk_bytes =
      ArrayChunkBytes(store_->format().array_chunk_bytes, known.shape.element_bytes);
  ChunkListReader list(found.entry->content, found.fetcher);
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto item, list.Next());
    if (!item.has_value()) return known;
    // Of another place or size: no match is expected, and none does harm.
    known.ids.push_back(item->kind == ChunkItem::Kind::kChunk ? item->id : Id128());
  }
}

Status Session::FillItem(CheckpointReader* reader, const ProtectedItem& item) {
  auto found = reader->Find(item.name);
  if (!found.ok()) {
    return found.status().code() == Code::kNotFound ? Status() : found.status();  // lenient
  }
  const std::uint64_t bytes = found->entry->logical_bytes;
  const ArrayShape shape = found->entry->array;
  if (!item.load && IsConverted(shape, item)) {
    overwritten_.insert(item.name);
    CKPT_ASSIGN_OR_RETURN(MutableByteSpan memory, item.prepare(Converted(shape, item)));
    return reader->GetAs(item.name, item.dtype, memory);
  }
  CKPT_ASSIGN_OR_RETURN(known_[item.name], ReadIds(*found));
  if (item.load) {
    Bytes stream(bytes);
    CKPT_RETURN_IF_ERROR(reader->Get(item.name, stream));
    overwritten_.insert(item.name);
    return item.load(stream);
  }
  overwritten_.insert(item.name);
  CKPT_ASSIGN_OR_RETURN(MutableByteSpan memory, item.prepare(shape));
  return reader->Get(item.name, memory);
}

// Streams last: their functions may look at the arrays.
Status Session::Fill(CheckpointReader* reader) {
  known_.clear();
  for (const auto& [name, item] : items_) {
    if (!item.load) CKPT_RETURN_IF_ERROR(FillItem(reader, item));
  }
  for (const auto& [name, item] : items_) {
    if (item.load) CKPT_RETURN_IF_ERROR(FillItem(reader, item));
  }
  return Status();
}

Result<std::uint64_t> Session::AttachedLength(const std::string& path) const {
  auto file = OpenUserFile(env_, path, OpenMode::kRead);
  if (!file.ok() && file.status().code() == Code::kNotFound) return std::uint64_t{0};
  if (!file.ok()) return file.status();
  CKPT_ASSIGN_OR_RETURN(FileInfo info, (*file)->Stat());
  return info.size_bytes;
}

bool Session::IsSameFile(const std::string& a, const std::string& b) const {
  auto first = OpenUserFile(env_, a, OpenMode::kRead);
  auto second = OpenUserFile(env_, b, OpenMode::kRead);
  if (!first.ok() || !second.ok()) return false;
  auto info = (*first)->Stat();
  auto other = (*second)->Stat();
  return info.ok() && other.ok() && info->device == other->device && info->inode == other->inode;
}

// What the checkpoint noted of the file: under its name, or another one of the same file.
Session::Recorded Session::FindRecorded(const AttachedFile& file) const {
  const auto& recorded = restored_record_.files;
  auto found = recorded.find(file.name);
  if (found != recorded.end()) return found;
  return std::find_if(recorded.begin(), recorded.end(), [&](const auto& other) {
    return IsSameFile(PathFromRoot(other.first), file.path);
  });
}

// The files to be cut back, open for it, and to what.
Result<Session::FileCuts> Session::PlanCuts(std::vector<std::string>* not_attached) const {
  FileCuts cuts;
  std::map<std::string, std::uint64_t> rest = restored_record_.files;
  for (const AttachedFile& file : files_) {
    auto recorded = FindRecorded(file);
    if (recorded == restored_record_.files.end()) continue;
    rest.erase(recorded->first);
    CKPT_ASSIGN_OR_RETURN(std::uint64_t length, AttachedLength(file.path));
    if (length < recorded->second) {
      store_->Notice(file.name + " has " + std::to_string(length) + " bytes, " +
                     std::to_string(recorded->second) + " when the checkpoint was saved");
    }
    if (length <= recorded->second) continue;
    CKPT_ASSIGN_OR_RETURN(auto opened, OpenUserFile(env_, file.path, OpenMode::kReadWrite));
    cuts.emplace_back(std::move(opened), recorded->second);
  }
  for (const auto& [name, length] : rest) not_attached->push_back(name);
  return cuts;
}

Result<RestoreResult> Session::Restore(std::optional<std::int64_t> step) {
  CKPT_RETURN_IF_ERROR(CheckOutside());
  if (saved_step_.has_value() || begun_) {
    return InvalidArgument("Restore comes before the first save of a session, and once");
  }
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  auto view = SeriesView::Load(store_.get(), series_);
  if (!view.ok()) {
    Status missing = MissingOrDamaged(store_.get(), view.status());
    if (missing.code() != Code::kNotFound) return missing;
  }
  if (!step.has_value()) {
    if (!view.ok()) return RestoreResult();
    return RestoreFrom(*view, view->Line());
  }
  const CheckpointRow* row = view.ok() ? view->FindStep(*step) : nullptr;
  if (row == nullptr) {
    return MissingOrDamaged(
        store_.get(), NotFound("series '" + series_ + "' has no step " + std::to_string(*step)));
  }
  CKPT_ASSIGN_OR_RETURN(RestoreResult result, RestoreFrom(*view, {row}));
  std::vector<const CheckpointRow*> line = view->Line(1);
  if (!result.restored || row == line.front()) return result;
  // What came after it is abandoned from here on, even if nothing is saved.
  run_.begin_now = true;
  committer_->SetRun(run_);
  auto start = std::make_shared<Capture>();
  start->step = row->step + 1;
  start->generation = committer_->generation();
  start->has_base = true;
  start->base_attempt = base_attempt_;
  start->base_step = base_step_;
  Status begun = committer_->BeginAttempt(std::move(start));
  if (begun.ok()) return result;
  return Status(begun.code(), begun.message() + "; memory was overwritten with step " +
                                  std::to_string(row->step) +
                                  ", and what followed it is not yet abandoned");
}

Result<RestoreResult> Session::RestoreFrom(const SeriesView& view,
                                           const std::vector<const CheckpointRow*>& line) {
  RestoreResult result;
  overwritten_.clear();
  auto pass_over = [&](const CheckpointRow& row, const std::string& why) {
    result.passed_over.push_back(FormatCheckpointName(series_, row.attempt, row.step) + ": " + why);
    store_->Notice("not restored from " + result.passed_over.back());
  };
  auto refuse = [&](const Status& s) {
    return overwritten_.empty() ? s : Status(s.code(), s.message() + kUndefined);
  };
  for (const CheckpointRow* row : line) {
    auto state = StateOf(store_.get(), view, *row);
    if (!state.ok()) return refuse(state.status());
    if (*state == CheckpointState::kIncomplete) continue;  // never was whole
    if (*state == CheckpointState::kDamaged) {
      pass_over(*row, "damage is recorded in what it needs");
      continue;
    }
    Status s = TryRow(*row, &result);
    if (s.ok()) return result;
    if (s.code() != Code::kCorruption && s.code() != Code::kNotFound) return refuse(s);
    pass_over(*row, s.message());
  }
  if (result.passed_over.empty()) return result;
  return Corruption("no checkpoint of '" + series_ + "' can be restored; the newest is " +
                    result.passed_over.front() + (overwritten_.empty() ? "" : kUndefined));
}

// Whatever fails, no save relies on chunks of a checkpoint that it does not continue.
Status Session::TryRow(const CheckpointRow& row, RestoreResult* result) {
  Status s;
  calling_ = true;
  try {
    s = RestoreRow(row, result);
  } catch (const std::bad_alloc&) {
    s = OutOfMemory("no memory to restore step " + std::to_string(row.step));
  } catch (const std::exception& e) {
    s = Cancelled(std::string("a function that takes what is restored threw: ") + e.what());
  } catch (...) {
    s = Cancelled("a function that takes what is restored threw");
  }
  calling_ = false;
  if (s.ok()) return s;
  known_.clear();
  has_base_ = false;
  return s;
}

// What may be missing (lenient) keeps what it held before the restore; not bytes of a newer
// checkpoint that proved damaged half way.
Status Session::CheckMissing(const std::vector<std::string>& missing) const {
  for (const std::string& name : missing) {
    if (!overwritten_.contains(name)) continue;
    return Corruption("it does not have '" + ShownName(name) +
                      "', which a newer checkpoint that is damaged has overwritten");
  }
  return Status();
}

Status Session::RestoreRow(const CheckpointRow& row, RestoreResult* result) {
  const std::string name = series_ + "@" + row.attempt.id.ToHex() + ":" + std::to_string(row.step);
  CKPT_ASSIGN_OR_RETURN(auto reader, CheckpointReader::Open(store_.get(), name));
  CKPT_RETURN_IF_ERROR(CheckRanks(reader->manifest()));
  CKPT_RETURN_IF_ERROR(reader->UseRank(options_.rank));
  CKPT_RETURN_IF_ERROR(Plan(reader.get(), result));
  CKPT_RETURN_IF_ERROR(CheckMissing(result->missing));
  CKPT_RETURN_IF_ERROR(CheckConversions(reader.get()));
  std::vector<std::string> not_attached;
  CKPT_ASSIGN_OR_RETURN(FileCuts cuts, PlanCuts(&not_attached));
  CKPT_RETURN_IF_ERROR(Fill(reader.get()));
  for (auto& [file, length] : cuts) CKPT_RETURN_IF_ERROR(file->Truncate(length));
  result->restored = true;
  result->step = row.step;
  result->attempt = row.attempt.ordinal;
  for (const std::string& left : result->left_over) {
    if (items_.empty()) break;  // read by Get
    store_->Notice("the checkpoint has '" + ShownName(left) + "', which is not protected");
  }
  for (const std::string& file : not_attached) {
    store_->Notice("the checkpoint knows how long '" + ShownName(file) +
                   "' was, which is not attached: it is not cut back");
  }
  run_.has_parent = true;
  run_.parent_attempt = base_attempt_ = row.attempt.id;
  run_.parent_step = base_step_ = row.step;
  has_base_ = true;
  committer_->SetRun(run_);
  saved_step_ = row.step;
  not_filled_ = {result->left_over.begin(), result->left_over.end()};
  reader_ = std::move(reader);
  began_ns_ = env_->MonotonicNs();
  return Status();
}

Result<Entry> Session::Query(const std::string& name) {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  if (reader_ == nullptr) {
    return NotFound("nothing was restored, or a save has been made since");
  }
  CKPT_ASSIGN_OR_RETURN(auto found, reader_->Find(name));
  return *found.entry;
}

Status Session::Get(const std::string& name, MutableByteSpan out) {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  if (reader_ == nullptr) {
    return NotFound("nothing was restored, or a save has been made since");
  }
  CKPT_ASSIGN_OR_RETURN(auto found, reader_->Find(name));
  CKPT_ASSIGN_OR_RETURN(Known known, ReadIds(found));
  CKPT_RETURN_IF_ERROR(reader_->Get(name, out));
  known_[name] = std::move(known);  // sound, as far as it was read
  not_filled_.erase(name);
  return Status();
}

Status Session::GetAs(const std::string& name, Dtype dtype, MutableByteSpan out) {
  CKPT_ASSIGN_OR_RETURN(Entry entry, Query(name));
  if (entry.kind == EntryKind::kArray && entry.array.dtype == dtype) return Get(name, out);
  CKPT_RETURN_IF_ERROR(reader_->GetAs(name, dtype, {}));  // there is such a conversion
  const std::uint64_t elements = entry.logical_bytes / *ElementBytesOf(entry.array.dtype);
  const std::uint64_t here = out.size() / *ElementBytesOf(dtype);
  if (elements != here) {
    return InvalidArgument("'" + ShownName(name) + "' has " + std::to_string(elements) +
                           " elements, the memory given " + std::to_string(here));
  }
  if (!out.empty()) CKPT_RETURN_IF_ERROR(reader_->GetAs(name, dtype, out));
  not_filled_.erase(name);
  return Status();
}

}  // namespace ckpt
