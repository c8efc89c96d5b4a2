// What the files of the real world share; private to store/io. PosixDir owns one directory
// descriptor, PosixFile one or two descriptors of one regular file; nothing else is kept, so both
// follow the thread rule of env.h.

#ifndef CKPT_STORE_IO_POSIX_INTERNAL_H_
#define CKPT_STORE_IO_POSIX_INTERNAL_H_

#include <sys/stat.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/io/env.h"
#include "store/io/unique_fd.h"

namespace ckpt::posix {

FileKind KindOf(mode_t mode);
// "a FIFO", "a directory", ...
const char* KindName(mode_t mode);
FileInfo ToFileInfo(const struct stat& st);
timespec ToTimespec(std::int64_t ns);

// The rest of ErrnoStatus for the errno just set: "<operation> <path>".
Status LastError(std::string_view operation, std::string_view path);

Result<FileInfo> StatFd(int fd, std::string_view path);
// Owner before mode, since changing the owner clears set-user-id bits; mtime last.
Status SetFdAttributes(int fd, const FileInfo& info, bool owner, std::string_view path);
// Gives what was just created exactly `permissions`, whatever the umask left of them; a directory
// keeps the set-group-id bit it inherited.
Status SetPermissions(int fd, std::uint32_t permissions, std::string_view path);

// What kAsItsFolder asks for, of what was just created in the folder: answers its permissions.
std::uint32_t JoinFolder(int dir_fd, int fd, std::uint32_t permissions);

using XattrList = std::vector<std::pair<std::string, std::string>>;
Result<XattrList> ListFdXattrs(int fd, std::string_view path);
Status SetFdXattr(int fd, std::string_view name, std::string_view value, std::string_view path);

Result<std::unique_ptr<File>> OpenFileAt(int dir_fd, const std::string& name,
                                         const OpenOptions& options, std::string path);
// Takes a descriptor of a directory.
std::unique_ptr<Dir> WrapDir(UniqueFd fd, std::string path);

}  // namespace ckpt::posix

#endif  // CKPT_STORE_IO_POSIX_INTERNAL_H_
