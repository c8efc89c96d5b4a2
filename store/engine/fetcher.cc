#include "store/engine/fetcher.h"

#include <algorithm>
#include <cstring>

#include "store/codec/hash.h"
#include "store/engine/id_table.h"

namespace ckpt {
namespace {

std::string Where(const ChunkPlace& place) {
  return "packs/" + PackFileName(place.pack_id) + " at " + std::to_string(place.entry.offset);
}

struct OpenPack {
  PackReliance reliance;
  std::shared_ptr<PackView> view;
};

// The packs that stand in for `packs`, opened. Again from the beginning when one is collected
// between its being resolved and opened: others stand in for it then. If they are the same, it is
// gone.
Result<std::vector<OpenPack>> OpenPacks(Store* store, const std::vector<PackReliance>& packs) {
  std::vector<PackReliance> before;
  for (;;) {
    CKPT_ASSIGN_OR_RETURN(auto resolved, store->ResolvePacks(packs));
    std::vector<OpenPack> opened;
    Status failed;
    for (const PackReliance& pack : resolved) {
      auto view = store->packs()->Get(pack.pack_id);
      failed = view.status();
      if (!failed.ok()) break;
      opened.push_back({pack, *std::move(view)});
    }
    if (failed.ok()) return opened;
    if (failed.code() != Code::kNotFound || resolved == before) return failed;
    before = std::move(resolved);
    CKPT_RETURN_IF_ERROR(store->Refresh());
  }
}

bool SamePlace(const ChunkPlace& a, const ChunkPlace& b) {
  return a.pack_id == b.pack_id && a.entry.offset == b.entry.offset;
}

}  // namespace

Result<std::unique_ptr<Fetcher>> Fetcher::Open(Store* store,
                                               const std::vector<PackReliance>& packs) {
  std::unique_ptr<Fetcher> fetcher(new Fetcher(store, packs));
  CKPT_RETURN_IF_ERROR(fetcher->Resolve());
  return fetcher;
}

Status Fetcher::Resolve() {
  CKPT_ASSIGN_OR_RETURN(auto opened, OpenPacks(store_, wanted_));
  auto held = std::make_shared<HeldPacks>();
  for (OpenPack& pack : opened) held->emplace_back(pack.reliance.pack_id, std::move(pack.view));
  // Where another pack has the chunk too, that copy is the one that is surely there.
  std::stable_partition(held->begin(), held->end(),
                        [&](const auto& pack) { return !store_->IsHollow(pack.first); });
  std::lock_guard lock(mutex_);
  held_ = std::move(held);
  return Status();
}

// By way of a look at the store: what was collected is in other packs by now.
Status Fetcher::ResolveAnew() {
  CKPT_RETURN_IF_ERROR(store_->Refresh());
  return Resolve();
}

std::shared_ptr<const Fetcher::HeldPacks> Fetcher::held() const {
  std::lock_guard lock(mutex_);
  return held_;
}

Result<std::shared_ptr<PackView>> Fetcher::View(const Id128& pack_id) {
  std::shared_ptr<const HeldPacks> packs = held();
  auto it = std::find_if(packs->begin(), packs->end(),
                         [&](const auto& pack) { return pack.first == pack_id; });
  if (it != packs->end()) return it->second;
  return store_->packs()->Get(pack_id);
}

Result<ChunkPlace> Fetcher::Locate(const Id128& id) {
  const auto indexed = store_->FindDurable(id);
  if (indexed.has_value()) return *indexed;
  bool unreadable = false;
  auto place = LocateIn(*held(), id, &unreadable);
  if (!place.ok() && unreadable) {
    CKPT_RETURN_IF_ERROR(ResolveAnew());
    place = LocateIn(*held(), id, &unreadable);
  }
  // Damaged, or lost with a pack that was; perhaps saved anew since by somebody who does not know
  // of this checkpoint.
  if (!place.ok() || store_->IsBarred(*place)) {
    auto anew = LocateAnywhere(id);
    if (anew.has_value()) return *anew;
  }
  return place;
}

std::optional<ChunkPlace> Fetcher::LocateAnywhere(const Id128& id) {
  for (const auto& [pack_id, state] : store_->PackStates()) {
    auto view = store_->packs()->Get(pack_id);
    if (!view.ok()) continue;
    auto entry = (*view)->Find(id, true);
    if (!entry.ok() || !entry->has_value()) continue;
    ChunkPlace place{pack_id, **entry};
    if (!store_->IsBarred(place)) return place;
  }
  return std::nullopt;
}

Result<ChunkPlace> Fetcher::LocateIn(const HeldPacks& packs, const Id128& id, bool* unreadable) {
  std::string trouble;
  for (bool thorough : {false, true}) {
    for (const auto& [pack_id, view] : packs) {
      auto entry = view->Find(id, thorough);
      if (entry.ok() && entry->has_value()) return ChunkPlace{pack_id, **entry};
      if (entry.ok()) continue;
      // What says nothing about the bytes on disk is no damage.
      const Code code = entry.status().code();
      if (code == Code::kNoSpace || code == Code::kOutOfMemory || code == Code::kBusy) {
        return entry.status();
      }
      trouble = " (" + entry.status().message() + ")";
      *unreadable = *unreadable || entry.status().code() == Code::kIo;
      if (entry.status().code() == Code::kIo) store_->packs()->Forget(pack_id);
    }
  }
  return Corruption("chunk " + id.ToHex() + " is in none of the packs of this checkpoint" +
                    trouble + WhatIsAmiss(packs));
}

// For messages: what of the packs is not as it was when the checkpoint was saved.
std::string Fetcher::WhatIsAmiss(const HeldPacks& packs) const {
  std::string text;
  for (const auto& [pack_id, view] : packs) {
    const std::string path = "packs/" + PackFileName(pack_id);
    auto bytes = view->reader().FileBytes();
    for (const PackReliance& need : wanted_) {
      if (need.pack_id != pack_id || !bytes.ok() || *bytes >= need.up_to) continue;
      text += "; " + path + " ends at " + std::to_string(*bytes) + ", and had " +
              std::to_string(need.up_to) + " bytes or more";
    }
    auto contents = view->Contents();
    if (!contents.ok()) continue;
    for (const DamagedRange& range : (*contents)->damage) {
      text += "; " + path + " at " + std::to_string(range.begin) + ": damaged up to " +
              std::to_string(range.end);
    }
  }
  return text;
}

// Another thread may have looked already: then the store knows.
Result<ChunkPlace> Fetcher::LocateElsewhere(const ChunkPlace& gone) {
  store_->packs()->Forget(gone.pack_id);
  CKPT_ASSIGN_OR_RETURN(ChunkPlace place, Locate(gone.entry.id));
  if (!SamePlace(place, gone)) return place;
  CKPT_RETURN_IF_ERROR(ResolveAnew());
  return Locate(gone.entry.id);
}

Status Fetcher::DecodeChunk(const ChunkPlace& place, ByteSpan stored, Decoder* decoder,
                            MutableByteSpan raw) {
  const ChunkEntry& e = place.entry;
  if (raw.size() != e.raw_bytes) {
    return Corruption(Where(place) + ": the chunk has " + std::to_string(e.raw_bytes) +
                      " bytes where " + std::to_string(raw.size()) + " are needed");
  }
  Bytes base;
  if (IsDeltaCodec(e.codec)) {
    CKPT_ASSIGN_OR_RETURN(base, ReadBase(place, stored, decoder));
  }
  Status decoded = decoder->Decode(e.codec, e.codec_param, stored, raw, base);
  if (!decoded.ok()) return std::move(decoded).WithContext(Where(place));
  if (HashChunk(raw) != e.id) {
    return Corruption(Where(place) + ": the chunk's bytes do not have the id " + e.id.ToHex());
  }
  return Status();
}

// The raw bytes of a delta's base.
Result<Bytes> Fetcher::ReadBase(const ChunkPlace& place, ByteSpan stored, Decoder* decoder) {
  const Id128& id = place.entry.base;
  if (stored.size() < kBaseBytes || std::memcmp(stored.data(), id.bytes.data(), kBaseBytes) != 0) {
    return Corruption(Where(place) + ": a delta against another base than its table names");
  }
  const std::string context = Where(place) + ": the base of the delta";
  auto found = Locate(id);
  if (!found.ok()) return std::move(found).status().WithContext(context);
  Bytes scratch, base(found->entry.raw_bytes);
  Status read = ReadCopies(*found, decoder, &scratch, base, Copies::kInFull);
  if (!read.ok()) return std::move(read).WithContext(context);
  return base;
}

// A base is in full (I12): without that rule deltas of a store made to hurt could go round in a
// circle.
Status Fetcher::ReadAt(const ChunkPlace& place, Decoder* decoder, Bytes* scratch,
                       MutableByteSpan raw, Copies copies) {
  if (copies == Copies::kInFull && IsDeltaCodec(place.entry.codec)) {
    return Corruption(Where(place) + ": chunk " + place.entry.id.ToHex() + " is a delta itself");
  }
  scratch->resize(place.entry.stored_bytes);
  CKPT_RETURN_IF_ERROR(ReadSpan(place.pack_id, place.entry.offset + kRecordHeaderBytes, *scratch));
  return DecodeChunk(place, *scratch, decoder, raw);
}

Status Fetcher::ReadSpan(const Id128& pack_id, std::uint64_t offset, MutableByteSpan out) {
  CKPT_ASSIGN_OR_RETURN(auto view, View(pack_id));
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
  return ReadCopies(place, decoder, scratch, raw, Copies::kAll);
}

Status Fetcher::ReadCopies(const ChunkPlace& wanted, Decoder* decoder, Bytes* scratch,
                           MutableByteSpan raw, Copies copies) {
  ChunkPlace place = wanted;
  Status first = ReadAt(place, decoder, scratch, raw, copies);
  while (first.code() == Code::kNotFound || first.code() == Code::kIo) {
    auto now = LocateElsewhere(place);
    if (!now.ok() || SamePlace(*now, place)) break;
    place = *std::move(now);
    first = ReadAt(place, decoder, scratch, raw, copies);
  }
  if (first.ok() || (first.code() != Code::kCorruption && first.code() != Code::kNotFound &&
                     first.code() != Code::kIo)) {
    return first;
  }
  CKPT_ASSIGN_OR_RETURN(auto places, AllPlaces(place.entry.id));
  for (const ChunkPlace& other : places) {
    if (SamePlace(other, place)) continue;
    if (ReadAt(other, decoder, scratch, raw, copies).ok()) return Status();
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
  auto opened = OpenPacks(store, manifest.packs);
  if (!opened.ok()) {
    if (opened.status().code() == Code::kCorruption) return false;
    return opened.status();
  }
  bool walk = false;
  for (const OpenPack& pack : *opened) {
    CKPT_ASSIGN_OR_RETURN(std::uint64_t bytes, pack.view->reader().FileBytes());
    if (bytes < pack.reliance.up_to) return false;
    walk = walk || store->HasDamage(pack.reliance.pack_id);
  }
  // Of a pack that was set aside the damage is remembered under its own name.
  walk = walk || std::any_of(manifest.packs.begin(), manifest.packs.end(),
                             [&](const auto& pack) { return store->HasDamage(pack.pack_id); });
  if (!walk) return true;
  CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store, manifest.packs));
  SeenIds seen;
  bool sound = true;
  Status walked =
      VisitEntryTable(manifest.entry_table, fetcher.get(),
                      [&](const Id128& id, std::uint64_t, bool is_node) -> Result<bool> {
                        if (!seen.Insert(id, is_node)) return false;
                        CKPT_ASSIGN_OR_RETURN(ChunkPlace place, fetcher->Locate(id));
                        if (store->IsBarred(place)) sound = false;
                        if (!IsDeltaCodec(place.entry.codec)) return true;
                        CKPT_ASSIGN_OR_RETURN(place, fetcher->Locate(place.entry.base));
                        if (store->IsBarred(place)) sound = false;
                        return true;
                      });
  if (walked.code() == Code::kCorruption) return false;
  CKPT_RETURN_IF_ERROR(std::move(walked));
  return sound;
}

}  // namespace ckpt
