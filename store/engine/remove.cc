#include "store/engine/remove.h"

#include <algorithm>
#include <set>

#include "store/engine/reserve.h"

namespace ckpt {
namespace {

Result<bool> Committed(Store* store, const SeriesView& view, const CheckpointRow& row) {
  CKPT_ASSIGN_OR_RETURN(CheckpointState state, StateOf(store, view, row));
  return state == CheckpointState::kCommitted;
}

}  // namespace

Result<const CheckpointRow*> NewestSound(Store* store, const SeriesView& view) {
  for (const CheckpointRow* row : view.Line()) {
    CKPT_ASSIGN_OR_RETURN(bool sound, Committed(store, view, *row));
    if (sound) return row;
  }
  for (auto attempt = view.attempts().rbegin(); attempt != view.attempts().rend(); ++attempt) {
    for (auto step = attempt->steps.rbegin(); step != attempt->steps.rend(); ++step) {
      const CheckpointRow* row = &view.rows()[*step];
      CKPT_ASSIGN_OR_RETURN(bool sound, Committed(store, view, *row));
      if (sound) return row;
    }
  }
  return static_cast<const CheckpointRow*>(nullptr);
}

Result<std::vector<Removal>> PlanRemoval(Store* store, const std::vector<std::string>& names,
                                         bool force) {
  std::vector<Removal> removals;
  std::set<std::tuple<std::string, AttemptRef, std::int64_t>> seen;
  for (const std::string& name : names) {
    CKPT_ASSIGN_OR_RETURN(ResolvedCheckpoint found, ResolveCheckpoint(store, name));
    auto view = std::make_shared<SeriesView>(std::move(found.view));
    const CheckpointRow& first = found.ranks.front();
    if (!seen.insert({view->series(), first.attempt, first.step}).second) continue;
    if (!force) {
      CKPT_ASSIGN_OR_RETURN(const CheckpointRow* newest, NewestSound(store, *view));
      if (newest != nullptr && newest->attempt == first.attempt && newest->step == first.step) {
        return InvalidArgument(FormatCheckpointName(view->series(), first.attempt, first.step) +
                               " is the newest sound checkpoint of '" + view->series() +
                               "': removing it needs --force");
      }
    }
    auto line = view->Line();
    bool abandoned = std::none_of(line.begin(), line.end(), [&](const CheckpointRow* row) {
      return row->attempt == first.attempt && row->step == first.step;
    });
    removals.push_back({view, first, abandoned});
  }
  return removals;
}

Status CommitRemovals(Store* store, const std::vector<Removal>& removals, std::uint8_t why) {
  std::vector<PlainRecord> records;
  for (const Removal& removal : removals) {
    Tombstone tombstone;
    tombstone.attempt = removal.first.attempt;
    tombstone.series = removal.view->series();
    tombstone.step = removal.first.step;
    tombstone.time_ns = store->env()->RealtimeNs();
    tombstone.why = why;
    CKPT_ASSIGN_OR_RETURN(Bytes payload, EncodeTombstone(tombstone));
    records.push_back({RecordType::kTombstone, std::move(payload)});
  }
  return WriteRecords(store, records);
}

}  // namespace ckpt
