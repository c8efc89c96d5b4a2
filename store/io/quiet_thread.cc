#include "store/io/quiet_thread.h"

#include <pthread.h>

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

}  // namespace

std::thread StartQuietThread(std::function<void()> main) {
  BlockAllSignals blocked;
  return std::thread(std::move(main));
}

}  // namespace ckpt
