// Arrays from memory and back: ckpt_begin, ckpt_put, ckpt_end, ckpt_abort; ckpt_read, ckpt_query,
// ckpt_get.

#include "store/api/c_api.h"
#include "store/api/c_entry.h"
#include "store/engine/array_io.h"
#include "store/io/process.h"

struct ckpt_writer {
  std::unique_ptr<ckpt::ArrayWriter> writer;
  ckpt::Effort effort = ckpt::Effort::kUnsaid;
  ckpt::Stopwatch watch;
};

struct ckpt_reader {
  ckpt::Store* store = nullptr;
  std::unique_ptr<ckpt::CheckpointReader> reader;
};

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

const char* ckpt_dtype_name(int32_t dtype) { return DtypeName(dtype); }

ckpt_code ckpt_begin(ckpt_store* store, const ckpt_save_options* options, ckpt_writer** writer) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(writer, "writer"));
    ckpt_save_options in;
    CKPT_RETURN_IF_ERROR(ReadOptions(options, ckpt_save_options CKPT_SAVE_OPTIONS_INIT, &in));
    CKPT_ASSIGN_OR_RETURN(SaveOptions save, ToSaveOptions(in));
    auto handle = std::make_unique<ckpt_writer>();
    CKPT_ASSIGN_OR_RETURN(handle->writer, ArrayWriter::Begin(store->store.get(), std::move(save)));
    *writer = handle.release();
    return Status();
  });
}

ckpt_code ckpt_put(ckpt_writer* writer, const char* name, const void* data, int32_t dtype,
                   uint32_t element_bytes, uint32_t dimensions, const uint64_t* shape) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(writer, "writer"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    if (dimensions > 0) CKPT_RETURN_IF_ERROR(Need(shape, "shape"));
    if (dtype < CKPT_INT8 || dtype > CKPT_BYTES) {
      return InvalidArgument("dtype " + std::to_string(dtype) + " is no ckpt_dtype");
    }
    if (dimensions > 32) return InvalidArgument("an array has at most 32 dimensions");
    ArrayShape array;
    array.dtype = static_cast<Dtype>(dtype);
    array.element_bytes = element_bytes;
    array.shape.assign(shape, shape + dimensions);
    std::uint64_t bytes = 0;
    CKPT_RETURN_IF_ERROR(CheckElementBytes(dtype, element_bytes));
    CKPT_RETURN_IF_ERROR(CompleteShape(&array, &bytes));
    if (bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
    return writer->writer->Put(name, {static_cast<const std::byte*>(data), bytes}, array,
                               writer->effort);
  });
}

ckpt_code ckpt_put_effort(ckpt_writer* writer, int32_t effort) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(writer, "writer"));
    CKPT_ASSIGN_OR_RETURN(writer->effort, ToEffort(effort));
    return Status();
  });
}

ckpt_code ckpt_end(ckpt_writer* writer, ckpt_save_result* result) {
  std::unique_ptr<ckpt_writer> owned(writer);
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(writer, "writer"));
    CKPT_ASSIGN_OR_RETURN(Saved saved, writer->writer->End());
    return WriteResult(ToResult(saved, writer->watch.seconds()), result);
  });
}

void ckpt_abort(ckpt_writer* writer) { delete writer; }

ckpt_code ckpt_read(ckpt_store* store, const char* checkpoint, ckpt_reader** reader) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(store, "store"));
    CKPT_RETURN_IF_ERROR(Need(checkpoint, "checkpoint"));
    CKPT_RETURN_IF_ERROR(Need(reader, "reader"));
    auto handle = std::make_unique<ckpt_reader>();
    handle->store = store->store.get();
    CKPT_ASSIGN_OR_RETURN(handle->reader, CheckpointReader::Open(handle->store, checkpoint));
    *reader = handle.release();
    return Status();
  });
}

void ckpt_reader_close(ckpt_reader* reader) { delete reader; }

ckpt_code ckpt_reader_info(ckpt_reader* reader, ckpt_checkpoint_fn fn, void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(reader, "reader"));
    CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(fn), "fn"));
    const SeriesView& view = reader->reader->view();
    std::set<std::pair<AttemptRef, std::int64_t>> line;
    for (const CheckpointRow* row : view.Line()) line.insert({row->attempt, row->step});
    for (const CheckpointRow& row : reader->reader->ranks()) {
      bool abandoned = !line.contains({row.attempt, row.step});
      Status s = Tell(reader->store, view, row, abandoned, fn, user);
      if (!s.ok()) return reader->reader->Explain(std::move(s));
    }
    return Status();
  });
}

ckpt_code ckpt_query(ckpt_reader* reader, const char* name, ckpt_entry* entry) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(reader, "reader"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    CKPT_RETURN_IF_ERROR(Need(entry, "entry"));
    CKPT_ASSIGN_OR_RETURN(auto found, reader->reader->Find(name));
    FillEntry(*found.entry, entry);
    return Status();
  });
}

ckpt_code ckpt_get(ckpt_reader* reader, const char* name, void* data, uint64_t data_bytes) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(reader, "reader"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    if (data_bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
    return reader->reader->Get(name, {static_cast<std::byte*>(data), data_bytes});
  });
}
