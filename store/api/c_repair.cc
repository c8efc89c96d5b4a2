// ckpt_repair.

#include "store/api/c_api.h"
#include "store/engine/repair.h"
#include "store/io/process.h"

namespace ckpt::c_api {
namespace {

Status Answered(int answer) { return answer == 0 ? Status() : Cancelled("stopped by the caller"); }

Status TellAside(const AsidePack& pack, const ckpt_repair_callbacks& callbacks) {
  if (callbacks.set_aside == nullptr) return Status();
  const std::string name = "packs/" + PackFileName(pack.id);
  const std::string moved_to = pack.file.empty() ? "" : "quarantine/" + pack.file;
  ckpt_set_aside out{};
  out.pack = name.c_str();
  out.moved_to = moved_to.c_str();
  out.bytes = pack.file_bytes;
  out.kept_chunks = pack.kept_chunks;
  out.kept_records = pack.kept_records;
  out.lost_chunks = pack.lost_chunks;
  return Answered(callbacks.set_aside(&out, callbacks.user));
}

Status TellLost(const LostCheckpoint& lost, const ckpt_repair_callbacks& callbacks) {
  if (callbacks.lost == nullptr) return Status();
  std::vector<const char*> entries;
  for (const std::string& name : lost.entries) entries.push_back(name.c_str());
  ckpt_lost out{};
  out.checkpoint = lost.name.c_str();
  out.all = lost.all ? 1 : 0;
  out.rest = lost.rest ? 1 : 0;
  out.entries = entries.data();
  out.entry_count = entries.size();
  return Answered(callbacks.lost(&out, callbacks.user));
}

Status TellAll(Store* store, const RepairReport& report, const ckpt_repair_callbacks& callbacks) {
  for (const FoundDamage& found : report.found.damage) {
    CKPT_RETURN_IF_ERROR(TellDamage(found, callbacks.damage, callbacks.user));
  }
  for (const AsidePack& pack : report.packs) CKPT_RETURN_IF_ERROR(TellAside(pack, callbacks));
  for (const Id128& id : report.gone) {
    CKPT_RETURN_IF_ERROR(TellAside({id, "", 0, 0, 0, 0}, callbacks));
  }
  for (const LostCheckpoint& lost : report.lost) CKPT_RETURN_IF_ERROR(TellLost(lost, callbacks));
  for (const SoundCheckpoint& sound : report.found.newest_sound) {
    CKPT_RETURN_IF_ERROR(
        Tell(store, sound.view, sound.row, false, callbacks.newest_sound, callbacks.user));
  }
  return Status();
}

}  // namespace
}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_repair(ckpt_store* store, const ckpt_repair_options* options,
                      const ckpt_repair_callbacks* callbacks, ckpt_repair_result* result) {
  return Guard([&]() -> Status {
    Stopwatch watch;
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    ckpt_repair_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_repair_options CKPT_REPAIR_OPTIONS_INIT, &in));
    ckpt_repair_callbacks tell;
    CKPT_RETURN_IF_ERROR(
        ReadOptions(callbacks, ckpt_repair_callbacks CKPT_REPAIR_CALLBACKS_INIT, &tell));
    RepairOptions repair;
    repair.dry_run = in.dry_run != 0;
    repair.wait_ms = in.wait_ms;
    repair.break_host_name = Text(in.break_host_name);
    CKPT_ASSIGN_OR_RETURN(RepairReport report, RepairStore(store->store.get(), repair));
    CKPT_RETURN_IF_ERROR(TellAll(store->store.get(), report, tell));
    ckpt_repair_result out = CKPT_REPAIR_RESULT_INIT;
    out.damaged = report.found.damage.size();
    out.packs_set_aside = report.packs.size();
    out.packs_gone = report.gone.size();
    out.lost = report.lost.size();
    out.unnamed = report.unnamed;
    for (const AsidePack& pack : report.packs) {
      out.kept_chunks += pack.kept_chunks;
      out.lost_chunks += pack.lost_chunks;
    }
    out.seconds = watch.seconds();
    return WriteResult(out, result);
  });
}
