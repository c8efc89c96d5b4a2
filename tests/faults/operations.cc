#include "tests/faults/operations.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "tests/faults/fault_points.h"

namespace ckpt::faults {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNumbers = 20000;

#define CKPT_CALL(...) Ok([&] { return __VA_ARGS__; })

// The first failure of several calls.
class Calls {
 public:
  template <typename Call>
  bool Ok(const Call& call) {
    ckpt_code code = CKPT_OK;
    {
      TestsOwn library(false);
      code = call();
    }
    if (code == CKPT_OK) return true;
    if (outcome_.code == CKPT_OK) outcome_ = {code, ckpt_error_message()};
    return false;
  }
  Outcome outcome() const { return outcome_; }

 private:
  Outcome outcome_;
};

// A store that is open as long as this is.
class OpenStore {
 public:
  OpenStore(Calls* calls, const std::string& path, int mode) {
    ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
    options.mode = mode;
    options.threads = 1;
    options.pack_bytes = 1 << 20;
    if (!calls->CKPT_CALL(ckpt_store_open(path.c_str(), &options, &store_))) store_ = nullptr;
  }
  ~OpenStore() {
    TestsOwn library(false);
    ckpt_store_close(store_);
  }
  OpenStore(const OpenStore&) = delete;
  OpenStore& operator=(const OpenStore&) = delete;
  explicit operator bool() const { return store_ != nullptr; }
  ckpt_store* get() const { return store_; }

 private:
  ckpt_store* store_ = nullptr;
};

// A quarter of it is the step's own.
std::string BytesOf(std::int64_t step, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::mt19937_64 common(1);
  for (char& c : text) c = static_cast<char>(common() % 64);
  std::mt19937_64 own(static_cast<std::uint64_t>(step) + 100);
  for (std::size_t i = 0; i < bytes / 4; ++i) text[i] = static_cast<char>(own());
  return text;
}

std::vector<double> NumbersOf(std::int64_t step) {
  std::vector<double> numbers(kNumbers, 1.5);
  for (std::size_t i = 0; i < kNumbers / 4; ++i)
    numbers[i] = static_cast<double>(step * 7919) + static_cast<double>(i);
  return numbers;
}

std::string DataOf(const std::string& store) { return fs::path(store).parent_path() / "data"; }

void WriteData(const std::string& data, std::int64_t step) {
  fs::create_directories(data + "/sub");
  std::ofstream(data + "/large", std::ios::binary) << BytesOf(step, 150000);
  std::ofstream(data + "/sub/small", std::ios::binary) << BytesOf(step, 100);
  if (!fs::exists(fs::symlink_status(data + "/link"))) fs::create_symlink("large", data + "/link");
}

ckpt_save_options SaveOf(std::int64_t step) {
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = "run";
  options.step = step;
  options.wait_ms = 100;
  return options;
}

int NoteDamage(const ckpt_damage* found, void* user) {
  TestsOwn own;
  *static_cast<std::string*>(user) += std::string(found->pack) + ": " + found->what + "; ";
  return 0;
}

Outcome SaveStep(const std::string& path, std::int64_t step, int mode = CKPT_OPEN_CREATE) {
  Calls calls;
  OpenStore store(&calls, path, mode);
  if (!store) return calls.outcome();
  const ckpt_save_options options = SaveOf(step);
  const std::string data = DataOf(path);
  const char* paths[] = {data.c_str()};
  calls.CKPT_CALL(ckpt_save_files(store.get(), &options, paths, 1, nullptr));
  return calls.outcome();
}

Outcome SaveTwice(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  const std::string data = DataOf(path);
  const char* paths[] = {data.c_str()};
  for (std::int64_t step : {3, 4}) {
    const ckpt_save_options options = SaveOf(step);
    calls.CKPT_CALL(ckpt_save_files(store.get(), &options, paths, 1, nullptr));
  }
  return calls.outcome();
}

Outcome SaveArrays(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  ckpt_save_options options = SaveOf(1);
  options.series = "arrays";
  ckpt_writer* writer = nullptr;
  if (!calls.CKPT_CALL(ckpt_begin(store.get(), &options, &writer))) return calls.outcome();
  const std::vector<double> numbers = NumbersOf(1);
  const std::uint64_t shape[] = {kNumbers};
  if (calls.CKPT_CALL(ckpt_put(writer, "T", numbers.data(), CKPT_FLOAT64, 0, 1, shape))) {
    calls.CKPT_CALL(ckpt_end(writer, nullptr));
  } else {
    TestsOwn library(false);
    ckpt_abort(writer);
  }
  return calls.outcome();
}

Outcome Remove(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  const char* names[] = {"run@1"};
  calls.CKPT_CALL(ckpt_remove(store.get(), names, 1, 0, nullptr, nullptr));
  return calls.outcome();
}

Outcome Collect(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  ckpt_collect_options options = CKPT_COLLECT_OPTIONS_INIT;
  options.wait_ms = 50;
  options.live_share = 0.99;
  options.keep_last = 1;
  calls.CKPT_CALL(ckpt_collect(store.get(), &options, nullptr, nullptr, nullptr));
  return calls.outcome();
}

Outcome RestoreNewest(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_READ);
  if (!store) return calls.outcome();
  const std::string to = fs::path(path).parent_path() / "restored";
  ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
  options.checkpoint = "run";
  options.to = to.c_str();
  options.sync = 1;
  calls.CKPT_CALL(ckpt_restore_files(store.get(), &options, nullptr, nullptr, nullptr));
  return calls.outcome();
}

// What only looks.
Outcome Look(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_READ);
  if (!store) return calls.outcome();
  const ckpt_list_options list = CKPT_LIST_OPTIONS_INIT;
  calls.CKPT_CALL(ckpt_list(store.get(), &list, nullptr, nullptr));
  calls.CKPT_CALL(ckpt_inspect(store.get(), "run", nullptr, nullptr, nullptr, nullptr));
  const auto nothing = [](const ckpt_diff_entry*, void*) { return 0; };
  calls.CKPT_CALL(ckpt_diff(store.get(), "run@1", "run@2", nothing, nullptr));
  std::string large = DataOf(path).substr(1) + "/large";  // where the fixture was made
  large.replace(large.rfind("/used/"), 6, "/plain/");
  const auto drop = [](const void*, std::size_t, void*) { return 0; };
  calls.CKPT_CALL(ckpt_cat(store.get(), "run", large.c_str(), 0, UINT64_MAX, drop, nullptr));
  ckpt_stats stats = CKPT_STATS_INIT;
  calls.CKPT_CALL(ckpt_get_stats(store.get(), &stats));
  return calls.outcome();
}

Outcome Check(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  ckpt_check_options options = CKPT_CHECK_OPTIONS_INIT;
  options.record = 1;
  ckpt_check_result result = CKPT_CHECK_RESULT_INIT;
  std::string damage;
  calls.CKPT_CALL(ckpt_check(store.get(), &options, NoteDamage, nullptr, &damage, &result));
  // What cannot be read is damage as far as anybody can tell.
  if (calls.outcome().code == CKPT_OK && !damage.empty()) return {CKPT_IO, damage};
  return calls.outcome();
}

Outcome Reindex(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  calls.CKPT_CALL(ckpt_reindex(store.get(), nullptr));
  return calls.outcome();
}

// A run that continues, saves twice and ends.
Outcome RunSession(const std::string& path) {
  Calls calls;
  ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
  open.mode = CKPT_OPEN_CREATE;
  open.threads = 1;
  open.notice = [](const char*, void*) {};
  ckpt_session_options options = CKPT_SESSION_OPTIONS_INIT;
  options.store = &open;
  options.every_steps = 1;
  options.wait_ms = 50;
  options.keep_all = 1;
  options.on_stop = CKPT_ON_STOP_LEAVE;
  options.buffer_bytes = 1 << 20;
  ckpt_session* session = nullptr;
  if (!calls.CKPT_CALL(ckpt_session_open(path.c_str(), "session", &options, &session))) {
    return calls.outcome();
  }
  std::vector<double> numbers(kNumbers);
  const std::uint64_t shape[] = {kNumbers};
  bool ok = calls.CKPT_CALL(
      ckpt_session_protect(session, "T", numbers.data(), CKPT_FLOAT64, 0, 1, shape));
  ckpt_session_restored restored = CKPT_SESSION_RESTORED_INIT;
  ok = ok && calls.CKPT_CALL(ckpt_session_restore(session, &restored));
  if (ok && restored.restored != 0 && numbers != NumbersOf(restored.step)) std::abort();
  Outcome outcome;
  for (std::int64_t n = 1; ok && n <= 2; ++n) {
    const std::int64_t step = (restored.restored != 0 ? restored.step : 0) + n;
    std::ranges::copy(NumbersOf(step), numbers.begin());  // it stays where it is
    std::int32_t what = 0;
    const bool stepped = calls.CKPT_CALL(ckpt_session_step(session, step, &what));
    const bool saved =
        calls.CKPT_CALL(n == 1 ? ckpt_session_wait_staged(session) : ckpt_session_commit(session));
    if (stepped && saved) outcome.session_step = step;
  }
  {
    TestsOwn library(false);
    ckpt_session_close(session);
  }
  outcome.code = calls.outcome().code;
  outcome.message = calls.outcome().message;
  return outcome;
}

// ---- fixtures ----------------------------------------------------------------------------------

void Must(const Outcome& outcome) {
  if (outcome.code == CKPT_OK) return;
  std::fprintf(stderr, "a fixture cannot be made: %s\n", outcome.message.c_str());
  std::abort();
}

void MakePlain(const std::string& path) {
  for (std::int64_t step : {1, 2}) {
    WriteData(DataOf(path), step);
    Must(SaveStep(path, step));
  }
}

// Steps 1 to 3, of which 1 is removed: a pack that gc writes anew.
void MakeGarbage(const std::string& path) {
  MakePlain(path);
  WriteData(DataOf(path), 3);
  Must(SaveStep(path, 3));
  Must(Remove(path));
}

// Steps 1 and 2, and 3 that was staged by a writer that died.
void MakeStaged(const std::string& path) {
  MakePlain(path);
  WriteData(DataOf(path), 3);
  const pid_t child = fork();
  if (child == 0) {
    Plan plan;
    plan.site = Site::kCalls;
    plan.dies_in_sync = true;
    Arm(plan);
    SaveStep(path, 3);
    _exit(1);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status)) std::abort();
}

// Two saves of a session.
void MakeSession(const std::string& path) { Must(RunSession(path)); }

std::string TheDifference(const std::string& to, std::int64_t step) {
  const std::map<std::string, std::size_t> files = {{"large", 150000}, {"sub/small", 100}};
  for (const auto& [name, bytes] : files) {
    bool found = false;
    for (const auto& at : fs::recursive_directory_iterator(to)) {
      const std::string path = at.path().string();
      if (!path.ends_with("data/" + name)) continue;
      found = true;
      std::ifstream file(path, std::ios::binary);
      const std::string text((std::istreambuf_iterator<char>(file)), {});
      if (text != BytesOf(step, bytes)) return name + " has other bytes";
    }
    if (!found) return name + " is not there";
  }
  return "";
}

std::string RestoreStep(ckpt_store* store, const std::string& to, std::int64_t step) {
  fs::remove_all(to);
  const std::string name = "run@" + std::to_string(step);
  ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
  options.checkpoint = name.c_str();
  options.to = to.c_str();
  const ckpt_code code = ckpt_restore_files(store, &options, nullptr, nullptr, nullptr);
  if (code != CKPT_OK) return name + ": " + ckpt_error_message();
  const std::string difference = TheDifference(to, step);
  return difference.empty() ? "" : name + ": " + difference;
}

// What is wrong with what a session saved at `step`.
std::string ReadArray(ckpt_store* store, std::int64_t step) {
  const std::string name = "session@" + std::to_string(step);
  ckpt_reader* reader = nullptr;
  if (ckpt_read(store, name.c_str(), &reader) != CKPT_OK) return name + ": " + ckpt_error_message();
  std::vector<double> numbers(kNumbers);
  const ckpt_code code = ckpt_get(reader, "T", numbers.data(), kNumbers * sizeof(double));
  ckpt_reader_close(reader);
  if (code != CKPT_OK) return name + ": " + ckpt_error_message();
  return numbers == NumbersOf(step) ? "" : name + " has other numbers";
}

}  // namespace

std::string TestName(const Operation& operation) {
  std::string name = operation.name;
  std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
  return name;
}

std::uint64_t CasesWanted(std::uint64_t in_short) {
  const char* text = std::getenv("CKPT_PROOF_CALLS");
  return text == nullptr ? in_short : std::strtoull(text, nullptr, 10);
}

void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }

const std::vector<Operation>& Operations() {
  static const std::vector<Operation> operations = {
      {"init and save", "none", [](const std::string& s) { return SaveStep(s, 3); }, {}, {3}},
      {"save",
       "plain",
       [](const std::string& s) { return SaveStep(s, 3, CKPT_OPEN_WRITE); },
       {1, 2},
       {3}},
      {"save twice", "plain", SaveTwice, {1, 2}, {3, 4}},
      {"save arrays", "plain", SaveArrays, {1, 2}, {}},
      {"save that adopts",
       "staged",
       [](const std::string& s) { return SaveStep(s, 4, CKPT_OPEN_WRITE); },
       {1, 2, 3},
       {4}},
      {"rm", "plain", Remove, {2}, {}},
      {"gc", "garbage", Collect, {3}, {}},
      {"restore", "plain", RestoreNewest, {1, 2}, {}},
      {"list, inspect, diff, stats", "plain", Look, {1, 2}, {}},
      {"check", "plain", Check, {1, 2}, {}},
      {"reindex", "plain", Reindex, {1, 2}, {}, true},
      {"session", "session", RunSession, {}, {}},
  };
  return operations;
}

Fixtures::Fixtures() {
  const bool shm = access("/dev/shm", W_OK) == 0;
  std::string pattern =
      (shm ? "/dev/shm" : fs::temp_directory_path().string()) + "/ckpt-faults-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
  const std::map<std::string, void (*)(const std::string&)> make = {
      {"none", [](const std::string& store) { WriteData(DataOf(store), 3); }},
      {"plain", MakePlain},
      {"garbage", MakeGarbage},
      {"staged", MakeStaged},
      {"session", MakeSession}};
  for (const auto& [name, function] : make) {
    fs::create_directories(path_ + "/" + name);
    function(path_ + "/" + name + "/store");
  }
}

Fixtures::~Fixtures() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Fixtures::Prepare(const Operation& operation) {
  const std::string work = path_ + "/used";
  fs::remove_all(work);
  fs::copy(path_ + "/" + operation.fixture, work,
           fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  if (!operation.made.empty()) WriteData(work + "/data", operation.made.back());
  return work + "/store";
}

std::string Fixtures::Wrong(const Operation& operation, const Outcome& outcome) {
  const std::string path = path_ + "/used/store";
  Calls calls;
  {
    WriteData(DataOf(path), 90);
    const Outcome saved = SaveStep(path, 90);
    if (saved.code != CKPT_OK) return "the next save: " + saved.message;
  }
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return "opening: " + calls.outcome().message;
  std::vector<std::int64_t> steps = operation.stays;
  if (outcome.code == CKPT_OK && !operation.made.empty()) steps.push_back(operation.made.back());
  steps.push_back(90);
  for (std::int64_t step : steps) {
    const std::string wrong = RestoreStep(store.get(), path_ + "/used/out", step);
    if (!wrong.empty()) return wrong;
  }
  if (operation.fixture == "session") {
    for (std::int64_t step : {std::int64_t{1}, std::int64_t{2}, outcome.session_step}) {
      const std::string wrong = step < 0 ? "" : ReadArray(store.get(), step);
      if (!wrong.empty()) return wrong;
    }
  }
  ckpt_check_options options = CKPT_CHECK_OPTIONS_INIT;
  ckpt_check_result result = CKPT_CHECK_RESULT_INIT;
  std::string damage;
  if (!calls.CKPT_CALL(ckpt_check(store.get(), &options, NoteDamage, nullptr, &damage, &result))) {
    return "check: " + calls.outcome().message;
  }
  return damage.empty() ? "" : "check found damage: " + damage;
}

std::size_t OpenDescriptors() {
  std::size_t count = 0;
  for (const auto& at : fs::directory_iterator("/proc/self/fd")) count += at.exists() || true;
  return count;
}

}  // namespace ckpt::faults
