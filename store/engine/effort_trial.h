// What each effort (codec/effort.h) would make of some data, and how long it takes: a sample of the
// chunks is encoded and decoded by each. Thread rule: one thread.
//
//   EffortTrial trial(level, total_bytes);
//   if (trial.Samples(id)) CKPT_RETURN_IF_ERROR(trial.Add(raw, width));
//   for (const EffortEstimate& e : trial.Estimates(distinct_bytes)) ...

#ifndef CKPT_STORE_ENGINE_EFFORT_TRIAL_H_
#define CKPT_STORE_ENGINE_EFFORT_TRIAL_H_

#include <array>
#include <cstdint>
#include <string>

#include "store/codec/compress.h"
#include "store/codec/effort.h"
#include "store/engine/store.h"

namespace ckpt {

struct EffortEstimate {
  Effort effort = Effort::kBalanced;
  int level = 0;
  std::uint64_t sampled_bytes = 0;
  std::uint64_t stored_bytes = 0;  // of all, headers included
  // Of raw bytes and processor time, one thread; 0 where nothing was sampled.
  double encode_bytes_per_s = 0;
  double decode_bytes_per_s = 0;
};

class EffortTrial {
 public:
  // `level`: the store's. Of `total_bytes` at most about 64 MiB are sampled.
  EffortTrial(int level, std::uint64_t total_bytes);

  // Chosen by the id, so that the sample is even over the data and equal each time.
  bool Samples(const Id128& id) const;
  // `base`: of a chunk that is stored as the difference from it; else empty.
  Status Add(ByteSpan raw, std::size_t element_width, ByteSpan base = {});
  // Scaled to distinct chunks of `distinct_bytes`.
  std::array<EffortEstimate, 3> Estimates(std::uint64_t distinct_bytes) const;

 private:
  struct Sums {
    std::uint64_t stored_bytes = 0;
    std::int64_t encode_ns = 0;
    std::int64_t decode_ns = 0;
  };
  Status Try(Effort effort, ByteSpan raw, std::size_t element_width, ByteSpan base, Sums* sums);

  const int level_;
  unsigned halvings_ = 0;  // of the share of chunks that are sampled
  std::uint64_t sampled_bytes_ = 0;
  std::array<Sums, 3> sums_;
  std::size_t first_ = 0;  // who is tried first finds the chunk in no cache
  Encoder encoder_;
  Decoder decoder_;
  Bytes decoded_;
};

// Of the distinct chunks of a checkpoint, all its ranks'. Reads those that are sampled; 23 to 46
// bytes of memory for each chunk of it. Corruption: one of them cannot be read.
Result<std::array<EffortEstimate, 3>> EstimateEfforts(Store* store, const std::string& checkpoint);

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_EFFORT_TRIAL_H_
