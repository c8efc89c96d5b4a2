// UnchangedChunks: which chunks that a file had in the checkpoint before are still where they were.
// Where a chunk is cut depends on its own bytes (store/codec/chunker.h): one that has the same
// bytes at the same place, known by its id, would be cut there again, so that nobody need look for
// the cut, nor for the chunk in the index. All threads read and hash, window by window.
//
//   UnchangedChunks unchanged(before.content, source, chunk_bytes_max, threads);
//   CKPT_ASSIGN_OR_RETURN(auto run, unchanged.From(file, offset, end));  // may be empty: then cut
//   ... until unchanged.MayGoOn(offset): the rest may be as before again
//
// What does not pay is not done: where little is as it was, longer and longer stretches are left
// out. Memory: a greatest chunk a thread, and some 130 bytes a chunk of a window (at most 32 MiB of
// the file). Thread rule: one thread.

#ifndef CKPT_STORE_ENGINE_UNCHANGED_CHUNKS_H_
#define CKPT_STORE_ENGINE_UNCHANGED_CHUNKS_H_

#include <optional>
#include <vector>

#include "store/io/env.h"
#include "store/manifest/tree.h"

namespace ckpt {

class UnchangedChunks {
 public:
  // `before`: the list of the same file, cut with the same parameters. Only a help: where it cannot
  // be read there is nothing that is as it was.
  UnchangedChunks(const TreeRef& before, ChunkSource* source, std::size_t chunk_bytes_max,
                  int threads);

  // The chunks, the first at `offset` and each where the one before ends, that the file still has;
  // there may be more behind them. `end`: of the stretch of data in which the chunks are cut.
  // REQUIRES: offset does not go back, and a cut is there.
  Result<std::vector<ChunkItem>> From(File* file, std::uint64_t offset, std::uint64_t end);
  // There is something to be asked of From, now that a cut came out at `offset`.
  bool MayGoOn(std::uint64_t offset);

 private:
  struct Guess {
    std::uint64_t offset = 0;
    ChunkItem item;
    bool holds = false;
  };

  void ReadAhead();
  // Answers how far it goes.
  std::uint64_t FillWindow(std::uint64_t offset, std::uint64_t end);
  Status LookAtWindow(File* file);
  void Adapt(std::uint64_t window_end);

  ChunkListReader before_;
  const std::size_t chunk_bytes_max_;
  std::vector<Bytes> buffers_;  // a thread
  // The next item of before_, which begins at ahead_offset_.
  std::optional<ChunkItem> ahead_;
  std::uint64_t ahead_offset_ = 0;

  std::vector<Guess> window_;
  std::size_t next_ = 0;      // in window_
  std::uint64_t resume_ = 0;  // where the next window may begin
  std::uint64_t window_bytes_;
  std::uint64_t skip_bytes_ = 0;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_UNCHANGED_CHUNKS_H_
