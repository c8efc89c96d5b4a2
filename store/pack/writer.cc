#include "store/pack/writer.h"

#include <algorithm>
#include <utility>

#include "store/base/check.h"
#include "store/codec/hash.h"
#include "store/pack/scan.h"
#include "store/pack/write_behind.h"

namespace ckpt {
namespace {

// So many entries make a directory even within a stage: bounds the directory and our memory for it.
constexpr std::size_t kDirectoryEntriesMax = 1u << 20;
constexpr std::uint64_t kScanPieceBytes = 1u << 20;

// A pack we hold locked may have been unlinked before we got the lock (by a collector that found it
// free): what went into it then would be lost.
Result<bool> StillLinked(Dir* dir, const std::string& name, const FileInfo& info) {
  Result<FileInfo> entry = dir->StatEntry(name);
  if (!entry.ok() && entry.status().code() == Code::kNotFound) return false;
  if (!entry.ok()) return entry.status();
  return entry->kind == FileKind::kRegular && entry->device == info.device &&
         entry->inode == info.inode;
}

Result<bool> OnlyZeros(File* file, std::uint64_t begin, std::uint64_t end) {
  Bytes piece;
  while (begin < end) {
    piece.resize(std::min(kScanPieceBytes, end - begin));
    CKPT_ASSIGN_OR_RETURN(std::size_t got, file->ReadAt(begin, piece));
    if (got < piece.size()) return false;
    if (std::any_of(piece.begin(), piece.end(), [](std::byte b) { return b != std::byte{0}; })) {
      return false;
    }
    begin += piece.size();
  }
  return true;
}

// What tells "not ours to continue" from trouble that a new pack would meet as well.
bool MeansNotContinuable(const Status& status) {
  return status.code() == Code::kNotFound || status.code() == Code::kCorruption ||
         status.code() == Code::kPermission || status.code() == Code::kUnsupported;
}

// Padding is a record: at least a header.
std::uint64_t PaddedEnd(std::uint64_t offset) {
  std::uint64_t end = RoundUp(offset, kBlockBytes);
  return end > offset && end - offset < kRecordHeaderBytes ? end + kBlockBytes : end;
}

}  // namespace

struct PackWriter::State {
  State(Env* e, Dir* dir, const PackWriterOptions& o) : env(e), packs_dir(dir), options(o) {}

  Env* const env;
  Dir* const packs_dir;  // outlives the writer
  const PackWriterOptions options;
  Id128 pack_id;
  Id128 host;
  std::uint64_t writer_id = 0;
  std::unique_ptr<File> file;  // holds the lock
  FileInfo info;               // device and inode
  std::unique_ptr<WriteBehind> out;
  Status error;               // not ok: POISONED
  bool ended = false;         // sealed: nothing may follow
  bool announced = false;     // other hosts wait for a closed mark
  bool name_durable = false;  // packs_dir was synced since the file was made

  std::uint64_t staged_end = 0;   // everything below is written
  std::uint64_t durable_end = 0;  // behind the last mark's stage
  std::optional<scan::FoundMark> last_mark;
  std::uint64_t directory_offset = 0;  // the newest
  std::uint64_t next_sequence = 0;

  std::uint64_t news_from = 0;  // the durable end of the last TakeDurableNews, or where we began
  // Since the last TakeDurableNews: [0, durable) below the last mark, [.., listed) in a directory.
  std::vector<ChunkEntry> chunks;
  std::vector<RecordEntry> records;
  std::size_t chunks_durable = 0, records_durable = 0;
  std::size_t chunks_listed = 0, records_listed = 0;
  std::uint64_t first_unlisted = 0;  // offset of the first record that no directory lists

  Status Poison(Status status);
  std::size_t Unlisted() const {
    return chunks.size() - chunks_listed + records.size() - records_listed;
  }
  Status Begin(std::uint64_t offset);
  Result<std::uint64_t> Put(RecordHeader header, ByteSpan payload, std::uint64_t* checksum);
  void List(const RecordHeader& header, std::uint64_t offset, std::uint64_t payload_bytes,
            const Id128& base);
  Status PutDirectory(const Directory& directory);
  Status ListPending();
  Status PadAndFlush();
  Status Stage();
  Status MarkDurable(bool closed, bool is_sealed);
  Status Close();
  Result<bool> SealingDirectory(Directory* directory);
  Status ClearReserve(std::uint64_t begin, std::uint64_t end);
  Result<bool> MayContinue(const PackReader& reader, scan::FoundMark* mark);
};

Status PackWriter::State::Poison(Status status) {
  if (error.ok() && !status.ok()) error = std::move(status);
  return error;
}

Status PackWriter::State::Begin(std::uint64_t offset) {
  host = env->HostId();
  Id128 random = env->RandomId();
  std::memcpy(&writer_id, random.bytes.data(), sizeof(writer_id));
  out = std::make_unique<WriteBehind>(file.get(), offset, options.buffer_bytes);
  staged_end = first_unlisted = offset;
  return {};
}

// Fills in what the caller left open and appends header, payload and zeros; answers the offset.
Result<std::uint64_t> PackWriter::State::Put(RecordHeader header, ByteSpan payload,
                                             std::uint64_t* checksum) {
  std::uint64_t offset = out->offset();
  header.stored_bytes = payload.size();
  if (header.codec == 0) header.raw_bytes = payload.size();
  header.writer_id = writer_id;
  header.payload_checksum = header.type == RecordType::kPadding ? 0 : Checksum64(payload);
  std::byte bytes[kRecordHeaderBytes];
  EncodeRecordHeader(header, pack_id, offset, bytes);
  RecordHeader check;
  CKPT_CHECK(DecodeRecordHeader(bytes, pack_id, offset, &check, checksum),
             "a record that readers refuse must not be written");
  CKPT_RETURN_IF_ERROR(Poison(out->Append(bytes)));
  CKPT_RETURN_IF_ERROR(Poison(out->Append(payload)));
  std::uint64_t zeros = header.ExtentBytes() - kRecordHeaderBytes - payload.size();
  CKPT_RETURN_IF_ERROR(Poison(out->AppendZeros(zeros)));
  return offset;
}

void PackWriter::State::List(const RecordHeader& header, std::uint64_t offset,
                             std::uint64_t payload_bytes, const Id128& base) {
  if (header.type != RecordType::kChunk) {
    records.push_back({offset, payload_bytes, header.type});
    return;
  }
  ChunkEntry entry;
  entry.id = header.id;
  entry.offset = offset;
  entry.stored_bytes = static_cast<std::uint32_t>(payload_bytes);
  entry.raw_bytes =
      static_cast<std::uint32_t>(header.codec == 0 ? payload_bytes : header.raw_bytes);
  entry.codec = header.codec;
  entry.codec_param = header.codec_param;
  entry.base = base;
  chunks.push_back(entry);
}

Status PackWriter::State::PutDirectory(const Directory& directory) {
  Bytes payload = EncodeDirectory(directory);
  RecordHeader header;
  header.type = RecordType::kDirectory;
  CKPT_ASSIGN_OR_RETURN(directory_offset, Put(header, payload, nullptr));
  return {};
}

// A directory of everything that none lists yet.
Status PackWriter::State::ListPending() {
  if (Unlisted() == 0) return {};
  Directory directory;
  directory.previous_offset = directory_offset;
  directory.covers_from = first_unlisted;
  directory.chunks.assign(chunks.begin() + static_cast<std::ptrdiff_t>(chunks_listed),
                          chunks.end());
  directory.records.assign(records.begin() + static_cast<std::ptrdiff_t>(records_listed),
                           records.end());
  CKPT_RETURN_IF_ERROR(PutDirectory(directory));
  chunks_listed = chunks.size();
  records_listed = records.size();
  first_unlisted = out->offset();
  return {};
}

Status PackWriter::State::PadAndFlush() {
  std::uint64_t rest = PaddedEnd(out->offset()) - out->offset();
  if (rest > 0) {
    static constexpr std::byte kZeros[2 * kBlockBytes] = {};
    RecordHeader header;
    header.type = RecordType::kPadding;
    CKPT_RETURN_IF_ERROR(
        Put(header, ByteSpan(kZeros).first(rest - kRecordHeaderBytes), nullptr).status());
  }
  CKPT_RETURN_IF_ERROR(Poison(out->Flush()));
  staged_end = out->offset();
  return {};
}

Status PackWriter::State::Stage() {
  CKPT_RETURN_IF_ERROR(error);
  CKPT_CHECK(!ended, "a sealed pack is never written again");
  if (out->offset() == staged_end) return {};
  CKPT_RETURN_IF_ERROR(ListPending());
  CKPT_RETURN_IF_ERROR(PadAndFlush());
  first_unlisted = staged_end;
  return {};
}

// REQUIRES: everything is staged. Flushes it and sets the mark behind.
Status PackWriter::State::MarkDurable(bool closed, bool is_sealed) {
  CKPT_RETURN_IF_ERROR(Poison(file->Sync()));
  if (!name_durable) {
    CKPT_RETURN_IF_ERROR(Poison(packs_dir->Sync()));
    name_durable = true;
  }
  scan::FoundMark found;
  found.mark.durable_offset = out->offset();
  found.mark.host = host;
  found.mark.device = info.device;
  found.mark.inode = info.inode;
  found.mark.directory_offset = directory_offset;
  found.mark.sequence = next_sequence;
  found.mark.closed = closed;
  found.mark.sealed = is_sealed;
  RecordHeader header;
  header.type = RecordType::kSyncMark;
  CKPT_RETURN_IF_ERROR(Put(header, EncodeSyncMark(found.mark), &found.header_checksum).status());
  CKPT_RETURN_IF_ERROR(PadAndFlush());
  CKPT_CHECK(out->offset() == found.end(), "a mark's stage is one block");
  // What stands behind a reserve's last mark is overwritten by its next writer: that mark must not
  // go with the power once somebody relies on what is before it.
  if (options.reserve) CKPT_RETURN_IF_ERROR(Poison(file->Sync()));
  last_mark = found;
  ++next_sequence;
  durable_end = first_unlisted = found.end();
  chunks_durable = chunks.size();
  records_durable = records.size();
  ended = is_sealed;
  return {};
}

// Lists the whole pack, sorted, from its own directories. False when it must stay unsealed: the
// part that others wrote is damaged (a sealed directory would hide that), or the table too large.
Result<bool> PackWriter::State::SealingDirectory(Directory* directory) {
  CKPT_ASSIGN_OR_RETURN(auto copy,
                        OpenOwnFile(packs_dir, PackFileName(pack_id), {.mode = OpenMode::kRead}));
  scan::Source source{copy.get(), pack_id, staged_end};
  scan::Listing listing;
  CKPT_RETURN_IF_ERROR(scan::ListByDirectories(source, directory_offset, staged_end, 0, &listing));
  if (!listing.damage.empty()) return false;
  std::uint64_t bytes =
      DirectoryPayloadBytes(listing.chunks.size(), listing.records.size(), listing.chunks.size());
  if (bytes > PayloadBytesMax(RecordType::kDirectory)) return false;
  std::sort(listing.chunks.begin(), listing.chunks.end(), ChunkEntryLess);
  directory->covers_from = kPackHeaderBytes;
  directory->sealed = true;
  directory->chunks = std::move(listing.chunks);
  directory->records = std::move(listing.records);
  return true;
}

Result<std::unique_ptr<PackWriter>> PackWriter::Create(Env* env, Dir* packs_dir,
                                                       const PackWriterOptions& options) {
  auto state = std::make_unique<State>(env, packs_dir, options);
  state->pack_id = env->RandomId();
  std::string name = PackFileName(state->pack_id);
  CKPT_ASSIGN_OR_RETURN(state->file,
                        packs_dir->OpenFile(name, {.mode = OpenMode::kCreate,
                                                   .direct = options.direct_io,
                                                   .permissions = options.permissions}));
  // Where locks do not work, a pack of our own is all there is; collection refuses there (I5).
  Result<bool> locked = state->file->TryLock();
  if (!locked.ok() && locked.status().code() != Code::kUnsupported) return locked.status();
  if (locked.ok() && !*locked)
    return Busy("lock " + state->file->path() + ": somebody else has it");
  CKPT_ASSIGN_OR_RETURN(state->info, state->file->Stat());
  CKPT_ASSIGN_OR_RETURN(bool linked, StillLinked(packs_dir, name, state->info));
  if (!linked) return Busy(state->file->path() + ": collected before it was locked; try again");
  if (options.reserve) {
    CKPT_RETURN_IF_ERROR(state->file->Allocate(0, RoundUp(options.pack_bytes_max, kBlockBytes)));
  }
  CKPT_RETURN_IF_ERROR(state->Begin(0));
  Bytes header = EncodePackHeader({.pack_id = state->pack_id,
                                   .store_uuid = options.store_uuid,
                                   .reserve = options.reserve,
                                   .created_ns = env->RealtimeNs(),
                                   .host = state->host});
  CKPT_RETURN_IF_ERROR(state->out->Append(header));
  state->first_unlisted = state->durable_end = kPackHeaderBytes;
  return std::unique_ptr<PackWriter>(new PackWriter(std::move(state)));
}

// docs/format.md: the last mark names this host and file, is not sealed and ends the file.
Result<bool> PackWriter::State::MayContinue(const PackReader& reader, scan::FoundMark* mark) {
  CKPT_ASSIGN_OR_RETURN(FileInfo seen, reader.file()->Stat());
  // The reader was opened by name after we got the lock: the same file means that it was not
  // unlinked before.
  if (seen.device != info.device || seen.inode != info.inode) return false;
  if (reader.header().reserve != options.reserve) return false;
  scan::Source source{reader.file(), pack_id, seen.size_bytes};
  CKPT_ASSIGN_OR_RETURN(auto last, options.reserve ? scan::LastMarkBelow(source, source.file_bytes)
                                                   : scan::MarkAtEnd(source));
  if (!last || last->mark.sealed || last->mark.host != env->HostId()) return false;
  if (last->mark.device != info.device || last->mark.inode != info.inode) return false;
  if (last->end() >= options.pack_bytes_max) return false;
  if (!options.reserve && last->end() != seen.size_bytes) return false;
  *mark = *last;
  CKPT_ASSIGN_OR_RETURN(bool zeros, OnlyZeros(reader.file(), last->end(), seen.size_bytes));
  if (zeros || !options.reserve) return zeros;
  CKPT_RETURN_IF_ERROR(ClearReserve(last->end(), seen.size_bytes));
  return true;
}

// What a dead writer left behind the last mark of a reserve was never promised to anybody, and the
// reserve is all the room there is. Written, not cut: its blocks must stay. The next mark comes
// after a flush of these zeros, too.
Status PackWriter::State::ClearReserve(std::uint64_t begin, std::uint64_t end) {
  AlignedBuffer zeros(kScanPieceBytes);
  if (zeros.size() == 0) return OutOfMemory("no memory to clear a reserve");
  std::memset(zeros.data(), 0, zeros.size());
  for (std::uint64_t at = begin; at < end; at += kScanPieceBytes) {
    ByteSpan piece(zeros.data(), std::min(kScanPieceBytes, end - at));
    CKPT_RETURN_IF_ERROR(file->WriteAt(at, piece));
  }
  return {};
}

Result<std::unique_ptr<PackWriter>> PackWriter::Continue(Env* env, Dir* packs_dir,
                                                         const Id128& pack_id,
                                                         const PackWriterOptions& options) {
  std::unique_ptr<PackWriter> none;
  auto unless = [&](Status status) -> Result<std::unique_ptr<PackWriter>> {
    if (MeansNotContinuable(status)) return std::move(none);
    return status;
  };
  auto state = std::make_unique<State>(env, packs_dir, options);
  state->pack_id = pack_id;
  auto file = OpenOwnFile(packs_dir, PackFileName(pack_id),
                          {.mode = OpenMode::kReadWrite, .direct = options.direct_io});
  if (!file.ok()) return unless(file.status());
  state->file = *std::move(file);
  Result<bool> locked = state->file->TryLock();
  if (!locked.ok()) return unless(locked.status());
  if (!*locked) return none;
  // Only under the lock: nobody else appends any more.
  CKPT_ASSIGN_OR_RETURN(state->info, state->file->Stat());
  auto reader = PackReader::Open(packs_dir, pack_id, options.store_uuid);
  if (!reader.ok()) return unless(reader.status());
  scan::FoundMark mark;
  CKPT_ASSIGN_OR_RETURN(bool may, state->MayContinue(**reader, &mark));
  if (!may) return none;
  CKPT_RETURN_IF_ERROR(state->Begin(mark.end()));
  state->durable_end = state->news_from = mark.end();
  state->directory_offset = mark.mark.directory_offset;
  state->next_sequence = mark.mark.sequence + 1;
  state->last_mark = mark;
  state->name_durable = true;  // before any mark, it was synced
  return std::unique_ptr<PackWriter>(new PackWriter(std::move(state)));
}

PackWriter::PackWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
PackWriter::~PackWriter() = default;

Result<Placed> PackWriter::Append(const RecordHeader& header_fields, ByteSpan payload,
                                  const Id128& delta_base) {
  State& s = *state_;
  CKPT_RETURN_IF_ERROR(s.error);
  CKPT_CHECK(!s.ended, "a sealed pack is never written again");
  RecordType type = header_fields.type;
  CKPT_CHECK(type == RecordType::kChunk || ListedAsRecord(type), "the writer makes the others");
  if (payload.size() > PayloadBytesMax(type)) {
    return InvalidArgument(scan::PackName(s.pack_id) + "a record of type " +
                           std::to_string(static_cast<int>(type)) + " may have " +
                           std::to_string(PayloadBytesMax(type)) + " bytes, not " +
                           std::to_string(payload.size()));
  }
  if (s.Unlisted() >= kDirectoryEntriesMax) CKPT_RETURN_IF_ERROR(s.ListPending());
  // Listed before it is written: when there is no memory for the entry, there is no record either.
  std::uint64_t offset = s.out->offset();
  s.List(header_fields, offset, payload.size(), delta_base);
  CKPT_RETURN_IF_ERROR(s.Put(header_fields, payload, nullptr).status());
  return Placed{offset, s.out->offset() - offset};
}

Status PackWriter::Stage() { return state_->Stage(); }

Status PackWriter::Commit(bool closed) {
  State& s = *state_;
  CKPT_RETURN_IF_ERROR(Stage());
  bool nothing_new = s.last_mark && s.staged_end == s.durable_end;
  if (nothing_new && s.last_mark->mark.closed == closed) return {};
  return s.MarkDurable(closed, false);
}

Status PackWriter::Announce() {
  CKPT_RETURN_IF_ERROR(Commit(false));
  state_->announced = true;
  return state_->Poison(state_->file->Sync());
}

// A mark whose flush failed reads well and may never reach the disk (I6). With an unmarked block
// behind it nobody goes on with this pack, and what is in it is judged as a tail after a power
// loss.
Status PackWriter::FlushMark() {
  State& s = *state_;
  Status flushed = s.file->Sync();
  if (flushed.ok()) return flushed;
  static constexpr std::byte kZeros[kBlockBytes] = {};
  RecordHeader header;
  header.type = RecordType::kPadding;
  ByteSpan payload = ByteSpan(kZeros).first(kBlockBytes - kRecordHeaderBytes);
  Status put = s.Put(header, payload, nullptr).status();
  if (put.ok()) put = s.PadAndFlush();
  s.ended = true;  // not taken back by Abandon
  return s.Poison(std::move(flushed));
}

Result<bool> PackWriter::HasItsName() const {
  return StillLinked(state_->packs_dir, PackFileName(state_->pack_id), state_->info);
}

Status PackWriter::Seal() {
  State& s = *state_;
  CKPT_RETURN_IF_ERROR(Stage());
  Directory directory;
  Result<bool> may = s.SealingDirectory(&directory);
  // Sealing only saves later readers work: what stands in its way does not stop the commit.
  if (!may.ok() || !*may) {
    CKPT_RETURN_IF_ERROR(Commit(true));
    s.ended = true;
    return {};
  }
  CKPT_RETURN_IF_ERROR(s.PutDirectory(directory));
  CKPT_RETURN_IF_ERROR(s.PadAndFlush());
  return s.MarkDurable(true, true);
}

// What was appended is gone again; other hosts learn that this writer ended.
Status PackWriter::State::Close() {
  chunks.resize(chunks_durable);
  records.resize(records_durable);
  CKPT_RETURN_IF_ERROR(Begin(durable_end));
  return MarkDurable(true, false);
}

void PackWriter::Abandon() {
  State& s = *state_;
  s.out.reset();
  bool take_back = s.error.ok() || s.error.code() == Code::kNoSpace;
  if (s.ended || s.options.reserve || !take_back) return;
  // Best effort: what stays is an unmarked tail that no manifest names, and collection returns it.
  Status taken = s.last_mark ? s.file->Truncate(s.durable_end)
                             : s.packs_dir->RemoveFile(PackFileName(s.pack_id));
  if (taken.ok() && s.announced && s.error.ok()) taken = s.Close();
  s.ended = true;
  if (s.error.ok()) s.error = taken.ok() ? Cancelled("the pack's writer gave up") : taken;
}

bool PackWriter::BeyondLimit() const {
  return state_->out->offset() >= state_->options.pack_bytes_max;
}
bool PackWriter::poisoned() const { return !state_->error.ok(); }
const Id128& PackWriter::pack_id() const { return state_->pack_id; }
std::uint64_t PackWriter::end_offset() const { return state_->out->offset(); }
std::uint64_t PackWriter::durable_end() const { return state_->durable_end; }

std::uint64_t PackWriter::EndWith(std::uint64_t payload_bytes, bool committed) const {
  auto extent = [](std::uint64_t payload) {
    return RoundUp(kRecordHeaderBytes + payload, kRecordAlignBytes);
  };
  const State& s = *state_;
  std::uint64_t directory = DirectoryPayloadBytes(s.chunks.size() - s.chunks_listed,
                                                  s.records.size() - s.records_listed + 1, 0);
  std::uint64_t staged = PaddedEnd(s.out->offset() + extent(payload_bytes) + extent(directory));
  return committed ? staged + kBlockBytes : staged;  // the mark's stage is one block
}

PackContents PackWriter::TakeDurableNews() {
  State& s = *state_;
  PackContents news;
  news.from = std::exchange(s.news_from, s.durable_end);
  news.durable_end = news.end = news.file_bytes = s.durable_end;
  if (s.last_mark) {
    news.mark = s.last_mark->mark;
    news.check_offset = s.last_mark->mark.durable_offset;
    news.check_checksum = s.last_mark->header_checksum;
  }
  auto take = [](auto* entries, std::size_t* durable, std::size_t* listed, auto* taken) {
    auto end = entries->begin() + static_cast<std::ptrdiff_t>(*durable);
    taken->assign(entries->begin(), end);
    entries->erase(entries->begin(), end);
    *listed -= *durable;
    *durable = 0;
  };
  take(&s.chunks, &s.chunks_durable, &s.chunks_listed, &news.chunks);
  take(&s.records, &s.records_durable, &s.records_listed, &news.records);
  return news;
}

}  // namespace ckpt
