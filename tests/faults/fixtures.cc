#include <signal.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "tests/faults/calls.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/operations.h"

namespace ckpt::faults {

namespace fs = std::filesystem;

// A quarter of it is the step's own. Asked for again and again.
const std::string& BytesOf(std::int64_t step, std::size_t bytes) {
  static std::map<std::pair<std::int64_t, std::size_t>, std::string> made;
  std::string& text = made[{step, bytes}];
  if (!text.empty()) return text;
  text.resize(bytes);
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

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}
std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

void WriteData(const std::string& data, std::int64_t step) {
  fs::create_directories(data + "/sub");
  WriteFile(data + "/large", BytesOf(step, 150000));
  WriteFile(data + "/sub/small", BytesOf(step, 100));
  WriteFile(data + "/holes", BytesOf(0, 5000));
  fs::resize_file(data + "/holes", 300000);
  fs::remove(data + "/again");
  fs::create_hard_link(data + "/large", data + "/again");
  (void)setxattr((data + "/sub/small").c_str(), "user.step", &step, sizeof(step), 0);
  if (!fs::exists(fs::symlink_status(data + "/link"))) fs::create_symlink("large", data + "/link");
}

namespace {

constexpr char kFolderName[] = "ckpt-faults-";
constexpr std::uintmax_t kReserveBytes = 1 << 20;
constexpr std::size_t kIntoTheChunk = 3000;  // from where its record begins

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

// Steps 1 to 3, of which gc keeps the last: what that needs has no room in the reserve, and what it
// does not need lies between.
void MakeBulky(const std::string& path) {
  fs::create_directories(DataOf(path));
  WriteFile(DataOf(path) + "/bulk", BytesOf(0, kBulkBytes));
  WriteFile(DataOf(path) + "/gone", BytesOf(-1, 400000));
  MakePlain(path);
  fs::remove(DataOf(path) + "/gone");
  WriteData(DataOf(path), 3);
  Must(SaveStep(path, 3));
}

std::map<std::string, std::string> ReadPacks(const std::string& path) {
  std::map<std::string, std::string> packs;
  for (const auto& at : fs::directory_iterator(path + "/packs"))
    packs[at.path()] = ReadFile(at.path());
  return packs;
}

// A copied reserve is not continued: another in its place, by a collection that moves nothing.
void MakeReserve(const std::string& path) {
  for (const auto& [name, bytes] : ReadPacks(path)) {
    if (bytes.size() == kReserveBytes) fs::remove(name);
  }
  Must(Collect(path, 0, 0.01));
}

// Of which gc gave back what step 3 does not need, on a full disk.
void MakeHoles(const std::string& path) {
  MakeBulky(path);
  MakeReserve(path);
  DiskFull full;
  Must(CollectAll(path));
}

// The same in a store whose packs are full, and sealed, at 1 MiB.
void MakeFull(const std::string& path) {
  ckpt_open_options options = CKPT_OPEN_OPTIONS_INIT;
  options.mode = CKPT_OPEN_CREATE;
  options.pack_bytes = 1 << 20;
  ckpt_store* store = nullptr;
  Must({ckpt_store_open(path.c_str(), &options, &store), ""});
  ckpt_store_close(store);
  MakeBulky(path);
  Must(Remove(path));
}

// Steps 1 to 3, of which the third has lost a chunk of its own.
void MakeDamaged(const std::string& path) {
  MakePlain(path);
  auto before = ReadPacks(path);
  WriteData(DataOf(path), 3);
  Must(SaveStep(path, 3));
  for (auto& [name, bytes] : ReadPacks(path)) {
    std::string& old = before[name];
    old.resize(bytes.size());
    const std::size_t at =
        static_cast<std::size_t>(std::ranges::mismatch(old, bytes).in1 - old.begin());
    if (at + kIntoTheChunk >= bytes.size()) continue;
    bytes[at + kIntoTheChunk] ^= 1;
    WriteFile(name, bytes);
    return;
  }
  std::abort();
}

// Two saves of a session.
void MakeSession(const std::string& path) { Must(RunSession(path)); }

std::string TheDifference(const std::string& to, std::int64_t step) {
  const std::map<std::string, std::string> files = {{"large", BytesOf(step, 150000)},
                                                    {"sub/small", BytesOf(step, 100)},
                                                    {"bulk", BytesOf(0, kBulkBytes)}};
  std::size_t found = 0;
  for (const auto& at : fs::recursive_directory_iterator(to)) {
    const std::string path = at.path().string();
    const std::size_t name_at = path.rfind("data/");
    const auto file = files.find(name_at == std::string::npos ? path : path.substr(name_at + 5));
    if (file == files.end()) continue;
    if (ReadFile(path) != file->second) return file->first + " has other bytes";
    found += file->first == "bulk" ? 0 : 1;
  }
  return found == 2 ? "" : "a file is not there";
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

// A restore that failed is repeated; then everything is there, and nothing else.
std::string WrongTarget(const std::string& path, const Outcome& outcome) {
  const std::string to = fs::path(path).parent_path() / "restored";
  if (outcome.code != CKPT_OK) {
    if (!fs::exists(to)) return "";
    const Outcome again = RestoreNewest(path, false, true);
    if (again.code != CKPT_OK) return "the next restore: " + again.message;
  }
  if (!fs::exists(to)) return "";
  for (const auto& at : fs::recursive_directory_iterator(to)) {
    const bool temporary = at.path().filename().string().starts_with(".ckpt-");
    // A link goes by its age where nobody could remove it.
    const bool link = at.is_symlink() || at.hard_link_count() > 1;
    if (temporary && Armed().for_good && link) continue;
    if (temporary) return at.path().string() + " stays";
  }
  const std::string difference = TheDifference(to, 2);
  return difference.empty() ? "" : "restored: " + difference;
}

// A repair that failed is repeated; then the pack is in quarantine, and a save of what was lost
// heals it.
std::string WrongRepair(const std::string& path, const Outcome& outcome) {
  if (outcome.code != CKPT_OK) {
    const Outcome again = Repair(path);
    if (again.code != CKPT_OK) return "the next repair: " + again.message;
  }
  if (!fs::exists(path + "/quarantine") || fs::is_empty(path + "/quarantine")) {
    return "nothing is in quarantine";
  }
  WriteData(DataOf(path), 3);
  const Outcome healing = SaveStep(path, 89);
  return healing.code == CKPT_OK ? "" : "the save that heals: " + healing.message;
}

}  // namespace

Fixtures::Fixtures() {
  const bool shm = access("/dev/shm", W_OK) == 0;
  std::string pattern =
      (shm ? "/dev/shm" : fs::temp_directory_path().string()) + "/" + kFolderName + "XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
  const std::map<std::string, void (*)(const std::string&)> make = {
      {"none", [](const std::string& store) { WriteData(DataOf(store), 3); }},
      {"plain", MakePlain},
      {"garbage", MakeGarbage},
      {"bulky", MakeBulky},
      {"full", MakeFull},
      {"holes", MakeHoles},
      {"damaged", MakeDamaged},
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
  if (operation.needs_reserve) MakeReserve(work + "/store");
  return work + "/store";
}

std::string Fixtures::Wrong(const Operation& operation, const Outcome& outcome) {
  const std::string path = path_ + "/used/store";
  std::string wrong = WrongTarget(path, outcome);
  if (!wrong.empty()) return wrong;
  if (operation.fixture == "damaged") wrong = WrongRepair(path, outcome);
  if (!wrong.empty()) return wrong;
  WriteData(DataOf(path), 90);
  const Outcome saved = SaveStep(path, 90);
  if (saved.code != CKPT_OK) return "the next save: " + saved.message;
  return WrongSteps(operation, outcome);
}

std::string Fixtures::WrongSteps(const Operation& operation, const Outcome& outcome) {
  const std::string path = path_ + "/used/store";
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return "opening: " + calls.outcome().message;
  std::vector<std::int64_t> steps = operation.stays;
  if (outcome.code == CKPT_OK && !operation.made.empty()) steps.push_back(operation.made.back());
  if (operation.fixture == "damaged") steps.push_back(3);  // healed
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

Held HeldNow() {
  Held held;
  for (const auto& at : fs::directory_iterator("/proc/self/fd"))
    held.descriptors += at.exists() || true;
  for (const auto& at : fs::directory_iterator("/proc/self/task"))
    held.threads += at.exists() || true;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    held.mappings += line.find(kFolderName) != std::string::npos ? 1 : 0;
  }
  return held;
}

std::string StillHeld(const Held& before) {
  Held now = HeldNow();
  // The kernel lists a thread for a moment after it was joined.
  for (int i = 0; i < 1000 && now.threads > before.threads; ++i, now = HeldNow()) usleep(1000);
  if (now.descriptors != before.descriptors) return "descriptors stay open";
  if (now.threads > before.threads) return "threads stay";
  return now.mappings > before.mappings ? "files stay mapped" : "";
}

}  // namespace ckpt::faults
