#include "store/io/forked_locks.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <set>

namespace ckpt::posix {
namespace {

struct Locked {
  std::mutex mutex;
  std::set<int> fds;
};

void InForkedChild();

Locked* Get() {
  static Locked* const locked = [] {
    // Held across fork, so that the child finds the set whole.
    pthread_atfork([] { Get()->mutex.lock(); }, [] { Get()->mutex.unlock(); }, InForkedChild);
    return new Locked;
  }();
  return locked;
}

void InForkedChild() {
  Locked* locked = Get();
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd : locked->fds) {
    if (null >= 0) {
      ::dup3(null, fd, O_CLOEXEC);
    } else {
      ::close(fd);  // no descriptor is left: a lock that stays would be worse
    }
  }
  if (null >= 0) ::close(null);
  locked->mutex.unlock();
}

}  // namespace

void AddLockedDescriptor(int fd) {
  std::lock_guard lock(Get()->mutex);
  Get()->fds.insert(fd);
}

void RemoveLockedDescriptor(int fd) {
  std::lock_guard lock(Get()->mutex);
  Get()->fds.erase(fd);
}

}  // namespace ckpt::posix
