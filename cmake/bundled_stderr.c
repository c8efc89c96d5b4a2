/* See CkptLibrary.cmake: bundled archives that are not position-independent reach `stderr` as data
   of their own object, which a shared library cannot offer; they are given this variable instead.
 */
#include <stdio.h>

extern FILE* bundled_stderr;
FILE* bundled_stderr;

__attribute__((constructor)) static void SetBundledStderr(void) { bundled_stderr = stderr; }
