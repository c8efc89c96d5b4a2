// The chunker's inner loop: the first position whose fingerprint is below a threshold (chunker.h).
//
// Included by sources compiled for processors the program may not run on; the rule of
// hash_variant.h applies: no inline functions, no C++ library headers.

#ifndef CKPT_STORE_CODEC_GEAR_SCAN_H_
#define CKPT_STORE_CODEC_GEAR_SCAN_H_

#include <stddef.h>
#include <stdint.h>

namespace ckpt {

// The least p in [begin, end) with F(p) < threshold, else `end`. REQUIRES: 32 <= begin <= end, and
// data[begin - 32, end) may be read. `gear` has 256 values, `planes` their bytes apart (chunker.h).
using GearScanFunction = size_t (*)(const uint8_t* data, size_t begin, size_t end,
                                    uint32_t threshold, const uint32_t* gear,
                                    const uint8_t* planes);

size_t GearScanScalar(const uint8_t* data, size_t begin, size_t end, uint32_t threshold,
                      const uint32_t* gear, const uint8_t* planes);
#if defined(__x86_64__)
// Needs AVX-512 F, BW and VBMI.
size_t GearScanAvx512(const uint8_t* data, size_t begin, size_t end, uint32_t threshold,
                      const uint32_t* gear, const uint8_t* planes);
bool CanRunGearScanAvx512();
#endif

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_GEAR_SCAN_H_
