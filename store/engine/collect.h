// Collector: returns the space of what no checkpoint needs, by whole packs. The states, their names
// and why nothing is lost are docs/collection.md's; one function here is one transition there.
//
//   CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store, options));   // locks/collect
//   CKPT_RETURN_IF_ERROR(collector->Run(&result));
//
//   Survey --(T0, roots, what each pack holds of use)--> Choose --(list)--> Condemn --> AwaitAcks
//     --> SecondLook --> Copy --> Decide --> Unlink --> Finish --> Choose ...
//                    --> MarkHollow --> Punch --> Choose ...      where there is no room to copy
//
// MarkHollow and Punch are in collect_punch.cc. Keeps I1 and I2 (nothing a root needs is unlinked
// before its copy is durable), I5 (doubt means alive), I7 and I12. Memory: 27 to 54 bytes for each
// distinct chunk in use (a table of ids), 21 to 43 for each node of the trees, a few hundred bytes
// for each checkpoint, the table of one pack at a time, and 16 bytes for each chunk of the packs
// that are removed. A dry run over more chunks than OpenStoreOptions::table_bytes hold takes no
// more for these where there are no deltas (SurveyInPasses). Thread rule: one thread; writers and
// readers of any process go on beside it.

#ifndef CKPT_STORE_ENGINE_COLLECT_H_
#define CKPT_STORE_ENGINE_COLLECT_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/engine/collect_copy.h"
#include "store/engine/collect_mark.h"
#include "store/engine/collect_scan.h"
#include "store/engine/collect_state.h"
#include "store/engine/remove.h"
#include "store/engine/store.h"

namespace ckpt {

struct CollectOptions {
  bool dry_run = false;          // takes no lock, writes nothing
  std::int64_t wait_ms = 10000;  // for the lock, and for writers to acknowledge
  bool lock_at_once = false;     // or Busy: does not wait for the lock
  double live_share = 0.75;      // packs with a smaller share of live bytes are rewritten
  // Writers of the host of this name (as their manifests have it, or its id in hexadecimal digits)
  // are dead: a person's word for it. Writers whose lock is seen held are never believed dead.
  std::string break_host_name;
  // Called while writers' acknowledgements are awaited: a process that collects beside a save of
  // its own acknowledges here. May be empty.
  std::function<Status()> while_waiting;
};

// A pack that was damaged and is out of the way, in the store's folder "quarantine".
struct AsidePack {
  Id128 id;
  std::string file;  // its name there
  std::uint64_t file_bytes = 0;
  std::uint64_t kept_chunks = 0;
  std::uint64_t kept_records = 0;
  std::uint64_t lost_chunks = 0;  // no copy of which is sound
};

struct Collected {
  std::uint64_t freed_bytes = 0;
  std::uint64_t rewritten_bytes = 0;
  std::uint64_t packs_removed = 0;
  std::uint64_t packs_waiting = 0;
};

class Collector {
 public:
  // Busy: another collector, or a freeze. Unsupported: no locks on this file system.
  static Result<std::unique_ptr<Collector>> Open(Store* store, CollectOptions options);
  ~Collector();

  // Resume, an epoch for dead packs, epochs for sparse ones while there are any. `planned`: in a
  // dry run, what retention would drop.
  Status Run(const std::vector<Removal>& planned, Collected* result);

  // One epoch that gets `damaged` packs out of the way: whatever reads true in them is copied,
  // moved records are made durable, then their files are moved into "quarantine". `gone`: packs
  // that are not there at all; what can be found elsewhere of what they held is named in their
  // place. Nothing is deleted. Busy: a live writer writes into one of them, or relies on it, or
  // does not acknowledge. (docs/collection.md, "Setting packs aside"; collect_aside.cc.)
  Status SetAside(const std::set<Id128>& damaged, const std::set<Id128>& gone,
                  std::vector<AsidePack>* aside);

  // ---- the steps of Run, for tests that interleave them with writers ---------------------------
  // kHollow: nothing is copied nor unlinked; the blocks of dead chunks are given back.
  // kAside: what is damaged in the packs does not hinder, and nothing is unlinked.
  enum class Kind { kDead, kSparse, kHollow, kAside };
  Status Resume();
  Status Survey(const std::vector<Removal>& planned);
  Result<bool> Choose(Kind kind);  // false: nothing worth an epoch
  Status Condemn();
  Result<bool> AwaitAcks();  // false: gave up; the list stays for the next run
  Status SecondLook();
  Status Copy();
  Status Decide();
  Status Unlink();
  Status Finish();
  // After SecondLook, instead of Copy ... Finish, when Kind::kHollow was chosen.
  Status MarkHollow();
  Status Punch();
  const std::set<Id128>& list() const { return list_; }
  const Collected& collected() const { return collected_; }

 private:
  // What a pack holds that is of use, at the time of Survey.
  struct Usage {
    bool candidate = false;
    std::uint64_t file_bytes = 0;
    std::uint64_t stored_bytes = 0;  // less in a hollow pack
    std::uint64_t live_bytes = 0;    // as a copy of it would take
    std::uint64_t held_bytes = 0;    // the same with chunks whose home is elsewhere
    std::uint64_t roots = 0;
  };

  Collector(Store* store, CollectOptions options) : store_(store), options_(std::move(options)) {}
  Status RunEpochs();
  Status RunEpoch();
  void Predict();
  Status FindPacks(std::set<Id128>* dead);
  void ExcludeBarred();
  Status FindCandidates();
  Status SurveyAtOnce();
  Result<bool> SurveyInPasses();
  Status MarkRange(const std::set<Id128>& dead);
  void ByUse(std::vector<Id128>* order);
  void CountRoots();
  Status MeasureUse();
  Status FindHomes(const std::vector<Id128>& order, bool* copies);
  enum class Form : std::uint8_t { kFull, kDelta, kDeltaWithoutBase };
  Status FindHomesOf(Form form, const std::vector<Id128>& order, bool* copies, bool* more);
  Status NeedBases();
  Status NeedBasesOf(const Id128& pack_id, bool tail, bool* deltas, bool* new_bases);
  Status AssignHomes(const Id128& pack_id, bool tail, Form form, bool* copies, bool* more);
  Result<bool> HasBase(const ChunkEntry& delta);
  std::uint64_t CopyBytes(const std::set<Id128>& list) const;
  void ChooseDead();
  Status ChooseSparse();
  Status ChooseHollow();
  Status GiveUpCopy();
  Status MakeRoom();
  Result<std::uint64_t> PunchableBytes(const Id128& pack_id, const Usage& usage);
  Status PunchPack(const Id128& pack_id);
  Status CheckOurs() const;
  Status GiveUpList();
  void RaiseEpoch();
  Status MendState();
  bool StaysAt(std::uint32_t home) const;
  std::uint32_t OwnHome();
  bool IsOwnHome(std::uint32_t home) const;
  void AbandonOwn();
  bool IsGivenBack(const PackReader& reader, const ChunkEntry& entry) const;
  Result<std::vector<ChunkEntry>> EntriesToCopy(const PackReader& reader);
  Status CopyChunksOf(const Id128& pack_id, std::uint64_t expected_bytes);
  Result<std::optional<ChunkEntry>> EntryAt(const Id128& pack_id, const Id128& chunk);
  Status LeadToHome(const Id128& from, const Id128& chunk, std::uint32_t home);
  void LeadToBase(const Id128& from, const Id128& base);
  void FinishLeads();
  Result<bool> CopyFromHome(const Id128& chunk, const Id128& met_in, std::uint32_t* home);
  std::set<StepName> ReadTombstones() const;
  Result<std::vector<Tombstone>> LeftTombstones() const;
  Status CommitTombstones(const std::vector<Tombstone>& left);
  Status FindAlive(std::set<Id128>* dead);
  Status SurveyAside(const std::set<Id128>& damaged, const std::set<Id128>& gone);
  void FindGone(const std::set<Id128>& known);
  Status AwaitForAside();
  Status CopyAside(std::vector<AsidePack>* aside);
  Status CopySound(AsidePack* pack);
  Status FindElsewhere();
  Status FindBaseElsewhere(const ChunkEntry& delta, std::map<Id128, std::uint64_t>* to);
  Status FindForGone(const Id128& gone);
  Status MoveFilesAside(std::vector<AsidePack>* aside);
  Result<std::vector<OwnPacks::Record>> BuildRecords();
  Status RemoveListed(bool broken);
  Status RemoveNeverBegun();
  Result<std::vector<ChunkEntry>> EntriesOf(const Id128& pack_id, bool tail) const;
  bool IsDead(const Id128& pack_id) const { return !alive_.contains(pack_id); }

  Store* const store_;
  const CollectOptions options_;
  std::unique_ptr<File> lock_;

  std::optional<PackScan> scan_;
  std::optional<Marker> marker_;
  std::set<Id128> alive_;  // at the time of Survey, broken ones not among them
  std::set<Id128> to_break_;
  std::map<Id128, Usage> usage_;
  // Where a chunk in use is: a value of marker_->live() is 0 or a number of a pack, its place in
  // homes_ plus one; with kInTail, in the pack's unmarked tail; with kAsDelta, not in full there.
  static constexpr std::uint32_t kInTail = 1u << 31;
  static constexpr std::uint32_t kAsDelta = 1u << 30;
  static constexpr std::uint32_t kHomeNumber = kAsDelta - 1;
  static constexpr std::size_t kListMax = kCollectPacksMax / 2;
  std::vector<Id128> homes_;

  // Of the epoch under way.
  CollectState state_;  // as we wrote it
  Kind kind_ = Kind::kDead;
  std::set<Id128> list_;
  std::set<Id128> broken_;
  std::unique_ptr<OwnPacks> own_;
  std::map<Id128, std::uint32_t> own_homes_;            // numbers of the packs copied into
  std::map<Id128, std::map<Id128, std::uint64_t>> to_;  // targets of each pack of the list
  std::map<Id128, std::set<std::uint32_t>> leads_;      // the same as numbers, while they change
  std::vector<DamageRecord> found_damage_;
  std::set<Id128> gone_;                // kAside: packs that are not there
  std::map<Id128, DamageRecord> lost_;  // kAside: by chunk
  IdSet kept_;                          // kAside: chunks that were copied
  IdSet kept_in_full_;                  // of these
  IdSet kept_deltas_;                   // the others, each with each of its bases (DeltaKey)
  std::vector<Id128> dropped_chunks_;

  bool without_base_ = false;             // a delta was met whose base is not there
  std::map<Id128, std::uint64_t> plain_;  // packs without deltas and tail, with so many bytes

  std::optional<IdPasses> passes_;
  bool in_passes_ = false;       // what is live is not known chunk by chunk (a dry run)
  bool no_room_ = false;         // nothing could be chosen, for lack of room
  bool sparse_left_ = false;     // and there are packs that are mostly garbage
  bool made_room_ = false;       // MakeRoom did what it can
  std::uint64_t punchable_ = 0;  // what ChooseHollow expects
  Collected collected_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_COLLECT_H_
