// The indexes of the hosts of a simulated world: kept from process to process, like a file of
// LMDB's, and able to be as they were after any of the updates that were published, as such a file
// may be after a power loss.
//
//   KeptIndexes indexes;
//   kept_indexes = &indexes;  // OpenAt (collect_fixture.h) uses them from here on
//   ...
//   KeptIndexes before = indexes.Until(indexes.updates() - 1);
//
// Thread rule: one thread.

#ifndef CKPT_TESTS_SUPPORT_KEPT_INDEX_H_
#define CKPT_TESTS_SUPPORT_KEPT_INDEX_H_

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "store/index/index.h"
#include "tests/support/sim_world.h"

namespace ckpt {

class KeptIndexes {
 public:
  KeptIndexes();
  ~KeptIndexes();
  KeptIndexes(KeptIndexes&&) noexcept;

  // That of the process's host. A process that is dead publishes no more.
  std::shared_ptr<Index> Open(SimWorld* process);
  std::size_t updates() const;
  // As they were after the first `count` updates.
  KeptIndexes Until(std::size_t count) const;
  // From now on they say that they cover so much more of each pack than they have (test of a test).
  void set_lead(std::uint64_t bytes);

  struct State;

 private:
  std::shared_ptr<State> state_;
};

inline KeptIndexes* kept_indexes = nullptr;

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_KEPT_INDEX_H_
