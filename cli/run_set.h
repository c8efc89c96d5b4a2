// The files that `run` saves: those its patterns match in the working folder, as one set.
//
// A snapshot holds what lstat says of every file of the set, those below matched folders included.
// Two equal snapshots mean that nothing was written, renamed or removed between them (writes to a
// mapped file may show late). The store itself, .ckpt-displaced and the marker never belong to it.
// The store is looked for at each scan: it may be made, or made anew, after the scanner. Thread
// rule: values and const calls; nothing is shared.

#ifndef CKPT_CLI_RUN_SET_H_
#define CKPT_CLI_RUN_SET_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ckpt {

inline constexpr char kDisplacedFolder[] = ".ckpt-displaced";

struct FileState {
  dev_t device = 0;
  ino_t inode = 0;
  mode_t mode = 0;
  std::int64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  bool operator==(const FileState&) const = default;
};
// False: there is no such file.
bool LookAtFile(const std::string& path, FileState* state);

// Now, by the clock that gives the files of the working folder their times: a file server's may
// differ from ours. Ours, where nothing can be written there.
std::int64_t FileClockNs();

struct FileSet {
  std::map<std::string, FileState> files;  // by name relative to the working folder
  std::vector<std::string> roots;          // what the patterns matched; the rest is below these
  std::vector<bool> matched;               // by pattern: it matched something
  bool empty() const { return roots.empty(); }
  bool operator==(const FileSet& other) const { return files == other.files; }
  // When anything in it last changed; 0 for an empty one.
  std::int64_t NewestChangeNs() const;
  // The name of what changed last.
  std::string NewestName() const;
};

class SetScanner {
 public:
  // `skip`: a path that is left out with all that is below it (the store).
  SetScanner(std::vector<std::string> patterns, std::string marker, const std::string& skip);

  // Why the patterns cannot be used; "" when they can. They are relative to the working folder,
  // lead through no symbolic link (restoring follows none) and name nothing above.
  std::string Objection() const;
  FileSet Scan() const;
  const std::vector<std::string>& patterns() const { return patterns_; }
  // Globs for what a save of the roots must leave out besides the store.
  std::vector<std::string> Excludes() const;
  // The folders in which a file of the set may appear or change, as far as they exist.
  std::vector<std::string> Folders(const FileSet& set) const;

 private:
  struct Place {
    dev_t device = 0;
    ino_t inode = 0;
  };
  // Of what is left out; nullopt: it is not there (yet).
  std::optional<Place> Skip() const;
  static bool IsBelow(const std::string& path, const std::optional<Place>& place);
  void AddTree(const std::string& path, const std::optional<Place>& skip, FileSet* set) const;

  std::vector<std::string> patterns_;
  std::string marker_;
  std::string skip_;
};

}  // namespace ckpt

#endif  // CKPT_CLI_RUN_SET_H_
