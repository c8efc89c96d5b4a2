#include "store/api/c_api.h"

#include "store/engine/array_io.h"
#include "store/io/process.h"

namespace ckpt::c_api {
namespace {

static_assert(static_cast<int>(Code::kNotFound) == CKPT_NOT_FOUND);
static_assert(static_cast<int>(Code::kCorruption) == CKPT_CORRUPTION);
static_assert(static_cast<int>(Code::kIo) == CKPT_IO);
static_assert(static_cast<int>(Code::kNoSpace) == CKPT_NO_SPACE);
static_assert(static_cast<int>(Code::kBusy) == CKPT_BUSY);
static_assert(static_cast<int>(Code::kInvalidArgument) == CKPT_INVALID_ARGUMENT);
static_assert(static_cast<int>(Code::kUnsupported) == CKPT_UNSUPPORTED);
static_assert(static_cast<int>(Code::kOutOfMemory) == CKPT_OUT_OF_MEMORY);
static_assert(static_cast<int>(Code::kInternal) == CKPT_INTERNAL);
static_assert(static_cast<int>(Code::kPermission) == CKPT_PERMISSION);
static_assert(static_cast<int>(Code::kExists) == CKPT_EXISTS);
static_assert(static_cast<int>(Code::kCancelled) == CKPT_CANCELLED);

// Not a std::string: filling it must not throw, and it must outlive every thread's destructors.
struct Message {
  char text[2048] = "";
};
thread_local Message last_message;

}  // namespace

Status CheckElementBytes(std::int32_t dtype, std::uint32_t element_bytes) {
  const std::uint32_t own = ElementBytesOf(static_cast<Dtype>(dtype)).value_or(0);
  if (own == 0 || element_bytes == 0 || element_bytes == own) return Status();
  return InvalidArgument("elements of " + std::to_string(element_bytes) + " bytes are not " +
                         DtypeName(dtype) + ", which has " + std::to_string(own) +
                         ": give the type that they have, or CKPT_RECORD");
}

Result<Effort> ToEffort(std::int32_t effort) {
  if (effort >= CKPT_EFFORT_DEFAULT && effort <= CKPT_EFFORT_SMALL) {
    return static_cast<Effort>(effort);
  }
  return InvalidArgument("effort " + std::to_string(effort) + " is no ckpt_effort");
}

Result<OpenStoreOptions> ToOpenOptions(const ckpt_open_options& in) {
  OpenStoreOptions out;
  out.mode = static_cast<OpenStoreOptions::Mode>(in.mode);
  out.threads = in.threads;
  out.trust_owner = in.trust_owner != 0;
  out.group_shared = in.group_shared != 0;
  out.verify = in.no_verify == 0;
  out.index_dir = in.index_dir != nullptr ? in.index_dir : EnvironmentVariable("CKPT_INDEX_DIR");
  if (in.chunk_bytes != 0) out.format.chunker = ChunkerParams::ForAverage(in.chunk_bytes);
  if (in.array_chunk_bytes != 0) out.format.array_chunk_bytes = in.array_chunk_bytes;
  if (in.level != 0) out.format.level = in.level;
  CKPT_ASSIGN_OR_RETURN(Effort effort, ToEffort(in.effort));
  out.format.effort = OrElse(effort, out.format.effort);
  if (in.pack_bytes != 0) out.format.pack_bytes_max = in.pack_bytes;
  if (in.progress != nullptr) {
    out.progress = [fn = in.progress, user = in.user](const Progress& p) {
      ckpt_progress progress{p.phase, p.done_bytes, p.total_bytes, p.done_items, p.total_items};
      return fn(&progress, user) == 0;
    };
  }
  if (in.notice != nullptr) {
    out.notice = [fn = in.notice, user = in.user](const std::string& m) { fn(m.c_str(), user); };
  }
  return out;
}

ckpt_code Fail(const Status& status) noexcept {
  std::size_t length = std::min(status.message().size(), sizeof(last_message.text) - 1);
  std::memcpy(last_message.text, status.message().data(), length);
  last_message.text[length] = '\0';
  return static_cast<ckpt_code>(status.code());
}

std::vector<std::string> Texts(const char* const* texts, std::size_t count) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(Text(texts[i]));
  return out;
}

Result<std::unique_ptr<CheckpointInfo>> CheckpointInfo::Make(Store* store, const SeriesView& view,
                                                             const CheckpointRow& row,
                                                             bool abandoned) {
  auto out = std::make_unique<CheckpointInfo>();
  auto manifest = store->ReadManifest(row);
  // A damaged one hides no other: it is told of as far as it is known, with its state.
  if (manifest.status().code() == Code::kCorruption) manifest = store->ReadSummary(row);
  CKPT_ASSIGN_OR_RETURN(out->manifest_, std::move(manifest));
  CKPT_ASSIGN_OR_RETURN(CheckpointState state, StateOf(store, view, row));
  const Manifest& m = out->manifest_;
  out->attempt_id_ = m.attempt.id.ToHex();
  out->state_ = StateName(state);
  for (const auto& [key, value] : m.tags) out->tags_.push_back({key.c_str(), value.c_str()});
  ckpt_checkpoint& info = out->info_;
  info.series = m.series.c_str();
  info.attempt = m.attempt.ordinal;
  info.attempt_id = out->attempt_id_.c_str();
  info.step = m.step;
  info.has_parent = m.has_parent ? 1 : 0;
  const AttemptInfo* parent = m.has_parent ? view.FindAttempt(m.parent_attempt) : nullptr;
  info.parent_attempt = parent != nullptr ? parent->ref.ordinal : 0;
  info.parent_step = m.parent_step;
  info.rank = m.rank;
  info.ranks = m.ranks;
  info.created_ns = m.created_ns;
  info.state = out->state_.c_str();
  info.entries = m.entries;
  info.files = m.files;
  info.logical_bytes = m.logical_bytes;
  info.new_bytes = m.new_bytes;
  info.stored_bytes = m.stored_bytes;
  info.chunks = m.chunks;
  info.new_chunks = m.new_chunks;
  info.tags = out->tags_.data();
  info.tag_count = out->tags_.size();
  info.host_name = m.host_name.c_str();
  info.job_id = m.job_id.c_str();
  info.abandoned = abandoned ? 1 : 0;
  return out;
}

Status Tell(Store* store, const SeriesView& view, const CheckpointRow& row, bool abandoned,
            ckpt_checkpoint_fn fn, void* user) {
  if (fn == nullptr) return Status();
  CKPT_ASSIGN_OR_RETURN(auto info, CheckpointInfo::Make(store, view, row, abandoned));
  return fn(info->get(), user) == 0 ? Status() : Cancelled("stopped by the caller");
}

}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: the C functions below are glue
using namespace ckpt::c_api;  // NOLINT

int32_t ckpt_version(void) {
  return CKPT_VERSION_MAJOR * 1000000 + CKPT_VERSION_MINOR * 1000 + CKPT_VERSION_PATCH;
}

const char* ckpt_error_message(void) { return last_message.text; }

const char* ckpt_code_name(ckpt_code code) { return CodeName(static_cast<Code>(code)).data(); }

ckpt_code ckpt_store_open(const char* path, const ckpt_open_options* options, ckpt_store** store) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(path, "path"));
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    ckpt_open_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_open_options CKPT_OPEN_OPTIONS_INIT, &in));
    if (in.mode < CKPT_OPEN_READ || in.mode > CKPT_OPEN_CREATE_NEW) {
      return InvalidArgument("mode " + std::to_string(in.mode) + " is no ckpt_open_mode");
    }
    auto handle = std::make_unique<ckpt_store>();
    CKPT_ASSIGN_OR_RETURN(OpenStoreOptions out, ToOpenOptions(in));
    CKPT_ASSIGN_OR_RETURN(handle->store, Store::Open(PosixEnv(), path, std::move(out)));
    *store = handle.release();
    return Status();
  });
}

void ckpt_store_close(ckpt_store* store) { delete store; }

ckpt_code ckpt_store_get_info(ckpt_store* store, ckpt_store_info* info) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    const StoreFormat& format = store->store->format();
    ckpt_store_info out = CKPT_STORE_INFO_INIT;
    out.path = store->Keep(store->store->path());
    out.uuid = store->Keep(format.uuid.ToHex());
    out.format = kFormatVersion;
    out.created = store->store->created() ? 1 : 0;
    out.chunk_bytes = format.chunker.avg_bytes;
    out.array_chunk_bytes = format.array_chunk_bytes;
    out.level = format.level;
    out.effort = static_cast<int32_t>(format.effort);
    return WriteResult(out, info);
  });
}

namespace {

// Tells all ranks. What is removed and collected while we list is not there.
Status TellGroup(Store* store, const SeriesView& view, const CheckpointRow& first, bool abandoned,
                 ckpt_checkpoint_fn fn, void* user) {
  for (const CheckpointRow* rank : view.Group(first)) {
    Status told = Tell(store, view, *rank, abandoned, fn, user);
    if (told.code() != Code::kNotFound) CKPT_RETURN_IF_ERROR(std::move(told));
  }
  return Status();
}

Status ListOne(Store* store, const std::string& series, const ckpt_list_options& options,
               ckpt_checkpoint_fn fn, void* user) {
  std::size_t most = options.last == 0 ? SIZE_MAX : options.last;
  bool some = options.last != 0 && !options.all;
  CKPT_ASSIGN_OR_RETURN(SeriesView view, some ? SeriesView::LoadNewest(store, series, most)
                                              : SeriesView::Load(store, series));
  std::vector<const CheckpointRow*> line = view.Line(options.all ? SIZE_MAX : most);
  if (!options.all) {
    for (const CheckpointRow* row : line) {
      CKPT_RETURN_IF_ERROR(TellGroup(store, view, *row, false, fn, user));
    }
    return Status();
  }
  std::set<const CheckpointRow*> on_line(line.begin(), line.end());
  for (auto attempt = view.attempts().rbegin(); attempt != view.attempts().rend(); ++attempt) {
    for (auto i = attempt->steps.rbegin(); i != attempt->steps.rend() && most > 0; ++i, --most) {
      const CheckpointRow* first = &view.rows()[*i];
      CKPT_RETURN_IF_ERROR(TellGroup(store, view, *first, !on_line.contains(first), fn, user));
    }
  }
  return Status();
}

}  // namespace

ckpt_code ckpt_list(ckpt_store* store, const ckpt_list_options* options, ckpt_checkpoint_fn fn,
                    void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    ckpt_list_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_list_options CKPT_LIST_OPTIONS_INIT, &in));
    Store* s = store->store.get();
    CKPT_RETURN_IF_ERROR(s->Refresh());
    if (in.series != nullptr) return ListOne(s, in.series, in, fn, user);
    CKPT_ASSIGN_OR_RETURN(auto names, ListSeries(s));
    for (const std::string& name : names) CKPT_RETURN_IF_ERROR(ListOne(s, name, in, fn, user));
    return Status();
  });
}

ckpt_code ckpt_list_series(ckpt_store* store, int (*fn)(const char* series, void* user),
                           void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(fn), "fn"));
    CKPT_ASSIGN_OR_RETURN(auto names, ListSeries(store->store.get()));
    for (const std::string& name : names) {
      if (fn(name.c_str(), user) != 0) return Cancelled("stopped by the caller");
    }
    return Status();
  });
}
