#include "store/session/committer.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "store/io/quiet_thread.h"
#include "store/session/state_record.h"

namespace ckpt {
namespace {

// So many checkpoints may be staged before the first of them is committed, when each is to be; and
// when only time or a signal is to make them durable.
constexpr std::size_t kStagedMax = 4;
constexpr std::size_t kStagedLongMax = 1000;
constexpr std::uint64_t kMeasuredBytesMin = 512u << 10;  // fewer say nothing about the disk
constexpr std::int64_t kRoomPause = 5 * kNsPerSecond;    // between two tries to make room in vain
constexpr double kGuessedRate = 50e6;  // bytes a second, before anything is measured

RetentionRules RulesOf(const std::string& series, const SessionOptions& options) {
  RetentionRules rules;
  rules.series = series;
  rules.keep_last = options.keep_last;
  rules.keep_every = options.keep_last > 0 ? options.keep_every : 0;
  rules.keep_within_ns = options.keep_last > 0 ? options.keep_within_ns : 0;
  return rules;
}

// What `work` throws, as a status.
template <typename Work>
Status Caught(const Work& work) noexcept {
  try {
    work();
    return Status();
  } catch (const std::bad_alloc&) {
    return NoMemoryLeft();
  } catch (const std::exception& e) {
    try {
      return Internal(e.what());
    } catch (const std::bad_alloc&) {
      return NoMemoryLeft();
    }
  }
}

std::string Fixed(double value) {
  const std::int64_t thousandths = std::llround(value * 1000);
  std::string digits = std::to_string(thousandths % 1000);
  return std::to_string(thousandths / 1000) + "." + std::string(3 - digits.size(), '0') + digits;
}

}  // namespace

Committer::Committer(Store* store, std::string series, const SessionOptions& options,
                     RunAttempt run, SignalOwner::Subscription signals, SessionProbe probe)
    : store_(store),
      series_(std::move(series)),
      options_(options),
      quota_{options.quota_bytes, options.quota_files},
      signals_(std::move(signals)),
      probe_(std::move(probe)),
      ring_(options.buffer_bytes),
      housekeeper_(store, RulesOf(series_, options), options.housekeeping_share, quota_),
      run_(run) {}

Status Committer::Start() {
  report_.buffer_bytes = ring_.size_bytes();
  ReserveQueue();
  if (ring_.size_bytes() == 0) {
    return OutOfMemory("no memory for a session's buffer of " +
                       std::to_string(options_.buffer_bytes) + " bytes: make it smaller");
  }
  CKPT_ASSIGN_OR_RETURN(thread_, StartQuietThread([this] { Main(); }));
  return Status();
}

Committer::~Committer() { Close(); }

void Committer::Close() {
  if (!thread_.joinable()) return;
  Flush();
  {
    std::lock_guard lock(mutex_);
    stop_thread_ = true;
  }
  Wake();
  thread_.join();
}

double Committer::SecondsSince(std::int64_t ns) const {
  return static_cast<double>(store_->env()->MonotonicNs() - ns) * 1e-9;
}

// ---- the thread --------------------------------------------------------------------------------

void Committer::Main() {
  for (;;) {
    bool idle = true;
    Guarded([&] { idle = Turn(); });
    if (!idle) continue;
    {
      std::lock_guard lock(mutex_);
      if (stop_thread_ && queue_.empty()) break;
    }
    Wait();
  }
  Guarded([&] {
    if (!staged_.empty()) CommitNow(false);
    KeepHouse(true);
    if (writer_ != nullptr) CommitNow(true);
  });
  writer_.reset();
}

// True when there is nothing to do.
bool Committer::Turn() {
  LookForWaitingSignals();
  LookForSignals();
  if (CommitIsDue()) CommitNow(false);
  KeepHouse(false);
  CaptureMessage message;
  if (Pop(&message)) {
    Handle(std::move(message));
    return false;
  }
  if (CommitIsDue()) return false;
  AfterSignals();
  EndProcessIfDue();
  PollEpoch();
  return true;
}

// A thread has nobody to throw to, and the computation is to go on (I10).
void Committer::Guarded(const std::function<void()>& work) {
  Status s = Caught(work);
  if (s.ok()) return;
  keeping_house_ = false;
  making_room_ = false;
  Fail(std::move(s));
}

// Also while captures wait, or a code that saves all the time would never have it done; but not
// while the application waits for room, or a signal for a commit.
void Committer::KeepHouse(bool last) {
  if (stop_signal_.load() != 0 || room_wanted_.load() || writer_ == nullptr) return;
  if (!last && !housekeeper_.Due()) return;
  keeping_house_ = true;
  housekeeper_.AfterCommit(writer_.get(), last);
  keeping_house_ = false;
  std::lock_guard lock(mutex_);
  report_.removed = housekeeper_.removed();
  report_.freed_bytes = housekeeper_.freed_bytes();
}

void Committer::Handle(CaptureMessage message) {
  const Kind kind = message.kind;
  const std::int64_t begin = store_->env()->MonotonicNs();
  Status s;
  Status thrown = Caught([&] {
    if (kind == Kind::kBegin || kind == Kind::kAttempt) {
      bool current = message.capture->generation == generation_.load();
      current_ = current ? message.capture : nullptr;
      entries_.clear();
    }
    if (current_ != nullptr) s = Handle(kind, &message);
  });
  if (!thrown.ok()) s = std::move(thrown);
  busy_s_ += SecondsSince(begin);
  if (!s.ok()) Fail(std::move(s));
  if (kind == Kind::kChunk) {
    ring_.Release(message.ring_end);
    if (room_wanted_.load()) {
      std::lock_guard lock(mutex_);
      changed_.notify_all();
    }
  }
  if (kind == Kind::kEnd || kind == Kind::kAbort || kind == Kind::kAttempt) {
    std::lock_guard lock(mutex_);
    if (kind == Kind::kAttempt && current_ != nullptr) {
      staged_number_ = durable_number_ = current_->number;
    } else if (current_ == nullptr || kind == Kind::kAbort) {
      dropped_number_ = std::max(dropped_number_, message.capture->number);
      if (kind == Kind::kEnd) ++report_.failed_saves;
    }
    current_ = nullptr;
    changed_.notify_all();
  }
}

Status Committer::Handle(Kind kind, CaptureMessage* message) {
  switch (kind) {
    case Kind::kBegin:
      EnterOnDisk();
      if (quota_.any() && current_ != nullptr) CKPT_RETURN_IF_ERROR(EnterUnderQuota());
      if (current_ == nullptr) return Status();  // what was staged before could not be committed
      return OpenWriter(*current_);
    case Kind::kChunk:
      CKPT_RETURN_IF_ERROR(StayUnderQuota(message->raw.size()));
      CKPT_RETURN_IF_ERROR(
          writer_->chunks()->Put(message->raw, message->id, message->form, &encoder_,
                                 message->before.IsZero() ? nullptr : &message->before));
      At(SessionProbe::At::kPut, current_->step);
      return Status();
    case Kind::kArray:
      return PutArray(*message->array);
    case Kind::kEnd:
      return StageCurrent();
    case Kind::kAbort:
      CommitNow(false);
      writer_.reset();
      last_entries_.clear();
      return Status();
    case Kind::kAttempt:
      return OpenWriter(*current_);
  }
  return Status();
}

// What was captured last is what this capture's unchanged arrays are taken over from.
bool Committer::ContinuesLast() const {
  const Manifest* previous = writer_->previous();
  return last_entries_.empty() ||
         (previous != nullptr && previous->attempt.id == writer_->attempt().id &&
          previous->step == last_step_);
}

// Removed, or it cannot be read: a save begins without it.
Status Committer::NotContinued(const std::string& what) const {
  constexpr char kThen[] = "; the next save stores all of the state";
  const Status& why = writer_->no_previous_because();
  if (why.ok()) return NotFound(what + " is no longer there to be continued" + kThen);
  return Status(why).WithContext(what + " cannot be continued" + kThen);
}

Status Committer::OpenWriter(const Capture& capture) {
  if (writer_ != nullptr) {
    CKPT_RETURN_IF_ERROR(writer_->Next(capture.step));
  } else {
    Status begun = BeginWriter(capture);
    if (begun.code() == Code::kExists && options_.ranks == 1) {
      // Somebody took this run for dead and went on: what it does from here on is a branch.
      std::lock_guard lock(mutex_);
      if (report_.durable_step >= 0) {
        run_.has_parent = true;
        run_.parent_attempt = run_.id;
        run_.parent_step = report_.durable_step;
      }
      run_.id = store_->env()->RandomId();
    }
    CKPT_RETURN_IF_ERROR(std::move(begun));
  }
  if (!ContinuesLast()) {
    return NotContinued("step " + std::to_string(last_step_) + " of '" + series_ +
                        "', saved before,");
  }
  if (quota_.any()) {
    CKPT_RETURN_IF_ERROR(writer_->chunks()->RollOverBeyond(QuotaPackBytes()));
  }
  if (!capture.has_base) return Status();
  const Manifest* previous = writer_->previous();
  if (previous != nullptr && previous->attempt.id == capture.base_attempt &&
      previous->step == capture.base_step) {
    return Status();
  }
  return NotContinued("the checkpoint that was restored, step " +
                      std::to_string(capture.base_step) + " of '" + series_ + "',");
}

Status Committer::BeginWriter(const Capture& capture) {
  SaveOptions save;
  save.series = series_;
  save.step = capture.step;
  save.rank = options_.rank;
  save.ranks = options_.ranks;
  save.job_id = options_.job_id;
  save.job_restarts = options_.job_restarts;
  save.series_locked = true;
  save.adopts = !tight_;
  save.effort = options_.effort;
  if (!options_.compatibility.empty()) {
    save.tags.emplace_back(kCompatibilityTag, options_.compatibility);
  }
  {
    std::lock_guard lock(mutex_);
    save.run = run_;
  }
  CKPT_ASSIGN_OR_RETURN(writer_, CheckpointWriter::Begin(store_, std::move(save)));
  return Status();
}

Status Committer::PutArray(const CapturedArray& array) {
  if ((array.unchanged || array.inherits) && writer_->previous() == nullptr) {
    return Internal("'" + array.name + "' relies on a checkpoint that is not continued");
  }
  if (array.unchanged) {
    auto before = last_entries_.find(array.name);
    if (before == last_entries_.end()) return Internal("no array '" + array.name + "' before");
    writer_->InheritPrevious();
    entries_.emplace(array.name, before->second);
    return Status();
  }
  if (array.inherits) writer_->InheritPrevious();
  ChunkListBuilder list(FanOut::kFixed, writer_->chunks());
  std::uint64_t left = array.logical_bytes - array.inline_tail.size();
  for (const Id128& id : array.ids) {
    ChunkItem item;
    item.raw_bytes = std::min<std::uint64_t>(array.chunk_bytes, left);
    item.id = id;
    left -= item.raw_bytes;
    CKPT_RETURN_IF_ERROR(list.Add(std::move(item)));
  }
  if (!array.inline_tail.empty()) {
    ChunkItem item;
    item.kind = ChunkItem::Kind::kInline;
    item.raw_bytes = array.inline_tail.size();
    item.inline_bytes = array.inline_tail;
    CKPT_RETURN_IF_ERROR(list.Add(std::move(item)));
  }
  Entry entry;
  entry.kind = EntryKind::kArray;
  entry.name = array.name;
  entry.array = array.shape;
  CKPT_ASSIGN_OR_RETURN(entry.content, list.Finish());
  entry.chunks = list.chunks();
  entry.logical_bytes = list.logical_bytes();
  entries_.emplace(array.name, std::move(entry));
  return Status();
}

Status Committer::StageCurrent() {
  for (const auto& [name, entry] : entries_) {
    CKPT_RETURN_IF_ERROR(writer_->AddEntry(entry, entry.logical_bytes));
  }
  At(SessionProbe::At::kBeforeStage, current_->step);
  CKPT_RETURN_IF_ERROR(StayUnderQuota(0));
  CKPT_ASSIGN_OR_RETURN(Saved saved, writer_->Stage());
  At(SessionProbe::At::kStaged, current_->step);
  last_entries_ = std::move(entries_);
  last_step_ = current_->step;
  entries_.clear();
  quota_need_ = {saved.stored_bytes, 0};
  if (staged_.empty()) first_staged_ns_ = store_->env()->MonotonicNs();
  current_->staged_s = SecondsSince(current_->begin_ns);
  current_->stored_bytes = saved.stored_bytes;
  staged_.push_back(current_);
  std::lock_guard lock(mutex_);
  failing_ = false;
  staged_number_ = current_->number;
  report_.staged_step = current_->step;
  report_.stored_bytes += saved.stored_bytes;
  if (report_.last.step == current_->step) {
    report_.last.staged_s = current_->staged_s;
    report_.last.stored_bytes = saved.stored_bytes;
  }
  changed_.notify_all();
  return Status();
}

bool Committer::CommitIsDue() const {
  if (staged_.empty()) return false;
  bool urgent =
      std::any_of(staged_.begin(), staged_.end(), [](const auto& c) { return c->urgent; });
  if (urgent || commit_wanted_.load() || commit_signal_.load() || stop_signal_.load() != 0) {
    return true;
  }
  const bool each = options_.durability == Durability::kEachSave;
  if (staged_.size() >= (each ? kStagedMax : kStagedLongMax)) return true;
  if (options_.durability == Durability::kInterval &&
      SecondsSince(first_staged_ns_) >= options_.durable_seconds) {
    return true;
  }
  std::lock_guard lock(mutex_);
  return UndurableIsTooMuch() || (each && ends_queued_ == 0);
}

// What could not be made durable within half the grace.
bool Committer::UndurableIsTooMuch() const {
  const double rate = write_rate_ > 0 ? write_rate_ : kGuessedRate;
  return static_cast<double>(report_.undurable_bytes) > options_.grace_seconds / 2 * rate;
}

void Committer::CommitNow(bool closed) {
  if (writer_ == nullptr) {
    staged_.clear();
    commit_wanted_ = false;
    return;
  }
  const std::int64_t begin = store_->env()->MonotonicNs();
  const std::int64_t step = staged_.empty() ? -1 : staged_.back()->step;
  if (!staged_.empty()) At(SessionProbe::At::kBeforeCommit, step);
  if (Status s = writer_->Commit(closed); !s.ok()) return Fail(std::move(s));
  if (staged_.empty()) return;
  At(SessionProbe::At::kDurable, step);
  std::uint64_t bytes = 0;
  for (const auto& capture : staged_) bytes += capture->changed_bytes;
  busy_s_ += SecondsSince(begin);
  const double measured_s = bytes > kMeasuredBytesMin ? busy_s_ : 0;
  const double cost_s = staged_.back()->blocked_s + busy_s_ / static_cast<double>(staged_.size());
  busy_s_ = 0;
  {
    std::lock_guard lock(mutex_);
    // Of the newest: its End waits for this (WaitUntilWithinGrace).
    if (waits_since_ns_ != 0 && report_.last.step == step) {
      staged_.back()->blocked_s += SecondsSince(waits_since_ns_);
    }
    if (measured_s > 0) write_rate_ = static_cast<double>(bytes) / measured_s;
    durable_number_ = staged_.back()->number;
    save_cost_s_ = cost_s;
    report_.durable_step = step;
    report_.undurable_bytes -= std::min(bytes, report_.undurable_bytes);
    if (report_.last.step == step) {
      report_.last.durable_s = SecondsSince(staged_.back()->begin_ns);
    }
    changed_.notify_all();
  }
  tight_ = false;
  housekeeper_.Committed();
  const auto durable = std::exchange(staged_, {});
  for (const auto& capture : durable) {
    if (options_.log) Log(*capture);
  }
}

// Whatever was being written is lost, with the ids of all that came since; what was staged is taken
// over from the old pack by the next save, as far as it reads back true (I6).
void Committer::Fail(Status status) {
  const bool full = status.code() == Code::kNoSpace && !std::exchange(over_quota_, false);
  tight_ = tight_ || full;
  writer_.reset();
  staged_.clear();
  last_entries_.clear();
  current_ = nullptr;
  const std::int64_t now = store_->env()->MonotonicNs();
  Status unsaid = Caught([&] {
    if (full && (!failing_ || now - room_made_ns_ >= kRoomPause)) {
      room_made_ns_ = now;
      Status room = housekeeper_.MakeRoom(Housekeeper::kFullDiskWaitMs);
      if (!room.ok()) store_->Notice("no room could be made: " + room.message());
    }
    if (!std::exchange(failing_, true))
      store_->Notice("a checkpoint was not saved: " + status.message());
  });
  (void)unsaid;  // the next call of the application's says what was not saved
  std::lock_guard lock(mutex_);
  ++generation_;
  dropped_number_ = std::max(dropped_number_, std::max(staged_number_, durable_number_));
  if (error_.ok() && !Caught([&] { error_ = status; }).ok()) error_ = NoMemoryLeft();
  last_drop_ = std::move(status);
  report_.removed = housekeeper_.removed();
  report_.freed_bytes = housekeeper_.freed_bytes();
  report_.undurable_bytes = 0;
  changed_.notify_all();
}

void Committer::PollEpoch() {
  const std::int64_t now = store_->env()->MonotonicNs();
  if (writer_ == nullptr || now - polled_ns_ < kNsPerSecond) return;
  polled_ns_ = now;
  Status s = writer_->chunks()->PollEpoch();
  if (!s.ok()) Fail(std::move(s));
}

void Committer::Log(const Capture& save) const {
  std::string line = "ckpt " + series_ + "@" + std::to_string(save.step) + ": blocked " +
                     Fixed(save.blocked_s) + " s, staged " + Fixed(save.staged_s) + " s, durable " +
                     Fixed(SecondsSince(save.begin_ns)) + " s; " +
                     std::to_string(save.logical_bytes) + " bytes, " +
                     std::to_string(save.changed_bytes) + " changed, " +
                     std::to_string(save.stored_bytes) + " stored\n";
  ssize_t wrote = ::write(STDERR_FILENO, line.data(), line.size());
  (void)wrote;
}

}  // namespace ckpt
