// PackWriter: the one writer of one pack. Appends records into aligned buffers that a thread of its
// own writes out (direct I/O where possible) while the caller goes on; a stage is complete when
// Stage() returns, durable when Commit() does.
//
//          Create/Continue            Append*              Stage               Commit
//   (none) ---------------> OPEN ----------------> OPEN ------------> STAGED ----------> OPEN
//                            |  any write or fsync fails
//                            +-----------------------------> POISONED (for good, I6)
//
// OPEN: what was appended since the last Stage may be anywhere or nowhere. STAGED: every record up
// to here has reached the kernel (or the device), in order; the process may die. After Commit: a
// sync mark stands behind it. POISONED: every call answers the first error; nothing is written.
//
// Keeps I5 (holds the pack's lock from before the first byte until destroyed), I6.
// Thread rule: one thread at a time; the engine serialises appends.

#ifndef CKPT_STORE_PACK_WRITER_H_
#define CKPT_STORE_PACK_WRITER_H_

#include <memory>
#include <vector>

#include "store/io/env.h"
#include "store/pack/format.h"
#include "store/pack/reader.h"

namespace ckpt {

struct PackWriterOptions {
  Id128 store_uuid;
  std::uint64_t pack_bytes_max = 512u << 20;
  // A reserve is preallocated to pack_bytes_max when it is made, and written in place.
  bool reserve = false;
  // Up to four buffers of this size; a multiple of kBlockBytes.
  std::size_t buffer_bytes = 4u << 20;
  bool direct_io = true;
  std::uint32_t permissions = 0600;
};

// Where a record went, known at once although it is not written yet.
struct Placed {
  std::uint64_t offset = 0;
  std::uint64_t extent_bytes = 0;
};

class PackWriter {
 public:
  // A new pack with a random id, locked; nothing is written into it before the first full buffer or
  // Stage. Its name is durable after the first Commit. `env` and `packs_dir` outlive the writer.
  // Busy: somebody took the new file away or its lock; try again. A collector must hold a pack's
  // lock while it unlinks it: the writer looks, once locked, whether its file still has its name.
  static Result<std::unique_ptr<PackWriter>> Create(Env* env, Dir* packs_dir,
                                                    const PackWriterOptions& options);
  // Continues an existing pack, if all of docs/format.md's conditions hold and the lock is free.
  // Nullptr (not an error) when it may not be continued.
  static Result<std::unique_ptr<PackWriter>> Continue(Env* env, Dir* packs_dir,
                                                      const Id128& pack_id,
                                                      const PackWriterOptions& options);
  ~PackWriter();  // publishes nothing; releases the lock

  // `header_fields`: type, codec, codec_param, raw_bytes, id; the rest is filled in. Copies the
  // payload before it returns. Waits while all buffers are being written. With codec 0, raw_bytes
  // is filled in, too. InvalidArgument (nothing written, not poisoned): larger than format.md
  // allows for the type.
  Result<Placed> Append(const RecordHeader& header_fields, ByteSpan payload,
                        const Id128& delta_base = {});
  // Directory of what was appended since the last one (none when nothing was), padding, and a wait
  // until all of it is written.
  Status Stage();
  // Stage() if anything is unstaged, fdatasync, directory sync if the pack is new, sync mark.
  // `closed` says in the mark that this writer ends here.
  Status Commit(bool closed);
  // Before a writer that other hosts must see reads what collection is under way: a pack without a
  // mark, or with a closed one, gets an unclosed mark that names this host, flushed.
  Status Announce();
  // Makes the last mark itself durable: whoever takes away what this pack replaces must not leave a
  // tail that others judge.
  Status FlushMark();
  // False: the pack's file was unlinked, or another file has its name.
  Result<bool> HasItsName() const;
  // Appends the sorted directory and commits with the sealed mark; the writer can only be destroyed
  // after. Called when BeyondLimit(). A pack with damage in it (or with too many chunks for one
  // directory) is closed without being sealed, which costs later readers time and nothing else.
  Status Seal();

  // Gives up what was appended since the last Commit and ends the writer: takes the bytes back (a
  // pack that was never committed is unlinked) unless the pack is poisoned by more than a full disk
  // (I6) or is a reserve. Nothing anybody was promised is touched.
  void Abandon();

  bool BeyondLimit() const;
  bool poisoned() const;
  const Id128& pack_id() const;
  std::uint64_t end_offset() const;   // where the next record will go
  std::uint64_t durable_end() const;  // as PackContents::durable_end
  // Where the pack will end when a record with so many payload bytes was appended and then staged
  // or committed, with nothing between.
  std::uint64_t EndWith(std::uint64_t payload_bytes, bool committed) const;
  // For the index: everything appended and made durable since the last call (chunks, records, the
  // new covered offset and check header), in the form a PackReader would give it.
  PackContents TakeDurableNews();

 private:
  struct State;
  explicit PackWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_PACK_WRITER_H_
