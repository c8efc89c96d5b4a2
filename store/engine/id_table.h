// IdTable: a hash table of chunk ids for walks over whole stores, with a small value each. IdSet:
// ids alone. Open addressing: a slot is 16 bytes plus the value, a half to three quarters are used,
// so a set costs 21 to 43 bytes an id. Thread rule: one thread, or a lock of the owner's.

#ifndef CKPT_STORE_ENGINE_ID_TABLE_H_
#define CKPT_STORE_ENGINE_ID_TABLE_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "store/base/bytes.h"

namespace ckpt {

template <typename Value>
class IdTable {
 public:
  // Null when it is not there. Good until the next Insert.
  Value* Find(const Id128& id) {
    if (id.IsZero()) return has_zero_ ? &zero_ : nullptr;
    if (slots_.empty()) return nullptr;
    Slot& slot = slots_[Place(id)];
    return slot.id == id ? &slot.value : nullptr;
  }
  bool Contains(const Id128& id) { return Find(id) != nullptr; }
  // The value, and whether the id is new (its value is then a default one).
  std::pair<Value*, bool> Insert(const Id128& id) {
    if (id.IsZero()) return {&zero_, !std::exchange(has_zero_, true)};
    if (4 * (used_ + 1) > 3 * slots_.size()) Grow();
    Slot& slot = slots_[Place(id)];
    if (slot.id == id) return {&slot.value, false};
    slot.id = id;
    ++used_;
    return {&slot.value, true};
  }
  std::size_t size() const { return used_ + (has_zero_ ? 1 : 0); }
  template <typename Function>
  void ForEach(Function&& fn) {
    if (has_zero_) fn(Id128(), zero_);
    for (Slot& slot : slots_) {
      if (!slot.id.IsZero()) fn(slot.id, slot.value);
    }
  }

 private:
  struct Slot {
    Id128 id;  // zeros: free
    [[no_unique_address]] Value value{};
  };

  // The slot of the id, or the free one where it would go.
  std::size_t Place(const Id128& id) const {
    std::size_t mask = slots_.size() - 1;
    std::size_t at = Id128Hash()(id) & mask;
    while (!slots_[at].id.IsZero() && slots_[at].id != id) at = (at + 1) & mask;
    return at;
  }
  void Grow() {
    std::vector<Slot> old = std::move(slots_);
    slots_ = std::vector<Slot>(old.empty() ? 16 : 2 * old.size());
    for (Slot& slot : old) {
      if (!slot.id.IsZero()) slots_[Place(slot.id)] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
  bool has_zero_ = false;
  [[no_unique_address]] Value zero_{};
};

struct NoValue {};

class IdSet {
 public:
  bool Insert(const Id128& id) { return table_.Insert(id).second; }
  bool Contains(const Id128& id) { return table_.Contains(id); }
  std::size_t size() const { return table_.size(); }

 private:
  IdTable<NoValue> table_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_ID_TABLE_H_
