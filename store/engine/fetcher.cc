#include "store/engine/fetcher.h"

#include <algorithm>
#include <unordered_set>

#include "store/codec/hash.h"

namespace ckpt {
namespace {

std::string Where(const ChunkPlace& place) {
  return "packs/" + PackFileName(place.pack_id) + " at " + std::to_string(place.entry.offset);
}

}  // namespace

Result<std::unique_ptr<Fetcher>> Fetcher::Open(Store* store,
                                               const std::vector<PackReliance>& packs) {
  std::unique_ptr<Fetcher> fetcher(new Fetcher(store));
  CKPT_ASSIGN_OR_RETURN(auto resolved, store->ResolvePacks(packs));
  for (const PackReliance& pack : resolved) {
    CKPT_ASSIGN_OR_RETURN(auto view, store->packs()->Get(pack.pack_id));
    fetcher->packs_.emplace_back(pack.pack_id, std::move(view));
  }
  // Where another pack has the chunk too, that copy is the one that is surely there.
  std::stable_partition(fetcher->packs_.begin(), fetcher->packs_.end(),
                        [&](const auto& pack) { return !store->IsHollow(pack.first); });
  return fetcher;
}

Result<ChunkPlace> Fetcher::Locate(const Id128& id) {
  CKPT_ASSIGN_OR_RETURN(auto indexed, store_->FindDurable(id));
  if (indexed.has_value()) return *indexed;
  std::string trouble;
  for (bool thorough : {false, true}) {
    for (auto& [pack_id, view] : packs_) {
      auto entry = view->Find(id, thorough);
      if (entry.ok() && entry->has_value()) return ChunkPlace{pack_id, **entry};
      if (!entry.ok()) trouble = " (" + entry.status().message() + ")";
    }
  }
  return Corruption("chunk " + id.ToHex() + " is in none of the packs of this checkpoint" +
                    trouble);
}

Status Fetcher::DecodeChunk(const ChunkPlace& place, ByteSpan stored, Decoder* decoder,
                            MutableByteSpan raw) {
  const ChunkEntry& e = place.entry;
  if (raw.size() != e.raw_bytes) {
    return Corruption(Where(place) + ": the chunk has " + std::to_string(e.raw_bytes) +
                      " bytes where " + std::to_string(raw.size()) + " are needed");
  }
  Status decoded = decoder->Decode(e.codec, e.codec_param, stored, raw);
  if (!decoded.ok()) return std::move(decoded).WithContext(Where(place));
  if (HashChunk(raw) != e.id) {
    return Corruption(Where(place) + ": the chunk's bytes do not have the id " + e.id.ToHex());
  }
  return Status();
}

Status Fetcher::ReadAt(const ChunkPlace& place, Decoder* decoder, Bytes* scratch,
                       MutableByteSpan raw) {
  CKPT_ASSIGN_OR_RETURN(auto view, store_->packs()->Get(place.pack_id));
  scratch->resize(place.entry.stored_bytes);
  CKPT_RETURN_IF_ERROR(view->reader().ReadChunkPayload(place.entry, false, *scratch));
  return DecodeChunk(place, *scratch, decoder, raw);
}

Status Fetcher::ReadSpan(const Id128& pack_id, std::uint64_t offset, MutableByteSpan out) {
  CKPT_ASSIGN_OR_RETURN(auto view, store_->packs()->Get(pack_id));
  return view->reader().ReadRaw(offset, out);
}

Result<std::vector<ChunkPlace>> Fetcher::AllPlaces(const Id128& id) {
  std::vector<ChunkPlace> places;
  for (const auto& [pack_id, state] : store_->PackStates()) {
    auto view = store_->packs()->Get(pack_id);
    if (!view.ok()) continue;
    auto contents = (*view)->Contents();
    if (!contents.ok()) continue;
    for (const auto* list : {&(*contents)->chunks, &(*contents)->tail_chunks}) {
      for (const ChunkEntry& entry : *list) {
        if (entry.id == id) places.push_back({pack_id, entry});
      }
    }
  }
  return places;
}

Status Fetcher::ReadChunk(const ChunkPlace& place, Decoder* decoder, Bytes* scratch,
                          MutableByteSpan raw) {
  Status first = ReadAt(place, decoder, scratch, raw);
  if (first.ok() || (first.code() != Code::kCorruption && first.code() != Code::kNotFound &&
                     first.code() != Code::kIo)) {
    return first;
  }
  CKPT_ASSIGN_OR_RETURN(auto places, AllPlaces(place.entry.id));
  for (const ChunkPlace& other : places) {
    if (other.pack_id == place.pack_id && other.entry.offset == place.entry.offset) continue;
    if (ReadAt(other, decoder, scratch, raw).ok()) return Status();
  }
  if (first.code() == Code::kNotFound) return Corruption(first.message());
  return first;
}

Result<Bytes> Fetcher::GetNode(const Id128& id, std::uint32_t raw_bytes) {
  if (raw_bytes > kNodeBytesMax) return Corruption("node " + id.ToHex() + " is too large");
  CKPT_ASSIGN_OR_RETURN(ChunkPlace place, Locate(id));
  Bytes raw(raw_bytes);
  CKPT_RETURN_IF_ERROR(ReadChunk(place, &decoder_, &scratch_, raw));
  return raw;
}

Result<bool> IsSound(Store* store, const Manifest& manifest) {
  auto resolved = store->ResolvePacks(manifest.packs);
  if (!resolved.ok()) {
    if (resolved.status().code() == Code::kCorruption) return false;
    return resolved.status();
  }
  bool walk = false;
  for (const PackReliance& pack : *resolved) {
    CKPT_ASSIGN_OR_RETURN(auto view, store->packs()->Get(pack.pack_id));
    CKPT_ASSIGN_OR_RETURN(std::uint64_t bytes, view->reader().FileBytes());
    if (bytes < pack.up_to) return false;
    walk = walk || store->HasDamage(pack.pack_id);
  }
  if (!walk) return true;
  CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store, manifest.packs));
  std::unordered_set<Id128, Id128Hash> seen;
  bool sound = true;
  Status walked = VisitEntryTable(manifest.entry_table, fetcher.get(),
                                  [&](const Id128& id, std::uint64_t, bool) -> Result<bool> {
                                    if (!seen.insert(id).second) return false;
                                    CKPT_ASSIGN_OR_RETURN(ChunkPlace place, fetcher->Locate(id));
                                    if (store->IsBarred(place)) sound = false;
                                    return true;
                                  });
  if (walked.code() == Code::kCorruption) return false;
  CKPT_RETURN_IF_ERROR(std::move(walked));
  return sound;
}

}  // namespace ckpt
