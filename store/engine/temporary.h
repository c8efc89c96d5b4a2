// What a restore writes before it has its own name: ".ckpt-" and 32 hexadecimal digits.
//
// A file is locked for as long as it has such a name, so that whoever comes after a restore that
// was killed can tell what it left from what is being written. Links cannot be locked; theirs last
// for moments, so they count as left when they are old. Thread rule: any thread.

#ifndef CKPT_STORE_ENGINE_TEMPORARY_H_
#define CKPT_STORE_ENGINE_TEMPORARY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "store/io/env.h"

namespace ckpt {

std::string NewTemporaryName(Env* env);
bool IsTemporaryName(std::string_view name);

struct TemporaryFile {
  std::string name;
  std::unique_ptr<File> file;  // locked, where the file system has locks
};
Result<TemporaryFile> MakeTemporaryFile(Env* env, Dir* dir);

// Removes a link that did not get its own name, whatever the reason.
class LinkOnItsWay {
 public:
  LinkOnItsWay(Dir* dir, std::string_view temporary) : dir_(dir), temporary_(temporary) {}
  ~LinkOnItsWay();
  LinkOnItsWay(const LinkOnItsWay&) = delete;
  LinkOnItsWay& operator=(const LinkOnItsWay&) = delete;
  void Arrived() { dir_ = nullptr; }

 private:
  Dir* dir_;
  const std::string_view temporary_;
};

// Removes what an interrupted restore left in `dir`; answers how many. What cannot be looked at or
// removed stays.
std::uint64_t RemoveAbandoned(Env* env, Dir* dir);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_TEMPORARY_H_
