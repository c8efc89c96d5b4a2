// FastCDC, to compare our cuts with: how many bytes of a series are new by its cuts.
//
//   fastcdc FOLDER...
//
// Prints how many bytes the distinct chunks of all files in these folders have. Written from the
// paper: Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based
// Storage Systems", IEEE TPDS 31 (2020): a gear hash of 64 bits, no cut below the least size,
// normalised chunking of level 2 (two mask bits more before the average, two fewer after it), the
// paper's ratios of sizes (least 1/4, most 8 times the average). Its rolling of two bytes a step
// gives the same cuts sooner and is left out.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr std::size_t kAverageBytes = 64 << 10;  // as a store has by default
constexpr int kAverageBits = 16;
constexpr std::size_t kLeastBytes = kAverageBytes / 4;
constexpr std::size_t kMostBytes = kAverageBytes * 8;

// `bits` ones, spread over the upper 48 bits, which depend on many bytes.
std::uint64_t Mask(int bits) {
  std::uint64_t mask = 0;
  for (int i = 0; i < bits; ++i) mask |= std::uint64_t{1} << (63 - i * 48 / bits);
  return mask;
}

const std::array<std::uint64_t, 256>& Gear() {
  static const std::array<std::uint64_t, 256> kGear = [] {
    std::array<std::uint64_t, 256> gear;
    std::mt19937_64 random(1);
    for (std::uint64_t& value : gear) value = random();
    return gear;
  }();
  return kGear;
}

// The length of the chunk at the start of `data`.
std::size_t Cut(ByteSpan data) {
  static const std::uint64_t kHard = Mask(kAverageBits + 2);
  static const std::uint64_t kEasy = Mask(kAverageBits - 2);
  const std::size_t end = std::min(data.size(), kMostBytes);
  std::uint64_t fingerprint = 0;
  for (std::size_t i = kLeastBytes; i < end; ++i) {
    fingerprint = (fingerprint << 1) + Gear()[static_cast<std::uint8_t>(data[i])];
    if ((fingerprint & (i < kAverageBytes ? kHard : kEasy)) == 0) return i;
  }
  return end;
}

Bytes ReadFile(const std::filesystem::path& path) {
  Bytes bytes(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return bytes;
}

class Distinct {
 public:
  void AddFile(const std::filesystem::path& path) {
    const Bytes bytes = ReadFile(path);
    for (ByteSpan rest(bytes); !rest.empty();) {
      const std::size_t length = Cut(rest);
      if (seen_.insert(HashChunk(rest.first(length))).second) new_bytes_ += length;
      rest = rest.subspan(length);
    }
  }

  std::uint64_t new_bytes() const { return new_bytes_; }

 private:
  std::set<Id128> seen_;
  std::uint64_t new_bytes_ = 0;
};

int Run(int folders, char** names) {
  Distinct distinct;
  for (int i = 0; i < folders; ++i) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(names[i])) {
      if (entry.is_regular_file()) distinct.AddFile(entry.path());
    }
  }
  std::printf("%llu\n", static_cast<unsigned long long>(distinct.new_bytes()));
  return 0;
}

}  // namespace
}  // namespace ckpt

int main(int argc, char** argv) {
  try {
    return ckpt::Run(argc - 1, argv + 1);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "fastcdc: %s\n", problem.what());
    return 1;
  }
}
