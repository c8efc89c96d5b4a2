#include "store/codec/compress.h"

#define ZSTD_STATIC_LINKING_ONLY  // the magicless frame format
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "store/codec/shuffle.h"

namespace ckpt {
namespace {

struct FreeCCtx {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDCtx {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using CCtx = std::unique_ptr<ZSTD_CCtx, FreeCCtx>;
using DCtx = std::unique_ptr<ZSTD_DCtx, FreeDCtx>;

std::size_t WidthOfParam(std::uint8_t param) { return param == 0 ? 256 : param; }
std::uint8_t ParamOfWidth(std::size_t width) { return static_cast<std::uint8_t>(width & 0xFF); }

MutableByteSpan Sized(Bytes* buffer, std::size_t size) {
  if (buffer->size() < size) buffer->resize(size);
  return MutableByteSpan(*buffer).first(size);
}

}  // namespace

std::string CodecName(std::uint8_t codec) {
  switch (static_cast<Codec>(codec)) {
    case Codec::kRaw:
      return "raw";
    case Codec::kZstd:
      return "zstd";
    case Codec::kShuffleZstd:
      return "shuffle";
  }
  return "codec " + std::to_string(codec);
}

struct Decoder::State {
  DCtx context;
  Bytes shuffled;

  Status Unpack(ByteSpan stored, MutableByteSpan out);
};

Status Decoder::State::Unpack(ByteSpan stored, MutableByteSpan out) {
  if (context == nullptr) {
    context.reset(ZSTD_createDCtx());
    if (context == nullptr) return OutOfMemory("zstd decompression context");
    std::size_t set = ZSTD_DCtx_setParameter(context.get(), ZSTD_d_format, ZSTD_f_zstd1_magicless);
    if (ZSTD_isError(set)) return Internal("zstd cannot read frames without magic number");
  }
  std::size_t size =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), stored.data(), stored.size());
  if (ZSTD_isError(size)) {
    return Corruption(std::string("zstd payload: ") + ZSTD_getErrorName(size));
  }
  if (size != out.size()) {
    return Corruption("zstd payload: holds " + std::to_string(size) + " bytes, not " +
                      std::to_string(out.size()));
  }
  return {};
}

Decoder::Decoder() : state_(std::make_unique<State>()) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

Status Decoder::Decode(std::uint8_t codec, std::uint8_t param, ByteSpan stored,
                       MutableByteSpan raw) {
  if (codec > static_cast<std::uint8_t>(Codec::kShuffleZstd)) {
    return Unsupported("payload " + CodecName(codec) +
                       ": this build does not know it; read the store with a newer one");
  }
  if (codec != static_cast<std::uint8_t>(Codec::kShuffleZstd) && param != 0) {
    return Corruption("payload " + CodecName(codec) + ": parameter " + std::to_string(param) +
                      ", which has no meaning here");
  }
  if (codec == static_cast<std::uint8_t>(Codec::kRaw)) {
    if (stored.size() != raw.size()) {
      return Corruption("raw payload: " + std::to_string(stored.size()) + " bytes, not " +
                        std::to_string(raw.size()));
    }
    if (!raw.empty()) std::memcpy(raw.data(), stored.data(), raw.size());
    return {};
  }
  if (codec == static_cast<std::uint8_t>(Codec::kZstd)) return state_->Unpack(stored, raw);
  MutableByteSpan shuffled = Sized(&state_->shuffled, raw.size());
  CKPT_RETURN_IF_ERROR(state_->Unpack(stored, shuffled));
  Unshuffle(shuffled, WidthOfParam(param), raw);
  return {};
}

struct Encoder::State {
  CCtx context;
  Decoder checker;
  Bytes plain_out, shuffled_out, shuffled, checked;
  int level = ZSTD_maxCLevel() + 1;

  Status Prepare(int level);
  Result<std::size_t> Pack(ByteSpan in, MutableByteSpan out);
};

Status Encoder::State::Prepare(int wanted) {
  if (context == nullptr) {
    context.reset(ZSTD_createCCtx());
    if (context == nullptr) return OutOfMemory("zstd compression context");
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_format, ZSTD_f_zstd1_magicless);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 0);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 0);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_dictIDFlag, 0);
  }
  wanted = std::clamp(wanted, -7, 19);
  if (level != wanted) {
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, wanted);
    level = wanted;
  }
  return {};
}

// The packed size, or in.size() when it does not fit `out`: that is not smaller.
Result<std::size_t> Encoder::State::Pack(ByteSpan in, MutableByteSpan out) {
  std::size_t size = ZSTD_compress2(context.get(), out.data(), out.size(), in.data(), in.size());
  if (!ZSTD_isError(size)) return size;
  if (ZSTD_getErrorCode(size) == ZSTD_error_dstSize_tooSmall) return in.size();
  if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) {
    return OutOfMemory("zstd compression");
  }
  return Internal(std::string("zstd compression: ") + ZSTD_getErrorName(size));
}

Encoder::Encoder() : state_(std::make_unique<State>()) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

Result<Encoded> Encoder::Encode(ByteSpan raw, const EncodeOptions& options) {
  Encoded best{Codec::kRaw, 0, raw};
  if (raw.size() < 2) return best;
  State& s = *state_;
  CKPT_RETURN_IF_ERROR(s.Prepare(options.level));
  MutableByteSpan out = Sized(&s.plain_out, raw.size() - 1);
  CKPT_ASSIGN_OR_RETURN(std::size_t size, s.Pack(raw, out));
  if (size < raw.size()) best = {Codec::kZstd, 0, out.first(size)};
  std::size_t width = options.element_width;
  if (width > 1 && width <= kShuffleWidthMost && raw.size() >= 2 * width) {
    MutableByteSpan shuffled = Sized(&s.shuffled, raw.size());
    Shuffle(raw, width, shuffled);
    out = Sized(&s.shuffled_out, raw.size() - 1);
    CKPT_ASSIGN_OR_RETURN(size, s.Pack(shuffled, out));
    if (size < best.bytes.size()) {
      best = {Codec::kShuffleZstd, ParamOfWidth(width), out.first(size)};
    }
  }
  if (options.verify && best.codec != Codec::kRaw) {
    MutableByteSpan checked = Sized(&s.checked, raw.size());
    Status status =
        s.checker.Decode(static_cast<std::uint8_t>(best.codec), best.param, best.bytes, checked);
    if (!status.ok() || std::memcmp(checked.data(), raw.data(), raw.size()) != 0) {
      return Internal("compressed chunk does not give back its bytes: memory or zstd is at fault");
    }
  }
  return best;
}

}  // namespace ckpt
