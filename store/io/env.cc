// What every world shares: calls built only on the virtual ones, and aligned memory.

#include "store/io/env.h"

#include <cstdlib>
#include <utility>

namespace ckpt {
namespace {

constexpr std::size_t kAlignmentBytes = 4096;

}  // namespace

Status File::ReadExactAt(std::uint64_t offset, MutableByteSpan out) {
  CKPT_ASSIGN_OR_RETURN(std::size_t got, ReadAt(offset, out));
  if (got == out.size()) return {};
  return Corruption("read " + path() + " at " + std::to_string(offset) + ": the file ends after " +
                    std::to_string(got) + " of " + std::to_string(out.size()) + " bytes");
}

Result<std::unique_ptr<File>> OpenOwnFile(Dir* dir, std::string_view name,
                                          const OpenOptions& options) {
  auto file = dir->OpenFile(name, options);
  if (file.status().code() != Code::kInvalidArgument) return file;
  return Corruption(file.status().message());
}

Id128 Env::RandomId() {
  Id128 id;
  Random(std::as_writable_bytes(std::span(id.bytes)));
  return id;
}

AlignedBuffer::AlignedBuffer(std::size_t size_bytes) {
  std::size_t rounded = RoundUp(size_bytes, kAlignmentBytes);
  if (size_bytes == 0 || rounded < size_bytes) return;
  data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignmentBytes, rounded));
  if (data_ != nullptr) size_ = size_bytes;
}

AlignedBuffer::~AlignedBuffer() { std::free(data_); }

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this == &other) return *this;
  std::free(data_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

}  // namespace ckpt
