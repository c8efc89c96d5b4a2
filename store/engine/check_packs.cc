#include "store/engine/check_packs.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "store/codec/hash.h"
#include "store/engine/hollow.h"
#include "store/io/quiet_thread.h"

namespace ckpt {
namespace {

constexpr std::uint64_t kWindowBytes = 4u << 20;
constexpr std::size_t kReadAheadMax = 4;
constexpr std::uint64_t kRunBytes = 1u << 20;
constexpr std::uint64_t kMarkPieceBytes = 64u << 10;

std::uint64_t PayloadEnd(const RecordHeader& header) {
  return kRecordHeaderBytes + header.stored_bytes;
}

bool IsMark(ByteSpan block, const Id128& pack_id, std::uint64_t offset) {
  RecordHeader header;
  if (!DecodeRecordHeader(block.first(kRecordHeaderBytes), pack_id, offset, &header) ||
      header.type != RecordType::kSyncMark || PayloadEnd(header) > block.size()) {
    return false;
  }
  ByteSpan payload = block.subspan(kRecordHeaderBytes, header.stored_bytes);
  if (Checksum64(payload) != header.payload_checksum) return false;
  auto mark = DecodeSyncMark(payload);
  return mark.ok() && mark->durable_offset == offset;
}

std::uint8_t SoundBits(std::uint8_t codec) {
  return IsDeltaCodec(codec) ? CheckFindings::kSound
                             : CheckFindings::kSound | CheckFindings::kInFull;
}

std::string WithoutBase(const Id128& base) {
  return "chunk: the base of the delta, " + base.ToHex() + ", is in no pack, or damaged";
}

// What says nothing about the bytes on disk.
bool OfTheMoment(const Status& status) {
  return status.code() == Code::kOutOfMemory || status.code() == Code::kBusy ||
         status.code() == Code::kNoSpace;
}

}  // namespace

PackChecker::PackChecker(Store* store, const CheckOptions& options, CheckFindings* findings)
    : store_(store),
      options_(options),
      thread_count_(std::max(1, store->threads())),
      phase_(findings->phase),
      findings_(findings) {}

PackChecker::~PackChecker() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    queue_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Status PackChecker::Run() {
  CKPT_ASSIGN_OR_RETURN(bases_, Fetcher::Open(store_, {}));
  CKPT_ASSIGN_OR_RETURN(auto files, store_->packs_dir()->List());
  std::vector<Id128> ids;
  for (const DirEntry& file : files) {
    Id128 id;
    if (!ParsePackFileName(file.name, &id)) continue;
    auto info = store_->packs_dir()->StatEntry(file.name);
    if (info.status().code() == Code::kNotFound) continue;
    if (!info.ok()) return info.status();
    progress_.total_bytes += info->size_bytes;
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  progress_.total_items = ids.size();
  for (const Id128& id : ids) {
    CKPT_RETURN_IF_ERROR(CheckPack(id));
    ++progress_.done_items;
    CKPT_RETURN_IF_ERROR(store_->Report(progress_));
  }
  CKPT_RETURN_IF_ERROR(WaitIdle());
  FindBasesOfListed();
  BlameBases();
  return Status();
}

// All packs were looked at: what is in full by now is all that is.
void PackChecker::FindBasesOfListed() {
  if (findings_->too_many) return;
  for (const ListedDelta& delta : listed_) {
    const std::uint8_t* base = findings_->chunks.Find(delta.base);
    if (base != nullptr && (*base & CheckFindings::kInFull) != 0) {
      *findings_->chunks.Insert(delta.id).first |= CheckFindings::kSound;
      continue;
    }
    FoundDamage found{
        delta.pack_id, false, delta.offset, WithoutBase(delta.base), {{delta.id, delta.offset}}, {},
        false};
    deltas_.emplace_back(std::move(found), delta.base);
  }
}

// Whoever needs a delta is hurt where its base is damaged. Where the base is not there, perhaps
// nobody does: then it went with what needed it.
void PackChecker::BlameBases() {
  for (auto& [found, base] : deltas_) {
    const Id128 id = found.chunks.front().id;
    auto why = findings_->damage_of.find(base);
    if (why == findings_->damage_of.end()) {
      findings_->without_base.emplace(id, std::move(found));
      continue;
    }
    const std::vector<std::size_t> damage = why->second;
    std::vector<std::size_t>& of_delta = findings_->damage_of[id];
    of_delta.insert(of_delta.end(), damage.begin(), damage.end());
  }
}

Status PackChecker::CheckPack(const Id128& id) {
  auto reader = PackReader::Open(store_->packs_dir(), id, store_->format().uuid,
                                 PackReader::BadHeader::kSalvage);
  if (reader.status().code() == Code::kNotFound) return Status();  // never began, or collected
  if (OfTheMoment(reader.status())) return reader.status();
  ++findings_->packs;
  if (!reader.ok()) {
    AddDamage(id, 0, reader.status().message(), {});
    return Status();
  }
  Pack pack;
  pack.id = id;
  pack.reader = reader->get();
  auto contents = (*reader)->ReadFrom(0);
  if (!contents.ok()) {
    if (contents.status().code() != Code::kIo) return contents.status();
    AddDamage(id, 0, contents.status().message(), {});
    return Status();
  }
  pack.contents = *std::move(contents);
  findings_->looked_at[id] = pack.contents.end;
  auto by_offset = [](const ChunkEntry& a, const ChunkEntry& b) { return a.offset < b.offset; };
  std::sort(pack.contents.chunks.begin(), pack.contents.chunks.end(), by_offset);
  if (options_.quick || options_.part_percent < 100.0) return Listed(&pack);
  if (HeaderIsDamaged(pack)) AddDamage(id, 0, "the pack's header is damaged", {});
  CKPT_RETURN_IF_ERROR(Walk(&pack, kPackHeaderBytes, pack.contents.durable_end, true));
  CKPT_RETURN_IF_ERROR(Compare(&pack));
  return Walk(&pack, pack.contents.durable_end, pack.contents.end, false);
}

void PackChecker::AddDamage(const Id128& pack_id, std::uint64_t offset, std::string what,
                            std::vector<ChunkAt> chunks) {
  std::lock_guard lock(mutex_);
  findings_->Add({pack_id, false, offset, std::move(what), std::move(chunks), {}, false});
}

void PackChecker::MarkSound(const ChunkEntry& entry) {
  std::lock_guard lock(mutex_);
  findings_->MarkSound(entry.id, SoundBits(entry.codec));
}

void PackChecker::MarkListed(const Pack& pack, const ChunkEntry& entry) {
  if (!IsDeltaCodec(entry.codec)) return MarkSound(entry);
  std::lock_guard lock(mutex_);
  if (findings_->too_many) {
    listed_ = {};
  } else {
    listed_.push_back({pack.id, entry.id, entry.base, entry.offset});
  }
}

// Its records are as good as ever: they are bound to the pack's id.
bool PackChecker::HeaderIsDamaged(const Pack& pack) {
  return std::any_of(pack.contents.damage.begin(), pack.contents.damage.end(),
                     [](const DamagedRange& range) { return range.begin < kPackHeaderBytes; });
}

// ---- every byte ------------------------------------------------------------------------------

Status PackChecker::Walk(Pack* pack, std::uint64_t begin, std::uint64_t stop, bool durable) {
  for (std::uint64_t at = begin; at < stop;) {
    CKPT_ASSIGN_OR_RETURN(std::uint64_t next, Window(pack, at, stop, durable));
    if (next == at) {
      bool bad = false;
      CKPT_ASSIGN_OR_RETURN(next, Single(pack, at, stop, durable, &bad));
      if (bad && !durable) return Status();
    }
    progress_.done_bytes += next - at;
    at = next;
    CKPT_RETURN_IF_ERROR(store_->Report(progress_));
  }
  return Status();
}

// Takes the whole records that begin within a window at `at`; answers where they end: `at` itself
// when there is none, because of damage, a large record, or a disk that does not read.
Result<std::uint64_t> PackChecker::Window(Pack* pack, std::uint64_t at, std::uint64_t stop,
                                          bool durable) {
  Batch batch;
  batch.pack_id = pack->id;
  batch.durable = durable;
  batch.watch_barred = store_->HasDamage(pack->id);
  batch.hollow = store_->IsHollow(pack->id);
  batch.begin = at;
  batch.bytes.resize(std::min(kWindowBytes, stop - at));
  if (!pack->reader->ReadRaw(at, batch.bytes).ok()) return at;
  std::uint64_t end = at + batch.bytes.size();
  std::uint64_t next = at;
  while (next < end && end - next >= kRecordHeaderBytes) {
    Record record{next, {}};
    ByteSpan bytes = ByteSpan(batch.bytes).subspan(next - at, kRecordHeaderBytes);
    if (!DecodeRecordHeader(bytes, pack->id, next, &record.header)) break;
    if (PayloadEnd(record.header) > end - next) break;
    if (record.header.type == RecordType::kChunk) pack->walked.push_back({record.header.id, next});
    batch.records.push_back(record);
    next = std::min(next + record.header.ExtentBytes(), stop);
  }
  if (batch.records.empty()) return at;
  CKPT_RETURN_IF_ERROR(Push(std::move(batch)));
  return next;
}

// One record that no window holds, or the damage there (*bad).
Result<std::uint64_t> PackChecker::Single(Pack* pack, std::uint64_t at, std::uint64_t stop,
                                          bool durable, bool* bad) {
  std::byte bytes[kRecordHeaderBytes];
  Record record{at, {}};
  Status read = stop - at < sizeof(bytes) ? Corruption("the pack ends within a header")
                                          : pack->reader->ReadRaw(at, bytes);
  if (read.ok() && DecodeRecordHeader(bytes, pack->id, at, &record.header) &&
      PayloadEnd(record.header) <= stop - at) {
    std::uint64_t next = std::min(at + record.header.ExtentBytes(), stop);
    bool chunk = record.header.type == RecordType::kChunk;
    if (chunk) pack->walked.push_back({record.header.id, at});
    Batch batch;
    batch.pack_id = pack->id;
    batch.durable = durable;
    batch.hollow = store_->IsHollow(pack->id);
    batch.begin = at;
    batch.bytes.resize(PayloadEnd(record.header));
    Status payload = pack->reader->ReadRaw(at, batch.bytes);
    if (payload.ok()) {
      batch.records.push_back(record);
      CKPT_RETURN_IF_ERROR(Push(std::move(batch)));
    } else if (OfTheMoment(payload)) {
      return payload;
    } else if (durable) {
      std::vector<ChunkAt> chunks;
      if (chunk) chunks.push_back({record.header.id, at});
      AddDamage(pack->id, at, payload.message(), std::move(chunks));
    } else {
      std::lock_guard lock(mutex_);
      findings_->unread = true;
    }
    return next;
  }
  *bad = true;
  if (!durable) {
    std::lock_guard lock(mutex_);
    findings_->unread = true;
    return stop;
  }
  std::uint64_t next = NextMark(*pack, at + 1, stop);
  std::string what = "no record begins here, nor in the " + std::to_string(next - at) +
                     " bytes up to the next mark";
  if (!read.ok() && read.code() == Code::kIo) what = read.message();
  pack->ranges.push_back({pack->id, false, at, std::move(what), {}, {}, false});
  pack->range_ends.push_back(next);
  return next;
}

// The first mark in [begin, stop), or `stop`. Blocks that do not read hold none.
std::uint64_t PackChecker::NextMark(const Pack& pack, std::uint64_t begin, std::uint64_t stop) {
  Bytes piece;
  for (std::uint64_t at = RoundUp(begin, kBlockBytes); at + kBlockBytes <= stop;) {
    piece.resize(std::min(kMarkPieceBytes, (stop - at) / kBlockBytes * kBlockBytes));
    bool reads = pack.reader->ReadRaw(at, piece).ok();
    for (std::uint64_t i = 0; i < piece.size(); i += kBlockBytes) {
      MutableByteSpan block = MutableByteSpan(piece).subspan(i, kBlockBytes);
      if (!reads && !pack.reader->ReadRaw(at + i, block).ok()) continue;
      if (IsMark(block, pack.id, at + i)) return at + i;
    }
    at += piece.size();
  }
  return stop;
}

// What the directories list must be what was walked; where headers are gone they say what was
// there.
Status PackChecker::Compare(Pack* pack) {
  auto walked = pack->walked.begin();
  std::size_t range = 0;
  for (const ChunkEntry& entry : pack->contents.chunks) {
    while (walked != pack->walked.end() && walked->offset < entry.offset) {
      AddDamage(pack->id, walked->offset, "a chunk that no directory lists", {});
      ++walked;
    }
    if (walked != pack->walked.end() && walked->offset == entry.offset && walked->id == entry.id) {
      ++walked;
      continue;
    }
    while (range < pack->ranges.size() && pack->range_ends[range] <= entry.offset) ++range;
    if (range < pack->ranges.size() && pack->ranges[range].offset <= entry.offset) {
      // Readers go by directories: the chunk is as good as its payload.
      CKPT_ASSIGN_OR_RETURN(bool reads, ReadsTrue(*pack, entry));
      if (reads) {
        MarkSound(entry);
      } else {
        pack->ranges[range].chunks.push_back({entry.id, entry.offset});
      }
    } else {
      AddDamage(pack->id, entry.offset, "not the chunk that the directory lists",
                {{entry.id, entry.offset}});
    }
  }
  std::lock_guard lock(mutex_);
  for (FoundDamage& found : pack->ranges) findings_->Add(std::move(found));
  return Status();
}

Result<bool> PackChecker::ReadsTrue(const Pack& pack, const ChunkEntry& entry) {
  Bytes stored(entry.stored_bytes);
  Bytes raw(entry.raw_bytes);
  Decoder decoder;
  Status read = pack.reader->ReadRaw(entry.offset + kRecordHeaderBytes, stored);
  if (read.ok()) read = bases_->DecodeChunk({pack.id, entry}, stored, &decoder, raw);
  if (OfTheMoment(read)) return read;
  return read.ok();
}

// ---- quick and in part -----------------------------------------------------------------------

Status PackChecker::Listed(Pack* pack) {
  for (const DamagedRange& range : pack->contents.damage) {
    AddDamage(
        pack->id, range.begin,
        std::to_string(range.end - range.begin) + " bytes are not the records that were written",
        {});
  }
  CKPT_RETURN_IF_ERROR(VerifyRecords(pack));
  for (const ChunkEntry& entry : pack->contents.tail_chunks) MarkListed(*pack, entry);
  if (!options_.quick) return VerifyRuns(pack, pack->contents.chunks);
  for (const ChunkEntry& entry : pack->contents.chunks) MarkListed(*pack, entry);
  progress_.done_bytes += pack->contents.file_bytes;
  return Status();
}

Status PackChecker::VerifyRecords(Pack* pack) {
  Bytes payload;
  for (const RecordEntry& entry : pack->contents.records) {
    auto header = pack->reader->ReadRecord(entry.offset, &payload);
    if (header.ok()) {
      std::lock_guard lock(mutex_);
      findings_->verified_bytes += payload.size();
      continue;
    }
    AddDamage(pack->id, entry.offset, RecordTypeName(entry.type) + ": " + header.status().message(),
              {});
  }
  return Status();
}

// Runs of neighbours are chosen evenly, from a random start, so that the share is kept even in a
// small store.
Status PackChecker::VerifyRuns(Pack* pack, std::vector<ChunkEntry> entries) {
  for (std::size_t begin = 0; begin < entries.size();) {
    std::size_t end = begin + 1;
    while (end < entries.size() && entries[end].offset - entries[begin].offset < kRunBytes) ++end;
    phase_ += options_.part_percent / 100.0;
    if (phase_ >= 1.0) {
      phase_ -= std::floor(phase_);
      CKPT_RETURN_IF_ERROR(VerifyRun(*pack, &entries[begin], &entries[end - 1] + 1));
    } else {
      for (std::size_t i = begin; i < end; ++i) MarkListed(*pack, entries[i]);
    }
    begin = end;
    CKPT_RETURN_IF_ERROR(store_->Report(progress_));
  }
  progress_.done_bytes += pack->contents.file_bytes;
  return Status();
}

Status PackChecker::VerifyRun(const Pack& pack, const ChunkEntry* begin, const ChunkEntry* end) {
  Batch batch;
  batch.pack_id = pack.id;
  batch.watch_barred = store_->HasDamage(pack.id);
  batch.hollow = store_->IsHollow(pack.id);
  batch.begin = begin->offset;
  const ChunkEntry& last = end[-1];
  batch.bytes.resize(last.offset + kRecordHeaderBytes + last.stored_bytes - begin->offset);
  Status read = pack.reader->ReadRaw(begin->offset, batch.bytes);
  for (const ChunkEntry* e = begin; e != end; ++e) {
    Record record{e->offset, {}};
    std::uint64_t at = e->offset - begin->offset;
    bool fits = at + kRecordHeaderBytes + e->stored_bytes <= batch.bytes.size();
    if (read.ok() && fits &&
        DecodeRecordHeader(ByteSpan(batch.bytes).subspan(at, kRecordHeaderBytes), pack.id,
                           e->offset, &record.header) &&
        record.header.type == RecordType::kChunk && record.header.id == e->id &&
        record.header.stored_bytes == e->stored_bytes) {
      batch.records.push_back(record);
      continue;
    }
    AddDamage(pack.id, e->offset,
              read.ok() ? "not the chunk that the directory lists" : read.message(),
              {{e->id, e->offset}});
  }
  return batch.records.empty() ? Status() : Push(std::move(batch));
}

// ---- verifying threads -----------------------------------------------------------------------

Status PackChecker::Push(Batch batch) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return !error_.ok() || queue_.size() < kReadAheadMax; });
  if (!error_.ok()) return error_;
  if (threads_.size() < static_cast<std::size_t>(thread_count_)) {
    CKPT_RETURN_IF_ERROR(AddQuietThread(&threads_, [this] { Work(); }));
  }
  queue_.push_back(std::move(batch));
  work_.notify_one();
  return Status();
}

Status PackChecker::WaitIdle() {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [&] { return !error_.ok() || (queue_.empty() && busy_ == 0); });
  return error_;
}

void PackChecker::Work() {
  std::optional<Decoder> decoder;
  Bytes raw;
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    Batch batch = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    lock.unlock();
    Status s;
    try {
      if (!decoder.has_value()) decoder.emplace();
      std::vector<Answer> answers;
      for (const Record& record : batch.records) {
        answers.push_back(Check(batch, record, &*decoder, &raw));
      }
      std::lock_guard taking(mutex_);
      Take(batch, answers);
    } catch (const std::bad_alloc&) {  // a thread has nobody to throw to
      s = NoMemoryLeft();
    }
    lock.lock();
    --busy_;
    if (!s.ok() && error_.ok()) error_ = std::move(s);
    room_.notify_all();
  }
}

PackChecker::Answer PackChecker::Check(const Batch& batch, const Record& record, Decoder* decoder,
                                       Bytes* raw) {
  Answer answer = Verify(batch, record, decoder, raw);
  if (answer.what.empty() || !batch.hollow || record.header.type != RecordType::kChunk) {
    return answer;
  }
  std::uint64_t payload = record.offset - batch.begin + kRecordHeaderBytes;
  answer.given_back = LooksGivenBack(
      record.offset, ByteSpan(batch.bytes).subspan(payload, record.header.stored_bytes));
  return answer;
}

PackChecker::Answer PackChecker::Verify(const Batch& batch, const Record& record, Decoder* decoder,
                                        Bytes* raw) {
  const RecordHeader& header = record.header;
  if (header.type == RecordType::kPadding) return {};
  ByteSpan payload =
      ByteSpan(batch.bytes)
          .subspan(record.offset - batch.begin + kRecordHeaderBytes, header.stored_bytes);
  if (Checksum64(payload) != header.payload_checksum) {
    return {RecordTypeName(header.type) + ": its bytes do not have their checksum"};
  }
  if (header.type != RecordType::kChunk) return {};
  raw->resize(header.raw_bytes);
  if (IsDeltaCodec(header.codec)) return VerifyDelta(batch, record, payload, decoder, *raw);
  Status decoded = decoder->Decode(header.codec, header.codec_param, payload, *raw);
  if (decoded.code() == Code::kOutOfMemory) throw std::bad_alloc();  // no damage: Work says it
  if (!decoded.ok()) return {"chunk: " + decoded.message()};
  if (HashChunk(*raw) != header.id) return {"chunk: its bytes do not have its id"};
  return {};
}

PackChecker::Answer PackChecker::VerifyDelta(const Batch& batch, const Record& record,
                                             ByteSpan payload, Decoder* decoder,
                                             MutableByteSpan raw) {
  const RecordHeader& header = record.header;
  ChunkPlace place{batch.pack_id, {}};
  place.entry = {header.id,
                 record.offset,
                 static_cast<std::uint32_t>(header.stored_bytes),
                 static_cast<std::uint32_t>(header.raw_bytes),
                 header.codec,
                 header.codec_param,
                 {}};
  if (payload.size() < kBaseBytes) return {"chunk: a delta without a base"};
  std::memcpy(place.entry.base.bytes.data(), payload.data(), kBaseBytes);
  const Id128& base = place.entry.base;
  {
    std::lock_guard lock(mutex_);
    if (bad_bases_.Contains(base)) return {WithoutBase(base), false, base};
  }
  Status decoded = bases_->DecodeChunk(place, payload, decoder, raw);
  if (decoded.ok()) return {};
  if (decoded.code() == Code::kOutOfMemory) throw std::bad_alloc();
  if (!ReadsBase(base, decoder)) {
    std::lock_guard lock(mutex_);
    bad_bases_.Insert(base);
  }
  return {"chunk: " + decoded.message(), false, base};
}

// Many deltas may be from one base, and for each all packs would be looked into for a copy of it.
bool PackChecker::ReadsBase(const Id128& base, Decoder* decoder) {
  auto place = bases_->Locate(base);
  if (!place.ok()) return place.status().code() != Code::kCorruption;
  Bytes scratch, raw(place->entry.raw_bytes);
  return bases_->ReadChunk(*place, decoder, &scratch, raw).code() != Code::kCorruption;
}

// REQUIRES: mutex_ held.
void PackChecker::Take(const Batch& batch, const std::vector<Answer>& answers) {
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Record& record = batch.records[i];
    const RecordHeader& header = record.header;
    bool chunk = header.type == RecordType::kChunk;
    ChunkAt at{header.id, record.offset};
    if (header.type != RecordType::kPadding) findings_->verified_bytes += header.stored_bytes;
    if (!answers[i].what.empty()) {
      if (!batch.durable || answers[i].given_back) {
        findings_->unread = true;
        continue;
      }
      FoundDamage found{batch.pack_id, false, record.offset, answers[i].what, {}, {}, false};
      if (chunk) found.chunks.push_back(at);
      if (answers[i].base.IsZero()) {
        findings_->Add(std::move(found));
      } else {
        deltas_.emplace_back(std::move(found), answers[i].base);
      }
      continue;
    }
    if (!chunk) continue;
    findings_->MarkSound(header.id, SoundBits(header.codec));
    ChunkPlace place{batch.pack_id, {}};
    place.entry.offset = record.offset;
    if (batch.watch_barred && store_->IsBarred(place)) {
      findings_->healed.push_back({batch.pack_id, at});
    }
  }
}

}  // namespace ckpt
