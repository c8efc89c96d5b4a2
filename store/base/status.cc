#include "store/base/status.h"

#include <cerrno>
#include <cstring>

namespace ckpt {
namespace {

// What a person can do about a failed call; empty when the reason speaks for itself.
std::string_view Advice(int error) {
  switch (error) {
    case ENOSPC:
      return "free space on this file system, or drop checkpoints with 'rm' and then run 'gc'";
    case EDQUOT:
      return "your quota is used up: drop checkpoints with 'rm' and then run 'gc'";
    case EROFS:
      return "the file system is mounted read-only";
    case EACCES:
    case EPERM:
      return "check owner and mode, or ask the store's owner";
    case EIO:
      return "the device or its server failed: look at the kernel log";
    case ESTALE:
      return "the network file system lost the file: mount it again";
    case EMFILE:
    case ENFILE:
      return "raise the open files limit (ulimit -n)";
    default:
      return "";
  }
}

Code CodeOf(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case ENOSPC:
    case EDQUOT:
      return Code::kNoSpace;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermission;
    case EAGAIN:
    case EBUSY:
    case ETXTBSY:
      return Code::kBusy;
    case EINVAL:
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    case EEXIST:
    case ENOTEMPTY:
      return Code::kExists;
    case ENOMEM:
      return Code::kOutOfMemory;
    case ENOSYS:
    case EOPNOTSUPP:
      return Code::kUnsupported;
    default:
      return Code::kIo;
  }
}

}  // namespace

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kNotFound:
      return "not found";
    case Code::kCorruption:
      return "corruption";
    case Code::kIo:
      return "io";
    case Code::kNoSpace:
      return "no space";
    case Code::kBusy:
      return "busy";
    case Code::kInvalidArgument:
      return "invalid argument";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kOutOfMemory:
      return "out of memory";
    case Code::kInternal:
      return "internal";
    case Code::kPermission:
      return "permission";
    case Code::kExists:
      return "exists";
    case Code::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  return std::string(CodeName(code_)) + ": " + message_;
}

Status Status::WithContext(std::string_view context) && {
  if (ok()) return std::move(*this);
  return Status(code_, std::string(context) + ": " + message_);
}

Status NotFound(std::string m) { return Status(Code::kNotFound, std::move(m)); }
Status Corruption(std::string m) { return Status(Code::kCorruption, std::move(m)); }
Status IoError(std::string m) { return Status(Code::kIo, std::move(m)); }
Status NoSpace(std::string m) { return Status(Code::kNoSpace, std::move(m)); }
Status Busy(std::string m) { return Status(Code::kBusy, std::move(m)); }
Status InvalidArgument(std::string m) { return Status(Code::kInvalidArgument, std::move(m)); }
Status Unsupported(std::string m) { return Status(Code::kUnsupported, std::move(m)); }
Status OutOfMemory(std::string m) { return Status(Code::kOutOfMemory, std::move(m)); }
// As long as a string may be without memory of its own.
Status NoMemoryLeft() noexcept { return Status(Code::kOutOfMemory, "out of memory"); }
Status Internal(std::string m) { return Status(Code::kInternal, std::move(m)); }
Status PermissionDenied(std::string m) { return Status(Code::kPermission, std::move(m)); }
Status AlreadyExists(std::string m) { return Status(Code::kExists, std::move(m)); }
Status Cancelled(std::string m) { return Status(Code::kCancelled, std::move(m)); }

Status ErrnoStatus(int error, std::string_view what) {
  char buffer[128];
  std::string message(what);
  message += ": ";
  message += strerror_r(error, buffer, sizeof(buffer));
  std::string_view advice = Advice(error);
  if (!advice.empty()) message.append(" (").append(advice).append(")");
  return Status(CodeOf(error), std::move(message));
}

}  // namespace ckpt
