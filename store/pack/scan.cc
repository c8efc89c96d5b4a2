#include "store/pack/scan.h"

#include <algorithm>
#include <memory>

#include "store/codec/hash.h"

namespace ckpt::scan {
namespace {

constexpr std::uint64_t kPieceBytesMax = 1u << 20;  // of one read while looking for marks
constexpr std::uint64_t kPieceBytesForward = 64u << 10;
constexpr std::uint64_t kMarkBytesMax = kBlockBytes - kRecordHeaderBytes;

constexpr std::uint64_t RoundDownToBlock(std::uint64_t offset) {
  return offset & ~(kBlockBytes - 1);
}

// True when `length` bytes at `offset` are within the snapshot.
bool Inside(const Source& source, std::uint64_t offset, std::uint64_t length) {
  return length <= source.file_bytes && offset <= source.file_bytes - length;
}

// A file that shrank since the snapshot reads as zeros: no header is valid there.
Status ReadOrZeros(const Source& source, std::uint64_t offset, MutableByteSpan out) {
  CKPT_ASSIGN_OR_RETURN(std::size_t got, source.file->ReadAt(offset, out));
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(got), out.end(), std::byte{0});
  return {};
}

// The mark in this block of the file, if there is a valid one.
std::optional<FoundMark> MarkInBlock(const Source& source, ByteSpan block, std::uint64_t offset) {
  FoundMark found;
  RecordHeader header;
  if (!DecodeRecordHeader(block, source.pack_id, offset, &header, &found.header_checksum) ||
      header.type != RecordType::kSyncMark || header.stored_bytes > kMarkBytesMax) {
    return std::nullopt;
  }
  ByteSpan payload = block.subspan(kRecordHeaderBytes, header.stored_bytes);
  if (Checksum64(payload) != header.payload_checksum) return std::nullopt;
  Result<SyncMark> mark = DecodeSyncMark(payload);
  if (!mark.ok() || mark->durable_offset != offset) return std::nullopt;
  found.mark = *mark;
  return found;
}

// Reads headers through a window of one block, so that small records cost no read each.
class HeaderWindow {
 public:
  explicit HeaderWindow(const Source& source) : source_(source), block_(kBlockBytes) {}

  // Nullopt: no valid header at `offset` whose record ends at or before `stop`.
  Result<std::optional<RecordHeader>> At(std::uint64_t offset, std::uint64_t stop) {
    if (offset > stop || stop - offset < kRecordHeaderBytes) return Nothing();
    if (offset < begin_ || offset + kRecordHeaderBytes > begin_ + filled_) {
      filled_ = std::min<std::uint64_t>(kBlockBytes, source_.file_bytes - offset);
      begin_ = offset;
      CKPT_RETURN_IF_ERROR(ReadOrZeros(source_, offset, MutableByteSpan(block_).first(filled_)));
    }
    RecordHeader header;
    ByteSpan bytes = ByteSpan(block_).subspan(offset - begin_, kRecordHeaderBytes);
    bool valid = DecodeRecordHeader(bytes, source_.pack_id, offset, &header) &&
                 kRecordHeaderBytes + header.stored_bytes <= stop - offset;
    if (!valid) return Nothing();
    return std::optional<RecordHeader>(header);
  }

 private:
  static std::optional<RecordHeader> Nothing() { return std::nullopt; }

  const Source& source_;
  Bytes block_;
  std::uint64_t begin_ = 0;
  std::uint64_t filled_ = 0;
};

// The first valid mark in [begin, stop), or `stop`.
Result<std::uint64_t> NextMark(const Source& source, std::uint64_t begin, std::uint64_t stop) {
  auto memory = std::make_unique_for_overwrite<std::byte[]>(kPieceBytesForward);
  for (std::uint64_t at = RoundUp(begin, kBlockBytes); at < stop;) {
    std::uint64_t length = std::min(RoundDownToBlock(stop - at), kPieceBytesForward);
    if (length == 0) break;
    MutableByteSpan piece(memory.get(), length);
    CKPT_RETURN_IF_ERROR(ReadOrZeros(source, at, piece));
    for (std::uint64_t i = 0; i < length; i += kBlockBytes) {
      if (MarkInBlock(source, piece.subspan(i, kBlockBytes), at + i)) return at + i;
    }
    at += length;
  }
  return stop;
}

// A delta's base stands at the front of its payload.
Status AddChunk(const Source& source, const RecordHeader& header, std::uint64_t offset,
                Listing* listing) {
  ChunkEntry entry;
  entry.id = header.id;
  entry.offset = offset;
  entry.stored_bytes = static_cast<std::uint32_t>(header.stored_bytes);
  entry.raw_bytes = static_cast<std::uint32_t>(header.raw_bytes);
  entry.codec = header.codec;
  entry.codec_param = header.codec_param;
  if (IsDeltaCodec(header.codec)) {
    if (header.stored_bytes < kBaseBytes) {
      listing->damage.push_back({offset, offset + header.ExtentBytes(), true});
      return {};
    }
    CKPT_RETURN_IF_ERROR(ReadOrZeros(source, offset + kRecordHeaderBytes,
                                     std::as_writable_bytes(std::span(entry.base.bytes))));
  }
  listing->chunks.push_back(entry);
  return {};
}

Status AddRecord(const Source& source, const RecordHeader& header, std::uint64_t offset,
                 Listing* listing) {
  if (header.type == RecordType::kChunk) return AddChunk(source, header, offset, listing);
  if (ListedAsRecord(header.type)) {
    listing->records.push_back({offset, header.stored_bytes, header.type});
  }
  return {};
}

void AddFrom(const Directory& directory, std::uint64_t from, Listing* listing) {
  if (!listing->records_only) {
    for (const ChunkEntry& chunk : directory.chunks) {
      if (chunk.offset >= from) listing->chunks.push_back(chunk);
    }
  }
  for (const RecordEntry& record : directory.records) {
    if (record.offset >= from) listing->records.push_back(record);
  }
}

// Nullopt: damaged; the range it takes, as far as known, is added to the damage.
Result<std::optional<Directory>> ReadDirectory(const Source& source, std::uint64_t offset,
                                               Listing* listing) {
  Bytes payload;
  CKPT_ASSIGN_OR_RETURN(auto header, ReadWhole(source, offset, &payload));
  if (header && header->type == RecordType::kDirectory) {
    Result<Directory> directory = DecodeDirectory(payload, offset);
    if (directory.ok()) return std::optional<Directory>(*std::move(directory));
  }
  std::uint64_t extent = header ? header->ExtentBytes() : kRecordHeaderBytes;
  listing->damage.push_back({offset, offset + extent});
  return std::optional<Directory>();
}

void SortByOffset(Listing* listing) {
  auto less = [](const auto& a, const auto& b) { return a.offset < b.offset; };
  auto same = [](const auto& a, const auto& b) { return a.offset == b.offset; };
  auto sort = [&](auto* entries) {
    if (!std::is_sorted(entries->begin(), entries->end(), less)) {
      std::stable_sort(entries->begin(), entries->end(), less);
    }
    entries->erase(std::unique(entries->begin(), entries->end(), same), entries->end());
  };
  sort(&listing->chunks);
  sort(&listing->records);
}

void MergeDamage(std::vector<Range>* damage) {
  std::sort(damage->begin(), damage->end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> merged;
  for (const Range& range : *damage) {
    if (!merged.empty() && range.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, range.end);
      merged.back().unread = merged.back().unread || range.unread;
    } else {
      merged.push_back(range);
    }
  }
  *damage = std::move(merged);
}

}  // namespace

std::string PackName(const Id128& pack_id) { return "pack " + pack_id.ToHex() + ": "; }

Result<std::optional<FoundMark>> LastMarkBelow(const Source& source, std::uint64_t below) {
  std::uint64_t end = RoundDownToBlock(std::min(RoundUp(below, kBlockBytes), source.file_bytes));
  // The first read is one block: there the mark is when the pack was ended in order.
  for (std::uint64_t want = kBlockBytes; end > kPackHeaderBytes;
       want = std::min(want * 16, kPieceBytesMax)) {
    std::uint64_t length = std::min(want, end - kPackHeaderBytes);
    std::uint64_t begin = end - length;
    auto memory = std::make_unique_for_overwrite<std::byte[]>(length);
    MutableByteSpan piece(memory.get(), length);
    CKPT_RETURN_IF_ERROR(ReadOrZeros(source, begin, piece));
    for (std::uint64_t i = length; i >= kBlockBytes; i -= kBlockBytes) {
      std::uint64_t at = i - kBlockBytes;
      auto mark = MarkInBlock(source, piece.subspan(at, kBlockBytes), begin + at);
      if (mark) return mark;
    }
    end = begin;
  }
  return std::optional<FoundMark>();
}

Result<std::optional<FoundMark>> MarkAtEnd(const Source& source) {
  std::uint64_t end = RoundDownToBlock(source.file_bytes);
  if (end <= kPackHeaderBytes) return std::optional<FoundMark>();
  Bytes block(kBlockBytes);
  CKPT_RETURN_IF_ERROR(ReadOrZeros(source, end - kBlockBytes, block));
  return MarkInBlock(source, block, end - kBlockBytes);
}

Result<std::optional<RecordHeader>> ReadWhole(const Source& source, std::uint64_t offset,
                                              Bytes* payload) {
  HeaderWindow window(source);
  if (!Inside(source, offset, kRecordHeaderBytes)) return std::optional<RecordHeader>();
  CKPT_ASSIGN_OR_RETURN(auto header, window.At(offset, source.file_bytes));
  if (!header) return std::optional<RecordHeader>();
  payload->resize(header->stored_bytes);
  CKPT_RETURN_IF_ERROR(ReadOrZeros(source, offset + kRecordHeaderBytes, *payload));
  bool checked = header->type != RecordType::kPadding;
  if (checked && Checksum64(*payload) != header->payload_checksum) {
    return std::optional<RecordHeader>();
  }
  return header;
}

Result<std::uint64_t> Walk(const Source& source, std::uint64_t begin, std::uint64_t stop,
                           bool bounded, Listing* listing) {
  stop = std::min(stop, source.file_bytes);
  HeaderWindow window(source);
  std::uint64_t at = begin;
  while (at < stop) {
    CKPT_ASSIGN_OR_RETURN(auto header, window.At(at, stop));
    if (header) {
      CKPT_RETURN_IF_ERROR(AddRecord(source, *header, at, listing));
      // Only the file's end can cut the zeros behind a payload.
      at = std::min(at + header->ExtentBytes(), stop);
      continue;
    }
    CKPT_ASSIGN_OR_RETURN(std::uint64_t next, NextMark(source, at + 1, stop));
    if (next == stop && !bounded) break;
    listing->damage.push_back({at, next, true});
    at = next;
  }
  return at;
}

Status ListByDirectories(const Source& source, std::uint64_t directory, std::uint64_t stop,
                         std::uint64_t from, Listing* listing) {
  from = std::max(from, kPackHeaderBytes);
  bool pieces = false;  // listed from the pack's end to its beginning, in several steps
  while (directory != 0 && stop > from) {
    CKPT_ASSIGN_OR_RETURN(auto found, ReadDirectory(source, directory, listing));
    if (found) {
      AddFrom(*found, from, listing);
      if (found->sealed) break;
      pieces = true;
      stop = found->covers_from;
      directory = found->previous_offset;
      continue;
    }
    pieces = true;
    CKPT_ASSIGN_OR_RETURN(auto before, LastMarkBelow(source, directory));
    std::uint64_t begin = before ? before->end() : kPackHeaderBytes;
    CKPT_RETURN_IF_ERROR(Walk(source, std::max(begin, from), stop, true, listing).status());
    for (Range& range : listing->damage) {  // of the directory itself nothing else is lost
      if (range.begin == directory) range.unread = false;
    }
    directory = before ? before->mark.directory_offset : 0;
    stop = before ? before->mark.durable_offset : kPackHeaderBytes;
  }
  if (pieces) SortByOffset(listing);
  MergeDamage(&listing->damage);
  return {};
}

}  // namespace ckpt::scan
