/* A C99 program that uses the installed library. Where the library's dependencies are bundled, it
   defines functions of their names: they must not get in each other's way. */
#include <ckpt/ckpt.h>
#include <stdio.h>
#include <string.h>

#ifdef DEPENDENCIES_BUNDLED
int mdb_env_open(void);
int ZSTD_compress(void);
int mdb_env_open(void) { return 1; }
int ZSTD_compress(void) { return 2; }
#endif

int main(void) {
  char expected[32];
  snprintf(expected, sizeof(expected), "%d.%d.%d", CKPT_VERSION_MAJOR, CKPT_VERSION_MINOR,
           CKPT_VERSION_PATCH);
  if (strcmp(ckpt_version(), expected) != 0) {
    fprintf(stderr, "the library is %s, its header %s\n", ckpt_version(), expected);
    return 1;
  }
#ifdef DEPENDENCIES_BUNDLED
  if (mdb_env_open() != 1 || ZSTD_compress() != 2) return 1;
#endif
  return 0;
}
