#include "store/engine/format_file.h"

#include <bit>
#include <string>

#include "store/codec/hash.h"
#include "store/pack/format.h"

namespace ckpt {
namespace {

constexpr std::string_view kMagic = "CKPTSTOR";
constexpr std::size_t kChecksumOffset = kFormatFileBytes - 8;
constexpr std::uint8_t kHashXxh3 = 1;

Status CheckParameters(const StoreFormat& f) {
  if (auto chunker = Chunker::Create(f.chunker); !chunker.ok()) return chunker.status();
  if (f.chunker.avg_bytes < 1024 || !std::has_single_bit(f.chunker.avg_bytes)) {
    return InvalidArgument("the chunk size must be a power of two from 1 KiB to 4 MiB");
  }
  if (f.array_chunk_bytes < 512 || f.array_chunk_bytes > kChunkBytesMax) {
    return InvalidArgument("the chunk size of arrays must be from 512 bytes to 16 MiB");
  }
  if (f.level < -7 || f.level > 19) {
    return InvalidArgument("the compression level must be from -7 to 19");
  }
  if (f.pack_bytes_max < (1u << 20) || f.pack_bytes_max > (1ull << 40)) {
    return InvalidArgument("the size of a pack must be from 1 MiB to 1 TiB");
  }
  return Status();
}

std::string Bits(std::uint64_t bits) {
  std::string text;
  for (int i = 0; i < 64; ++i) {
    if (bits >> i & 1) text += (text.empty() ? "" : ", ") + std::to_string(i);
  }
  return text;
}

}  // namespace

Result<Bytes> EncodeFormatFile(const StoreFormat& f) {
  CKPT_RETURN_IF_ERROR(CheckParameters(f));
  Bytes out;
  ByteWriter w(&out);
  w.Raw(AsBytes(kMagic));
  w.U32(kFormatVersion);
  w.U32(0);
  w.Zeros(3 * 8);  // feature bits: version 1 has none
  w.Id(f.uuid);
  w.U8(kHashXxh3);
  w.Zeros(7);
  w.U64(f.chunker.seed);
  w.U32(f.chunker.min_bytes);
  w.U32(f.chunker.avg_bytes);
  w.U32(f.chunker.max_bytes);
  w.U32(f.array_chunk_bytes);
  w.U32(static_cast<std::uint32_t>(f.level));
  w.U32(f.effort == Effort::kBalanced ? 0 : static_cast<std::uint32_t>(f.effort));
  w.U64(f.pack_bytes_max);
  w.Zeros(kChecksumOffset - out.size());
  w.U64(Checksum64(out));
  return out;
}

Result<StoreFormat> DecodeFormatFile(ByteSpan bytes) {
  if (bytes.size() != kFormatFileBytes || AsText(bytes.first(8)) != kMagic) {
    return Corruption("the format file is not one of a ckpt-store");
  }
  if (LoadU64(bytes.data() + kChecksumOffset) != Checksum64(bytes.first(kChecksumOffset))) {
    return Corruption("the format file is damaged (its checksum does not match)");
  }
  ByteReader r(bytes.subspan(8));
  std::uint32_t version = r.U32();
  r.U32();
  if (version != kFormatVersion) {
    return Unsupported("the store has format " + std::to_string(version) +
                       "; this build knows format 1: use a newer ckpt-store");
  }
  r.U64();  // compatible: whatever it is, it does not concern us
  std::uint64_t read_compatible = r.U64();
  std::uint64_t incompatible = r.U64();
  if (incompatible != 0) {
    return Unsupported("the store needs features this build does not know (incompatible bits " +
                       Bits(incompatible) + "): use a newer ckpt-store");
  }
  StoreFormat f;
  f.read_only = read_compatible != 0;
  f.uuid = r.Id();
  std::uint8_t hash = r.U8();
  r.Raw(7);
  f.chunker.seed = r.U64();
  f.chunker.min_bytes = r.U32();
  f.chunker.avg_bytes = r.U32();
  f.chunker.max_bytes = r.U32();
  f.array_chunk_bytes = r.U32();
  f.level = static_cast<std::int32_t>(r.U32());
  const std::uint32_t effort = r.U32();  // one of a later build is of no harm to readers
  const bool known = effort >= 1 && effort <= static_cast<std::uint32_t>(Effort::kSmall);
  f.effort = known ? static_cast<Effort>(effort) : Effort::kBalanced;
  f.pack_bytes_max = r.U64();
  if (hash != kHashXxh3) {
    return Unsupported("the store's chunk hash has number " + std::to_string(hash) +
                       ", which this build does not know");
  }
  if (Status s = CheckParameters(f); !s.ok()) return Corruption("format file: " + s.message());
  return f;
}

}  // namespace ckpt
