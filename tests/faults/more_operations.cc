// Operations that share most of their way with those of operations.cc, and have errors of their own
// on the rest: returns to older steps, ranks, streams, packs that are full, a folder that is not
// empty, no index.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tests/faults/calls.h"
#include "tests/faults/fault_points.h"
#include "tests/faults/operations.h"

namespace ckpt::faults {
namespace {

namespace fs = std::filesystem;

Outcome SaveWith(const std::string& path, const ckpt_save_options& options) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  if (!store) return calls.outcome();
  const std::string data = DataOf(path);
  const char* paths[] = {data.c_str()};
  const std::size_t count = options.stream_fd >= 0 ? 0 : 1;
  calls.CKPT_CALL(ckpt_save_files(store.get(), &options, paths, count, nullptr));
  return calls.outcome();
}

ckpt_save_options Into(const char* series) {
  ckpt_save_options options = CKPT_SAVE_OPTIONS_INIT;
  options.series = series;
  options.wait_ms = 100;
  return options;
}

Outcome GoBack(const std::string& path) {
  ckpt_save_options options = Into("run");
  options.from_step = 1;
  options.step = 5;
  return SaveWith(path, options);
}

Outcome SaveRanks(const std::string& path) {
  for (const std::int64_t step : {1, 2}) {
    for (const std::uint32_t rank : {0, 1}) {
      ckpt_save_options options = Into("ranks");
      options.step = step;
      options.ranks = 2;
      options.rank = rank;
      options.run_id = "a run";
      const Outcome outcome = SaveWith(path, options);
      if (outcome.code != CKPT_OK) return outcome;
    }
  }
  return {};
}

Outcome SaveStream(const std::string& path) {
  ckpt_save_options options = Into("stream");
  options.stream_fd = open((DataOf(path) + "/large").c_str(), O_RDONLY | O_CLOEXEC);
  options.stream_name = "large";
  const Outcome outcome = SaveWith(path, options);
  close(options.stream_fd);
  return outcome;
}

// Over what the step before left, of which one file is as it shall be.
Outcome RestoreOver(const std::string& path) {
  const std::string to = fs::path(path).parent_path() / "restored";
  ckpt_open_options open = CKPT_OPEN_OPTIONS_INIT;
  ckpt_store* old = nullptr;
  ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
  options.checkpoint = "run@1";
  options.to = to.c_str();
  if (ckpt_store_open(path.c_str(), &open, &old) != CKPT_OK ||
      ckpt_restore_files(old, &options, nullptr, nullptr, nullptr) != CKPT_OK) {
    std::abort();
  }
  ckpt_store_close(old);
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_READ);
  if (!store) return calls.outcome();
  options.checkpoint = "run@2";
  options.force = 1;
  calls.CKPT_CALL(ckpt_restore_files(store.get(), &options, nullptr, nullptr, nullptr));
  calls.CKPT_CALL(ckpt_restore_files(store.get(), &options, nullptr, nullptr, nullptr));
  return calls.outcome();
}

// What is damaged is found, passed over and set aside.
Outcome CheckAndRepair(const std::string& path) {
  const Outcome checked = Check(path);
  const bool found = checked.message.find("do not have") != std::string::npos;
  if (checked.code != CKPT_OK && !found) return checked;
  Calls calls;
  if (OpenStore store(&calls, path, CKPT_OPEN_READ); store) {
    const std::string to = fs::path(path).parent_path() / "sound";
    ckpt_restore_options options = CKPT_RESTORE_OPTIONS_INIT;
    options.checkpoint = "run";
    options.to = to.c_str();
    options.fallback = 1;
    calls.CKPT_CALL(ckpt_restore_files(store.get(), &options, nullptr, nullptr, nullptr));
    ckpt_stats stats = CKPT_STATS_INIT;
    calls.CKPT_CALL(ckpt_get_stats(store.get(), &stats));
  }
  return calls.outcome().code == CKPT_OK ? Repair(path) : calls.outcome();
}

// Of packs that gave back what lay between.
Outcome UseHoles(const std::string& path) {
  Outcome outcome = Check(path);
  if (outcome.code == CKPT_OK) outcome = SaveStep(path, 4, CKPT_OPEN_WRITE);
  if (outcome.code == CKPT_OK) outcome = CollectAll(path);
  return outcome;
}

Outcome Freeze(const std::string& path) {
  Calls calls;
  OpenStore store(&calls, path, CKPT_OPEN_WRITE);
  ckpt_freeze* freeze = nullptr;
  if (store && calls.CKPT_CALL(ckpt_freeze_begin(store.get(), 50, &freeze))) {
    TestsOwn library(false);
    ckpt_thaw(freeze);
  }
  return calls.outcome();
}

Outcome Analyze(const std::string& path) {
  Calls calls;
  const std::string data = DataOf(path);
  const char* paths[] = {data.c_str()};
  const auto nothing = [](const ckpt_analysis*, void*) { return 0; };
  const auto no_effort = [](const ckpt_effort_estimate*, void*) { return 0; };
  ckpt_analyze_result result = CKPT_ANALYZE_RESULT_INIT;
  calls.CKPT_CALL(ckpt_analyze_efforts(paths, 1, 3, nullptr, nothing, no_effort, nullptr, &result));
  return calls.outcome();
}

// The same where no index can be.
template <Outcome (*kOperation)(const std::string&)>
Outcome WithoutIndex(const std::string& path) {
  setenv("CKPT_INDEX_DIR", "/dev/null/none", 1);
  const Outcome outcome = kOperation(path);
  unsetenv("CKPT_INDEX_DIR");
  return outcome;
}

Outcome SaveThird(const std::string& path) { return SaveStep(path, 3, CKPT_OPEN_WRITE); }
Outcome SaveFourth(const std::string& path) { return SaveStep(path, 4, CKPT_OPEN_WRITE); }
Outcome SaveAgain(const std::string& path) { return SaveStep(path, 2, CKPT_OPEN_WRITE); }
Outcome RestoreSynced(const std::string& path) { return RestoreNewest(path, true); }

}  // namespace

std::vector<Operation> MoreOperations() {
  return {
      {"save that goes back", "plain", GoBack, {1, 2}, {5}},
      {"save of a step again", "plain", SaveAgain, {1, 2}, {2}},
      {"save of ranks", "plain", SaveRanks, {1, 2}, {}},
      {"save of a stream", "plain", SaveStream, {1, 2}, {}},
      {"restore over another step", "plain", RestoreOver, {1, 2}, {}},
      {"check and repair", "damaged", CheckAndRepair, {1, 2}, {}},
      {"check, save, gc of packs with holes", "holes", UseHoles, {}, {4}},
      {"freeze", "plain", Freeze, {1, 2}, {}},
      {"analyze", "plain", Analyze, {1, 2}, {}},
      {"save into full packs", "full", SaveFourth, {2, 3}, {4}},
      {"gc of full packs", "full", CollectAll, {3}, {}},
      {"reindex of full packs", "full", Reindex, {2, 3}, {}, true},
      {"save without an index", "plain", WithoutIndex<SaveThird>, {1, 2}, {3}},
      {"gc without an index", "garbage", WithoutIndex<CollectAll>, {3}, {}},
      {"restore without an index", "plain", WithoutIndex<RestoreSynced>, {1, 2}, {}},
  };
}

}  // namespace ckpt::faults
