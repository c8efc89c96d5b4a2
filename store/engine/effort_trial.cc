#include "store/engine/effort_trial.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "store/engine/array_io.h"
#include "store/engine/delta_base.h"
#include "store/engine/fetcher.h"
#include "store/engine/id_table.h"
#include "store/engine/series.h"
#include "store/io/process.h"

namespace ckpt {
namespace {

constexpr std::array<Effort, 3> kEfforts{Effort::kFast, Effort::kBalanced, Effort::kSmall};
constexpr std::uint64_t kSampleBytes = 64u << 20;

double Rate(std::uint64_t bytes, std::int64_t ns) {
  return ns <= 0 ? 0 : static_cast<double>(bytes) * 1e9 / static_cast<double>(ns);
}

}  // namespace

EffortTrial::EffortTrial(int level, std::uint64_t total_bytes) : level_(level) {
  while (total_bytes >> halvings_ > kSampleBytes) ++halvings_;
}

bool EffortTrial::Samples(const Id128& id) const {
  const std::uint64_t print = LoadU64(reinterpret_cast<const std::byte*>(id.bytes.data()));
  return (print & ((std::uint64_t{1} << halvings_) - 1)) == 0;
}

Status EffortTrial::Try(Effort effort, ByteSpan raw, std::size_t element_width, ByteSpan base,
                        Sums* sums) {
  const EffortRule rule = RuleOf(effort, level_);
  EncodeOptions coding;
  coding.level = rule.level;
  coding.element_width = element_width;
  coding.thorough = rule.thorough;
  const std::int64_t begin = ThreadProcessorNs();
  CKPT_ASSIGN_OR_RETURN(Encoded encoded, encoder_.Encode(raw, coding));
  ByteSpan from;
  if (rule.deltas && !base.empty() && raw.size() <= kDeltaBytesMost) {
    CKPT_ASSIGN_OR_RETURN(auto delta,
                          encoder_.EncodeDelta(raw, base, Id128(), coding,
                                               DeltaBytesThatPay(rule, encoded.bytes.size())));
    if (delta.has_value()) {
      encoded = *delta;
      from = base;
    }
  }
  const std::int64_t middle = ThreadProcessorNs();
  decoded_.resize(raw.size());
  CKPT_RETURN_IF_ERROR(decoder_.Decode(static_cast<std::uint8_t>(encoded.codec), encoded.param,
                                       encoded.bytes, decoded_, from));
  sums->decode_ns += ThreadProcessorNs() - middle;
  sums->encode_ns += middle - begin;
  sums->stored_bytes += RoundUp(kRecordHeaderBytes + encoded.bytes.size(), kRecordAlignBytes);
  return Status();
}

Status EffortTrial::Add(ByteSpan raw, std::size_t element_width, ByteSpan base) {
  for (std::size_t n = 0; n < kEfforts.size(); ++n) {
    const std::size_t i = (first_ + n) % kEfforts.size();
    CKPT_RETURN_IF_ERROR(Try(kEfforts[i], raw, element_width, base, &sums_[i]));
  }
  ++first_;
  sampled_bytes_ += raw.size();
  return Status();
}

std::array<EffortEstimate, 3> EffortTrial::Estimates(std::uint64_t distinct_bytes) const {
  std::array<EffortEstimate, 3> estimates;
  for (std::size_t i = 0; i < kEfforts.size(); ++i) {
    EffortEstimate& e = estimates[i];
    e.effort = kEfforts[i];
    e.level = RuleOf(kEfforts[i], level_).level;
    e.sampled_bytes = sampled_bytes_;
    if (sampled_bytes_ == 0) continue;
    e.stored_bytes = static_cast<std::uint64_t>(static_cast<double>(sums_[i].stored_bytes) *
                                                static_cast<double>(distinct_bytes) /
                                                static_cast<double>(sampled_bytes_));
    e.encode_bytes_per_s = Rate(sampled_bytes_, sums_[i].encode_ns);
    e.decode_bytes_per_s = Rate(sampled_bytes_, sums_[i].decode_ns);
  }
  return estimates;
}

namespace {

class CheckpointTrial {
 public:
  explicit CheckpointTrial(Store* store) : store_(store) {}

  Result<std::array<EffortEstimate, 3>> Run(const std::string& checkpoint) {
    CKPT_RETURN_IF_ERROR(store_->Refresh());
    CKPT_ASSIGN_OR_RETURN(ResolvedCheckpoint resolved, ResolveCheckpoint(store_, checkpoint));
    CKPT_RETURN_IF_ERROR(Walk(resolved));  // counts
    trial_.emplace(store_->format().level, progress_.total_bytes = distinct_bytes_);
    seen_ = SeenIds();
    CKPT_RETURN_IF_ERROR(Walk(resolved));
    return trial_->Estimates(distinct_bytes_);
  }

 private:
  Status Walk(const ResolvedCheckpoint& resolved) {
    for (const CheckpointRow& row : resolved.ranks) {
      CKPT_ASSIGN_OR_RETURN(Manifest manifest, store_->ReadManifest(row));
      CKPT_ASSIGN_OR_RETURN(auto fetcher, Fetcher::Open(store_, manifest.packs));
      CKPT_RETURN_IF_ERROR(Rank(manifest, fetcher.get()));
    }
    return Status();
  }

  Status Rank(const Manifest& manifest, Fetcher* fetcher) {
    EntryTableReader table(manifest.entry_table, fetcher);
    for (;;) {
      CKPT_ASSIGN_OR_RETURN(auto entry, table.Next());
      if (!entry.has_value()) return Status();
      const std::size_t width = entry->kind == EntryKind::kArray
                                    ? FormOf(entry->array, Effort::kUnsaid).element_width
                                    : kUnknownWidth;
      auto visit = [&](const Id128& id, std::uint64_t raw_bytes, bool is_node) -> Result<bool> {
        if (!seen_.Insert(id, is_node)) return false;
        if (is_node) return true;
        if (!trial_.has_value()) distinct_bytes_ += raw_bytes;
        progress_.done_bytes += trial_.has_value() ? raw_bytes : 0;
        if (trial_.has_value() && trial_->Samples(id)) {
          CKPT_RETURN_IF_ERROR(Chunk(id, raw_bytes, width, fetcher));
          CKPT_RETURN_IF_ERROR(store_->Report(progress_));
        }
        return true;
      };
      CKPT_RETURN_IF_ERROR(VisitChunkList(entry->content, fetcher, visit));
    }
  }

  Status Chunk(const Id128& id, std::uint64_t raw_bytes, std::size_t width, Fetcher* fetcher) {
    CKPT_ASSIGN_OR_RETURN(ChunkPlace place, fetcher->Locate(id));
    raw_.resize(raw_bytes);
    CKPT_RETURN_IF_ERROR(fetcher->ReadChunk(place, &decoder_, &stored_, raw_));
    base_.clear();
    if (IsDeltaCodec(place.entry.codec)) {
      CKPT_ASSIGN_OR_RETURN(place, fetcher->Locate(place.entry.base));
      if (place.entry.raw_bytes == raw_bytes) base_.resize(raw_bytes);
      if (!base_.empty()) {
        CKPT_RETURN_IF_ERROR(fetcher->ReadChunk(place, &decoder_, &stored_, base_));
      }
    }
    return trial_->Add(raw_, width, base_);
  }

  Store* const store_;
  std::optional<EffortTrial> trial_;
  SeenIds seen_;
  std::uint64_t distinct_bytes_ = 0;
  Progress progress_{"trying efforts", 0, 0, 0, 0};
  Decoder decoder_;
  Bytes raw_, base_, stored_;
};

}  // namespace

Result<std::array<EffortEstimate, 3>> EstimateEfforts(Store* store, const std::string& checkpoint) {
  return CheckpointTrial(store).Run(checkpoint);
}

}  // namespace ckpt
