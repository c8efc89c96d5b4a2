#include "store/engine/series.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "store/engine/fetcher.h"

namespace ckpt {
namespace {

std::string StepText(std::int64_t step) { return std::to_string(step); }

// A name with a digit string that is too long for a step is no step.
std::optional<std::int64_t> ParseStep(std::string_view text) {
  std::int64_t step = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (error != std::errc() || end != text.data() + text.size() || step < 0) return std::nullopt;
  return step;
}

bool NamesAttempt(const std::string& text, const AttemptRef& attempt) {
  if (text.size() >= 4 && attempt.id.ToHex().starts_with(text)) return true;
  return text == std::to_string(attempt.ordinal);
}

}  // namespace

Result<SeriesView> SeriesView::Load(Store* store, const std::string& series) {
  for (;;) {
    std::uint64_t losses = store->index_losses();
    auto view = LoadOnce(store, series);
    if (store->index_losses() == losses) return view;
  }
}

Result<SeriesView> SeriesView::LoadOnce(Store* store, const std::string& series) {
  SeriesView view;
  view.series_ = series;
  std::map<AttemptRef, AttemptInfo> attempts;
  std::set<std::pair<AttemptRef, std::int64_t>> removed;
  CKPT_RETURN_IF_ERROR(store->ScanRecords(SeriesPrefix('T', series), false,
                                          [&](ByteSpan key, ByteSpan, const Id128&) {
                                            auto step = ParseTombstoneKey(key);
                                            if (!step.ok()) return true;
                                            removed.insert({step->attempt, step->step});
                                            AttemptInfo& info = attempts[step->attempt];
                                            info.last_step = std::max(info.last_step, step->step);
                                            return true;
                                          }));
  CKPT_RETURN_IF_ERROR(store->ScanRecords(SeriesPrefix('A', series), false,
                                          [&](ByteSpan, ByteSpan value, const Id128&) {
                                            auto record = DecodeAttempt(PayloadOfValue(value));
                                            if (!record.ok()) return true;
                                            AttemptInfo& info = attempts[record->attempt];
                                            info.has_parent = record->has_parent;
                                            info.parent = record->parent_attempt;
                                            info.parent_step = record->parent_step;
                                            return true;
                                          }));
  CKPT_RETURN_IF_ERROR(store->ScanRecords(
      SeriesPrefix('M', series), false, [&](ByteSpan key, ByteSpan value, const Id128& pack_id) {
        auto row = ParseCheckpoint(key, value, pack_id);
        if (!row.ok()) return true;  // a damaged row of a cache: the packs still have it
        AttemptInfo& info = attempts[row->attempt];
        info.has_parent = row->has_parent;
        info.parent = row->parent_attempt;
        info.parent_step = row->parent_step;
        info.last_step = std::max(info.last_step, row->step);
        if (removed.empty() || !removed.contains({row->attempt, row->step})) {
          view.rows_.push_back(*std::move(row));
        }
        return true;
      }));
  if (attempts.empty()) return NotFound("there is no series '" + series + "' in " + store->path());
  for (auto& [ref, info] : attempts) {
    info.ref = ref;
    view.attempts_.push_back(std::move(info));
  }
  auto attempt = view.attempts_.begin();
  for (std::size_t i = 0; i < view.rows_.size(); ++i) {
    const CheckpointRow& row = view.rows_[i];
    while (attempt->ref != row.attempt) ++attempt;
    bool same_group = !attempt->steps.empty() && view.rows_[attempt->steps.back()].step == row.step;
    if (!same_group) attempt->steps.push_back(i);
  }
  return view;
}

const AttemptInfo* SeriesView::FindAttempt(const Id128& id) const {
  for (const AttemptInfo& info : attempts_) {
    if (info.ref.id == id) return &info;
  }
  return nullptr;
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
    if (!attempt->has_parent) break;
    bound = std::min(bound, attempt->parent_step);
    const AttemptInfo* parent = FindAttempt(attempt->parent);
    // Parents come before their children, so that a hostile circle ends.
    attempt = parent != nullptr && parent->ref < attempt->ref ? parent : nullptr;
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

Result<CheckpointName> ParseCheckpointName(std::string_view name) {
  CheckpointName parsed;
  std::size_t at = name.rfind('@');
  parsed.series = std::string(name.substr(0, at));
  CKPT_RETURN_IF_ERROR(ValidateSeriesName(parsed.series));
  if (at == std::string_view::npos) return parsed;
  std::string_view rest = name.substr(at + 1);
  std::size_t colon = rest.find(':');
  if (colon != std::string_view::npos) {
    parsed.attempt = std::string(rest.substr(0, colon));
    rest = rest.substr(colon + 1);
  }
  parsed.step = ParseStep(rest);
  if (!parsed.step.has_value() || (colon != std::string_view::npos && parsed.attempt.empty())) {
    return InvalidArgument("'" + std::string(name) + "' names no checkpoint: write SERIES, " +
                           "SERIES@STEP or SERIES@ATTEMPT:STEP, such as melt@5000 or melt@2:5000");
  }
  return parsed;
}

std::string FormatCheckpointName(const std::string& series, const AttemptRef& attempt,
                                 std::int64_t step) {
  return series + "@" + std::to_string(attempt.ordinal) + ":" + StepText(step);
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

Result<const CheckpointRow*> NewestRestorable(Store* store, const SeriesView& view,
                                              std::vector<std::string>* damaged) {
  for (const CheckpointRow* row : view.Line()) {
    CKPT_ASSIGN_OR_RETURN(CheckpointState state, StateOf(store, view, *row));
    if (state == CheckpointState::kCommitted || state == CheckpointState::kStaged) return row;
    if (damaged != nullptr) {
      damaged->push_back(FormatCheckpointName(view.series(), row->attempt, row->step) + " is " +
                         std::string(StateName(state)));
    }
  }
  return NotFound("series '" + view.series() + "' has no checkpoint that can be restored");
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
    message += "; the newest of '" + view.series() + "' is step " + StepText(line[0]->step);
  }
  return NotFound(std::move(message));
}

}  // namespace

Result<ResolvedCheckpoint> ResolveCheckpoint(Store* store, std::string_view name,
                                             std::vector<std::string>* damaged) {
  CKPT_ASSIGN_OR_RETURN(CheckpointName parsed, ParseCheckpointName(name));
  CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store, parsed.series));
  const CheckpointRow* row = nullptr;
  if (parsed.step.has_value()) {
    row = FindNamed(view, parsed);
    if (row == nullptr) return NoSuchStep(view, name);
  } else {
    CKPT_ASSIGN_OR_RETURN(row, NewestRestorable(store, view, damaged));
  }
  ResolvedCheckpoint resolved;
  for (const CheckpointRow* rank : view.Group(*row)) resolved.ranks.push_back(*rank);
  resolved.view = std::move(view);
  return resolved;
}

}  // namespace ckpt
