// ChunkWriter: stores chunks and records for one writer: deduplicates, compresses, appends to the
// writer's pack, begins a new pack when one is full, and keeps the list of packs relied upon. It is
// the writer of docs/collection.md; functions named there have the same names here.
//
// Keeps I4 (relies only on chunks below a sync mark or on its own), I5 (holds the lock of the pack
// it writes), I6 (after a failure every call answers it), I7 (what it relies on is claimed before
// it acknowledges an epoch, and hits avoid condemned packs). Thread rule: Put and PollEpoch by any
// thread, Put each with its own ChunkEncoder; the rest by the owner alone, with no Put under way.

#ifndef CKPT_STORE_ENGINE_CHUNK_WRITER_H_
#define CKPT_STORE_ENGINE_CHUNK_WRITER_H_

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store/engine/collect_state.h"
#include "store/engine/delta_base.h"
#include "store/engine/store.h"
#include "store/manifest/tree.h"
#include "store/pack/writer.h"

namespace ckpt {

// What is known of a chunk's bytes, and wanted of what is stored of them.
struct ChunkForm {
  std::size_t element_width = kUnknownWidth;  // see EncodeOptions
  Effort effort = Effort::kUnsaid;            // of the array; unsaid: the save's
};

// What a save has put so far.
struct PutCounts {
  std::uint64_t new_chunks = 0;      // of content; the nodes of trees are not counted
  std::uint64_t new_bytes = 0;       // their raw bytes
  std::uint64_t appended_bytes = 0;  // to packs: records, directories, padding, marks
};

class ChunkWriter : public ChunkSink {
 public:
  // BeginWriting: continues a pack of this host that nobody writes, else begins one. Afterwards the
  // caller refreshes the store: tombstones count only when read after `collect` was.
  // `job`: the scheduler's, where there is one; recorded, so that the job's next start may break
  // this writer should its host be lost. `effort`: unsaid, the store's.
  static Result<std::unique_ptr<ChunkWriter>> Open(Store* store, const WriterRecord& job = {},
                                                   Effort effort = Effort::kUnsaid);
  ~ChunkWriter() override;  // abandons what was not committed

  // Stores the chunk unless it is there. `before` (may be null): the chunk that was at the same
  // place in the checkpoint before, from which the difference is stored where that is much smaller.
  // Looks for a new epoch now and then.
  Status Put(ByteSpan raw, const Id128& id, const ChunkForm& form, ChunkEncoder* encoder,
             const Id128* before = nullptr);
  Result<Id128> PutNode(ByteSpan raw) override;
  Status AppendRecord(RecordType type, ByteSpan payload);

  // InheritReliance, in two steps: the packs of a checkpoint that this one may take entries over
  // from (resolved; the checkpoint had no tombstone when that was read, after Open), and the fact
  // that it did: only then they are named in the manifest.
  void OfferInheritance(const Manifest& parent);
  void Inherit() { inherited_used_ = true; }
  // Everything relied upon so far, own packs up to their present end.
  std::vector<PackReliance> Reliance() const;
  void ForgetReliance();  // before the next checkpoint, and the counts

  // Looks whether an epoch of collection began, and acknowledges it.
  Status PollEpoch();
  // True when the parent offered had a tombstone at the last acknowledgement.
  bool ParentGone() const {
    std::lock_guard lock(mutex_);
    return parent_gone_;
  }
  // Fills in the packs and appends the manifest, with no acknowledgement between. What the packs
  // grow by is filled in, too, with what comes behind the manifest: the rest of its stage and, when
  // it is committed at once, the mark; kTaken leaves it.
  enum class Behind : std::uint8_t { kStage, kCommit, kTaken };
  Status StageManifest(Manifest* manifest, Behind behind);
  // Everything appended is durable, and this writer not broken by a collector, when this is ok. The
  // index is told later.
  Status Commit(bool closed);
  // Everything appended has reached the kernel when this is ok: it survives the process, and from
  // here on nothing takes it back.
  Status Stage();
  // Begins a new pack when this one has so many bytes: collection cannot touch a pack that is being
  // written, so a writer that never ends must let its packs go.
  Status RollOverBeyond(std::uint64_t bytes);
  // Takes back what was appended since the last Commit, as far as that is possible; what was staged
  // stays.
  void Abandon();

  PutCounts counts() const;
  const Id128& pack_id() const { return pack_->pack_id(); }

 private:
  using Packs = std::map<Id128, std::uint64_t>;  // up to which offset each

  ChunkWriter(Store* store, WriterRecord job, Effort effort)
      : store_(store), job_(std::move(job)), effort_(OrElse(effort, store->format().effort)) {}
  // REQUIRES of all these: mutex_ held, or nobody else has this object yet.
  Status BeginWriting();
  Status BeginIn(bool continues);
  Result<std::unique_ptr<PackWriter>> TakePack(const std::set<Id128>& refused);
  Status Introduce(PackWriter* pack) const;
  Status RollOver();
  void Rely(const Id128& pack_id, std::uint64_t up_to);
  void Rely(const ChunkPlace& place);
  bool MayHit(const ChunkPlace& place) const;
  struct PutOptions {
    ChunkForm form;
    const Id128* before = nullptr;
    bool content = true;
  };
  Status PutCounted(ByteSpan raw, const Id128& id, const PutOptions& options,
                    ChunkEncoder* encoder);
  Status PutNew(ByteSpan raw, const Id128& id, const PutOptions& options,
                const EncodeOptions& coding, const EffortRule* delta_rule, ChunkEncoder* encoder);
  Result<bool> NewBasePays(ByteSpan raw, const DeltaBase& base, ChunkEncoder* encoder,
                           Encoded* delta);
  Result<bool> PutDelta(ByteSpan raw, const Id128& id, const PutOptions& options,
                        const EncodeOptions& coding, const EffortRule& rule, ChunkEncoder* encoder,
                        std::optional<Encoded>* full);
  enum class Hit : std::uint8_t { kThere, kOwn, kOwnInFull };
  // kThere: it is ours, with a base that may be relied upon (then it is). kOwnInFull: it is ours as
  // a delta, of which the base may be gone.
  Hit HitOwn(const Id128& id);
  // kThere: the chunk is there, durable (then it is relied upon from here on) or ours. Else it is
  // the caller's to append, and in own_; in full where something of it is that cannot be relied
  // upon, whose place in the index a delta would not take.
  Result<Hit> HitOrOwn(const Id128& id, std::size_t raw_bytes);
  // `base`: of a delta, as found at change `looked_at`. False: it may not be relied upon any more,
  // and nothing was appended.
  Result<bool> AppendChunk(ByteSpan raw, const Id128& id, const Encoded& encoded, bool content,
                           const ChunkPlace* base = nullptr, std::uint64_t looked_at = 0);
  Status Advance(std::size_t bytes);
  Status Acknowledge();
  Status Acknowledge(const CollectState& state);
  Status Substitute();
  Status LookForParent();
  Status StageAck();
  Status CheckNotBroken();
  std::vector<PackReliance> RelianceLocked() const;
  Status Fail(Status status);

  Store* store_;
  const WriterRecord job_;
  Effort effort_;  // of chunks whose form does not say
  std::unique_ptr<PackWriter> pack_;
  ChunkEncoder node_encoder_;
  DeltaGate deltas_;

  mutable std::mutex mutex_;  // guards what follows
  // Chunks in pack_ (or on the way there), not published.
  std::unordered_set<Id128, Id128Hash> own_;
  struct OwnBase {
    ChunkPlace place;
    std::uint64_t looked_at = 0;  // changes_seen_
  };
  std::unordered_map<Id128, OwnBase, Id128Hash> own_bases_;  // of those that are deltas
  Packs hits_;       // deduplicated against, and own packs that are full
  Packs inherited_;  // taken over from parent_
  bool inherited_used_ = false;
  struct Parent {
    std::string series;
    AttemptRef attempt;
    std::int64_t step = 0;
  };
  std::optional<Parent> parent_;
  bool parent_gone_ = false;
  bool began_ = false;
  CollectState seen_;               // as last read
  std::uint64_t changes_seen_ = 0;  // how often it changed
  std::uint64_t acknowledged_epoch_ = 0;
  std::vector<Id128> claims_;  // of that epoch
  std::uint64_t unpolled_bytes_ = 0;
  std::uint64_t start_offset_ = 0;  // of what counts_ counts in pack_
  bool staged_ = false;             // something is that no commit made durable yet
  PutCounts counts_;
  Status failure_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CHUNK_WRITER_H_
