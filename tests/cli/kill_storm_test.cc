// Writers, a collector and readers in one store, killed with SIGKILL at random moments of their
// lives, thousands of times: nothing acknowledged is lost, nothing that was not acknowledged is
// half there, no reader fails on what was not removed, and index and packs agree.
//
// CKPT_KILLS: how many (300). What was acknowledged is noted in memory that outlives whoever is
// killed, before it counts. The processes are forked from this one, which never opens a store
// itself; those that run the command exec it.

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "ckpt/ckpt.h"
#include "tests/cli/cli_fixture.h"
#include "tests/support/sweep.h"

namespace ckpt {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kSeries = 8;
constexpr std::int64_t kStepsMax = 1 << 20;

enum class Kind { kArrays, kCommand, kSession, kCollector, kReader, kRestorer };
// Who is at work; writers first, each with a series of its own.
constexpr Kind kCast[] = {Kind::kArrays,  Kind::kArrays,  Kind::kArrays,   Kind::kArrays,
                          Kind::kCommand, Kind::kCommand, Kind::kSession,  Kind::kSession,
                          Kind::kReader,  Kind::kReader,  Kind::kRestorer, Kind::kCollector};
constexpr int kProcesses = std::size(kCast);

enum State : std::uint8_t { kNothing, kBegun, kAcknowledged, kRemoving, kRemoved };

// What outlives the killed.
struct StormShared {
  std::atomic<std::int64_t> last[kSeries];    // step begun
  std::atomic<std::int64_t> newest[kSeries];  // step acknowledged
  std::atomic<std::uint8_t> state[kSeries][kStepsMax];
  std::atomic<std::int64_t> saves, reads, collections, removals;
  std::atomic<int> violations;
};

class KillStorm : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    if (IsSkipped()) return;
    void* memory = mmap(nullptr, sizeof(StormShared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    shared_ = static_cast<StormShared*>(memory);
    store_ = Path("store");
    Do("ckpt-store -s store init -q --pack-size 8M");
    for (int i = 0; i < kProcesses; ++i) fs::create_directory(Path("p" + std::to_string(i)));
    unsetenv("CKPT_INDEX_DIR");
    unsetenv("SLURM_JOB_ID");
  }
  ~KillStorm() override {
    if (shared_ != nullptr) munmap(shared_, sizeof(StormShared));
  }

  // The bytes of a step: some shared by all series, some that change now and then, some its own.
  static std::string Content(int series, std::int64_t step) {
    const auto seed = [&](std::int64_t n) {
      return static_cast<std::uint64_t>(n * kSeries + series + 17);
    };
    return Noise(150000, 3) + Noise(100000, seed(step / 4)) + Noise(50000, seed(step + kStepsMax));
  }
  static std::string SeriesName(int series) { return "s" + std::to_string(series); }
  static std::string StepName(int series, std::int64_t step) {
    return SeriesName(series) + "@" + std::to_string(step);
  }
  void Violation(const std::string& what) const {
    ++shared_->violations;
    std::fprintf(stderr, "VIOLATION: %s\n", what.c_str());
  }
  ckpt_store* OpenStore(ckpt_open_mode mode) const {
    ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
    options.mode = mode;
    options.threads = 1;
    ckpt_store* store = nullptr;
    if (ckpt_store_open(store_.c_str(), &options, &store) != CKPT_OK) {
      Violation(std::string("open: ") + ckpt_error_message());
      _exit(1);
    }
    return store;
  }
  void Acknowledge(int series, std::int64_t step) const {
    shared_->state[series][step] = kAcknowledged;
    if (step > shared_->newest[series]) shared_->newest[series] = step;
    ++shared_->saves;
  }

  // Each runs until it is killed.
  [[noreturn]] void WriteArrays(int series) const;
  [[noreturn]] void RunSession(int series) const;
  [[noreturn]] void RunSave(int series) const;  // once
  [[noreturn]] void Collect() const;
  [[noreturn]] void Read(std::uint64_t seed) const;
  [[noreturn]] void RunRestore(int process, std::uint64_t seed) const;  // once
  void RemoveOld(ckpt_store* store, int series, std::int64_t step) const;
  // Reads `name` and compares; its step, or -1.
  std::int64_t ReadAndCompare(ckpt_store* store, int series, const std::string& name) const;

  void Start(int process);
  void Reap(int process, int status);
  void StormUntil(int kills);
  void KillAll();
  void Verify() const;
  void VerifySeries(ckpt_store* store, int series) const;

  StormShared* shared_ = nullptr;
  std::string store_;
  std::mt19937_64 random_{20260301};
  struct Process {
    pid_t pid = 0;
    Clock::time_point end;
    std::int64_t step = 0;  // that a command saves
  };
  Process processes_[kProcesses];
  int kills_ = 0;
};

void KillStorm::WriteArrays(int series) const {
  ckpt_store* store = OpenStore(CKPT_OPEN_WRITE);
  const std::string name = SeriesName(series);
  for (;;) {
    const std::int64_t step = ++shared_->last[series];
    shared_->state[series][step] = kBegun;
    ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
    options.series = name.c_str();
    options.step = step;
    ckpt_writer* writer = nullptr;
    ckpt_save_result result = CKPT_SAVE_RESULT_INIT;
    const std::string bytes = Content(series, step);
    const std::uint64_t shape[] = {bytes.size()};
    if (ckpt_begin(store, &options, &writer) != CKPT_OK ||
        ckpt_put(writer, "x", bytes.data(), CKPT_UINT8, 1, 1, shape) != CKPT_OK ||
        ckpt_end(writer, &result) != CKPT_OK) {
      Violation("save " + StepName(series, step) + ": " + ckpt_error_message());
      _exit(1);
    }
    Acknowledge(series, step);
    RemoveOld(store, series, step - 3);
  }
}

void KillStorm::RemoveOld(ckpt_store* store, int series, std::int64_t step) const {
  for (; step > 0 && step % 5 != 0; --step) {
    std::atomic<std::uint8_t>& state = shared_->state[series][step];
    if (state == kNothing || state == kRemoved || state == kRemoving) return;
    const std::uint8_t before = state.exchange(kRemoving);
    const std::string name = StepName(series, step);
    const char* names[] = {name.c_str()};
    const ckpt_code code = ckpt_remove(store, names, 1, 0, nullptr, nullptr);
    if (code == CKPT_OK) {
      state = kRemoved;
      ++shared_->removals;
    } else if (before == kAcknowledged || code != CKPT_NOT_FOUND) {
      Violation("rm " + name + ": " + ckpt_error_message());
    }
  }
}

void KillStorm::RunSession(int series) const {
  ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
  open.mode = CKPT_OPEN_WRITE;
  open.notice = [](const char*, void*) {};
  ckpt_session_options options = CKPT_SESSION_OPTIONS_INIT;
  options.store = &open;
  options.every_steps = 1;
  options.durability = CKPT_DURABLE_ON_REQUEST;
  options.housekeeping_share = 0.5;
  ckpt_session* session = nullptr;
  std::string bytes = Content(series, 0);
  const std::uint64_t shape[] = {bytes.size()};
  ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
  const std::int64_t newest = shared_->newest[series];
  if (ckpt_session_open(store_.c_str(), SeriesName(series).c_str(), &options, &session) !=
          CKPT_OK ||
      ckpt_session_protect(session, "x", bytes.data(), CKPT_UINT8, 1, 1, shape) != CKPT_OK ||
      ckpt_session_restore(session, &restored) != CKPT_OK) {
    Violation("session " + SeriesName(series) + ": " + ckpt_error_message());
    _exit(1);
  }
  const std::int64_t begin = restored.restored != 0 ? restored.step : 0;
  if (begin < newest) Violation("session: " + StepName(series, newest) + " was staged");
  if (bytes != Content(series, begin)) Violation(StepName(series, begin) + ": wrong bytes");
  for (std::int64_t step = begin + 1;; ++step) {
    const std::string next = Content(series, step);
    std::memcpy(bytes.data(), next.data(), next.size());
    int32_t outcome = 0;
    shared_->state[series][step] = kBegun;
    if (ckpt_session_step(session, step, &outcome) != CKPT_OK ||
        ckpt_session_wait_staged(session) != CKPT_OK ||
        (step % 7 == 0 && ckpt_session_commit(session) != CKPT_OK)) {
      Violation("step " + StepName(series, step) + ": " + ckpt_error_message());
      _exit(1);
    }
    Acknowledge(series, step);
  }
}

[[noreturn]] void ExecQuietly(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(99);
  execv(arguments[0], arguments.data());
  _exit(99);
}

void KillStorm::RunSave(int series) const {
  const std::int64_t step = shared_->last[series];
  if (chdir(Path("p" + std::to_string(series)).c_str()) != 0) _exit(99);
  std::ofstream("x", std::ios::binary | std::ios::trunc) << Content(series, step);
  ExecQuietly({std::getenv("CKPT_STORE_BIN"), "-s", store_, "save", SeriesName(series), "x",
               "--step", std::to_string(step), "-q"});
}

void KillStorm::RunRestore(int process, std::uint64_t seed) const {
  const int series = 4 + static_cast<int>(seed % 2);  // those made of files
  if (chdir(Path("p" + std::to_string(process)).c_str()) != 0) _exit(99);
  if (shared_->newest[series] == 0) _exit(0);
  ExecQuietly({std::getenv("CKPT_STORE_BIN"), "-s", store_, "restore", SeriesName(series), "--to",
               SeriesName(series), "--force", "-q"});
}

void KillStorm::Collect() const {
  for (std::uint64_t round = 0;; ++round) {
    ckpt_store* store = OpenStore(CKPT_OPEN_WRITE);
    ckpt_collect_options options = CKPT_COLLECT_OPTIONS_INIT;
    options.wait_ms = 1500;
    ckpt_collect_result result = CKPT_COLLECT_RESULT_INIT;
    const ckpt_code code = ckpt_collect(store, &options, nullptr, nullptr, &result);
    if (code == CKPT_OK) {
      shared_->collections += result.packs_removed > 0 ? 1 : 0;
    } else if (code != CKPT_BUSY) {
      Violation(std::string("gc: ") + ckpt_error_message());
    }
    ckpt_store_close(store);
  }
}

std::int64_t KillStorm::ReadAndCompare(ckpt_store* store, int series,
                                       const std::string& name) const {
  ckpt_reader* reader = nullptr;
  std::int64_t step = -1;
  const auto take = [](const ckpt_checkpoint* one, void* user) {
    *static_cast<std::int64_t*>(user) = one->step;
    return 0;
  };
  ckpt_code code = ckpt_read(store, name.c_str(), &reader);
  if (code != CKPT_OK || (code = ckpt_reader_info(reader, take, &step)) != CKPT_OK) {
    Violation("read " + name + ": " + ckpt_error_message());
    return -1;
  }
  const std::string expected = Content(series, step);
  std::string bytes(expected.size(), '\0');
  code = ckpt_get(reader, "x", bytes.data(), bytes.size());
  if (code != CKPT_OK) Violation("read " + name + ": " + ckpt_error_message());
  if (code == CKPT_OK && bytes != expected) Violation(StepName(series, step) + ": WRONG BYTES");
  ckpt_reader_close(reader);
  ++shared_->reads;
  return step;
}

void KillStorm::Read(std::uint64_t seed) const {
  std::mt19937_64 random(seed);
  for (;;) {
    ckpt_store* store = OpenStore(CKPT_OPEN_READ);
    for (int n = 0; n < 4; ++n) {
      // Not of sessions: their newest may go while it is read, when two newer ones have come.
      const int series = static_cast<int>(random() % 6);
      const std::int64_t newest = shared_->newest[series];
      if (newest == 0) continue;
      // Each fifth stays: it, or whichever is the newest.
      const std::int64_t kept = newest - newest % 5;
      const bool fifth = kept > 0 && shared_->state[series][kept] == kAcknowledged;
      const std::int64_t step =
          ReadAndCompare(store, series, fifth ? StepName(series, kept) : SeriesName(series));
      // A store opened before the newest was acknowledged need not know it.
      if (step >= 0 && step < (fifth ? kept : newest) && n == 0) {
        Violation("read " + SeriesName(series) + ": step " + std::to_string(step) + ", " +
                  std::to_string(newest) + " was acknowledged");
      }
    }
    ckpt_store_close(store);
  }
}

void KillStorm::Start(int process) {
  Process& p = processes_[process];
  const double means_ms[] = {15, 60, 250};
  // Collecting waits for the writers, so a collector that is to finish now and then lives longer.
  const double mean = means_ms[random_() % 3] * (kCast[process] == Kind::kCollector ? 8 : 1);
  const double unit = static_cast<double>(random_() >> 11) / 9007199254740992.0;
  p.end = Clock::now() + std::chrono::microseconds(static_cast<std::int64_t>(
                             1000 * std::min(-mean * std::log(1 - unit), 8 * mean)));
  const std::uint64_t seed = random_();
  if (kCast[process] == Kind::kCommand) {
    p.step = ++shared_->last[process];
    shared_->state[process][p.step] = kBegun;
  }
  p.pid = fork();
  ASSERT_GE(p.pid, 0);
  if (p.pid > 0) return;
  switch (kCast[process]) {
    case Kind::kArrays:
      WriteArrays(process);
    case Kind::kCommand:
      RunSave(process);
    case Kind::kSession:
      RunSession(process);
    case Kind::kCollector:
      Collect();
    case Kind::kReader:
      Read(seed);
    case Kind::kRestorer:
      RunRestore(process, seed);
  }
}

void KillStorm::Reap(int process, int status) {
  Process& p = processes_[process];
  p.pid = 0;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    ++kills_;
    return;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    Violation("process " + std::to_string(process) + " ended with status " +
              std::to_string(status));
  } else if (kCast[process] == Kind::kCommand) {
    Acknowledge(process, p.step);
  }
}

void KillStorm::StormUntil(int kills) {
  while (kills_ < kills && shared_->violations == 0 && !HasFatalFailure()) {
    auto next = Clock::now() + std::chrono::milliseconds(20);
    for (int i = 0; i < kProcesses; ++i) {
      Process& p = processes_[i];
      int status = 0;
      if (p.pid > 0 && Clock::now() >= p.end) {
        kill(p.pid, SIGKILL);
        waitpid(p.pid, &status, 0);
        Reap(i, status);
      } else if (p.pid > 0 && waitpid(p.pid, &status, WNOHANG) == p.pid) {
        Reap(i, status);
      }
      if (p.pid == 0) Start(i);
      next = std::min(next, p.end);
    }
    std::this_thread::sleep_until(std::min(next, Clock::now() + std::chrono::milliseconds(3)));
  }
}

void KillStorm::KillAll() {
  for (int i = 0; i < kProcesses; ++i) {
    if (processes_[i].pid == 0) continue;
    kill(processes_[i].pid, SIGKILL);
    int status = 0;
    waitpid(processes_[i].pid, &status, 0);
    Reap(i, status);
  }
}

void KillStorm::VerifySeries(ckpt_store* store, int series) const {
  const bool session = kCast[series] == Kind::kSession;
  const std::string name = SeriesName(series);
  ckpt_list_options options = CKPT_LIST_OPTIONS_INIT;
  options.series = name.c_str();
  options.all = 1;
  std::set<std::int64_t> steps;
  const auto note = [](const ckpt_checkpoint* one, void* user) {
    static_cast<std::set<std::int64_t>*>(user)->insert(one->step);
    return 0;
  };
  const ckpt_code code = ckpt_list(store, &options, note, &steps);
  if (code != CKPT_OK && (code != CKPT_NOT_FOUND || shared_->newest[series] > 0)) {
    Violation("list " + name + ": " + ckpt_error_message());
  }
  for (const std::int64_t step : steps) {
    const std::uint8_t state = shared_->state[series][step];
    if (state == kNothing) Violation(StepName(series, step) + " was never saved");
    if (state == kRemoved) Violation(StepName(series, step) + " was removed");
    ReadAndCompare(store, series, StepName(series, step));
  }
  for (std::int64_t step = 1; !session && step <= shared_->last[series]; ++step) {
    if (shared_->state[series][step] == kAcknowledged && !steps.contains(step)) {
      Violation(StepName(series, step) + " was acknowledged and is not there");
    }
  }
  if (shared_->newest[series] > 0) {
    const std::int64_t step = ReadAndCompare(store, series, name);
    if (step < shared_->newest[series]) Violation(name + ": the newest is not there");
  }
}

// In a child: this process opens no store. What it finds, it counts.
void KillStorm::Verify() const {
  const pid_t child = fork();
  if (child == 0) {
    ckpt_store* store = OpenStore(CKPT_OPEN_READ);
    for (int series = 0; series < kSeries; ++series) VerifySeries(store, series);
    ckpt_check_options options = CKPT_CHECK_OPTIONS_INIT;
    ckpt_check_result result = CKPT_CHECK_RESULT_INIT;
    if (ckpt_check(store, &options, nullptr, nullptr, nullptr, &result) != CKPT_OK ||
        result.damaged > 0) {
      Violation("check: " + std::to_string(result.damaged) + " places " + ckpt_error_message());
    }
    ckpt_store_close(store);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) Violation("verifying ended with status " + std::to_string(status));
  const Outcome after = Run(
      "ckpt-store -s store save after /etc/hostname -q --reread && ckpt-store -s store gc -q && "
      "ckpt-store -s store list --all >with && "
      "ckpt-store -s store --index-dir /dev/null list --all >without && cmp with without");
  if (after.exit != 0) Violation("afterwards: " + after.out + after.err);
}

TEST_F(KillStorm, NothingAcknowledgedIsLost) {
  const char* number = std::getenv("CKPT_KILLS");
  const int wanted = number == nullptr ? (kSanitized ? 100 : 300) : std::atoi(number);
  const auto begin = Clock::now();
  while (kills_ < wanted && shared_->violations == 0 && !HasFatalFailure()) {
    StormUntil(std::min(wanted, kills_ + std::max(100, wanted / 20)));
    KillAll();
    Verify();
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  EXPECT_EQ(shared_->violations, 0);
  EXPECT_GT(shared_->saves, wanted / 20);
  EXPECT_GT(shared_->reads, wanted / 20);
  std::printf(
      "proof: %d kills in %.0f s, %lld saves acknowledged, %lld checkpoints removed, %lld "
      "collections that removed packs, %lld checkpoints read and compared, %d violations\n",
      kills_, seconds, static_cast<long long>(shared_->saves),
      static_cast<long long>(shared_->removals), static_cast<long long>(shared_->collections),
      static_cast<long long>(shared_->reads), shared_->violations.load());
}

}  // namespace
}  // namespace ckpt
