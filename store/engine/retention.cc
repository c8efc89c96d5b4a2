#include "store/engine/retention.h"

#include <algorithm>
#include <memory>
#include <set>

namespace ckpt {
namespace {

class SeriesRetention {
 public:
  SeriesRetention(Store* store, const RetentionRules& rules, std::shared_ptr<const SeriesView> view)
      : store_(store), rules_(rules), view_(std::move(view)), line_(view_->Line()) {}

  Status Plan(std::vector<Removal>* out) {
    CKPT_ASSIGN_OR_RETURN(const CheckpointRow* newest, NewestSound(store_, *view_));
    if (newest == nullptr) return Status();  // nothing to fall back on: all of it may be needed
    kept_.insert(newest);
    CKPT_RETURN_IF_ERROR(KeepOnLine(*newest));
    CKPT_RETURN_IF_ERROR(KeepFurthest(*newest));
    if (rules_.keep_every > 0) KeepMultiples();
    if (rules_.keep_within_ns > 0) CKPT_RETURN_IF_ERROR(KeepRecent());
    std::set<const CheckpointRow*> on_line(line_.begin(), line_.end());
    for (const AttemptInfo& attempt : view_->attempts()) {
      for (std::size_t step : attempt.steps) {
        const CheckpointRow* row = &view_->rows()[step];
        if (!kept_.contains(row)) out->push_back({view_, *row, !on_line.contains(row)});
      }
    }
    return Status();
  }

 private:
  // Everything down to the newest sound one stays; from there on keep_last counts sound ones.
  Status KeepOnLine(const CheckpointRow& newest) {
    bool above = true;  // to the end, when the newest sound one is not on the line
    std::uint64_t sound = 0;
    for (const CheckpointRow* row : line_) {
      if (above) {
        kept_.insert(row);
        above = row != &newest;
        if (!above) ++sound;
        continue;
      }
      if (sound >= rules_.keep_last) continue;
      CKPT_ASSIGN_OR_RETURN(CheckpointState state, StateOf(store_, *view_, *row));
      if (state != CheckpointState::kCommitted) continue;
      kept_.insert(row);
      ++sound;
    }
    return Status();
  }

  // A run that was begun from scratch, perhaps by mistake, takes nothing away from one that came
  // further: of those that share no step with the line, the furthest sound checkpoint stays until
  // the line has come as far.
  Status KeepFurthest(const CheckpointRow& newest) {
    const AttemptRef root = RootOf(*view_->newest_attempt());
    std::vector<const CheckpointRow*> further;
    for (const AttemptInfo& attempt : view_->attempts()) {
      if (RootOf(attempt) == root) continue;
      for (std::size_t step : attempt.steps) {
        const CheckpointRow* row = &view_->rows()[step];
        if (row->step > newest.step) further.push_back(row);
      }
    }
    std::stable_sort(further.begin(), further.end(),
                     [](const auto* a, const auto* b) { return a->step < b->step; });
    for (auto row = further.rbegin(); row != further.rend(); ++row) {
      CKPT_ASSIGN_OR_RETURN(CheckpointState state, StateOf(store_, *view_, **row));
      if (state != CheckpointState::kCommitted) continue;
      kept_.insert(*row);
      break;
    }
    return Status();
  }

  AttemptRef RootOf(const AttemptInfo& attempt) const {
    const AttemptInfo* root = &attempt;
    while (const AttemptInfo* parent = view_->ParentOf(*root)) root = parent;
    return root->ref;
  }

  void KeepMultiples() {
    for (const AttemptInfo& attempt : view_->attempts()) {
      for (std::size_t step : attempt.steps) {
        const CheckpointRow* row = &view_->rows()[step];
        if (row->step % rules_.keep_every == 0) kept_.insert(row);
      }
    }
  }

  Status KeepRecent() {
    std::vector<std::pair<const CheckpointRow*, std::int64_t>> made;
    std::int64_t newest_ns = INT64_MIN;
    for (const AttemptInfo& attempt : view_->attempts()) {
      for (std::size_t step : attempt.steps) {
        const CheckpointRow* row = &view_->rows()[step];
        auto manifest = store_->ReadManifest(*row);
        if (!manifest.ok()) continue;  // damaged or collected: no time to go by
        made.emplace_back(row, manifest->created_ns);
        newest_ns = std::max(newest_ns, manifest->created_ns);
      }
    }
    for (const auto& [row, created_ns] : made) {
      // Saturating: times are what clocks said.
      std::int64_t age_ns = 0;
      if (__builtin_sub_overflow(newest_ns, created_ns, &age_ns)) continue;
      if (age_ns <= rules_.keep_within_ns) kept_.insert(row);
    }
    return Status();
  }

  Store* const store_;
  const RetentionRules& rules_;
  const std::shared_ptr<const SeriesView> view_;
  const std::vector<const CheckpointRow*> line_;
  std::set<const CheckpointRow*> kept_;
};

}  // namespace

Result<std::vector<Removal>> PlanRetention(Store* store, const RetentionRules& rules) {
  if (rules.keep_every < 0 || rules.keep_within_ns < 0) {
    return InvalidArgument("what is to be kept must not be negative");
  }
  std::vector<std::string> names{rules.series};
  if (rules.series.empty()) {
    CKPT_ASSIGN_OR_RETURN(names, ListSeries(store));
  }
  std::vector<Removal> removals;
  for (const std::string& name : names) {
    CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store, name));
    if (!rules.any()) continue;
    SeriesRetention retention(store, rules, std::make_shared<SeriesView>(std::move(view)));
    CKPT_RETURN_IF_ERROR(retention.Plan(&removals));
  }
  return removals;
}

}  // namespace ckpt
