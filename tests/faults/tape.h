// What is done to the files of one folder, with their bytes, while a Tape lives, and what may be
// there when the power goes in the middle of it: a write that was not synced may be lost, or torn;
// a name that was made, moved or removed may be as it was before, until the folder is synced.
//
//   Tape tape(folder);
//   Reindex();
//   tape.Stop();
//   for (std::size_t n = 0; n <= tape.size(); ++n) WriteFiles(tape.Lost(n, {Loss::kNothing}),
//   folder);
//
// Writes through mappings are not seen: such a file is as it was before, or zeros.
// Thread rule: one Tape at a time, of one thread; what it records may be done by any.

#ifndef CKPT_TESTS_FAULTS_TAPE_H_
#define CKPT_TESTS_FAULTS_TAPE_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/faults/fault_points.h"

namespace ckpt::faults {

using Files = std::map<std::string, std::string>;  // name, bytes

struct Loss {
  // Of what was not synced: nothing is lost, or all, one, all but one, or what `seed` says, which
  // tears, too.
  enum Kind : std::uint8_t { kNothing, kAll, kOne, kAllButOne, kRandom } kind = kNothing;
  std::size_t which = 0;  // of them, for kOne and kAllButOne
  std::uint64_t seed = 0;
};

class Tape {
 public:
  explicit Tape(std::string folder);
  ~Tape() { Stop(); }
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  void Stop();

  // Changes and syncs.
  std::size_t size() const { return events_.size(); }
  // How many of the first n are not synced.
  std::size_t Pending(std::size_t n) const { return NotSynced(n).size(); }
  // What the folder has when the power goes after the first n.
  Files Lost(std::size_t n, const Loss& loss) const;
  // A disk that answers to a sync and does nothing: all that is not there by itself may be lost.
  void IgnoreSyncs();

 private:
  using Names = std::map<std::string, ino_t>;
  struct Event {
    Done::What what = Done::What::kNames;
    ino_t inode = 0;
    std::uint64_t at = 0, size = 0;
    std::string bytes;
    Names names;
    bool synced = false;  // by itself: O_DSYNC
  };

  static void Look(const Done& done);
  void Record(const Done& done);
  void RecordNames();
  Names NamesNow() const;
  bool IsOurs(ino_t inode) const;
  std::vector<std::size_t> NotSynced(std::size_t n) const;
  Names NamesAfter(std::size_t n, const Loss& loss) const;

  std::string folder_;
  ino_t folder_inode_ = 0;
  Names names_;                         // in the beginning
  std::map<ino_t, std::string> bytes_;  // in the beginning
  std::vector<Event> events_;
};

// Makes the folder have these files, and no others.
void WriteFiles(const Files& files, const std::string& folder);

}  // namespace ckpt::faults

#endif  // CKPT_TESTS_FAULTS_TAPE_H_
