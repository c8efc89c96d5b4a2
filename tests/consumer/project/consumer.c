/* A C99 program that uses the installed library. Where the library's dependencies are bundled, it
   defines functions of their names: they must not get in each other's way. */
#include <ckpt/ckpt.h>
#include <stdio.h>

#ifdef DEPENDENCIES_BUNDLED
int mdb_env_open(void);
int ZSTD_compress(void);
int mdb_env_open(void) { return 1; }
int ZSTD_compress(void) { return 2; }
#endif

int main(void) {
  const int32_t expected =
      CKPT_VERSION_MAJOR * 1000000 + CKPT_VERSION_MINOR * 1000 + CKPT_VERSION_PATCH;
  if (ckpt_version() != expected) {
    fprintf(stderr, "the library is %d, its header %d\n", (int)ckpt_version(), (int)expected);
    return 1;
  }
#ifdef DEPENDENCIES_BUNDLED
  if (mdb_env_open() != 1 || ZSTD_compress() != 2) return 1;
#endif
  return 0;
}
