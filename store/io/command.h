// Runs a short program and reads what it prints: the scheduler's, to ask for a job's end.
// Thread rule: any thread. The program runs with no signal blocked and the default dispositions.

#ifndef CKPT_STORE_IO_COMMAND_H_
#define CKPT_STORE_IO_COMMAND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "store/base/status.h"

namespace ckpt {

// The program is looked for in $PATH; its standard error goes nowhere. NotFound: there is none.
// IoError: it failed, printed more than 1 MiB, or took longer (then it is killed).
Result<std::string> CommandOutput(const std::vector<std::string>& arguments,
                                  std::int64_t timeout_ms);

}  // namespace ckpt

#endif  // CKPT_STORE_IO_COMMAND_H_
