// The committer's other side: what the application's thread and signals ask of it.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

#include "store/base/stream_copy.h"
#include "store/session/allocation.h"
#include "store/session/committer.h"

namespace ckpt {
namespace {

constexpr std::size_t kBatchBytes = 512u << 10;
constexpr std::size_t kBatchMessages = 64;
// So many checkpoints may be captured before the first of them is staged.
constexpr std::size_t kCapturedMax = 4;
constexpr int kIdleMs = 1000;
// Of a save: so much may be written behind while it is in a cache.
constexpr std::uint64_t kCachedBytes = 8u << 20;

}  // namespace

// ---- the queue ---------------------------------------------------------------------------------

void Committer::Wake() {
  const std::uint64_t one = 1;
  ssize_t wrote = ::write(signals_.event_fd, &one, sizeof(one));
  (void)wrote;  // full: it is awake
}

// So that a message always gets through, whatever memory there is.
void Committer::ReserveQueue() {
  batch_.reserve(kBatchMessages + 1);
  queue_.reserve(kBatchMessages + 1);
  for (int signal : options_.save_signals) seen_signals_[signal] = 0;
  for (int signal : options_.stop_signals) seen_signals_[signal] = 0;
}

// REQUIRES: mutex_ held by `lock`. Room for what is in batch_; without memory for more than there
// is, once the thread has taken all.
void Committer::MakeRoomInQueue(std::unique_lock<std::mutex>* lock) {
  const std::size_t need = queue_.size() + batch_.size();
  if (need <= queue_.capacity()) return;
  try {
    queue_.reserve(std::max(need, 2 * queue_.capacity()));
  } catch (const std::bad_alloc&) {
    queue_wanted_ = true;
    if (sleeping_) Wake();
    changed_.wait(*lock, [&] { return queue_.empty(); });
    queue_wanted_ = false;
  }
}

void Committer::Flush() {
  bool wake = false;
  {
    std::unique_lock lock(mutex_);
    MakeRoomInQueue(&lock);
    for (CaptureMessage& message : batch_) {
      if (message.kind == Kind::kEnd) ++ends_queued_;
      queue_.push_back(std::move(message));
    }
    wake = sleeping_;
  }
  batch_.clear();
  batch_bytes_ = 0;
  if (wake) Wake();
}

void Committer::Push(CaptureMessage message, bool now) {
  batch_bytes_ += message.raw.size();
  batch_.push_back(std::move(message));
  if (now || batch_bytes_ >= kBatchBytes || batch_.size() >= kBatchMessages) Flush();
}

// No more is captured than can be made durable in time (docs/sessions.md).
bool Committer::IsWithinGrace() const {
  const bool to_come = captured_number_ > std::max(durable_number_, dropped_number_);
  return !to_come || !UndurableIsTooMuch();
}

// One save alone may be more than that.
double Committer::WaitUntilWithinGrace() {
  const std::int64_t begin = store_->env()->MonotonicNs();
  std::unique_lock lock(mutex_);
  if (IsWithinGrace()) return 0;
  waits_since_ns_ = begin;
  changed_.wait(lock, [&] { return IsWithinGrace(); });
  waits_since_ns_ = 0;
  const double waited_s = SecondsSince(begin);
  report_.last.blocked_s += waited_s;
  report_.last.waited_s += waited_s;
  report_.blocked_s += waited_s;
  report_.waited_s += waited_s;
  return waited_s;
}

void Committer::Begin(std::shared_ptr<Capture> capture) {
  const std::int64_t begin = store_->env()->MonotonicNs();
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ends_queued_ < kCapturedMax && IsWithinGrace(); });
  }
  capture->waited_s = SecondsSince(begin);
  capture->number = ++begun_number_;
  capturing_ = std::move(capture);
  CaptureMessage message;
  message.kind = Kind::kBegin;
  message.capture = capturing_;
  Push(std::move(message), false);
}

bool Committer::Copy(ByteSpan raw, const Id128& id, const Id128& before, const ChunkForm& form) {
  std::uint64_t end = 0;
  std::byte* room = ring_.Take(raw.size(), &end);
  if (room == nullptr) {
    const std::int64_t begin = store_->env()->MonotonicNs();
    Flush();
    room_wanted_ = true;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      room = ring_.Take(raw.size(), &end);
      return room != nullptr || generation_.load() != capturing_->generation;
    });
    room_wanted_ = false;
    capturing_->waited_s += SecondsSince(begin);
    if (room == nullptr) return false;
  }
  if (capturing_->changed_bytes < kCachedBytes) {
    std::memcpy(room, raw.data(), raw.size());
  } else {
    StreamCopy(room, raw.data(), raw.size());
  }
  capturing_->changed_bytes += raw.size();
  CaptureMessage message;
  message.raw = ByteSpan(room, raw.size());
  message.id = id;
  message.before = before;
  message.form = form;
  message.ring_end = end;
  Push(std::move(message), false);
  return generation_.load() == capturing_->generation;
}

void Committer::EndArray(std::unique_ptr<CapturedArray> array) {
  CaptureMessage message;
  message.kind = Kind::kArray;
  message.array = std::move(array);
  Push(std::move(message), false);
}

double Committer::End(double blocked_s) {
  captured_number_ = capturing_->number;
  capturing_->blocked_s = blocked_s;
  {
    std::lock_guard lock(mutex_);
    report_.last = SaveReport();
    report_.last.step = capturing_->step;
    report_.last.blocked_s = blocked_s;
    report_.last.waited_s = capturing_->waited_s;
    report_.last.logical_bytes = capturing_->logical_bytes;
    report_.last.changed_bytes = capturing_->changed_bytes;
    report_.last.vouched_bytes = capturing_->vouched_bytes;
    report_.last.first_write_s = capturing_->first_write_s;
    ++report_.saves;
    report_.blocked_s += blocked_s;
    report_.waited_s += capturing_->waited_s;
    report_.changed_bytes += capturing_->changed_bytes;
    report_.undurable_bytes += capturing_->changed_bytes;
  }
  At(SessionProbe::At::kCaptured, capturing_->step);
  CaptureMessage message;
  message.kind = Kind::kEnd;
  message.capture = std::move(capturing_);
  Push(std::move(message), true);
  return WaitUntilWithinGrace();
}

void Committer::Abort() {
  CaptureMessage message;
  message.kind = Kind::kAbort;
  message.capture = std::move(capturing_);
  Push(std::move(message), true);
}

Status Committer::BeginAttempt(std::shared_ptr<Capture> capture) {
  const std::uint64_t number = captured_number_ = capture->number = ++begun_number_;
  CaptureMessage message;
  message.kind = Kind::kAttempt;
  message.capture = std::move(capture);
  Push(std::move(message), true);
  return WaitFor(number, durable_number_);
}

bool Committer::Pop(CaptureMessage* message) {
  std::lock_guard lock(mutex_);
  if (queue_.empty()) return false;
  *message = std::move(queue_[queue_begin_++]);
  if (queue_begin_ == queue_.size()) {
    queue_.clear();
    queue_begin_ = 0;
    if (queue_wanted_) changed_.notify_all();
  }
  if (message->kind == Kind::kEnd) --ends_queued_;
  return true;
}

int Committer::WaitMs() const {
  std::int64_t wait_ns = kIdleMs * 1'000'000LL;
  const std::int64_t now = store_->env()->MonotonicNs();
  if (signals_waiting_) wait_ns = std::min(wait_ns, SignalOwner::kWaitingMomentNs);
  if (stop_signal_.load() != 0) {
    wait_ns = std::min(wait_ns, static_cast<std::int64_t>(SecondsUntilEnd() * 1e9));
  }
  if (!staged_.empty() && options_.durability == Durability::kInterval) {
    wait_ns = std::min(wait_ns, first_staged_ns_ - now +
                                    static_cast<std::int64_t>(options_.durable_seconds * 1e9));
  }
  return static_cast<int>(std::max<std::int64_t>(0, wait_ns) / 1'000'000) + 1;
}

void Committer::Wait() {
  {
    std::lock_guard lock(mutex_);
    if (!queue_.empty() || stop_thread_) return;
    sleeping_ = true;
  }
  pollfd ready = {signals_.event_fd, POLLIN, 0};
  if (::poll(&ready, 1, WaitMs()) > 0) {
    std::uint64_t count = 0;
    ssize_t got = ::read(signals_.event_fd, &count, sizeof(count));
    (void)got;
  }
  std::lock_guard lock(mutex_);
  sleeping_ = false;
}

// ---- waiting -----------------------------------------------------------------------------------

Status Committer::TakeError() {
  std::lock_guard lock(mutex_);
  return std::exchange(error_, Status());
}

Status Committer::LostReason() {
  std::lock_guard lock(mutex_);
  error_ = Status();
  return last_drop_.ok() ? Cancelled("the save was given up") : last_drop_;
}

bool Committer::MayKeepHouse() {
  if (!keeping_house_.load() && !making_room_.load()) return true;
  LookForWaitingSignals();
  LookForSignals();
  // An application that waits for room in the buffer waits for room under the quota.
  return stop_signal_.load() == 0 && (making_room_.load() || !room_wanted_.load());
}

void Committer::SetRun(const RunAttempt& run) {
  std::lock_guard lock(mutex_);
  run_ = run;
}

Status Committer::WaitFor(std::uint64_t number, const std::uint64_t& reached) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return reached >= number || dropped_number_ >= number; });
  if (reached >= number) return Status();
  error_ = Status();  // told here
  return last_drop_.ok() ? Cancelled("the save was given up") : last_drop_;
}

Status Committer::WaitStaged() { return WaitFor(captured_number_, staged_number_); }

Status Committer::WaitDurable() {
  commit_wanted_ = true;
  Wake();
  Status s = WaitFor(captured_number_, durable_number_);
  commit_wanted_ = false;
  return s;
}

double Committer::SaveCost() const {
  std::lock_guard lock(mutex_);
  return save_cost_s_;
}

SessionReport Committer::Report() const {
  std::lock_guard lock(mutex_);
  SessionReport report = report_;
  report.stop_signal = stop_signal_.load();
  return report;
}

// ---- signals -----------------------------------------------------------------------------------

void Committer::LookForSignals() {
  std::lock_guard lock(mutex_);
  auto fresh = [&](int signal) {
    std::uint32_t count = SignalOwner::Get()->Count(signals_, signal);
    return std::exchange(seen_signals_[signal], count) != count;
  };
  auto stop = [&](int signal) {
    if (stop_signal_.load() != 0) return;  // a second one joins
    stop_ns_ = store_->env()->MonotonicNs();
    stop_grace_s_ =
        GraceSeconds(options_.grace_seconds, options_.end_time_ns, store_->env()->RealtimeNs());
    stop_signal_ = signal;
  };
  for (int signal : options_.save_signals) {
    if (!fresh(signal)) continue;
    save_requested_ = true;
    commit_signal_ = true;
    const std::int64_t left_ns = options_.end_time_ns - store_->env()->RealtimeNs();
    // An end that has passed longer ago was put off: we are still here.
    bool end_is_near = std::abs(static_cast<double>(left_ns) * 1e-9) < options_.grace_seconds;
    if (options_.end_time_ns != 0 && end_is_near) stop(signal);
  }
  for (int signal : options_.stop_signals) {
    if (fresh(signal)) stop(signal);
  }
}

void Committer::LookForWaitingSignals() {
  const std::int64_t now = store_->env()->MonotonicNs();
  if (now - looked_ns_ < SignalOwner::kWaitingMomentNs) return;
  looked_ns_ = now;
  signals_waiting_ = SignalOwner::Get()->TakeWaiting(signals_, now);
}

void Committer::SetInStep(bool in_step) {
  in_step_ = in_step;
  SignalOwner::Get()->Hold(signals_, in_step || stop_returned_.load());
}

void Committer::StopWasReturned() {
  stop_returned_ = true;
  SignalOwner::Get()->Hold(signals_, true);
}

std::vector<int> Committer::Unanswered() const {
  std::vector<int> signals;
  for (const auto& [signal, before] : signals_.before) {
    auto answered = answered_.find(signal);
    const std::uint32_t seen = answered == answered_.end() ? 0 : answered->second;
    if (SignalOwner::Get()->Count(signals_, signal) != seen) signals.push_back(signal);
  }
  return signals;
}

double Committer::GraceLeft() const {
  if (stop_signal_.load() == 0) return options_.grace_seconds;
  return stop_grace_s_.load() - SecondsSince(stop_ns_.load());
}

// Nothing is left in the queue and nothing uncommitted that signals ask for.
void Committer::AfterSignals() {
  std::map<int, std::uint32_t> seen;
  {
    std::lock_guard lock(mutex_);
    // One that was seen just now, by the application's thread: what it asks for comes first.
    const bool asked = stop_signal_.load() != 0 || commit_signal_.load();
    if (asked && (!staged_.empty() || !queue_.empty())) return;
    commit_signal_ = false;
    seen = seen_signals_;
    if (stop_signal_.load() != 0 && report_.stop_to_durable_s < 0) {
      report_.stop_to_durable_s = SecondsSince(stop_ns_.load());
    }
  }
  for (const auto& [signal, count] : seen) {
    if (answered_[signal] == count) continue;
    answered_[signal] = count;
    SignalOwner::Get()->Answered(signals_, signal, count);
  }
}

// Until the process is to be ended; a day: it is not, or not now.
double Committer::SecondsUntilEnd() const {
  constexpr double kNever = 86400;
  const int signal = stop_signal_.load();
  if (signal == 0 || options_.ranks > 1 || options_.on_stop == OnStop::kLeaveExit) return kNever;
  if (stop_returned_.load() || in_step_.load() || !staged_.empty()) return kNever;
  if (SignalOwner::Get()->HasPrevious(signal)) return kNever;
  if (SignalOwner::Get()->OthersBusy(signals_, signal)) return kNever;
  return GraceLeft() - std::min(1.0, 0.1 * stop_grace_s_.load());
}

void Committer::EndProcessIfDue() {
  if (SecondsUntilEnd() > 0) return;
  SignalOwner::Get()->EndProcess(stop_signal_.load());
  stop_returned_ = true;  // what was there before ignores it
}

}  // namespace ckpt
