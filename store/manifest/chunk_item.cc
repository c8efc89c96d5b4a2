#include "store/manifest/node.h"
#include "store/pack/format.h"

namespace ckpt {
namespace {

constexpr std::uint32_t kLengthBits = 30;
constexpr std::uint32_t kLengthMask = (1u << kLengthBits) - 1;

}  // namespace

Status CheckChunkItem(const ChunkItem& item) {
  switch (item.kind) {
    case ChunkItem::Kind::kChunk:
      if (item.raw_bytes > kInlineBytesMax && item.raw_bytes <= kChunkBytesMax) return {};
      return InvalidArgument("a chunk has 241 bytes ... 16 MiB, not " +
                             std::to_string(item.raw_bytes) + "; smaller ones are inline");
    case ChunkItem::Kind::kInline:
      if (item.raw_bytes >= 1 && item.raw_bytes <= kInlineBytesMax &&
          item.raw_bytes == item.inline_bytes.size()) {
        return {};
      }
      return InvalidArgument("an inline item has the 1 ... 240 bytes it says");
    case ChunkItem::Kind::kHole:
      if (item.raw_bytes >= 1) return {};
      return InvalidArgument("a hole has at least one byte");
  }
  return InvalidArgument("an item is a chunk, inline or a hole");
}

void EncodeChunkItem(const ChunkItem& item, Bytes* out) {
  ByteWriter writer(out);
  bool hole = item.kind == ChunkItem::Kind::kHole;
  std::uint32_t length = hole ? 0 : static_cast<std::uint32_t>(item.raw_bytes);
  writer.U32(static_cast<std::uint32_t>(item.kind) << kLengthBits | length);
  if (item.kind == ChunkItem::Kind::kChunk) writer.Id(item.id);
  if (item.kind == ChunkItem::Kind::kInline) writer.Raw(item.inline_bytes);
  if (hole) writer.U64(item.raw_bytes);
}

ChunkItem DecodeChunkItem(ByteReader* in) {
  std::uint32_t head = in->U32();
  ChunkItem item;
  item.kind = static_cast<ChunkItem::Kind>(head >> kLengthBits);
  item.raw_bytes = head & kLengthMask;
  if (item.kind == ChunkItem::Kind::kChunk) {
    item.id = in->Id();
  } else if (item.kind == ChunkItem::Kind::kInline) {
    if (item.raw_bytes > kInlineBytesMax) in->Fail();
    ByteSpan bytes = in->Raw(item.raw_bytes);
    item.inline_bytes.assign(bytes.begin(), bytes.end());
  } else if (item.kind == ChunkItem::Kind::kHole) {
    if (item.raw_bytes != 0) in->Fail();
    item.raw_bytes = in->U64();
  }
  if (in->ok() && !CheckChunkItem(item).ok()) in->Fail();
  return item;
}

}  // namespace ckpt
