// What a fuzz target takes its decisions from: the bytes it was given, in order, zeros behind their
// end.
//
// A target is one file <name>_fuzz.cc with LLVMFuzzerTestOneInput. It is built twice: with clang's
// libFuzzer by scripts/fuzz (hours), and with replay_main.cc as a test that runs the kept corpus
// and random changes of it (seconds). Targets abort when a promise is broken; what is only refused
// is fine. Thread rule: one thread.

#ifndef CKPT_TESTS_FUZZ_FUZZ_INPUT_H_
#define CKPT_TESTS_FUZZ_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "store/base/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace ckpt {

class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const std::byte*>(data), size) {}

  std::uint64_t Number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes && !rest_.empty(); ++i, rest_ = rest_.subspan(1)) {
      value |= static_cast<std::uint64_t>(rest_[0]) << (8 * i);
    }
    return value;
  }
  std::uint8_t U8() { return static_cast<std::uint8_t>(Number(1)); }
  std::uint16_t U16() { return static_cast<std::uint16_t>(Number(2)); }
  std::uint32_t U32() { return static_cast<std::uint32_t>(Number(4)); }
  std::uint64_t U64() { return Number(8); }
  ByteSpan Take(std::size_t bytes) {
    ByteSpan taken = rest_.first(std::min(bytes, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  ByteSpan Rest() { return Take(rest_.size()); }
  bool empty() const { return rest_.empty(); }

 private:
  ByteSpan rest_;
};

// Ends the run, also in builds without assertions.
#define FUZZ_CHECK(condition)                                              \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                        \
    }                                                                      \
  } while (false)

}  // namespace ckpt

#endif  // CKPT_TESTS_FUZZ_FUZZ_INPUT_H_
