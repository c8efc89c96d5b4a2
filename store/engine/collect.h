// Collector: returns the space of what no checkpoint needs, by whole packs. The states, their names
// and why nothing is lost are docs/collection.md's; one function here is one transition there.
//
//   CKPT_ASSIGN_OR_RETURN(auto collector, Collector::Open(store, options));   // locks/collect
//   CKPT_RETURN_IF_ERROR(collector->Run(&result));
//
// Keeps I1 and I2 (nothing a root needs is unlinked before its copy is durable), I5 (doubt means
// alive), I7 and I12. Memory: 27 to 54 bytes for each distinct chunk in use (a table of ids), a few
// hundred bytes for each checkpoint, and the table of one pack at a time.
// Thread rule: one thread; writers and readers of any process go on beside it.

#ifndef CKPT_STORE_ENGINE_COLLECT_H_
#define CKPT_STORE_ENGINE_COLLECT_H_

#include <memory>
#include <string>
#include <vector>

#include "store/engine/remove.h"
#include "store/engine/store.h"

namespace ckpt {

struct CollectOptions {
  bool dry_run = false;          // takes no lock, writes nothing
  std::int64_t wait_ms = 10000;  // for the lock, and for writers to acknowledge
  double live_share = 0.75;      // packs with a smaller share of live bytes are rewritten
  std::string break_host_name;   // writers of this host are dead: a person's word for it
};

struct Collected {
  std::uint64_t freed_bytes = 0;
  std::uint64_t rewritten_bytes = 0;
  std::uint64_t packs_removed = 0;
  std::uint64_t packs_waiting = 0;
};

class Collector {
 public:
  // Busy: another collector, or a freeze. Unsupported: no locks on this file system.
  static Result<std::unique_ptr<Collector>> Open(Store* store, CollectOptions options);
  ~Collector();

  // Resume, then one epoch for dead packs and one for sparse ones. `planned`: in a dry run, what
  // retention would drop.
  Status Run(const std::vector<Removal>& planned, Collected* result);

 private:
  struct State;
  explicit Collector(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_COLLECT_H_
