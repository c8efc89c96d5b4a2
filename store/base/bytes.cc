#include "store/base/bytes.h"

#include <bit>

namespace ckpt {

static_assert(std::endian::native == std::endian::little,
              "the on-disk format is little-endian and hot loops load it as it is");

std::string Id128::ToHex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (std::uint8_t b : bytes) {
    hex.push_back(kDigits[b >> 4]);
    hex.push_back(kDigits[b & 15]);
  }
  return hex;
}

bool Id128::FromHex(std::string_view hex, Id128* id) {
  if (hex.size() != 32) return false;
  Id128 parsed;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    char c = hex[i];
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    parsed.bytes[i / 2] = static_cast<std::uint8_t>(parsed.bytes[i / 2] << 4 | digit);
  }
  *id = parsed;
  return true;
}

}  // namespace ckpt
