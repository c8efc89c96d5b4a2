// ckpt-store for C++17: header-only over ckpt.h, so that a code built by another compiler, standard
// library or set of flags than the library links with it.
//
//   #include <ckpt/ckpt.hpp>
//
//   ckpt::Store store = ckpt::Store::Open("run.ckpt", ckpt::Mode::kCreate).value();
//   std::vector<double> T(n);
//   std::int64_t done = 0;
//   if (auto saved = store.Read("heat")) {                  // look for a saved state
//     done = saved->step();
//     saved->Get("T", &T).value();
//   }
//   while (done < last) {
//     Advance(&T);
//     ++done;
//     ckpt::Writer save = store.Begin("heat", done).value();
//     save.Put("T", T).value();
//     save.End().value();                                   // durable
//   }
//
// A computation that saves itself, stops when it is told to, and continues (docs/sessions.md):
//
//   auto session = ckpt::Session::Open("run.ckpt", "heat3d").value();
//   std::int64_t done = 0;                                  // steps completed
//   session.Protect("T", &T).value();                       // by its address
//   session.Protect("rng", SaveRng, LoadRng).value();       // functions, for what has pointers
//   if (session.Restore(&done).value() == ckpt::kFresh) Initialise(&T);
//   while (done < last) {
//     Advance(T, &Tnew);
//     std::swap(T, Tnew);
//     ++done;
//     if (session.Step(done) == ckpt::kStop) break;         // a consistent point: saves when due
//   }
//   return session.Finish(done == last);                    // complete, or ends by the stop policy
//
// Nothing here throws but Result::value() of an error (ckpt::Exception) and the allocations of the
// standard library. Objects own their handles and are move-only (a Session is shared with
// its scopes); a Writer that goes away without End() leaves no checkpoint. Threads: as ckpt.h says.

#ifndef CKPT_CKPT_HPP_
#define CKPT_CKPT_HPP_

#include <ckpt/ckpt.h>

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace ckpt {
inline namespace v1 {

// What went wrong: a code that says what to do next, and a message for a person.
class Error {
 public:
  Error(ckpt_code code, std::string message) : code_(code), message_(std::move(message)) {}
  ckpt_code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  ckpt_code code_;
  std::string message_;
};

class Exception : public std::runtime_error {
 public:
  explicit Exception(const Error& error)
      : std::runtime_error(std::string(ckpt_code_name(error.code())) + ": " + error.message()),
        code_(error.code()) {}
  ckpt_code code() const { return code_; }

 private:
  ckpt_code code_;
};

// A value or an Error. Converts to bool: true when there is a value.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT: meant to convert
  Result(Error error) : error_(std::move(error)) {}  // NOLINT
  bool ok() const { return value_.has_value(); }
  explicit operator bool() const { return ok(); }
  // Throws Exception when there is none.
  T& value() & { return Check(), *value_; }
  const T& value() const& { return Check(), *value_; }
  T value() && { return Check(), std::move(*value_); }
  // REQUIRES: ok().
  T* operator->() { return &*value_; }
  T& operator*() { return *value_; }
  // REQUIRES: !ok().
  const Error& error() const { return *error_; }

 private:
  void Check() const {
    if (!value_.has_value()) throw Exception(*error_);
  }
  std::optional<T> value_;
  std::optional<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const {
    if (error_.has_value()) throw Exception(*error_);
  }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

namespace internal {

inline Error LastError(ckpt_code code) { return Error(code, ckpt_error_message()); }

inline Result<void> Check(ckpt_code code) {
  if (code == CKPT_OK) return {};
  return LastError(code);
}

// The element type of a C++ type; CKPT_RECORD for other trivially copyable ones.
template <typename T>
constexpr std::int32_t DtypeOf() {
  static_assert(std::is_trivially_copyable_v<T>, "only trivially copyable elements can be saved");
  if constexpr (std::is_same_v<T, bool>) {
    return CKPT_BOOL;
  } else if constexpr (std::is_integral_v<T> && sizeof(T) <= 8) {  // wider ones have no dtype
    constexpr std::int32_t base = std::is_signed_v<T> ? CKPT_INT8 : CKPT_UINT8;
    return base + (sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3);
  } else if constexpr (std::is_same_v<T, float>) {
    return CKPT_FLOAT32;
  } else if constexpr (std::is_same_v<T, double>) {
    return CKPT_FLOAT64;
  } else if constexpr (std::is_same_v<T, std::complex<float>>) {
    return CKPT_COMPLEX64;
  } else if constexpr (std::is_same_v<T, std::complex<double>>) {
    return CKPT_COMPLEX128;
  } else {
    return CKPT_RECORD;
  }
}

// What was saved is an array of exactly such elements.
template <typename T>
Result<void> CheckType(const std::string& name, const ckpt_entry& entry) {
  if (entry.kind != CKPT_ENTRY_ARRAY) {
    return Error(CKPT_INVALID_ARGUMENT, "'" + name + "' is no array");
  }
  if (entry.dtype == DtypeOf<T>() && entry.element_bytes == sizeof(T)) return {};
  return Error(CKPT_INVALID_ARGUMENT,
               "'" + name + "' was saved as " + ckpt_dtype_name(entry.dtype) + " of " +
                   std::to_string(entry.element_bytes) + " bytes, not as " +
                   ckpt_dtype_name(DtypeOf<T>()) + " of " + std::to_string(sizeof(T)));
}

}  // namespace internal

enum class Mode {
  kRead = CKPT_OPEN_READ,
  kWrite = CKPT_OPEN_WRITE,
  kCreate = CKPT_OPEN_CREATE,
  kCreateNew = CKPT_OPEN_CREATE_NEW,
};

struct CheckpointInfo {
  std::string series;
  std::uint64_t attempt = 0;
  std::int64_t step = 0;
  std::string state;
  std::int64_t created_ns = 0;
  std::uint64_t logical_bytes = 0;
  std::uint64_t new_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::vector<std::pair<std::string, std::string>> tags;
};

// One save of arrays from memory. Holds the lock of its series.
class Writer {
 public:
  // `shape`: extents, slowest first (row-major). Data may be reused when this returns.
  template <typename T>
  Result<void> Put(const std::string& name, const T* data,
                   const std::vector<std::uint64_t>& shape) {
    return internal::Check(ckpt_put(handle_.get(), name.c_str(), data, internal::DtypeOf<T>(),
                                    static_cast<std::uint32_t>(sizeof(T)),
                                    static_cast<std::uint32_t>(shape.size()), shape.data()));
  }
  template <typename T>
  Result<void> Put(const std::string& name, const std::vector<T>& data) {
    static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements in memory");
    return Put(name, data.data(), {data.size()});
  }
  // A single value.
  template <typename T, typename = std::enable_if_t<std::is_trivially_copyable_v<T>>>
  Result<void> Put(const std::string& name, const T& value) {
    static_assert(!std::is_pointer_v<T>,
                  "elements that a pointer points to are put with their shape: Put(name, p, {n})");
    return Put(name, &value, {});
  }
  // Of what is put from here on.
  Result<void> SetEffort(ckpt_effort effort) {
    return internal::Check(ckpt_put_effort(handle_.get(), effort));
  }
  // The checkpoint exists, durable, when this is ok. The writer is used up either way.
  Result<ckpt_save_result> End() {
    ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
    ckpt_code code = ckpt_end(handle_.release(), &result);
    if (code != CKPT_OK) return internal::LastError(code);
    return result;
  }

 private:
  friend class Store;
  struct Abort {
    void operator()(ckpt_writer* writer) const { ckpt_abort(writer); }
  };
  explicit Writer(ckpt_writer* handle) : handle_(handle) {}
  std::unique_ptr<ckpt_writer, Abort> handle_;
};

// One checkpoint, for reading arrays.
class Reader {
 public:
  std::int64_t step() const { return step_; }
  // Shape and type; the pointers in it live until the next call.
  Result<ckpt_entry> Query(const std::string& name) {
    ckpt_entry entry{};
    ckpt_code code = ckpt_query(handle_.get(), name.c_str(), &entry);
    if (code != CKPT_OK) return internal::LastError(code);
    return entry;
  }
  // Resizes the vector. CKPT_INVALID_ARGUMENT, with both named, when the element types differ.
  template <typename T>
  Result<void> Get(const std::string& name, std::vector<T>* data) {
    static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements in memory");
    auto entry = Query(name);
    if (!entry) return entry.error();
    if (auto same = internal::CheckType<T>(name, *entry); !same) return same;
    data->resize(static_cast<std::size_t>(entry->logical_bytes / sizeof(T)));
    return internal::Check(
        ckpt_get(handle_.get(), name.c_str(), data->data(), data->size() * sizeof(T)));
  }
  // Into memory of exactly `count` elements.
  template <typename T>
  Result<void> Get(const std::string& name, T* data, std::size_t count) {
    auto entry = Query(name);
    if (!entry) return entry.error();
    if (auto same = internal::CheckType<T>(name, *entry); !same) return same;
    return internal::Check(ckpt_get(handle_.get(), name.c_str(), data, count * sizeof(T)));
  }
  template <typename T, typename = std::enable_if_t<std::is_trivially_copyable_v<T>>>
  Result<void> Get(const std::string& name, T* value) {
    return Get(name, value, 1);
  }

 private:
  friend class Store;
  struct Close {
    void operator()(ckpt_reader* reader) const { ckpt_reader_close(reader); }
  };
  explicit Reader(ckpt_reader* handle) : handle_(handle) {}

  std::unique_ptr<ckpt_reader, Close> handle_;
  std::int64_t step_ = 0;
};

class Store {
 public:
  static Result<Store> Open(const std::string& path, Mode mode = Mode::kRead) {
    ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
    options.mode = static_cast<std::int32_t>(mode);
    return Open(path, options);
  }
  static Result<Store> Open(const std::string& path, const ckpt_open_options& options) {
    ckpt_store* handle = nullptr;
    ckpt_code code = ckpt_store_open(path.c_str(), &options, &handle);
    if (code != CKPT_OK) return internal::LastError(code);
    return Store(handle);
  }

  // step CKPT_STEP_NEXT: the last + 1.
  Result<ckpt_save_result> SaveFiles(const std::string& series,
                                     const std::vector<std::string>& paths,
                                     std::int64_t step = CKPT_STEP_NEXT) {
    ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
    options.series = series.c_str();
    options.step = step;
    std::vector<const char*> names;
    for (const std::string& path : paths) names.push_back(path.c_str());
    ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
    ckpt_code code = ckpt_save_files(get(), &options, names.data(), names.size(), &result);
    if (code != CKPT_OK) return internal::LastError(code);
    return result;
  }

  // `checkpoint`: "SERIES", "SERIES@STEP" or "SERIES@ATTEMPT:STEP".
  Result<ckpt_restore_result> RestoreFiles(const std::string& checkpoint, const std::string& to,
                                           bool force = false) {
    ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
    options.checkpoint = checkpoint.c_str();
    options.to = to.c_str();
    options.force = force ? 1 : 0;
    ckpt_restore_result result = CKPT_RESTORE_RESULT_INIT;
    ckpt_code code = ckpt_restore_files(get(), &options, nullptr, nullptr, &result);
    if (code != CKPT_OK) return internal::LastError(code);
    return result;
  }

  // Of one series ("": all), newest first.
  Result<std::vector<CheckpointInfo>> List(const std::string& series = "") {
    ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
    options.series = series.empty() ? nullptr : series.c_str();
    std::vector<CheckpointInfo> list;
    ckpt_code code = ckpt_list(get(), &options, &Store::Append, &list);
    if (code != CKPT_OK) return internal::LastError(code);
    return list;
  }

  Result<Writer> Begin(const std::string& series, std::int64_t step = CKPT_STEP_NEXT) {
    ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
    options.series = series.c_str();
    options.step = step;
    ckpt_writer* writer = nullptr;
    ckpt_code code = ckpt_begin(get(), &options, &writer);
    if (code != CKPT_OK) return internal::LastError(code);
    return Writer(writer);
  }

  // An error of code CKPT_NOT_FOUND when there is nothing to continue from.
  Result<Reader> Read(const std::string& checkpoint) {
    ckpt_reader* handle = nullptr;
    ckpt_code code = ckpt_read(get(), checkpoint.c_str(), &handle);
    if (code != CKPT_OK) return internal::LastError(code);
    Reader reader(handle);
    code = ckpt_reader_info(handle, &Store::TakeStep, &reader.step_);
    if (code != CKPT_OK) return internal::LastError(code);
    return reader;
  }

  // Sets aside what is damaged and keeps what is sound (ckpt_repair); the result counts what was
  // lost. For the names of it, call ckpt_repair with callbacks.
  Result<ckpt_repair_result> Repair(bool dry_run = false) {
    ckpt_repair_options options = CKPT_REPAIR_OPTIONS_INIT;
    options.dry_run = dry_run ? 1 : 0;
    ckpt_repair_result result = CKPT_REPAIR_RESULT_INIT;
    ckpt_code code = ckpt_repair(get(), &options, nullptr, &result);
    if (code != CKPT_OK) return internal::LastError(code);
    return result;
  }

  // For what this header does not wrap.
  ckpt_store* get() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(ckpt_store* store) const { ckpt_store_close(store); }
  };
  explicit Store(ckpt_store* handle) : handle_(handle) {}

  static int Append(const ckpt_checkpoint* c, void* user) {
    CheckpointInfo info;
    info.series = c->series;
    info.attempt = c->attempt;
    info.step = c->step;
    info.state = c->state;
    info.created_ns = c->created_ns;
    info.logical_bytes = c->logical_bytes;
    info.new_bytes = c->new_bytes;
    info.stored_bytes = c->stored_bytes;
    for (std::size_t i = 0; i < c->tag_count; ++i) {
      info.tags.emplace_back(c->tags[i].key, c->tags[i].value);
    }
    static_cast<std::vector<CheckpointInfo>*>(user)->push_back(std::move(info));
    return 0;
  }
  static int TakeStep(const ckpt_checkpoint* c, void* user) {
    *static_cast<std::int64_t*>(user) = c->step;
    return 0;
  }

  std::unique_ptr<ckpt_store, Close> handle_;
};

// ---- sessions ----------------------------------------------------------------------------------

enum Restored { kFresh, kRestored };
enum Outcome {
  kContinue = CKPT_STEP_CONTINUE,
  kSaved = CKPT_STEP_SAVED,
  kStop = CKPT_STEP_STOP,
};

// What a step came to; an error does not stop a computation, so it may be ignored.
class Stepped {
 public:
  Stepped(Outcome outcome, std::optional<Error> error)
      : outcome_(outcome), error_(std::move(error)) {}
  Outcome outcome() const { return outcome_; }
  operator Outcome() const { return outcome_; }  // NOLINT: meant to convert
  bool ok() const { return !error_.has_value(); }
  // REQUIRES: !ok().
  const Error& error() const { return *error_; }

 private:
  Outcome outcome_;
  std::optional<Error> error_;
};

// A tag for the members of a struct, to change whenever they do. Without one, what was saved from
// another struct of the same size is taken for this one.
struct Layout {
  Layout() = default;
  explicit Layout(std::string text) : tag(std::move(text)) {}
  std::string tag;
};

// Asks for conversion: what was saved as another type of numbers is converted, and refused when an
// element does not fit (ckpt_session_convert).
struct Convert {};
inline constexpr Convert kConvert{};

using SessionOptions = ckpt_session_options;
inline SessionOptions DefaultSessionOptions() {
  SessionOptions options = CKPT_SESSION_OPTIONS_INIT;
  return options;
}

// A compatibility key for a computation that depends on an input file: a hash of its bytes
// (ckpt_file_key).
//
//   const std::string key = ckpt::FileKey("in.melt").value();
//   options.compatibility = key.c_str();
inline Result<std::string> FileKey(const std::string& path) {
  char key[CKPT_FILE_KEY_BYTES];
  ckpt_code code = ckpt_file_key(path.c_str(), key);
  if (code != CKPT_OK) return internal::LastError(code);
  return std::string(key);
}

// Saves what is protected, at steps. Thread rule: one thread, outside parallel regions (ckpt.h).
class Session {
 public:
  static Result<Session> Open(const std::string& path, const std::string& series,
                              const SessionOptions& options = DefaultSessionOptions()) {
    ckpt_session* handle = nullptr;
    ckpt_code code = ckpt_session_open(path.c_str(), series.c_str(), &options, &handle);
    if (code != CKPT_OK) return internal::LastError(code);
    return Session(handle);
  }

  // The vector's elements, wherever it has them at a save; resized at restore. `layout`: for
  // elements that are structs.
  template <typename T, typename A>
  Result<void> Protect(const std::string& name, std::vector<T, A>* data,
                       const Layout& layout = Layout()) {
    static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements in memory");
    return ProtectWith<T>(Full(name), data, &LocateVector<T, A>, &AcceptsVector,
                          &PrepareVector<T, A>, layout);
  }
  // One trivially copyable value.
  template <typename T, typename = std::enable_if_t<std::is_trivially_copyable_v<T>>>
  Result<void> Protect(const std::string& name, T* value, const Layout& layout = Layout()) {
    static_assert(!std::is_pointer_v<T>,
                  "a pointer to elements is protected with its shape: Protect(name, &p, {n})");
    return ProtectWith<T>(Full(name), value, &LocateValue<T>, &AcceptsValue, &PrepareValue, layout);
  }
  // The elements a pointer points to, read anew at each save; extents slowest first. At restore it
  // must point to memory of this shape.
  template <typename T>
  Result<void> Protect(const std::string& name, T** data, const std::vector<std::uint64_t>& shape) {
    return internal::Check(
        ckpt_session_protect_pointer(handle(), Full(name).c_str(), reinterpret_cast<void**>(data),
                                     internal::DtypeOf<T>(), static_cast<std::uint32_t>(sizeof(T)),
                                     static_cast<std::uint32_t>(shape.size()), shape.data()));
  }
  // Memory that stays where it is.
  template <typename T>
  Result<void> Protect(const std::string& name, T* data, const std::vector<std::uint64_t>& shape) {
    return internal::Check(
        ckpt_session_protect(handle(), Full(name).c_str(), data, internal::DtypeOf<T>(),
                             static_cast<std::uint32_t>(sizeof(T)),
                             static_cast<std::uint32_t>(shape.size()), shape.data()));
  }
  // Both, of structs.
  template <typename T>
  Result<void> Protect(const std::string& name, T* data, const std::vector<std::uint64_t>& shape,
                       const Layout& layout) {
    return WithLayout(name, Protect(name, data, shape), layout);
  }
  // Any of the above, from a checkpoint that may have another element type.
  template <typename T>
  Result<void> Protect(const std::string& name, T* state, Convert) {
    return WithConversion(name, Protect(name, state));
  }
  template <typename T>
  Result<void> Protect(const std::string& name, T* data, const std::vector<std::uint64_t>& shape,
                       Convert) {
    return WithConversion(name, Protect(name, data, shape));
  }
  // save() answers a std::string of any bytes, load(const std::string&) takes it back. What they
  // throw is an error of the save or restore.
  template <typename Save, typename Load, typename = decltype(std::string(std::declval<Save&>()())),
            typename = decltype(std::declval<Load&>()(std::declval<const std::string&>()))>
  Result<void> Protect(const std::string& name, Save save, Load load) {
    auto stream = std::make_unique<Stream>();
    stream->save = std::move(save);
    stream->load = std::move(load);
    stream->thrown = &state_->thrown;
    Stream* user = stream.get();
    state_->streams.push_back(std::move(stream));
    return internal::Check(
        ckpt_session_protect_stream(handle(), Full(name).c_str(), &SaveStream, &LoadStream, user));
  }
  Result<void> Unprotect(const std::string& name) {
    return internal::Check(ckpt_session_unprotect(handle(), Full(name).c_str()));
  }
  Result<void> AttachFile(const std::string& path) {
    return internal::Check(ckpt_session_attach_file(handle(), path.c_str()));
  }
  // Of what is protected under the name, from the next save on; of all else options.effort.
  Result<void> SetEffort(const std::string& name, ckpt_effort effort) {
    return internal::Check(ckpt_session_set_effort(handle(), Full(name).c_str(), effort));
  }

  // A session's names under a prefix ("fluid/"), for a part of a code. Shares the session and must
  // not outlive its Finish.
  Session Scope(const std::string& prefix) const {
    Session part(*this);
    part.prefix_ = prefix_ + prefix;
    return part;
  }

  // The newest sound checkpoint goes into what is protected; its step into *done, which is
  // untouched when there is none (kFresh).
  Result<Restored> Restore(std::int64_t* done) {
    ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
    return RestoreInto(done, ckpt_session_restore(handle(), &restored), restored);
  }
  Result<Restored> RestoreStep(std::int64_t step, std::int64_t* done) {
    ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
    return RestoreInto(done, ckpt_session_restore_step(handle(), step, &restored), restored);
  }
  // Of the last Restore.
  const std::vector<std::string>& missing() const { return state_->missing; }
  const std::vector<std::string>& left_over() const { return state_->left_over; }
  const std::vector<std::string>& passed_over() const { return state_->passed_over; }

  Stepped Step(std::int64_t done) {
    std::int32_t outcome = CKPT_STEP_CONTINUE;
    ckpt_code code = ckpt_session_step(handle(), done, &outcome);
    return ToStepped(code, outcome);
  }

  // The primitive beneath Step: a save of exactly what is put.
  Result<void> Begin(std::int64_t step) {
    return internal::Check(ckpt_session_begin(handle(), step));
  }
  template <typename T>
  Result<void> Put(const std::string& name, const T* data,
                   const std::vector<std::uint64_t>& shape) {
    return internal::Check(
        ckpt_session_put(handle(), Full(name).c_str(), data, internal::DtypeOf<T>(),
                         static_cast<std::uint32_t>(sizeof(T)),
                         static_cast<std::uint32_t>(shape.size()), shape.data()));
  }
  template <typename T, typename A>
  Result<void> Put(const std::string& name, const std::vector<T, A>& data) {
    static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements in memory");
    return Put(name, data.data(), {data.size()});
  }
  template <typename T, typename = std::enable_if_t<std::is_trivially_copyable_v<T>>>
  Result<void> Put(const std::string& name, const T& value) {
    static_assert(!std::is_pointer_v<T>,
                  "elements that a pointer points to are put with their shape: Put(name, p, {n})");
    return Put(name, &value, {});
  }
  Stepped End() {
    std::int32_t outcome = CKPT_STEP_CONTINUE;
    ckpt_code code = ckpt_session_end(handle(), &outcome);
    return ToStepped(code, outcome);
  }
  Result<void> Abort() { return internal::Check(ckpt_session_abort(handle())); }
  // A device wrote to this memory, or will before the next save: ckpt_session_written.
  Result<void> Written(const void* data, std::uint64_t bytes) {
    return internal::Check(ckpt_session_written(handle(), data, bytes));
  }
  // Of the restored checkpoint, until the first save.
  Result<ckpt_entry> Query(const std::string& name) {
    ckpt_entry entry{};
    ckpt_code code = ckpt_session_query(handle(), Full(name).c_str(), &entry);
    if (code != CKPT_OK) return internal::LastError(code);
    return entry;
  }
  // CKPT_INVALID_ARGUMENT, with both named, when the element types differ.
  template <typename T>
  Result<void> Get(const std::string& name, T* data, std::size_t count) {
    auto entry = Query(name);
    if (!entry) return entry.error();
    if (auto same = internal::CheckType<T>(Full(name), *entry); !same) return same;
    return internal::Check(ckpt_session_get(handle(), Full(name).c_str(), data, count * sizeof(T)));
  }
  template <typename T>
  Result<void> Get(const std::string& name, T* data, std::size_t count, Convert) {
    return internal::Check(
        ckpt_session_get_as(handle(), Full(name).c_str(), internal::DtypeOf<T>(), data, count));
  }

  Result<void> WaitStaged() { return internal::Check(ckpt_session_wait_staged(handle())); }
  Result<void> Commit() { return internal::Check(ckpt_session_commit(handle())); }
  ckpt_session_report Report() const {
    ckpt_session_report report = CKPT_SESSION_REPORT_INIT;
    (void)ckpt_session_get_report(handle(), &report);
    return report;
  }
  // Commits, gives the signals back, and answers the exit status for main. By the default policy a
  // session that is not complete and was stopped by a signal ends the process by that signal, after
  // stdio's streams were flushed; flush file streams (std::ofstream) before.
  // From another thread, or in a forked child, it does nothing and answers 1.
  int Finish(bool complete) {
    const std::int32_t status = ckpt_session_finish(state_->handle.get(), complete ? 1 : 0);
    if (status < 0) return 1;
    (void)state_->handle.release();
    return status;
  }

  // For what this header does not wrap.
  ckpt_session* handle() const { return state_->handle.get(); }

 private:
  struct Close {
    void operator()(ckpt_session* session) const { ckpt_session_close(session); }
  };
  struct Stream {
    std::function<std::string()> save;
    std::function<void(const std::string&)> load;
    std::string* thrown = nullptr;  // State::thrown
  };
  struct State {
    std::vector<std::unique_ptr<Stream>> streams;
    std::vector<std::string> missing, left_over, passed_over;
    std::string thrown;                           // what() of what a function threw
    std::unique_ptr<ckpt_session, Close> handle;  // closed first
  };

  explicit Session(ckpt_session* handle) : state_(std::make_shared<State>()) {
    state_->handle.reset(handle);
  }
  std::string Full(const std::string& name) const { return prefix_ + name; }
  Result<void> WithConversion(const std::string& name, Result<void> done) {
    if (!done) return done;
    auto converts = internal::Check(ckpt_session_convert(handle(), Full(name).c_str()));
    if (!converts) (void)Unprotect(name);
    return converts;
  }

  Result<void> WithLayout(const std::string& name, Result<void> done, const Layout& layout) {
    if (!done) return done;
    auto has_it =
        internal::Check(ckpt_session_set_layout(handle(), Full(name).c_str(), layout.tag.c_str()));
    if (!has_it) (void)Unprotect(name);
    return has_it;
  }

  template <typename T>
  Result<void> ProtectWith(const std::string& name, void* user, int (*locate)(ckpt_array*, void*),
                           int (*accepts)(const ckpt_array*, void*),
                           int (*prepare)(const ckpt_array*, void**, void*), const Layout& layout) {
    ckpt_protected how = CKPT_PROTECTED_INIT;
    how.dtype = internal::DtypeOf<T>();
    how.element_bytes = static_cast<std::uint32_t>(sizeof(T));
    how.layout = layout.tag.c_str();
    how.locate = locate;
    how.accepts = accepts;
    how.prepare = prepare;
    how.user = user;
    return internal::Check(ckpt_session_protect_with(handle(), name.c_str(), &how));
  }

  template <typename T, typename A>
  static int LocateVector(ckpt_array* array, void* user) {
    auto* data = static_cast<std::vector<T, A>*>(user);
    array->data = data->data();
    array->dimensions = 1;
    array->shape[0] = data->size();
    return 0;
  }
  static int AcceptsVector(const ckpt_array* saved, void*) {
    return saved->dimensions == 1 ? 0 : 1;
  }
  template <typename T, typename A>
  static int PrepareVector(const ckpt_array* saved, void** data, void* user) {
    auto* vector = static_cast<std::vector<T, A>*>(user);
    try {
      vector->resize(static_cast<std::size_t>(saved->shape[0]));
    } catch (const std::exception&) {
      return 1;
    }
    *data = vector->data();
    return 0;
  }
  template <typename T>
  static int LocateValue(ckpt_array* array, void* user) {
    array->data = user;
    array->dimensions = 0;
    return 0;
  }
  static int AcceptsValue(const ckpt_array* saved, void*) { return saved->dimensions == 0 ? 0 : 1; }
  static int PrepareValue(const ckpt_array*, void** data, void* user) {
    *data = user;
    return 0;
  }
  static int SaveStream(ckpt_sink* sink, void* user) {
    static_cast<Stream*>(user)->thrown->clear();
    try {
      const std::string bytes = static_cast<Stream*>(user)->save();
      return ckpt_sink_write(sink, bytes.data(), bytes.size()) == CKPT_OK ? 0 : 1;
    } catch (const std::exception& e) {
      return NoteThrown(user, e.what());
    } catch (...) {
      return 1;
    }
  }
  static int LoadStream(const void* data, std::uint64_t bytes, void* user) {
    static_cast<Stream*>(user)->thrown->clear();
    try {
      static_cast<Stream*>(user)->load(
          std::string(static_cast<const char*>(data), static_cast<std::size_t>(bytes)));
      return 0;
    } catch (const std::exception& e) {
      return NoteThrown(user, e.what());
    } catch (...) {
      return 1;
    }
  }
  static int NoteThrown(void* user, const char* what) {
    try {
      *static_cast<Stream*>(user)->thrown = what;
    } catch (...) {
    }
    return 1;
  }
  // The last error, with what a function threw in this call. Another thread's call, which is
  // refused (CKPT_INVALID_ARGUMENT), must not look at `thrown`: it is the session's thread's.
  Error ErrorOfCall(ckpt_code code) const {
    Error error = internal::LastError(code);
    if (code != CKPT_CANCELLED || state_->thrown.empty()) return error;
    return Error(code, error.message() + " (" + std::exchange(state_->thrown, std::string()) + ")");
  }

  Result<Restored> RestoreInto(std::int64_t* done, ckpt_code code,
                               const ckpt_session_restored& restored) {
    if (code != CKPT_OK) return ErrorOfCall(code);
    auto take = [](const char* const* texts, std::size_t count) {
      return std::vector<std::string>(texts, texts + count);
    };
    state_->missing = take(restored.missing, restored.missing_count);
    state_->left_over = take(restored.left_over, restored.left_over_count);
    state_->passed_over = take(restored.passed_over, restored.passed_over_count);
    if (restored.restored == 0) return kFresh;
    *done = restored.step;
    return kRestored;
  }
  Stepped ToStepped(ckpt_code code, std::int32_t outcome) const {
    std::optional<Error> error;
    if (code != CKPT_OK) error = ErrorOfCall(code);
    return Stepped(static_cast<Outcome>(outcome), std::move(error));
  }

  std::shared_ptr<State> state_;  // shared with the scopes
  std::string prefix_;
};

}  // namespace v1
}  // namespace ckpt

#endif  // CKPT_CKPT_HPP_
