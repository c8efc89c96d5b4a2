#include "tests/faults/operations.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <vector>

#include "tests/faults/calls.h"
#include "tests/faults/fault_points.h"

namespace ckpt::faults {
namespace {

namespace fs = std::filesystem;

ckpt_save_options SaveOf(std::int64_t step) {
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = "run";
  options.step = step;
  options.wait_ms = 100;
  return options;
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

Outcome CollectFull(const std::string& path) {
  DiskFull full;
  return CollectAll(path);
}

// What only looks.
Outcome Look(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_READ);
  if (!store) return calls.outcome();
  const ckpt_list_options list = CKPT_LIST_OPTIONS_INIT;
  const auto checkpoint = [](const ckpt_checkpoint*, void*) { return 0; };
  const auto entry = [](const ckpt_entry*, void*) { return 0; };
  const auto pack = [](const char*, std::uint64_t, void*) { return 0; };
  calls.CKPT_CALL(ckpt_list(store.get(), &list, checkpoint, nullptr));
  calls.CKPT_CALL(ckpt_inspect(store.get(), "run", checkpoint, entry, pack, nullptr));
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

// Structure alone, then a part of the bytes.
Outcome CheckLess(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_READ);
  if (!store) return calls.outcome();
  std::string damage;
  for (const bool quick : {true, false}) {
    ckpt_check_options options = CKPT_CHECK_OPTIONS_INIT;
    options.quick = quick ? 1 : 0;
    options.part_percent = quick ? 100.0 : 60.0;
    ckpt_check_result result = CKPT_CHECK_RESULT_INIT;
    calls.CKPT_CALL(ckpt_check(store.get(), &options, NoteDamage, nullptr, &damage, &result));
  }
  if (calls.outcome().code == CKPT_OK && !damage.empty()) return {CKPT_IO, damage};
  return calls.outcome();
}

Outcome ReadArrays(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_READ);
  ckpt_reader* reader = nullptr;
  if (!store || !calls.CKPT_CALL(ckpt_read(store.get(), "session", &reader))) {
    return calls.outcome();
  }
  std::vector<double> numbers(kNumbers);
  const bool ok = calls.CKPT_CALL(ckpt_get(reader, "T", numbers.data(), kNumbers * sizeof(double)));
  {
    TestsOwn library(false);
    ckpt_reader_close(reader);
  }
  if (ok && numbers != NumbersOf(2)) return {CKPT_INTERNAL, "other numbers"};
  return calls.outcome();
}

}  // namespace

int NoteDamage(const ckpt_damage* found, void* user) {
  TestsOwn own;
  *static_cast<std::string*>(user) += std::string(found->pack) + ": " + found->what + "; ";
  return 0;
}

Outcome CollectAll(const std::string& path) { return Collect(path, 1, 0.99); }

Outcome Reindex(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  calls.CKPT_CALL(ckpt_reindex(store.get(), nullptr));
  return calls.outcome();
}

Outcome SaveStep(const std::string& path, std::int64_t step, int mode) {
  Calls calls;
  OpenStore store(&calls, path, mode);
  if (!store) return calls.outcome();
  const ckpt_save_options options = SaveOf(step);
  const std::string data = DataOf(path);
  const char* paths[] = {data.c_str()};
  calls.CKPT_CALL(ckpt_save_files(store.get(), &options, paths, 1, nullptr));
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

Outcome Collect(const std::string& path, std::uint64_t keep_last, double live_share) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  ckpt_collect_options options = CKPT_COLLECT_OPTIONS_INIT;
  options.wait_ms = 50;
  options.live_share = live_share;
  options.keep_last = keep_last;
  calls.CKPT_CALL(ckpt_collect(store.get(), &options, nullptr, nullptr, nullptr));
  return calls.outcome();
}

Outcome RestoreNewest(const std::string& path, bool sync, bool force) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_READ);
  if (!store) return calls.outcome();
  const std::string to = fs::path(path).parent_path() / "restored";
  ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
  options.checkpoint = "run";
  options.to = to.c_str();
  options.sync = sync ? 1 : 0;
  options.force = force ? 1 : 0;
  calls.CKPT_CALL(ckpt_restore_files(store.get(), &options, nullptr, nullptr, nullptr));
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

Outcome Repair(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  ckpt_repair_options options = CKPT_REPAIR_OPTIONS_INIT;
  options.wait_ms = 50;
  const ckpt_repair_callbacks callbacks = CKPT_REPAIR_CALLBACKS_INIT;
  ckpt_repair_result result = CKPT_REPAIR_RESULT_INIT;
  calls.CKPT_CALL(ckpt_repair(store.get(), &options, &callbacks, &result));
  return calls.outcome();
}

// A run that continues, saves twice and ends.
Outcome RunSession(const std::string& path, int change_detection) {
  Calls calls;
  ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
  open.mode = CKPT_OPEN_CREATE;
  open.threads = 1;
  open.notice = [](const char*, void*) {};
  ckpt_session_options options = CKPT_SESSION_OPTIONS_INIT;
  options.store = &open;
  options.every_steps = 1;
  options.change_detection = change_detection;
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

std::string TestName(const Operation& operation) {
  std::string name = operation.name;
  std::erase_if(name, [](char c) { return c == ',' || c == ' '; });
  return name;
}

void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }

std::vector<Operation> FirstOperations() {
  return {
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
      {"gc", "garbage", CollectAll, {3}, {}},
      {"gc on a full disk", "garbage", CollectFull, {3}, {}, false, true},
      {"gc in place on a full disk", "bulky", CollectFull, {3}, {}, false, true},
      {"repair", "damaged", Repair, {1, 2}, {}},
      {"restore", "plain", [](const std::string& s) { return RestoreNewest(s, true); }, {1, 2}, {}},
      {"restore, not synced",
       "plain",
       [](const std::string& s) { return RestoreNewest(s, false); },
       {1, 2},
       {}},
      {"list, inspect, diff, stats", "plain", Look, {1, 2}, {}},
      {"check", "plain", Check, {1, 2}, {}},
      {"check, quick and in part", "plain", CheckLess, {1, 2}, {}},
      {"read arrays", "session", ReadArrays, {}, {}},
      {"reindex", "plain", Reindex, {1, 2}, {}, true},
      {"session", "session", [](const std::string& s) { return RunSession(s); }, {}, {}},
      {"session that the kernel tells",
       "session",
       [](const std::string& s) { return RunSession(s, CKPT_DETECT_KERNEL); },
       {},
       {}},
  };
}

const std::vector<Operation>& Operations() {
  static const std::vector<Operation> operations = [] {
    std::vector<Operation> all = FirstOperations();
    std::ranges::move(MoreOperations(), std::back_inserter(all));
    return all;
  }();
  return operations;
}

}  // namespace ckpt::faults
