// A copy that leaves the caches alone: for bytes that another core will read much later, from
// memory that no cache holds. An ordinary copy reads such memory before it writes it, a third of
// all the traffic. Thread rule: pure function. What was copied is visible to whoever is told of it
// by this thread after.

#ifndef CKPT_STORE_BASE_STREAM_COPY_H_
#define CKPT_STORE_BASE_STREAM_COPY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ckpt {

inline void StreamCopy(std::byte* to, const std::byte* from, std::size_t size) {
#if defined(__SSE2__)
  // The stores are of 16 bytes, at multiples of 16.
  std::size_t at = std::min(size, (16 - reinterpret_cast<std::uintptr_t>(to) % 16) % 16);
  std::memcpy(to, from, at);
  for (; at + 64 <= size; at += 64) {
    for (std::size_t i = at; i < at + 64; i += 16) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i)));
    }
  }
  _mm_sfence();  // these stores are ordered by nothing else
  std::memcpy(to + at, from + at, size - at);
#else
  std::memcpy(to, from, size);
#endif
}

}  // namespace ckpt

#endif  // CKPT_STORE_BASE_STREAM_COPY_H_
