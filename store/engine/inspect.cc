#include "store/engine/inspect.h"

#include <map>
#include <memory>
#include <vector>

#include "store/engine/fetcher.h"
#include "store/engine/id_table.h"

namespace ckpt {
namespace {

std::uint64_t StoredBytes(const ChunkEntry& entry) {
  return RoundUp(kRecordHeaderBytes + entry.stored_bytes, kRecordAlignBytes);
}

// "shuffle8+zstd"; of deltas, whichever way the difference was taken, "delta8+zstd".
std::string CodecText(std::uint8_t codec, std::uint8_t param) {
  const bool delta = IsDeltaCodec(codec);
  if (!delta && codec != static_cast<std::uint8_t>(Codec::kShuffleZstd)) return CodecName(codec);
  return (delta ? "delta" : "shuffle") + std::to_string(param == 0 ? 256 : param) + "+zstd";
}

class Inspector {
 public:
  Inspector(Store* store, const InspectVisitor& visitor) : store_(store), visitor_(visitor) {}

  Status Run(const std::string& name) {
    CKPT_ASSIGN_OR_RETURN(resolved_, ResolveCheckpoint(store_, name));
    for (const CheckpointRow& row : resolved_.ranks) {
      CKPT_ASSIGN_OR_RETURN(Manifest manifest, store_->ReadManifest(row));
      CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store_, manifest.packs));
      ranks_.push_back({std::move(manifest), std::move(fetcher)});
      if (visitor_.checkpoint) CKPT_RETURN_IF_ERROR(visitor_.checkpoint(resolved_.view, row));
    }
    if (visitor_.entry) CKPT_RETURN_IF_ERROR(Entries());
    return visitor_.pack ? Packs() : Status();
  }

 private:
  struct Rank {
    Manifest manifest;
    std::unique_ptr<Fetcher> fetcher;
  };

  Status Entries() {
    CKPT_RETURN_IF_ERROR(LoadBefore());
    for (const Rank& rank : ranks_) {
      EntryTableReader table(rank.manifest.entry_table, rank.fetcher.get());
      for (;;) {
        CKPT_ASSIGN_OR_RETURN(auto entry, table.Next());
        if (!entry.has_value()) break;
        CKPT_RETURN_IF_ERROR(One(rank, *entry));
      }
    }
    return Status();
  }

  // Everything counts as new where the checkpoint before cannot be read.
  Status LoadBefore() {
    const CheckpointRow* first = CheckpointBefore(resolved_.view, resolved_.ranks.front());
    if (first == nullptr) return Status();
    std::vector<Manifest> manifests;
    for (const CheckpointRow* row : resolved_.view.Group(*first)) {
      auto manifest = store_->ReadManifest(*row);
      if (manifest.ok()) manifests.push_back(*std::move(manifest));
    }
    all_old_ = manifests.size() == ranks_.size();
    for (std::size_t i = 0; all_old_ && i < ranks_.size(); ++i) {
      all_old_ = manifests[i].entry_table == ranks_[i].manifest.entry_table;
    }
    if (all_old_) return Status();
    for (const Manifest& manifest : manifests) CKPT_RETURN_IF_ERROR(LoadBefore(manifest));
    return Status();
  }

  Status LoadBefore(const Manifest& manifest) {
    auto fetcher = Fetcher::Open(store_, manifest.packs);
    Status s =
        fetcher.ok()
            ? VisitEntryTable(manifest.entry_table, fetcher->get(),
                              [&](const Id128& id, std::uint64_t, bool is_node) -> Result<bool> {
                                return (is_node ? nodes_before_ : before_).Insert(id);
                              })
            : fetcher.status();
    return s.code() == Code::kCorruption ? Status() : s;
  }

  Status One(const Rank& rank, const Entry& entry) {
    InspectedEntry out;
    out.entry = &entry;
    out.rank = rank.manifest.rank;
    SeenIds seen;
    auto visit = [&](const Id128& id, std::uint64_t raw_bytes, bool is_node) -> Result<bool> {
      if (!seen.Insert(id, is_node)) return false;
      if (is_node) return true;
      CKPT_RETURN_IF_ERROR(AddChunk(rank, id, raw_bytes, &out));
      return true;
    };
    CKPT_RETURN_IF_ERROR(VisitChunkList(entry.content, rank.fetcher.get(), visit));
    return visitor_.entry(out);
  }

  Status AddChunk(const Rank& rank, const Id128& id, std::uint64_t raw_bytes, InspectedEntry* out) {
    CKPT_ASSIGN_OR_RETURN(ChunkPlace place, rank.fetcher->Locate(id));
    out->stored_bytes += StoredBytes(place.entry);
    std::string codec = CodecText(place.entry.codec, place.entry.codec_param);
    if (out->codec.empty()) out->codec = codec;
    if (out->codec != codec) out->codec = "mixed";
    if (all_old_ || before_.Contains(id)) return Status();
    ++out->new_chunks;
    out->new_bytes += raw_bytes;
    return Status();
  }

  Status Packs() {
    std::map<Id128, std::uint64_t> packs;
    SeenIds seen;
    IdSet bases;
    for (const Rank& rank : ranks_) {
      CKPT_ASSIGN_OR_RETURN(auto resolved, store_->ResolvePacks(rank.manifest.packs));
      for (const PackReliance& pack : resolved) packs.try_emplace(pack.pack_id, 0);
      CKPT_RETURN_IF_ERROR(
          VisitEntryTable(rank.manifest.entry_table, rank.fetcher.get(),
                          [&](const Id128& id, std::uint64_t, bool is_node) -> Result<bool> {
                            if (!seen.Insert(id, is_node)) return false;
                            CKPT_ASSIGN_OR_RETURN(ChunkPlace place, rank.fetcher->Locate(id));
                            packs[place.pack_id] += StoredBytes(place.entry);
                            if (!IsDeltaCodec(place.entry.codec)) return true;
                            const Id128 base = place.entry.base;
                            if (!bases.Insert(base)) return true;
                            CKPT_ASSIGN_OR_RETURN(place, rank.fetcher->Locate(base));
                            packs[place.pack_id] += StoredBytes(place.entry);
                            return true;
                          }));
    }
    for (const auto& [pack_id, bytes] : packs) CKPT_RETURN_IF_ERROR(visitor_.pack(pack_id, bytes));
    return Status();
  }

  Store* const store_;
  const InspectVisitor& visitor_;
  ResolvedCheckpoint resolved_;
  std::vector<Rank> ranks_;
  IdSet before_, nodes_before_;
  bool all_old_ = false;
};

}  // namespace

const CheckpointRow* CheckpointBefore(const SeriesView& view, const CheckpointRow& row) {
  const AttemptInfo* attempt = view.FindAttempt(row.attempt.id);
  std::int64_t below = row.step;  // exclusive
  while (attempt != nullptr) {
    for (auto it = attempt->steps.rbegin(); it != attempt->steps.rend(); ++it) {
      if (view.rows()[*it].step < below) return &view.rows()[*it];
    }
    if (!attempt->has_parent) return nullptr;
    below = std::min(below, attempt->parent_step + 1);
    const AttemptInfo* parent = view.FindAttempt(attempt->parent);
    // Parents come before their children, so that a hostile circle ends.
    attempt = parent != nullptr && parent->ref < attempt->ref ? parent : nullptr;
  }
  return nullptr;
}

Status InspectCheckpoint(Store* store, const std::string& name, const InspectVisitor& visitor) {
  CKPT_RETURN_IF_ERROR(store->Refresh());
  return Inspector(store, visitor).Run(name);
}

}  // namespace ckpt
