// When the scheduler will end this job, and how long a process has that was told to stop.
// Thread rule: any thread; the scheduler is asked once a process.

#ifndef CKPT_STORE_SESSION_ALLOCATION_H_
#define CKPT_STORE_SESSION_ALLOCATION_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace ckpt {

// Nanoseconds since 1970; 0: not known. From $SLURM_JOB_END_TIME; where that is not set, or has
// passed, and `ask` says so, from one call of scontrol for this job.
std::int64_t AllocationEndNs(bool ask, std::int64_t now_ns);

// Seconds that a process has which is told to stop now. Where the allocation ends so soon that the
// signal is its scheduler's warning, until that end; else, or if that is longer, the setting:
// preemption, scancel and people come at any time, and their SIGKILL does not wait for the end.
double GraceSeconds(double setting_s, std::int64_t end_time_ns, std::int64_t now_ns);

// As scontrol wants it: for a task of an array "ARRAY_TASK", since the last one's own id is that of
// the whole array. Empty: there is none.
std::string SchedulerJobName();

// "... EndTime=2026-11-22T10:00:00 ..." as scontrol prints it, in local time; 0: there is none.
std::int64_t ParseEndTime(std::string_view text);

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_ALLOCATION_H_
