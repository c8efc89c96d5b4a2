#include <limits>

#include "store/manifest/entry_coding.h"

namespace ckpt {
namespace {

// So that sizes and strides fit in signed 64-bit numbers everywhere.
constexpr std::uint64_t kArrayBytesMax = std::numeric_limits<std::int64_t>::max();

// Bytes of one element; 0 = as the array says; -1 = no such type.
int ElementBytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::kInt8:
    case Dtype::kUint8:
    case Dtype::kBool:
    case Dtype::kBytes:
      return 1;
    case Dtype::kInt16:
    case Dtype::kUint16:
    case Dtype::kFloat16:
    case Dtype::kBfloat16:
      return 2;
    case Dtype::kInt32:
    case Dtype::kUint32:
    case Dtype::kFloat32:
      return 4;
    case Dtype::kInt64:
    case Dtype::kUint64:
    case Dtype::kFloat64:
    case Dtype::kComplex64:
      return 8;
    case Dtype::kFloat80:
    case Dtype::kFloat128:
    case Dtype::kComplex128:
      return 16;
    case Dtype::kString:
    case Dtype::kRecord:
      return 0;
  }
  return -1;
}

Status CheckElement(const ArrayShape& array) {
  int bytes = ElementBytes(array.dtype);
  if (bytes < 0) return InvalidArgument("the array has an unknown element type");
  if (array.element_bytes == 0 ||
      (bytes > 0 && array.element_bytes != static_cast<std::uint32_t>(bytes))) {
    return InvalidArgument("elements of " + std::to_string(array.element_bytes) +
                           " bytes do not fit the array's type");
  }
  return {};
}

// Extents of zero do not hide an overflow: strides are computed from the others.
Status CheckProduct(const std::vector<std::uint64_t>& extents, std::uint32_t element_bytes,
                    std::uint64_t* bytes) {
  std::uint64_t product = element_bytes;
  bool empty = false;
  for (std::uint64_t extent : extents) {
    empty = empty || extent == 0;
    if (extent == 0) continue;
    if (__builtin_mul_overflow(product, extent, &product) || product > kArrayBytesMax) {
      return InvalidArgument("the array's shape has more than 2^63 - 1 bytes");
    }
  }
  *bytes = empty ? 0 : product;
  return {};
}

Status CheckPlace(const ArrayShape& array) {
  if (array.global_shape.empty() && array.global_offset.empty()) return {};
  if (array.global_shape.size() != array.shape.size() ||
      array.global_offset.size() != array.shape.size()) {
    return InvalidArgument("a global array has as many dimensions as its part");
  }
  for (std::size_t i = 0; i < array.shape.size(); ++i) {
    std::uint64_t end = array.global_offset[i];
    if (__builtin_add_overflow(end, array.shape[i], &end) || end > array.global_shape[i]) {
      return InvalidArgument("the array reaches beyond its global array in dimension " +
                             std::to_string(i));
    }
  }
  std::uint64_t ignored = 0;
  return CheckProduct(array.global_shape, array.element_bytes, &ignored);
}

}  // namespace

Status CheckArrayShape(const ArrayShape& array, std::uint64_t* bytes) {
  CKPT_RETURN_IF_ERROR(CheckElement(array));
  if (array.shape.size() > kDimensionsMax) {
    return InvalidArgument("an array has at most 32 dimensions");
  }
  CKPT_RETURN_IF_ERROR(CheckProduct(array.shape, array.element_bytes, bytes));
  return CheckPlace(array);
}

}  // namespace ckpt
