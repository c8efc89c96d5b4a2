#include "store/engine/checkpoint_writer.h"

#include <algorithm>
#include <utility>

#include "store/codec/hash.h"
#include "store/engine/id_table.h"

namespace ckpt {
namespace {

constexpr std::int64_t kStepMax = std::int64_t{1} << 62;
constexpr std::uint64_t kRunPackBytesMin = 16u << 20;
constexpr std::size_t kRecent = 8;  // checkpoints of the line

// The last step this rank has in its attempt; removed ones count.
// Of a rank group: the rank's own.
std::int64_t LastStep(const SeriesView& view, const AttemptInfo& attempt, const SaveOptions& save) {
  if (save.ranks == 1) return attempt.last_step;
  std::int64_t last = -1;
  for (const CheckpointRow& row : view.rows()) {
    if (row.attempt == attempt.ref && row.rank == save.rank) last = std::max(last, row.step);
  }
  return last;
}

// Of what this rank has in the attempt, the newest; ranks are not all as fast. Null: nothing.
const CheckpointRow* NewestRow(const SeriesView& view, const AttemptInfo& attempt,
                               const SaveOptions& save) {
  const CheckpointRow* newest = nullptr;
  for (const CheckpointRow& row : view.rows()) {
    if (row.attempt != attempt.ref || row.rank != save.rank) continue;
    if (newest == nullptr || row.step > newest->step) newest = &row;
  }
  return newest;
}

}  // namespace

Id128 RunAttemptId(const std::string& series, const std::string& run_id) {
  return HashChunk(AsBytes("ckpt run\n" + series + "\n" + run_id));
}

Result<std::unique_ptr<CheckpointWriter>> CheckpointWriter::Begin(Store* store,
                                                                  SaveOptions options) {
  CKPT_RETURN_IF_ERROR(ValidateSeriesName(options.series));
  if (options.ranks == 0 || options.rank >= options.ranks) {
    return InvalidArgument("rank " + std::to_string(options.rank) + " of " +
                           std::to_string(options.ranks) + " ranks");
  }
  if (options.ranks > 1 && !options.run.has_value()) {
    if (options.run_id.empty()) {
      return InvalidArgument(
          "with more than one rank, run_id must be one string for all of them: the job's id and its"
          " restart count, say");
    }
    if (!options.step.has_value()) {
      return InvalidArgument("with more than one rank, the step must be given");
    }
  }
  std::unique_ptr<CheckpointWriter> w(new CheckpointWriter(store, std::move(options)));
  const SaveOptions& save = w->options_;
  if (!save.series_locked) {
    CKPT_ASSIGN_OR_RETURN(w->lock_, store->LockSeries(save.series, save.rank, save.wait_ms));
  }
  w->start_ns_ = store->env()->RealtimeNs();
  // In this order: tombstones count only when they were read after `collect` (docs/collection.md,
  // InheritReliance), and what is still there is looked at after the lock was taken.
  WriterRecord job{save.job_id.substr(0, 255), save.job_restarts};
  CKPT_ASSIGN_OR_RETURN(w->chunks_, ChunkWriter::Open(store, job, save.effort));
  CKPT_RETURN_IF_ERROR(store->Refresh());
  CKPT_RETURN_IF_ERROR(w->Decide());
  w->table_.emplace(w->chunks_.get());
  return w;
}

// What a save needs of its series: the newest few, unless it goes back or looks at a rank's own
// steps.
Result<SeriesView> CheckpointWriter::LoadView() {
  if (options_.run.has_value() || options_.ranks > 1) {
    return SeriesView::Load(store_, options_.series);
  }
  bool newest = !options_.step.has_value() && !options_.from_step.has_value();
  if (newest) return SeriesView::LoadNewest(store_, options_.series, kRecent);
  if (options_.from_step.has_value()) return SeriesView::Load(store_, options_.series);
  CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::LoadNewest(store_, options_.series, kRecent));
  if (*options_.step > view.newest_attempt()->last_step) return view;
  return SeriesView::Load(store_, options_.series);
}

Status CheckpointWriter::Decide() {
  auto loaded = LoadView();
  if (!loaded.ok() && loaded.status().code() != Code::kNotFound) return loaded.status();
  if (!loaded.ok()) {
    if (options_.from_step.has_value()) return loaded.status();
    if (options_.ranks > 1 && !options_.run.has_value()) {
      options_.run = RunAttempt{RunAttemptId(options_.series, options_.run_id)};
    }
    attempt_ = {options_.run.has_value() ? options_.run->id : store_->env()->RandomId(), 1};
    new_attempt_ = true;
    step_ = options_.step.value_or(1);
    return Status();
  }
  CKPT_ASSIGN_OR_RETURN(bool adopted, AdoptTails(*loaded));
  if (adopted) loaded = LoadView();
  if (!loaded.ok()) return loaded.status();
  const SeriesView& view = *loaded;
  if (options_.ranks > 1 && !options_.run.has_value()) {
    CKPT_ASSIGN_OR_RETURN(options_.run, RunOfRanks(view));
  }
  if (options_.run.has_value()) return DecideRun(view);
  if (options_.from_step.has_value()) return ReturnTo(view);

  const AttemptInfo& newest = *view.newest_attempt();
  std::int64_t last = LastStep(view, newest, options_);
  std::int64_t floor = newest.has_parent ? std::max(last, newest.parent_step) : last;
  step_ = options_.step.value_or(floor < 0 ? 1 : floor + 1);
  if (step_ < 0 || step_ > kStepMax) return InvalidArgument("the step must be from 0 to 2^62");
  std::vector<const CheckpointRow*> line = view.Line();
  auto before = std::find_if(line.begin(), line.end(),
                             [&](const CheckpointRow* row) { return row->step < step_; });
  const CheckpointRow* parent = before == line.end() ? nullptr : *before;
  if (step_ > last) {
    attempt_ = newest.ref;
    has_parent_ = newest.has_parent;
    parent_attempt_ = newest.parent;
    parent_step_ = newest.parent_step;
  } else {
    BeginAttempt(view, parent);
    store_->Notice("step " + std::to_string(step_) + " is not above " + std::to_string(last) +
                   ", so this begins attempt " + std::to_string(attempt_.ordinal) + " of '" +
                   options_.series + "'" +
                   (parent ? ", continuing from step " + std::to_string(parent->step) : ""));
  }
  return parent != nullptr ? OpenPrevious(*parent) : Status();
}

// The run that all ranks with this run_id make. It continues the step gone back to, else the newest
// that is whole: part of a group is never restored.
Result<RunAttempt> CheckpointWriter::RunOfRanks(const SeriesView& view) {
  RunAttempt run{RunAttemptId(options_.series, options_.run_id)};
  if (const AttemptInfo* own = view.FindAttempt(run.id)) {
    run.has_parent = own->has_parent;
    run.parent_attempt = own->parent;
    run.parent_step = own->parent_step;
    return run;
  }
  const CheckpointRow* parent = nullptr;
  if (options_.from_step.has_value()) {
    CKPT_ASSIGN_OR_RETURN(parent, StepGoneBackTo(view));
    run.begin_now = true;
  } else {
    for (const CheckpointRow* row : view.Line()) {
      if (row->step >= *options_.step || view.Group(*row).size() != row->ranks) continue;
      parent = row;
      break;
    }
  }
  run.has_parent = parent != nullptr;
  if (parent == nullptr) return run;
  run.parent_attempt = parent->attempt.id;
  run.parent_step = parent->step;
  return run;
}

// A run goes on with its own attempt as long as nobody began a later one; what it continues is then
// what it saved last, else what it was restored from.
Status CheckpointWriter::DecideRun(const SeriesView& view) {
  const RunAttempt& run = *options_.run;
  step_ = options_.step.value_or(0);
  if (step_ < 0 || step_ > kStepMax) return InvalidArgument("the step must be from 0 to 2^62");
  const AttemptInfo* own = view.FindAttempt(run.id);
  if (own != nullptr && (own != view.newest_attempt() || LastStep(view, *own, options_) >= step_)) {
    return AlreadyExists("step " + std::to_string(step_) + " cannot continue attempt " +
                         std::to_string(own->ref.ordinal) + " of '" + options_.series +
                         "': a later one began, or it has that step");
  }
  has_parent_ = run.has_parent;
  parent_attempt_ = run.parent_attempt;
  parent_step_ = run.parent_step;
  new_attempt_ = own == nullptr;
  attempt_ = new_attempt_ ? AttemptRef{run.id, view.newest_attempt()->ref.ordinal + 1} : own->ref;
  const CheckpointRow* before = own != nullptr ? NewestRow(view, *own, options_) : nullptr;
  if (before == nullptr && has_parent_ && view.FindAttempt(parent_attempt_) != nullptr) {
    before = view.Find(*view.FindAttempt(parent_attempt_), parent_step_);
  }
  if (new_attempt_ && run.begin_now) {
    CKPT_RETURN_IF_ERROR(AppendAttempt());
    CKPT_RETURN_IF_ERROR(chunks_->Commit(false));
  }
  if (before == nullptr) return Status();
  for (const CheckpointRow* row : view.Group(*before)) {
    if (row->rank == options_.rank) return OpenPrevious(*row);
  }
  return Status();
}

void CheckpointWriter::BeginAttempt(const SeriesView& view, const CheckpointRow* parent) {
  attempt_ = {store_->env()->RandomId(), view.newest_attempt()->ref.ordinal + 1};
  new_attempt_ = true;
  has_parent_ = parent != nullptr;
  if (parent == nullptr) return;
  parent_attempt_ = parent->attempt.id;
  parent_step_ = parent->step;
}

Result<const CheckpointRow*> CheckpointWriter::StepGoneBackTo(const SeriesView& view) {
  const CheckpointRow* parent = view.FindStep(*options_.from_step);
  if (parent == nullptr) {
    return NotFound("series '" + options_.series + "' has no step " +
                    std::to_string(*options_.from_step) + " to go back to");
  }
  if (options_.step.value_or(parent->step + 1) <= parent->step) {
    return InvalidArgument("the new step must be above " + std::to_string(parent->step) +
                           ", the step gone back to");
  }
  return parent;
}

// A deliberate return to an older step begins its attempt at once, durably: even if this save
// fails, what came after that step is abandoned.
Status CheckpointWriter::ReturnTo(const SeriesView& view) {
  CKPT_ASSIGN_OR_RETURN(const CheckpointRow* parent, StepGoneBackTo(view));
  step_ = options_.step.value_or(parent->step + 1);
  BeginAttempt(view, parent);
  CKPT_RETURN_IF_ERROR(AppendAttempt());
  CKPT_RETURN_IF_ERROR(chunks_->Commit(false));
  new_attempt_ = true;
  return OpenPrevious(*parent);
}

Status CheckpointWriter::AppendAttempt() {
  AttemptRecord record;
  record.attempt = attempt_;
  record.has_parent = has_parent_;
  record.parent_attempt = parent_attempt_;
  record.parent_step = parent_step_;
  record.series = options_.series;
  record.time_ns = start_ns_;
  record.host = store_->env()->HostId();
  record.job_id = options_.job_id.substr(0, 255);
  record.ranks = options_.ranks;
  CKPT_ASSIGN_OR_RETURN(Bytes payload, EncodeAttempt(record));
  return chunks_->AppendRecord(RecordType::kAttempt, payload);
}

// Only a help: whatever is wrong with the checkpoint before, this one is saved in full.
Status CheckpointWriter::OpenPrevious(const CheckpointRow& row) {
  const auto without = [this](const Status& why) {
    no_previous_because_ = why;
    return Status();
  };
  auto manifest = store_->ReadManifest(row);
  if (!manifest.ok()) return without(manifest.status());
  if (row.rank != options_.rank) return Status();
  auto sound = IsSound(store_, *manifest);
  if (!sound.ok() || !*sound) return without(sound.status());
  auto resolved = store_->ResolvePacks(manifest->packs);
  if (!resolved.ok()) return without(resolved.status());
  auto source = Fetcher::Open(store_, *resolved);
  if (!source.ok()) return without(source.status());
  manifest->packs = *std::move(resolved);
  chunks_->OfferInheritance(*manifest);
  previous_ = *std::move(manifest);
  previous_source_ = *std::move(source);
  return Status();
}

void CheckpointWriter::InheritPrevious() { chunks_->Inherit(); }

// A dead writer's unmarked tail may not be made durable where it is (its flush may have failed
// unseen): what it staged is verified and copied into our own pack.
Result<bool> CheckpointWriter::AdoptTails(const SeriesView& view) {
  bool adopted = false;
  if (!options_.adopts) return false;
  for (const CheckpointRow& row : view.rows()) {
    if (!row.staged || row.rank != options_.rank || row.pack_id == chunks_->pack_id()) continue;
    Status s = Adopt(row);
    if (s.code() == Code::kCorruption || s.code() == Code::kNotFound) continue;  // never was whole
    CKPT_RETURN_IF_ERROR(std::move(s));
    adopted = true;
  }
  if (!adopted) return false;
  CKPT_RETURN_IF_ERROR(chunks_->Commit(false));
  chunks_->ForgetReliance();
  return true;
}

Status CheckpointWriter::Adopt(const CheckpointRow& row) {
  CKPT_ASSIGN_OR_RETURN(Manifest manifest, store_->ReadManifest(row));
  CKPT_ASSIGN_OR_RETURN(auto source, Fetcher::Open(store_, manifest.packs));
  chunks_->ForgetReliance();
  Manifest target = manifest;
  target.packs.clear();
  chunks_->OfferInheritance(target);
  ChunkEncoder encoder;
  Decoder decoder;
  Bytes scratch;
  SeenIds seen;
  CKPT_RETURN_IF_ERROR(
      VisitEntryTable(manifest.entry_table, source.get(),
                      [&](const Id128& id, std::uint64_t raw_bytes, bool is_node) -> Result<bool> {
                        if (!seen.Insert(id, is_node)) return false;
                        CKPT_ASSIGN_OR_RETURN(ChunkPlace place, source->Locate(id));
                        Bytes raw(place.entry.raw_bytes);
                        if (raw_bytes != raw.size())
                          return Corruption("chunk " + id.ToHex() + " has another size");
                        CKPT_RETURN_IF_ERROR(source->ReadChunk(place, &decoder, &scratch, raw));
                        CKPT_RETURN_IF_ERROR(chunks_->Put(raw, id, {}, &encoder));
                        return true;
                      }));
  // An epoch that was acknowledged meanwhile may drop the tombstone: it would come back to life.
  if (chunks_->ParentGone()) return NotFound("removed while it was taken over");
  CKPT_RETURN_IF_ERROR(chunks_->StageManifest(&manifest, ChunkWriter::Behind::kTaken));
  store_->Notice("took over " +
                 FormatCheckpointName(manifest.series, manifest.attempt, manifest.step) +
                 ", which its writer staged but did not live to commit");
  return Status();
}

Status CheckpointWriter::AddEntry(const Entry& entry, std::uint64_t read_bytes) {
  CKPT_RETURN_IF_ERROR(table_->Add(entry));
  ++saved_.entries;
  if (entry.kind == EntryKind::kFile) ++saved_.files;
  saved_.logical_bytes += entry.logical_bytes;
  saved_.chunks += entry.chunks;
  saved_.read_bytes += read_bytes;
  return Status();
}

Result<Manifest> CheckpointWriter::BuildManifest() {
  Manifest m;
  m.series = options_.series;
  m.attempt = attempt_;
  m.has_parent = has_parent_;
  m.parent_attempt = parent_attempt_;
  m.parent_step = parent_step_;
  m.step = step_;
  m.rank = options_.rank;
  m.ranks = options_.ranks;
  m.created_ns = start_ns_;
  m.host = store_->env()->HostId();
  m.host_name = store_->env()->HostName().substr(0, 255);
  m.job_id = options_.job_id.substr(0, 255);
  m.tags = options_.tags;
  CKPT_ASSIGN_OR_RETURN(m.entry_table, table_->Finish());
  PutCounts counts = chunks_->counts();
  m.new_bytes = saved_.new_bytes = counts.new_bytes;
  m.new_chunks = saved_.new_chunks = counts.new_chunks;
  m.logical_bytes = saved_.logical_bytes;
  m.read_bytes = saved_.read_bytes;
  m.chunks = saved_.chunks;
  m.entries = saved_.entries;
  m.files = saved_.files;
  return m;
}

Result<Saved> CheckpointWriter::Stage() {
  if (new_attempt_) CKPT_RETURN_IF_ERROR(AppendAttempt());
  CKPT_ASSIGN_OR_RETURN(Manifest manifest, BuildManifest());
  CKPT_RETURN_IF_ERROR(chunks_->StageManifest(&manifest, ChunkWriter::Behind::kStage));
  CKPT_RETURN_IF_ERROR(chunks_->Stage());
  saved_.attempt = attempt_;
  saved_.step = step_;
  saved_.new_attempt = new_attempt_;
  saved_.stored_bytes = chunks_->counts().appended_bytes;
  // From here on an acknowledgement looks at this checkpoint: it is a root that keeps its packs.
  chunks_->ForgetReliance();
  chunks_->OfferInheritance(manifest);
  previous_ = std::move(manifest);
  previous_source_.reset();  // its packs are not all marked yet; the caller knows its ids
  new_attempt_ = false;
  return saved_;
}

Status CheckpointWriter::Commit(bool closed) { return chunks_->Commit(closed); }

// A run goes on from the checkpoint before without reading it again. Damage that somebody found
// meanwhile (`check`) must not be passed on from one to the next: what it hurts is given up, and
// stored anew. Looking takes at most a small part of the time.
Status CheckpointWriter::LookForDamage() {
  constexpr std::int64_t kLookShare = 50;
  const std::int64_t begin = store_->env()->MonotonicNs();
  if (!previous_.has_value() || begin < next_damage_look_ns_) return Status();
  if (!store_->Refresh().ok()) return Status();  // what fails for good, fails the save itself
  const std::size_t seen = std::exchange(damage_seen_, store_->DamagedPlaces());
  Result<bool> sound = true;
  if (damage_seen_ != seen) sound = IsSound(store_, *previous_);
  const std::int64_t end = store_->env()->MonotonicNs();
  next_damage_look_ns_ = end + kLookShare * (end - begin);
  if (!sound.ok() || *sound) return Status();
  return Corruption("step " + std::to_string(previous_->step) + " of '" + options_.series +
                    "', saved before, was found damaged on disk; the next save stores all of the"
                    " state anew");
}

Status CheckpointWriter::Next(std::int64_t step) {
  if (previous_.has_value() && step <= previous_->step) {
    return InvalidArgument("step " + std::to_string(step) + " does not follow step " +
                           std::to_string(previous_->step));
  }
  // Retention leaves two checkpoints or so: more than a few states' worth in one pack is garbage.
  const std::uint64_t state_bytes = previous_.has_value() ? previous_->logical_bytes : 0;
  CKPT_RETURN_IF_ERROR(chunks_->RollOverBeyond(std::max(kRunPackBytesMin, 4 * state_bytes)));
  CKPT_RETURN_IF_ERROR(chunks_->PollEpoch());
  CKPT_RETURN_IF_ERROR(LookForDamage());
  start_ns_ = store_->env()->RealtimeNs();
  step_ = step;
  saved_ = Saved();
  table_.emplace(chunks_.get());
  return Status();
}

Result<Saved> CheckpointWriter::End() {
  if (new_attempt_) CKPT_RETURN_IF_ERROR(AppendAttempt());
  CKPT_ASSIGN_OR_RETURN(Manifest manifest, BuildManifest());
  CKPT_RETURN_IF_ERROR(chunks_->StageManifest(&manifest, ChunkWriter::Behind::kCommit));
  CKPT_RETURN_IF_ERROR(chunks_->Commit(true));
  saved_.attempt = attempt_;
  saved_.step = step_;
  saved_.new_attempt = new_attempt_;
  saved_.stored_bytes = chunks_->counts().appended_bytes;
  return saved_;
}

}  // namespace ckpt
