#include "store/manifest/entry_coding.h"

#include <string_view>

#include "store/manifest/manifest.h"
#include "store/manifest/node.h"

namespace ckpt {
namespace {

constexpr std::uint8_t kFlagTrustedStat = 1;
constexpr std::uint8_t kFlagGlobalPlace = 2;
constexpr std::uint32_t kModeMax = 07777;
constexpr std::size_t kTargetBytesMax = 4096;
constexpr std::size_t kXattrsMax = 1024;
constexpr std::size_t kXattrNameBytesMax = 255;
constexpr std::size_t kXattrValueBytesMax = 64u << 10;
// Everything of an entry but its name, target and attributes fits in this.
constexpr std::size_t kEntryFixedBytesMax = 2048;

bool HasStat(EntryKind kind) { return kind != EntryKind::kArray; }
bool HasTarget(EntryKind kind) {
  return kind == EntryKind::kSymlink || kind == EntryKind::kHardLink;
}
bool HasContent(EntryKind kind) {
  return kind == EntryKind::kFile || kind == EntryKind::kArray || kind == EntryKind::kStream;
}

Status CheckStat(const Entry& entry) {
  if (!HasStat(entry.kind)) {
    if (!entry.trusted_stat && entry.xattrs.empty()) return {};
    return InvalidArgument("an array has neither stat hints nor extended attributes");
  }
  if (entry.mode > kModeMax) return InvalidArgument("its mode has more than permission bits");
  if (entry.xattrs.size() > kXattrsMax) {
    return InvalidArgument("it has more than 1024 extended attributes");
  }
  for (const auto& [name, value] : entry.xattrs) {
    if (name.empty() || name.size() > kXattrNameBytesMax || name.find('\0') != std::string::npos) {
      return InvalidArgument("an extended attribute's name has 1 ... 255 bytes without NUL");
    }
    if (value.size() > kXattrValueBytesMax) {
      return InvalidArgument("extended attribute '" + ShownName(name) + "' has more than 64 KiB");
    }
  }
  return {};
}

Status CheckTarget(const Entry& entry) {
  if (!HasTarget(entry.kind)) {
    if (entry.target.empty()) return {};
    return InvalidArgument("only links have a target");
  }
  if (entry.kind == EntryKind::kHardLink) {
    CKPT_RETURN_IF_ERROR(ValidateEntryName(entry.target));
    if (entry.target < entry.name) return {};
    return InvalidArgument("it is a hard link to '" + ShownName(entry.target) +
                           "', which does not come before it");
  }
  bool sized = !entry.target.empty() && entry.target.size() <= kTargetBytesMax;
  if (sized && entry.target.find('\0') == std::string::npos) return {};
  return InvalidArgument("a symbolic link's target has 1 ... 4096 bytes without NUL");
}

Status CheckContent(const Entry& entry) {
  CKPT_RETURN_IF_ERROR(CheckTreeRef(entry.content));
  bool empty = entry.content.root.how == NodeRef::How::kEmpty;
  if (!HasContent(entry.kind) && !empty) {
    return InvalidArgument("folders and links have no chunk list");
  }
  if (empty == (entry.logical_bytes == 0) && (!empty || entry.chunks == 0)) return {};
  return InvalidArgument("its size and its chunk list do not agree on whether it is empty");
}

Status CheckArray(const Entry& entry) {
  if (entry.kind != EntryKind::kArray) {
    if (entry.array == ArrayShape{}) return {};
    return InvalidArgument("only arrays have a shape");
  }
  std::uint64_t bytes = 0;
  CKPT_RETURN_IF_ERROR(CheckArrayShape(entry.array, &bytes));
  if (bytes == entry.logical_bytes) return {};
  return InvalidArgument("its shape has " + std::to_string(bytes) + " bytes, not " +
                         std::to_string(entry.logical_bytes));
}

Status CheckSize(const Entry& entry) {
  std::size_t bytes = kEntryFixedBytesMax + entry.name.size() + entry.target.size();
  for (const auto& [name, value] : entry.xattrs) bytes += 8 + name.size() + value.size();
  if (bytes <= kEntryBytesMax) return {};
  return InvalidArgument("its extended attributes have more than the 957 KiB an entry may have");
}

Status CheckFields(const Entry& entry) {
  if (entry.kind > EntryKind::kStream) return InvalidArgument("it has an unknown kind");
  CKPT_RETURN_IF_ERROR(CheckStat(entry));
  CKPT_RETURN_IF_ERROR(CheckTarget(entry));
  CKPT_RETURN_IF_ERROR(CheckContent(entry));
  CKPT_RETURN_IF_ERROR(CheckArray(entry));
  return CheckSize(entry);
}

void WriteStat(const Entry& entry, ByteWriter* out) {
  out->U32(entry.mode);
  out->U32(entry.uid);
  out->U32(entry.gid);
  out->I64(entry.mtime_ns);
  out->I64(entry.ctime_ns);
  out->U64(entry.device);
  out->U64(entry.inode);
  if (HasTarget(entry.kind)) out->String(entry.target);
  out->U32(static_cast<std::uint32_t>(entry.xattrs.size()));
  for (const auto& [name, value] : entry.xattrs) {
    out->String(name);
    out->String(value);
  }
}

void ReadStat(ByteReader* in, Entry* entry) {
  entry->mode = in->U32();
  entry->uid = in->U32();
  entry->gid = in->U32();
  entry->mtime_ns = in->I64();
  entry->ctime_ns = in->I64();
  entry->device = in->U64();
  entry->inode = in->U64();
  if (HasTarget(entry->kind)) entry->target = in->String(kTargetBytesMax);
  std::uint32_t count = in->U32();
  if (count > kXattrsMax) in->Fail();
  for (std::uint32_t i = 0; i < count && in->ok(); ++i) {
    std::string name = in->String(kXattrNameBytesMax);
    std::string value = in->String(kXattrValueBytesMax);
    entry->xattrs.emplace_back(std::move(name), std::move(value));
  }
}

void WriteArray(const ArrayShape& array, ByteWriter* out) {
  out->U8(static_cast<std::uint8_t>(array.dtype));
  out->U8(array.column_major ? 1 : 0);
  out->U8(static_cast<std::uint8_t>(array.shape.size()));
  out->U32(array.element_bytes);
  for (const auto* list : {&array.shape, &array.global_shape, &array.global_offset}) {
    for (std::uint64_t value : *list) out->U64(value);
  }
}

void ReadArray(bool has_place, ByteReader* in, ArrayShape* array) {
  array->dtype = static_cast<Dtype>(in->U8());
  std::uint8_t order = in->U8();
  std::uint8_t dimensions = in->U8();
  array->element_bytes = in->U32();
  if (order > 1 || dimensions > kDimensionsMax || (has_place && dimensions == 0)) in->Fail();
  if (!in->ok()) return;
  array->column_major = order == 1;
  for (std::uint8_t i = 0; i < dimensions; ++i) array->shape.push_back(in->U64());
  if (!has_place) return;
  for (std::uint8_t i = 0; i < dimensions; ++i) array->global_shape.push_back(in->U64());
  for (std::uint8_t i = 0; i < dimensions; ++i) array->global_offset.push_back(in->U64());
}

Status EntryProblem(const Entry& entry, const Status& problem) {
  return InvalidArgument("entry '" + ShownName(entry.name) + "': " + problem.message());
}

}  // namespace

Status CheckEntry(const Entry& entry) {
  CKPT_RETURN_IF_ERROR(ValidateEntryName(entry.name));
  Status problem = CheckFields(entry);
  return problem.ok() ? problem : EntryProblem(entry, problem);
}

void EncodeEntry(const Entry& entry, Bytes* out) {
  ByteWriter writer(out);
  bool has_place = !entry.array.global_shape.empty();
  writer.U8(static_cast<std::uint8_t>(entry.kind));
  writer.String(entry.name);
  writer.U64(entry.logical_bytes);
  writer.U64(entry.chunks);
  writer.U8(static_cast<std::uint8_t>((entry.trusted_stat ? kFlagTrustedStat : 0) |
                                      (has_place ? kFlagGlobalPlace : 0)));
  if (HasStat(entry.kind)) {
    WriteStat(entry, &writer);
  } else {
    WriteArray(entry.array, &writer);
  }
  if (HasContent(entry.kind)) EncodeTreeRef(entry.content, &writer);
}

Result<Entry> DecodeEntry(ByteReader* in) {
  Entry entry;
  entry.kind = static_cast<EntryKind>(in->U8());
  if (entry.kind > EntryKind::kStream) return Corruption("an entry has an unknown kind");
  entry.name = in->String(kEntryNameBytesMax);
  entry.logical_bytes = in->U64();
  entry.chunks = in->U64();
  std::uint8_t flags = in->U8();
  bool has_place = (flags & kFlagGlobalPlace) != 0;
  entry.trusted_stat = (flags & kFlagTrustedStat) != 0;
  if (flags & ~(kFlagTrustedStat | kFlagGlobalPlace)) in->Fail();
  if (has_place && HasStat(entry.kind)) in->Fail();
  if (HasStat(entry.kind)) {
    ReadStat(in, &entry);
  } else {
    ReadArray(has_place, in, &entry.array);
  }
  if (HasContent(entry.kind)) entry.content = DecodeTreeRef(in);
  if (!in->ok()) return Corruption("an entry has a field out of bounds or cut off");
  Status problem = CheckEntry(entry);
  if (!problem.ok()) return Corruption(problem.message());
  return entry;
}

}  // namespace ckpt
