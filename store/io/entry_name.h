// The one rule for names given to a Dir, shared by every world (the real one and the tests'): a
// name is one component of a path. It is what keeps everything inside its directory (I8).
// Thread rule: pure functions.

#ifndef CKPT_STORE_IO_ENTRY_NAME_H_
#define CKPT_STORE_IO_ENTRY_NAME_H_

#include <string>
#include <string_view>

#include "store/base/status.h"

namespace ckpt {

// InvalidArgument for "", ".", "..", and for anything with '/' or NUL. Names may be of any
// encoding.
Status CheckEntryName(std::string_view name, std::string_view dir_path);

// "dir/name", for messages only.
std::string JoinPath(std::string_view dir_path, std::string_view name);

// The folder that holds what `path` names: "a/b" and "a/b/" -> "a/", "b" -> ".", "/b" -> "/".
std::string ParentPath(std::string_view path);

// InvalidArgument when a C string could not carry `text` (it contains NUL) or it is empty: the rule
// for whole paths, link targets and attribute names.
Status CheckCString(std::string_view text, std::string_view what);

}  // namespace ckpt

#endif  // CKPT_STORE_IO_ENTRY_NAME_H_
