// IdTable: a hash table of chunk ids for walks over whole stores, with a small value each. IdSet:
// ids alone. Open addressing: a slot is 16 bytes plus the value, three eighths to three quarters
// are used, so a set costs 21 to 43 bytes an id. A table that is told how many ids it will have has
// room for these at once. Thread rule: one thread, or a lock of the owner's.

#ifndef CKPT_STORE_ENGINE_ID_TABLE_H_
#define CKPT_STORE_ENGINE_ID_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "store/base/bytes.h"

namespace ckpt {

template <typename Value>
class IdTable {
 public:
  // How many ids go into a table of so many bytes.
  static std::size_t IdsIn(std::uint64_t bytes) {
    return static_cast<std::size_t>(bytes / sizeof(Slot) / 4 * 3);
  }
  // Null when it is not there. Good until the next Insert.
  Value* Find(const Id128& id) {
    if (Same(id, Id128{})) return has_zero_ ? &zero_ : nullptr;
    if (slots_.empty()) return nullptr;
    Slot& slot = slots_[Place(id)];
    return Same(slot.id, id) ? &slot.value : nullptr;
  }
  bool Contains(const Id128& id) { return Find(id) != nullptr; }
  // The value, and whether the id is new (its value is then a default one).
  std::pair<Value*, bool> Insert(const Id128& id) {
    if (Same(id, Id128{})) return {&zero_, !std::exchange(has_zero_, true)};
    if (4 * (used_ + 1) > 3 * slots_.size()) Grow();
    Slot& slot = slots_[Place(id)];
    if (Same(slot.id, id)) return {&slot.value, false};
    slot.id = id;
    ++used_;
    return {&slot.value, true};
  }
  std::size_t size() const { return used_ + (has_zero_ ? 1 : 0); }
  // It will not have more ids than that (whoever has more asks too late, and it grows).
  void Bound(std::size_t ids) { slots_most_ = SlotsFor(ids); }
  // Forgets all ids and makes room for so many.
  void Reset(std::size_t ids) {
    std::vector<Slot>().swap(slots_);
    slots_ = std::vector<Slot>(ids == 0 ? 0 : SlotsFor(ids));
    used_ = 0;
    has_zero_ = false;
    zero_ = Value{};
  }
  template <typename Function>
  void ForEach(Function&& fn) {
    if (has_zero_) fn(Id128(), zero_);
    for (Slot& slot : slots_) {
      if (!Same(slot.id, Id128{})) fn(slot.id, slot.value);
    }
  }

 private:
  struct Slot {
    Id128 id;  // zeros: free
    [[no_unique_address]] Value value{};
  };

  // One more than the ids need, so that the last of them does not make it grow.
  static std::size_t SlotsFor(std::size_t ids) {
    return ids > SIZE_MAX / 8 ? SIZE_MAX : ids / 3 * 4 + 8;
  }
  // As two words: a call for each would take as long as all else.
  static bool Same(const Id128& a, const Id128& b) {
    std::uint64_t words[4];
    std::memcpy(words, a.bytes.data(), 16);
    std::memcpy(words + 2, b.bytes.data(), 16);
    return ((words[0] ^ words[2]) | (words[1] ^ words[3])) == 0;
  }
  // The slot of the id, or the free one where it would go.
  std::size_t Place(const Id128& id) const {
    const std::size_t size = slots_.size();
    const auto wide = static_cast<unsigned __int128>(Id128Hash()(id)) * size;
    auto at = static_cast<std::size_t>(wide >> 64);
    while (!Same(slots_[at].id, id) && !Same(slots_[at].id, Id128{}))
      at = at + 1 == size ? 0 : at + 1;
    return at;
  }
  void Grow() {
    std::vector<Slot> old = std::move(slots_);
    const std::size_t twice = old.empty() ? 16 : 2 * old.size();
    slots_ = std::vector<Slot>(old.size() < slots_most_ ? std::min(twice, slots_most_) : twice);
    for (Slot& slot : old) {
      if (!Same(slot.id, Id128{})) slots_[Place(slot.id)] = slot;
    }
  }

  std::size_t slots_most_ = SIZE_MAX;
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

// What a walk over trees has met. Content may have the bytes of a node, and whoever met it has not
// been below the node.
class SeenIds {
 public:
  // False: it was met before.
  bool Insert(const Id128& id, bool is_node) { return (is_node ? nodes_ : content_).Insert(id); }

 private:
  IdSet nodes_;
  IdSet content_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_ID_TABLE_H_
