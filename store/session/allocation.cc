#include "store/session/allocation.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "store/io/command.h"
#include "store/io/env.h"
#include "store/io/process.h"

namespace ckpt {
namespace {

constexpr std::int64_t kAskMs = 5000;
// No warning comes sooner before the end (--near-limit of the command's run is the same).
constexpr double kWarningSecondsMax = 15 * 60;

std::int64_t AskScheduler() {
  const std::string job = SchedulerJobName();
  if (job.empty() || job.find_first_not_of("0123456789_") != std::string::npos) return 0;
  auto text = CommandOutput({"scontrol", "--oneliner", "show", "job", job}, kAskMs);
  return text.ok() ? ParseEndTime(*text) : 0;
}

}  // namespace

double GraceSeconds(double setting_s, std::int64_t end_time_ns, std::int64_t now_ns) {
  const double left_s = (static_cast<double>(end_time_ns) - static_cast<double>(now_ns)) * 1e-9;
  const bool warned = end_time_ns != 0 && left_s <= kWarningSecondsMax;
  return warned ? std::max(setting_s, left_s) : setting_s;
}

std::string SchedulerJobName() {
  const std::string array = EnvironmentVariable("SLURM_ARRAY_JOB_ID");
  const std::string task = EnvironmentVariable("SLURM_ARRAY_TASK_ID");
  if (!array.empty() && !task.empty()) return array + "_" + task;
  return EnvironmentVariable("SLURM_JOB_ID");
}

std::int64_t ParseEndTime(std::string_view text) {
  constexpr std::string_view kKey = "EndTime=";
  const std::size_t at = text.find(kKey);
  if (at == std::string_view::npos) return 0;
  const std::string value(text.substr(at + kKey.size(), 19));
  std::tm when = {};
  const int fields =
      std::sscanf(value.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d", &when.tm_year, &when.tm_mon,
                  &when.tm_mday, &when.tm_hour, &when.tm_min, &when.tm_sec);
  if (fields != 6) return 0;  // "Unknown", "N/A"
  when.tm_year -= 1900;
  when.tm_mon -= 1;
  when.tm_isdst = -1;
  const std::time_t seconds = std::mktime(&when);
  return seconds > 0 ? static_cast<std::int64_t>(seconds) * kNsPerSecond : 0;
}

std::int64_t AllocationEndNs(bool ask, std::int64_t now_ns) {
  const std::int64_t told = std::atoll(EnvironmentVariable("SLURM_JOB_END_TIME").c_str());
  // One that has passed is another job's (a shell's that outlived it, say), or was put off.
  if (told > now_ns / kNsPerSecond) return told * kNsPerSecond;
  if (!ask) return 0;
  static const std::int64_t asked = AskScheduler();
  return asked;
}

}  // namespace ckpt
