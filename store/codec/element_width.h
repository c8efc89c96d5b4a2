// Guesses the record width of bytes nobody described: the distance at which they resemble
// themselves.
//
// A file of doubles repeats its exponents every 8 bytes, a LAMMPS restart its atoms every 88. The
// guess only says which shuffle is worth a trial (compress.h); it is never relied on.
// Thread rule: pure function.

#ifndef CKPT_STORE_CODEC_ELEMENT_WIDTH_H_
#define CKPT_STORE_CODEC_ELEMENT_WIDTH_H_

#include <cstddef>

#include "store/base/bytes.h"

namespace ckpt {

// 2..256, or 0 when no distance stands out (text, random bytes, short inputs). Looks at 2 KiB
// spread over four places, whatever the size (BM_ElementWidth_*).
std::size_t GuessElementWidth(ByteSpan bytes);

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_ELEMENT_WIDTH_H_
