// SampledIds: distinct chunks with their sizes in bounded memory. When the table is full, half of
// what it holds is dropped, by a bit of the id, and from then on only chunks with that bit clear
// count, each for two (adaptive sampling: M. Wegman, as in P. Flajolet, "On adaptive sampling",
// Computing 43, 1990). Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_SAMPLED_IDS_H_
#define CKPT_STORE_ENGINE_SAMPLED_IDS_H_

#include <cstdint>
#include <vector>

#include "store/base/bytes.h"

namespace ckpt {

class SampledIds {
 public:
  explicit SampledIds(std::size_t slots_max = 1u << 20) : slots_max_(slots_max), slots_(1024) {}

  struct Sizes {
    std::uint32_t raw_bytes = 0;
    std::uint32_t stored_bytes = 0;
  };
  // The sizes of a chunk that is new and in the sample, to be filled in before the next call; null
  // when it is neither.
  Sizes* Insert(const Id128& id) {
    std::uint64_t print = LoadU64(reinterpret_cast<const std::byte*>(id.bytes.data())) | 1;
    if (!Sampled(print)) return nullptr;
    if (4 * (used_ + 1) > 3 * slots_.size()) {
      MakeRoom();
      if (!Sampled(print)) return nullptr;
    }
    Slot& slot = slots_[Place(print)];
    if (slot.print == print) return nullptr;
    slot.print = print;
    ++used_;
    return &slot.sizes;
  }

  struct Totals {
    std::uint64_t chunks = 0;
    std::uint64_t raw_bytes = 0;
    std::uint64_t stored_bytes = 0;
  };
  Totals Sum() const {
    Totals totals;
    for (const Slot& slot : slots_) {
      if (slot.print == 0) continue;
      ++totals.chunks;
      totals.raw_bytes += slot.sizes.raw_bytes;
      totals.stored_bytes += slot.sizes.stored_bytes;
    }
    return {totals.chunks << halvings_, totals.raw_bytes << halvings_,
            totals.stored_bytes << halvings_};
  }
  bool exact() const { return halvings_ == 0; }

 private:
  struct Slot {
    std::uint64_t print = 0;  // 64 bits of the id; 0: free
    Sizes sizes;
  };

  bool Sampled(std::uint64_t print) const {
    return halvings_ == 0 || print >> (64 - halvings_) == 0;
  }
  std::size_t Place(std::uint64_t print) const {
    std::size_t mask = slots_.size() - 1;
    std::size_t at = (print >> 1) & mask;
    while (slots_[at].print != 0 && slots_[at].print != print) at = (at + 1) & mask;
    return at;
  }
  void MakeRoom() {
    std::vector<Slot> old = std::move(slots_);
    bool grow = old.size() < slots_max_;
    if (!grow) ++halvings_;
    slots_ = std::vector<Slot>(grow ? 2 * old.size() : old.size());
    used_ = 0;
    for (const Slot& slot : old) {
      if (slot.print == 0 || !Sampled(slot.print)) continue;
      slots_[Place(slot.print)] = slot;
      ++used_;
    }
  }

  const std::size_t slots_max_;
  std::vector<Slot> slots_;  // a power of two
  std::size_t used_ = 0;
  int halvings_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_SAMPLED_IDS_H_
