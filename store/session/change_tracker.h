// ChangeTracker: which chunks of an array the kernel vouches for: nobody wrote to their pages since
// they were captured last (store/io/written_pages.h). What it does not vouch for is hashed, so that
// a save is right whatever it says, as long as it does not vouch wrongly: every so many saves all
// chunks are hashed, and one that changed unseen is told loudly and ends the tracking.
//
// Pages of memory that several arrays of one save share belong to the first of them; the others are
// hashed. With kAuto an array is left to hashing for a while when scanning it and the faults of
// first writes cost more than that, by costs measured when the tracker is made. Thread rule: one
// thread.

#ifndef CKPT_STORE_SESSION_CHANGE_TRACKER_H_
#define CKPT_STORE_SESSION_CHANGE_TRACKER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/io/env.h"
#include "store/io/written_pages.h"
#include "store/session/options.h"

namespace ckpt {

class ChangeTracker {
 public:
  // Of one array, from save to save. Only good for the ids that were noted at the last look.
  struct Track {
    ByteSpan memory;         // as looked at last; empty: not, or not as its only owner
    std::uint32_t dear = 0;  // times in a row that tracking cost more than hashing
    std::uint32_t rest = 0;  // so many saves are left to hashing
  };

  // Nullptr: `detection` is kHash, or this kernel cannot: then `notice` is told why, for kKernel.
  static std::unique_ptr<ChangeTracker> Make(Env* env, ChangeDetection detection,
                                             std::uint64_t audit_saves,
                                             const std::function<void(std::string)>& notice);

  void BeginSave();
  // False: an audit, or tracking has ended.
  bool trusts() const { return trusts_ && !failed_; }
  // By chunk: nobody wrote to it since `track` was given last. Empty: none is known. `track` is for
  // the next save, and only if this one's ids of all chunks are kept.
  std::vector<bool> Untouched(ByteSpan data, std::size_t chunk_bytes, Track* track);
  // `bytes` of an untouched chunk had changed.
  void Missed(std::uint64_t bytes);
  // What the kernel does not see (devices) wrote, or will have written by the next save.
  void Written(ByteSpan memory);
  void EndSave();

  std::uint64_t missed_bytes() const { return missed_bytes_; }  // by any thread
  // What first writes to pages since the save before cost the application, as measured on others.
  double first_write_seconds() const;

 private:
  ChangeTracker(Env* env, std::unique_ptr<WrittenPages> pages, bool chooses,
                std::uint64_t audit_saves);
  void MeasureCosts();
  bool Take(ByteSpan pages);
  bool IsDear(ByteSpan data, std::uint64_t written_bytes, std::int64_t scan_ns, Track* track);

  Env* const env_;
  const std::unique_ptr<WrittenPages> pages_;
  const bool chooses_;
  const std::uint64_t audit_saves_;
  double first_write_ns_ = 0;  // a page
  double hash_ns_ = 0;         // a byte

  std::uint64_t saves_ = 0;
  bool trusts_ = false;
  bool failed_ = false;
  std::vector<ByteSpan> taken_;    // by arrays of this save
  std::vector<ByteSpan> written_;  // said by Written
  std::uint64_t first_writes_ = 0;
  std::atomic<std::uint64_t> missed_bytes_{0};
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_CHANGE_TRACKER_H_
