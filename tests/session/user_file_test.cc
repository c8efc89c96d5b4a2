// Files that a user names: their keys.

#include "store/session/user_file.h"

#include <filesystem>

#include "store/codec/hash.h"
#include "tests/session/session_fixture.h"

namespace ckpt {
namespace {

TEST(UserFile, ItsKeyIsTheHashOfItsBytesThroughLinks) {
  TempDir tmp;
  // Around the pieces it is read in.
  for (const std::size_t size : {0u, 1u, (1u << 20) - 1, 1u << 20, (2u << 20) + 5}) {
    const std::string bytes = RandomText(size, 7);
    WriteFile(tmp / "input", bytes);
    auto key = FileKey(PosixEnv(), tmp / "input");
    ASSERT_OK(key.status());
    EXPECT_EQ(*key, HashChunk(AsBytes(bytes)).ToHex()) << size;
  }
  std::filesystem::create_symlink("input", tmp / "link");
  EXPECT_EQ(*FileKey(PosixEnv(), tmp / "link"), *FileKey(PosixEnv(), tmp / "input"));
}

}  // namespace
}  // namespace ckpt
