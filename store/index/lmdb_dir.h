// The files of an LMDB index directory, and the locks that let processes come and go.
//
//   <generation, 8 hex>.mdb, .mdb-lock  one LMDB environment. The highest generation counts; making
//                                       the index anew is a new generation beside the old one,
//                                       which those who have it open may keep until they look again
//   build.mdb                           what an IndexBuilder is filling
//   publish.lock                        held while writing. Never waited for
//   open.lock                           held while opening, creating or removing generations and
//                                       while claiming a reader slot: everything in LMDB that takes
//                                       its reader mutex or file locks. Held for microseconds, so
//                                       it is waited for, but only a moment: a stopped holder makes
//                                       others go without an index
//
// Signs that a process died inside LMDB (a damaged file can make LMDB crash) make the next opening
// discard the generation: a lock file's content names the generation its holder works on, and is
// zero when it is free; and LMDB's table of readers shows who died in a read transaction. A process
// killed in just that moment costs a rebuild, no more.
// Thread rule: LmdbDir by any thread at once; a HeldLock by its owner.

#ifndef CKPT_STORE_INDEX_LMDB_DIR_H_
#define CKPT_STORE_INDEX_LMDB_DIR_H_

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/index/index_rows.h"
#include "store/io/env.h"

namespace ckpt::index_internal {

constexpr char kPublishLock[] = "publish.lock";
constexpr char kOpenLock[] = "open.lock";
constexpr char kBuildFile[] = "build.mdb";

// A lock of this directory, released in the end.
class HeldLock {
 public:
  explicit HeldLock(std::unique_ptr<File> file) : file_(std::move(file)) {}
  ~HeldLock();
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;

  // What the lock file says its last holder was doing when it died; number 0: it ended in order.
  struct Work {
    std::uint64_t number = 0;   // the generation
    std::uint64_t commits = 0;  // 0: reading or filling; else the deaths in a commit in a row, this
                                // one included
    // A death in a commit is mostly a kill, for most of the time of writing is spent there (in
    // fdatasync): it takes two in a row to be held against the file.
    bool Condemns(std::uint64_t generation) const { return number == generation && commits != 1; }
  };
  Work LastWork();
  // Says what this holder does from now on. If it cannot be said (a full disk), a crash will not be
  // noticed.
  void WorkingOn(const Work& work);
  void Idle() { WorkingOn(Work{}); }

 private:
  std::unique_ptr<File> file_;
};

struct Generation {
  std::uint64_t number = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  bool operator==(const Generation&) const = default;
};

class LmdbDir {
 public:
  // Opens, or makes the last component. PermissionDenied when others may write to it, Unsupported
  // on a network file system or one without locks.
  static Result<std::unique_ptr<LmdbDir>> Open(Env* env, const std::string& path);

  const std::string& path() const { return path_; }
  const FileInfo& info() const { return info_; }
  // False when somebody removed the directory or put another in its place.
  bool StillThere();

  // Null: somebody else holds it (after waiting at most `wait_ms`).
  Result<std::unique_ptr<HeldLock>> TryLock(const char* name, std::int64_t wait_ms);

  // The newest generation, or none.
  Result<std::optional<Generation>> Current();
  static std::string FileName(std::uint64_t number);
  std::string PathOf(std::uint64_t number) const { return path_ + "/" + FileName(number); }
  // Unlinks the generations for which `keep` is not their number. REQUIRES: open.lock.
  void RemoveAllBut(std::uint64_t keep);
  // build.mdb becomes a generation. REQUIRES: open.lock.
  Status PromoteBuild(std::uint64_t number);
  void RemoveBuild();

  enum class Check { kSound, kDamaged, kShort };
  // Looks at the file before LMDB maps it: its magic, version, page size and length. kShort is
  // damage unless somebody is writing just now: ask again with publish.lock held.
  Check CheckFile(std::uint64_t number);
  // Makes a file that lacks pages LMDB allocated but never wrote long enough for CheckFile.
  void ExtendTo(std::uint64_t number, std::uint64_t bytes);
  // Processes that seem to be inside a read transaction, from LMDB's lock file. REQUIRES: this
  // process has no environment of that generation open (closing the file would drop its locks).
  std::set<long> ActiveReaders(std::uint64_t number);

  Result<std::uint64_t> FileBytes(std::uint64_t number);

  // LMDB's lock file is written through a mapping, where a full disk is SIGBUS: its blocks are
  // allocated before it is mapped. NoSpace: they are not to be had. REQUIRES: as ActiveReaders.
  Status AllocateLockFile(std::uint64_t number, std::uint64_t readers_max);
  // Where that does not help, because the file system copies on write: less is free than anybody
  // may take before the question is asked again. Then LMDB's files are neither mapped nor touched.
  bool TooFullToMap();

 private:
  LmdbDir(Env* env, std::string path) : env_(env), path_(std::move(path)) {}
  std::vector<std::uint64_t> Numbers();
  void RemoveGeneration(std::uint64_t number);

  Env* env_;
  std::string path_;
  std::unique_ptr<Dir> dir_;
  FileInfo info_;
  bool copies_on_write_ = false;
  std::atomic<bool> stuck_{false};  // a holder did not let go last time: do not wait again
};

}  // namespace ckpt::index_internal

#endif  // CKPT_STORE_INDEX_LMDB_DIR_H_
