// Chunk payloads: from raw bytes to what is stored, and back.
//
//   Encoder encoder;                                          // one per thread
//   CKPT_ASSIGN_OR_RETURN(Encoded e, encoder.Encode(raw, {.level = 3, .element_width = 8}));
//   Append(e.codec, e.param, e.bytes);
//   ...
//   Decoder decoder;                                          // one per thread
//   CKPT_RETURN_IF_ERROR(decoder.Decode(codec, param, stored, raw));
//
// On disk a payload is (codec, param, stored bytes, raw length), all but the bytes kept by the
// record that names it:
//   0 raw      param 0; the bytes themselves. Whatever does not shrink is raw.
//   1 zstd     param 0; one zstd frame (RFC 8878) without its four-byte magic number, without
//              content size, checksum or dictionary id: the record has the length and its own
//              checksum. (libzstd: ZSTD_f_zstd1_magicless.)
//   2 shuffle  param = element width, 0 meaning 256; the frame of codec 1 holds the bytes shuffled
//              as shuffle.h says.
//   3..15 are free.
//   16 xor, 17 subtract   param = element width, 0 meaning 256: the id of the base, another chunk
//              of the same raw length, then the frame of codec 1 with the difference from it
//              (difference.h, in lanes of LaneOfWidth) shuffled by the width. 18..31 are free, and
//              start with the id of a base, too.
// How an encoder finds the smallest form is its own affair: any frame that decodes to the raw bytes
// is right, and equal input with equal options gives equal output. Planes of noise at either end
// are not shown to zstd, but go into raw blocks of the frame.
// Thread rule: an Encoder or Decoder is used by one thread at a time; it holds its own memory.

#ifndef CKPT_STORE_CODEC_COMPRESS_H_
#define CKPT_STORE_CODEC_COMPRESS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "store/base/bytes.h"
#include "store/base/status.h"

namespace ckpt {

enum class Codec : std::uint8_t {
  kRaw = 0,
  kZstd = 1,
  kShuffleZstd = 2,
  kDeltaXor = 16,
  kDeltaSubtract = 17,
};

// "raw", "zstd", "shuffle", "xor", "subtract", or "codec 7" for one this build does not know.
std::string CodecName(std::uint8_t codec);

inline constexpr std::size_t kUnknownWidth = 0;

struct EncodeOptions {
  int level = 3;  // zstd's, -7..19; values beyond are taken as the nearest
  // Bytes of one array element, or of one record of a file of records. A shuffle by this width is
  // tried against plain zstd, and the smaller form kept; when unknown, a width is guessed from the
  // bytes (element_width.h). 1, or more than 256: no shuffle.
  std::size_t element_width = kUnknownWidth;
  bool thorough = false;  // every form in full, not only what a sample of it promises
  bool verify = true;     // decompress and compare before answering
};

struct Encoded {
  Codec codec = Codec::kRaw;
  std::uint8_t param = 0;
  // The raw span itself when codec is kRaw, else the encoder's memory, good until its next call.
  ByteSpan bytes;
};

class Encoder {
 public:
  Encoder();
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  // The smallest form found; raw unless it saves 1/128 of the bytes. OutOfMemory, or Internal when
  // verification found that the compressed form does not give back the raw bytes (nothing may be
  // written then).
  Result<Encoded> Encode(ByteSpan raw, const EncodeOptions& options);
  // The smallest difference from `base` that was found, if it has at most `bytes_max` bytes; the
  // payload starts with `base_id`. What Encode answered stays good, and
  // the other way round. REQUIRES: base.size()
  // == raw.size(). Errors: Encode's.
  Result<std::optional<Encoded>> EncodeDelta(ByteSpan raw, ByteSpan base, const Id128& base_id,
                                             const EncodeOptions& options, std::size_t bytes_max);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // Fills `raw` exactly. `base`: the raw bytes of a delta's base; else empty. `codec`, `param` and
  // `stored` may be hostile: nothing outside `raw` is written and memory stays bounded by
  // raw.size(). Corruption when the stored bytes are not a
  // payload of exactly raw.size() bytes; Unsupported, naming it, for a codec this build does not
  // know. After an error `raw` holds anything.
  Status Decode(std::uint8_t codec, std::uint8_t param, ByteSpan stored, MutableByteSpan raw,
                ByteSpan base = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_CODEC_COMPRESS_H_
