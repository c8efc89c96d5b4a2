#include "store/engine/series.h"

#include <algorithm>
#include <set>

#include "store/engine/fetcher.h"

namespace ckpt {
namespace {

bool NamesAttempt(const std::string& text, const AttemptRef& attempt) {
  if (text.size() >= 4 && attempt.id.ToHex().starts_with(text)) return true;
  return text == std::to_string(attempt.ordinal);
}

}  // namespace

Result<SeriesView> SeriesView::Load(Store* store, const std::string& series) {
  for (bool again = false;;) {
    std::uint64_t losses = store->index_losses();
    bool all = false;
    auto view = LoadOnce(store, series, SIZE_MAX, &all);
    if (store->index_losses() != losses) continue;
    if (again || view.status().code() != Code::kNotFound) return view;
    CKPT_RETURN_IF_ERROR(store->Refresh());  // a series that is begun anew must not be there
    again = true;
  }
}

// The rows from the newest back hold the line's beginning: parents come before their children. So a
// part that is long enough is as good as all of it.
Result<SeriesView> SeriesView::LoadNewest(Store* store, const std::string& series,
                                          std::size_t most) {
  std::size_t limit = std::max<std::size_t>(64, 2 * most);
  for (;;) {
    std::uint64_t losses = store->index_losses();
    bool all = false;
    auto view = LoadOnce(store, series, limit, &all);
    if (store->index_losses() != losses) continue;
    if (!view.ok() || all || view->Line(most).size() >= most) return view;
    limit = limit > SIZE_MAX / 8 ? SIZE_MAX : limit * 8;
  }
}

Result<SeriesView> SeriesView::LoadOnce(Store* store, const std::string& series,
                                        std::size_t row_limit, bool* all) {
  const std::uint64_t losses = store->index_losses();
  SeriesView view;
  view.series_ = series;
  CKPT_RETURN_IF_ERROR(view.ReadRows(store, row_limit, all));
  CKPT_RETURN_IF_ERROR(view.ReadTombstones(store, *all));
  CKPT_RETURN_IF_ERROR(view.ReadAttempts(store));
  if (view.infos_.empty()) {
    return NotFound("there is no series '" + series + "' in " + store->path());
  }
  // Rows came twice, in no order: whoever loads begins again.
  if (store->index_losses() == losses) view.Arrange();
  return view;
}

Status SeriesView::ReadRows(Store* store, std::size_t row_limit, bool* all) {
  *all = true;
  CKPT_RETURN_IF_ERROR(store->ScanRecords(
      SeriesPrefix('M', series_), true, [&](ByteSpan key, ByteSpan value, const Id128& pack_id) {
        auto row = ParseCheckpoint(key, value, pack_id);
        if (!row.ok()) return true;  // a damaged row of a cache: the packs still have it
        // A rank group is read whole.
        bool same_group = !rows_.empty() && rows_.back().attempt == row->attempt &&
                          rows_.back().step == row->step;
        if (rows_.size() >= row_limit && !same_group) return *all = false;
        AttemptInfo& info = infos_[row->attempt];
        info.has_parent = row->has_parent;
        info.parent = row->parent_attempt;
        info.parent_step = row->parent_step;
        info.last_step = std::max(info.last_step, row->step);
        rows_.push_back(*std::move(row));
        return true;
      }));
  std::reverse(rows_.begin(), rows_.end());
  return Status();
}

// Takes removed rows out. Tombstones older than every row that was read concern none of them.
Status SeriesView::ReadTombstones(Store* store, bool all) {
  std::set<std::pair<AttemptRef, std::int64_t>> removed;
  CKPT_RETURN_IF_ERROR(store->ScanRecords(
      SeriesPrefix('T', series_), true, [&](ByteSpan key, ByteSpan, const Id128&) {
        auto step = ParseTombstoneKey(key);
        if (!step.ok()) return true;
        if (!all && !rows_.empty() &&
            std::tie(step->attempt, step->step) <
                std::tie(rows_.front().attempt, rows_.front().step)) {
          return false;
        }
        removed.insert({step->attempt, step->step});
        AttemptInfo& info = infos_[step->attempt];
        info.last_step = std::max(info.last_step, step->step);
        return true;
      }));
  if (removed.empty()) return Status();
  std::erase_if(rows_, [&](const CheckpointRow& row) {
    return removed.contains({row.attempt, row.step});
  });
  return Status();
}

Status SeriesView::ReadAttempts(Store* store) {
  return store->ScanRecords(SeriesPrefix('A', series_), false,
                            [&](ByteSpan, ByteSpan value, const Id128&) {
                              auto record = DecodeAttempt(PayloadOfValue(value));
                              if (!record.ok()) return true;
                              AttemptInfo& info = infos_[record->attempt];
                              info.has_parent = record->has_parent;
                              info.parent = record->parent_attempt;
                              info.parent_step = record->parent_step;
                              return true;
                            });
}

void SeriesView::Arrange() {
  for (auto& [ref, info] : infos_) {
    info.ref = ref;
    attempts_.push_back(std::move(info));
  }
  infos_.clear();
  auto attempt = attempts_.begin();
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const CheckpointRow& row = rows_[i];
    while (attempt->ref != row.attempt) ++attempt;
    bool same_group = !attempt->steps.empty() && rows_[attempt->steps.back()].step == row.step;
    if (!same_group) attempt->steps.push_back(i);
  }
}

const AttemptInfo* SeriesView::FindAttempt(const Id128& id) const {
  for (const AttemptInfo& info : attempts_) {
    if (info.ref.id == id) return &info;
  }
  return nullptr;
}

const AttemptInfo* SeriesView::ParentOf(const AttemptInfo& attempt) const {
  const AttemptInfo* parent = attempt.has_parent ? FindAttempt(attempt.parent) : nullptr;
  return parent != nullptr && parent->ref < attempt.ref ? parent : nullptr;
}

std::vector<const CheckpointRow*> SeriesView::Line(std::size_t most) const {
  std::vector<const CheckpointRow*> line;
  const AttemptInfo* attempt = newest_attempt();
  std::int64_t bound = INT64_MAX;
  while (attempt != nullptr && line.size() < most) {
    for (auto it = attempt->steps.rbegin(); it != attempt->steps.rend() && line.size() < most;
         ++it) {
      if (rows_[*it].step <= bound) line.push_back(&rows_[*it]);
    }
    bound = std::min(bound, attempt->has_parent ? attempt->parent_step : bound);
    attempt = ParentOf(*attempt);
  }
  return line;
}

std::vector<const CheckpointRow*> SeriesView::Group(const CheckpointRow& first) const {
  std::vector<const CheckpointRow*> group;
  auto it = std::lower_bound(rows_.begin(), rows_.end(), first,
                             [](const CheckpointRow& a, const CheckpointRow& b) {
                               return std::tie(a.attempt, a.step) < std::tie(b.attempt, b.step);
                             });
  for (; it != rows_.end() && it->attempt == first.attempt && it->step == first.step; ++it) {
    group.push_back(&*it);
  }
  return group;
}

bool SeriesView::Complete(const CheckpointRow& first) const {
  std::vector<const CheckpointRow*> group = Group(first);
  if (group.size() != first.ranks) return false;
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (group[i]->rank != i || group[i]->ranks != first.ranks) return false;
  }
  return true;
}

const CheckpointRow* SeriesView::Find(const AttemptInfo& attempt, std::int64_t step) const {
  auto it = std::lower_bound(attempt.steps.begin(), attempt.steps.end(), step,
                             [&](std::size_t i, std::int64_t s) { return rows_[i].step < s; });
  return it != attempt.steps.end() && rows_[*it].step == step ? &rows_[*it] : nullptr;
}

const CheckpointRow* SeriesView::FindStep(std::int64_t step) const {
  for (const CheckpointRow* row : Line()) {
    if (row->step == step) return row;
  }
  for (auto attempt = attempts_.rbegin(); attempt != attempts_.rend(); ++attempt) {
    if (const CheckpointRow* row = Find(*attempt, step)) return row;
  }
  return nullptr;
}

Result<std::vector<std::string>> ListSeries(Store* store) {
  std::set<std::string> names;
  for (char kind : {'A', 'M'}) {
    CKPT_RETURN_IF_ERROR(store->ScanRecords(SeriesPrefix(kind, ""), false,
                                            [&](ByteSpan key, ByteSpan, const Id128&) {
                                              std::string_view series = SeriesOfKey(key);
                                              if (!series.empty()) names.emplace(series);
                                              return true;
                                            }));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

std::string_view StateName(CheckpointState state) {
  switch (state) {
    case CheckpointState::kCommitted:
      return "committed";
    case CheckpointState::kStaged:
      return "staged";
    case CheckpointState::kIncomplete:
      return "incomplete";
    case CheckpointState::kDamaged:
      return "damaged";
  }
  return "unknown";
}

Status MissingOrDamaged(Store* store, Status missing) {
  if (missing.code() != Code::kNotFound) return missing;
  std::vector<std::string> places = store->UnreadPlaces();
  if (places.empty()) return missing;
  std::string message = missing.message() + "; its manifest may be what cannot be read: ";
  for (std::size_t i = 0; i < places.size() && i < 3; ++i)
    message += (i > 0 ? ", " : "") + places[i];
  return Corruption(std::move(message));
}

Result<CheckpointState> StateOf(Store* store, const SeriesView& view, const CheckpointRow& first) {
  if (!view.Complete(first)) return CheckpointState::kIncomplete;
  bool staged = false;
  for (const CheckpointRow* row : view.Group(first)) {
    staged = staged || row->staged;
    auto manifest = store->ReadManifest(*row);
    if (!manifest.ok()) {
      if (manifest.status().code() == Code::kCorruption) return CheckpointState::kDamaged;
      return manifest.status();
    }
    auto sound = IsSound(store, *manifest);
    if (!sound.ok()) return sound.status();
    if (!*sound) return CheckpointState::kDamaged;
  }
  return staged ? CheckpointState::kStaged : CheckpointState::kCommitted;
}

namespace {

ResolvedCheckpoint Resolved(SeriesView view, const CheckpointRow& row) {
  ResolvedCheckpoint resolved;
  for (const CheckpointRow* rank : view.Group(row)) resolved.ranks.push_back(*rank);
  resolved.view = std::move(view);
  return resolved;
}

constexpr int kLooksMax = 100;

// Few are damaged, so the newest few of the line are looked at before all of it. One that goes
// while it is looked at is on no line any more: the store was refreshed, and the look begins anew.
Result<ResolvedCheckpoint> ResolveNewest(Store* store, const std::string& series,
                                         std::vector<std::string>* damaged) {
  int looks = 0;
  for (std::size_t most = 8;; most = SIZE_MAX) {
    CKPT_ASSIGN_OR_RETURN(SeriesView view, most == SIZE_MAX
                                               ? SeriesView::Load(store, series)
                                               : SeriesView::LoadNewest(store, series, most));
    std::vector<std::string> passed_over;
    std::vector<const CheckpointRow*> line = view.Line(most);
    bool gone = false, any_damaged = false;
    for (const CheckpointRow* row : line) {
      auto looked = StateOf(store, view, *row);
      gone = looked.status().code() == Code::kNotFound && ++looks < kLooksMax;
      if (gone) break;
      CKPT_ASSIGN_OR_RETURN(CheckpointState state, std::move(looked));
      bool restorable = state == CheckpointState::kCommitted || state == CheckpointState::kStaged;
      if (restorable) {
        if (damaged != nullptr) *damaged = std::move(passed_over);
        return Resolved(std::move(view), *row);
      }
      any_damaged = any_damaged || state == CheckpointState::kDamaged;
      passed_over.push_back(FormatCheckpointName(series, row->attempt, row->step) + " is " +
                            std::string(StateName(state)));
    }
    if (gone) continue;
    if (line.size() < most) {
      if (damaged != nullptr) *damaged = std::move(passed_over);
      // Whoever starts from scratch when nothing is there must not do so when something was.
      if (any_damaged) {
        return Corruption("every checkpoint of series '" + series + "' that is whole is damaged");
      }
      return NotFound("series '" + series + "' has no checkpoint that can be restored");
    }
  }
}

const CheckpointRow* FindNamed(const SeriesView& view, const CheckpointName& name) {
  if (name.attempt.empty()) return view.FindStep(*name.step);
  for (auto it = view.attempts().rbegin(); it != view.attempts().rend(); ++it) {
    if (!NamesAttempt(name.attempt, it->ref)) continue;
    if (const CheckpointRow* row = view.Find(*it, *name.step)) return row;
  }
  return nullptr;
}

Status NoSuchStep(const SeriesView& view, std::string_view name) {
  std::vector<const CheckpointRow*> line = view.Line(1);
  std::string message = "there is no checkpoint " + std::string(name);
  if (!line.empty()) {
    message += "; the newest of '" + view.series() + "' is step " + std::to_string(line[0]->step);
  }
  return NotFound(std::move(message));
}

Result<ResolvedCheckpoint> FindCheckpoint(Store* store, std::string_view name,
                                          std::vector<std::string>* damaged) {
  CKPT_ASSIGN_OR_RETURN(CheckpointName parsed, ParseCheckpointName(name));
  if (!parsed.step.has_value()) return ResolveNewest(store, parsed.series, damaged);
  CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store, parsed.series));
  const CheckpointRow* row = FindNamed(view, parsed);
  if (row == nullptr) return NoSuchStep(view, name);
  return Resolved(std::move(view), *row);
}

}  // namespace

Result<ResolvedCheckpoint> ResolveCheckpoint(Store* store, std::string_view name,
                                             std::vector<std::string>* damaged) {
  auto found = FindCheckpoint(store, name, damaged);
  if (found.status().code() == Code::kNotFound) {
    // "Not there" makes jobs begin from scratch: a second look, past what others did meanwhile.
    CKPT_RETURN_IF_ERROR(store->Refresh());
    if (damaged != nullptr) damaged->clear();
    found = FindCheckpoint(store, name, damaged);
  }
  if (!found.ok()) return MissingOrDamaged(store, found.status());
  return found;
}

}  // namespace ckpt
