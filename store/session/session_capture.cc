// Capturing: the part of a save that the application waits for; and saves of what is put.

#include <algorithm>
#include <new>

#include "store/session/chunk_hasher.h"
#include "store/session/session.h"

namespace ckpt {

Status Session::BeginCapture(std::int64_t step, bool urgent) {
  begun_ = true;
  const std::uint64_t generation = committer_->generation();
  if (generation != generation_) {
    known_.clear();
    has_base_ = false;
    generation_ = generation;
  }
  reader_.reset();
  capture_ = std::make_shared<Capture>();
  capture_->step = step;
  capture_->generation = generation;
  capture_->begin_ns = env_->MonotonicNs();
  capture_->urgent = urgent;
  capture_->has_base = has_base_;
  capture_->base_attempt = base_attempt_;
  capture_->base_step = base_step_;
  put_names_.clear();
  if (tracker_ != nullptr) tracker_->BeginSave();
  committer_->Begin(capture_);
  return Status();
}

// False: the capture is lost.
bool Session::CaptureChunks(ByteSpan data, const ChunkForm& form, Known* known,
                            CapturedArray* array) {
  const std::size_t known_count = known->ids.size();
  const std::size_t tail = data.size() % known->chunk_bytes;
  const std::size_t inline_bytes = tail <= kInlineBytesMax ? tail : 0;
  const std::size_t chunked = data.size() - inline_bytes;
  const std::size_t count = (chunked + known->chunk_bytes - 1) / known->chunk_bytes;
  known->ids.resize(count);
  Id128 copied;  // the last one: runs of equal chunks are copied once
  std::vector<bool> untouched;
  if (tracker_ != nullptr) untouched = tracker_->Untouched(data, known->chunk_bytes, &known->track);
  untouched.resize(std::min(untouched.size(), known_count));
  const bool trusts = tracker_ != nullptr && tracker_->trusts();
  ChunkHasher hasher(data.first(chunked), known->chunk_bytes, options_.hash_threads,
                     trusts ? &untouched : nullptr);
  for (std::size_t i = 0; i < count; ++i) {
    const bool vouched = i < untouched.size() && untouched[i];
    if (vouched && trusts) {
      array->inherits = true;
      capture_->vouched_bytes += hasher.Chunk(i).size();
      continue;
    }
    const Id128 id = hasher.Id(i);
    if (i < known_count && known->ids[i] == id) {
      array->inherits = true;
      continue;
    }
    if (vouched) MissedChange(array->name, i * known->chunk_bytes, hasher.Chunk(i).size());
    hasher.Changed();
    array->unchanged = false;
    const Id128 before = i < known_count ? known->ids[i] : Id128();
    if (!(id == copied) && !committer_->Copy(hasher.Chunk(i), id, before, form)) return false;
    known->ids[i] = copied = id;
  }
  ByteSpan rest = data.last(inline_bytes);
  array->inline_tail.assign(rest.begin(), rest.end());
  return true;
}

// Told of the first: from then on nothing is trusted.
void Session::MissedChange(const std::string& name, std::uint64_t offset, std::uint64_t bytes) {
  if (tracker_->missed_bytes() == 0) {
    store_->Notice("'" + ShownName(name) + "' changed at byte " + std::to_string(offset) +
                   " or behind without the kernel's seeing it: earlier saves may lack that; from" +
                   " here on all is hashed. (Memory that devices write to is to be named:" +
                   " ckpt_session_written)");
  }
  tracker_->Missed(bytes);
}

Status Session::CaptureArray(const std::string& name, const ArrayView& view) {
  ArrayShape shape = view.shape;
  std::uint64_t bytes = 0;
  CKPT_RETURN_IF_ERROR(CompleteShape(&shape, &bytes));
  if (bytes != view.data.size()) {
    return InvalidArgument("'" + ShownName(name) + "' has " + std::to_string(view.data.size()) +
                           " bytes where its shape needs " + std::to_string(bytes));
  }
  if (!put_names_.insert(name).second) {
    return InvalidArgument("'" + ShownName(name) + "' was put into this checkpoint before");
  }
  Known& known = known_[name];
  const std::size_t chunk_bytes =
      ArrayChunkBytes(store_->format().array_chunk_bytes, shape.element_bytes);
  if (known.chunk_bytes != chunk_bytes) known = Known();
  known.chunk_bytes = chunk_bytes;
  auto array = std::make_unique<CapturedArray>();
  array->name = name;
  array->shape = shape;
  array->logical_bytes = bytes;
  array->chunk_bytes = chunk_bytes;
  array->unchanged = known.captured && known.shape == shape && known.logical_bytes == bytes;
  if (!CaptureChunks(view.data, FormOf(shape, view.effort), &known, array.get())) {
    return committer_->LostReason();
  }
  // An inline tail may have changed without any chunk; its entry is small.
  array->unchanged = array->unchanged && array->inline_tail.empty();
  if (!array->unchanged) array->ids = known.ids;
  known.shape = std::move(shape);
  known.logical_bytes = bytes;
  known.captured = true;
  capture_->logical_bytes += bytes;
  committer_->EndArray(std::move(array));
  return Status();
}

// What was noted of an array that was left half captured would be worth nothing: then the save is
// given up.
Status Session::PutNow(const std::string& name, const ArrayView& view) {
  try {
    return CaptureArray(name, view);
  } catch (const std::bad_alloc&) {
    AbortCapture();
    return OutOfMemory("no memory to capture '" + ShownName(name) + "'; the save is given up");
  }
}

Status Session::CaptureProtected() {
  for (const auto& [name, item] : items_) {
    if (item.locate) {
      CKPT_ASSIGN_OR_RETURN(ArrayView view, item.locate());
      view.effort = item.effort;
      CKPT_RETURN_IF_ERROR(CaptureArray(name, view));
      continue;
    }
    CKPT_ASSIGN_OR_RETURN(Bytes bytes, item.save());
    ArrayShape shape;
    shape.dtype = Dtype::kBytes;
    shape.shape = {bytes.size()};
    CKPT_RETURN_IF_ERROR(CaptureArray(name, {bytes, shape, item.effort}));
  }
  return Status();
}

// What is not memory of the application's: lengths of attached files, layouts.
Status Session::CaptureRecord() {
  StateRecord record;
  for (const AttachedFile& file : files_) {
    CKPT_ASSIGN_OR_RETURN(record.files[file.name], AttachedLength(file.path));
  }
  for (const std::string& name : put_names_) {
    auto item = items_.find(name);
    if (item != items_.end() && !item->second.layout.empty()) {
      record.layouts[name] = item->second.layout;
    }
  }
  if (record == StateRecord()) return Status();
  Bytes bytes = EncodeStateRecord(record);
  ArrayShape shape;
  shape.dtype = Dtype::kBytes;
  shape.shape = {bytes.size()};
  return CaptureArray(std::string(kStateRecordName), {bytes, shape, Effort::kUnsaid});
}

void Session::EndCapture() {
  const double blocked_s = static_cast<double>(env_->MonotonicNs() - capture_->begin_ns) * 1e-9;
  const std::int64_t step = capture_->step;
  saved_step_ = step;
  // What this checkpoint does not hold, the next one cannot take over from it.
  std::erase_if(known_, [&](const auto& known) { return !put_names_.contains(known.first); });
  has_base_ = false;  // from here on what was captured last is the base
  rescan_ = false;
  if (tracker_ != nullptr) {
    capture_->first_write_s = tracker_->first_write_seconds();
    tracker_->EndSave();
  }
  capture_.reset();
  const double waited_s = committer_->End(blocked_s);
  cadence_->Saved(Now(step));
  cadence_->Costs(blocked_s + waited_s, committer_->SaveCost());
  interval_s_ = cadence_->interval_s();
}

// Ids that were noted of chunks that may never be stored are worth nothing.
void Session::AbortCapture() {
  capture_.reset();
  known_.clear();
  has_base_ = false;
  if (tracker_ != nullptr) tracker_->EndSave();  // all of the next is hashed
  committer_->Abort();
}

Status Session::SaveAll(std::int64_t step, bool urgent) {
  CKPT_RETURN_IF_ERROR(BeginCapture(step, urgent));
  Status s;
  calling_ = true;
  try {
    s = CaptureProtected();
    if (s.ok()) s = CaptureRecord();
  } catch (const std::bad_alloc&) {
    s = OutOfMemory("no memory to capture step " + std::to_string(step));
  } catch (const std::exception& e) {
    s = Cancelled(std::string("a function that locates or saves what is protected threw: ") +
                  e.what());
  } catch (...) {
    s = Cancelled("a function that locates or saves what is protected threw");
  }
  calling_ = false;
  if (s.ok()) {
    EndCapture();
  } else {
    AbortCapture();
  }
  return s;
}

// ---- the primitive beneath a step ---------------------------------------------------------------

Status Session::Begin(std::int64_t step) {
  CKPT_RETURN_IF_ERROR(CheckOutside());
  if (capture_ != nullptr) return InvalidArgument("Begin before the End of the save begun before");
  if (step < 0 || (saved_step_.has_value() && step <= *saved_step_)) {
    return InvalidArgument("step " + std::to_string(step) + " does not follow step " +
                           std::to_string(saved_step_.value_or(-1)) + ", saved last");
  }
  if (!cadence_.has_value()) StartCadence(step);
  committer_->LookForSignals();
  return BeginCapture(step, committer_->stop_signal() != 0);
}

// By on_error, as far as that is possible: what was put is the caller's to put again, so the same
// step may then begin once more.
Status Session::EndAsTold() {
  Status s = CaptureRecord();
  // Lost under way, whether a Put was told so or not.
  if (s.ok() && capture_->generation != committer_->generation()) s = committer_->LostReason();
  if (!s.ok()) {
    AbortCapture();
    return s;
  }
  EndCapture();
  if (options_.on_error != OnError::kRetry) return s;
  s = committer_->WaitStaged();
  if (!s.ok()) saved_step_.reset();
  return s;
}

StepResult Session::End() {
  StepResult result;
  result.error = CheckOutside();
  if (!result.error.ok()) return result;
  if (capture_ == nullptr) {
    result.error = InvalidArgument("End without Begin");
    result.stop = FailureStops();  // a Put may have given it up
    if (result.stop) committer_->StopWasReturned();
    return result;
  }
  const InStep in_step(committer_.get());
  const std::int64_t step = capture_->step;
  Status s = EndAsTold();
  result.saved = s.ok();
  result.error = NoteFailure(s.ok() ? committer_->TakeError() : std::move(s));
  result.stop = FailureStops();
  if (result.saved) rescan_ = false;
  LookAtHandlers();
  committer_->LookForSignals();
  const bool told = committer_->stop_signal() != 0 && SignalOwner::Get()->StopAt(step);
  result.stop = result.stop || told;
  if (result.stop) committer_->StopWasReturned();
  if (!result.stop) SignalOwner::Get()->Passed(step);
  return result;
}

void Session::Abort() {
  if (!CheckOutside().ok() || capture_ == nullptr) return;
  AbortCapture();
}

Status Session::Put(const std::string& name, const ArrayView& view) {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  if (capture_ == nullptr) return InvalidArgument("Put without Begin");
  CKPT_RETURN_IF_ERROR(CheckName(name));
  const InStep in_step(committer_.get());
  Status s = PutNow(name, view);
  return s.code() == Code::kInvalidArgument ? s : NoteFailure(std::move(s));
}

Status Session::Written(ByteSpan memory) {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  if (tracker_ != nullptr) tracker_->Written(memory);
  return Status();
}

}  // namespace ckpt
