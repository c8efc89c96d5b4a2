// ckpt_inspect, ckpt_diff and ckpt_cat.

#include "store/api/c_api.h"
#include "store/api/c_entry.h"
#include "store/engine/cat.h"
#include "store/engine/diff.h"
#include "store/engine/inspect.h"

namespace ckpt::c_api {

void FillEntry(const Entry& entry, ckpt_entry* out) {
  *out = ckpt_entry{};
  out->name = entry.name.c_str();
  out->kind = static_cast<int32_t>(entry.kind);
  out->mode = entry.mode;
  out->uid = entry.uid;
  out->gid = entry.gid;
  out->mtime_ns = entry.mtime_ns;
  out->target = entry.target.c_str();
  out->logical_bytes = entry.logical_bytes;
  out->chunks = entry.chunks;
  out->codec = "";
  if (entry.kind != EntryKind::kArray) return;
  out->dtype = static_cast<int32_t>(entry.array.dtype);
  out->column_major = entry.array.column_major ? 1 : 0;
  out->element_bytes = entry.array.element_bytes;
  out->dimensions = static_cast<uint32_t>(entry.array.shape.size());
  out->shape = entry.array.shape.data();
}

namespace {

Status Answer(int answer) { return answer == 0 ? Status() : Cancelled("stopped by the caller"); }

bool IsAbandoned(const SeriesView& view, const CheckpointRow& row) {
  for (const CheckpointRow* on_line : view.Line()) {
    if (on_line->attempt == row.attempt && on_line->step == row.step) return false;
  }
  return true;
}

}  // namespace
}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_inspect(ckpt_store* store, const char* checkpoint_name,
                       ckpt_checkpoint_fn checkpoint, ckpt_entry_fn entry,
                       int (*pack)(const char* pack_id, uint64_t bytes, void* user), void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(checkpoint_name, "checkpoint_name"));
    InspectVisitor visitor;
    if (checkpoint != nullptr) {
      visitor.checkpoint = [&](const SeriesView& view, const CheckpointRow& row) {
        return Tell(store->store.get(), view, row, IsAbandoned(view, row), checkpoint, user);
      };
    }
    if (entry != nullptr) {
      visitor.entry = [&](const InspectedEntry& inspected) {
        ckpt_entry out;
        FillEntry(*inspected.entry, &out);
        out.stored_bytes = inspected.stored_bytes;
        out.new_chunks = inspected.new_chunks;
        out.new_bytes = inspected.new_bytes;
        out.codec = inspected.codec.c_str();
        return Answer(entry(&out, user));
      };
    }
    if (pack != nullptr) {
      visitor.pack = [&](const Id128& pack_id, std::uint64_t bytes) {
        return Answer(pack(pack_id.ToHex().c_str(), bytes, user));
      };
    }
    return InspectCheckpoint(store->store.get(), checkpoint_name, visitor);
  });
}

ckpt_code ckpt_diff(ckpt_store* store, const char* a, const char* b,
                    int (*fn)(const ckpt_diff_entry* entry, void* user), void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(a, "a"));
    CKPT_RETURN_IF_ERROR(Need(b, "b"));
    CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(fn), "fn"));
    std::vector<ckpt_range> ranges;
    return DiffCheckpoints(store->store.get(), a, b, [&](const DiffedEntry& entry) {
      ranges.clear();
      for (const ChangedRange& r : entry.ranges) ranges.push_back({r.offset, r.length_bytes});
      ckpt_diff_entry out{};
      out.name = entry.name.c_str();
      out.status = DiffStatusName(entry.status).data();
      out.changed_bytes = entry.changed_bytes;
      out.logical_bytes = entry.logical_bytes;
      out.ranges = ranges.data();
      out.range_count = ranges.size();
      return Answer(fn(&out, user));
    });
  });
}

ckpt_code ckpt_cat(ckpt_store* store, const char* checkpoint, const char* entry, uint64_t offset,
                   uint64_t length_bytes, int (*write)(const void* data, size_t bytes, void* user),
                   void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(checkpoint, "checkpoint"));
    CKPT_RETURN_IF_ERROR(Need(entry, "entry"));
    CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(write), "write"));
    return CatEntry(store->store.get(), checkpoint, entry, offset, length_bytes,
                    [fn = write, user](ByteSpan bytes) {
                      return Answer(fn(bytes.data(), bytes.size(), user));
                    });
  });
}
