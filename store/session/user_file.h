// Files that a user named, elsewhere than in the store: logs and inputs. Links are followed, each
// time anew: logs are rotated. Anything but a regular file is refused (InvalidArgument).
// Thread rule: any thread.

#ifndef CKPT_STORE_SESSION_USER_FILE_H_
#define CKPT_STORE_SESSION_USER_FILE_H_

#include <memory>
#include <string>

#include "store/io/env.h"

namespace ckpt {

Result<std::unique_ptr<File>> OpenUserFile(Env* env, const std::string& path, OpenMode mode);

// A compatibility key: the XXH3-128 of the file's bytes, as 32 hexadecimal digits.
Result<std::string> FileKey(Env* env, const std::string& path);

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_USER_FILE_H_
