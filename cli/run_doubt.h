// A checkpoint that `run` has saved and takes back.
//
// Files at rest are taken to be whole while the program runs. But a launcher (srun, mpirun) may
// outlive the task that was killed in the middle of a write, and then they are at rest because
// nobody is left to go on. That shows only when the launcher ends, too.
// Thread rule: one thread in each process; SavedName is shared between `run` and its workers.

#ifndef CKPT_CLI_RUN_DOUBT_H_
#define CKPT_CLI_RUN_DOUBT_H_

#include <cstdint>
#include <string>

#include "cli/console.h"

namespace ckpt {

// What a worker process saved, told to the process that started it.
class SavedName {
 public:
  SavedName();
  ~SavedName();
  SavedName(const SavedName&) = delete;
  SavedName& operator=(const SavedName&) = delete;

  void Set(std::uint64_t attempt, std::int64_t step) const;
  // "ATTEMPT:STEP"; "" when nothing was set, or there is no shared memory.
  std::string Text() const;

 private:
  struct Shared {
    std::uint64_t attempt;
    std::int64_t step;
  };
  Shared* shared_;
};

// Drops the checkpoint SERIES@NAME, unless it is the only one there is. To be called in a worker.
// Answers an exit code; kExitNotFound: it is the only one.
int TakeBack(Console& console, const std::string& series, const std::string& name);

}  // namespace ckpt

#endif  // CKPT_CLI_RUN_DOUBT_H_
