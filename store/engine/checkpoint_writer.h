// CheckpointWriter: one save, from taking the series' lock to the durable manifest. Decides which
// attempt and step it is; what the entries are is its users' affair (save_files.h, the C
// interface's ckpt_put).
//
//   Begin --(lock of the series, view of it, adoption of a dead writer's tail)--> OPEN
//   OPEN --AddEntry*--> OPEN --End--> the checkpoint exists, durable (I1)
//   OPEN --Abort or destruction--> nothing exists (I2)
//
// A session goes round many times, with one attempt, one pack and the lock of the series held:
//
//   OPEN --AddEntry*--> OPEN --Stage--> STAGED --Commit--> DURABLE
//   STAGED or DURABLE --Next--> OPEN, with the checkpoint just staged as previous()
//
// Thread rule: one thread; chunks() as its own page says.

#ifndef CKPT_STORE_ENGINE_CHECKPOINT_WRITER_H_
#define CKPT_STORE_ENGINE_CHECKPOINT_WRITER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/engine/chunk_writer.h"
#include "store/engine/fetcher.h"
#include "store/engine/series.h"
#include "store/engine/store.h"
#include "store/manifest/manifest.h"

namespace ckpt {

// The attempt of a run that saves many times. It begins with the first save, unless the series has
// it already as its newest.
struct RunAttempt {
  Id128 id;
  bool has_parent = false;
  Id128 parent_attempt = {};
  std::int64_t parent_step = 0;
  bool begin_now = false;  // a deliberate return: durable at once, even if no save follows
};

struct SaveOptions {
  std::string series;
  std::optional<std::int64_t> step;       // none: the attempt's last + 1
  std::optional<std::int64_t> from_step;  // a deliberate return
  std::vector<std::pair<std::string, std::string>> tags;
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  std::string run_id;  // one string for all ranks of a run; ranks > 1 need it, or `run`, and `step`
  std::string job_id;
  std::uint32_t job_restarts = 0;   // how often that job was started over
  std::int64_t wait_ms = 0;         // for the series' lock; -1: for ever
  std::optional<RunAttempt> run;    // a session's; needs `step`
  bool series_locked = false;       // by the caller, as long as the writer lives
  bool adopts = true;               // takes over what was staged before; else that stays as it is
  Effort effort = Effort::kUnsaid;  // of what is stored; unsaid: the store's
};

struct Saved {
  AttemptRef attempt;
  std::int64_t step = 0;
  bool new_attempt = false;
  std::uint64_t logical_bytes = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t new_bytes = 0;
  std::uint64_t stored_bytes = 0;  // what the packs grew by
  std::uint64_t files = 0;
  std::uint64_t entries = 0;
  std::uint64_t chunks = 0;
  std::uint64_t new_chunks = 0;
};

// The attempt that is named so by all ranks of a run.
Id128 RunAttemptId(const std::string& series, const std::string& run_id);

class CheckpointWriter {
 public:
  // Busy: another save into the series is running (after wait_ms). AlreadyExists: a later attempt
  // than that of `run` began, or it has the step.
  static Result<std::unique_ptr<CheckpointWriter>> Begin(Store* store, SaveOptions options);

  ChunkWriter* chunks() { return chunks_.get(); }
  // The checkpoint this one continues, if it can be read: what its entries name need not be stored
  // again. Null: none.
  const Manifest* previous() const { return previous_.has_value() ? &*previous_ : nullptr; }
  Fetcher* previous_source() { return previous_source_.get(); }
  // Why it cannot be read, when that is why there is none.
  const Status& no_previous_because() const { return no_previous_because_; }
  // An entry of previous() is taken over without its chunks being put: relies on its packs.
  void InheritPrevious();

  // Names ascending. `read_bytes`: what was read for it.
  Status AddEntry(const Entry& entry, std::uint64_t read_bytes);
  Result<Saved> End();
  // End in two: when Stage is ok the checkpoint survives the process, after Commit the node as
  // well.
  Result<Saved> Stage();
  Status Commit(bool closed);
  // After Stage: the next checkpoint of the attempt; previous() is the one just staged. After
  // Begin: another step than was said there. Corruption: previous() was found damaged.
  Status Next(std::int64_t step);
  std::int64_t start_ns() const { return start_ns_; }  // wall clock
  const AttemptRef& attempt() const { return attempt_; }
  std::int64_t step() const { return step_; }

 private:
  CheckpointWriter(Store* store, SaveOptions options)
      : store_(store), options_(std::move(options)) {}
  Result<SeriesView> LoadView();
  Status Decide();
  Status DecideRun(const SeriesView& view);
  Result<RunAttempt> RunOfRanks(const SeriesView& view);
  Result<const CheckpointRow*> StepGoneBackTo(const SeriesView& view);
  Status ReturnTo(const SeriesView& view);
  void BeginAttempt(const SeriesView& view, const CheckpointRow* parent);
  Status OpenPrevious(const CheckpointRow& row);
  Status LookForDamage();
  Result<bool> AdoptTails(const SeriesView& view);
  Status Adopt(const CheckpointRow& row);
  Status AppendAttempt();
  Result<Manifest> BuildManifest();

  Store* store_;
  SaveOptions options_;
  std::unique_ptr<File> lock_;
  std::unique_ptr<ChunkWriter> chunks_;
  std::optional<EntryTableBuilder> table_;
  std::optional<Manifest> previous_;
  Status no_previous_because_;
  std::size_t damage_seen_ = 0;  // places, when it was last looked at
  std::int64_t next_damage_look_ns_ = 0;
  std::unique_ptr<Fetcher> previous_source_;
  std::int64_t start_ns_ = 0;

  AttemptRef attempt_;
  bool new_attempt_ = false;
  bool has_parent_ = false;
  Id128 parent_attempt_;
  std::int64_t parent_step_ = 0;
  std::int64_t step_ = 0;
  Saved saved_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHECKPOINT_WRITER_H_
