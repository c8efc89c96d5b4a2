// A C++17 program that uses the installed library through its C++ header.
#include <ckpt/ckpt.hpp>
#include <cstdint>
#include <cstdio>

// A class of the library's own inner name, with another meaning.
namespace ckpt {
class ByteWriter {
 public:
  int value = 42;
};
}  // namespace ckpt

int main() {
  constexpr std::int32_t kExpected =
      CKPT_VERSION_MAJOR * 1000000 + CKPT_VERSION_MINOR * 1000 + CKPT_VERSION_PATCH;
  if (ckpt_version() != kExpected) {
    std::fprintf(stderr, "the library is %d, its header %d\n", ckpt_version(), kExpected);
    return 1;
  }
  return ckpt::ByteWriter().value == 42 ? 0 : 1;
}
