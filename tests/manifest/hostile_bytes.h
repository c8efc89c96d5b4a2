// Every way to cut bytes and to flip one bit of them. Thread rule: pure functions.

#ifndef CKPT_TESTS_MANIFEST_HOSTILE_BYTES_H_
#define CKPT_TESTS_MANIFEST_HOSTILE_BYTES_H_

#include "store/base/bytes.h"

namespace ckpt {

template <typename Fn>
void ForEveryCut(const Bytes& bytes, Fn fn) {
  // A vector of exactly that size, so that a sanitizer sees a read behind its end.
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    fn(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)));
  }
}

template <typename Fn>
void ForEveryFlip(const Bytes& bytes, Fn fn) {
  Bytes flipped = bytes;
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::byte mask{static_cast<unsigned char>(1u << (bit % 8))};
    flipped[bit / 8] ^= mask;
    fn(flipped);
    flipped[bit / 8] ^= mask;
  }
}

}  // namespace ckpt

#endif  // CKPT_TESTS_MANIFEST_HOSTILE_BYTES_H_
