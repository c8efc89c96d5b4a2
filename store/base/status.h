// Status and Result<T>: how everything below the C interface reports failure.
//
//   Result<std::unique_ptr<File>> file = dir.OpenFile("format", OpenMode::kRead);
//   if (!file.ok()) return file.status();
//   CKPT_RETURN_IF_ERROR((*file)->ReadExactAt(0, buffer));
//
// A code says what the caller should do next; a message says what was tried, on which path, at
// which offset, what the system answered and what a person can do about it. Nothing here throws
// (except std::bad_alloc, which the C interface maps to CKPT_OUT_OF_MEMORY).
// Thread rule: values, no shared state.

#ifndef CKPT_STORE_BASE_STATUS_H_
#define CKPT_STORE_BASE_STATUS_H_

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace ckpt {

// The numbers are those of ckpt.h (pinned there with static_assert).
enum class Code : int {
  kOk = 0,
  kNotFound = 1,         // no such store, series, checkpoint, entry or file
  kCorruption = 2,       // bytes on disk are not what was written; the message names where
  kIo = 3,               // the system refused a call; the message has its reason
  kNoSpace = 4,          // disk or quota is full: free space (rm, gc), then try again
  kBusy = 5,             // somebody else holds it: wait, then try again
  kInvalidArgument = 6,  // the caller's mistake
  kUnsupported = 7,      // this build, format version or file system cannot do it
  kOutOfMemory = 8,
  kInternal = 9,     // our mistake
  kPermission = 10,  // the system or our own access rule forbids it
  kExists = 11,      // something different is already there and would be overwritten
  kCancelled = 12,   // the caller's callback asked to stop
};

// "not found", "corruption", ...: what JSON says, and so a contract (docs/cli.md).
std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {
    assert(code != Code::kOk);
  }

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // "corruption: pack 12ab…: …"; "ok" when ok.
  std::string ToString() const;
  // The same code with `context` and ": " in front of the message.
  Status WithContext(std::string_view context) &&;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

Status NotFound(std::string message);
Status Corruption(std::string message);
Status IoError(std::string message);
Status NoSpace(std::string message);
Status Busy(std::string message);
Status InvalidArgument(std::string message);
Status Unsupported(std::string message);
Status OutOfMemory(std::string message);
// For where an exception must end: allocates nothing.
Status NoMemoryLeft() noexcept;
Status Internal(std::string message);
Status PermissionDenied(std::string message);
Status AlreadyExists(std::string message);
Status Cancelled(std::string message);

// The status for an errno of a failed call. `what` is "operation path", e.g. "write packs/12ab.pack
// at 4096"; the system's reason and, where one is known, what to do about it are added.
Status ErrnoStatus(int error, std::string_view what);

// Either a value or a status that is not ok.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT
  Result(T value) : value_(std::move(value)) {}                                  // NOLINT

  bool ok() const { return status_.ok(); }
  const Status& status() const& { return status_; }
  Status status() && { return std::move(status_); }

  // REQUIRES: ok().
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T operator*() && { return *std::move(value_); }  // by value: `*Function()` must not dangle
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace ckpt

#define CKPT_CONCAT_INNER_(a, b) a##b
#define CKPT_CONCAT_(a, b) CKPT_CONCAT_INNER_(a, b)

// Returns the status from the calling function when it is not ok.
#define CKPT_RETURN_IF_ERROR(expression) \
  CKPT_RETURN_IF_ERROR_(CKPT_CONCAT_(ckpt_status_, __LINE__), expression)
#define CKPT_RETURN_IF_ERROR_(status, expression) \
  do {                                            \
    ::ckpt::Status status = (expression);         \
    if (!status.ok()) [[unlikely]]                \
      return status;                              \
  } while (false)

// CKPT_ASSIGN_OR_RETURN(auto file, dir.OpenFile(name, mode));
#define CKPT_ASSIGN_OR_RETURN(declaration, expression) \
  CKPT_ASSIGN_OR_RETURN_(CKPT_CONCAT_(ckpt_result_, __LINE__), declaration, expression)
#define CKPT_ASSIGN_OR_RETURN_(result, declaration, expression) \
  auto result = (expression);                                   \
  if (!result.ok()) [[unlikely]]                                \
    return std::move(result).status();                          \
  declaration = *std::move(result)

#endif  // CKPT_STORE_BASE_STATUS_H_
