// A folder as it was at one moment, in memory and read-only: for tests that damage a store many
// thousand times a second. Bytes may be changed and files cut short between two uses, and what is
// read can be noted down. Thread rule: set up by one thread; reads by any.

#ifndef CKPT_TESTS_SUPPORT_SNAPSHOT_ENV_H_
#define CKPT_TESTS_SUPPORT_SNAPSHOT_ENV_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/io/env.h"

namespace ckpt {

// Which bytes of which files were read.
using ReadBytes = std::map<std::string, std::vector<bool>>;

class SnapshotEnv final : public Env {
 public:
  struct Content {
    Bytes bytes;
    std::uint64_t size = 0;  // less than bytes.size(): the file was cut
    std::uint64_t inode = 0;
  };

  // Takes all regular files below `path` of the real file system; they are then below "/store".
  explicit SnapshotEnv(const std::string& path);

  // By names relative to the folder, as "packs/....pack".
  std::map<std::string, Content>& files() { return files_; }
  void Flip(const std::string& name, std::uint64_t offset, int bit);
  // Into which reads are noted; null: nowhere.
  void Note(ReadBytes* reads) { reads_ = reads; }

  Result<std::unique_ptr<Dir>> OpenDir(const std::string& path) override;
  Status MakeDir(const std::string& path, std::uint32_t permissions) override;
  void Random(MutableByteSpan out) override;
  std::int64_t RealtimeNs() override { return 0; }
  std::int64_t MonotonicNs() override { return 0; }
  void SleepMs(std::int64_t) override {}
  Id128 HostId() override { return Id128(); }
  std::string HostName() override { return "snapshot"; }
  std::uint32_t UserId() override { return 0; }

 private:
  friend class SnapshotFile;
  friend class SnapshotDir;
  std::map<std::string, Content> files_;
  ReadBytes* reads_ = nullptr;
  std::mutex reads_mutex_;
};

}  // namespace ckpt

#endif  // CKPT_TESTS_SUPPORT_SNAPSHOT_ENV_H_
