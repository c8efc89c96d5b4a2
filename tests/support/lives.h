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
};

void PrintTo(const Life& life, std::ostream* out);
std::span<const Life> AllLives();

// One sync of a life, and the save, removal or collection that makes it.
struct LifeSync {
  std::uint64_t change = 0;    // its number among all changes of the disk
  std::string part;            // "save 3"
  std::string what;            // "sync /store/collect"
  std::string before;          // the change before it
  bool creating = false;       // the store has no format file yet
  bool marks_reserve = false;  // the same file was synced just before
  bool again_in_part = false;  // and is synced again in this part
};
// `changes`: how many the life makes.
std::vector<LifeSync> SyncsOf(const Life& life, std::uint64_t* changes);

Result<std::unique_ptr<Store>> OpenToSave(Env* env);

// Runs a life until the power is lost after its n-th change (`at_once`: see SimWorld); syncs among
// the changes `first` to `last` are left out.
struct LeftOut {
  std::uint64_t first = 0, last = 0;
};
std::unique_ptr<SimWorld> LiveUntil(const Life& life, std::uint64_t n, const LeftOut& left_out,
                                    collect_test::Told* told, bool at_once = false);

// What does not hold after opening such a world, and when it goes on.
enum class GoOn : std::uint8_t {
  kNot,
  kSaves,     // saves, one of them beside a collection that it does not answer, and collects
  kFullDisk,  // removes and collects without a free byte
};
std::string WhatBreaks(SimWorld* world, collect_test::Told told, GoOn go_on);

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_LIVES_H_
