#include "store/engine/same_file.h"

#include <algorithm>

#include "store/codec/hash.h"

namespace ckpt {

Result<bool> FileComparer::SameContent(const Entry& entry, File* file) {
  CKPT_ASSIGN_OR_RETURN(std::vector<Extent> extents, file->Extents());
  ChunkListReader list(entry.content, fetcher_);
  Bytes buffer;
  std::uint64_t offset = 0;
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto item, list.Next());
    if (!item.has_value()) return true;
    std::uint64_t end = offset + item->raw_bytes;
    bool same = false;
    if (item->kind == ChunkItem::Kind::kHole) {
      CKPT_ASSIGN_OR_RETURN(same, SameHole(file, extents, offset, end));
    } else {
      buffer.resize(item->raw_bytes);
      CKPT_ASSIGN_OR_RETURN(std::size_t got, file->ReadAt(offset, buffer));
      same = got == buffer.size() &&
             (item->kind == ChunkItem::Kind::kInline ? buffer == item->inline_bytes
                                                     : HashChunk(buffer) == item->id);
      CKPT_RETURN_IF_ERROR(read_(got));
    }
    if (!same) return false;
    offset = end;
  }
}

// Whether the file reads zeros there. What is a hole there, too, is not read.
Result<bool> FileComparer::SameHole(File* file, const std::vector<Extent>& extents,
                                    std::uint64_t begin, std::uint64_t end) {
  auto first = std::partition_point(extents.begin(), extents.end(), [&](const Extent& e) {
    return e.offset + e.length_bytes <= begin;
  });
  Bytes buffer;
  for (auto extent = first; extent != extents.end() && extent->offset < end; ++extent) {
    if (extent->hole) continue;
    std::uint64_t stop = std::min(end, extent->offset + extent->length_bytes);
    for (std::uint64_t at = std::max(begin, extent->offset); at < stop; at += buffer.size()) {
      buffer.resize(std::min<std::uint64_t>(stop - at, 1u << 20));
      CKPT_ASSIGN_OR_RETURN(std::size_t got, file->ReadAt(at, buffer));
      bool zeros =
          std::all_of(buffer.begin(), buffer.end(), [](std::byte b) { return b == std::byte{0}; });
      if (got != buffer.size() || !zeros) return false;
      CKPT_RETURN_IF_ERROR(read_(got));
    }
  }
  return true;
}

}  // namespace ckpt
