// What the application's thread hands to the committing thread: a checkpoint as it was at one step.
// Thread rule: values; handed over, never shared.

#ifndef CKPT_STORE_SESSION_CAPTURE_H_
#define CKPT_STORE_SESSION_CAPTURE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/base/bytes.h"
#include "store/manifest/manifest.h"

namespace ckpt {

// One array, once all of it was looked at.
struct CapturedArray {
  std::string name;
  ArrayShape shape;
  std::uint64_t logical_bytes = 0;
  bool unchanged = false;  // as in the capture before; what follows is empty then
  bool inherits = false;   // some chunk is as in the checkpoint before and was not copied
  std::size_t chunk_bytes = 0;
  std::vector<Id128> ids;  // of the chunks in order; without the last where it is inline
  Bytes inline_tail;       // at most kInlineBytesMax
};

struct Capture {
  std::uint64_t number = 0;  // from 1
  std::int64_t step = 0;
  // A failure behind makes the ids of everything before it worthless: captures of another
  // generation are dropped.
  std::uint64_t generation = 0;
  std::int64_t begin_ns = 0;
  bool urgent = false;  // asked for: committed at once, whatever the policy
  // The checkpoint whose ids were known when this session had captured nothing: the restored one.
  bool has_base = false;
  Id128 base_attempt;
  std::int64_t base_step = 0;
  // Filled in when the capture is complete.
  double blocked_s = 0;
  double waited_s = 0;
  std::uint64_t logical_bytes = 0;
  std::uint64_t changed_bytes = 0;
  std::uint64_t vouched_bytes = 0;
  double first_write_s = 0;
  // When it is staged.
  double staged_s = -1;
  std::uint64_t stored_bytes = 0;
};

struct CaptureMessage {
  enum class Kind : std::uint8_t { kBegin, kChunk, kArray, kEnd, kAbort, kAttempt };
  Kind kind = Kind::kChunk;
  std::shared_ptr<Capture> capture;      // of all but kChunk and kArray
  std::unique_ptr<CapturedArray> array;  // kArray
  ByteSpan raw;                          // kChunk: in the ring
  Id128 id;
  Id128 before;  // at the same place in the capture before; zeros: none
  ChunkForm form;
  std::uint64_t ring_end = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_SESSION_CAPTURE_H_
