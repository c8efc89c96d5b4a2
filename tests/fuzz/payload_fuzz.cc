// Compressed payloads: any bytes, any codec, any size that is declared, with a base of any size.

#include "store/codec/compress.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;  // NOLINT
  static Decoder decoder;
  static Bytes raw, base;
  FuzzInput in(data, size);
  const std::uint8_t codec = in.U8();
  const std::uint8_t parameter = in.U8();
  constexpr std::size_t kGuard = 64;
  const std::size_t raw_bytes = in.U32() % (1u << 18);
  raw.assign(raw_bytes + kGuard, std::byte{0x5a});
  base.assign(codec % 3 == 0 ? raw_bytes / 2 : raw_bytes, std::byte{0x11});
  (void)decoder.Decode(codec, parameter, in.Rest(), MutableByteSpan(raw).first(raw_bytes), base);
  for (std::size_t i = 0; i < kGuard; ++i) FUZZ_CHECK(raw[raw_bytes + i] == std::byte{0x5a});
  return 0;
}
