#include "store/engine/convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "store/base/check.h"
#include "store/engine/array_io.h"

namespace ckpt {
namespace {

// Through the widest type of its kind, a block at a time: so there are as many loops as types, not
// as pairs of them.
constexpr std::size_t kBlock = 512;

// Floats of 16 bits: sign, kExponentBits, kFractionBits.
template <int kExponentBits, int kFractionBits>
struct Small {
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr std::uint16_t kInfinity = ((1 << kExponentBits) - 1) << kFractionBits;
  std::uint16_t bits;

  double ToDouble() const {
    const int exponent = (bits >> kFractionBits) & ((1 << kExponentBits) - 1);
    const int fraction = bits & ((1 << kFractionBits) - 1);
    const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
    if (exponent == (1 << kExponentBits) - 1) {
      return fraction != 0 ? std::copysign(std::numeric_limits<double>::quiet_NaN(), sign)
                           : sign * std::numeric_limits<double>::infinity();
    }
    const int whole = exponent == 0 ? fraction : fraction | (1 << kFractionBits);
    return sign * std::ldexp(whole, std::max(exponent, 1) - kBias - kFractionBits);
  }

  // To nearest, ties to even. False: a finite value that is too large.
  static bool From(double value, Small* out) {
    const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    if (!std::isfinite(value)) {
      const int quiet = std::isnan(value) ? 1 << (kFractionBits - 1) : 0;
      out->bits = static_cast<std::uint16_t>(sign | kInfinity | quiet);
      return true;
    }
    constexpr int kExponentMin = 1 - kBias;
    const int exponent = value == 0 ? kExponentMin : std::max(std::ilogb(value), kExponentMin);
    // Its leading bit is of weight 2^kFractionBits unless the number is subnormal; a carry out of
    // the fraction goes where it belongs.
    const double units = std::nearbyint(std::ldexp(std::fabs(value), kFractionBits - exponent));
    const std::int64_t magnitude =
        (static_cast<std::int64_t>(exponent - kExponentMin) << kFractionBits) +
        static_cast<std::int64_t>(units);
    if (magnitude >= kInfinity) return false;
    out->bits = static_cast<std::uint16_t>(sign | magnitude);
    return true;
  }
};
using Half = Small<5, 10>;
using Bfloat = Small<8, 7>;

template <typename T>
constexpr bool kIsSmall = std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>;

template <typename T>
using Wide =
    std::conditional_t<!std::is_integral_v<T>, double,
                       std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;

template <typename T>
T LoadAs(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

template <typename T>
void Widen(const std::byte* in, std::size_t count, Wide<T>* out) {
  for (std::size_t i = 0; i < count; ++i) {
    const T value = LoadAs<T>(in + i * sizeof(T));
    if constexpr (kIsSmall<T>) {
      out[i] = value.ToDouble();
    } else {
      out[i] = value;  // NOLINT(bugprone-signed-char-misuse): a number, not a character
    }
  }
}

// False: it does not fit.
template <typename T, typename W>
bool Narrow(W wide, T* out) {
  if constexpr (kIsSmall<T>) {
    return T::From(static_cast<double>(wide), out);
  } else if constexpr (std::is_integral_v<T> && std::is_integral_v<W>) {
    *out = static_cast<T>(wide);
    return std::in_range<T>(wide);
  } else if constexpr (std::is_integral_v<T>) {
    const double above = std::ldexp(1.0, std::numeric_limits<T>::digits);
    const double least = std::is_signed_v<T> ? -above : 0.0;
    // Also false for what is no number.
    if (!(wide >= least && wide < above) || std::trunc(wide) != wide) return false;
    *out = static_cast<T>(wide);
    return true;
  } else if constexpr (std::is_same_v<T, float> && std::is_same_v<W, double>) {
    // Half way from the largest float to the next power of two, and beyond, rounds to infinity.
    if (std::isfinite(wide) && std::fabs(wide) >= 0x1.ffffffp127) return false;
    *out = static_cast<float>(wide);
    return true;
  } else {
    *out = static_cast<T>(wide);
    return true;
  }
}

// The index of the first that does not fit; `count`: all do. `out` may be null.
template <typename T, typename W>
std::size_t NarrowAll(const W* in, std::size_t count, std::byte* out) {
  for (std::size_t i = 0; i < count; ++i) {
    T value{};
    if (!Narrow(in[i], &value)) return i;
    if (out != nullptr) std::memcpy(out + i * sizeof(T), &value, sizeof(T));
  }
  return count;
}

// Calls fn.operator()<T>() for the type that `dtype` stands for.
template <typename Fn>
auto WithType(Dtype dtype, Fn fn) {
  switch (dtype) {
    case Dtype::kInt8:
      return fn.template operator()<std::int8_t>();
    case Dtype::kInt16:
      return fn.template operator()<std::int16_t>();
    case Dtype::kInt32:
      return fn.template operator()<std::int32_t>();
    case Dtype::kInt64:
      return fn.template operator()<std::int64_t>();
    case Dtype::kUint8:
      return fn.template operator()<std::uint8_t>();
    case Dtype::kUint16:
      return fn.template operator()<std::uint16_t>();
    case Dtype::kUint32:
      return fn.template operator()<std::uint32_t>();
    case Dtype::kUint64:
      return fn.template operator()<std::uint64_t>();
    case Dtype::kFloat16:
      return fn.template operator()<Half>();
    case Dtype::kBfloat16:
      return fn.template operator()<Bfloat>();
    case Dtype::kFloat32:
      return fn.template operator()<float>();
    default:
      return fn.template operator()<double>();
  }
}

bool IsNumber(Dtype dtype) {
  switch (dtype) {
    case Dtype::kInt8:
    case Dtype::kInt16:
    case Dtype::kInt32:
    case Dtype::kInt64:
    case Dtype::kUint8:
    case Dtype::kUint16:
    case Dtype::kUint32:
    case Dtype::kUint64:
    case Dtype::kFloat16:
    case Dtype::kBfloat16:
    case Dtype::kFloat32:
    case Dtype::kFloat64:
      return true;
    default:
      return false;
  }
}

template <typename W>
std::string Shown(W value) {
  if constexpr (std::is_integral_v<W>) {
    return std::to_string(value);
  } else {
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.17g", value);
    return text.data();
  }
}

template <typename W>
Status DoesNotFit(std::uint64_t index, W value, Dtype from, Dtype to) {
  return InvalidArgument("element " + std::to_string(index) + ", " + Shown(value) + " as " +
                         DtypeName(static_cast<int>(from)) + ", does not fit " +
                         DtypeName(static_cast<int>(to)));
}

// One block. Ok, or the error of its first element that does not fit.
template <typename W>
Status NarrowBlock(const W* wide, std::size_t count, std::uint64_t first_index, Dtype from,
                   Dtype to, std::byte* out) {
  const std::size_t good =
      WithType(to, [&]<typename T>() { return NarrowAll<T>(wide, count, out); });
  if (good == count) return Status();
  return DoesNotFit(first_index + good, wide[good], from, to);
}

template <typename F>
Status ConvertFrom(Dtype from, ByteSpan in, Dtype to, MutableByteSpan out, std::uint64_t index) {
  std::array<Wide<F>, kBlock> wide;
  const std::size_t to_bytes = *ElementBytesOf(to);
  const std::size_t elements = in.size() / sizeof(F);
  for (std::size_t at = 0; at < elements; at += kBlock) {
    const std::size_t count = std::min(kBlock, elements - at);
    Widen<F>(in.data() + at * sizeof(F), count, wide.data());
    std::byte* const place = out.empty() ? nullptr : out.data() + at * to_bytes;
    CKPT_RETURN_IF_ERROR(NarrowBlock(wide.data(), count, index + at, from, to, place));
  }
  return Status();
}

}  // namespace

bool CanConvert(Dtype from, Dtype to) { return IsNumber(from) && IsNumber(to); }

Status ConvertElements(Dtype from, ByteSpan in, Dtype to, MutableByteSpan out,
                       std::uint64_t first_index) {
  CKPT_CHECK(CanConvert(from, to), "types without conversion");
  const std::size_t count = in.size() / *ElementBytesOf(from);
  CKPT_CHECK(in.size() == count * *ElementBytesOf(from), "a part of an element");
  CKPT_CHECK(out.empty() || out.size() == count * *ElementBytesOf(to), "room for other elements");
  return WithType(from,
                  [&]<typename F>() { return ConvertFrom<F>(from, in, to, out, first_index); });
}

}  // namespace ckpt
