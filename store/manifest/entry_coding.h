// One entry of an entry table as bytes (docs/format.md, "Entries"), with every bound checked on
// both sides (I8). Internal to this layer. Thread rule: pure functions.

#ifndef CKPT_STORE_MANIFEST_ENTRY_CODING_H_
#define CKPT_STORE_MANIFEST_ENTRY_CODING_H_

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/manifest/tree.h"

namespace ckpt {

constexpr std::size_t kEntryNameBytesMax = 4096;
// A node is full with 64 KiB, so an entry of this size still fits in a node's 1 MiB.
constexpr std::size_t kNodeFullBytes = 64u << 10;
constexpr std::size_t kEntryBytesMax = kNodeBytesMax - kNodeFullBytes;

// InvalidArgument when a field is outside the limits or does not belong to the kind.
Status CheckEntry(const Entry& entry);
// REQUIRES: CheckEntry(entry) is ok.
void EncodeEntry(const Entry& entry, Bytes* out);
// Corruption for what CheckEntry refuses. Reads to the entry's end.
Result<Entry> DecodeEntry(ByteReader* in);

// InvalidArgument unless the shape is possible; the array's bytes into *bytes.
Status CheckArrayShape(const ArrayShape& array, std::uint64_t* bytes);

}  // namespace ckpt

#endif  // CKPT_STORE_MANIFEST_ENTRY_CODING_H_
