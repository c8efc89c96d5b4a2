#include "store/engine/restore_choice.h"

#include <utility>

#include "store/engine/verify.h"

namespace ckpt {
namespace {

// A part of the ranks is no checkpoint: never restored.
Status NeedAllRanks(const ResolvedCheckpoint& resolved) {
  const CheckpointRow& first = resolved.ranks.front();
  if (resolved.view.Complete(first)) return Status();
  return NotFound(FormatCheckpointName(first.series, first.attempt, first.step) +
                  " is incomplete: " + std::to_string(resolved.ranks.size()) + " of its " +
                  std::to_string(first.ranks) + " ranks are saved");
}

// The checkpoint itself, and with fallback those before it on the line, newest first.
Result<std::vector<std::vector<CheckpointRow>>> Candidates(Store* store, const std::string& name,
                                                           bool fallback, bool* fell_back) {
  std::vector<std::string> passed_over;
  CKPT_ASSIGN_OR_RETURN(ResolvedCheckpoint resolved, ResolveCheckpoint(store, name, &passed_over));
  for (const std::string& newer : passed_over) store->Notice("passed over: " + newer);
  Status whole = NeedAllRanks(resolved);
  if (!whole.ok() && !fallback) return whole;
  if (!whole.ok()) store->Notice("passed over: " + whole.message());
  *fell_back = !whole.ok() || !passed_over.empty();
  std::vector<std::vector<CheckpointRow>> candidates;
  if (whole.ok()) candidates.push_back(resolved.ranks);
  if (!fallback) return candidates;
  const CheckpointRow& first = resolved.ranks.front();
  // The whole line: what was resolved may have looked at its beginning only.
  CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store, first.series));
  for (const CheckpointRow* row : view.Line()) {
    if (row->step >= first.step || !view.Complete(*row)) continue;
    std::vector<CheckpointRow> ranks;
    for (const CheckpointRow* rank : view.Group(*row)) ranks.push_back(*rank);
    candidates.push_back(std::move(ranks));
  }
  if (candidates.empty()) return whole;
  return candidates;
}

}  // namespace

Result<std::vector<CheckpointRow>> ChooseCheckpoint(Store* store, const std::string& name,
                                                    bool fallback, bool* fell_back) {
  CKPT_ASSIGN_OR_RETURN(auto candidates, Candidates(store, name, fallback, fell_back));
  if (!fallback) return candidates.front();
  Status first;
  for (auto& ranks : candidates) {
    Status s = VerifyCheckpoint(store, ranks);
    if (s.ok()) return std::move(ranks);
    if (s.code() != Code::kCorruption && s.code() != Code::kNotFound) return s;
    store->Notice("step " + std::to_string(ranks.front().step) + " is damaged: " + s.message());
    if (first.ok()) first = std::move(s);
    *fell_back = true;
  }
  return Corruption("no checkpoint before it is sound either; " + first.message());
}

}  // namespace ckpt
