// What Slurm says about the job we are in, and whether that is a reason to requeue it.
//
// A job is requeued only when Slurm itself ends it: after scancel, `scontrol requeue` would make it
// uncancellable. What tells them apart was tried out with Slurm 22.05 (tests/slurm):
//
//   time limit       Reason=TimeLimit
//   preemption       JobState=RUNNING or SIGNALING, PreemptTime is set, and not before StartTime
//   early warning    (--signal=...@N) JobState=RUNNING or SIGNALING, EndTime near
//   scancel          none of these: JobState=CANCELLED or COMPLETING, also of a job that was
//                    preempted before
//
// Thread rule: one thread.

#ifndef CKPT_CLI_RUN_SLURM_H_
#define CKPT_CLI_RUN_SLURM_H_

#include <cstdint>
#include <optional>
#include <string>

namespace ckpt {

// "ARRAY_TASK" or "JOB", as scontrol wants it; "" outside Slurm.
std::string SlurmJobName();
// Not the first task of a step started by srun.
bool IsLaterSlurmTask();
// How often Slurm has restarted the job.
std::uint64_t SlurmRestarts();

// How the program was told to stop: not that we know; SIGTERM came, another signal came; none came,
// and the program ended by one that tells to stop.
enum class Warning { kNone, kTerm, kOther, kTasks };

struct RequeueChoice {
  bool known = false;    // Slurm could be asked
  bool requeue = false;  // ... and ends the job itself
  std::string why;       // "its time limit was reached"; why not, or what failed, otherwise
};
// From a line of `scontrol show job -o`. `now`: seconds since 1970; `near_s`: how long before its
// end a job counts as warned.
RequeueChoice ChooseRequeue(const std::string& line, Warning warning, std::int64_t now,
                            std::int64_t near_s);
// Asks scontrol. REQUIRES: nobody else reaps.
RequeueChoice AskSlurm(Warning warning, std::int64_t near_s);
// In the grace of a preemption, as far as Slurm can be asked.
bool IsBeingPreempted();
// Requeues the job; "" or what went wrong.
std::string RequeueJob();

}  // namespace ckpt

#endif  // CKPT_CLI_RUN_SLURM_H_
