// Every way to cut bytes and to flip one bit of them, and nodes of trees that no builder would
// make. Thread rule: pure functions.

#ifndef CKPT_TESTS_MANIFEST_HOSTILE_BYTES_H_
#define CKPT_TESTS_MANIFEST_HOSTILE_BYTES_H_

#include "store/base/bytes.h"
#include "store/manifest/node.h"

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

// A stored node with this header, whatever its items are.
inline Bytes NodeBytes(int kind, int level, std::uint32_t items, const Bytes& body) {
  Bytes node;
  ByteWriter out(&node);
  out.U8(static_cast<std::uint8_t>(kind));
  out.U8(static_cast<std::uint8_t>(level));
  out.U16(0);
  out.U32(items);
  out.Raw(body);
  if (node.size() < kStoredNodeBytesMin) out.Zeros(kStoredNodeBytesMin - node.size());
  return node;
}

}  // namespace ckpt

#endif  // CKPT_TESTS_MANIFEST_HOSTILE_BYTES_H_
