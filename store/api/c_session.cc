// Sessions: ckpt_session_*, but for what is protected (c_session_protect.cc).

#include "store/api/c_session.h"

#include "store/api/c_api.h"
#include "store/api/c_entry.h"

namespace ckpt::c_api {
namespace {

std::vector<int> Signals(const std::int32_t* given, std::size_t count, std::vector<int> otherwise) {
  if (given == nullptr) return otherwise;
  return std::vector<int>(given, given + count);
}

Result<SessionOptions> ToSessionOptions(const ckpt_session_options& in) {
  SessionOptions out;
  ckpt_open_options open;
  CKPT_RETURN_IF_ERROR(ReadOptions(in.store, ckpt_open_options CKPT_OPEN_OPTIONS_INIT, &open));
  CKPT_ASSIGN_OR_RETURN(out.store, ToOpenOptions(open));
  out.notice = out.store.notice;
  out.log = in.log != 0;
  out.compatibility = Text(in.compatibility);
  out.warn_only = in.warn_only != 0;
  out.lenient = in.lenient != 0;
  out.rank = in.rank;
  out.ranks = std::max<std::uint32_t>(1, in.ranks);
  out.run_id = Text(in.run_id);
  out.job_id = Text(in.job_id);
  out.series_wait_ms = in.wait_ms;
  out.every_steps = in.every_steps;
  out.every_seconds = in.every_seconds;
  if (in.mean_time_between_failures_s != 0) {
    out.mean_time_between_failures_s = in.mean_time_between_failures_s;
  }
  out.end_time_ns = in.end_time_ns;
  out.ask_scheduler = in.ask_scheduler != 0;
  if (in.change_detection < 0 || in.change_detection > CKPT_DETECT_AUTO) {
    return InvalidArgument("change_detection has a value that is not known");
  }
  out.change_detection = static_cast<ChangeDetection>(in.change_detection);
  if (in.audit_saves != 0) out.audit_saves = in.audit_saves;
  CKPT_ASSIGN_OR_RETURN(out.effort, ToEffort(in.effort));
  if (in.durability < 0 || in.durability > CKPT_DURABLE_ON_REQUEST || in.on_stop < 0 ||
      in.on_stop > CKPT_ON_STOP_LEAVE || in.on_error < 0 || in.on_error > CKPT_ON_ERROR_STOP) {
    return InvalidArgument("durability, on_stop or on_error has a value that is not known");
  }
  out.durability = static_cast<Durability>(in.durability);
  out.durable_seconds = in.durable_seconds;
  if (in.buffer_bytes != 0) out.buffer_bytes = in.buffer_bytes;
  out.stop_signals = Signals(in.stop_signals, in.stop_signal_count, out.stop_signals);
  out.save_signals = Signals(in.save_signals, in.save_signal_count, out.save_signals);
  if (in.grace_seconds != 0) out.grace_seconds = in.grace_seconds;
  out.on_stop = static_cast<OnStop>(in.on_stop);
  out.on_error = static_cast<OnError>(in.on_error);
  out.keep_last = in.keep_all != 0 ? 0 : std::max<std::uint64_t>(1, in.keep_last);
  out.keep_every = in.keep_every;
  out.keep_within_ns = in.keep_within_ns;
  if (in.housekeeping_share != 0) out.housekeeping_share = in.housekeeping_share;
  out.quota_bytes = in.quota_bytes;
  out.quota_files = in.quota_files;
  out.hash_threads = std::max<std::uint32_t>(1, in.hash_threads);
  return out;
}

std::int32_t OutcomeOf(const StepResult& result) {
  if (result.stop) return CKPT_STEP_STOP;
  return result.saved ? CKPT_STEP_SAVED : CKPT_STEP_CONTINUE;
}

Status WriteRestored(ckpt_session* s, RestoreResult result, ckpt_session_restored* out) {
  s->restored = std::move(result);
  const std::vector<std::string>* lists[3] = {&s->restored.passed_over, &s->restored.missing,
                                              &s->restored.left_over};
  for (std::size_t i = 0; i < 3; ++i) {
    s->texts[i].clear();
    for (const std::string& text : *lists[i]) s->texts[i].push_back(text.c_str());
  }
  ckpt_session_restored r = CKPT_SESSION_RESTORED_INIT;
  r.restored = s->restored.restored ? 1 : 0;
  r.step = s->restored.step;
  r.attempt = s->restored.attempt;
  r.passed_over = s->texts[0].data();
  r.passed_over_count = s->texts[0].size();
  r.missing = s->texts[1].data();
  r.missing_count = s->texts[1].size();
  r.left_over = s->texts[2].data();
  r.left_over_count = s->texts[2].size();
  return WriteResult(r, out);
}

ckpt_session_report ToReport(const SessionReport& in) {
  ckpt_session_report out = CKPT_SESSION_REPORT_INIT;
  out.step = in.last.step;
  out.blocked_s = in.last.blocked_s;
  out.waited_s = in.last.waited_s;
  out.staged_s = in.last.staged_s;
  out.durable_s = in.last.durable_s;
  out.logical_bytes = in.last.logical_bytes;
  out.changed_bytes = in.last.changed_bytes;
  out.stored_bytes = in.last.stored_bytes;
  out.saves = in.saves;
  out.failed_saves = in.failed_saves;
  out.blocked_total_s = in.blocked_s;
  out.waited_total_s = in.waited_s;
  out.changed_total_bytes = in.changed_bytes;
  out.stored_total_bytes = in.stored_bytes;
  out.staged_step = in.staged_step;
  out.durable_step = in.durable_step;
  out.undurable_bytes = in.undurable_bytes;
  out.buffer_bytes = in.buffer_bytes;
  out.stop_signal = in.stop_signal;
  out.stop_to_durable_s = in.stop_to_durable_s;
  out.handlers_replaced = in.handlers_replaced ? 1 : 0;
  out.removed = in.removed;
  out.freed_bytes = in.freed_bytes;
  out.vouched_bytes = in.last.vouched_bytes;
  out.first_write_s = in.last.first_write_s;
  out.missed_bytes = in.missed_bytes;
  out.interval_s = in.interval_s;
  return out;
}

}  // namespace
}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_session_open(const char* path, const char* series,
                            const ckpt_session_options* options, ckpt_session** session) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(path, "path"));
    CKPT_RETURN_IF_ERROR(Need(series, "series"));
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    ckpt_session_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_session_options CKPT_SESSION_OPTIONS_INIT, &in));
    CKPT_ASSIGN_OR_RETURN(SessionOptions o, ToSessionOptions(in));
    auto handle = std::make_unique<ckpt_session>();
    CKPT_ASSIGN_OR_RETURN(handle->session, Session::Open(PosixEnv(), path, series, std::move(o)));
    *session = handle.release();
    return Status();
  });
}

ckpt_code ckpt_session_restore(ckpt_session* session, ckpt_session_restored* restored) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_ASSIGN_OR_RETURN(RestoreResult result, session->session->Restore());
    return WriteRestored(session, std::move(result), restored);
  });
}

ckpt_code ckpt_session_restore_step(ckpt_session* session, int64_t step,
                                    ckpt_session_restored* restored) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_ASSIGN_OR_RETURN(RestoreResult result, session->session->Restore(step));
    return WriteRestored(session, std::move(result), restored);
  });
}

ckpt_code ckpt_session_query(ckpt_session* session, const char* name, ckpt_entry* entry) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    CKPT_RETURN_IF_ERROR(Need(entry, "entry"));
    CKPT_ASSIGN_OR_RETURN(session->entry, session->session->Query(name));
    FillEntry(session->entry, entry);
    return Status();
  });
}

ckpt_code ckpt_session_get(ckpt_session* session, const char* name, void* data,
                           uint64_t data_bytes) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    if (data_bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
    return session->session->Get(name, {static_cast<std::byte*>(data), data_bytes});
  });
}

ckpt_code ckpt_session_get_as(ckpt_session* session, const char* name, int32_t dtype, void* data,
                              uint64_t count) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    if (count > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
    std::uint64_t bytes = 0;
    CKPT_ASSIGN_OR_RETURN(ArrayShape shape, ToShape(dtype, 0, false, 1, &count, &bytes));
    return session->session->GetAs(name, shape.dtype, {static_cast<std::byte*>(data), bytes});
  });
}

ckpt_code ckpt_session_step(ckpt_session* session, int64_t step, int32_t* outcome) {
  if (outcome != nullptr) *outcome = CKPT_STEP_CONTINUE;
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    StepResult result = session->session->Step(step);
    if (outcome != nullptr) *outcome = OutcomeOf(result);
    return std::move(result.error);
  });
}

ckpt_code ckpt_session_begin(ckpt_session* session, int64_t step) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    return session->session->Begin(step);
  });
}

ckpt_code ckpt_session_put(ckpt_session* session, const char* name, const void* data, int32_t dtype,
                           uint32_t element_bytes, uint32_t dimensions, const uint64_t* shape) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    std::uint64_t bytes = 0;
    CKPT_ASSIGN_OR_RETURN(ArrayShape array,
                          ToShape(dtype, element_bytes, false, dimensions, shape, &bytes));
    CKPT_ASSIGN_OR_RETURN(ArrayView view, ToView(data, array, bytes));
    return session->session->Put(name, view);
  });
}

ckpt_code ckpt_session_written(ckpt_session* session, const void* data, uint64_t bytes) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    if (bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
    return session->session->Written({static_cast<const std::byte*>(data), bytes});
  });
}

ckpt_code ckpt_session_end(ckpt_session* session, int32_t* outcome) {
  if (outcome != nullptr) *outcome = CKPT_STEP_CONTINUE;
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    StepResult result = session->session->End();
    if (outcome != nullptr) *outcome = OutcomeOf(result);
    return std::move(result.error);
  });
}

ckpt_code ckpt_session_abort(ckpt_session* session) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    session->session->Abort();
    return Status();
  });
}

ckpt_code ckpt_session_wait_staged(ckpt_session* session) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    return session->session->WaitStaged();
  });
}

ckpt_code ckpt_session_commit(ckpt_session* session) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    return session->session->Commit();
  });
}

ckpt_code ckpt_session_get_report(ckpt_session* session, ckpt_session_report* report) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    return WriteResult(ToReport(session->session->Report()), report);
  });
}

int32_t ckpt_session_finish(ckpt_session* session, int32_t complete) {
  std::int32_t exit_code = complete != 0 ? 0 : 1;
  (void)Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    FinishResult result = session->session->Finish(complete != 0);
    exit_code = result.refused ? -1 : result.exit_code;
    return std::move(result.error);
  });
  if (exit_code >= 0) ckpt_session_close(session);  // else whose it is uses it
  return exit_code;
}

void ckpt_session_close(ckpt_session* session) { delete session; }
