#include "store/index/process_registry.h"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "store/index/lmdb_index_impl.h"

namespace ckpt::index_internal {
namespace {

struct Registry {
  // Recursive: without memory for the pointer that is to share it, an index just made is closed
  // again on the spot.
  std::recursive_mutex mutex;
  std::condition_variable_any closed;
  // Present until the index is closed; expired while it is being closed.
  std::map<RegistryKey, std::weak_ptr<LmdbIndex>> open;
};

std::atomic<std::uint64_t> g_forks{0};
std::atomic<Registry*> g_registry{nullptr};

// The child has no registry until it asks for one; the parent's is leaked with all it names: its
// mutex may have been held by a thread that does not exist here. Nothing is allocated: allocators
// that are not glibc's own (a sanitizer's, say) may not be fit for use yet.
void InForkedChild() {
  g_forks.fetch_add(1);
  g_registry.store(nullptr);
}

Registry* TheRegistry() {
  static const bool once = [] {
    pthread_atfork(nullptr, nullptr, InForkedChild);
    return true;
  }();
  static_cast<void>(once);
  Registry* registry = g_registry.load();
  if (registry != nullptr) return registry;
  auto fresh = std::make_unique<Registry>();
  return g_registry.compare_exchange_strong(registry, fresh.get()) ? fresh.release() : registry;
}

}  // namespace

std::uint64_t ForkCount() { return g_forks.load(std::memory_order_relaxed); }

Result<std::shared_ptr<LmdbIndex>> FindOrMake(const RegistryKey& key,
                                              const std::function<LmdbIndex*()>& make) {
  Registry* registry = TheRegistry();
  std::unique_lock lock(registry->mutex);
  for (auto at = registry->open.find(key); at != registry->open.end();
       at = registry->open.find(key)) {
    if (std::shared_ptr<LmdbIndex> index = at->second.lock()) return index;
    registry->closed.wait(lock);
  }
  auto close = [registry, key](LmdbIndex* index) {
    delete index;
    if (registry != g_registry.load()) return;  // a forked child lets go of its parent's
    std::lock_guard relock(registry->mutex);
    registry->open.erase(key);
    registry->closed.notify_all();
  };
  std::weak_ptr<LmdbIndex>& entry = registry->open[key];
  try {
    std::shared_ptr<LmdbIndex> index(make(), close);
    entry = index;
    return index;
  } catch (...) {
    registry->open.erase(key);  // nobody is to wait for it
    throw;
  }
}

}  // namespace ckpt::index_internal
