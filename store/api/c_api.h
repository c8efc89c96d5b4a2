// What the files of the C interface share: handles, errors, growing structs, conversions.
//
// Every entry point is one call of Guard: nothing is thrown across it (I10), the thread's message
// is set on failure, and the code is the status's. Thread rule: see ckpt.h.

#ifndef CKPT_STORE_API_C_API_H_
#define CKPT_STORE_API_C_API_H_

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "ckpt/ckpt.h"
#include "store/base/status.h"
#include "store/engine/checkpoint_writer.h"
#include "store/engine/damage.h"
#include "store/engine/series.h"
#include "store/engine/store.h"

struct ckpt_store {
  std::unique_ptr<ckpt::Store> store;
  // A string of the store's own, good until it is closed.
  const char* Keep(const std::string& text) {
    std::lock_guard lock(mutex);
    return strings.insert(text).first->c_str();
  }

  std::mutex mutex;
  std::set<std::string> strings;
};

namespace ckpt::c_api {

// Remembers the status for ckpt_error_message and answers its code.
ckpt_code Fail(const Status& status) noexcept;

template <typename Function>
ckpt_code Guard(Function&& function) noexcept {
  try {
    Status status = function();
    return status.ok() ? CKPT_OK : Fail(status);
  } catch (const std::bad_alloc&) {
    return Fail(Status(Code::kOutOfMemory, "out of memory"));
  } catch (const std::exception& e) {
    return Fail(Status(Code::kInternal, e.what()));
  } catch (...) {
    return Fail(Status(Code::kInternal, "something unknown was thrown"));
  }
}

// The caller's options, with this build's defaults for what its header does not have yet.
// InvalidArgument when struct_size was not set by the INIT macro.
template <typename Options>
Status ReadOptions(const Options* given, Options defaults, Options* out) {
  *out = defaults;
  if (given == nullptr) return Status();
  if (given->struct_size < sizeof(std::size_t)) {
    return InvalidArgument("an options struct was not initialised with its _INIT macro");
  }
  std::memcpy(static_cast<void*>(out), given, std::min(given->struct_size, sizeof(Options)));
  out->struct_size = sizeof(Options);
  return Status();
}

inline double Ratio(std::uint64_t over, std::uint64_t under) {
  return under == 0 ? 0.0 : static_cast<double>(over) / static_cast<double>(under);
}

// Fills the caller's result as far as its header knows it; null is allowed.
template <typename Output>
Status WriteResult(Output value, Output* out) {
  if (out == nullptr) return Status();
  if (out->struct_size < sizeof(std::size_t)) {
    return InvalidArgument("a result struct was not initialised with its _INIT macro");
  }
  value.struct_size = out->struct_size;
  std::memcpy(static_cast<void*>(out), &value, std::min(out->struct_size, sizeof(Output)));
  return Status();
}

inline Status Need(const void* pointer, const char* what) {
  return pointer != nullptr ? Status() : InvalidArgument(std::string(what) + " is NULL");
}

inline std::string Text(const char* text) { return text == nullptr ? "" : text; }
std::vector<std::string> Texts(const char* const* texts, std::size_t count);

// InvalidArgument: elements of another size than the type's (0: as the type says). A wrong one
// would save a part of the memory.
Status CheckElementBytes(std::int32_t dtype, std::uint32_t element_bytes);

Result<OpenStoreOptions> ToOpenOptions(const ckpt_open_options& options);
Result<Effort> ToEffort(std::int32_t effort);
// ckpt_save_options -> SaveOptions (what concerns the checkpoint, not the paths).
Result<SaveOptions> ToSaveOptions(const ckpt_save_options& options);
ckpt_save_result ToResult(const Saved& saved, double seconds);

// A checkpoint as the C interface shows it. Strings live in this object.
class CheckpointInfo {
 public:
  // From what the index keeps of it; state and line by the view.
  static Result<std::unique_ptr<CheckpointInfo>> Make(Store* store, const SeriesView& view,
                                                      const CheckpointRow& row, bool abandoned);
  const ckpt_checkpoint* get() const { return &info_; }

 private:
  Manifest manifest_;
  std::string attempt_id_;
  std::string state_;
  std::vector<ckpt_tag> tags_;
  ckpt_checkpoint info_{};
};

// Calls fn for the checkpoint that begins with `row`; Cancelled when it says so.
Status Tell(Store* store, const SeriesView& view, const CheckpointRow& row, bool abandoned,
            ckpt_checkpoint_fn fn, void* user);

Status TellDamage(const FoundDamage& found, int (*damage)(const ckpt_damage* damage, void* user),
                  void* user);

}  // namespace ckpt::c_api

#endif  // CKPT_STORE_API_C_API_H_
