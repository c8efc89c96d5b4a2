// Session: a computation's side of its checkpoints. Protects state by its address, restores it,
// and saves it at consistent points; everything that can be done later is the committer's affair.
//
//   CKPT_ASSIGN_OR_RETURN(auto session, Session::Open(PosixEnv(), "run.ckpt", "heat3d", options));
//   CKPT_RETURN_IF_ERROR(session->Protect(item));                 // any number
//   CKPT_ASSIGN_OR_RETURN(RestoreResult restored, session->Restore());
//   while (done < last) { ...; if (session->Step(++done).stop) break; }
//   FinishResult finished = session->Finish(done == last);
//
//   OPEN --Restore--> OPEN --Step / Begin..End--> OPEN --Finish--> FINISHED
//   OPEN --stop signal--> the next Step answers `stop` --> STOPPED --Finish--> FINISHED
//
// A save: memory is looked at chunk by chunk; a chunk is hashed and, where its id is not the one it
// had in the checkpoint before, copied while it is in cache. No look-ups, no compression, no system
// calls. Keeps I1 (restored bytes have the ids they were asked for by), I2, I5 (holds the lock of
// the series and rank from Open to Finish), I10.
// Thread rule: the thread that first calls Restore, Step or Begin is the only one that may; from
// another one, and in a forked child, they answer an error. Report: any thread.

#ifndef CKPT_STORE_SESSION_SESSION_H_
#define CKPT_STORE_SESSION_SESSION_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "store/engine/array_io.h"
#include "store/session/cadence.h"
#include "store/session/change_tracker.h"
#include "store/session/committer.h"
#include "store/session/options.h"
#include "store/session/state_record.h"

namespace ckpt {

// Memory and shape of a protected array at one moment.
struct ArrayView {
  ByteSpan data;
  ArrayShape shape;
  Effort effort = Effort::kUnsaid;  // unsaid: the session's
};

// "float64[100, 200]".
std::string DescribeShape(const ArrayShape& shape);
// The InvalidArgument of ProtectedItem::accepts, with both shapes named.
Status RefuseShape(const std::string& name, const ArrayShape& saved, const ArrayShape& here);

// Something whose state is saved and restored under a name. Either the first three functions (an
// array in memory) or the last two (a stream of bytes).
struct ProtectedItem {
  std::string name;
  Dtype dtype = Dtype::kBytes;  // of an array's elements, here
  bool convert = false;         // what was saved as another type of numbers is converted
  std::string layout;  // of records: another one is refused at restore; empty: not compared
  Effort effort = Effort::kUnsaid;  // unsaid: the session's
  // Where it is now. Called at each save.
  std::function<Result<ArrayView>()> locate;
  // Whether an array of this shape can be restored here; touches nothing. InvalidArgument names
  // both shapes.
  std::function<Status(const ArrayShape& saved)> accepts;
  // Makes room for an array of this shape and says where.
  std::function<Result<MutableByteSpan>(const ArrayShape& saved)> prepare;

  std::function<Result<Bytes>()> save;
  std::function<Status(ByteSpan)> load;
};

struct RestoreResult {
  bool restored = false;
  std::int64_t step = 0;
  std::uint64_t attempt = 0;
  std::vector<std::string> passed_over;  // newer checkpoints that are damaged, with why
  std::vector<std::string> missing;      // protected, not in the checkpoint
  std::vector<std::string> left_over;    // in the checkpoint, not protected
};

struct StepResult {
  bool stop = false;
  bool saved = false;  // captured
  Status error;        // of this call, or from behind
};

struct FinishResult {
  int exit_code = 0;
  Status error;          // something captured did not become durable
  bool refused = false;  // by another thread, or in a forked child: nothing was done
};

class Session {
 public:
  // Busy: another session, or save, of this series and rank is running (after series_wait_ms).
  static Result<std::unique_ptr<Session>> Open(Env* env, const std::string& path,
                                               const std::string& series, SessionOptions options,
                                               SessionProbe probe = {});
  ~Session();  // as Finish, but never ends the process

  // InvalidArgument: the name (also one that begins with "ckpt."), protected before, or in the
  // checkpoint that was restored without it and that no save has followed.
  Status Protect(ProtectedItem item);
  Status Unprotect(const std::string& name);
  // What was saved under the name may have another element type, from which it is converted at
  // restore. InvalidArgument: what is protected has no numbers.
  Status AllowConversion(const std::string& name);
  // Of records: see ProtectedItem::layout. NotFound: nothing is protected under the name.
  Status SetLayout(const std::string& name, const std::string& layout);
  // Of what is stored of it from the next save on. NotFound: nothing is protected under the name.
  Status SetEffort(const std::string& name, Effort effort);
  // The file's length is recorded with each save, and cut back to it by Restore. Links are
  // followed. InvalidArgument: it is no regular file, or comes too late for what was restored.
  Status AttachFile(const std::string& path);

  // The newest checkpoint of the series' line (or its `step`) that verifies goes into what is
  // protected. Not restored: there is none. InvalidArgument: it does not fit what is protected, or
  // has another compatibility key or number of ranks, or a number that does not fit; nothing was
  // touched. Corruption: no checkpoint is sound. When the message of any error says so, memory was
  // touched and the contents of what is protected are undefined.
  Result<RestoreResult> Restore(std::optional<std::int64_t> step = std::nullopt);
  // Entries of the checkpoint that was restored, until the first save. NotFound: none such.
  Result<Entry> Query(const std::string& name);
  Status Get(const std::string& name, MutableByteSpan out);
  // As elements of this type, converted where they were saved as another. InvalidArgument: `out`
  // was not touched.
  Status GetAs(const std::string& name, Dtype dtype, MutableByteSpan out);

  // `step` steps are complete and all protected state is consistent.
  StepResult Step(std::int64_t step);
  // A save of what is put, whether due or not.
  Status Begin(std::int64_t step);
  Status Put(const std::string& name, const ArrayView& view);
  StepResult End();
  // Gives up what was begun.
  void Abort();
  // Something that the kernel does not see (a device) wrote to this memory, or will before the next
  // save. Without change detection by the kernel nobody needs to know.
  Status Written(ByteSpan memory);

  Status WaitStaged();
  Status Commit();
  SessionReport Report();
  FinishResult Finish(bool complete);

  const Store& store() const { return *store_; }

 private:
  // The chunks' ids of an array, as captured (or restored) last.
  struct Known {
    std::size_t chunk_bytes = 0;
    std::uint64_t logical_bytes = 0;
    ArrayShape shape;
    bool captured = false;  // in this generation: the committer has its entry
    std::vector<Id128> ids;
    ChangeTracker::Track track;
  };

  Session(Env* env, std::string series, SessionOptions options);
  Status OpenStore(const std::string& path);
  RunAttempt MakeRun() const;
  Status CheckCaller();
  Status CheckOutside();
  Status CheckName(const std::string& name) const;
  Cadence::Now Now(std::int64_t step) const;
  void StartCadence(std::int64_t step);
  StepResult StepNow(std::int64_t step);
  Status NoteFailure(Status status);
  bool FailureStops();

  Status BeginCapture(std::int64_t step, bool urgent);
  Status CaptureArray(const std::string& name, const ArrayView& view);
  bool CaptureChunks(ByteSpan data, const ChunkForm& form, Known* known, CapturedArray* array);
  void MissedChange(const std::string& name, std::uint64_t offset, std::uint64_t bytes);
  Status CaptureProtected();
  Status CaptureRecord();
  void EndCapture();
  void AbortCapture();
  Status SaveAll(std::int64_t step, bool urgent);
  Status PutNow(const std::string& name, const ArrayView& view);
  Status SaveAsTold(std::int64_t step, bool urgent);
  Status EndAsTold();
  void LookAtHandlers();
  bool MayTakeFresh() const;
  void EndByLateSignal(bool complete, FinishResult* result);

  Result<RestoreResult> RestoreFrom(const SeriesView& view,
                                    const std::vector<const CheckpointRow*>& line);
  Status Plan(CheckpointReader* reader, RestoreResult* result);
  Status CheckCompatible(const Manifest& manifest) const;
  Status CheckFits(const ArrayShape& saved, const ProtectedItem& item) const;
  Status CheckConversions(CheckpointReader* reader);
  Status Fill(CheckpointReader* reader);
  Status FillItem(CheckpointReader* reader, const ProtectedItem& item);
  Status RestoreRow(const CheckpointRow& row, RestoreResult* result);
  Status TryRow(const CheckpointRow& row, RestoreResult* result);
  Status CheckMissing(const std::vector<std::string>& missing) const;
  Status CheckRanks(const Manifest& manifest) const;
  Status CheckLayout(const ProtectedItem& item) const;
  // Attached files: named as the caller did, found wherever the process has gone since.
  struct AttachedFile {
    std::string name;
    std::string path;  // from the root
  };
  Result<std::uint64_t> AttachedLength(const std::string& path) const;
  bool IsSameFile(const std::string& a, const std::string& b) const;
  using Recorded = std::map<std::string, std::uint64_t>::const_iterator;
  Recorded FindRecorded(const AttachedFile& file) const;
  using FileCuts = std::vector<std::pair<std::unique_ptr<File>, std::uint64_t>>;
  Result<FileCuts> PlanCuts(std::vector<std::string>* not_attached) const;
  Result<Known> ReadIds(const CheckpointReader::Found& found);

  Env* const env_;
  const std::string series_;
  SessionOptions options_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<File> series_lock_;
  SignalOwner::Subscription signals_;
  std::unique_ptr<Committer> committer_;
  int pid_ = 0;
  std::atomic<std::thread::id> caller_{};  // none yet: a default id

  std::map<std::string, ProtectedItem> items_;
  std::vector<AttachedFile> files_;
  std::map<std::string, Known> known_;
  std::unique_ptr<ChangeTracker> tracker_;  // nullptr: everything is hashed
  std::uint64_t generation_ = 0;            // known_ is of it
  RunAttempt run_;
  std::unique_ptr<CheckpointReader> reader_;  // of what was restored, until the first save
  StateRecord restored_record_;
  std::set<std::string> overwritten_;  // by the restore under way, as far as it came
  std::set<std::string> not_filled_;   // in what was restored, neither protected nor read by Get
  bool has_base_ = false;
  Id128 base_attempt_;
  std::int64_t base_step_ = 0;

  std::int64_t began_ns_ = 0;  // to compute: when it was opened, or restored
  std::optional<Cadence> cadence_;
  std::optional<std::int64_t> last_step_;   // of Step
  std::optional<std::int64_t> saved_step_;  // captured, or restored
  std::shared_ptr<Capture> capture_;
  std::set<std::string> put_names_;
  bool rescan_ = false;         // a save was lost: the next Step saves ...
  std::int64_t tried_ns_ = 0;   // ... unless it was tried just now
  bool failed_behind_ = false;  // and no step has seen to it yet
  bool begun_ = false;          // a save, whatever came of it
  bool calling_ = false;        // functions of the caller's, in the midst of a save or a restore
  bool finished_ = false;
  std::atomic<bool> handlers_said_{false};
  std::atomic<double> interval_s_{0};
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_SESSION_H_
