// The table of functions each compiled variant of XXH3 offers (see hash.h).
//
// Included by sources that are compiled for processors the program may not run on. Nothing here may
// define an inline function or include a C++ library header: the linker would be free to keep that
// source's copy of a shared function, and an older processor would meet an instruction it lacks.

#ifndef CKPT_STORE_CODEC_HASH_VARIANT_H_
#define CKPT_STORE_CODEC_HASH_VARIANT_H_

#include <stddef.h>
#include <stdint.h>

namespace ckpt {

struct HashVariant {
  const char* name;
  void (*hash128)(const void* data, size_t size, uint8_t canonical[16]);
  uint64_t (*hash64)(const void* data, size_t size);
  uint64_t (*hash64_seeded)(const void* data, size_t size, uint64_t seed);
};

extern const HashVariant kHashBaseline;
#if defined(__x86_64__)
extern const HashVariant kHashAvx2;
extern const HashVariant kHashAvx512;
#endif

// The variants this processor can run, slowest first; `*count` of them.
const HashVariant* const* RunnableHashVariants(size_t* count);

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_HASH_VARIANT_H_
