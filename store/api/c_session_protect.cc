// What a session protects: ckpt_session_protect*, streams, attached files, and keys of files.

#include "store/api/c_api.h"
#include "store/api/c_session.h"
#include "store/base/check.h"
#include "store/session/user_file.h"

struct ckpt_sink {
  ckpt::Bytes bytes;
};

namespace ckpt::c_api {

Result<ArrayShape> ToShape(std::int32_t dtype, std::uint32_t element_bytes, bool column_major,
                           std::uint32_t dimensions, const std::uint64_t* shape,
                           std::uint64_t* bytes) {
  if (dtype < CKPT_INT8 || dtype > CKPT_BYTES) {
    return InvalidArgument("dtype " + std::to_string(dtype) + " is no ckpt_dtype");
  }
  CKPT_RETURN_IF_ERROR(CheckElementBytes(dtype, element_bytes));
  if (dimensions > 32) return InvalidArgument("an array has at most 32 dimensions");
  if (dimensions > 0) CKPT_RETURN_IF_ERROR(Need(shape, "shape"));
  ArrayShape array;
  array.dtype = static_cast<Dtype>(dtype);
  array.element_bytes = element_bytes;
  array.column_major = column_major;
  if (dimensions > 0) array.shape.assign(shape, shape + dimensions);
  CKPT_RETURN_IF_ERROR(CompleteShape(&array, bytes));
  return array;
}

Result<ArrayView> ToView(const void* data, const ArrayShape& shape, std::uint64_t bytes) {
  if (bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
  return ArrayView{{static_cast<const std::byte*>(data), bytes}, shape};
}

namespace {

ckpt_array ToArray(const ArrayShape& shape) {
  ckpt_array out{};
  out.dtype = static_cast<std::int32_t>(shape.dtype);
  out.element_bytes = shape.element_bytes;
  out.column_major = shape.column_major ? 1 : 0;
  out.dimensions = static_cast<std::uint32_t>(shape.shape.size());
  std::copy(shape.shape.begin(), shape.shape.end(), out.shape);
  return out;
}

Status FunctionFailed(const std::string& name, const char* what) {
  return Cancelled("the function that " + std::string(what) + " '" + name + "' failed");
}

// An array of one shape, wherever `where` says it is.
ProtectedItem FixedItem(const std::string& name, const ArrayShape& shape, std::uint64_t bytes,
                        const std::function<void*()>& where) {
  ProtectedItem item;
  item.name = name;
  item.dtype = shape.dtype;
  item.locate = [=]() -> Result<ArrayView> {
    void* data = where();
    if (bytes == 0 || data != nullptr) return ToView(data, shape, bytes);
    return InvalidArgument("'" + name + "' is protected, and its data is NULL");
  };
  item.accepts = [=](const ArrayShape& saved) {
    return saved == shape ? Status() : RefuseShape(name, saved, shape);
  };
  item.prepare = [=](const ArrayShape&) -> Result<MutableByteSpan> {
    void* data = where();
    if (bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
    return MutableByteSpan(static_cast<std::byte*>(data), bytes);
  };
  return item;
}

Result<ArrayView> Locate(const std::string& name, const ckpt_protected& how) {
  ckpt_array array{};
  array.dtype = how.dtype;
  array.element_bytes = how.element_bytes;
  if (how.locate(&array, how.user) != 0) return FunctionFailed(name, "locates");
  std::uint64_t bytes = 0;
  CKPT_ASSIGN_OR_RETURN(ArrayShape shape,
                        ToShape(array.dtype, array.element_bytes, array.column_major != 0,
                                array.dimensions, array.shape, &bytes));
  return ToView(array.data, shape, bytes);
}

Status Accepts(const std::string& name, const ckpt_protected& how, const ArrayShape& saved) {
  ArrayShape here = saved;
  here.dtype = static_cast<Dtype>(how.dtype);
  here.element_bytes = ElementBytesOf(here.dtype).value_or(0);
  if (here.element_bytes == 0) here.element_bytes = how.element_bytes;
  if (!(here == saved)) return RefuseShape(name, saved, here);
  const ckpt_array array = ToArray(saved);
  if (how.accepts == nullptr || how.accepts(&array, how.user) == 0) return Status();
  return InvalidArgument("'" + name + "' was saved as " + DescribeShape(saved) +
                         ", which what is protected under that name cannot take");
}

Result<MutableByteSpan> Prepare(const std::string& name, const ckpt_protected& how,
                                ArrayShape saved) {
  const ckpt_array array = ToArray(saved);
  void* data = nullptr;
  if (how.prepare(&array, &data, how.user) != 0) return FunctionFailed(name, "makes room for");
  std::uint64_t bytes = 0;
  CKPT_RETURN_IF_ERROR(CompleteShape(&saved, &bytes));
  if (bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
  return MutableByteSpan(static_cast<std::byte*>(data), bytes);
}

Result<ProtectedItem> ItemWith(const std::string& name, const ckpt_protected& how) {
  CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(how.locate), "locate"));
  CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(how.prepare), "prepare"));
  CKPT_RETURN_IF_ERROR(CheckElementBytes(how.dtype, how.element_bytes));
  ProtectedItem item;
  item.name = name;
  if (ElementBytesOf(static_cast<Dtype>(how.dtype)).has_value()) {
    item.dtype = static_cast<Dtype>(how.dtype);
  }
  item.layout = Text(how.layout);
  item.locate = [=] { return Locate(name, how); };
  item.accepts = [=](const ArrayShape& saved) { return Accepts(name, how, saved); };
  item.prepare = [=](const ArrayShape& saved) { return Prepare(name, how, saved); };
  return item;
}

}  // namespace
}  // namespace ckpt::c_api

using namespace ckpt;         // NOLINT: glue
using namespace ckpt::c_api;  // NOLINT

ckpt_code ckpt_session_protect(ckpt_session* session, const char* name, void* data, int32_t dtype,
                               uint32_t element_bytes, uint32_t dimensions, const uint64_t* shape) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    std::uint64_t bytes = 0;
    CKPT_ASSIGN_OR_RETURN(ArrayShape array,
                          ToShape(dtype, element_bytes, false, dimensions, shape, &bytes));
    return session->session->Protect(FixedItem(name, array, bytes, [data] { return data; }));
  });
}

ckpt_code ckpt_session_protect_pointer(ckpt_session* session, const char* name, void** pointer,
                                       int32_t dtype, uint32_t element_bytes, uint32_t dimensions,
                                       const uint64_t* shape) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    CKPT_RETURN_IF_ERROR(Need(pointer, "pointer"));
    std::uint64_t bytes = 0;
    CKPT_ASSIGN_OR_RETURN(ArrayShape array,
                          ToShape(dtype, element_bytes, false, dimensions, shape, &bytes));
    // The pointer may be of any object type: read as bytes.
    auto where = [pointer] {
      void* data = nullptr;
      std::memcpy(&data, static_cast<const void*>(pointer), sizeof(data));
      return data;
    };
    return session->session->Protect(FixedItem(name, array, bytes, where));
  });
}

ckpt_code ckpt_session_protect_with(ckpt_session* session, const char* name,
                                    const ckpt_protected* how) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    CKPT_RETURN_IF_ERROR(Need(how, "how"));
    ckpt_protected in;
    CKPT_RETURN_IF_ERROR(ReadOptions(how, ckpt_protected CKPT_PROTECTED_INIT, &in));
    CKPT_ASSIGN_OR_RETURN(ProtectedItem item, ItemWith(name, in));
    return session->session->Protect(std::move(item));
  });
}

ckpt_code ckpt_sink_write(ckpt_sink* sink, const void* data, uint64_t bytes) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(sink, "sink"));
    if (bytes > 0) CKPT_RETURN_IF_ERROR(Need(data, "data"));
    const auto* begin = static_cast<const std::byte*>(data);
    sink->bytes.insert(sink->bytes.end(), begin, begin + bytes);
    return Status();
  });
}

ckpt_code ckpt_session_protect_stream(ckpt_session* session, const char* name,
                                      int (*save)(ckpt_sink* sink, void* user),
                                      int (*load)(const void* data, uint64_t bytes, void* user),
                                      void* user) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(save), "save"));
    CKPT_RETURN_IF_ERROR(Need(reinterpret_cast<const void*>(load), "load"));
    ProtectedItem item;
    item.name = name;
    item.save = [=, text = std::string(name)]() -> Result<Bytes> {
      ckpt_sink sink;
      if (save(&sink, user) != 0) return FunctionFailed(text, "saves");
      return std::move(sink.bytes);
    };
    item.load = [=, text = std::string(name)](ByteSpan bytes) {
      return load(bytes.data(), bytes.size(), user) == 0 ? Status() : FunctionFailed(text, "loads");
    };
    return session->session->Protect(std::move(item));
  });
}

ckpt_code ckpt_session_unprotect(ckpt_session* session, const char* name) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    return session->session->Unprotect(name);
  });
}

ckpt_code ckpt_session_convert(ckpt_session* session, const char* name) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    return session->session->AllowConversion(name);
  });
}

ckpt_code ckpt_session_set_layout(ckpt_session* session, const char* name, const char* layout) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    CKPT_RETURN_IF_ERROR(Need(layout, "layout"));
    return session->session->SetLayout(name, layout);
  });
}

ckpt_code ckpt_session_set_effort(ckpt_session* session, const char* name, int32_t effort) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(name, "name"));
    CKPT_ASSIGN_OR_RETURN(Effort chosen, ToEffort(effort));
    return session->session->SetEffort(name, chosen);
  });
}

ckpt_code ckpt_session_attach_file(ckpt_session* session, const char* path) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(session, "session"));
    CKPT_RETURN_IF_ERROR(Need(path, "path"));
    return session->session->AttachFile(path);
  });
}

ckpt_code ckpt_file_key(const char* path, char key[CKPT_FILE_KEY_BYTES]) {
  return Guard([&]() -> Status {
    CKPT_RETURN_IF_ERROR(Need(path, "path"));
    CKPT_RETURN_IF_ERROR(Need(key, "key"));
    CKPT_ASSIGN_OR_RETURN(const std::string text, FileKey(PosixEnv(), path));
    CKPT_CHECK(text.size() + 1 == CKPT_FILE_KEY_BYTES, "a key is an id in hexadecimal digits");
    std::memcpy(key, text.c_str(), CKPT_FILE_KEY_BYTES);
    return Status();
  });
}
