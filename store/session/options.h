// What a session can be told, what it answers, and what it measures.
// Thread rule: values.

#ifndef CKPT_STORE_SESSION_OPTIONS_H_
#define CKPT_STORE_SESSION_OPTIONS_H_

#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "store/base/status.h"
#include "store/engine/store.h"

namespace ckpt {

enum class Durability : std::uint8_t {
  kEachSave = 0,   // committed as soon as it is staged
  kInterval = 1,   // at most so many seconds after it was staged
  kOnRequest = 2,  // on a signal, Commit() and Finish() only
};
enum class ChangeDetection : std::uint8_t {
  kHash = 0,    // everything is read and hashed
  kKernel = 1,  // what the kernel does not vouch for is (change_tracker.h)
  kAuto = 2,    // whichever costs less, for each array
};
enum class OnError : std::uint8_t { kGoOn = 0, kRetry = 1, kStop = 2 };
enum class OnStop : std::uint8_t { kEndBySignal = 0, kLeaveExit = 1 };

struct SessionOptions {
  OpenStoreOptions store;
  std::function<void(const std::string&)> notice;  // by any thread
  bool log = false;                                // a line for each save, to standard error

  std::string compatibility;            // a checkpoint saved under another key ...
  bool warn_only = false;               // ... is refused, or only noticed
  bool lenient = false;                 // Restore: what is protected may be missing
  std::uint32_t rank = 0;               // of `ranks`
  std::uint32_t ranks = 1;              //
  std::string run_id;                   // the same in all ranks of this run; needed for ranks > 1
  std::string job_id;                   // recorded; empty: $SLURM_JOB_ID
  std::uint32_t job_restarts = 0;       // of that job; with an empty id: $SLURM_RESTART_COUNT
  std::int64_t series_wait_ms = 10000;  // for another session of the series to end

  // When to save: whichever comes first. None of them: by Young and Daly's formula.
  std::int64_t every_steps = 0;
  double every_seconds = 0;
  double mean_time_between_failures_s = 24 * 3600;
  std::int64_t end_time_ns = 0;  // of the allocation, since 1970; 0: see allocation.h
  bool ask_scheduler = false;    // for it, once, by rank 0

  Durability durability = Durability::kEachSave;
  double durable_seconds = 60;             // kInterval
  std::uint64_t buffer_bytes = 64u << 20;  // of what is captured and not yet written
  std::size_t hash_threads = 1;            // of a save, while the application waits; its own is one
  ChangeDetection change_detection = ChangeDetection::kHash;
  std::uint64_t audit_saves = 16;  // every so many saves all is hashed nevertheless; 0: never

  Effort effort = Effort::kUnsaid;  // of what is stored; unsaid: the store's

  std::vector<int> stop_signals{SIGTERM};
  std::vector<int> save_signals{SIGUSR1};
  double grace_seconds = 25;  // from a stop signal to SIGKILL, at least (GraceSeconds)
  OnStop on_stop = OnStop::kEndBySignal;
  OnError on_error = OnError::kGoOn;

  std::uint64_t keep_last = 2;  // 0: everything is kept
  std::int64_t keep_every = 0;
  std::int64_t keep_within_ns = 0;
  double housekeeping_share = 0.05;  // of the time, at most, for retention and collection
  std::uint64_t quota_bytes = 0;     // of the store's packs; 0: none (see quota.h)
  std::uint64_t quota_files = 0;     // of the store's files and folders; 0: none
};

// One save, as far as it got. Seconds count from the call of Step or Begin.
struct SaveReport {
  std::int64_t step = -1;  // -1: none
  double blocked_s = 0;    // the application waited
  double waited_s = 0;     // ... of it for room in the buffer, and for what the grace allows
  double staged_s = -1;    // -1: not yet
  double durable_s = -1;
  std::uint64_t logical_bytes = 0;
  std::uint64_t changed_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t vouched_bytes = 0;  // of logical_bytes: not read, as the kernel saw nobody write
  double first_write_s = 0;         // what that cost the application since the save before
};

struct SessionReport {
  SaveReport last;  // the newest captured
  std::uint64_t saves = 0;
  std::uint64_t failed_saves = 0;
  double blocked_s = 0;  // of all saves
  double waited_s = 0;
  std::uint64_t changed_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::int64_t staged_step = -1;      // the newest
  std::int64_t durable_step = -1;     // the newest
  std::uint64_t undurable_bytes = 0;  // captured, and not durable yet
  std::uint64_t buffer_bytes = 0;
  int stop_signal = 0;             // that came
  double stop_to_durable_s = -1;   // from its arrival until what was captured was durable
  bool handlers_replaced = false;  // by somebody else, since they were installed
  std::uint64_t removed = 0;       // checkpoints, by retention
  std::uint64_t freed_bytes = 0;   // by collection
  double interval_s = 0;           // between saves, as chosen now
  std::uint64_t missed_bytes = 0;  // changed and vouched for, as an audit found
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_OPTIONS_H_
