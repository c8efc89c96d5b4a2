#include "store/pack/format.h"

#include <algorithm>
#include <unordered_map>

#include "store/base/check.h"
#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::size_t kChecksumOffset = 56;        // in a record header
constexpr std::size_t kPackChecksumOffset = 4088;  // in a pack header
constexpr std::string_view kPackMagic = "CKPTPACK";
constexpr std::uint32_t kPackVersion = 1;
constexpr std::uint32_t kPackFlagReserve = 1;
constexpr std::uint32_t kMarkFlagClosed = 1;
constexpr std::uint32_t kMarkFlagSealed = 2;
constexpr std::uint32_t kDirectoryFlagSealed = 1;
constexpr std::size_t kSyncMarkBytes = 64;
constexpr std::string_view kPackSuffix = ".pack";

template <typename T>
void Store(std::byte* out, T value) {
  std::memcpy(out, &value, sizeof(value));  // little-endian hosts only (checked in base/bytes.cc)
}

std::uint64_t HeaderChecksum(const Id128& pack_id, std::uint64_t offset, const std::byte* header) {
  std::byte bound[16 + 8 + kChecksumOffset];
  std::memcpy(bound, pack_id.bytes.data(), 16);
  Store(bound + 16, offset);
  std::memcpy(bound + 24, header, kChecksumOffset);
  return Checksum64(bound);
}

bool KnownType(RecordType type) { return PayloadBytesMax(type) != 0; }

// Sizes and codec fit the type. A type of the future is only bounded, so that it can be skipped.
bool SizesFit(const RecordHeader& header) {
  if (!KnownType(header.type)) return header.stored_bytes <= kGiB;
  if (header.stored_bytes > PayloadBytesMax(header.type)) return false;
  bool coded = header.type == RecordType::kChunk || header.type == RecordType::kManifest;
  if (header.codec == 0 ? header.raw_bytes != header.stored_bytes : !coded) return false;
  return header.raw_bytes <=
         (header.type == RecordType::kChunk ? kChunkBytesMax : PayloadBytesMax(header.type));
}

Status BadDirectory(const char* why) { return Corruption(std::string("directory: ") + why); }

bool PlaceFits(std::uint64_t offset, std::uint64_t stored_bytes, std::uint64_t from,
               std::uint64_t below) {
  if (offset % kRecordAlignBytes != 0 || offset < from || offset >= below) return false;
  return stored_bytes <= below && kRecordHeaderBytes + stored_bytes <= below - offset;
}

// The entries' order is part of the format: readers bisect in it and detect overlaps by it.
bool Ordered(const ChunkEntry& a, const ChunkEntry& b, bool sealed) {
  if (sealed) return ChunkEntryLess(a, b);
  return b.offset >= a.offset + kRecordHeaderBytes + a.stored_bytes;
}

}  // namespace

std::uint64_t PayloadBytesMax(RecordType type) {
  switch (type) {
    case RecordType::kChunk:
      return kChunkBytesMax + 64 * kKiB;
    case RecordType::kDirectory:
      return kGiB;
    case RecordType::kManifest:
      return 64 * kMiB;
    case RecordType::kTombstone:
    case RecordType::kDamage:
    case RecordType::kAttempt:
    case RecordType::kSyncMark:
    case RecordType::kWriter:
      return 64 * kKiB;
    case RecordType::kAck:
    case RecordType::kMoved:
    case RecordType::kPadding:
      return kMiB;
  }
  return 0;
}

void EncodeRecordHeader(const RecordHeader& header, const Id128& pack_id, std::uint64_t offset,
                        std::byte* out) {
  Store(out, kRecordMagic);
  Store(out + 4, static_cast<std::uint8_t>(header.type));
  Store(out + 5, header.codec);
  Store(out + 6, header.codec_param);
  Store(out + 7, std::uint8_t{0});
  Store(out + 8, header.stored_bytes);
  Store(out + 16, header.raw_bytes);
  Store(out + 24, header.writer_id);
  std::memcpy(out + 32, header.id.bytes.data(), 16);
  Store(out + 48, header.payload_checksum);
  Store(out + kChecksumOffset, HeaderChecksum(pack_id, offset, out));
}

bool DecodeRecordHeader(ByteSpan bytes, const Id128& pack_id, std::uint64_t offset,
                        RecordHeader* header, std::uint64_t* checksum) {
  if (bytes.size() < kRecordHeaderBytes || offset % kRecordAlignBytes != 0) return false;
  const std::byte* in = bytes.data();
  if (LoadU32(in) != kRecordMagic) return false;
  std::uint64_t stored_checksum = LoadU64(in + kChecksumOffset);
  if (stored_checksum != HeaderChecksum(pack_id, offset, in)) return false;
  RecordHeader found;
  found.type = static_cast<RecordType>(in[4]);
  found.codec = std::to_integer<std::uint8_t>(in[5]);
  found.codec_param = std::to_integer<std::uint8_t>(in[6]);
  found.stored_bytes = LoadU64(in + 8);
  found.raw_bytes = LoadU64(in + 16);
  found.writer_id = LoadU64(in + 24);
  std::memcpy(found.id.bytes.data(), in + 32, 16);
  found.payload_checksum = LoadU64(in + 48);
  if (in[7] != std::byte{0} || !SizesFit(found)) return false;
  *header = found;
  if (checksum != nullptr) *checksum = stored_checksum;
  return true;
}

Bytes EncodePackHeader(const PackHeader& header) {
  Bytes out;
  out.reserve(kPackHeaderBytes);
  ByteWriter w(&out);
  w.Raw(AsBytes(kPackMagic));
  w.U32(kPackVersion);
  w.U32(header.reserve ? kPackFlagReserve : 0);
  w.Id(header.pack_id);
  w.Id(header.store_uuid);
  w.I64(header.created_ns);
  w.Id(header.host);
  w.Zeros(kPackChecksumOffset - out.size());
  w.U64(Checksum64(out));
  return out;
}

Result<PackHeader> DecodePackHeader(ByteSpan bytes) {
  if (bytes.size() < kPackHeaderBytes) return Corruption("pack header: too short");
  if (AsText(bytes.first(kPackMagic.size())) != kPackMagic) {
    return Corruption("pack header: wrong magic");
  }
  if (LoadU64(bytes.data() + kPackChecksumOffset) != Checksum64(bytes.first(kPackChecksumOffset))) {
    return Corruption("pack header: wrong checksum");
  }
  ByteReader r(bytes.subspan(kPackMagic.size(), kPackChecksumOffset - kPackMagic.size()));
  std::uint32_t version = r.U32();
  std::uint32_t flags = r.U32();
  PackHeader header;
  header.pack_id = r.Id();
  header.store_uuid = r.Id();
  header.created_ns = r.I64();
  header.host = r.Id();
  if (version != kPackVersion) {
    return Unsupported("pack header: version " + std::to_string(version) + " is newer than " +
                       std::to_string(kPackVersion) + "; use a newer ckpt-store");
  }
  header.reserve = (flags & kPackFlagReserve) != 0;
  return header;
}

Bytes EncodeSyncMark(const SyncMark& mark) {
  Bytes out;
  out.reserve(kSyncMarkBytes);
  ByteWriter w(&out);
  w.U64(mark.durable_offset);
  w.Id(mark.host);
  w.U64(mark.device);
  w.U64(mark.inode);
  w.U64(mark.directory_offset);
  w.U64(mark.sequence);
  w.U32((mark.closed ? kMarkFlagClosed : 0) | (mark.sealed ? kMarkFlagSealed : 0));
  w.U32(0);
  return out;
}

Result<SyncMark> DecodeSyncMark(ByteSpan payload) {
  ByteReader r(payload);
  SyncMark mark;
  mark.durable_offset = r.U64();
  mark.host = r.Id();
  mark.device = r.U64();
  mark.inode = r.U64();
  mark.directory_offset = r.U64();
  mark.sequence = r.U64();
  std::uint32_t flags = r.U32();
  std::uint32_t zero = r.U32();
  if (!r.Done() || zero != 0) return Corruption("sync mark: wrong size");
  if ((flags & ~(kMarkFlagClosed | kMarkFlagSealed)) != 0) {
    return Corruption("sync mark: unknown flags");
  }
  mark.closed = (flags & kMarkFlagClosed) != 0;
  mark.sealed = (flags & kMarkFlagSealed) != 0;
  bool placed = mark.durable_offset >= kPackHeaderBytes && mark.durable_offset % kBlockBytes == 0;
  bool none = mark.directory_offset == 0 && !mark.sealed;
  if (!placed ||
      !(none || PlaceFits(mark.directory_offset, 0, kPackHeaderBytes, mark.durable_offset))) {
    return Corruption("sync mark: impossible offsets");
  }
  return mark;
}

bool ChunkEntryLess(const ChunkEntry& a, const ChunkEntry& b) {
  if (auto order = a.id <=> b.id; order != 0) return order < 0;
  return a.offset < b.offset;
}

std::uint64_t DirectoryPayloadBytes(std::uint64_t chunks, std::uint64_t records,
                                    std::uint64_t bases) {
  return kDirectoryFixedBytes + chunks * kChunkEntryBytes + records * kRecordEntryBytes +
         bases * kBaseBytes;
}

Bytes EncodeDirectory(const Directory& directory) {
  std::vector<Id128> bases;
  std::unordered_map<Id128, std::uint32_t, Id128Hash> places;
  for (const ChunkEntry& chunk : directory.chunks) {
    if (!IsDeltaCodec(chunk.codec)) continue;
    auto next = static_cast<std::uint32_t>(bases.size() + 1);
    if (places.emplace(chunk.base, next).second) bases.push_back(chunk.base);
  }
  Bytes out;
  out.reserve(
      DirectoryPayloadBytes(directory.chunks.size(), directory.records.size(), bases.size()));
  ByteWriter w(&out);
  w.U64(directory.previous_offset);
  w.U64(directory.covers_from);
  w.U32(directory.sealed ? kDirectoryFlagSealed : 0);
  w.U32(static_cast<std::uint32_t>(directory.chunks.size()));
  w.U32(static_cast<std::uint32_t>(directory.records.size()));
  w.U32(static_cast<std::uint32_t>(bases.size()));
  for (const ChunkEntry& chunk : directory.chunks) {
    w.Id(chunk.id);
    w.U64(chunk.offset);
    w.U32(chunk.stored_bytes);
    w.U32(chunk.raw_bytes);
    w.U8(chunk.codec);
    w.U8(chunk.codec_param);
    w.U16(0);
    w.U32(IsDeltaCodec(chunk.codec) ? places.at(chunk.base) : 0);
  }
  for (const RecordEntry& record : directory.records) {
    w.U64(record.offset);
    w.U64(record.stored_bytes);
    w.U8(static_cast<std::uint8_t>(record.type));
    w.Zeros(7);
  }
  for (const Id128& base : bases) w.Id(base);
  return out;
}

Result<DirectoryHead> DecodeDirectoryHead(ByteSpan payload, std::uint64_t payload_bytes,
                                          std::uint64_t offset) {
  ByteReader r(payload);
  DirectoryHead head;
  head.previous_offset = r.U64();
  head.covers_from = r.U64();
  std::uint32_t flags = r.U32();
  head.chunks = r.U32();
  head.records = r.U32();
  head.bases = r.U32();
  head.sealed = flags == kDirectoryFlagSealed;
  if (!r.ok() || (flags & ~kDirectoryFlagSealed) != 0) return BadDirectory("bad head");
  if (DirectoryPayloadBytes(head.chunks, head.records, head.bases) != payload_bytes) {
    return BadDirectory("counts do not match its size");
  }
  if (head.covers_from < kPackHeaderBytes || head.covers_from > offset) {
    return BadDirectory("covers an impossible range");
  }
  if (head.sealed && (head.previous_offset != 0 || head.covers_from != kPackHeaderBytes)) {
    return BadDirectory("sealed, but not of the whole pack");
  }
  // Strictly downwards, so a chain of directories ends.
  if (head.previous_offset != 0 &&
      !PlaceFits(head.previous_offset, 0, kPackHeaderBytes, head.covers_from)) {
    return BadDirectory("impossible link to the one before");
  }
  return head;
}

bool DecodeChunkEntry(ByteSpan bytes, std::uint64_t from, std::uint64_t below, std::uint32_t bases,
                      ChunkEntry* entry, std::uint32_t* base) {
  const std::byte* in = bytes.data();
  std::memcpy(entry->id.bytes.data(), in, 16);
  entry->offset = LoadU64(in + 16);
  entry->stored_bytes = LoadU32(in + 24);
  entry->raw_bytes = LoadU32(in + 28);
  entry->codec = std::to_integer<std::uint8_t>(in[32]);
  entry->codec_param = std::to_integer<std::uint8_t>(in[33]);
  *base = LoadU32(in + 36);
  if (LoadU32(in + 32) >> 16 != 0 || *base > bases) return false;
  if ((*base != 0) != IsDeltaCodec(entry->codec)) return false;
  if (entry->stored_bytes > PayloadBytesMax(RecordType::kChunk)) return false;
  if (entry->raw_bytes > kChunkBytesMax) return false;
  if (entry->codec == 0 && entry->raw_bytes != entry->stored_bytes) return false;
  return PlaceFits(entry->offset, entry->stored_bytes, from, below);
}

Result<Directory> DecodeDirectory(ByteSpan payload, std::uint64_t offset) {
  CKPT_ASSIGN_OR_RETURN(DirectoryHead head, DecodeDirectoryHead(payload, payload.size(), offset));
  Directory directory;
  directory.previous_offset = head.previous_offset;
  directory.covers_from = head.covers_from;
  directory.sealed = head.sealed;
  ByteSpan bases = payload.last(head.bases * kBaseBytes);
  directory.chunks.resize(head.chunks);
  for (std::size_t i = 0; i < directory.chunks.size(); ++i) {
    ChunkEntry& entry = directory.chunks[i];
    std::uint32_t base = 0;
    if (!DecodeChunkEntry(
            payload.subspan(kDirectoryFixedBytes + i * kChunkEntryBytes, kChunkEntryBytes),
            head.covers_from, offset, head.bases, &entry, &base)) {
      return BadDirectory("impossible chunk entry");
    }
    if (base != 0) {
      std::memcpy(entry.base.bytes.data(), bases.data() + (base - 1) * kBaseBytes, kBaseBytes);
    }
    if (i > 0 && !Ordered(directory.chunks[i - 1], entry, head.sealed)) {
      return BadDirectory("chunk entries out of order");
    }
  }
  directory.records.resize(head.records);
  ByteReader r(payload.subspan(kDirectoryFixedBytes + head.chunks * kChunkEntryBytes));
  std::uint64_t from = head.covers_from;
  for (RecordEntry& entry : directory.records) {
    entry.offset = r.U64();
    entry.stored_bytes = r.U64();
    entry.type = static_cast<RecordType>(r.U8());
    r.Raw(7);
    if (!r.ok() || !PlaceFits(entry.offset, entry.stored_bytes, from, offset) ||
        !ListedAsRecord(entry.type)) {
      return BadDirectory("impossible record entry");
    }
    from = entry.offset + kRecordHeaderBytes + entry.stored_bytes;
  }
  return directory;
}

std::string RecordTypeName(RecordType type) {
  constexpr const char* kNames[] = {
      "",        "chunk",           "directory",    "manifest",  "tombstone", "damage record",
      "attempt", "acknowledgement", "moved record", "sync mark", "padding",   "writer record"};
  auto number = static_cast<std::size_t>(type);
  if (number > 0 && number < std::size(kNames)) return kNames[number];
  return "record of type " + std::to_string(number);
}

std::string PackFileName(const Id128& pack_id) {
  return pack_id.ToHex() + std::string(kPackSuffix);
}

bool ParsePackFileName(std::string_view name, Id128* pack_id) {
  if (!name.ends_with(kPackSuffix)) return false;
  std::string_view hex = name.substr(0, name.size() - kPackSuffix.size());
  return Id128::FromHex(hex, pack_id);
}

}  // namespace ckpt
