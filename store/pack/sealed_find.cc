// PackReader::FindInSealed: one chunk in the sorted table of a sealed pack by a few small reads.
// Ids are uniformly distributed, so the place is guessed by proportion; every second step halves,
// so that a hostile table costs no more than twice the steps of a bisection.
//
// The table's checksum is not verified on this path: what is read must be in order, and what is
// found is verified again by whoever reads the chunk. Any doubt is damage.

#include <algorithm>

#include "store/pack/reader.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kWindowEntries = 64;

// Where `id` would stand among `count` ids spread evenly between `low` and `high`.
std::uint64_t Guess(const Id128& id, const Id128& low, const Id128& high, std::uint64_t count) {
  auto leading = [](const Id128& of) {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | of.bytes[i];
    return static_cast<double>(value);
  };
  double span = leading(high) - leading(low);
  if (!(span > 0)) return count / 2;
  double place = (leading(id) - leading(low)) / span * static_cast<double>(count);
  return static_cast<std::uint64_t>(std::clamp(place, 0.0, static_cast<double>(count - 1)));
}

}  // namespace

struct PackReader::Window {
  std::uint64_t begin = 0;  // place of the first entry in the table
  std::vector<ChunkEntry> entries;
  std::vector<std::uint32_t> bases;  // of each entry, as stored
};

Status PackReader::ReadSealedHead() {
  auto header = ReadHeaderAt(directory_offset_);
  if (!header.ok()) return header.status().code() == Code::kCorruption ? Status() : header.status();
  if (header->type != RecordType::kDirectory) return {};
  std::byte bytes[kDirectoryFixedBytes];
  CKPT_ASSIGN_OR_RETURN(std::size_t got,
                        file_->ReadAt(directory_offset_ + kRecordHeaderBytes, bytes));
  auto head =
      DecodeDirectoryHead(ByteSpan(bytes).first(got), header->stored_bytes, directory_offset_);
  if (!head.ok() || !head->sealed) return {};
  head_ = *head;
  table_ok_ = true;
  return {};
}

// False: what stands there cannot be part of a sorted table.
Result<bool> PackReader::ReadWindow(std::uint64_t begin, std::uint64_t end, Window* window) const {
  Bytes bytes((end - begin) * kChunkEntryBytes);
  std::uint64_t table = directory_offset_ + kRecordHeaderBytes + kDirectoryFixedBytes;
  CKPT_ASSIGN_OR_RETURN(std::size_t got, file_->ReadAt(table + begin * kChunkEntryBytes, bytes));
  if (got != bytes.size()) return false;
  window->begin = begin;
  window->entries.assign(end - begin, {});
  window->bases.assign(end - begin, 0);
  for (std::size_t i = 0; i < window->entries.size(); ++i) {
    ByteSpan one = ByteSpan(bytes).subspan(i * kChunkEntryBytes, kChunkEntryBytes);
    if (!DecodeChunkEntry(one, kPackHeaderBytes, directory_offset_, head_.bases,
                          &window->entries[i], &window->bases[i]) ||
        (i > 0 && !ChunkEntryLess(window->entries[i - 1], window->entries[i]))) {
      return false;
    }
  }
  return true;
}

Result<bool> PackReader::ReadBase(std::uint32_t place, Id128* base) const {
  std::uint64_t offset =
      directory_offset_ + kRecordHeaderBytes +
      DirectoryPayloadBytes(head_.chunks, head_.records, std::uint64_t{place} - 1);
  CKPT_ASSIGN_OR_RETURN(std::size_t got,
                        file_->ReadAt(offset, std::as_writable_bytes(std::span(base->bytes))));
  return got == kBaseBytes;
}

// False: the table is not in order. Narrows [low, high), outside which the id cannot be, until what
// is left fits a window. Each window is in order in itself and between the ids that bound it, so an
// entry that leads astray shows beside its neighbours.
Result<bool> PackReader::Bisect(const Id128& id, std::optional<ChunkEntry>* found) const {
  std::uint64_t low = 0, high = head_.chunks;
  Id128 low_id, high_id;
  high_id.bytes.fill(0xff);
  Window window;
  for (bool guess = true; high - low > kWindowEntries; guess = !guess) {
    std::uint64_t at = low + (guess ? Guess(id, low_id, high_id, high - low) : (high - low) / 2);
    std::uint64_t begin =
        std::clamp(at - std::min(at, kWindowEntries / 2), low, high - kWindowEntries);
    CKPT_ASSIGN_OR_RETURN(bool good, ReadWindow(begin, begin + kWindowEntries, &window));
    if (!good) return false;
    const ChunkEntry& first = window.entries.front();
    const ChunkEntry& last = window.entries.back();
    if (first.id < low_id || high_id < last.id) return false;
    if (first.id > id) {
      high = begin + 1;
      high_id = first.id;
    } else if (last.id < id) {
      low = begin + kWindowEntries - 1;
      low_id = last.id;
    } else {  // here, with what other records the chunk has on either side
      low = begin - std::min(begin - low, kWindowEntries / 2);
      high = std::min(high, begin + kWindowEntries + kWindowEntries / 2);
      break;
    }
  }
  CKPT_ASSIGN_OR_RETURN(bool good, ReadWindow(low, high, &window));
  if (!good) return false;
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < window.entries.size(); ++i) {
    if (window.entries[i].id != id) continue;
    if (!best || (window.bases[i] == 0 && window.bases[*best] != 0)) best = i;
  }
  if (!best) return true;
  *found = window.entries[*best];
  return window.bases[*best] == 0 ? Result<bool>(true)
                                  : ReadBase(window.bases[*best], &(*found)->base);
}

Result<std::optional<ChunkEntry>> PackReader::FindInSealed(const Id128& id) const {
  if (!sealed_) return Unsupported(file_->path() + ": not sealed, has no sorted directory");
  std::optional<ChunkEntry> found;
  CKPT_ASSIGN_OR_RETURN(bool good, table_ok_ ? Bisect(id, &found) : Result<bool>(false));
  if (!good) return BadRecord(directory_offset_, "the table of what is in the pack is damaged");
  return found;
}

}  // namespace ckpt
