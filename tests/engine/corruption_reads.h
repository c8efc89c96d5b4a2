// How corruption_test.cc reads a store: whole checkpoints as restores read them, single entries
// quickly, and the tables of packs. Thread rule: one thread.

#ifndef CKPT_TESTS_ENGINE_CORRUPTION_READS_H_
#define CKPT_TESTS_ENGINE_CORRUPTION_READS_H_

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/codec/hash.h"
#include "store/engine/fetcher.h"
#include "store/engine/parallel_reader.h"
#include "store/engine/series.h"
#include "store/engine/store.h"

namespace ckpt::corruption_test {

class Sink : public ReadTarget {
 public:
  explicit Sink(Bytes* bytes) : bytes_(bytes) {}
  Status Write(std::uint64_t offset, ByteSpan bytes) override {
    if (offset + bytes.size() > bytes_->size()) return Internal("beyond the entry's end");
    std::copy(bytes.begin(), bytes.end(), bytes_->begin() + static_cast<std::ptrdiff_t>(offset));
    return Status();
  }

 private:
  Bytes* const bytes_;
};

// What a checkpoint restores to.
using Contents = std::map<std::string, Bytes>;

inline Result<Bytes> ReadEntry(Fetcher* fetcher, const Entry& entry) {
  if (entry.logical_bytes > (64u << 20)) return Internal("an entry of a size nobody saved");
  Bytes bytes(entry.logical_bytes);
  ParallelReader reader(fetcher, 1);
  CKPT_ASSIGN_OR_RETURN(std::uint64_t length,
                        reader.Read(entry.content, std::make_shared<Sink>(&bytes)));
  CKPT_RETURN_IF_ERROR(reader.Drain());
  if (length != entry.logical_bytes) return Corruption("an entry of another length");
  return bytes;
}

inline Result<std::unique_ptr<Store>> OpenSnapshot(Env* env) {
  OpenStoreOptions options;
  options.use_index = false;
  options.threads = 1;
  return Store::Open(env, "/store", options);
}

// A checkpoint, opened: all that comes before the contents of entries.
struct Opened {
  std::unique_ptr<Store> store;
  std::unique_ptr<Fetcher> fetcher;
  std::vector<Entry> entries;
};

inline Status OpenCheckpoint(Store* store, const std::string& name, Opened* opened) {
  CKPT_ASSIGN_OR_RETURN(auto resolved, ResolveCheckpoint(store, name));
  CKPT_ASSIGN_OR_RETURN(Manifest manifest, store->ReadManifest(resolved.ranks.front()));
  CKPT_ASSIGN_OR_RETURN(opened->fetcher, Fetcher::Open(store, manifest.packs));
  EntryTableReader table(manifest.entry_table, opened->fetcher.get());
  opened->entries.clear();
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto entry, table.Next());
    if (!entry.has_value()) return Status();
    opened->entries.push_back(*std::move(entry));
  }
}

inline Result<Contents> ReadAll(Store* store, const std::string& name) {
  Opened opened;
  CKPT_RETURN_IF_ERROR(OpenCheckpoint(store, name, &opened));
  Contents contents;
  for (const Entry& entry : opened.entries) {
    CKPT_ASSIGN_OR_RETURN(contents[entry.name], ReadEntry(opened.fetcher.get(), entry));
  }
  return contents;
}

// The same calls in the same order for one chunk after the other, without threads; most flips are
// tried this way.
inline Result<Bytes> ReadEntryQuickly(Fetcher* fetcher, const Entry& entry, Decoder* decoder,
                                      Bytes* scratch) {
  Bytes bytes(entry.logical_bytes);
  std::uint64_t at = 0;
  ChunkListReader list(entry.content, fetcher);
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto item, list.Next());
    if (!item.has_value()) break;
    std::uint64_t length =
        item->kind == ChunkItem::Kind::kInline ? item->inline_bytes.size() : item->raw_bytes;
    if (length > bytes.size() - at) return Corruption("an entry of another length");
    MutableByteSpan out = MutableByteSpan(bytes).subspan(at, length);
    at += length;
    if (item->kind == ChunkItem::Kind::kInline) {
      std::copy(item->inline_bytes.begin(), item->inline_bytes.end(), out.begin());
    } else if (item->kind == ChunkItem::Kind::kChunk) {
      CKPT_ASSIGN_OR_RETURN(ChunkPlace place, fetcher->Locate(item->id));
      scratch->resize(place.entry.stored_bytes);
      Status read =
          fetcher->ReadSpan(place.pack_id, place.entry.offset + kRecordHeaderBytes, *scratch);
      if (read.ok()) read = fetcher->DecodeChunk(place, *scratch, decoder, out);
      if (!read.ok()) CKPT_RETURN_IF_ERROR(fetcher->ReadChunk(place, decoder, scratch, out));
    }
  }
  if (at != bytes.size()) return Corruption("an entry of another length");
  return bytes;
}

// The tables of a pack as readers get them, as one checksum; their order depends on how they were
// found.
inline std::uint64_t TablesOf(Dir* packs_dir, const Id128& id, const Id128& store_uuid) {
  Bytes all;
  ByteWriter w(&all);
  auto reader = PackReader::Open(packs_dir, id, store_uuid, PackReader::BadHeader::kSalvage);
  auto contents = reader.ok() ? (*reader)->ReadFrom(0) : reader.status();
  w.U8(static_cast<std::uint8_t>(contents.status().code()));
  if (!contents.ok()) return Checksum64(all);
  for (auto* list : {&contents->chunks, &contents->tail_chunks}) {
    std::sort(list->begin(), list->end(),
              [](const ChunkEntry& a, const ChunkEntry& b) { return a.offset < b.offset; });
    for (const ChunkEntry& e : *list) {
      w.Id(e.id);
      w.U64(e.offset);
      w.U32(e.stored_bytes);
      w.U32(e.raw_bytes);
      w.U8(e.codec);
      w.U8(e.codec_param);
    }
    w.U8(0xff);
  }
  for (const auto* list : {&contents->records, &contents->tail_records}) {
    for (const RecordEntry& e : *list) {
      w.U64(e.offset);
      w.U8(static_cast<std::uint8_t>(e.type));
    }
    w.U8(0xff);
  }
  return Checksum64(all);
}

}  // namespace ckpt::corruption_test

#endif  // CKPT_TESTS_ENGINE_CORRUPTION_READS_H_
