// Scripted lives of a store in a simulated world, for proofs that go through every state of the
// disk a power loss may leave: what each saves, stages, removes and collects, and what the world
// outside was told of it. A life goes on after failures; in a world without power all that follows
// fails. Thread rule: one thread.

#ifndef CKPT_TESTS_SUPPORT_LIVES_H_
#define CKPT_TESTS_SUPPORT_LIVES_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "tests/engine/collect_fixture.h"

namespace ckpt {

constexpr std::uint64_t kLifePackBytes = 1u << 20;

struct Life {
  const char* name;
  std::function<void(SimWorld*, collect_test::Told*)> run;
  std::size_t block_bytes = 3000;
  std::uint64_t slower = 1;  // its states are so many times fewer
  // The part that is worth mutating; "": all of it, for others do not show the same.
  const char* mutated = "";
  bool similar_blocks = false;
};

void PrintTo(const Life& life, std::ostream* out);

// Its blocks, while a test of it goes on.
class LifeTest : public ::testing::TestWithParam<Life> {
 protected:
  LifeTest() {
    collect_test::block_bytes = GetParam().block_bytes;
    collect_test::similar_blocks = GetParam().similar_blocks;
  }
  ~LifeTest() override {
    collect_test::block_bytes = 3000;
    collect_test::similar_blocks = false;
  }
};
std::span<const Life> AllLives();

// A change of the disk, or a sync, that a life makes, and the save, removal or collection it is of.
struct LifeChange {
  std::uint64_t number = 0;  // from 1
  SimOp kind = SimOp::kAny;
  std::string part;   // "save 3"
  std::string what;   // "write /store/collect at 0"
  bool mark = false;  // written into a pack right after what came before it was flushed
  bool IsSync() const { return kind == SimOp::kSync || kind == SimOp::kSyncDir; }
  // What the sync is called that makes it durable; "" when none has to.
  std::string SyncedBy() const;
};
using LifeStory = std::vector<LifeChange>;
LifeStory StoryOf(const Life& life);

// The part in which something damages the disk, from outside.
inline constexpr const char* kDamagePart = "damage";

struct LifeSync {
  std::uint64_t change = 0;    // its number
  std::string part;            // see above
  std::string what;            // "sync /store/collect"
  std::string before;          // the change before it
  bool creating = false;       // the store has no format file yet
  std::uint64_t covers = 0;    // changes that wait for it
  bool covers_mark = false;    // and nothing else
  bool again = false;          // the same was synced before
  bool again_in_part = false;  // and is synced again in this part
};
std::vector<LifeSync> SyncsOf(const LifeStory& story);

// Two changes of which the first is flushed before the second is made.
struct OrderedPair {
  const LifeChange* first;
  std::uint64_t sync;
  const LifeChange* second;
};
std::vector<OrderedPair> OrderedPairsOf(const LifeStory& story);

Result<std::unique_ptr<Store>> OpenToSave(Env* env);

// What is wrong with a life: a sync that is left out, or a change that no sync flushes before the
// change `until` was made. Numbers of changes; 0: none.
struct Mutation {
  std::uint64_t left_out = 0;
  std::uint64_t kept_back = 0, until = 0;
};
// Runs a life until the power is lost after its n-th change (`at_once`: see SimWorld).
std::unique_ptr<SimWorld> LiveUntil(const Life& life, std::uint64_t n, const Mutation& mutation,
                                    collect_test::Told* told, bool at_once = false);

// What does not hold after opening such a world, and when it goes on.
enum class GoOn : std::uint8_t {
  kNot,
  kSaves,     // saves, one of them beside a collection that it does not answer, and collects
  kFullDisk,  // removes and collects without a free byte
};
std::string WhatBreaks(SimWorld* world, collect_test::Told told, GoOn go_on);
// The same when the power is lost a second time, while such a world is opened, collected and saved
// into: after every `stride`-th change of that, from the `first` on (from 1). Counts in *tried.
std::string WhatBreaksAgain(const SimWorld& world, const collect_test::Told& told,
                            std::uint64_t first, std::uint64_t stride, std::uint64_t* tried);

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_LIVES_H_
