#include "store/pack/reader.h"

#include <algorithm>

#include "store/base/check.h"
#include "store/codec/hash.h"

namespace ckpt {
namespace {

// What a signed file offset can hold; beyond it the system answers nonsense.
constexpr std::uint64_t kOffsetMax = std::uint64_t{1} << 62;

}  // namespace

Result<std::unique_ptr<PackReader>> PackReader::Open(Dir* packs_dir, const Id128& pack_id,
                                                     const Id128& store_uuid, BadHeader rule) {
  std::unique_ptr<PackReader> reader(new PackReader());
  reader->pack_id_ = pack_id;
  CKPT_ASSIGN_OR_RETURN(reader->file_,
                        OpenOwnFile(packs_dir, PackFileName(pack_id), {.mode = OpenMode::kRead}));
  CKPT_RETURN_IF_ERROR(reader->ReadHeader(store_uuid, rule));
  CKPT_ASSIGN_OR_RETURN(scan::Source source, reader->Snapshot());
  CKPT_ASSIGN_OR_RETURN(auto mark, scan::MarkAtEnd(source));
  if (mark && mark->mark.sealed) {
    reader->sealed_ = true;
    reader->directory_offset_ = mark->mark.directory_offset;
    CKPT_RETURN_IF_ERROR(reader->ReadSealedHead());
  }
  return reader;
}

Status PackReader::ReadHeader(const Id128& store_uuid, BadHeader rule) {
  Bytes bytes(kPackHeaderBytes);
  CKPT_ASSIGN_OR_RETURN(std::size_t got, file_->ReadAt(0, bytes));
  header_checksum_ = LoadU64(bytes.data() + kPackHeaderBytes - sizeof(std::uint64_t));
  Result<PackHeader> header = DecodePackHeader(ByteSpan(bytes).first(got));
  if (header.ok()) {
    header_ = *header;
    if (header_.pack_id != pack_id_) {
      // A power loss may leave a new file with a block of another one's, which has no marks; a file
      // that somebody renamed or copied has them.
      CKPT_ASSIGN_OR_RETURN(scan::Source source, Snapshot());
      CKPT_ASSIGN_OR_RETURN(auto own, scan::LastMarkBelow(source, source.file_bytes));
      source.pack_id = header_.pack_id;
      CKPT_ASSIGN_OR_RETURN(auto other, scan::LastMarkBelow(source, source.file_bytes));
      if (!own && !other) return NotFound(file_->path() + ": a pack that never began");
      return Corruption(file_->path() + ": is pack " + header_.pack_id.ToHex() +
                        " under another name");
    }
    if (header_.store_uuid != store_uuid) {
      return Corruption(file_->path() + ": belongs to another store, " +
                        header_.store_uuid.ToHex() + "; move it out of this one");
    }
    return {};
  }
  if (header.status().code() == Code::kUnsupported) {
    return std::move(header).status().WithContext(file_->path());
  }
  CKPT_ASSIGN_OR_RETURN(scan::Source source, Snapshot());
  CKPT_ASSIGN_OR_RETURN(auto mark, scan::LastMarkBelow(source, source.file_bytes));
  if (!mark) return NotFound(file_->path() + ": a pack that never began");
  if (rule == BadHeader::kRefuse) return std::move(header).status().WithContext(file_->path());
  header_damaged_ = true;
  header_.pack_id = pack_id_;
  header_.store_uuid = store_uuid;
  return {};
}

Result<scan::Source> PackReader::Snapshot() const {
  CKPT_ASSIGN_OR_RETURN(FileInfo info, file_->Stat());
  return scan::Source{file_.get(), pack_id_, info.size_bytes};
}

Result<std::uint64_t> PackReader::FileBytes() const {
  CKPT_ASSIGN_OR_RETURN(scan::Source source, Snapshot());
  return source.file_bytes;
}

Result<PackContents> PackReader::ReadFrom(std::uint64_t from, bool records_only) const {
  CKPT_ASSIGN_OR_RETURN(scan::Source source, Snapshot());
  CKPT_ASSIGN_OR_RETURN(auto last, scan::LastMarkBelow(source, source.file_bytes));
  PackContents contents;
  contents.file_bytes = source.file_bytes;
  contents.durable_end = kPackHeaderBytes;
  contents.check_checksum = header_checksum_;
  scan::Listing below;
  below.records_only = records_only;
  if (header_damaged_) below.damage.push_back({0, kPackHeaderBytes});
  if (last) {
    contents.mark = last->mark;
    contents.durable_end = last->end();
    contents.check_offset = last->mark.durable_offset;
    contents.check_checksum = last->header_checksum;
    CKPT_RETURN_IF_ERROR(scan::ListByDirectories(source, last->mark.directory_offset,
                                                 last->mark.durable_offset, from, &below));
  }
  scan::Listing tail;
  CKPT_ASSIGN_OR_RETURN(std::uint64_t end,
                        scan::Walk(source, contents.durable_end, source.file_bytes, false, &tail));
  contents.end = std::max(end, contents.durable_end);
  contents.chunks = std::move(below.chunks);
  contents.records = std::move(below.records);
  contents.tail_chunks = std::move(tail.chunks);
  contents.tail_records = std::move(tail.records);
  contents.damage = std::move(below.damage);
  contents.damage.insert(contents.damage.end(), tail.damage.begin(), tail.damage.end());
  return contents;
}

Result<bool> PackReader::HeaderChecksumIs(std::uint64_t offset, std::uint64_t checksum) const {
  if (offset == 0) return !header_damaged_ && header_checksum_ == checksum;
  if (offset > kOffsetMax) return false;
  std::byte bytes[kRecordHeaderBytes];
  CKPT_ASSIGN_OR_RETURN(std::size_t got, file_->ReadAt(offset, bytes));
  RecordHeader header;
  std::uint64_t found = 0;
  return DecodeRecordHeader(ByteSpan(bytes).first(got), pack_id_, offset, &header, &found) &&
         found == checksum;
}

Status PackReader::BadRecord(std::uint64_t offset, const char* why) const {
  return Corruption(file_->path() + ": record at " + std::to_string(offset) + ": " + why);
}

Result<RecordHeader> PackReader::ReadHeaderAt(std::uint64_t offset) const {
  if (offset < kPackHeaderBytes || offset > kOffsetMax) {
    return BadRecord(offset, "no record can be there");
  }
  std::byte bytes[kRecordHeaderBytes];
  CKPT_ASSIGN_OR_RETURN(std::size_t got, file_->ReadAt(offset, bytes));
  RecordHeader header;
  if (!DecodeRecordHeader(ByteSpan(bytes).first(got), pack_id_, offset, &header)) {
    return BadRecord(offset, "bad header");
  }
  return header;
}

Result<RecordHeader> PackReader::ReadRecord(std::uint64_t offset, Bytes* payload) const {
  CKPT_ASSIGN_OR_RETURN(RecordHeader header, ReadHeaderAt(offset));
  CKPT_ASSIGN_OR_RETURN(scan::Source source, Snapshot());
  std::uint64_t begin = offset + kRecordHeaderBytes;
  if (begin > source.file_bytes || header.stored_bytes > source.file_bytes - begin) {
    return BadRecord(offset, "the file ends within it");
  }
  payload->resize(header.stored_bytes);
  CKPT_RETURN_IF_ERROR(ReadRaw(begin, *payload));
  if (header.type != RecordType::kPadding && Checksum64(*payload) != header.payload_checksum) {
    return BadRecord(offset, "payload is damaged");
  }
  return header;
}

Status PackReader::ReadChunkPayload(const ChunkEntry& entry, bool verify,
                                    MutableByteSpan payload) const {
  CKPT_CHECK(payload.size() == entry.stored_bytes, "the caller makes room for the whole payload");
  CKPT_ASSIGN_OR_RETURN(RecordHeader header, ReadHeaderAt(entry.offset));
  if (header.type != RecordType::kChunk || header.id != entry.id ||
      header.stored_bytes != entry.stored_bytes || header.raw_bytes != entry.raw_bytes ||
      header.codec != entry.codec || header.codec_param != entry.codec_param) {
    return BadRecord(entry.offset, "not the chunk that the directory or index names");
  }
  CKPT_RETURN_IF_ERROR(ReadRaw(entry.offset + kRecordHeaderBytes, payload));
  if (verify && Checksum64(payload) != header.payload_checksum) {
    return BadRecord(entry.offset, "payload is damaged");
  }
  if (IsDeltaCodec(entry.codec) &&
      (payload.size() < kBaseBytes ||
       std::memcmp(payload.data(), entry.base.bytes.data(), kBaseBytes) != 0)) {
    return BadRecord(entry.offset, "a delta against another base than the directory names");
  }
  return {};
}

Status PackReader::ReadRaw(std::uint64_t offset, MutableByteSpan out) const {
  if (offset > kOffsetMax) return BadRecord(offset, "no record can be there");
  return file_->ReadExactAt(offset, out);
}

}  // namespace ckpt
