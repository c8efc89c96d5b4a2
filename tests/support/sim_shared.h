// What SimWorld's files share; private to tests/support/sim_*. Everything here is guarded by
// SimShared::mutex.

#ifndef CKPT_TESTS_SUPPORT_SIM_SHARED_H_
#define CKPT_TESTS_SUPPORT_SIM_SHARED_H_

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/sim_world.h"

namespace ckpt {

struct SimShared;

// Holds the world's mutex for one call, which begins when the schedule, if there is one, says so.
class SimTurn {
 public:
  explicit SimTurn(SimShared* shared);
  ~SimTurn();
  SimTurn(const SimTurn&) = delete;
  SimTurn& operator=(const SimTurn&) = delete;

 private:
  SimShared* const shared_;
};

struct SimFault {
  SimOp kind;
  std::uint64_t n;
  int error;
  bool sticky;
};

struct SimProcessState {
  Id128 host;
  std::string host_name = "sim-host";
  std::uint32_t uid = 1000;
  int read_only_error = 0;
  bool dead = false;
  std::uint64_t stop_after = UINT64_MAX;
  std::uint64_t torn_bytes = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(SimOp::kCount)> counts{};
  std::vector<SimFault> faults;
  SimLies lies;
  std::vector<std::pair<std::weak_ptr<SimInode>, std::uint64_t>> late_locks;  // and their handles
};

// How an operation goes on: `status` when it fails, and then whether it was a fault of the disk
// (which may do a part of the work) or the process's end.
struct SimGate {
  Status status;
  bool fault = false;
  bool died_now = false;
};

struct SimShared {
  explicit SimShared(std::uint64_t seed) : rng(seed) {}

  // REQUIRES of all that follow: `mutex` held.
  std::int64_t Tick();
  // Counts an operation of `process` and answers whether it may happen.
  SimGate Begin(std::uint64_t process, SimOp kind, const std::string& what);
  // Begin, where a failure does nothing more.
  Status Gate(std::uint64_t process, SimOp kind, const std::string& what) {
    return Begin(process, kind, what).status;
  }
  // Makes what `inode` has durable, unless LeaveOutSync named this one.
  void Sync(const SimDisk::InodePtr& inode);
  SimProcessState& Process(std::uint64_t id) { return *processes.at(id); }
  void ReleaseLocks(std::uint64_t process);
  // Follows links. Answers an errno.
  int Resolve(const std::string& path, int depth, SimDisk::InodePtr* found);

  mutable std::mutex mutex;
  std::unique_ptr<SimDisk> disk = std::make_unique<SimDisk>();
  SimRng rng;
  std::map<std::uint64_t, std::unique_ptr<SimProcessState>> processes;
  std::vector<std::weak_ptr<SimInode>> locked;  // inodes that may have locks
  std::uint64_t next_handle = 1;
  std::uint64_t next_process = 1;
  SimLocks locks = SimLocks::kEverywhere;
  bool network = false;
  std::int64_t clock_ns = 0;
  SimTurns* turns = nullptr;
  SimTrace trace;
  std::uint64_t changes = 0;
  std::uint64_t power_lost_after = UINT64_MAX;
  bool power_lost_at_once = false;
  std::uint64_t left_out = 0;
  std::uint64_t kept_back = 0, kept_back_until = 0;
};

inline SimTurn::SimTurn(SimShared* shared) : shared_(shared) {
  if (shared_->turns != nullptr) shared_->turns->BeforeCall();
  shared_->mutex.lock();
}
inline SimTurn::~SimTurn() { shared_->mutex.unlock(); }

std::unique_ptr<Dir> MakeSimDir(std::shared_ptr<SimShared> shared, std::uint64_t process,
                                SimDisk::InodePtr inode, std::string path);
// Counts the open file; REQUIRES: mutex held.
std::unique_ptr<File> MakeSimFile(std::shared_ptr<SimShared> shared, std::uint64_t process,
                                  SimDisk::InodePtr inode, const OpenOptions& options,
                                  std::string path);

// 0 as ok.
Status SimStatus(int error, const std::string& what);
void SetSimAttributes(SimInode* inode, const FileInfo& info, bool owner, std::int64_t now_ns);
using SimXattrs = std::vector<std::pair<std::string, std::string>>;
Status SetSimXattr(SimInode* inode, std::string_view name, std::string_view value);

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_SIM_SHARED_H_
