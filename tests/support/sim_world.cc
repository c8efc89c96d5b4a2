#include "tests/support/sim_world.h"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "store/io/entry_name.h"
#include "tests/support/sim_shared.h"

namespace ckpt {
namespace {

constexpr std::int64_t kEpochNs = 1'700'000'000'000'000'000;
constexpr std::int64_t kTickNs = 1000;  // each look at the clock and each operation

bool Counts(SimOp kind) {
  return kind != SimOp::kRead && kind != SimOp::kOpen && kind != SimOp::kLock;
}

std::size_t Index(SimOp kind) { return static_cast<std::size_t>(kind); }

Status DeadStatus(const std::string& what) {
  return IoError(what + ": simulated: process is dead");
}

}  // namespace

Status SimStatus(int error, const std::string& what) {
  return error == 0 ? Status() : ErrnoStatus(error, what);
}

std::int64_t SimShared::Tick() {
  clock_ns += kTickNs;
  disk->now_ns = kEpochNs + clock_ns;
  return clock_ns;
}

void SimShared::Sync(const SimDisk::InodePtr& inode) {
  if (changes == left_out) return;
  if (inode->info.kind == FileKind::kDirectory) {
    disk->SyncDir(inode.get());
  } else {
    disk->SyncFile(inode.get());
  }
}

SimGate SimShared::Begin(std::uint64_t process, SimOp kind, const std::string& what) {
  SimProcessState& state = Process(process);
  bool lost = power_lost_at_once ? changes >= power_lost_after
                                 : Counts(kind) && changes >= power_lost_after;
  if (state.dead || lost) {
    state.dead = true;
    return {.status = DeadStatus(what)};
  }
  if (Counts(kind) && kept_back != 0) {
    if (changes == kept_back) disk->EndKeepingBack();
    if (changes == kept_back_until) disk->ForgetKeptBack();
  }
  changes += Counts(kind);
  if (Counts(kind) && changes == kept_back) disk->BeginKeepingBack();
  disk->acting_host = state.host;
  if (trace) trace(process, kind, what);
  Tick();
  std::uint64_t of_kind = ++state.counts[Index(kind)];
  std::uint64_t of_any = state.counts[Index(SimOp::kAny)] += Counts(kind);
  if (Counts(kind) && of_any > state.stop_after) {
    state.dead = true;
    return {.status = DeadStatus(what), .died_now = true};
  }
  for (const SimFault& fault : state.faults) {
    bool any = fault.kind == SimOp::kAny;
    if (any ? !Counts(kind) : fault.kind != kind) continue;
    std::uint64_t count = any ? of_any : of_kind;
    if (count == fault.n || (fault.sticky && count > fault.n)) {
      return {.status = ErrnoStatus(fault.error, what), .fault = true};
    }
  }
  if (Counts(kind) && state.read_only_error != 0) {
    return {.status = ErrnoStatus(state.read_only_error, what)};
  }
  return {};
}

void SimShared::ReleaseLocks(std::uint64_t process) {
  std::erase_if(locked, [&](const std::weak_ptr<SimInode>& weak) {
    SimDisk::InodePtr inode = weak.lock();
    if (inode == nullptr) return true;
    std::erase_if(inode->locks, [&](const auto& lock) { return lock.process == process; });
    return inode->locks.empty();
  });
}

int SimShared::Resolve(const std::string& path, int depth, SimDisk::InodePtr* found) {
  if (depth > 40) return ELOOP;
  SimDisk::InodePtr at = disk->root();
  std::size_t begin = 0;
  while (begin < path.size()) {
    std::size_t end = std::min(path.find('/', begin), path.size());
    std::string name = path.substr(begin, end - begin);
    begin = end + 1;
    if (name.empty() || name == ".") continue;
    if (at->info.kind != FileKind::kDirectory) return ENOTDIR;
    SimDisk::InodePtr next = disk->Lookup(*at, name);
    if (next == nullptr) return ENOENT;
    if (next->info.kind == FileKind::kSymlink) {
      // A relative target begins at the link's own directory.
      std::string target = next->link_target;
      if (!target.starts_with('/')) target = path.substr(0, end - name.size()) + target;
      int error = Resolve(target, depth + 1, &next);
      if (error != 0) return error;
    }
    at = next;
  }
  *found = std::move(at);
  return 0;
}

SimProcess::SimProcess(std::shared_ptr<SimShared> shared, std::uint64_t id)
    : shared_(std::move(shared)), id_(id) {}

// Its files may outlive it, as a thread may outlive main; only Kill ends it.
SimProcess::~SimProcess() = default;

Result<std::unique_ptr<Dir>> SimProcess::OpenDir(const std::string& path) {
  CKPT_RETURN_IF_ERROR(CheckCString(path, "directory path"));
  SimTurn turn(shared_.get());
  std::string what = "open directory " + path;
  CKPT_RETURN_IF_ERROR(shared_->Gate(id_, SimOp::kOpen, what));
  SimDisk::InodePtr inode;
  CKPT_RETURN_IF_ERROR(SimStatus(shared_->Resolve(path, 0, &inode), what));
  if (inode->info.kind != FileKind::kDirectory) return SimStatus(ENOTDIR, what);
  return MakeSimDir(shared_, id_, std::move(inode), path);
}

Status SimProcess::MakeDir(const std::string& path, std::uint32_t permissions) {
  CKPT_RETURN_IF_ERROR(CheckCString(path, "directory path"));
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  std::size_t slash = trimmed.rfind('/');
  std::string parent = slash == std::string::npos ? "/" : trimmed.substr(0, slash + 1);
  std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  if (name.empty()) return SimStatus(EEXIST, "make directory " + path);
  CKPT_ASSIGN_OR_RETURN(std::unique_ptr<Dir> dir, OpenDir(parent));
  return dir->MakeDir(name, permissions);
}

void SimProcess::Random(MutableByteSpan out) {
  std::lock_guard lock(shared_->mutex);
  shared_->rng.Fill(out);
}

std::int64_t SimProcess::RealtimeNs() { return kEpochNs + MonotonicNs(); }

std::int64_t SimProcess::MonotonicNs() {
  std::lock_guard lock(shared_->mutex);
  return shared_->Tick();
}

void SimProcess::SleepMs(std::int64_t ms) {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->clock_ns += std::max<std::int64_t>(ms, 0) * 1'000'000;
    shared_->Tick();
  }
  if (shared_->turns != nullptr) return shared_->turns->AfterSleep();
  std::this_thread::yield();  // who polls must not starve the one it waits for
}

Id128 SimProcess::HostId() {
  std::lock_guard lock(shared_->mutex);
  return shared_->Process(id_).host;
}

std::string SimProcess::HostName() {
  std::lock_guard lock(shared_->mutex);
  return shared_->Process(id_).host_name;
}

std::uint32_t SimProcess::UserId() {
  std::lock_guard lock(shared_->mutex);
  return shared_->Process(id_).uid;
}

std::uint64_t SimProcess::op_count(SimOp kind) const {
  std::lock_guard lock(shared_->mutex);
  return shared_->Process(id_).counts[Index(kind)];
}

void SimProcess::set_stop_after(std::uint64_t n, std::uint64_t torn_bytes) {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).stop_after = n;
  shared_->Process(id_).torn_bytes = torn_bytes;
}

void SimProcess::FailOp(std::uint64_t n, int error, bool sticky, SimOp kind) {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).faults.push_back({kind, n, error, sticky});
}

void SimProcess::set_lies(SimLies lies) {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).lies = std::move(lies);
}

void SimProcess::ClearFaults() {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).faults.clear();
}

void SimProcess::Kill() {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).dead = true;
  shared_->ReleaseLocks(id_);
}

bool SimProcess::dead() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->Process(id_).dead;
}

void SimProcess::set_host(const Id128& id, std::string name) {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).host = id;
  shared_->Process(id_).host_name = std::move(name);
}

void SimProcess::set_user_id(std::uint32_t uid) {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).uid = uid;
}

void SimProcess::set_read_only(int error) {
  std::lock_guard lock(shared_->mutex);
  shared_->Process(id_).read_only_error = error;
}

SimWorld::SimWorld(std::uint64_t seed) : SimWorld(std::make_shared<SimShared>(seed)) {
  SimProcessState& first = shared_->Process(id_);
  first.host.bytes.fill(0x51);
  shared_->disk->root()->info.uid = first.uid;
}

SimWorld::SimWorld(std::shared_ptr<SimShared> shared) : SimProcess(std::move(shared), /*id=*/0) {
  shared_->processes.emplace(id_, std::make_unique<SimProcessState>());
}

std::unique_ptr<SimProcess> SimWorld::NewProcess() {
  std::lock_guard lock(shared_->mutex);
  std::uint64_t id = shared_->next_process++;
  auto state = std::make_unique<SimProcessState>();
  state->host = shared_->Process(id_).host;
  state->host_name = shared_->Process(id_).host_name;
  state->uid = shared_->Process(id_).uid;
  shared_->processes.emplace(id, std::move(state));
  return std::unique_ptr<SimProcess>(new SimProcess(shared_, id));
}

// REQUIRES: mutex held.
std::unique_ptr<SimWorld> SimWorld::WithDisk(std::unique_ptr<SimDisk> disk,
                                             std::uint64_t salt) const {
  SimRng rng = shared_->rng;  // goes on from here: no id is drawn twice
  auto shared = std::make_shared<SimShared>(rng.Next() ^ salt);
  shared->disk = std::move(disk);
  shared->locks = shared_->locks;
  shared->network = shared_->network;
  shared->clock_ns = shared_->clock_ns;
  std::unique_ptr<SimWorld> world(new SimWorld(std::move(shared)));
  SimProcessState& first = world->shared_->Process(0);
  first.host = shared_->Process(0).host;
  first.host_name = shared_->Process(0).host_name;
  first.uid = shared_->Process(0).uid;
  return world;
}

std::unique_ptr<SimWorld> SimWorld::KillProcess() const {
  std::lock_guard lock(shared_->mutex);
  return WithDisk(std::make_unique<SimDisk>(*shared_->disk), 0);
}

std::unique_ptr<SimWorld> SimWorld::Crash(const CrashChoice& choice) const {
  std::lock_guard lock(shared_->mutex);
  return WithDisk(shared_->disk->Crash(choice), choice.seed);
}

std::size_t SimWorld::effect_count() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->disk->effect_count();
}

void SimWorld::DropCaches() {
  std::lock_guard lock(shared_->mutex);
  shared_->disk->DropCaches();
}

void SimWorld::set_capacity_bytes(std::uint64_t bytes) {
  std::lock_guard lock(shared_->mutex);
  shared_->disk->capacity_bytes = bytes;
}

void SimWorld::clear_capacity() {
  std::lock_guard lock(shared_->mutex);
  shared_->disk->capacity_bytes.reset();
}

std::uint64_t SimWorld::used_bytes() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->disk->used_bytes();
}

void SimWorld::set_locks(SimLocks locks) {
  std::lock_guard lock(shared_->mutex);
  shared_->locks = locks;
}

void SimWorld::set_network_file_system(bool network) {
  std::lock_guard lock(shared_->mutex);
  shared_->network = network;
}

void SimWorld::set_separate_caches(bool separate) {
  std::lock_guard lock(shared_->mutex);
  shared_->disk->separate_caches = separate;
}

void SimWorld::set_device(std::uint64_t device) {
  std::lock_guard lock(shared_->mutex);
  shared_->disk->device = device;
}

void SimWorld::set_next_inode(std::uint64_t number) {
  std::lock_guard lock(shared_->mutex);
  shared_->disk->next_inode = number;
}

void SimWorld::AdvanceClock(std::int64_t ns) {
  std::lock_guard lock(shared_->mutex);
  shared_->clock_ns += ns;
}

bool SimWorld::alive() const {
  std::lock_guard lock(shared_->mutex);
  return !shared_->Process(id_).dead;
}

std::uint64_t SimWorld::change_count() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->changes;
}

void SimWorld::LosePowerAfter(std::uint64_t n, bool at_once) {
  std::lock_guard lock(shared_->mutex);
  shared_->power_lost_after = n;
  shared_->power_lost_at_once = at_once;
}

void SimWorld::LeaveOutSync(std::uint64_t n) {
  std::lock_guard lock(shared_->mutex);
  shared_->left_out = n;
}

void SimWorld::KeepBack(std::uint64_t n, std::uint64_t until) {
  std::lock_guard lock(shared_->mutex);
  shared_->kept_back = n;
  shared_->kept_back_until = until;
}

void SimWorld::Reseed(std::uint64_t seed) {
  std::lock_guard lock(shared_->mutex);
  shared_->rng = SimRng(seed);
}

void SimWorld::set_turns(SimTurns* turns) {
  std::lock_guard lock(shared_->mutex);
  shared_->turns = turns;
}

void SimWorld::set_trace(SimTrace trace) {
  std::lock_guard lock(shared_->mutex);
  shared_->trace = std::move(trace);
}

}  // namespace ckpt
