#include "cli/run_slurm.h"

#include <cstdlib>
#include <ctime>
#include <utility>
#include <vector>

#include "cli/parse.h"
#include "cli/run_child.h"

namespace ckpt {
namespace {

std::string Variable(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

// The value of " KEY=" up to the next space. Names may hold anything, but come first or last in
// the line and are no keys of ours.
std::string Field(const std::string& line, const std::string& key) {
  const std::string text = " " + line;
  const std::size_t at = text.find(" " + key + "=");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + key.size() + 2;
  return text.substr(begin, text.find_first_of(" \n", begin) - begin);
}

// "2026-03-01T14:05:09", local time.
std::optional<std::int64_t> TimeField(const std::string& line, const std::string& key) {
  std::tm parts{};
  const std::string text = Field(line, key);
  const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  parts.tm_isdst = -1;
  return std::int64_t{mktime(&parts)};
}

// SIGNALING: it runs, and the CONT before TERM is still under way; TERM may be there already, and
// the program have ended by it.
bool IsRunning(const std::string& line) {
  const std::string state = Field(line, "JobState");
  return state == "RUNNING" || state == "SIGNALING";
}

// Only while its grace lasts: afterwards Slurm has requeued it by itself, or scancel has ended it.
bool WasPreempted(const std::string& line) {
  const auto preempted = TimeField(line, "PreemptTime");
  const auto started = TimeField(line, "StartTime");
  return IsRunning(line) && preempted && (!started || *preempted >= *started);
}

// SIGTERM is no warning: it comes with the end itself, or from scancel.
bool WasWarned(const std::string& line, Warning warning, std::int64_t now, std::int64_t near_s) {
  const auto end = TimeField(line, "EndTime");
  const bool warned = warning == Warning::kOther || warning == Warning::kTasks;
  return warned && IsRunning(line) && end && *end - now <= near_s;
}

// With proctrack/linuxproc the TERM of a time limit goes to all that the job has started, and may
// come just when we ask.
ProcessPlan Scontrol(std::vector<std::string> arguments) {
  ProcessPlan plan;
  plan.arguments = std::move(arguments);
  plan.arguments.insert(plan.arguments.begin(), "scontrol");
  plan.signals_blocked = true;
  return plan;
}

}  // namespace

std::string SlurmJobName() {
  const std::string array = Variable("SLURM_ARRAY_JOB_ID");
  const std::string task = Variable("SLURM_ARRAY_TASK_ID");
  return !array.empty() && !task.empty() ? array + "_" + task : Variable("SLURM_JOB_ID");
}

bool IsLaterSlurmTask() {
  return !Variable("SLURM_STEP_ID").empty() && ParseCount(Variable("SLURM_PROCID")).value_or(0) > 0;
}

std::uint64_t SlurmRestarts() { return ParseCount(Variable("SLURM_RESTART_COUNT")).value_or(0); }

RequeueChoice ChooseRequeue(const std::string& line, Warning warning, std::int64_t now,
                            std::int64_t near_s) {
  if (Field(line, "JobState").empty()) return {false, false, "scontrol said nothing of the job"};
  if (Field(line, "Requeue") == "0") return {true, false, "it was submitted without --requeue"};
  if (const auto restarts = ParseCount(Field(line, "Restarts")); restarts > SlurmRestarts()) {
    return {true, false, "Slurm has requeued it already"};
  }
  if (Field(line, "Reason") == "TimeLimit") return {true, true, "its time limit was reached"};
  if (WasPreempted(line)) return {true, true, "it was preempted"};
  if (WasWarned(line, warning, now, near_s)) return {true, true, "its time limit is near"};
  return {true, false,
          "neither a time limit nor a preemption ended it (JobState=" + Field(line, "JobState") +
              ", Reason=" + Field(line, "Reason") + ")"};
}

namespace {

int ShowJob(const std::string& job, std::string* output) {
  return RunForOutput(Scontrol({"show", "job", "-o", job}), output);
}

}  // namespace

bool IsBeingPreempted() {
  const std::string job = SlurmJobName();
  std::string output;
  return !job.empty() && ShowJob(job, &output) == 0 && WasPreempted(output);
}

RequeueChoice AskSlurm(Warning warning, std::int64_t near_s) {
  const std::string job = SlurmJobName();
  if (job.empty()) return {false, false, "this is no Slurm job"};
  std::string output;
  const int exit = ShowJob(job, &output);
  if (exit == kExitNoCommand) return {false, false, "there is no scontrol here"};
  if (exit != 0) return {false, false, "'scontrol show job " + job + "' failed"};
  return ChooseRequeue(output, warning, std::time(nullptr), near_s);
}

std::string RequeueJob() {
  const std::string job = SlurmJobName();
  return RunToEnd(Scontrol({"requeue", job})) == 0 ? "" : "'scontrol requeue " + job + "' failed";
}

}  // namespace ckpt
