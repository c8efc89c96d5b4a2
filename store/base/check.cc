#include "store/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace ckpt {

void CheckFailed(const char* file, int line, const char* condition, const char* why) {
  std::fprintf(stderr, "ckpt-store: internal error at %s:%d: %s is false (%s)\n", file, line,
               condition, why);
  std::abort();
}

}  // namespace ckpt
