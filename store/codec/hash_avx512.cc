// XXH3 for processors with AVX-512 F, whatever the build's flags; hash.cc calls it only where it
// can run.

#if defined(__x86_64__)
#define CKPT_HASH_VARIANT kHashAvx512
#define CKPT_HASH_NAME "avx512"
#define CKPT_HASH_TARGET "avx512f"
#define XXH_VECTOR XXH_AVX512
#include "store/codec/hash_variant.inc"
#endif
