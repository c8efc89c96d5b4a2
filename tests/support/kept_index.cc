#include "tests/support/kept_index.h"

#include "store/index/memory_index.h"

namespace ckpt {

struct KeptIndexes::State {
  struct Of {
    std::shared_ptr<Index> index = NewMemoryIndex();
    std::uint64_t generation = 1;
  };
  std::map<Id128, Of> of_host;
  std::vector<std::pair<Id128, IndexUpdate>> updates;
  std::uint64_t lead = 0;

  Result<bool> Publish(const Id128& host, IndexUpdate update) {
    Of& of = of_host[host];
    for (PackUpdate& pack : update.packs) pack.coverage.covered_bytes += lead;
    CKPT_ASSIGN_OR_RETURN(bool published, of.index->Publish(update));
    updates.emplace_back(host, update);
    bool anew = !update.dropped_packs.empty();
    for (const PackUpdate& pack : update.packs) anew = anew || pack.covered_before == 0;
    if (anew) ++of.generation;
    return published;
  }
};

namespace {

class KeptIndex final : public Index {
 public:
  KeptIndex(std::shared_ptr<KeptIndexes::State> state, SimWorld* process)
      : state_(std::move(state)), process_(process), host_(process->HostId()) {}

  Result<std::vector<PackCoverage>> Packs() override { return of().index->Packs(); }
  std::uint64_t GenerationNumber() override { return of().generation; }
  Result<std::optional<ChunkPlace>> FindChunk(const Id128& id) override {
    return of().index->FindChunk(id);
  }
  Status ScanRecords(ByteSpan prefix, bool reverse, const RecordVisitor& fn) override {
    return of().index->ScanRecords(prefix, reverse, fn);
  }
  Result<bool> Publish(const IndexUpdate& update) override {
    if (!process_->alive()) return IoError("publish: the process is dead");
    return state_->Publish(host_, update);
  }
  Result<IndexStats> Stats() override { return of().index->Stats(); }

 private:
  KeptIndexes::State::Of& of() { return state_->of_host[host_]; }

  const std::shared_ptr<KeptIndexes::State> state_;
  SimWorld* const process_;
  const Id128 host_;
};

}  // namespace

KeptIndexes::KeptIndexes() : state_(std::make_shared<State>()) {}
KeptIndexes::~KeptIndexes() = default;
KeptIndexes::KeptIndexes(KeptIndexes&&) noexcept = default;

std::shared_ptr<Index> KeptIndexes::Open(SimWorld* process) {
  return std::make_shared<KeptIndex>(state_, process);
}

std::size_t KeptIndexes::updates() const { return state_->updates.size(); }

void KeptIndexes::set_lead(std::uint64_t bytes) { state_->lead = bytes; }

KeptIndexes KeptIndexes::Until(std::size_t count) const {
  KeptIndexes before;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& [host, update] = state_->updates[i];
    (void)before.state_->Publish(host, update).ok();
  }
  return before;
}

}  // namespace ckpt
