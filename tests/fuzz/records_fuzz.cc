// Payloads of manifests and the other records: what is accepted could have been written, so it
// encodes to the same bytes.

#include "store/manifest/manifest.h"
#include "tests/fuzz/fuzz_input.h"

namespace ckpt {
namespace {

void SameBytes(ByteSpan payload, const Bytes& again) {
  FUZZ_CHECK(again.size() == payload.size());
  FUZZ_CHECK(std::equal(again.begin(), again.end(), payload.begin()));
}

void Decode(int kind, ByteSpan payload) {
  switch (kind) {
    case 0:
      if (auto m = DecodeManifest(payload); m.ok()) SameBytes(payload, *EncodeManifest(*m));
      break;
    case 1:
      if (auto t = DecodeTombstone(payload); t.ok()) SameBytes(payload, *EncodeTombstone(*t));
      break;
    case 2:
      if (auto a = DecodeAttempt(payload); a.ok()) SameBytes(payload, *EncodeAttempt(*a));
      break;
    case 3:
      if (auto d = DecodeDamage(payload); d.ok()) SameBytes(payload, EncodeDamage(*d));
      break;
    case 4:
      if (auto w = DecodeWriter(payload); w.ok()) SameBytes(payload, *EncodeWriter(*w));
      break;
    case 5:
      if (auto a = DecodeAck(payload); a.ok()) SameBytes(payload, EncodeAck(*a));
      break;
    default:
      if (auto m = DecodeMoved(payload); m.ok()) SameBytes(payload, EncodeMoved(*m));
  }
}

}  // namespace
}  // namespace ckpt

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ckpt::FuzzInput in(data, size);
  const int kind = in.U8() % 7;
  ckpt::Decode(kind, in.Rest());
  return 0;
}
