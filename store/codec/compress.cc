#include "store/codec/compress.h"

#define ZSTD_STATIC_LINKING_ONLY  // the magicless frame format
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

#include "store/codec/difference.h"
#include "store/codec/element_width.h"
#include "store/codec/incompressible.h"
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

// zstd's levels by number; beyond 19 they only take more memory.
constexpr int kLevelLeast = -7;
constexpr int kLevelMost = 19;
// Below this nothing can shrink: a frame has 2 bytes of header and 3 of each block's.
constexpr std::size_t kLeastEncodedBytes = 8;
// Shuffled bytes are packed in blocks of whole planes of at least this: the planes of mantissas do
// not spoil the statistics of the exponents' (BM_Encode_Fp64).
constexpr std::size_t kPlaneBlockBytes = 8 << 10;
constexpr std::size_t kLeastSampledBytes = 32 << 10;
constexpr std::size_t kSamplePieces = 2;
constexpr std::size_t kSamplePieceBytes = 4 << 10;
constexpr int kSampleLevel = 1;
// A chunk of which so much is noise in planes, and in which nothing repeats, is smaller shuffled:
// no sample need say so.
constexpr std::size_t kNoiseThatDecides = 4;  // one in so many bytes
// In more, what SomethingRepeats remembers is too little.
constexpr std::size_t kRepeatsSeen = 256 << 10;
// RFC 8878, 3.1.1: a frame without content size and checksum begins with two bytes, a block with
// three.
constexpr std::size_t kFrameHeaderBytes = 2;
constexpr std::size_t kBlockHeaderBytes = 3;
constexpr std::size_t kBlockBytesMost = 128 << 10;
constexpr unsigned kLeastWindowLog = 10;
// A way is tried in full unless what was found already is below this share of its sample's promise.
constexpr double kSampleTrust = 0.93;

// A form must save 1/128 of the bytes to be worth decoding.
std::size_t RoomFor(ByteSpan raw) { return raw.size() - 1 - raw.size() / 128; }

// Pieces from a quarter and three quarters of `raw`, of whole elements, into *sample.
void TakeSample(ByteSpan raw, std::size_t width, Bytes* sample) {
  std::size_t piece = kSamplePieceBytes / width * width;
  sample->clear();
  for (std::size_t i = 0; i < kSamplePieces; ++i) {
    std::size_t place = raw.size() * (2 * i + 1) / (2 * kSamplePieces) / width * width;
    ByteSpan bytes = raw.subspan(place, piece);
    sample->insert(sample->end(), bytes.begin(), bytes.end());
  }
}

MutableByteSpan Sized(Bytes* buffer, std::size_t size) {
  if (buffer->size() < size) buffer->resize(size);
  return MutableByteSpan(*buffer).first(size);
}

// Part of the shuffled bytes: all planes that can be packed, from the first to the last. Those
// before and behind are noise: of doubles that are measured or computed, the lower bytes of the
// mantissas.
struct PackedPart {
  std::size_t begin = 0;
  std::size_t end = 0;
};
PackedPart FindPackedPart(ByteSpan planes, std::size_t width) {
  const std::size_t plane_bytes = planes.size() / width;
  const auto is_noise = [&](std::size_t plane) {
    return LooksIncompressible(planes.subspan(plane * plane_bytes, plane_bytes));
  };
  std::size_t first = 0, end = width;
  while (first < end && is_noise(first)) ++first;
  while (end > first && is_noise(end - 1)) --end;
  return {first * plane_bytes, end == width ? planes.size() : end * plane_bytes};
}

// Of bytes as they are (type 0).
void StoreRawBlockHeader(bool last, std::size_t size, std::byte* to) {
  const std::size_t header = (size << 3) | (last ? 1 : 0);
  for (unsigned i = 0; i < kBlockHeaderBytes; ++i) to[i] = std::byte(header >> (8 * i));
}

std::size_t RawBlocksBytes(std::size_t size) {
  return size + kBlockHeaderBytes * ((size + kBlockBytesMost - 1) / kBlockBytesMost);
}

// Blocks of bytes as they are. `last`: the frame ends with them.
void StoreRawBlocks(ByteSpan bytes, bool last, std::byte* to) {
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), kBlockBytesMost);
    StoreRawBlockHeader(last && size == bytes.size(), size, to);
    std::memcpy(to + kBlockHeaderBytes, bytes.data(), size);
    to += kBlockHeaderBytes + size;
    bytes = bytes.subspan(size);
  }
}

// Blocks may follow the last one of `blocks`.
void UnmarkLastBlock(MutableByteSpan blocks) {
  std::size_t at = 0;
  while ((blocks[at] & std::byte{1}) == std::byte{0}) {
    std::size_t header = 0;
    for (unsigned i = 0; i < kBlockHeaderBytes; ++i) {
      header |= std::to_integer<std::size_t>(blocks[at + i]) << (8 * i);
    }
    const bool one_byte = ((header >> 1) & 3) == 1;  // repeated
    at += kBlockHeaderBytes + (one_byte ? 1 : header >> 3);
  }
  blocks[at] &= std::byte{0xFE};
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
    case Codec::kDeltaXor:
      return "xor";
    case Codec::kDeltaSubtract:
      return "subtract";
  }
  return "codec " + std::to_string(codec);
}

struct Decoder::State {
  DCtx context;
  Bytes shuffled, difference;

  Status Unpack(ByteSpan stored, MutableByteSpan out);
  Status Expand(ByteSpan stored, std::size_t width, MutableByteSpan raw);
  Status DecodeDelta(Difference how, std::size_t width, ByteSpan stored, ByteSpan base,
                     MutableByteSpan raw);
};

Status Decoder::State::Unpack(ByteSpan stored, MutableByteSpan out) {
  if (context == nullptr) {
    DCtx fresh(ZSTD_createDCtx());
    if (fresh == nullptr) return OutOfMemory("zstd decompression context");
    std::size_t set = ZSTD_DCtx_setParameter(fresh.get(), ZSTD_d_format, ZSTD_f_zstd1_magicless);
    if (ZSTD_isError(set)) return Internal("zstd cannot read frames without magic number");
    context = std::move(fresh);
  }
  std::size_t size =
      ZSTD_decompressDCtx(context.get(), out.data(), out.size(), stored.data(), stored.size());
  if (ZSTD_isError(size)) {
    if (ZSTD_getErrorCode(size) == ZSTD_error_memory_allocation) return NoMemoryLeft();
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

Status Decoder::State::Expand(ByteSpan stored, std::size_t width, MutableByteSpan raw) {
  MutableByteSpan planes = Sized(&shuffled, raw.size());
  CKPT_RETURN_IF_ERROR(Unpack(stored, planes));
  Unshuffle(planes, width, raw);
  return {};
}

Status Decoder::State::DecodeDelta(Difference how, std::size_t width, ByteSpan stored,
                                   ByteSpan base, MutableByteSpan raw) {
  if (stored.size() < sizeof(Id128)) return Corruption("delta payload: shorter than a base's id");
  if (base.size() != raw.size()) {
    return Corruption("delta payload: of " + std::to_string(raw.size()) + " bytes, its base has " +
                      std::to_string(base.size()));
  }
  MutableByteSpan taken = Sized(&difference, raw.size());
  CKPT_RETURN_IF_ERROR(Expand(stored.subspan(sizeof(Id128)), width, taken));
  UndoDifference(how, LaneOfWidth(width), taken, base, raw);
  return {};
}

Status Decoder::Decode(std::uint8_t codec, std::uint8_t param, ByteSpan stored, MutableByteSpan raw,
                       ByteSpan base) {
  const bool shuffled = codec == static_cast<std::uint8_t>(Codec::kShuffleZstd);
  const bool delta = codec == static_cast<std::uint8_t>(Codec::kDeltaXor) ||
                     codec == static_cast<std::uint8_t>(Codec::kDeltaSubtract);
  if (codec > static_cast<std::uint8_t>(Codec::kShuffleZstd) && !delta) {
    return Unsupported("payload " + CodecName(codec) +
                       ": this build does not know it; read the store with a newer one");
  }
  if (!shuffled && !delta && param != 0) {
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
  if (shuffled) return state_->Expand(stored, WidthOfParam(param), raw);
  const Difference how = codec == static_cast<std::uint8_t>(Codec::kDeltaXor)
                             ? Difference::kXor
                             : Difference::kSubtract;
  return state_->DecodeDelta(how, WidthOfParam(param), stored, base, raw);
}

struct Encoder::State {
  CCtx context;
  Decoder checker;
  Bytes plain_out, shuffled_out, shuffled, sample, sample_planes, sample_out, checked;
  Bytes xored, subtracted, delta_out;
  int level = ZSTD_maxCLevel() + 1;
  bool thorough = false;

  Status Prepare();
  void SetLevel(int wanted);
  Result<std::size_t> Pack(ByteSpan in, std::size_t block_bytes, MutableByteSpan out);
  Result<std::size_t> PackPlanes(ByteSpan planes, std::size_t width, const PackedPart& part,
                                 MutableByteSpan out);
  Result<std::size_t> PackSample(ByteSpan raw, std::size_t width, MutableByteSpan out);
  Status TryPlain(ByteSpan raw, Encoded* best);
  Status TryShuffled(ByteSpan planes, std::size_t width, const PackedPart& part, Encoded* best);
  Status TryBoth(ByteSpan raw, std::size_t width, Encoded* best);
  Result<bool> SubtractIsSmaller(std::size_t width);
  Status Verify(ByteSpan raw, const Encoded& encoded, ByteSpan base = {});
};

Status Encoder::State::Prepare() {
  if (context != nullptr) return {};
  CCtx fresh(ZSTD_createCCtx());
  if (fresh == nullptr) return OutOfMemory("zstd compression context");
  auto set = [&](ZSTD_cParameter parameter, int value) {
    return !ZSTD_isError(ZSTD_CCtx_setParameter(fresh.get(), parameter, value));
  };
  bool exact = set(ZSTD_c_format, ZSTD_f_zstd1_magicless) && set(ZSTD_c_contentSizeFlag, 0) &&
               set(ZSTD_c_checksumFlag, 0) && set(ZSTD_c_dictIDFlag, 0);
  if (!exact) return Internal("zstd cannot write frames without magic number");
  // Only to spare copies; older libraries do without.
  set(ZSTD_c_stableInBuffer, 1);
  set(ZSTD_c_stableOutBuffer, 1);
  context = std::move(fresh);
  return {};
}

void Encoder::State::SetLevel(int wanted) {
  if (level == wanted) return;
  ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_only);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, wanted);
  level = wanted;
}

// One frame, in blocks of `block_bytes` so that each gets entropy tables of its own. The packed
// size, or in.size() when the frame does not fit `out`: not smaller then.
Result<std::size_t> Encoder::State::Pack(ByteSpan in, std::size_t block_bytes,
                                         MutableByteSpan out) {
  ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_only);
  ZSTD_CCtx_setPledgedSrcSize(context.get(), in.size());
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer from{in.data(), 0, 0};
  while (true) {
    from.size = block_bytes < in.size() - from.pos ? from.pos + block_bytes : in.size();
    bool last = from.size == in.size();
    std::size_t left =
        ZSTD_compressStream2(context.get(), &to, &from, last ? ZSTD_e_end : ZSTD_e_flush);
    if (ZSTD_isError(left)) {
      ZSTD_ErrorCode code = ZSTD_getErrorCode(left);
      if (code == ZSTD_error_dstSize_tooSmall) return in.size();
      if (code == ZSTD_error_memory_allocation) return OutOfMemory("zstd compression");
      return Internal(std::string("zstd compression: ") + ZSTD_getErrorName(left));
    }
    if (left != 0) return in.size();
    if (last) return to.pos;
  }
}

// One frame of shuffled bytes: zstd sees `part` alone, the rest goes into raw blocks. These change
// nothing that the blocks behind them depend on: matches reach into the part only, and entropy
// tables and repeated offsets are those of a frame that begins with it.
Result<std::size_t> Encoder::State::PackPlanes(ByteSpan planes, std::size_t width,
                                               const PackedPart& part, MutableByteSpan out) {
  const std::size_t plane_bytes = planes.size() / width;
  const std::size_t planes_a_block = (kPlaneBlockBytes + plane_bytes - 1) / plane_bytes;
  const std::size_t block_bytes = planes_a_block * plane_bytes;
  const ByteSpan packed = planes.subspan(part.begin, part.end - part.begin);
  if (packed.size() == planes.size()) return Pack(packed, block_bytes, out);
  const ByteSpan before = planes.first(part.begin), behind = planes.subspan(part.end);
  const std::size_t blocks_at = kFrameHeaderBytes + RawBlocksBytes(before.size());
  const std::size_t behind_bytes = RawBlocksBytes(behind.size());
  if (packed.empty() || blocks_at + behind_bytes >= out.size()) return planes.size();
  // Its own header is written over below.
  MutableByteSpan room =
      out.subspan(blocks_at - kFrameHeaderBytes, out.size() - behind_bytes - blocks_at);
  CKPT_ASSIGN_OR_RETURN(std::size_t size, Pack(packed, block_bytes, room));
  if (size >= packed.size()) return planes.size();
  const std::size_t behind_at = blocks_at + size - kFrameHeaderBytes;
  if (!behind.empty()) {
    UnmarkLastBlock(out.subspan(blocks_at, behind_at - blocks_at));
    StoreRawBlocks(behind, true, &out[behind_at]);
  }
  const auto log = static_cast<unsigned>(std::bit_width(planes.size() - 1));
  out[0] = std::byte{0};  // neither content size nor dictionary nor checksum
  out[1] = std::byte((std::max(log, kLeastWindowLog) - kLeastWindowLog) << 3);
  StoreRawBlocks(before, false, &out[kFrameHeaderBytes]);
  return behind_at + behind_bytes;
}

Result<std::size_t> Encoder::State::PackSample(ByteSpan raw, std::size_t width,
                                               MutableByteSpan out) {
  MutableByteSpan planes = Sized(&sample_planes, raw.size());
  Shuffle(raw, width, planes);
  return PackPlanes(planes, width, {0, planes.size()}, out);
}

Status Encoder::State::TryPlain(ByteSpan raw, Encoded* best) {
  MutableByteSpan out = Sized(&plain_out, raw.size());
  CKPT_ASSIGN_OR_RETURN(std::size_t size, Pack(raw, raw.size(), out.first(RoomFor(raw))));
  if (size < best->bytes.size()) *best = {Codec::kZstd, 0, out.first(size)};
  return {};
}

Status Encoder::State::TryShuffled(ByteSpan planes, std::size_t width, const PackedPart& part,
                                   Encoded* best) {
  MutableByteSpan out = Sized(&shuffled_out, planes.size());
  CKPT_ASSIGN_OR_RETURN(std::size_t size,
                        PackPlanes(planes, width, part, out.first(RoomFor(planes))));
  if (size < best->bytes.size()) {
    *best = {Codec::kShuffleZstd, ParamOfWidth(width), out.first(size)};
  }
  return {};
}

// Chunks of some size, unless planes of noise say it already, first send a sample both ways, and
// the promising way goes first; the other follows only if the sample said it might still win.
Status Encoder::State::TryBoth(ByteSpan raw, std::size_t width, Encoded* best) {
  MutableByteSpan planes = Sized(&shuffled, raw.size());
  Shuffle(raw, width, planes);
  const PackedPart part = FindPackedPart(planes, width);
  if (raw.size() <= kRepeatsSeen &&
      raw.size() - (part.end - part.begin) >= raw.size() / kNoiseThatDecides &&
      !SomethingRepeats(raw)) {
    return TryShuffled(planes, width, part, best);
  }
  if (thorough || raw.size() < kLeastSampledBytes) {
    CKPT_RETURN_IF_ERROR(TryShuffled(planes, width, part, best));
    return TryPlain(raw, best);
  }
  TakeSample(raw, width, &sample);
  MutableByteSpan out = Sized(&sample_out, ZSTD_compressBound(sample.size()));
  int wanted = level;
  SetLevel(std::min(wanted, kSampleLevel));
  CKPT_ASSIGN_OR_RETURN(std::size_t plain, Pack(sample, sample.size(), out));
  CKPT_ASSIGN_OR_RETURN(std::size_t shuffle, PackSample(sample, width, out));
  SetLevel(wanted);
  bool shuffle_first = shuffle < plain;
  CKPT_RETURN_IF_ERROR(shuffle_first ? TryShuffled(planes, width, part, best)
                                     : TryPlain(raw, best));
  double scale = static_cast<double>(raw.size()) / static_cast<double>(sample.size());
  double other = scale * static_cast<double>(std::max(plain, shuffle));
  bool other_may_win = other < static_cast<double>(RoomFor(raw)) &&
                       other * kSampleTrust <= static_cast<double>(best->bytes.size());
  if (!other_may_win) return {};
  return shuffle_first ? TryPlain(raw, best) : TryShuffled(planes, width, part, best);
}

Status Encoder::State::Verify(ByteSpan raw, const Encoded& encoded, ByteSpan base) {
  MutableByteSpan again = Sized(&checked, raw.size());
  Status status = checker.Decode(static_cast<std::uint8_t>(encoded.codec), encoded.param,
                                 encoded.bytes, again, base);
  if (status.code() == Code::kOutOfMemory) return status;
  if (status.ok() && std::memcmp(again.data(), raw.data(), raw.size()) == 0) return {};
  return Internal("compressed chunk does not give back its bytes: memory or zstd is at fault");
}

Encoder::Encoder() : state_(std::make_unique<State>()) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

Result<Encoded> Encoder::Encode(ByteSpan raw, const EncodeOptions& options) {
  Encoded best{Codec::kRaw, 0, raw};
  if (raw.size() < kLeastEncodedBytes || LooksIncompressible(raw)) return best;
  CKPT_RETURN_IF_ERROR(state_->Prepare());
  state_->SetLevel(std::clamp(options.level, kLevelLeast, kLevelMost));
  state_->thorough = options.thorough;
  std::size_t width =
      options.element_width == kUnknownWidth ? GuessElementWidth(raw) : options.element_width;
  bool shuffles = width > 1 && width <= kShuffleWidthMost && raw.size() >= 2 * width;
  CKPT_RETURN_IF_ERROR(shuffles ? state_->TryBoth(raw, width, &best)
                                : state_->TryPlain(raw, &best));
  if (options.verify && best.codec != Codec::kRaw) {
    CKPT_RETURN_IF_ERROR(state_->Verify(raw, best));
  }
  return best;
}

// Of large chunks by samples of both.
Result<bool> Encoder::State::SubtractIsSmaller(std::size_t width) {
  const std::size_t bytes = xored.size();
  std::size_t packed[2] = {};
  const int wanted = level;
  SetLevel(std::min(wanted, kSampleLevel));
  for (const bool second : {false, true}) {
    ByteSpan difference = second ? ByteSpan(subtracted) : ByteSpan(xored);
    if (bytes >= kLeastSampledBytes) {
      TakeSample(difference, width, &sample);
      difference = sample;
    }
    MutableByteSpan out = Sized(&sample_out, ZSTD_compressBound(difference.size()));
    CKPT_ASSIGN_OR_RETURN(packed[second ? 1 : 0], PackSample(difference, width, out));
  }
  SetLevel(wanted);
  return packed[1] < packed[0];
}

Result<std::optional<Encoded>> Encoder::EncodeDelta(ByteSpan raw, ByteSpan base,
                                                    const Id128& base_id,
                                                    const EncodeOptions& options,
                                                    std::size_t bytes_max) {
  if (raw.size() < kLeastEncodedBytes || bytes_max <= sizeof(Id128))
    return std::optional<Encoded>();
  State& s = *state_;
  CKPT_RETURN_IF_ERROR(s.Prepare());
  s.SetLevel(std::clamp(options.level, kLevelLeast, kLevelMost));
  s.xored.resize(raw.size());
  TakeDifference(Difference::kXor, 1, raw, base, s.xored);
  if (LooksIncompressible(s.xored)) return std::optional<Encoded>();
  // It shows in the difference also where the bytes themselves are noise.
  std::size_t width = options.element_width;
  if (width == kUnknownWidth) width = GuessElementWidth(s.xored);
  if (width <= 1 && options.element_width == kUnknownWidth) width = GuessElementWidth(raw);
  if (width < 1 || width > kShuffleWidthMost || raw.size() < 2 * width) width = 1;
  s.subtracted.resize(raw.size());
  TakeDifference(Difference::kSubtract, LaneOfWidth(width), raw, base, s.subtracted);
  CKPT_ASSIGN_OR_RETURN(bool subtract, s.SubtractIsSmaller(width));
  const Bytes& difference = subtract ? s.subtracted : s.xored;
  MutableByteSpan out = Sized(&s.delta_out, bytes_max);
  MutableByteSpan planes = Sized(&s.shuffled, raw.size());
  Shuffle(difference, width, planes);
  CKPT_ASSIGN_OR_RETURN(std::size_t size, s.PackPlanes(planes, width, FindPackedPart(planes, width),
                                                       out.subspan(sizeof(Id128))));
  if (size + sizeof(Id128) > bytes_max || size >= raw.size()) return std::optional<Encoded>();
  std::memcpy(out.data(), base_id.bytes.data(), sizeof(Id128));
  Encoded encoded{subtract ? Codec::kDeltaSubtract : Codec::kDeltaXor, ParamOfWidth(width),
                  out.first(sizeof(Id128) + size)};
  if (options.verify) CKPT_RETURN_IF_ERROR(s.Verify(raw, encoded, base));
  return std::optional<Encoded>(encoded);
}

}  // namespace ckpt
