// XXH3 for every processor of the build's target (SSE2 on x86-64, NEON on AArch64).

#define CKPT_HASH_VARIANT kHashBaseline
#define CKPT_HASH_NAME "baseline"
#include "store/codec/hash_variant.inc"
