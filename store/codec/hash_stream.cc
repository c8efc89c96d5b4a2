// HashStream, by the build's own instructions: what is hashed in pieces comes from a disk.

#include "store/codec/hash.h"

#define XXH_INLINE_ALL  // no symbol of xxHash's, as in the variants
#include <xxhash.h>

namespace ckpt {

struct HashStream::State {
  XXH3_state_t xxh;
};

HashStream::HashStream() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }

HashStream::~HashStream() = default;

void HashStream::Add(ByteSpan bytes) {
  XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size());
}

Id128 HashStream::Finish() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->xxh));
  Id128 id;
  std::memcpy(id.bytes.data(), canonical.digest, sizeof(canonical.digest));
  return id;
}

}  // namespace ckpt
