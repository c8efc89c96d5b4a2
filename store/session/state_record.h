// What a session keeps beside the arrays of a checkpoint: lengths of attached files and the layout
// tags of records, as one small entry of a reserved name.
//
//   u32 version (1), u32 files, {string path, u64 length}, u32 layouts, {string name, string tag}
//
// Hostile bytes from disk give Corruption (I8). Thread rule: values and pure functions.

#ifndef CKPT_STORE_SESSION_STATE_RECORD_H_
#define CKPT_STORE_SESSION_STATE_RECORD_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

// Names that begin with this are the session's own.
inline constexpr std::string_view kReservedPrefix = "ckpt.";
inline constexpr std::string_view kStateRecordName = "ckpt.session";
inline constexpr std::string_view kCompatibilityTag = "ckpt.compatibility";

struct StateRecord {
  std::map<std::string, std::uint64_t> files;
  std::map<std::string, std::string> layouts;
  bool operator==(const StateRecord&) const = default;
};

Bytes EncodeStateRecord(const StateRecord& record);
Result<StateRecord> DecodeStateRecord(ByteSpan payload);

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_STATE_RECORD_H_
