// XXH3 for processors with AVX2, whatever the build's flags; hash.cc calls it only where it can
// run.

#if defined(__x86_64__)
#define CKPT_HASH_VARIANT kHashAvx2
#define CKPT_HASH_NAME "avx2"
#define CKPT_HASH_TARGET "avx2"
#define XXH_VECTOR XXH_AVX2
#include "store/codec/hash_variant.inc"
#endif
