// A simulated file system that knows what is durable: the model under SimWorld.
//
// Every inode has its current bytes (what programs see: the page cache) and its durable bytes (what
// the disk surely has), and the effects in between: each write, and apart from it each change of
// the size. Every directory has current and durable names, and one list holds the name effects
// (create, link, rename, remove) in between. A rename is one effect, whole or absent.
//
//   SyncFile  makes the file's bytes and size durable, not its name.
//   SyncDir   makes names of this directory durable: those made, removed, or renamed INTO it.
//   Crash     answers a disk after power loss: some effects survive, by choice.
//
// Legal subsets: any, but effects on one name survive in order (a surviving one takes the earlier
// ones on its names along). Modes, times and extended attributes are durable at once.
// Thread rule: none of its own; SimWorld's mutex guards it.

#ifndef CKPT_TESTS_SUPPORT_SIM_DISK_H_
#define CKPT_TESTS_SUPPORT_SIM_DISK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/io/env.h"
#include "tests/support/sim_content.h"

namespace ckpt {

// splitmix64 (Steele, Lea, Flood 2014): small, and its whole state is one number to copy.
class SimRng {
 public:
  explicit SimRng(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next();
  std::uint64_t Below(std::uint64_t bound) { return Next() % bound; }
  void Fill(MutableByteSpan out);

 private:
  std::uint64_t state_;
};

// What survives a power loss of all that was not synced.
struct CrashChoice {
  enum class Keep : std::uint8_t {
    kAll,
    kNone,
    kSubset,  // each effect with probability keep_percent, from the seed
    kPrefix,  // the first `prefix` effects, in the order they happened (a journalling file system)
    kMask,    // effect i where mask[i]; false beyond the mask's end
  };
  enum class Tear : std::uint8_t {
    kWhole,   // a surviving write survives whole
    kByte,    // about half of them: only a prefix, cut at any byte
    kSector,  // about half of them: any subset of their 512-byte sectors
    kPage,    // about half of them: any subset of their 4 KiB pages
  };
  // What new blocks show where their write was lost and the size survived. Blocks that were durable
  // before always show their old bytes.
  enum class Fill : std::uint8_t {
    kZeros,
    kGarbage,  // random bytes
    kStale,    // bytes of another file or place: a block used before
  };

  Keep keep = Keep::kSubset;
  Tear tear = Tear::kWhole;
  Fill fill = Fill::kZeros;
  std::uint64_t seed = 0;
  std::uint32_t keep_percent = 50;
  std::size_t prefix = 0;
  std::vector<bool> mask;

  static CrashChoice All() { return Keeping(Keep::kAll); }
  static CrashChoice None() { return Keeping(Keep::kNone); }
  static CrashChoice Keeping(Keep keep) {
    CrashChoice choice;
    choice.keep = keep;
    return choice;
  }
  // Everything, also which kind of choice it is, from the seed.
  static CrashChoice Random(std::uint64_t seed);
};

// A write, or a change of the size (a cut, a growth, blocks reserved), not durable yet.
struct SimFileEffect {
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;
  std::shared_ptr<const Bytes> data;  // null: the size
  std::uint64_t size_bytes = 0;       // the size from here on
  bool cut = false;                   // what was stored beyond it goes
  std::uint64_t allocate_bytes = 0;   // reserved from `offset`
  std::uint64_t punch_bytes = 0;      // given back from `offset`; then nothing else
  Id128 host = {};                    // that made it
  bool closed = false;                // its file was closed there since
};

// Carries one effect out in full.
void ApplySimEffect(const SimFileEffect& effect, SimContent* content);

struct SimInode {
  std::uint64_t number = 0;
  FileInfo info;  // kind, mode, owner, times; the rest is filled in by SimDisk::Info
  std::string link_target;
  std::map<std::string, std::string> attributes;

  SimContent current;
  SimContent durable;
  std::vector<SimFileEffect> effects;
  // A sync failed: `durable` lacks bytes that `current` shows, and no later sync brings them.
  bool diverged = false;

  using Names = std::map<std::string, std::uint64_t, std::less<>>;
  Names names;
  Names durable_names;
  std::uint64_t parent = 0;  // of a directory

  std::uint64_t links = 0;
  std::uint64_t open_files = 0;
  struct Lock {
    std::uint64_t handle;
    std::uint64_t process;
    Id128 host;
  };
  std::vector<Lock> locks;
};

class SimDisk {
 public:
  using InodePtr = std::shared_ptr<SimInode>;

  SimDisk();
  SimDisk(const SimDisk& other);  // deep but for file bytes; nobody has a file open, no locks
  SimDisk& operator=(const SimDisk&) = delete;

  InodePtr root() const { return inodes_.at(kRoot); }
  // Null when there is no such name.
  InodePtr Lookup(const SimInode& dir, std::string_view name) const;
  FileInfo Info(const SimInode& inode) const;
  // A file's bytes as `acting_host` sees them.
  SimContent Seen(const SimInode& file) const;

  // These answer an errno, 0 when done. Times are those of `now_ns`.
  int Create(SimInode* dir, std::string_view name, const FileInfo& info, std::string_view target,
             InodePtr* made);
  int Link(const InodePtr& inode, SimInode* dir, std::string_view name);
  int Remove(SimInode* dir, std::string_view name, bool directory);
  int Rename(SimInode* from_dir, std::string_view from, SimInode* to_dir, std::string_view to);
  // On ENOSPC the part that fits is written.
  int Write(SimInode* file, std::uint64_t offset, ByteSpan data);
  int Allocate(SimInode* file, std::uint64_t offset, std::uint64_t length_bytes);
  void Punch(SimInode* file, std::uint64_t offset, std::uint64_t length_bytes);
  void Truncate(SimInode* file, std::uint64_t size_bytes);

  void SyncFile(SimInode* file);
  void CloseFile(SimInode* file, const Id128& host);
  // A sync that failed as Linux's do: some of the writes are on disk, the others never will be,
  // reads still show them all, and the next sync succeeds.
  void FailSyncFile(SimInode* file, SimRng* rng);
  void SyncDir(SimInode* dir);
  // What is changed between the first two is not made durable by any sync until the third.
  void BeginKeepingBack() { kept_back_first_ = next_sequence_, kept_back_end_ = UINT64_MAX; }
  void EndKeepingBack() { kept_back_end_ = next_sequence_; }
  void ForgetKeptBack() { kept_back_first_ = kept_back_end_ = 0; }
  // The page cache forgets: reads show what the disk has and what is still to be written.
  void DropCaches();

  // Effects a crash chooses from.
  std::size_t effect_count() const;
  std::unique_ptr<SimDisk> Crash(const CrashChoice& choice) const;

  std::uint64_t used_bytes() const;
  // Bytes of space, each inode costing one block; nullopt: without end.
  std::optional<std::uint64_t> capacity_bytes;
  // As on a network file system: bytes that a host wrote are seen by others once it synced or
  // closed the file, and it syncs its own only. Names are seen at once.
  bool separate_caches = false;
  Id128 acting_host;  // of the operation under way
  std::uint64_t device = 0x801;
  std::uint64_t next_inode = 1000;
  std::int64_t now_ns = 0;

 private:
  static constexpr std::uint64_t kRoot = 2;

  struct NameEffect {
    std::uint64_t sequence;
    std::uint64_t synced_by;  // the directory whose sync makes it durable
    struct Change {
      std::uint64_t dir;
      std::string name;
      std::uint64_t inode;  // 0: removed
    };
    std::vector<Change> changes;
  };
  std::uint64_t free_blocks() const;
  void Touch(SimInode* inode) { inode->info.mtime_ns = inode->info.ctime_ns = now_ns; }
  void SetName(SimInode* dir, std::string_view name, const InodePtr& inode);
  void DropName(SimInode* dir, std::string_view name);
  void AddEffect(SimInode* file, SimFileEffect effect);
  void AddSizeEffect(SimInode* file, std::uint64_t size_bytes, bool cut);
  void AddNameEffect(std::uint64_t synced_by, std::vector<NameEffect::Change> changes);
  bool IsInside(const SimInode& dir, const SimInode& ancestor) const;
  // Adds to `chosen` (one flag an effect of name_effects_) what the chosen ones need before them.
  void CloseOverNames(std::vector<bool>* chosen) const;
  void MakeNamesDurable(const std::vector<bool>& chosen);
  // Recounts links from the current names; forgets inodes that no name, open file or effect needs.
  void Sweep();

  std::map<std::uint64_t, InodePtr> inodes_;
  std::vector<NameEffect> name_effects_;
  std::uint64_t next_sequence_ = 1;
  std::uint64_t kept_back_first_ = 0, kept_back_end_ = 0;
  bool IsOthers(const SimFileEffect& effect) const {
    return separate_caches && effect.host != acting_host;
  }
  bool IsKeptBack(std::uint64_t sequence) const {
    return sequence >= kept_back_first_ && sequence < kept_back_end_;
  }
  std::size_t sweep_above_ = 64;  // inodes
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_SIM_DISK_H_
