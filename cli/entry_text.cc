#include "cli/entry_text.h"

#include "cli/text.h"

namespace ckpt {
namespace {

std::string OctalMode(std::uint32_t mode) {
  std::string digits;
  for (int shift = 9; shift >= 0; shift -= 3) {
    digits += static_cast<char>('0' + ((mode >> static_cast<unsigned>(shift)) & 7u));
  }
  return digits;
}

bool HasMode(std::int32_t kind) {
  return kind == CKPT_ENTRY_FILE || kind == CKPT_ENTRY_DIRECTORY || kind == CKPT_ENTRY_STREAM;
}

std::string Extents(const ckpt_entry& entry, const char* separator) {
  std::string text;
  for (std::uint32_t i = 0; i < entry.dimensions; ++i) {
    text += (i > 0 ? separator : "") + std::to_string(entry.shape[i]);
  }
  return text;
}

// numpy's name of the type, little-endian as everything in a store; "" for an unknown type.
std::string NumpyType(const ckpt_entry& entry) {
  switch (entry.dtype) {
    case CKPT_INT8:
      return "|i1";
    case CKPT_INT16:
      return "<i2";
    case CKPT_INT32:
      return "<i4";
    case CKPT_INT64:
      return "<i8";
    case CKPT_UINT8:
    case CKPT_BYTES:
      return "|u1";
    case CKPT_UINT16:
      return "<u2";
    case CKPT_UINT32:
      return "<u4";
    case CKPT_UINT64:
      return "<u8";
    case CKPT_FLOAT16:
      return "<f2";
    case CKPT_FLOAT32:
      return "<f4";
    case CKPT_FLOAT64:
      return "<f8";
    case CKPT_COMPLEX64:
      return "<c8";
    case CKPT_COMPLEX128:
      return "<c16";
    case CKPT_BOOL:
      return "|b1";
    case CKPT_STRING:
      return "|S" + std::to_string(entry.element_bytes);
    case CKPT_BFLOAT16:
      return "|V2";
    case CKPT_FLOAT80:   // numpy's f16 means this on some machines ...
    case CKPT_FLOAT128:  // ... and this on others
      return "|V16";
    case CKPT_RECORD:
      return "|V" + std::to_string(entry.element_bytes);
    default:
      return "";
  }
}

std::string LittleEndian(std::size_t value, std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xFFu);
  return out;
}

}  // namespace

const char* KindName(std::int32_t kind) {
  switch (kind) {
    case CKPT_ENTRY_FILE:
      return "file";
    case CKPT_ENTRY_DIRECTORY:
      return "directory";
    case CKPT_ENTRY_SYMLINK:
      return "symlink";
    case CKPT_ENTRY_HARDLINK:
      return "hardlink";
    case CKPT_ENTRY_ARRAY:
      return "array";
    case CKPT_ENTRY_STREAM:
      return "stream";
    default:
      return "unknown";
  }
}

std::string EntryType(const ckpt_entry& entry) {
  if (entry.kind == CKPT_ENTRY_ARRAY) {
    return std::string(ckpt_dtype_name(entry.dtype)) + "[" + Extents(entry, ",") + "]" +
           (entry.column_major != 0 ? " F" : "");
  }
  std::string text = KindName(entry.kind);
  if (HasMode(entry.kind)) text += " " + OctalMode(entry.mode);
  return text;
}

Json EntryJson(const ckpt_entry& entry) {
  const bool array = entry.kind == CKPT_ENTRY_ARRAY;
  Json json = Json::object();
  SetText(json, "name", entry.name);
  json["kind"] = KindName(entry.kind);
  json["dtype"] = nullptr;
  json["shape"] = nullptr;
  if (array) {
    json["dtype"] = ckpt_dtype_name(entry.dtype);
    json["shape"] = Json::array();
    for (std::uint32_t i = 0; i < entry.dimensions; ++i) json["shape"].push_back(entry.shape[i]);
    json["order"] = entry.column_major != 0 ? "F" : "C";
    json["element_bytes"] = entry.element_bytes;
  } else {
    if (HasMode(entry.kind)) json["mode"] = OctalMode(entry.mode);
    json["uid"] = entry.uid;
    json["gid"] = entry.gid;
    json["mtime_ns"] = entry.mtime_ns;
    if (*entry.target != '\0') SetText(json, "target", entry.target);
  }
  json["logical_bytes"] = entry.logical_bytes;
  json["stored_bytes"] = entry.stored_bytes;
  json["chunks"] = entry.chunks;
  json["new_chunks"] = entry.new_chunks;
  json["new_bytes"] = entry.new_bytes;
  json["codec"] = entry.codec;
  return json;
}

std::optional<std::string> NpyHeader(const ckpt_entry& entry) {
  const std::string type = NumpyType(entry);
  if (type.empty()) return std::nullopt;
  std::string text =
      "{'descr': '" + type + "', 'fortran_order': " + (entry.column_major != 0 ? "True" : "False") +
      ", 'shape': (" + Extents(entry, ", ") + (entry.dimensions == 1 ? ",), }" : "), }");
  // Magic, version and length take 10 bytes, in version 2 12; all of it is a multiple of 64 and
  // ends with a newline.
  std::size_t front = 10;
  if (text.size() + 1 + front + 63 > 0xFFFF) front = 12;
  const std::size_t total = (front + text.size() + 1 + 63) / 64 * 64;
  text.resize(total - front - 1, ' ');
  text += '\n';
  const char version = front == 10 ? '\x01' : '\x02';
  return std::string("\x93NUMPY") + version + '\0' + LittleEndian(text.size(), front - 8) + text;
}

}  // namespace ckpt
