// Hashes of bytes: a chunk's identity and the checksums of records.
//
//   Id128 id = HashChunk(raw);                                 // names the chunk
//   std::uint64_t sum = Checksum64Seeded(record, pack_salt);   // guards a record
//
// Both are XXH3 exactly as published (xxHash 0.8), so any implementation of it reads our stores.
// The fastest variant the processor can run (AVX-512, AVX2 or the build's baseline) is chosen once
// at run time, whatever the build flags; all variants answer the same.
// Thread rule: pure functions, any thread; a HashStream by one at a time.

#ifndef CKPT_STORE_CODEC_HASH_H_
#define CKPT_STORE_CODEC_HASH_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "store/base/bytes.h"

namespace ckpt {

// XXH3-128 with seed 0, in xxHash's canonical form: the high 64 bits first, big-endian.
Id128 HashChunk(ByteSpan bytes);

// HashChunk of bytes that come in pieces.
class HashStream {
 public:
  HashStream();
  ~HashStream();
  HashStream(const HashStream&) = delete;
  HashStream& operator=(const HashStream&) = delete;
  void Add(ByteSpan bytes);
  Id128 Finish() const;  // of all so far

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// XXH3-64 with seed 0.
std::uint64_t Checksum64(ByteSpan bytes);

// XXH3-64 with `seed`. Binds a checksum to something outside the bytes (a pack's id, an offset).
std::uint64_t Checksum64Seeded(ByteSpan bytes, std::uint64_t seed);

// The variant in use: "avx512", "avx2" or "baseline".
std::string_view HashVariantName();

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_HASH_H_
