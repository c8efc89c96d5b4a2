// Store: an open store. Owns its directories, its parameters, the index and the view of all packs.
//
//   CKPT_ASSIGN_OR_RETURN(auto store, Store::Open(PosixEnv(), "run.ckpt", options));
//   CKPT_RETURN_IF_ERROR(store->Refresh());
//
// Opening is recovery (I3): every pack is read from where the index knew it, whatever is whole is
// applied; there is no other recovery. What could be published to the index is; the rest (news
// while somebody else publishes, everything when the index cannot be used) is kept in an overlay in
// memory. Unmarked tails are only ever in the overlay (I4).
// Thread rule: all const methods, FindDurable and packs() by any thread; Refresh by one at a time,
// beside the others.

#ifndef CKPT_STORE_ENGINE_STORE_H_
#define CKPT_STORE_ENGINE_STORE_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "store/engine/format_file.h"
#include "store/engine/pack_set.h"
#include "store/engine/record_index.h"
#include "store/index/index.h"
#include "store/io/env.h"
#include "store/manifest/manifest.h"
#include "store/pack/reader.h"
#include "store/pack/writer.h"

namespace ckpt {

struct Progress {
  const char* phase = "";
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;  // 0: not known
  std::uint64_t done_items = 0;
  std::uint64_t total_items = 0;
};

struct OpenStoreOptions {
  enum class Mode { kRead, kWrite, kCreate, kCreateNew };
  Mode mode = Mode::kRead;
  int threads = 0;           // 0: as many as cores
  bool trust_owner = false;  // another user's store, or one everybody may write to
  bool group_shared = false;
  bool verify = true;     // decompress and compare each chunk before it is written
  bool deltas = true;     // a chunk may be stored as its difference from the one before
  std::string index_dir;  // empty: $CKPT_INDEX_DIR, else chosen (docs/design.md)
  // For tables of chunk ids, of commands that only look: more ids than fit are taken in several
  // passes (id_passes.h).
  std::uint64_t table_bytes = 320u << 20;
  bool use_index = true;  // false: always in memory (tests, simulated worlds)
  // With use_index false: as if it were the one on disk.
  std::shared_ptr<Index> index;
  StoreFormat format;                             // at creation: parameters; the uuid is made
  std::function<bool(const Progress&)> progress;  // false cancels
  std::function<void(const std::string&)> notice;
};

// A place below a mark where no record can be read.
struct UnreadPlace {
  std::uint64_t offset = 0;
  std::string what;
  bool manifest = false;  // one was there, or may have been
};

// When and where an index saw all the packs it has read: the epoch of collection, and the folder.
struct IndexWitness {
  bool known = false;
  std::uint64_t epoch = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool SamePlace(const IndexWitness& other) const {
    return known && other.known && device == other.device && inode == other.inode;
  }
};

// What the last look at a pack showed.
struct PackState {
  std::uint64_t file_bytes = 0;
  std::uint64_t durable_end = 0;
  std::uint64_t end = 0;
  std::optional<SyncMark> mark;  // as far as the pack was read in this process
  std::uint64_t relies_on = 0;   // what we know lies in the index up to here
  bool reserve = false;
  bool broken = false;  // its header cannot be read
  std::vector<DamagedRange> damage;
  std::vector<UnreadPlace> unread;  // of what was read in this process
};

// The rank whose lock is the claim of a series by a program that is run; no writer has it.
inline constexpr std::uint32_t kClaimRank = 0xffffffff;

struct LockState {
  bool held = false;
  std::int64_t pid = 0;  // of the process on this host that holds it; 0: none is seen
};

class Store {
 public:
  // NotFound: no store there (and the mode does not create). PermissionDenied: owner or mode.
  static Result<std::unique_ptr<Store>> Open(Env* env, const std::string& path,
                                             OpenStoreOptions options);
  ~Store();

  // Looks at every pack for news. Cheap when there is none: one stat a pack.
  Status Refresh();

  // ---- what is known -------------------------------------------------------------------------
  // Where a durable chunk is that may be relied upon: its pack is present, still the one the index
  // read, the place is not barred by a damage record and the pack is not hollow. Nullopt: store it
  // anew. *known (may be null): a place of it is known, whether that counts or not.
  std::optional<ChunkPlace> FindDurable(const Id128& id, bool* known = nullptr);
  // The same in hollow packs only: the chunk was read just now and is there.
  std::optional<ChunkPlace> FindInHollow(const Id128& id);
  // Records by key prefix, index and overlay merged, in byte order of the keys; rows of the index
  // whose pack is gone do not count (a reader cannot take them out of it). When the index
  // turns out to be damaged it is dropped, when it was made anew or told of collected packs
  // meanwhile the packs are looked at once more, and the scan begins again: fn may see rows a
  // second time, and index_losses() has grown.
  Status ScanRecords(ByteSpan prefix, bool reverse, const Index::RecordVisitor& fn);
  // The packs that stand in for `packs` today: those that are present, and for a missing one those
  // that `moved` records name. Corruption names a pack that is missing for good.
  Result<std::vector<PackReliance>> ResolvePacks(const std::vector<PackReliance>& packs);
  std::map<Id128, PackState> PackStates();
  // Where records cannot be read, as "packs/... at N: why": checkpoints may be missing from lists.
  std::vector<std::string> UnreadPlaces();
  // Packs that this host's index has read and that are gone, or end before what was durable in them
  // then, and that no collection moved. Their checkpoints stay listed: they read as damaged.
  std::set<Id128> LostPacks() const;
  bool IsLost(const Id128& pack_id) const;
  bool HasDamage(const Id128& pack_id) const;  // a damage record names a place in it
  bool IsBarred(const ChunkPlace& place) const;
  std::size_t DamagedPlaces() const;  // of the last Refresh
  // Chunks of this pack that nobody needed were given back (docs/collection.md, "Hollow packs").
  bool IsHollow(const Id128& pack_id) const;
  // The full manifest of a checkpoint. Collection may have copied it elsewhere since the row was
  // read: then the store is refreshed and the copy is read, so callers need not look again.
  // NotFound: the checkpoint is no more.
  Result<Manifest> ReadManifest(const CheckpointRow& row);
  // What the row itself tells, when the manifest cannot be read: all but its packs and extensions.
  Result<Manifest> ReadSummary(const CheckpointRow& row);

  // ---- for writers -------------------------------------------------------------------------
  // What a writer of this process made durable, so that nothing needs to be read back.
  Status Publish(const Id128& pack_id, PackContents news);
  // The same, off the way to an acknowledgement: when this process next asks what is known, at
  // PublishPending (any thread; cheap when nothing is), or when the store is closed.
  void PublishLater(const Id128& pack_id, PackContents news);
  void PublishPending();
  // Bulk rebuild of the index from sorted directories. Answers the chunks in it.
  Result<IndexStats> Reindex();
  void Forget(const Id128& pack_id);  // unlinked or given up

  // Takes the lock of (series, rank), made when missing. Busy after `wait_ms` (-1: never).
  Result<std::unique_ptr<File>> LockSeries(const std::string& series, std::uint32_t rank,
                                           std::int64_t wait_ms);
  // Takes the series for a program that is run: a second one is refused (Busy). Saves into the
  // series are not hindered.
  Result<std::unique_ptr<File>> ClaimSeries(const std::string& series, std::int64_t wait_ms);
  // Whether somebody holds the lock of (series, rank), or with kClaimRank the claim. Takes nothing.
  Result<LockState> LookAtSeriesLock(const std::string& series, std::uint32_t rank);
  Result<std::unique_ptr<File>> LockCollector(std::int64_t wait_ms);

  Env* env() const { return env_; }
  const std::string& path() const { return path_; }
  const StoreFormat& format() const { return format_; }
  const OpenStoreOptions& options() const { return options_; }
  Dir* root() const { return root_.get(); }
  Dir* packs_dir() const { return packs_dir_.get(); }
  PackSet* packs() { return &pack_set_; }
  bool created() const { return created_; }
  bool format_lost() const { return format_lost_; }  // the file is missing or damaged
  bool writable() const { return options_.mode != OpenStoreOptions::Mode::kRead; }
  int threads() const;
  std::uint32_t file_permissions() const;
  // NULL when there is none that may be used.
  std::shared_ptr<Index> index() const;
  // Of the index, if there is one: those of all packs. 0: not known.
  std::uint64_t ChunksExpected();
  std::uint64_t index_losses() const { return index_losses_; }
  void Notice(const std::string& message) const {
    if (options_.notice) options_.notice(message);
  }
  // Cancelled when the caller's callback says so.
  Status Report(const Progress& progress) const;

 private:
  Store(Env* env, std::string path, OpenStoreOptions options);
  // store_create.cc
  Status CreateUnlessThere();
  Result<std::unique_ptr<File>> LockCreation();
  Status Create();
  Result<bool> HasFormat() const;
  std::uint32_t folder_permissions() const;
  Status SyncIfYoung();
  Status CheckAccess();
  Status CheckAccessBelow();
  Status CheckWayToIndex(const std::string& path);
  Status ReadFormat();
  Result<StoreFormat> ReadFormatFile();
  Result<Id128> UuidOfPacks() const;
  Status WithoutFormat() const;
  void OpenIndex();
  void WithoutIndex(const Status& why);
  Status CheckOurs(const std::string& folder);
  Result<std::string> IndexPath();
  static Result<Bytes> ReadDecoded(const PackReader& reader, std::uint64_t offset);
  Status RefreshPacks();
  void LoadCoverage();
  Status RefreshByCoverage();
  Status RefreshListed(std::set<Id128>* present);
  Result<bool> LookThroughPacks(std::set<Id128>* present);
  // store_lost.cc
  Status LoadWitness();
  Result<IndexWitness> WitnessNow(bool ended);
  bool SawItHere(const IndexWitness& now, const Id128& pack_id) const;
  std::set<Id128> Unexplained(const std::set<Id128>& present);
  Status FindLost(const IndexWitness& before, std::set<Id128>* present);
  Status RememberLost(const IndexWitness& before, const std::set<Id128>& present,
                      const std::set<Id128>& lost);
  bool IsCutShort(const PackCoverage& covered, std::uint64_t file_bytes);
  void TellOfLosses();
  bool IsKnown(const PackReader& reader, std::uint64_t file_bytes, PackCoverage* covered,
               std::uint64_t* told);
  // anew: everything in it is put into the index again, whatever that has of it.
  Status RefreshPack(const Id128& pack_id, bool anew = false);
  void ForgetVanished(const std::set<Id128>& present);
  std::set<Id128> HoldersOfCopies(const std::set<Id128>& lost);
  bool ReadAnew(const Id128& pack_id);
  bool HasDurableRow(ByteSpan key);
  bool IsPresent(const Id128& pack_id) const;
  bool IsCovered(const Id128& pack_id) const;  // by the index, at the last look
  Result<Manifest> ReadManifestAt(const CheckpointRow& row);
  Result<std::optional<CheckpointRow>> FindRow(const CheckpointRow& old);
  Result<std::vector<PackReliance>> ResolveKnown(const std::vector<PackReliance>& packs);
  Status DropIndex();
  Result<IndexStats> RebuildIndex();
  Status KeepOverlay(const Id128& pack_id, std::vector<IndexRecord> records,
                     std::vector<ChunkEntry> chunks);
  Result<std::vector<IndexRecord>> ReadIndexRecords(const PackReader& reader,
                                                    const std::vector<RecordEntry>& entries,
                                                    bool staged,
                                                    std::vector<UnreadPlace>* unread = nullptr);
  Result<std::unique_ptr<File>> LockFile(const std::string& name, std::int64_t wait_ms,
                                         const std::string& what);
  Status PublishNow(const Id128& pack_id, PackContents news);
  bool PackMatchesIndex(const Id128& pack_id);
  std::optional<ChunkPlace> FindPlace(const Id128& id, bool hollow, bool* known);

  Env* env_;
  std::string path_;
  OpenStoreOptions options_;
  StoreFormat format_;
  bool created_ = false;
  std::string no_index_because_;  // of an index that cannot be opened; set by Open
  bool format_lost_ = false;
  std::unique_ptr<Dir> root_;
  std::unique_ptr<Dir> packs_dir_;
  PackSet pack_set_;
  std::atomic<std::uint64_t> index_losses_{0};
  int rescans_ = 0;                                 // under way, one in another; refresh_mutex_
  std::atomic<std::uint64_t> index_generation_{0};  // that coverage_ is of

  std::recursive_mutex refresh_mutex_;  // one Refresh or Publish at a time
  std::mutex pending_mutex_;            // guards pending_
  std::atomic<bool> has_pending_{false};
  std::vector<std::pair<Id128, PackContents>> pending_;

  mutable std::shared_mutex mutex_;  // guards what follows
  std::shared_ptr<Index> index_;
  std::unique_ptr<Index> overlay_;
  std::map<Id128, PackState> states_;
  std::map<Id128, PackCoverage> coverage_;            // the index's, as last read
  std::map<Id128, bool> matches_;                     // packs compared with the index's memory (I4)
  std::set<std::pair<Id128, std::uint64_t>> barred_;  // places with damage records
  std::set<Id128> hollow_;
  IndexWitness witness_;
  std::map<Id128, IndexWitness> marked_lost_;
  std::set<Id128> lost_;        // gone
  std::set<Id128> cut_;         // there, and too short
  std::set<Id128> watched_;     // packs there when the index was last told so
  std::set<std::string> told_;  // notices about losses
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_STORE_H_
