// ckpt_save_files and ckpt_restore_files.

#include "store/api/c_api.h"
#include "store/engine/restore_files.h"
#include "store/engine/save_files.h"
#include "store/io/process.h"

namespace ckpt::c_api {
Result<SaveOptions> ToSaveOptions(const ckpt_save_options& in) {
  CKPT_RETURN_IF_ERROR(Need(in.series, "series"));
  SaveOptions out;
  out.series = in.series;
  if (in.step != CKPT_STEP_NEXT) {
    if (in.step < 0) return InvalidArgument("the step must not be negative");
    out.step = in.step;
  }
  if (in.from_step != CKPT_STEP_NONE) out.from_step = in.from_step;
  for (std::size_t i = 0; i < in.tag_count; ++i) {
    out.tags.emplace_back(Text(in.tags[i].key), Text(in.tags[i].value));
  }
  out.rank = in.rank;
  out.ranks = std::max<std::uint32_t>(1, in.ranks);
  out.run_id = Text(in.run_id);
  out.job_id = in.job_id != nullptr ? in.job_id : EnvironmentVariable("SLURM_JOB_ID");
  if (in.job_id == nullptr) out.job_restarts = EnvironmentNumber("SLURM_RESTART_COUNT");
  out.wait_ms = in.wait_ms;
  CKPT_ASSIGN_OR_RETURN(out.effort, ToEffort(in.effort));
  return out;
}

ckpt_save_result ToResult(const Saved& saved, double seconds) {
  ckpt_save_result out = CKPT_SAVE_RESULT_INIT;
  out.attempt = saved.attempt.ordinal;
  out.step = saved.step;
  out.new_attempt = saved.new_attempt ? 1 : 0;
  out.logical_bytes = saved.logical_bytes;
  out.read_bytes = saved.read_bytes;
  out.new_bytes = saved.new_bytes;
  out.stored_bytes = saved.stored_bytes;
  out.files = saved.files;
  out.entries = saved.entries;
  out.chunks = saved.chunks;
  out.new_chunks = saved.new_chunks;
  out.seconds = seconds;
  return out;
}

}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_save_files(ckpt_store* store, const ckpt_save_options* options,
                          const char* const* paths, size_t path_count, ckpt_save_result* result) {
  return Guard([&]() -> Status {
    Stopwatch watch;
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    ckpt_save_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_save_options CKPT_SAVE_OPTIONS_INIT, &in));
    SaveFilesOptions files;
    CKPT_ASSIGN_OR_RETURN(files.save, ToSaveOptions(in));
    files.excludes = Texts(in.excludes, in.exclude_count);
    files.reread = in.reread != 0;
    if (in.stream_fd >= 0) {
      CKPT_RETURN_IF_ERROR(Need(in.stream_name, "stream_name"));
      files.stream = [fd = in.stream_fd](MutableByteSpan out) { return ReadDescriptor(fd, out); };
      files.stream_ready = [fd = in.stream_fd] { return WaitReadable(fd, 100); };
      files.stream_name = in.stream_name;
    }
    if (in.confirm != nullptr) {
      files.confirm = [&in] { return in.confirm(in.confirm_user) == 0; };
    }
    CKPT_ASSIGN_OR_RETURN(Saved saved,
                          SaveFiles(store->store.get(), Texts(paths, path_count), files));
    return WriteResult(ToResult(saved, watch.seconds()), result);
  });
}

ckpt_code ckpt_restore_files(ckpt_store* store, const ckpt_restore_options* options,
                             int (*entry)(const char* name, uint64_t bytes, void* user), void* user,
                             ckpt_restore_result* result) {
  return Guard([&]() -> Status {
    Stopwatch watch;
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    ckpt_restore_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_restore_options CKPT_RESTORE_OPTIONS_INIT, &in));
    CKPT_RETURN_IF_ERROR(Need(in.checkpoint, "checkpoint"));
    RestoreFilesOptions files;
    files.checkpoint = in.checkpoint;
    files.to = in.to == nullptr ? "." : in.to;
    files.includes = Texts(in.includes, in.include_count);
    files.force = in.force != 0;
    files.dry_run = in.dry_run != 0;
    files.sync = in.sync != 0;
    files.fallback = in.fallback != 0;
    if (entry != nullptr) {
      files.entry = [&](const std::string& name, std::uint64_t bytes) {
        return entry(name.c_str(), bytes, user) == 0;
      };
    }
    CKPT_RETURN_IF_ERROR(store->store->Refresh());
    CKPT_ASSIGN_OR_RETURN(Restored restored, RestoreFiles(store->store.get(), files));
    ckpt_restore_result out = CKPT_RESTORE_RESULT_INIT;
    out.series = store->Keep(restored.series);
    out.attempt = restored.attempt.ordinal;
    out.step = restored.step;
    out.files = restored.files;
    out.bytes = restored.bytes;
    out.skipped = restored.skipped;
    out.fell_back = restored.fell_back ? 1 : 0;
    out.seconds = watch.seconds();
    return WriteResult(out, result);
  });
}
