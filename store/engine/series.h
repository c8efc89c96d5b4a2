// SeriesView: the checkpoints of one series as they are now, with the line that leads from the
// newest one back through its parents.
//
// The newest of a series is its highest attempt's (ordinal, then id) own newest step, else its
// parent's at or below the parent step, and so on. Fallback, keeping the last N and SERIES@STEP
// follow that line, so an abandoned branch never comes back.
// Thread rule: a value; loading reads the store.

#ifndef CKPT_STORE_ENGINE_SERIES_H_
#define CKPT_STORE_ENGINE_SERIES_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "store/engine/checkpoint_name.h"
#include "store/engine/store.h"

namespace ckpt {

struct AttemptInfo {
  AttemptRef ref;
  bool has_parent = false;
  Id128 parent;
  std::int64_t parent_step = 0;
  std::int64_t last_step = -1;     // removed ones count
  std::vector<std::size_t> steps;  // places in SeriesView::rows of its rank groups, ascending steps
};

class SeriesView {
 public:
  // NotFound: the series has no checkpoint and never had an attempt.
  static Result<SeriesView> Load(Store* store, const std::string& series);
  // At least the newest `most` of the line, if there are so many, at a cost that follows `most` and
  // not the length of the series (BM_Store_ManyListLast10). Attempts are all there with their last
  // steps only where rows of theirs are; rows() and FindStep() know the newest only.
  static Result<SeriesView> LoadNewest(Store* store, const std::string& series, std::size_t most);

  const std::string& series() const { return series_; }
  // All that are not removed, ascending (attempt, step, rank).
  const std::vector<CheckpointRow>& rows() const { return rows_; }
  // Ascending; empty only in a new series.
  const std::vector<AttemptInfo>& attempts() const { return attempts_; }
  const AttemptInfo* newest_attempt() const {
    return attempts_.empty() ? nullptr : &attempts_.back();
  }
  const AttemptInfo* FindAttempt(const Id128& id) const;
  // The attempt that it continues. Null: none, or one that does not come before it, so that a
  // hostile circle ends.
  const AttemptInfo* ParentOf(const AttemptInfo& attempt) const;

  // First rows (rank groups: the one of least rank) of the line, newest first.
  std::vector<const CheckpointRow*> Line(std::size_t most = SIZE_MAX) const;
  // All rows of the rank group that begins with `first`.
  std::vector<const CheckpointRow*> Group(const CheckpointRow& first) const;
  // True when every rank of the group is there.
  bool Complete(const CheckpointRow& first) const;
  // SERIES@STEP: on the line, else of the newest attempt that has it. Null: nowhere.
  const CheckpointRow* FindStep(std::int64_t step) const;
  const CheckpointRow* Find(const AttemptInfo& attempt, std::int64_t step) const;

 private:
  // `row_limit`: so many rows from the newest back; *all says whether that was everything.
  static Result<SeriesView> LoadOnce(Store* store, const std::string& series, std::size_t row_limit,
                                     bool* all);
  Status ReadRows(Store* store, std::size_t row_limit, bool* all);
  Status ReadTombstones(Store* store, bool all);
  Status ReadAttempts(Store* store);
  void Arrange();

  std::string series_;
  std::vector<CheckpointRow> rows_;
  std::vector<AttemptInfo> attempts_;
  // While loading.
  std::map<AttemptRef, AttemptInfo> infos_;
};

// All series of a store, ascending.
Result<std::vector<std::string>> ListSeries(Store* store);

enum class CheckpointState { kCommitted, kStaged, kIncomplete, kDamaged };
std::string_view StateName(CheckpointState state);
// From what is known without reading payloads: whether the packs (or their replacements) are there
// and long enough, and whether recorded damage touches what the checkpoint needs.
// A NotFound, or Corruption in its place where manifests cannot be read: whoever starts from
// scratch when nothing is there must not do so when something was.
Status MissingOrDamaged(Store* store, Status missing);
Result<CheckpointState> StateOf(Store* store, const SeriesView& view, const CheckpointRow& first);

// The rows of the checkpoint a name stands for (all its ranks). SERIES alone: the newest whose
// state is committed or staged, and *damaged (may be null) gets the names that were passed over.
// NotFound says what there is instead.
struct ResolvedCheckpoint {
  SeriesView view;
  std::vector<CheckpointRow> ranks;
};
Result<ResolvedCheckpoint> ResolveCheckpoint(Store* store, std::string_view name,
                                             std::vector<std::string>* damaged = nullptr);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_SERIES_H_
