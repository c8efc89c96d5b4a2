// Tells bytes that no codec of compress.h makes smaller, in a fraction of the time of trying.
//
// Two things make bytes smaller: values that are more frequent than others, and repetition. The
// first is looked for in a sample; the second in the whole, at places that the bytes themselves
// choose (those behind a zero byte, one in 256), so that what is repeated is met twice at the same
// place within it (the sampling by content of Manber, "Finding similar files in a large file
// system", 1994). Thread rule: pure function.

#ifndef CKPT_STORE_CODEC_INCOMPRESSIBLE_H_
#define CKPT_STORE_CODEC_INCOMPRESSIBLE_H_

#include "store/base/bytes.h"

namespace ckpt {

// True for random, encrypted and well compressed bytes. False when in doubt, and below 4 KiB. May
// be wrong where repetitions, all together, come to a few hundred bytes, and about a few KiB of
// other data in the midst of random ones.
bool LooksIncompressible(ByteSpan bytes);
// The second of the two alone. True also of four zero bytes in a row.
bool SomethingRepeats(ByteSpan bytes);

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_INCOMPRESSIBLE_H_
