// What failing_world_test.cc does again and again: small stores in a simulated world, as users and
// their mishaps leave them, and what is done to them. Files, arrays, ranks and blocks are in each.
// Thread rule: one thread.

#ifndef CKPT_TESTS_SUPPORT_WORLD_WORKS_H_
#define CKPT_TESTS_SUPPORT_WORLD_WORKS_H_

#include <atomic>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "store/engine/save_files.h"
#include "store/engine/store.h"
#include "tests/support/kept_index.h"
#include "tests/support/sim_world.h"

namespace ckpt::world_works {

// The index that a world's first process opens stores with; null: in memory, each its own.
inline std::shared_ptr<Index> index_in_use;
// Reports of progress so far, and the one at which the caller says that it is enough.
inline std::atomic<std::uint64_t> reports{0}, enough_at{0};
// Of files and arrays that are saved, and of their chunks in stores that are made.
inline std::size_t large_bytes = 20000;  // of a WorldStore
inline std::uint32_t chunk_bytes = 4096;

Result<std::unique_ptr<Store>> Open(SimProcess* world, OpenStoreOptions::Mode mode);

// Some of what is done, for stores to be made with.
Result<Saved> SaveData(Store* store, const std::string& series, SaveFilesOptions options = {});
Status PutArrays(Store* store, SaveOptions options, std::uint64_t seed);
Status SaveRanks(Store* store, std::int64_t step, std::uint32_t ranks, const std::string& run);

struct WorldStore {
  const char* name;
  void (*make)(SimWorld*);
  // Checkpoints that can be restored, whatever honest failures there are.
  std::vector<std::string> sound;
  bool damaged = false;
  std::size_t block_bytes = 3000;
  std::uint64_t slower = 1;  // it is tried so many times less often
  std::size_t large_bytes = 20000;
  bool similar_blocks = false;
};
inline void PrintTo(const WorldStore& store, std::ostream* out) { *out << store.name; }
const std::vector<WorldStore>& WorldStores();

struct WorldWork {
  const char* name;
  Status (*run)(SimProcess*);
  bool removes = false;  // run@2
};
const std::vector<WorldWork>& WorldWorks();
// In the middle of which another may be.
const std::vector<WorldWork>& WorksOfOthers();

}  // namespace ckpt::world_works

#endif  // CKPT_TESTS_SUPPORT_WORLD_WORKS_H_
