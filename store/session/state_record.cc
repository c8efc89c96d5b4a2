#include "store/session/state_record.h"

namespace ckpt {
namespace {

constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kTextBytesMax = 64u << 10;

}  // namespace

Bytes EncodeStateRecord(const StateRecord& record) {
  Bytes out;
  ByteWriter w(&out);
  w.U32(kVersion);
  w.U32(static_cast<std::uint32_t>(record.files.size()));
  for (const auto& [path, length] : record.files) {
    w.String(path);
    w.U64(length);
  }
  w.U32(static_cast<std::uint32_t>(record.layouts.size()));
  for (const auto& [name, tag] : record.layouts) {
    w.String(name);
    w.String(tag);
  }
  return out;
}

Result<StateRecord> DecodeStateRecord(ByteSpan payload) {
  ByteReader r(payload);
  std::uint32_t version = r.U32();
  if (r.ok() && version != kVersion) {
    return Unsupported("the session's record has version " + std::to_string(version) +
                       ", this build knows " + std::to_string(kVersion) +
                       ": use a newer ckpt-store");
  }
  StateRecord record;
  for (std::uint32_t left = r.U32(); left > 0 && r.ok(); --left) {
    std::string path = r.String(kTextBytesMax);
    record.files[path] = r.U64();
  }
  for (std::uint32_t left = r.U32(); left > 0 && r.ok(); --left) {
    std::string name = r.String(kTextBytesMax);
    record.layouts[name] = r.String(kTextBytesMax);
  }
  if (!r.Done()) return Corruption("the session's record is cut short or too long");
  return record;
}

}  // namespace ckpt
