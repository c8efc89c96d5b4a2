// The command's exit codes: a contract (docs/cli.md).

#ifndef CKPT_CLI_EXIT_CODES_H_
#define CKPT_CLI_EXIT_CODES_H_

#include "ckpt/ckpt.h"

namespace ckpt {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitDamage = 3;
inline constexpr int kExitNotFound = 4;
inline constexpr int kExitBusy = 5;
inline constexpr int kExitSignal = 128;  // + its number: ended by a signal

constexpr int ExitCode(ckpt_code code) {
  switch (code) {
    case CKPT_OK:
      return kExitDone;
    case CKPT_INVALID_ARGUMENT:
      return kExitUsage;
    case CKPT_CORRUPTION:
      return kExitDamage;
    case CKPT_NOT_FOUND:
      return kExitNotFound;
    case CKPT_BUSY:
      return kExitBusy;
    default:
      return kExitFailed;
  }
}

}  // namespace ckpt

#endif  // CKPT_CLI_EXIT_CODES_H_
