// Numbers of one element type as numbers of another: for state that is restored into arrays of
// another type because its owner asked for that.
//
//   from \ to      integers                              floats
//   integers       when it is in range                   rounded to nearest; when not too large
//   floats         when it is whole, and in range        rounded to nearest; when not too large
//
// A finite number never becomes an infinity; infinities and NaN stay what they are in floats.
// Types: int8 ... int64, uint8 ... uint64, float16, bfloat16, float32, float64. Pure functions of
// bytes (in the machine's order, at any alignment). Thread rule: any thread.

#ifndef CKPT_STORE_ENGINE_CONVERT_H_
#define CKPT_STORE_ENGINE_CONVERT_H_

#include <cstdint>
#include <string>

#include "store/base/bytes.h"
#include "store/base/status.h"
#include "store/manifest/tree.h"

namespace ckpt {

// Whether there are such conversions at all.
bool CanConvert(Dtype from, Dtype to);

// Every element of `in`, converted into `out`, which has as many; with an empty `out` they are only
// looked at. InvalidArgument: the first that does not fit, by its index (from `first_index` on) and
// with both types named; what `out` has then is undefined.
// REQUIRES: CanConvert; `in` has whole elements, and does not overlap `out`.
Status ConvertElements(Dtype from, ByteSpan in, Dtype to, MutableByteSpan out,
                       std::uint64_t first_index);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_CONVERT_H_
