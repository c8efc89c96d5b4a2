#include "store/io/quiet_thread.h"

#include <pthread.h>
#include <sched.h>

#include <csignal>
#include <utility>

namespace ckpt {
namespace {

// A thread inherits its maker's mask, so the maker's is closed while it is made.
class BlockAllSignals {
 public:
  BlockAllSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockAllSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockAllSignals(const BlockAllSignals&) = delete;
  BlockAllSignals& operator=(const BlockAllSignals&) = delete;

 private:
  sigset_t before_;
};

// The cores the process had when it was loaded. A thread inherits its maker's, which may be the one
// core an OpenMP runtime gave it: ours would fight the computation for that.
struct CoresAtLoad {
  CoresAtLoad() { known = sched_getaffinity(0, sizeof(cores), &cores) == 0; }
  cpu_set_t cores;
  bool known = false;
};
const CoresAtLoad cores_at_load;

}  // namespace

std::thread StartQuietThread(std::function<void()> main) {
  BlockAllSignals blocked;
  return std::thread([main = std::move(main)] {
    if (cores_at_load.known) {
      sched_setaffinity(0, sizeof(cores_at_load.cores), &cores_at_load.cores);  // else as it is
    }
    main();
  });
}

}  // namespace ckpt
