#include "store/session/user_file.h"

#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr int kLinksMax = 40;
constexpr std::size_t kPieceBytes = 1u << 20;

struct SplitPath {
  std::string dir;
  std::string name;
};
SplitPath Split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Result<std::unique_ptr<File>> OpenUserFile(Env* env, const std::string& path, OpenMode mode) {
  std::string at = path;
  for (int links = 0; links <= kLinksMax; ++links) {
    const SplitPath split = Split(at);
    if (split.name.empty()) return InvalidArgument("'" + path + "' is a directory, not a file");
    CKPT_ASSIGN_OR_RETURN(auto dir, env->OpenDir(split.dir));
    CKPT_ASSIGN_OR_RETURN(FileInfo info, dir->StatEntry(split.name));
    if (info.kind != FileKind::kSymlink) {
      OpenOptions options;
      options.mode = mode;
      return dir->OpenFile(split.name, options);
    }
    CKPT_ASSIGN_OR_RETURN(std::string target, dir->ReadLink(split.name));
    at = target.starts_with('/') ? target : split.dir + "/" + target;
  }
  return InvalidArgument("'" + path + "' leads through more than 40 symbolic links");
}

Result<std::string> FileKey(Env* env, const std::string& path) {
  CKPT_ASSIGN_OR_RETURN(auto file, OpenUserFile(env, path, OpenMode::kRead));
  HashStream hash;
  Bytes piece(kPieceBytes);
  for (std::uint64_t at = 0;;) {
    CKPT_ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(at, piece));
    hash.Add(ByteSpan(piece).first(got));
    if (got < piece.size()) return hash.Finish().ToHex();
    at += got;
  }
}

}  // namespace ckpt
