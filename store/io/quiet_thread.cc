#include "store/io/quiet_thread.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <csignal>
#include <new>
#include <system_error>
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

Result<std::thread> StartQuietThread(std::function<void()> main) {
  BlockAllSignals blocked;
  try {
    return std::thread([main = std::move(main)] {
      if (cores_at_load.known) {
        sched_setaffinity(0, sizeof(cores_at_load.cores), &cores_at_load.cores);  // else as it is
      }
      main();
    });
  } catch (const std::system_error& e) {
    return IoError("start a helper thread: " + e.code().message() +
                   " (raise the limit of processes, ulimit -u)");
  }
}

Status AddQuietThread(std::vector<std::thread>* threads, std::function<void()> main) {
  threads->reserve(threads->size() + 1);  // what throws must do so before there is a thread
  Result<std::thread> thread = StartQuietThread(std::move(main));
  if (!thread.ok()) return threads->empty() ? thread.status() : Status();
  threads->push_back(*std::move(thread));
  return Status();
}

Status RunOnThreads(std::size_t threads, const std::function<void(std::size_t)>& main) {
  std::atomic<bool> no_memory{false};
  auto run = [&](std::size_t thread) {  // a thread has nobody to throw to
    try {
      main(thread);
    } catch (const std::bad_alloc&) {
      no_memory = true;
    }
  };
  std::vector<std::thread> others;
  try {
    for (std::size_t thread = 1; thread < threads; ++thread) {
      if (!AddQuietThread(&others, [&run, thread] { run(thread); }).ok()) break;
    }
  } catch (const std::bad_alloc&) {  // fewer, then: the work is shared
  }
  run(0);
  for (std::thread& other : others) other.join();
  return no_memory ? NoMemoryLeft() : Status();
}

}  // namespace ckpt
