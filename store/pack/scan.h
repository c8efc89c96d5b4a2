// How a pack is read whatever happened to it (docs/format.md, "the walk" and "quick open"): the
// last mark from the end, the chain of directories below it, and header by header where there is no
// directory or a damaged one. PackReader and PackWriter share it; nobody else includes it.
//
// Keeps I8: works on a snapshot of the file's size, every step moves strictly on (the walk) or back
// (marks, directories), every allocation is bounded by the snapshot. Damage is collected, never an
// error; an error is what the system answers.
// Thread rule: functions of the file's bytes; any thread.

#ifndef CKPT_STORE_PACK_SCAN_H_
#define CKPT_STORE_PACK_SCAN_H_

#include <optional>
#include <vector>

#include "store/io/env.h"
#include "store/pack/format.h"

namespace ckpt::scan {

// A pack's bytes as far as they reached when somebody looked.
struct Source {
  File* file = nullptr;
  Id128 pack_id;
  std::uint64_t file_bytes = 0;
};

struct FoundMark {
  SyncMark mark;
  std::uint64_t header_checksum = 0;
  // Behind the mark's stage: the next stage begins here.
  std::uint64_t end() const { return mark.durable_offset + kBlockBytes; }
};

// Half-open; also PackReader's DamagedRange.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool unread = false;  // records may have been there that are not listed
};

struct Listing {
  bool records_only = false;  // chunk entries of directories are not wanted
  std::vector<ChunkEntry> chunks;
  std::vector<RecordEntry> records;
  std::vector<Range> damage;
};

// "pack <id>: " for messages.
std::string PackName(const Id128& pack_id);

// The last valid mark that begins below `below`; nullopt when there is none.
Result<std::optional<FoundMark>> LastMarkBelow(const Source& source, std::uint64_t below);
// The mark in the file's last block, if there is one: what a pack that was ended in order has.
Result<std::optional<FoundMark>> MarkAtEnd(const Source& source);

// Header and verified payload of one record. Nullopt: no whole, true record there.
Result<std::optional<RecordHeader>> ReadWhole(const Source& source, std::uint64_t offset,
                                              Bytes* payload);

// Lists the records of [begin, stop), header by header; answers where it ended. At a bad header it
// goes on at the next mark below `stop` and reports the bytes between as damage; where there is no
// mark, `bounded` (something valid begins at `stop`) makes the rest damage too, else the pack ends
// there for now.
Result<std::uint64_t> Walk(const Source& source, std::uint64_t begin, std::uint64_t stop,
                           bool bounded, Listing* listing);

// Everything in [from, stop) by the chain of directories that starts with the one at `directory`
// (0 = none), `stop` being the offset of the mark that names it or the end of the last stage. Where
// a directory is damaged, the mark before it and a walk from there take its place. Entries come in
// ascending order of offsets, unless a sealed directory gave them all.
Status ListByDirectories(const Source& source, std::uint64_t directory, std::uint64_t stop,
                         std::uint64_t from, Listing* listing);

}  // namespace ckpt::scan

#endif  // CKPT_STORE_PACK_SCAN_H_
