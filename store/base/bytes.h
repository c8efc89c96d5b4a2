// Byte spans, 128-bit identifiers, and the bounded little-endian coding that every format uses.
//
// ByteReader is the only way bytes from disk become numbers (I8): it never reads past its end; the
// first read that would makes it fail for good, and every later read answers zero. A decoder reads
// everything, then asks ok() once and checks what the numbers mean.
// Thread rule: values, no shared state.

#ifndef CKPT_STORE_BASE_BYTES_H_
#define CKPT_STORE_BASE_BYTES_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ckpt {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;
using Bytes = std::vector<std::byte>;

inline ByteSpan AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// 16 opaque bytes: a chunk's id (XXH3-128, canonical big-endian form), or a random identity of a
// pack, attempt, store or host. Ordered as bytes.
struct Id128 {
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Id128&) const = default;
  bool IsZero() const { return *this == Id128{}; }
  // 32 lower-case hexadecimal digits.
  std::string ToHex() const;
  // False, and *id untouched, unless `hex` is exactly 32 hexadecimal digits.
  static bool FromHex(std::string_view hex, Id128* id);
};

// Ids are uniformly distributed, so eight of their bytes are a hash.
struct Id128Hash {
  std::size_t operator()(const Id128& id) const {
    std::uint64_t value;
    std::memcpy(&value, id.bytes.data() + 4, sizeof(value));
    return static_cast<std::size_t>(value);
  }
};

// Appends to a byte vector. Fixed-width little-endian; strings and blobs carry their length.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes* out) : out_(out) {}

  void U8(std::uint8_t v) { out_->push_back(static_cast<std::byte>(v)); }
  void U16(std::uint16_t v) { Fixed(v); }
  void U32(std::uint32_t v) { Fixed(v); }
  void U64(std::uint64_t v) { Fixed(v); }
  void I64(std::int64_t v) { Fixed(static_cast<std::uint64_t>(v)); }
  void Id(const Id128& id) { Raw(std::as_bytes(std::span(id.bytes))); }
  void Raw(ByteSpan bytes) { out_->insert(out_->end(), bytes.begin(), bytes.end()); }
  // u32 length, then the bytes.
  void Blob(ByteSpan bytes) {
    U32(static_cast<std::uint32_t>(bytes.size()));
    Raw(bytes);
  }
  void String(std::string_view text) { Blob(AsBytes(text)); }
  void Zeros(std::size_t count) { out_->resize(out_->size() + count); }

 private:
  template <typename T>
  void Fixed(T v) {
    std::byte b[sizeof(T)];
    for (std::size_t i = 0; i < sizeof(T); ++i) b[i] = static_cast<std::byte>(v >> (8 * i));
    out_->insert(out_->end(), b, b + sizeof(T));
  }
  Bytes* out_;
};

// Reads what ByteWriter wrote, from bytes that may be hostile.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  std::uint8_t U8() { return Fixed<std::uint8_t>(); }
  std::uint16_t U16() { return Fixed<std::uint16_t>(); }
  std::uint32_t U32() { return Fixed<std::uint32_t>(); }
  std::uint64_t U64() { return Fixed<std::uint64_t>(); }
  std::int64_t I64() { return static_cast<std::int64_t>(Fixed<std::uint64_t>()); }
  Id128 Id() {
    Id128 id;
    ByteSpan raw = Raw(id.bytes.size());
    if (ok_) std::memcpy(id.bytes.data(), raw.data(), raw.size());
    return id;
  }
  // `count` bytes of the input, not copied; empty once failed.
  ByteSpan Raw(std::size_t count) {
    if (!ok_ || count > bytes_.size() - offset_) {
      ok_ = false;
      return {};
    }
    offset_ += count;
    return bytes_.subspan(offset_ - count, count);
  }
  // u32 length, then the bytes; fails when longer than `max_bytes`.
  ByteSpan Blob(std::size_t max_bytes) {
    std::uint32_t length = U32();
    if (length > max_bytes) ok_ = false;
    return Raw(ok_ ? length : 0);
  }
  std::string String(std::size_t max_bytes) { return std::string(AsText(Blob(max_bytes))); }
  void Fail() { ok_ = false; }

  bool ok() const { return ok_; }
  // True when every byte was read and nothing failed: what a whole record must answer.
  bool Done() const { return ok_ && offset_ == bytes_.size(); }
  std::size_t offset() const { return offset_; }
  std::size_t remaining() const { return bytes_.size() - offset_; }

 private:
  template <typename T>
  T Fixed() {
    ByteSpan raw = Raw(sizeof(T));
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      v |= static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(raw[i])) << (8 * i);
    }
    return static_cast<T>(v);
  }

  ByteSpan bytes_;
  std::size_t offset_ = 0;
  bool ok_ = true;
};

// Little-endian loads for hot loops over tables whose bounds were checked before.
inline std::uint32_t LoadU32(const std::byte* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof(v));
  return v;  // the store is built for little-endian hosts only (checked in bytes.cc)
}
inline std::uint64_t LoadU64(const std::byte* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}

// The next multiple of `unit` (a power of two) at or above `value`.
constexpr std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) & ~(unit - 1);
}

}  // namespace ckpt

#endif  // CKPT_STORE_BASE_BYTES_H_
