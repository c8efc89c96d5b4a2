// Arrays from memory, and entries back into memory.
//
//   CKPT_ASSIGN_OR_RETURN(auto writer, ArrayWriter::Begin(store, options));
//   CKPT_RETURN_IF_ERROR(writer->Put("x", bytes, shape));        // any order of names
//   CKPT_ASSIGN_OR_RETURN(Saved saved, writer->End());
//   CKPT_ASSIGN_OR_RETURN(auto reader, CheckpointReader::Open(store, "melt@5000"));
//   CKPT_RETURN_IF_ERROR(reader->Get("x", memory));
//
// A chunk whose id is the one at the same place of the same array in the checkpoint before is not
// looked up, compressed or copied. Reading decodes straight into the caller's memory, with several
// threads; what is handed out has the ids it was asked for by (I1).
// Thread rule: one thread at a time each.

#ifndef CKPT_STORE_ENGINE_ARRAY_IO_H_
#define CKPT_STORE_ENGINE_ARRAY_IO_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/engine/checkpoint_writer.h"
#include "store/engine/chunk_pipeline.h"
#include "store/engine/fetcher.h"
#include "store/engine/parallel_reader.h"
#include "store/engine/series.h"

namespace ckpt {

// Bytes of one element; 0 where the caller says (fixed strings, records); nullopt: no such type.
std::optional<std::uint32_t> ElementBytesOf(Dtype dtype);
// "float64"; "unknown".
const char* DtypeName(int dtype);
// Element bytes are filled in unless the caller says them; the array's bytes into *bytes.
Status CompleteShape(ArrayShape* shape, std::uint64_t* bytes);

// How arrays are cut: whole elements, unless one alone is larger than the format's chunks.
std::size_t ArrayChunkBytes(std::uint32_t format_bytes, std::uint32_t element_bytes);
// Of an array's chunks.
ChunkForm FormOf(const ArrayShape& shape, Effort effort);

class ArrayWriter {
 public:
  static Result<std::unique_ptr<ArrayWriter>> Begin(Store* store, SaveOptions options);

  // `data` has the shape's bytes and may be reused afterwards. InvalidArgument (nothing happened):
  // the name, the shape, or a name put before. Any other failure is final.
  Status Put(const std::string& name, ByteSpan data, const ArrayShape& shape,
             Effort effort = Effort::kUnsaid);
  // Nothing but destruction may follow, whatever it answers.
  Result<Saved> End();

 private:
  ArrayWriter(Store* store, std::unique_ptr<CheckpointWriter> writer);
  std::unique_ptr<ChunkListReader> Before(const std::string& name);
  Status AddChunks(const std::string& name, ByteSpan data, const ArrayShape& shape, Effort effort,
                   ChunkListBuilder* list);

  Store* const store_;
  std::unique_ptr<CheckpointWriter> writer_;
  std::optional<EntryTableReader> previous_;
  std::map<std::string, Entry> entries_;
  ChunkPipeline pipeline_;  // last: its threads use the writer
};

class CheckpointReader {
 public:
  static Result<std::unique_ptr<CheckpointReader>> Open(Store* store, const std::string& name);

  // The entry of the lowest rank that has one of this name; good until the next call. NotFound.
  struct Found {
    const Entry* entry = nullptr;
    Fetcher* fetcher = nullptr;
  };
  Result<Found> Find(const std::string& name);
  // As Find; for a hard link the file it is another name of.
  Result<Found> FindContent(const std::string& name);
  // Of the lowest rank, ascending.
  Result<std::vector<std::string>> Names();
  // All bytes of the entry. InvalidArgument unless `out` has exactly its logical bytes; NotFound
  // also when the checkpoint was removed meanwhile.
  Status Get(const std::string& name, MutableByteSpan out);
  // All elements of an array, converted to type `to` (convert.h) straight into `out`. With an empty
  // `out` they are read and looked at only. InvalidArgument: no such conversion, not as many
  // elements, or one that does not fit, by its index; what `out` has then is undefined.
  Status GetAs(const std::string& name, Dtype to, MutableByteSpan out);
  // Find and Get look at this rank's entries only. NotFound: the checkpoint has no such rank.
  Status UseRank(std::uint32_t rank);
  const Manifest& manifest() const { return ranks_.front().manifest; }
  // Of Corruption: says which checkpoint; NotFound instead when it is because that was removed.
  Status Explain(Status status);

  const SeriesView& view() const { return resolved_.view; }
  const std::vector<CheckpointRow>& ranks() const { return resolved_.ranks; }

 private:
  struct Rank {
    Manifest manifest;
    std::unique_ptr<Fetcher> fetcher;
    std::unique_ptr<EntryTableReader> table;
    std::unique_ptr<ParallelReader> reader;
  };
  explicit CheckpointReader(Store* store) : store_(store) {}
  Status OpenRanks();
  Status FindIn(Rank* rank, const std::string& name);
  Status Read(Rank* rank, MutableByteSpan out);
  Result<std::uint64_t> ReadInto(Rank* rank, const std::shared_ptr<ReadTarget>& target);
  Status ReadAs(Rank* rank, Dtype to, MutableByteSpan out);
  Rank* RankOf(const Found& found);

  Store* const store_;
  ResolvedCheckpoint resolved_;
  std::vector<Rank> ranks_;
  std::optional<Entry> entry_;
};

}  // namespace ckpt

#endif  // CKPT_STORE_ENGINE_ARRAY_IO_H_
