#include "store/engine/reindex.h"

#include <algorithm>

#include "store/index/lmdb_index.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kBulkBytes = 256u << 20;
constexpr std::size_t kBufferBytes = 64u << 20;  // of all streams
constexpr std::size_t kStreamBytesMax = 256u << 10;
constexpr std::uint64_t kReportEvery = 1u << 18;
constexpr std::int64_t kWaitMs = 10'000;
constexpr std::int64_t kTryAgainMs = 20;

std::uint64_t LeadingBytes(const Id128& id) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | id.bytes[static_cast<std::size_t>(i)];
  return value;
}

// The chunks of one pack in ascending order of ids: from its sorted directory on disk, or from a
// table in memory, of all of them or of the next so many: the pack is then read once for each part.
class PackStream {
 public:
  PackStream(Dir* packs_dir, const Id128& pack_id, const Id128& store_uuid)
      : packs_dir_(packs_dir), pack_id_(pack_id), store_uuid_(store_uuid) {}

  // False: no sorted directory that can be read piecemeal. REQUIRES: its checksum was verified.
  Result<bool> OpenSorted(const PackReader& reader, std::uint64_t directory_offset);
  void Use(std::vector<ChunkEntry> chunks) {
    std::sort(chunks.begin(), chunks.end(), ChunkEntryLess);
    loaded_ = std::move(chunks);
    left_ = loaded_.size();
  }
  // What lies below durable_end.
  void UseInParts(const PackContents& contents) {
    end_ = contents.durable_end;
    left_ = contents.chunks.size();
  }
  // REQUIRES: UseInParts, before the first Next.
  void SetPart(std::size_t entries) { part_entries_ = entries; }

  std::uint64_t left() const { return left_; }
  // REQUIRES: left() > 0.
  Status Next(std::size_t buffer_entries);
  const ChunkEntry& entry() const { return entry_; }
  const Id128& pack_id() const { return pack_id_; }

  // Full before delta (I12), so that the first of an id is the one to keep.
  bool operator<(const PackStream& other) const {
    if (leading_ != other.leading_) return leading_ < other.leading_;
    if (entry_.id != other.entry_.id) return entry_.id < other.entry_.id;
    return IsDeltaCodec(entry_.codec) < IsDeltaCodec(other.entry_.codec);
  }

 private:
  Status Fill(std::size_t buffer_entries);
  Status LoadPart();
  Status Damaged() const {
    return Corruption("packs/" + PackFileName(pack_id_) +
                      ": its directory changed while it was read");
  }

  Dir* const packs_dir_;
  const Id128 pack_id_;
  const Id128 store_uuid_;
  std::uint64_t left_ = 0;
  ChunkEntry entry_;
  std::uint64_t leading_ = 0;

  std::vector<ChunkEntry> loaded_;
  std::size_t at_ = 0;            // in loaded_, or bytes in buffer_
  std::size_t part_entries_ = 0;  // 0: loaded_ is all
  std::uint64_t end_ = 0;

  bool sorted_ = false;
  std::uint64_t directory_offset_ = 0;
  std::uint64_t table_at_ = 0;  // of the next entry to read
  std::vector<Id128> bases_;
  Bytes buffer_;
};

Result<bool> PackStream::OpenSorted(const PackReader& reader, std::uint64_t directory_offset) {
  std::byte bytes[kRecordHeaderBytes + kDirectoryFixedBytes];
  CKPT_ASSIGN_OR_RETURN(std::size_t got, reader.file()->ReadAt(directory_offset, bytes));
  RecordHeader header;
  if (got < sizeof(bytes) ||
      !DecodeRecordHeader(ByteSpan(bytes).first(kRecordHeaderBytes), pack_id_, directory_offset,
                          &header) ||
      header.type != RecordType::kDirectory) {
    return false;
  }
  auto head = DecodeDirectoryHead(ByteSpan(bytes).subspan(kRecordHeaderBytes), header.stored_bytes,
                                  directory_offset);
  if (!head.ok() || !head->sealed) return false;
  directory_offset_ = directory_offset;
  table_at_ = directory_offset + sizeof(bytes);
  left_ = head->chunks;
  sorted_ = true;
  bases_.resize(head->bases);
  std::uint64_t bases_at =
      directory_offset + kRecordHeaderBytes + DirectoryPayloadBytes(head->chunks, head->records, 0);
  CKPT_RETURN_IF_ERROR(reader.ReadRaw(bases_at, std::as_writable_bytes(std::span(bases_))));
  return true;
}

// Opened for each piece: there may be more packs than a process may have files open.
Status PackStream::Fill(std::size_t buffer_entries) {
  buffer_.resize(std::min<std::uint64_t>(left_, buffer_entries) * kChunkEntryBytes);
  CKPT_ASSIGN_OR_RETURN(auto file, packs_dir_->OpenFile(PackFileName(pack_id_), OpenOptions{}));
  CKPT_RETURN_IF_ERROR(file->ReadExactAt(table_at_, buffer_));
  table_at_ += buffer_.size();
  at_ = 0;
  return Status();
}

// The least entries behind the last one that was taken.
Status PackStream::LoadPart() {
  CKPT_ASSIGN_OR_RETURN(auto reader, PackReader::Open(packs_dir_, pack_id_, store_uuid_));
  CKPT_ASSIGN_OR_RETURN(PackContents contents, reader->ReadFrom(0));
  const bool first = loaded_.empty();
  std::erase_if(contents.chunks, [&](const ChunkEntry& entry) {
    return entry.offset >= end_ || (!first && !ChunkEntryLess(entry_, entry));
  });
  if (contents.chunks.size() != left_) return Damaged();
  const std::size_t part = std::min<std::size_t>(part_entries_, contents.chunks.size());
  const auto end = contents.chunks.begin() + static_cast<std::ptrdiff_t>(part);
  std::partial_sort(contents.chunks.begin(), end, contents.chunks.end(), ChunkEntryLess);
  loaded_.assign(contents.chunks.begin(), end);
  at_ = 0;
  return Status();
}

Status PackStream::Next(std::size_t buffer_entries) {
  Id128 before = entry_.id;
  if (!sorted_) {
    if (at_ == loaded_.size()) CKPT_RETURN_IF_ERROR(LoadPart());
    entry_ = loaded_[at_++];
  } else {
    if (at_ == buffer_.size()) CKPT_RETURN_IF_ERROR(Fill(buffer_entries));
    std::uint32_t base = 0;
    if (!DecodeChunkEntry(ByteSpan(buffer_).subspan(at_, kChunkEntryBytes), kPackHeaderBytes,
                          directory_offset_, static_cast<std::uint32_t>(bases_.size()), &entry_,
                          &base)) {
      return Damaged();
    }
    entry_.base = base == 0 ? Id128() : bases_[base - 1];
    at_ += kChunkEntryBytes;
  }
  if (entry_.id < before) return Damaged();
  leading_ = LeadingBytes(entry_.id);
  --left_;
  return Status();
}

// What is to go into the index.
struct Sources {
  std::vector<std::unique_ptr<PackStream>> streams;
  std::vector<PackCoverage> coverage;
  std::uint64_t chunks = 0;
  // Of packs that are not sealed: so many entries in memory, and as many again of the others of
  // these, which are read in parts.
  std::size_t loaded_most = 0;
  std::size_t loaded = 0;
  std::vector<PackStream*> in_parts;
};

struct GreaterStream {
  bool operator()(const PackStream* a, const PackStream* b) const { return *b < *a; }
};

Result<std::unique_ptr<IndexBuilder>> StartWhenFree(Env* env, const std::shared_ptr<Index>& index) {
  std::int64_t deadline = env->MonotonicNs() + kWaitMs * 1'000'000;
  for (;;) {
    auto builder = StartRebuild(index);
    if (builder.ok() || builder.status().code() != Code::kBusy) return builder;
    if (env->MonotonicNs() >= deadline) return builder;
    env->SleepMs(kTryAgainMs);
  }
}

Status AddSource(const PackReader& reader, PackContents contents, Dir* packs_dir,
                 const Id128& store_uuid, Sources* out) {
  const Id128& id = reader.pack_id();
  out->coverage.push_back(
      {id, contents.durable_end, contents.check_offset, contents.check_checksum});
  auto stream = std::make_unique<PackStream>(packs_dir, id, store_uuid);
  bool sorted = false;
  if (contents.mark.has_value() && contents.mark->sealed && contents.damage.empty()) {
    CKPT_ASSIGN_OR_RETURN(sorted, stream->OpenSorted(reader, contents.mark->directory_offset));
  }
  if (!sorted) {
    if (reader.sealed()) {  // read without its chunks
      CKPT_ASSIGN_OR_RETURN(contents, reader.ReadFrom(0));
    }
    if (out->loaded + contents.chunks.size() > out->loaded_most) {
      stream->UseInParts(contents);
      out->in_parts.push_back(stream.get());
    } else {
      out->loaded += contents.chunks.size();
      stream->Use(std::move(contents.chunks));
    }
  }
  out->chunks += stream->left();
  out->streams.push_back(std::move(stream));
  return Status();
}

// `skip(pack, offset)`: barred places, so that a sound copy is found where there is one.
template <typename Skip>
Status Merge(const Store& store, Sources* sources, IndexBuilder* builder, const Skip& skip) {
  std::size_t share = kBufferBytes / std::max<std::size_t>(1, sources->streams.size());
  std::size_t entries = std::clamp<std::size_t>(share, 4096, kStreamBytesMax) / kChunkEntryBytes;
  for (PackStream* stream : sources->in_parts) {
    stream->SetPart(std::max<std::size_t>(1, sources->loaded_most / sources->in_parts.size()));
  }
  std::vector<PackStream*> heap;
  for (auto& stream : sources->streams) {
    if (stream->left() == 0) continue;
    CKPT_RETURN_IF_ERROR(stream->Next(entries));
    heap.push_back(stream.get());
  }
  std::make_heap(heap.begin(), heap.end(), GreaterStream());
  Progress progress{"indexing", 0, 0, 0, sources->chunks};
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), GreaterStream());
    PackStream* least = heap.back();
    if (!skip(least->pack_id(), least->entry().offset)) {
      CKPT_RETURN_IF_ERROR(builder->AddChunk(least->pack_id(), least->entry()));
    }
    if (++progress.done_items % kReportEvery == 0) CKPT_RETURN_IF_ERROR(store.Report(progress));
    if (least->left() == 0) {
      heap.pop_back();
      continue;
    }
    CKPT_RETURN_IF_ERROR(least->Next(entries));
    std::push_heap(heap.begin(), heap.end(), GreaterStream());
  }
  return store.Report(progress);
}

}  // namespace

bool WorthReindexing(Store* store) {
  if (store->index() == nullptr || !store->writable()) return false;
  auto covered = store->index()->Packs();
  if (!covered.ok() || !covered->empty()) return false;
  auto files = store->packs_dir()->List();
  if (!files.ok()) return false;
  std::uint64_t bytes = 0;
  for (const DirEntry& file : *files) {
    auto info = store->packs_dir()->StatEntry(file.name);
    if (info.ok()) bytes += info->size_bytes;
    if (bytes > kBulkBytes) return true;
  }
  return false;
}

// LMDB repeats no call that a signal interrupts, and takes half a write for a failed one. A pack
// may be collected while it is read.
Result<IndexStats> Store::Reindex() {
  Result<IndexStats> stats = RebuildIndex();
  const Code code = stats.status().code();
  return code == Code::kIo || code == Code::kNotFound ? RebuildIndex() : stats;
}

Result<IndexStats> Store::RebuildIndex() {
  std::shared_ptr<Index> before = index();
  const bool given_up = before == nullptr && options_.use_index && no_index_because_.empty();
  if (given_up && writable()) {
    OpenIndex();
    before = index();
  }
  if (before == nullptr || !writable()) {
    return Unsupported("there is no index on disk to build for " + path_ + ": " +
                       (no_index_because_.empty() ? "the store was opened for reading, or its"
                                                    " index directory cannot be used"
                                                  : no_index_because_));
  }
  std::unique_lock refresh(refresh_mutex_);
  std::set<std::pair<Id128, std::uint64_t>> barred;
  {
    std::shared_lock lock(mutex_);
    barred = barred_;
  }
  CKPT_ASSIGN_OR_RETURN(auto builder, StartWhenFree(env_, before));
  CKPT_ASSIGN_OR_RETURN(auto names, packs_dir_->List());
  Sources sources;
  sources.loaded_most = static_cast<std::size_t>(options_.table_bytes / 4 / sizeof(ChunkEntry));
  for (const DirEntry& name : names) {
    Id128 id;
    if (!ParsePackFileName(name.name, &id)) continue;
    auto reader = PackReader::Open(packs_dir_.get(), id, format_.uuid);
    if (!reader.ok()) continue;  // collected, never began, or damaged: `check` names it
    CKPT_ASSIGN_OR_RETURN(PackContents contents, (*reader)->ReadFrom(0, (*reader)->sealed()));
    std::vector<UnreadPlace> unread;
    CKPT_ASSIGN_OR_RETURN(auto records,
                          ReadIndexRecords(**reader, contents.records, false, &unread));
    bool whole = std::none_of(contents.damage.begin(), contents.damage.end(),
                              [](const DamagedRange& range) { return range.unread; });
    if (!unread.empty() || !whole) continue;  // whoever opens the store is to meet the damage
    for (const IndexRecord& record : records) {
      CKPT_RETURN_IF_ERROR(builder->AddRecord(id, record));
    }
    CKPT_RETURN_IF_ERROR(
        AddSource(**reader, std::move(contents), packs_dir_.get(), format_.uuid, &sources));
    CKPT_RETURN_IF_ERROR(Report(Progress{"indexing", 0, 0, 0, sources.chunks}));
  }
  CKPT_RETURN_IF_ERROR(
      Merge(*this, &sources, builder.get(), [&](const Id128& id, std::uint64_t at) {
        return !barred.empty() && barred.contains({id, at});
      }));
  CKPT_RETURN_IF_ERROR(builder->Finish(sources.coverage));
  builder.reset();
  {
    std::unique_lock lock(mutex_);
    matches_.clear();
    watched_.clear();                                        // the new index has seen nothing yet
    for (auto& [id, state] : states_) state.file_bytes = 0;  // look again: the overlay may shrink
  }
  refresh.unlock();
  CKPT_RETURN_IF_ERROR(Refresh());
  std::shared_ptr<Index> made = index();
  if (made == nullptr) return IoError("the index of " + path_ + " was made and cannot be read");
  return made->Stats();
}

}  // namespace ckpt
