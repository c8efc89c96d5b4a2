/* Preloaded: a user who has no inotify instance left. */
#include <errno.h>

__attribute__((visibility("default"))) int inotify_init1(int flags) {
  (void)flags;
  errno = EMFILE;
  return -1;
}
