// The builders of chunk lists and entry tables: what they refuse, and their totals. The cutting
// into nodes is TreeWriter's.

#include "store/manifest/entry_coding.h"
#include "store/manifest/manifest.h"
#include "store/manifest/tree_writer.h"

namespace ckpt {

struct ChunkListBuilder::State {
  TreeWriter writer;
  std::uint64_t chunks = 0;
  std::uint64_t logical_bytes = 0;
  Bytes encoded = {};  // kept for its capacity
};

ChunkListBuilder::ChunkListBuilder(FanOut fan_out, ChunkSink* sink)
    : state_(new State{TreeWriter(ChunkListRule(fan_out), sink)}) {}
ChunkListBuilder::~ChunkListBuilder() = default;

Status ChunkListBuilder::Add(ChunkItem item) {
  CKPT_RETURN_IF_ERROR(CheckChunkItem(item));
  std::uint64_t total = state_->logical_bytes;
  if (!AddWithin(item.raw_bytes, &total)) {
    return InvalidArgument("a chunk list has at most 2^64 - 1 content bytes");
  }
  bool is_chunk = item.kind == ChunkItem::Kind::kChunk;
  state_->encoded.clear();
  EncodeChunkItem(item, &state_->encoded);
  CKPT_RETURN_IF_ERROR(state_->writer.Add(
      {state_->encoded, {}, is_chunk ? &item.id : nullptr, item.raw_bytes, is_chunk ? 1u : 0u}));
  state_->logical_bytes = total;
  state_->chunks += is_chunk ? 1 : 0;
  return {};
}

Result<TreeRef> ChunkListBuilder::Finish() { return state_->writer.Finish(); }
std::uint64_t ChunkListBuilder::chunks() const { return state_->chunks; }
std::uint64_t ChunkListBuilder::logical_bytes() const { return state_->logical_bytes; }

struct EntryTableBuilder::State {
  TreeWriter writer;
  std::uint64_t entries = 0;
  std::uint64_t logical_bytes = 0;
  std::string last_name = {};
  Bytes encoded = {};  // kept for its capacity
};

EntryTableBuilder::EntryTableBuilder(ChunkSink* sink)
    : state_(new State{TreeWriter(EntryTableRule(), sink)}) {}
EntryTableBuilder::~EntryTableBuilder() = default;

Status EntryTableBuilder::Add(const Entry& entry) {
  CKPT_RETURN_IF_ERROR(CheckEntry(entry));
  if (entry.name <= state_->last_name) {
    return InvalidArgument("entry '" + ShownName(entry.name) + "' stands behind '" +
                           ShownName(state_->last_name) +
                           "': names must ascend and each may come once");
  }
  std::uint64_t total = state_->logical_bytes;
  if (!AddWithin(entry.logical_bytes, &total)) {
    return InvalidArgument("an entry table has at most 2^64 - 1 logical bytes");
  }
  state_->encoded.clear();
  EncodeEntry(entry, &state_->encoded);
  CKPT_RETURN_IF_ERROR(
      state_->writer.Add({state_->encoded, entry.name, nullptr, entry.logical_bytes, 1}));
  state_->logical_bytes = total;
  state_->last_name = entry.name;
  ++state_->entries;
  return {};
}

Result<TreeRef> EntryTableBuilder::Finish() { return state_->writer.Finish(); }
std::uint64_t EntryTableBuilder::entries() const { return state_->entries; }

}  // namespace ckpt
