#include "store/session/change_tracker.h"

#include <algorithm>
#include <utility>

#include "store/codec/hash.h"

namespace ckpt {
namespace {

constexpr std::size_t kLeastTrackedBytes = 1u << 20;
constexpr std::uint32_t kDearMost = 2;
constexpr std::uint32_t kRestSaves = 32;
constexpr std::size_t kPageBytes = 4096;  // of which costs are counted
constexpr std::size_t kProbeBytes = 4u << 20;
constexpr std::size_t kProbePages = kProbeBytes / kPageBytes;

bool Overlap(ByteSpan a, ByteSpan b) {
  return a.data() < b.data() + b.size() && b.data() < a.data() + a.size();
}

bool OverlapsAny(ByteSpan memory, const std::vector<ByteSpan>& others) {
  return std::any_of(others.begin(), others.end(),
                     [&](ByteSpan other) { return Overlap(memory, other); });
}

}  // namespace

std::unique_ptr<ChangeTracker> ChangeTracker::Make(Env* env, ChangeDetection detection,
                                                   std::uint64_t audit_saves,
                                                   const std::function<void(std::string)>& notice) {
  if (detection == ChangeDetection::kHash) return nullptr;
  auto pages = WrittenPages::Open();
  if (!pages.ok()) {
    if (detection == ChangeDetection::kKernel) {
      notice("changes are found by hashing, not by the kernel: " + pages.status().message());
    }
    return nullptr;
  }
  const bool chooses = detection == ChangeDetection::kAuto;
  std::unique_ptr<ChangeTracker> tracker(
      new ChangeTracker(env, *std::move(pages), chooses, audit_saves));
  tracker->MeasureCosts();
  return tracker;
}

ChangeTracker::ChangeTracker(Env* env, std::unique_ptr<WrittenPages> pages, bool chooses,
                             std::uint64_t audit_saves)
    : env_(env), pages_(std::move(pages)), chooses_(chooses), audit_saves_(audit_saves) {}

// On memory of its own, of which each page is written with and without protection, then all hashed.
void ChangeTracker::MeasureCosts() {
  AlignedBuffer probe(kProbeBytes);
  if (probe.size() == 0) return;
  volatile std::byte* bytes = probe.data();
  const ByteSpan memory(probe.data(), probe.size());
  auto write_all = [&] {
    const std::int64_t begin = env_->MonotonicNs();
    for (std::size_t at = 0; at < kProbeBytes; at += kPageBytes) bytes[at] = std::byte{1};
    return static_cast<double>(env_->MonotonicNs() - begin);
  };
  write_all();
  const double plain = write_all();
  pages_->Look(memory);
  first_write_ns_ = std::max(0.0, write_all() - plain) / static_cast<double>(kProbePages);
  const std::int64_t begin = env_->MonotonicNs();
  const volatile std::uint8_t used = HashChunk(memory).bytes[0];
  static_cast<void>(used);
  hash_ns_ = static_cast<double>(env_->MonotonicNs() - begin) / kProbeBytes;
  pages_->Forget(memory);
}

void ChangeTracker::BeginSave() {
  trusts_ = audit_saves_ == 0 || ++saves_ % audit_saves_ != 0;
  first_writes_ = 0;
  taken_.clear();
}

// What was said before a save is about its memory, whichever arrays it had.
void ChangeTracker::EndSave() { written_.clear(); }

double ChangeTracker::first_write_seconds() const {
  return static_cast<double>(first_writes_) * first_write_ns_ * 1e-9;
}

bool ChangeTracker::Take(ByteSpan pages) {
  if (OverlapsAny(pages, taken_)) return false;
  taken_.push_back(pages);
  return true;
}

std::vector<bool> ChangeTracker::Untouched(ByteSpan data, std::size_t chunk_bytes, Track* track) {
  const Track before = std::exchange(*track, Track());
  if (failed_ || data.size() < kLeastTrackedBytes) return {};
  const ByteSpan whole = WrittenPages::WholePages(data);
  if (!Take(whole)) return {};
  if (before.rest > 0) {
    track->rest = before.rest - 1;
    return {};
  }
  const std::int64_t begin = env_->MonotonicNs();
  const WrittenPages::Looked looked = pages_->Look(data);
  const std::int64_t scan_ns = env_->MonotonicNs() - begin;
  track->memory = data;
  track->dear = before.dear;
  const bool same = before.memory.data() == data.data() && before.memory.size() == data.size();
  if (!looked.known || !same) return {};

  std::vector<bool> untouched((data.size() + chunk_bytes - 1) / chunk_bytes, true);
  auto touch = [&](std::size_t from, std::size_t to) {  // of `data`, from < to
    for (std::size_t i = from / chunk_bytes; i <= (to - 1) / chunk_bytes; ++i) untouched[i] = false;
  };
  const auto whole_begin = static_cast<std::size_t>(whole.data() - data.data());
  const std::size_t whole_end = whole_begin + whole.size();
  if (whole_begin > 0) touch(0, whole_begin);
  if (whole_end < data.size()) touch(whole_end, data.size());
  std::uint64_t written_bytes = 0;
  for (const auto& [from, to] : looked.written) {
    written_bytes += to - from;
    touch(from, to);
  }
  first_writes_ += written_bytes / kPageBytes;
  for (const ByteSpan memory : written_) {
    if (!Overlap(memory, data)) continue;
    const std::byte* from = std::max(memory.data(), data.data());
    const std::byte* to = std::min(memory.data() + memory.size(), data.data() + data.size());
    touch(static_cast<std::size_t>(from - data.data()), static_cast<std::size_t>(to - data.data()));
  }
  if (chooses_ && IsDear(data, written_bytes, scan_ns, track)) {
    pages_->Forget(data);
    *track = Track();
    track->rest = kRestSaves;
  }
  return untouched;
}

// Whether it has been, several times now.
bool ChangeTracker::IsDear(ByteSpan data, std::uint64_t written_bytes, std::int64_t scan_ns,
                           Track* track) {
  const auto written = static_cast<double>(written_bytes);
  const double tracking =
      static_cast<double>(scan_ns) + written / kPageBytes * first_write_ns_ + written * hash_ns_;
  const double hashing = static_cast<double>(data.size()) * hash_ns_;
  track->dear = tracking > hashing ? track->dear + 1 : 0;
  return track->dear >= kDearMost;
}

void ChangeTracker::Missed(std::uint64_t bytes) {
  missed_bytes_ += bytes;
  failed_ = true;
}

void ChangeTracker::Written(ByteSpan memory) {
  if (!memory.empty()) written_.push_back(memory);
}

}  // namespace ckpt
