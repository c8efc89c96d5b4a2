#include "store/codec/hash.h"

#include "store/codec/hash_variant.h"

namespace ckpt {
namespace {

struct Runnable {
  const HashVariant* variants[3];
  size_t count = 0;
};

Runnable FindRunnable() {
  Runnable found;
  found.variants[found.count++] = &kHashBaseline;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) found.variants[found.count++] = &kHashAvx2;
  if (__builtin_cpu_supports("avx512f")) found.variants[found.count++] = &kHashAvx512;
#endif
  return found;
}

const Runnable& AllRunnable() {
  static const Runnable kRunnable = FindRunnable();
  return kRunnable;
}

const HashVariant& Fastest() {
  static const HashVariant& kFastest = *AllRunnable().variants[AllRunnable().count - 1];
  return kFastest;
}

}  // namespace

const HashVariant* const* RunnableHashVariants(size_t* count) {
  *count = AllRunnable().count;
  return AllRunnable().variants;
}

Id128 HashChunk(ByteSpan bytes) {
  Id128 id;
  Fastest().hash128(bytes.data(), bytes.size(), id.bytes.data());
  return id;
}

std::uint64_t Checksum64(ByteSpan bytes) { return Fastest().hash64(bytes.data(), bytes.size()); }

std::uint64_t Checksum64Seeded(ByteSpan bytes, std::uint64_t seed) {
  return Fastest().hash64_seeded(bytes.data(), bytes.size(), seed);
}

std::string_view HashVariantName() { return Fastest().name; }

}  // namespace ckpt
