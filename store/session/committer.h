// Committer: the session's one helper thread, and the queue that leads to it. It looks chunks up,
// compresses, writes, stages and commits what the application's thread captured, answers
// collections, keeps house, and does what signals ask for.
//
//   capture:  BEGUN --Copy*, EndArray*--> BEGUN --End--> CAPTURED --> STAGED --> DURABLE
//             any failure behind: DROPPED, with everything captured after it (a new generation);
//             the next capture looks at all memory again
//
//   signals:  RUNNING --stop signal--> STOPPING: what was captured is staged and committed at once
//             STOPPING --Step reached--> a fresh save, kStop (session.h)
//             STOPPING --grace nearly over, no Step--> the process ends by the same signal
//
// Keeps I2 (a checkpoint is whole or absent), I6 (after a failed write nothing of that pack is
// relied upon), I7 (acknowledges epochs each second), I9 and I10. Thread rule: what is marked "by
// the application" by one thread; the thread itself has all signals blocked.

#ifndef CKPT_STORE_SESSION_COMMITTER_H_
#define CKPT_STORE_SESSION_COMMITTER_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/engine/checkpoint_writer.h"
#include "store/session/capture.h"
#include "store/session/copy_ring.h"
#include "store/session/housekeeper.h"
#include "store/session/options.h"
#include "store/session/signal_owner.h"

namespace ckpt {

// For tests: called by the committing thread (kCaptured by the application's) as a capture gets on.
struct SessionProbe {
  enum class At { kCaptured, kPut, kBeforeStage, kStaged, kBeforeCommit, kDurable };
  std::function<void(At, std::int64_t step)> at;
};

class Committer {
 public:
  Committer(Store* store, std::string series, const SessionOptions& options, RunAttempt run,
            SignalOwner::Subscription signals, SessionProbe probe);
  ~Committer();  // closes
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  Status Start();
  // Stages and commits what was captured, then ends the thread. Nothing may follow but looking.
  void Close();

  // ---- capturing, by the application -----------------------------------------------------------
  std::uint64_t generation() const { return generation_.load(); }
  void Begin(std::shared_ptr<Capture> capture);
  // Copies a chunk whose id is not the one known, which is `before` (zeros: none). False: the
  // capture is lost (see TakeError).
  bool Copy(ByteSpan raw, const Id128& id, const Id128& before, const ChunkForm& form);
  void EndArray(std::unique_ptr<CapturedArray> array);
  // Waits while more than the grace allows is captured and not durable; answers how long.
  double End(double blocked_s);
  void Abort();
  // Makes the attempt of SetRun durable before any save: `capture` says what it continues.
  Status BeginAttempt(std::shared_ptr<Capture> capture);

  // ---- looking, waiting, asking; any thread ----------------------------------------------------
  // The first failure behind since the last call.
  Status TakeError();
  // Why a capture under way was lost; then TakeError does not say it again.
  Status LostReason();
  // What the next save continues when the attempt must begin anew.
  void SetRun(const RunAttempt& run);
  // Everything captured before is staged (durable), or an error.
  Status WaitStaged();
  Status WaitDurable();
  void LookForSignals();
  int stop_signal() const { return stop_signal_.load(); }
  // Seconds of grace left after a stop signal.
  double GraceLeft() const;
  bool TakeSaveRequest() { return save_requested_.exchange(false); }
  // The code is at a Step; it was told to stop.
  void SetInStep(bool in_step);
  void StopWasReturned();
  // Signals that came and were not answered (SignalOwner::Answered). REQUIRES: closed.
  std::vector<int> Unanswered() const;
  // False while housekeeping, or room under a quota, is made that something more urgent waits for.
  bool MayKeepHouse();
  SessionReport Report() const;
  // Seconds that a save took of late, from its beginning until durable, without those it was left
  // lying by the durability policy; 0: nothing measured.
  double SaveCost() const;

 private:
  using Kind = CaptureMessage::Kind;
  void Main();
  bool Turn();
  void Guarded(const std::function<void()>& work);
  void ReserveQueue();
  void MakeRoomInQueue(std::unique_lock<std::mutex>* lock);
  bool Pop(CaptureMessage* message);
  void Push(CaptureMessage message, bool now);
  void Flush();
  void Wake();
  void Wait();
  int WaitMs() const;
  void LookForWaitingSignals();

  void Handle(CaptureMessage message);
  Status Handle(Kind kind, CaptureMessage* message);
  Status OpenWriter(const Capture& capture);
  Status BeginWriter(const Capture& capture);
  bool ContinuesLast() const;
  Status NotContinued(const std::string& what) const;
  bool DiskIsNearlyFull() const;
  void EnterOnDisk();
  Status EnterUnderQuota();
  Status StayUnderQuota(std::uint64_t more_bytes);
  void MakeRoomUnderQuota();
  Status RefuseOverQuota(const StoreUse& use);
  std::uint64_t QuotaPackBytes() const;
  Status PutArray(const CapturedArray& array);
  Status StageCurrent();
  bool CommitIsDue() const;
  bool UndurableIsTooMuch() const;  // REQUIRES: mutex_
  bool IsWithinGrace() const;       // REQUIRES: mutex_; by the application
  double WaitUntilWithinGrace();
  void CommitNow(bool closed);
  void Fail(Status status);
  void AfterSignals();
  double SecondsUntilEnd() const;
  void EndProcessIfDue();
  void PollEpoch();
  void KeepHouse(bool last);
  void At(SessionProbe::At at, std::int64_t step) const {
    if (probe_.at) probe_.at(at, step);
  }
  double SecondsSince(std::int64_t ns) const;
  Status WaitFor(std::uint64_t number, const std::uint64_t& reached);
  void Log(const Capture& save) const;

  Store* const store_;
  const std::string series_;
  const SessionOptions options_;
  const Quota quota_;
  const SignalOwner::Subscription signals_;
  const SessionProbe probe_;
  CopyRing ring_;
  std::thread thread_;

  // The application's.
  std::shared_ptr<Capture> capturing_;
  std::vector<CaptureMessage> batch_;
  std::size_t batch_bytes_ = 0;
  std::uint64_t begun_number_ = 0;
  std::uint64_t captured_number_ = 0;  // of the last that was complete

  // The thread's.
  std::unique_ptr<CheckpointWriter> writer_;
  ChunkEncoder encoder_;
  std::shared_ptr<Capture> current_;              // null: dropped, or none
  std::map<std::string, Entry> entries_;          // of current_
  std::map<std::string, Entry> last_entries_;     // of the checkpoint staged last
  std::int64_t last_step_ = -1;                   // its step
  std::vector<std::shared_ptr<Capture>> staged_;  // not durable
  std::int64_t first_staged_ns_ = 0;
  std::int64_t polled_ns_ = 0;
  std::int64_t looked_ns_ = 0;    // for signals that nobody takes
  bool signals_waiting_ = false;  // look again soon
  double busy_s_ = 0;             // spent on what is staged and not durable, or being staged
  double write_rate_ = 0;         // changed bytes a second of such work
  Housekeeper housekeeper_;
  std::map<int, std::uint32_t> answered_;  // signals whose previous handlers were called
  bool failing_ = false;                   // said once
  bool tight_ = false;                     // the disk was full, and nothing was committed since
  std::int64_t room_made_ns_ = 0;
  StoreUse quota_use_;        // when the save began ...
  StoreUse quota_need_;       // ... and what it is expected to add
  bool quota_tried_ = false;  // room was made for this save
  bool over_quota_ = false;   // is why it fails

  std::atomic<std::uint64_t> generation_{1};
  std::atomic<bool> room_wanted_{false};
  std::atomic<bool> keeping_house_{false};
  std::atomic<bool> making_room_{false};
  std::atomic<int> stop_signal_{0};
  std::atomic<std::int64_t> stop_ns_{0};
  std::atomic<double> stop_grace_s_{0};  // from then on
  std::atomic<bool> save_requested_{false};
  std::atomic<bool> commit_wanted_{false};
  std::atomic<bool> commit_signal_{false};  // a save signal asks for what was captured before it
  std::atomic<bool> in_step_{false};
  std::atomic<bool> stop_returned_{false};

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  // Those from queue_begin_ on wait. In one piece, so that room for more is there or is not.
  std::vector<CaptureMessage> queue_;
  std::size_t queue_begin_ = 0;
  bool queue_wanted_ = false;    // somebody waits until all of it is taken
  std::size_t ends_queued_ = 0;  // complete captures in queue_
  bool sleeping_ = false;
  bool stop_thread_ = false;
  RunAttempt run_;
  std::map<int, std::uint32_t> seen_signals_;
  std::uint64_t staged_number_ = 0;
  std::uint64_t durable_number_ = 0;
  std::uint64_t dropped_number_ = 0;
  Status error_;      // since the last TakeError
  Status last_drop_;  // why dropped_number_ was
  double save_cost_s_ = 0;
  std::int64_t waits_since_ns_ = 0;  // the application, for what the grace allows; 0: it does not
  SessionReport report_;
};

// The code is in a call that sees to a stop signal itself.
class InStep {
 public:
  explicit InStep(Committer* committer) : committer_(committer) { committer_->SetInStep(true); }
  ~InStep() { committer_->SetInStep(false); }
  InStep(const InStep&) = delete;
  InStep& operator=(const InStep&) = delete;

 private:
  Committer* const committer_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_COMMITTER_H_
