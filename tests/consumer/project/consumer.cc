// A C++17 program that uses the installed library through its C++ header.
#include <ckpt/ckpt.hpp>
#include <cstdio>
#include <string>

// A class of the library's own inner name, with another meaning.
namespace ckpt {
class ByteWriter {
 public:
  int value = 42;
};
}  // namespace ckpt

int main() {
  const std::string expected = std::to_string(CKPT_VERSION_MAJOR) + "." +
                               std::to_string(CKPT_VERSION_MINOR) + "." +
                               std::to_string(CKPT_VERSION_PATCH);
  if (ckpt_version() != expected) {
    std::fprintf(stderr, "the library is %s, its header %s\n", ckpt_version(), expected.c_str());
    return 1;
  }
  return ckpt::ByteWriter().value == 42 ? 0 : 1;
}
