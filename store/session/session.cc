// Opening, stepping and finishing; capturing is session_capture.cc, restoring session_restore.cc.

#include "store/session/session.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "store/codec/hash.h"
#include "store/engine/convert.h"
#include "store/io/process.h"
#include "store/session/allocation.h"
#include "store/session/memory_room.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kBufferBytesMin = 1u << 20;
// "Unfinished, run me again", where no signal says which.
constexpr int kExitUnfinished = 75;

Status CheckOptions(const SessionOptions& o) {
  if (o.ranks == 0 || o.rank >= o.ranks) {
    return InvalidArgument("rank " + std::to_string(o.rank) + " of " + std::to_string(o.ranks));
  }
  if (o.ranks > 1 && o.run_id.empty()) {
    return InvalidArgument(
        "with more than one rank, run_id must be one string for all of them:"
        " the job's id and its restart count, say");
  }
  auto is_time = [](double seconds) { return seconds >= 0; };  // NaN is none
  bool times = is_time(o.every_seconds) && is_time(o.durable_seconds) && is_time(o.grace_seconds);
  if (!times || o.every_steps < 0 || o.keep_every < 0 || o.keep_within_ns < 0) {
    return InvalidArgument("a session's times and counts must be 0 or more");
  }
  if (!(o.mean_time_between_failures_s > 0)) {
    return InvalidArgument("the mean time between failures must be above 0");
  }
  if (!(o.housekeeping_share >= 0 && o.housekeeping_share <= 1)) {
    return InvalidArgument("housekeeping_share must be from 0 to 1");
  }
  return Status();
}

// Where nobody listens: a computation must not go without checkpoints unknown to anybody. Nor end
// because whoever read its standard error has (I10).
void NoticeToStandardError(const std::string& text) {
  const std::string line = "ckpt: " + text + "\n";
  const NoPipeSignal no_signal;
  const ssize_t wrote = ::write(STDERR_FILENO, line.data(), line.size());
  (void)wrote;
}

// A process that ends by a signal does not come to the exit that writes what the code printed last.
void EndBy(int signal) {
  FlushStreams();
  SignalOwner::Get()->EndProcess(signal);
}

}  // namespace

Session::Session(Env* env, std::string series, SessionOptions options)
    : env_(env), series_(std::move(series)), options_(std::move(options)), pid_(::getpid()) {}

Status Session::OpenStore(const std::string& path) {
  OpenStoreOptions store = options_.store;
  if (store.mode == OpenStoreOptions::Mode::kRead) store.mode = OpenStoreOptions::Mode::kCreate;
  store.notice = options_.notice;
  // Collection from behind gives way to a signal.
  store.progress = [this, also = options_.store.progress](const Progress& progress) {
    return (committer_ == nullptr || committer_->MayKeepHouse()) && (!also || also(progress));
  };
  CKPT_ASSIGN_OR_RETURN(store_, Store::Open(env_, path, std::move(store)));
  const std::uint64_t least =
      std::max<std::uint64_t>(kBufferBytesMin, 4ull * store_->format().array_chunk_bytes);
  options_.buffer_bytes = std::max(options_.buffer_bytes, least);
  const std::uint64_t room = MemoryRoom(env_);
  if (room / 4 < options_.buffer_bytes) {
    options_.buffer_bytes = std::max(least, room / 4);
    store_->Notice("the session's buffer is " + std::to_string(options_.buffer_bytes) +
                   " bytes: a quarter of what the memory limit leaves");
  }
  return Status();
}

RunAttempt Session::MakeRun() const {
  RunAttempt run;
  run.id = options_.run_id.empty() ? env_->RandomId() : RunAttemptId(series_, options_.run_id);
  return run;
}

Result<std::unique_ptr<Session>> Session::Open(Env* env, const std::string& path,
                                               const std::string& series, SessionOptions options,
                                               SessionProbe probe) {
  CKPT_RETURN_IF_ERROR(ValidateSeriesName(series));
  CKPT_RETURN_IF_ERROR(CheckOptions(options));
  std::unique_ptr<Session> s(new Session(env, series, std::move(options)));
  SessionOptions& o = s->options_;
  if (!o.notice) o.notice = NoticeToStandardError;
  // Beyond that they are for ever, and could not be counted in nanoseconds.
  constexpr double kSecondsMax = 1e9;
  o.grace_seconds = std::min(o.grace_seconds, kSecondsMax);
  o.durable_seconds = std::min(o.durable_seconds, kSecondsMax);
  // What is both stops.
  std::erase_if(o.save_signals, [&](int signal) {
    return std::find(o.stop_signals.begin(), o.stop_signals.end(), signal) != o.stop_signals.end();
  });
  if (o.job_id.empty()) {
    o.job_id = EnvironmentVariable("SLURM_JOB_ID");
    o.job_restarts = EnvironmentNumber("SLURM_RESTART_COUNT");
  }
  if (o.end_time_ns == 0)
    o.end_time_ns = AllocationEndNs(o.ask_scheduler && o.rank == 0, env->RealtimeNs());
  CKPT_RETURN_IF_ERROR(s->OpenStore(path));
  CKPT_ASSIGN_OR_RETURN(s->series_lock_, s->store_->LockSeries(series, o.rank, o.series_wait_ms));
  s->run_ = s->MakeRun();
  std::vector<int> signals = o.stop_signals;
  signals.insert(signals.end(), o.save_signals.begin(), o.save_signals.end());
  CKPT_ASSIGN_OR_RETURN(s->signals_, SignalOwner::Get()->Subscribe(signals));
  s->committer_ = std::make_unique<Committer>(s->store_.get(), series, o, s->run_, s->signals_,
                                              std::move(probe));
  CKPT_RETURN_IF_ERROR(s->committer_->Start());
  s->generation_ = s->committer_->generation();
  s->tracker_ = ChangeTracker::Make(env, o.change_detection, o.audit_saves,
                                    [&](const std::string& text) { s->store_->Notice(text); });
  s->began_ns_ = env->MonotonicNs();
  return s;
}

Session::~Session() {
  if (::getpid() != pid_) {
    // A forked child's copy: threads and locks stayed with the parent, and so does the memory.
    (void)committer_.release();
    (void)store_.release();
    (void)series_lock_.release();
    (void)reader_.release();
    return;
  }
  if (committer_ != nullptr) {
    if (capture_ != nullptr) AbortCapture();
    committer_->Close();  // its thread asks for it as long as it runs
  }
  reader_.reset();
  committer_.reset();
  if (signals_.slot >= 0) SignalOwner::Get()->Unsubscribe(signals_);
}

Status Session::CheckCaller() {
  if (::getpid() != pid_) {
    return InvalidArgument("a forked child has no session: open one of its own, of another series");
  }
  if (finished_) return InvalidArgument("the session is finished");
  std::thread::id caller;
  if (caller_.compare_exchange_strong(caller, std::this_thread::get_id())) return Status();
  if (caller == std::this_thread::get_id()) return Status();
  return InvalidArgument(
      "a session is used by one thread, outside parallel regions; this is"
      " another one than before");
}

// A function that locates, saves or loads what is protected is called in the midst of a save or a
// restore.
Status Session::CheckOutside() {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  if (!calling_) return Status();
  return InvalidArgument(
      "a function that locates, saves or loads what is protected must not use its session");
}

Status Session::CheckName(const std::string& name) const {
  CKPT_RETURN_IF_ERROR(ValidateEntryName(name));
  if (!name.starts_with(kReservedPrefix)) return Status();
  return InvalidArgument("'" + ShownName(name) + "': names that begin with \"ckpt.\" are taken");
}

Status Session::Protect(ProtectedItem item) {
  CKPT_RETURN_IF_ERROR(CheckOutside());
  CKPT_RETURN_IF_ERROR(CheckName(item.name));
  bool array = item.locate && item.accepts && item.prepare;
  if (!array && !(item.save && item.load)) {
    return InvalidArgument("'" + ShownName(item.name) + "' has no functions to save and load it");
  }
  if (items_.contains(item.name)) {
    return InvalidArgument("'" + ShownName(item.name) + "' is protected already");
  }
  if (reader_ != nullptr && not_filled_.contains(item.name)) {
    return InvalidArgument("'" + ShownName(item.name) +
                           "' is in the checkpoint that was restored, and was not filled from it:"
                           " protect it before the restore, or read it (Get) first");
  }
  std::string name = item.name;
  items_.emplace(std::move(name), std::move(item));
  return Status();
}

Status Session::Unprotect(const std::string& name) {
  CKPT_RETURN_IF_ERROR(CheckOutside());
  if (items_.erase(name) > 0) return Status();
  return NotFound("'" + ShownName(name) + "' is not protected");
}

Status Session::AllowConversion(const std::string& name) {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  auto item = items_.find(name);
  if (item == items_.end()) return NotFound("'" + ShownName(name) + "' is not protected");
  if (!item->second.locate || !CanConvert(item->second.dtype, item->second.dtype)) {
    return InvalidArgument("'" + ShownName(name) +
                           "' has no elements to convert: only integers and"
                           " floats of up to 64 bits are");
  }
  item->second.convert = true;
  return Status();
}

Status Session::SetLayout(const std::string& name, const std::string& layout) {
  CKPT_RETURN_IF_ERROR(CheckOutside());
  auto item = items_.find(name);
  if (item == items_.end()) return NotFound("'" + ShownName(name) + "' is not protected");
  item->second.layout = layout;
  return Status();
}

Status Session::SetEffort(const std::string& name, Effort effort) {
  CKPT_RETURN_IF_ERROR(CheckOutside());
  auto item = items_.find(name);
  if (item == items_.end()) return NotFound("'" + ShownName(name) + "' is not protected");
  item->second.effort = effort;
  return Status();
}

Status Session::AttachFile(const std::string& path) {
  CKPT_RETURN_IF_ERROR(CheckOutside());
  if (path.empty()) return InvalidArgument("the path of a file to attach is empty");
  const AttachedFile file{path, PathFromRoot(path)};
  auto same = [&](const AttachedFile& other) { return other.name == file.name; };
  if (std::any_of(files_.begin(), files_.end(), same)) return Status();
  CKPT_RETURN_IF_ERROR(AttachedLength(file.path).status());
  if (reader_ != nullptr && FindRecorded(file) != restored_record_.files.end()) {
    return InvalidArgument("'" + path +
                           "' was attached to the checkpoint that was restored, and was not cut"
                           " back: attach it before the restore");
  }
  files_.push_back(file);
  return Status();
}

Cadence::Now Session::Now(std::int64_t step) const {
  return {step, env_->MonotonicNs(), env_->RealtimeNs()};
}

// ---- steps -------------------------------------------------------------------------------------

void Session::LookAtHandlers() {
  if (handlers_said_ || SignalOwner::Get()->HandlersInPlace(signals_)) return;
  handlers_said_ = true;
  store_->Notice(
      "another signal handler was installed over the session's: a stop signal may go"
      " unseen; open the session after whatever installs it (MPI_Init, say)");
}

// A fresh save is worth beginning only when what is left of the grace covers it.
bool Session::MayTakeFresh() const {
  const double cost = cadence_->durable_s();
  return committer_->GraceLeft() > 1.5 * cost;
}

StepResult Session::Step(std::int64_t step) {
  StepResult result;
  result.error = CheckOutside();
  if (!result.error.ok()) return result;
  if (capture_ != nullptr) {
    result.error = InvalidArgument("Step between Begin and End");
    return result;
  }
  if (step < 0 || (last_step_.has_value() && step < *last_step_) ||
      (saved_step_.has_value() && step < *saved_step_)) {
    result.error = InvalidArgument(
        "step " + std::to_string(step) + " does not follow step " +
        std::to_string(std::max(last_step_.value_or(-1), saved_step_.value_or(-1))));
    return result;
  }
  if (!cadence_.has_value()) StartCadence(step);
  const InStep in_step(committer_.get());
  result = StepNow(step);
  last_step_ = step;
  if (result.stop) committer_->StopWasReturned();
  return result;
}

void Session::StartCadence(std::int64_t step) {
  Cadence::Settings settings;
  settings.every_steps = options_.every_steps;
  settings.at_multiples = options_.ranks > 1;
  settings.every_seconds = options_.every_seconds;
  settings.mean_time_between_failures_s = options_.mean_time_between_failures_s;
  settings.end_time_ns = options_.end_time_ns;
  Cadence::Now start = Now(saved_step_.value_or(step > 0 ? step - 1 : 0));
  start.monotonic_ns = began_ns_;
  cadence_.emplace(settings, start);
  interval_s_ = cadence_->interval_s();
}

StepResult Session::StepNow(std::int64_t step) {
  StepResult result;
  committer_->LookForSignals();
  const bool repeated = last_step_ == step || saved_step_ == step;
  result.error = NoteFailure(committer_->TakeError());
  if (generation_ != committer_->generation()) rescan_ = true;
  result.stop = FailureStops();
  SignalOwner* owner = SignalOwner::Get();
  const bool stop = committer_->stop_signal() != 0 && owner->StopAt(step);
  // Asked in any case: it measures how long steps take.
  const bool due = cadence_->Due(Now(step)) && !repeated;
  const bool asked = !stop && committer_->TakeSaveRequest();
  const bool again = rescan_ && env_->MonotonicNs() - tried_ns_ >= kNsPerSecond;
  const bool wanted = stop ? MayTakeFresh() : due || asked || again;
  if (saved_step_ != step && wanted) {
    tried_ns_ = env_->MonotonicNs();
    Status saved = SaveAsTold(step, asked || stop);
    result.saved = saved.ok();
    if (result.error.ok()) result.error = std::move(saved);
    if (!result.saved && options_.on_error == OnError::kStop) result.stop = true;
    LookAtHandlers();
  }
  result.stop = result.stop || stop;
  if (!result.stop) owner->Passed(step);
  return result;
}

// By on_error: once more where trouble behind ended a capture that was still under way, for memory
// has not changed since; until it works or a signal comes where the owner says so.
Status Session::SaveAsTold(std::int64_t step, bool urgent) {
  constexpr std::int64_t kRetryMs = 200;
  for (int tries = 0;; ++tries) {
    Status s = SaveAll(step, urgent);
    if (s.ok() && options_.on_error == OnError::kRetry) s = committer_->WaitStaged();
    if (s.ok()) return s;
    rescan_ = true;
    saved_step_.reset();
    const bool storage = s.code() == Code::kNoSpace || s.code() == Code::kIo ||
                         s.code() == Code::kBusy || s.code() == Code::kCorruption;
    if (!storage) return s;
    committer_->LookForSignals();
    const bool stopping = committer_->stop_signal() != 0;
    if (options_.on_error != OnError::kRetry || stopping) {
      if (tries > 0 || s.code() != Code::kNoSpace) return s;
    } else {
      env_->SleepMs(kRetryMs);
    }
  }
}

Status Session::WaitStaged() {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  return NoteFailure(committer_->WaitStaged());
}

Status Session::Commit() {
  CKPT_RETURN_IF_ERROR(CheckCaller());
  return NoteFailure(committer_->WaitDurable());
}

// A failure behind has consequences at the next step, whoever was told of it first.
Status Session::NoteFailure(Status status) {
  failed_behind_ = failed_behind_ || !status.ok();
  return status;
}

// The consequences: a later Step saves all, or the code is to stop.
bool Session::FailureStops() {
  const bool failed = std::exchange(failed_behind_, false);
  rescan_ = rescan_ || failed;
  return failed && options_.on_error == OnError::kStop;
}

SessionReport Session::Report() {
  if (::getpid() != pid_ || committer_ == nullptr) return SessionReport();
  SessionReport report = committer_->Report();
  if (tracker_ != nullptr) report.missed_bytes = tracker_->missed_bytes();
  report.handlers_replaced = handlers_said_;
  report.interval_s = interval_s_;
  return report;
}

FinishResult Session::Finish(bool complete) {
  FinishResult result;
  result.error = CheckOutside();
  if (!result.error.ok()) {
    result.refused = true;
    return result;
  }
  if (capture_ != nullptr) AbortCapture();
  committer_->SetInStep(true);  // from here on the process is ended here, or not at all
  committer_->LookForSignals();
  result.error = committer_->WaitDurable();
  if (!result.error.ok()) {
    store_->Notice("the session of '" + series_ +
                   "' ends, and not all of it is saved: " + result.error.message());
  }
  const int signal = committer_->stop_signal();
  committer_->Close();
  reader_.reset();
  series_lock_.reset();
  finished_ = true;
  SignalOwner* owner = SignalOwner::Get();
  const bool previous = signal != 0 && owner->HasPrevious(signal);
  if (!owner->Unsubscribe(signals_) && !handlers_said_) {
    store_->Notice("another signal handler was installed over the session's, and left there");
  }
  signals_.slot = -1;
  if (!complete) result.exit_code = signal != 0 ? 128 + signal : kExitUnfinished;
  if (signal == 0) {
    EndByLateSignal(complete, &result);
    return result;
  }
  // With several ranks one that ends by a signal takes the others' last save with it; of several
  // sessions the last one ends the process.
  bool ends = !complete && options_.on_stop == OnStop::kEndBySignal && options_.ranks == 1;
  if (ends && !previous && !owner->IsNamed(signal)) EndBy(signal);
  return result;
}

// What came between the committer's last look and the handlers' return is as if it came now: when
// nothing was stopped by it, and nobody else has heard of it.
void Session::EndByLateSignal(bool complete, FinishResult* result) {
  const auto& stops = options_.stop_signals;
  for (int signal : committer_->Unanswered()) {
    const bool stop = std::find(stops.begin(), stops.end(), signal) != stops.end();
    if (stop && !complete) result->exit_code = 128 + signal;
    if (SignalOwner::Get()->IsNamed(signal)) continue;
    struct sigaction now = {};
    // A function from before was called when the signals were given back.
    if (sigaction(signal, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) continue;
    const bool left = !complete && (options_.on_stop == OnStop::kLeaveExit || options_.ranks > 1);
    if (stop && !left) EndBy(signal);
  }
}

}  // namespace ckpt
