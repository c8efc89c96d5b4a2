// What the coding of all records of this layer shares: the version, the bounds that more than one
// record has, and the way one check serves both sides (InvalidArgument when it was going to be
// written, Corruption when it was read). Thread rule: pure functions.

#ifndef CKPT_STORE_MANIFEST_RECORD_CODING_H_
#define CKPT_STORE_MANIFEST_RECORD_CODING_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/manifest/manifest.h"

namespace ckpt {

constexpr std::uint16_t kRecordVersion = 1;
constexpr std::uint16_t kFlagHasParent = 1;
constexpr std::int64_t kStepMax = std::int64_t{1} << 62;
constexpr std::uint32_t kRanksMax = 1u << 24;
constexpr std::size_t kSeriesStringMax = 128;
constexpr std::size_t kShortStringMax = 255;  // host names, job ids, keys

// The first field of a payload. Unsupported when it is another version.
inline Status ReadRecordVersion(ByteReader* in, std::string_view record) {
  std::uint16_t version = in->U16();
  if (!in->ok()) return Corruption(std::string(record) + ": cut off before its version");
  if (version == kRecordVersion) return {};
  return Unsupported(std::string(record) + ": version " + std::to_string(version) +
                     " is not known to this build; use a newer one");
}

// After the last field: the payload must be read to its end, exactly.
inline Status CheckRecordDone(const ByteReader& in, std::string_view record) {
  if (in.Done()) return {};
  return Corruption(std::string(record) + ": " +
                    (in.ok() ? std::to_string(in.remaining()) + " bytes too many"
                             : "a field is out of bounds or cut off"));
}

// A check's InvalidArgument, said of bytes that were read.
inline Status AsCorruption(const Status& status, std::string_view record) {
  if (status.ok()) return {};
  return Corruption(std::string(record) + ": " + status.message());
}

inline Status CheckAtMost(std::size_t size, std::size_t max, std::string_view what) {
  if (size <= max) return {};
  return InvalidArgument(std::string(what) + ": " + std::to_string(size) + ", at most " +
                         std::to_string(max) + " allowed");
}

// Parent fields are zeros unless there is a parent.
Status CheckParent(bool has_parent, const Id128& parent, std::int64_t parent_step);
Status CheckAttemptRef(const AttemptRef& attempt);
Status CheckStep(std::int64_t step);

}  // namespace ckpt

#endif  // CKPT_STORE_MANIFEST_RECORD_CODING_H_
