// ckpt_get_stats, ckpt_check and ckpt_reindex.

#include "store/api/c_api.h"
#include "store/engine/check.h"
#include "store/engine/reindex.h"
#include "store/engine/stats.h"
#include "store/io/process.h"

namespace ckpt::c_api {

Status TellDamage(const FoundDamage& found, int (*damage)(const ckpt_damage* damage, void* user),
                  void* user) {
  if (damage == nullptr) return Status();
  std::string pack = found.pack_missing ? "" : "packs/" + PackFileName(found.pack_id);
  std::vector<const char*> checkpoints;
  for (const std::string& name : found.checkpoints) checkpoints.push_back(name.c_str());
  ckpt_damage out{};
  out.pack = pack.c_str();
  out.offset = found.offset;
  out.what = found.what.c_str();
  out.checkpoints = checkpoints.data();
  out.checkpoint_count = checkpoints.size();
  return damage(&out, user) == 0 ? Status() : Cancelled("stopped by the caller");
}

namespace {

Result<std::uint64_t> CountCheckpoints(Store* store) {
  std::uint64_t count = 0;
  CKPT_ASSIGN_OR_RETURN(auto names, ListSeries(store));
  for (const std::string& name : names) {
    CKPT_ASSIGN_OR_RETURN(SeriesView view, SeriesView::Load(store, name));
    for (const AttemptInfo& attempt : view.attempts()) count += attempt.steps.size();
  }
  return count;
}

}  // namespace
}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_get_stats(ckpt_store* store, ckpt_stats* stats) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_ASSIGN_OR_RETURN(StoreStats s, GetStats(store->store.get()));
    ckpt_stats out = CKPT_STATS_INIT;
    out.series = s.series;
    out.checkpoints = s.checkpoints;
    out.logical_bytes = s.logical_bytes;
    out.unique_bytes = s.unique_bytes;
    out.stored_bytes = s.stored_bytes;
    out.chunks = s.chunks;
    out.packs = s.packs;
    out.garbage_bytes = s.garbage_bytes;
    out.index_bytes = s.index_bytes;
    out.reserve_bytes = s.reserve_bytes;
    out.dedup_ratio = Ratio(s.logical_bytes, s.unique_bytes);
    out.compression_ratio = Ratio(s.unique_bytes, s.live_bytes);
    out.total_ratio = Ratio(s.logical_bytes, s.stored_bytes);
    return WriteResult(out, stats);
  });
}

ckpt_code ckpt_check(ckpt_store* store, const ckpt_check_options* options,
                     int (*damage)(const ckpt_damage* damage, void* user),
                     ckpt_checkpoint_fn newest_sound, void* user, ckpt_check_result* result) {
  return Guard([&]() -> Status {
    Stopwatch watch;
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    ckpt_check_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_check_options CKPT_CHECK_OPTIONS_INIT, &in));
    CheckOptions check;
    check.quick = in.quick != 0;
    check.part_percent = in.part_percent == 0.0 ? 100.0 : in.part_percent;
    check.record_when_reading = in.record != 0;
    CKPT_ASSIGN_OR_RETURN(CheckReport report, CheckStore(store->store.get(), check));
    for (const FoundDamage& found : report.damage) {
      CKPT_RETURN_IF_ERROR(TellDamage(found, damage, user));
    }
    for (const SoundCheckpoint& sound : report.newest_sound) {
      CKPT_RETURN_IF_ERROR(
          Tell(store->store.get(), sound.view, sound.row, false, newest_sound, user));
    }
    ckpt_check_result out = CKPT_CHECK_RESULT_INIT;
    out.packs = report.packs;
    out.checkpoints = report.checkpoints;
    out.chunks = report.chunks;
    out.verified_bytes = report.verified_bytes;
    out.damaged = report.damage.size();
    out.recorded = report.recorded;
    out.seconds = watch.seconds();
    return WriteResult(out, result);
  });
}

ckpt_code ckpt_reindex(ckpt_store* store, ckpt_reindex_result* result) {
  return Guard([&]() -> Status {
    Stopwatch watch;
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_ASSIGN_OR_RETURN(IndexStats stats, store->store->Reindex());
    ckpt_reindex_result out = CKPT_REINDEX_RESULT_INIT;
    out.seconds = watch.seconds();
    out.packs = store->store->PackStates().size();
    out.chunks = stats.chunks;
    out.index_bytes = stats.bytes;
    CKPT_ASSIGN_OR_RETURN(out.checkpoints, CountCheckpoints(store->store.get()));
    return WriteResult(out, result);
  });
}
