// An in-memory world for crash and fault tests: an Env whose disk (sim_disk.h) knows what is
// durable.
//
//   SimWorld world(seed);
//   world.MakeDir("/store", 0700);
//   RunScript(&world);                                   // count its operations once
//   for (n = 0; n <= operations; ++n) {
//     SimWorld w(seed);
//     w.set_stop_after(n);                               // the n+1st fails: the process is dead
//     RunScript(&w);
//     auto killed = w.KillProcess();                     // the page cache survived
//     auto after = w.Crash(CrashChoice::Random(n));      // power loss: some effects survived
//   }
//
// A SimWorld is its own first process; NewProcess starts others, on this host or another. Locks
// belong to the open File as in the real world, and go when it is closed or its process killed.
// Operations are counted per process, from 1; those that change the disk or sync it count.
// Not modelled: permission checks (see set_read_only), devices and FIFOs, name length in bytes of a
// path, relative paths (taken from the root).
// Thread rule: everything under one mutex; any thread may call anything. Worlds are independent.

#ifndef CKPT_TESTS_SUPPORT_SIM_WORLD_H_
#define CKPT_TESTS_SUPPORT_SIM_WORLD_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/io/env.h"
#include "tests/support/sim_disk.h"

namespace ckpt {

// Kinds of operations, for counting and faults.
enum class SimOp : std::uint8_t {
  kAny,  // any of those that count
  kWrite,
  kSync,  // of a file
  kTruncate,
  kAllocate,
  kPunch,
  kCreate,  // a file, by OpenFile
  kMakeDir,
  kRemove,  // a file or a directory
  kRename,
  kLink,  // symbolic or hard
  kSyncDir,
  kAttributes,
  kRead,  // not counted as kAny
  kOpen,  // of what exists; not counted as kAny
  kLock,  // not counted as kAny
  kCount,
};

struct SimShared;  // the disk, its mutex and the processes

// Decides who goes on: asked before every call of a file, directory or process, with nothing
// locked (sim_schedule.h).
class SimTurns {
 public:
  virtual ~SimTurns() = default;
  virtual void BeforeCall() = 0;
  virtual void AfterSleep() = 0;  // the clock has jumped; the caller polls for something
};

// What one process is told that is not true: for tests of tests, which must find it. Locks are
// those of files in folders named "packs".
struct SimLies {
  bool others_locks_unseen = false;  // nobody else holds any
  // Answered at once, taken only before the process's next write.
  bool locks_taken_late = false;
  // As POSIX's process locks: closing any file drops the process's locks of it.
  bool locks_dropped_by_close = false;
  // Changes what was read.
  std::function<void(const std::string& path, std::uint64_t offset, MutableByteSpan read)> reads =
      {};
};

// Every call that passes a gate: the process's number, its kind and what it is.
using SimTrace = std::function<void(std::uint64_t process, SimOp kind, const std::string& what)>;

class SimProcess : public Env {
 public:
  ~SimProcess() override;

  Result<std::unique_ptr<Dir>> OpenDir(const std::string& path) override;
  Status MakeDir(const std::string& path, std::uint32_t permissions) override;
  void Random(MutableByteSpan out) override;
  std::int64_t RealtimeNs() override;
  std::int64_t MonotonicNs() override;
  void SleepMs(std::int64_t ms) override;  // the virtual clock jumps
  Id128 HostId() override;
  std::string HostName() override;
  std::uint32_t UserId() override;

  // Operations tried so far, failed ones included.
  std::uint64_t op_count(SimOp kind = SimOp::kAny) const;
  // Operation n + 1, and everything later, fails with "simulated: process is dead". When it is a
  // write, its first `torn_bytes` bytes are written all the same.
  void set_stop_after(std::uint64_t n, std::uint64_t torn_bytes = 0);
  // The n-th operation of this kind (n counts as op_count does) fails with `error`; all from then
  // on when `sticky`. A failed write leaves any prefix written. A failed file sync loses what it
  // could not write, and the next one succeeds, as on Linux.
  void FailOp(std::uint64_t n, int error, bool sticky = false, SimOp kind = SimOp::kAny);
  void ClearFaults();
  void set_lies(SimLies lies);
  std::uint64_t id() const { return id_; }
  // The process dies now: its locks go, all it does later fails, what it wrote stays.
  void Kill();
  bool dead() const;

  void set_host(const Id128& id, std::string name);
  void set_user_id(std::uint32_t uid);
  // Every change is refused with this errno (EROFS, EACCES); 0: allowed again.
  void set_read_only(int error);

 protected:
  friend class SimWorld;
  SimProcess(std::shared_ptr<SimShared> shared, std::uint64_t id);

  std::shared_ptr<SimShared> shared_;
  std::uint64_t id_;
};

// Which locks are seen by whom.
enum class SimLocks : std::uint8_t {
  kEverywhere,
  kPerHost,      // as Lustre's localflock: other hosts are not seen
  kUnsupported,  // as Lustre's noflock
};

class SimWorld final : public SimProcess {
 public:
  explicit SimWorld(std::uint64_t seed = 1);

  // Another process, on the same host; see set_host for another.
  std::unique_ptr<SimProcess> NewProcess();

  // The world after every process was killed: no locks, nothing open, all that was written is there
  // and still unsynced where it was. This world stays as it is. Counters begin anew.
  std::unique_ptr<SimWorld> KillProcess() const;
  // The world after power loss.
  std::unique_ptr<SimWorld> Crash(const CrashChoice& choice) const;
  // Unsynced effects a crash chooses from.
  std::size_t effect_count() const;
  void DropCaches();

  void set_capacity_bytes(std::uint64_t bytes);
  void clear_capacity();
  std::uint64_t used_bytes() const;
  void set_locks(SimLocks locks);
  void set_network_file_system(bool network);
  // What a host writes, others see when it has synced or closed the file.
  void set_separate_caches(bool separate);
  void set_device(std::uint64_t device);
  void set_next_inode(std::uint64_t number);
  void AdvanceClock(std::int64_t ns);
  // From now on random numbers follow from `seed`.
  void Reseed(std::uint64_t seed);

  // Nothing was refused to this process because it, or the power, is gone.
  bool alive() const;
  // Changes of the disk and syncs that all processes made or tried.
  std::uint64_t change_count() const;
  // Every process is dead from change n + 1 on; `at_once`: from whatever follows change n.
  void LosePowerAfter(std::uint64_t n, bool at_once = false);
  // The sync that is change n, counted from 1, answers that it is done and does nothing.
  void LeaveOutSync(std::uint64_t n);
  // No sync makes change n durable before change `until` was made: as if the two had been made in
  // the other order. What programs read is not changed by it.
  void KeepBack(std::uint64_t n, std::uint64_t until);

  // Not owned; null: as the threads come.
  void set_turns(SimTurns* turns);
  void set_trace(SimTrace trace);

 private:
  explicit SimWorld(std::shared_ptr<SimShared> shared);
  std::unique_ptr<SimWorld> WithDisk(std::unique_ptr<SimDisk> disk, std::uint64_t salt) const;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_SIM_WORLD_H_
