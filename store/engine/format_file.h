// The store's `format` file: identity, feature bits and parameters (docs/format.md). Written once.
// Keeps I11: feature bits this build does not know are refused by number, and by what they forbid.
// Thread rule: values and pure functions.

#ifndef CKPT_STORE_ENGINE_FORMAT_FILE_H_
#define CKPT_STORE_ENGINE_FORMAT_FILE_H_

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/codec/chunker.h"
#include "store/codec/effort.h"

namespace ckpt {

constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::string_view kFormatName = "format";
constexpr std::size_t kFormatFileBytes = 4096;

struct StoreFormat {
  Id128 uuid;
  ChunkerParams chunker;
  std::uint32_t array_chunk_bytes = 64u << 10;
  int level = 3;
  Effort effort = Effort::kBalanced;
  std::uint64_t pack_bytes_max = 512u << 20;
  bool read_only = false;  // has a feature that this build may read but not write
};

// InvalidArgument when a parameter is outside the format's limits.
Result<Bytes> EncodeFormatFile(const StoreFormat& format);
// Unsupported names the version or the bits; Corruption what is damaged.
Result<StoreFormat> DecodeFormatFile(ByteSpan bytes);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_FORMAT_FILE_H_
