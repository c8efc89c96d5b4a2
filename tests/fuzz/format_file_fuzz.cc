// The format file, as it is and with a checksum that fits.

#include "store/codec/hash.h"
#include "store/engine/format_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ckpt;  // NOLINT
  FuzzInput in(data, size);
  const bool repaired = in.U8() % 2 == 1;
  ByteSpan rest = in.Rest();
  Bytes file(rest.begin(), rest.end());
  if (repaired) {
    file.resize(kFormatFileBytes - 8);
    const std::uint64_t checksum = Checksum64(file);
    ByteWriter(&file).U64(checksum);
  }
  auto format = DecodeFormatFile(file);
  if (!format.ok() || format->read_only) return 0;
  auto again = EncodeFormatFile(*format);  // what is accepted is within the limits
  FUZZ_CHECK(again.ok());
  return 0;
}
