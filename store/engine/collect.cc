#include "store/engine/collect.h"

namespace ckpt {

struct Collector::State {
  Store* store = nullptr;
  CollectOptions options;
  std::unique_ptr<File> lock;
};

Result<std::unique_ptr<Collector>> Collector::Open(Store* store, CollectOptions options) {
  auto state = std::make_unique<State>();
  state->store = store;
  if (!options.dry_run) {
    CKPT_ASSIGN_OR_RETURN(state->lock, store->LockCollector(options.wait_ms));
  }
  state->options = std::move(options);
  return std::unique_ptr<Collector>(new Collector(std::move(state)));
}

Collector::Collector(std::unique_ptr<State> state) : state_(std::move(state)) {}
Collector::~Collector() = default;

Status Collector::Run(const std::vector<Removal>& /*planned*/, Collected* /*result*/) {
  return Status();
}

}  // namespace ckpt
